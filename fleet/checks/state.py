"""Whether what a car reports agrees with its commands and its earlier messages: engine, doors and locks.

Source: what a car reports and when, and its events, in the domain description.
"""

from __future__ import annotations

from typing import Any

from fleet.checks.cars import Cars
from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.kernel.instants import Instant, format_instant
from fleet.observe.journal import Begin, Output


class EngineAgrees(Check):
    """A car is parked exactly while its engine is off, and sends its status by itself when the engine is switched off.

    The event engine_off is followed by the trip, if it was one, and by the whole status of the same instant.
    """

    name = "engine"
    rule = "engine events alternate, a status says parked exactly while the engine is off, and follows each engine_off"
    looks_at = "engine events and statuses"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._due: dict[str, Instant] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._sent}

    def _sent(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        car, message = self._cars.of(record.m), record.data["message"]
        event = message["name"] if record.of == "Event" else ""
        follows = car.follows(message)
        due = None if is_priority(record) and follows else self._due.pop(record.m, None)
        if due is not None and follows:
            self._follow_up(record, event, due, line)
        if event in {"engine_on", "engine_off"}:
            self.looked_at += 1
            if car.engine_on == (event == "engine_on"):
                self.breach(line, record.m, f"{event}, but the engine is {'on' if car.engine_on else 'off'} already")
            if event == "engine_off":
                self._due[record.m] = message["captured_at"]
        elif record.of == "Status":
            self.looked_at += 1
            if (message["state"] == "parked") == car.engine_on:
                told = f"the status says {message['state']}, but the engine is {'on' if car.engine_on else 'off'}"
                self.breach(line, record.m, told)

    def _follow_up(self, record: Output, event: str, due: Instant, line: int) -> None:
        message = record.data["message"]
        if event == "trip":
            self._due[record.m] = due
        elif message.get("trigger") != "engine_off" or message["captured_at"] != due:
            told = f"expected the status of the engine_off at {format_instant(due)}, but message {message['seq']} is {record.of}"
            self.breach(line, record.m, told)


class DoorsAgree(Check):
    """Doors are as they were opened and closed, and locked as the last lock or unlock left them.

    Who drives has unlocked and closes all; who walks away may leave anything as it is, and the status then sent says so.
    """

    name = "doors"
    rule = "a status tells the doors as they were opened, closed, locked and unlocked"
    looks_at = "statuses with doors"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Status"): self._status}

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        doors: dict[str, dict[str, bool]] | None = message.get("doors")
        if doors is None or message["trigger"] == "left" or not is_first(record):
            return
        self.looked_at += 1
        car = self._cars.of(record.m)
        car.settle_doors(message)
        is_open = {name for name, door in doors.items() if door["open"]}
        if car.open_doors is not None and is_open != car.open_doors:
            self.breach(line, record.m, f"expected open: {_names(car.open_doors)}; but open are {_names(is_open)}")
        shut = [name for name in doors if name not in is_open]
        wrong = [name for name in shut if car.locked is not None and doors[name]["locked"] != car.locked]
        wrong += [name for name in is_open if doors[name]["locked"]]
        if wrong:
            self.breach(
                line, record.m, f"expected {'locked' if car.locked else 'unlocked'}, but it is otherwise: {_names(wrong)}"
            )


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
