"""Whether a car does what it says: a command that succeeds shows in its effects, a stop ends what runs, waking takes its time.

Source: the table of remote commands, and how cars wake, of the domain description; figures marked ours are named in the words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fleet.checks.cars import Cars
from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.observe.journal import Begin, End, Input, Output
from fleet.vehicle.catalogue import Equipment

TOLD: Final[Mapping[str, frozenset[str]]] = {
    "lock": frozenset({"doors"}),
    "unlock": frozenset({"doors"}),
    "heater": frozenset({"climate", "energy"}),
    "ventilation": frozenset({"climate", "energy"}),
    "climatisation": frozenset({"climate", "energy"}),
    "charging": frozenset({"charging", "energy"}),
    "charging_settings": frozenset({"charging", "energy"}),
    "charging_locations": frozenset({"charging", "energy"}),
    "departure_timers": frozenset({"charging", "energy"}),
}
"""The groups of the status that follows the success of a command, except a stop of comfort."""
FOLLOWED: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    **{
        f"{service}_{what}": (service, frozenset({"climate", "energy"}))
        for service in ("heater", "ventilation", "climatisation")
        for what in ("started", "ended")
    },
    "target_reached": ("climatisation", frozenset({"climate", "energy"})),
    "charging_error": ("charging", frozenset({"charging", "energy"})),
}
"""With which trigger, and which groups, the status has that follows an event in the same instant."""
COMFORT: Final = frozenset({"heater", "ventilation", "climatisation"})
ROUNDED_PERCENT: Final = 0.051
FULL_PERCENT: Final = 99.9
WAKES_IN_S: Final = (1.0, 60.001)
MEDIAN_S: Final = 15.0
SPREAD: Final = 0.6
"""Standard deviation of the binary logarithm of the time that waking takes (ours)."""
WAKINGS: Final = 20
"""Fewer say nothing of how long waking takes."""
DEVIATIONS: Final = 5.0


REFUSED_ASLEEP: Final = frozenset({"privacy_offline", "not_paired", "interrupted"})
"""For these reasons the modem refuses, and the car sleeps on."""


class _Due(NamedTuple):
    """A report that must follow a successful command, or an event, in the same instant."""

    command_id: str
    name: str
    at: Instant
    groups: frozenset[str]
    trigger: str = "command"


class EffectsTold(Check):
    """A command that has changed the car is followed by the status of what it has changed, of the same instant.

    A stop of heater, ventilation or climatisation ends what runs, in the same instant. A heater leaves the reserve in the tank,
    climatisation without a plug 20 % of the charge, or the lowest reserve that was set in the car while it ran (ours). A station
    fills up; a system is installed in a locked car alone. Judged of cars whose equipment is known.
    """

    name = "effects"
    rule = "a command that succeeds is followed by the status of what it changes; a stop ends what runs; reserves are kept"
    looks_at = "successes, and ends of comfort"

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin)
        self._cars = cars
        self._equipment = equipment if begin.scenario is not None else {}  # else nobody says which cars are whole
        self._due: dict[str, list[_Due]] = {}
        self._running: dict[str, str] = {}
        self._stopped: dict[str, _Due] = {}
        self._took: dict[str, tuple[str, Instant]] = {}
        """The comfort service that has just ended, and when it had begun."""
        self._drained: dict[str, Instant] = {}
        self._plugged_in: dict[str, bool] = {}
        self._filled: dict[str, Instant] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._sent, ("in", "DrainTo"): self._drains}

    def _drains(self, record: Input, _line: int) -> None:
        """Somebody takes fuel or charge: what is left then is not the service's doing."""
        self._drained[record.m] = record.t

    def _sent(self, record: Output, line: int) -> None:
        message, machine = record.data["message"], record.m
        if not is_first(record) or is_priority(record) or message["vin"] not in self._equipment:
            return
        self._overdue(machine, message["captured_at"], line)
        match record.of:
            case "Response":
                self._answered(machine, message)
            case "Event":
                self._event(machine, message)
                self._seen(machine, message, line)
            case "Status":
                self._status(machine, message, line)
            case _:
                pass

    def _overdue(self, machine: str, now: Instant, line: int) -> None:
        """Tell what was due at an earlier instant, and has not come."""
        due = self._due.get(machine)
        if due and due[0].at < now:
            for each in due:
                what = f"command {each.command_id} has succeeded" if each.command_id else "is told"
                self.breach(line, machine, f"{each.name}: {what}, but no status of {' and '.join(sorted(each.groups))} followed")
            del self._due[machine]
        stopped = self._stopped.get(machine)
        if stopped is not None and stopped.at < now:
            del self._stopped[machine]
            if self._running.get(machine) == stopped.name:
                self.breach(line, machine, f"a stop of the {stopped.name} has succeeded, but it runs on")

    def _answered(self, machine: str, answer: dict[str, Any]) -> None:
        car, name = self._cars.of(machine), answer["name"]
        if answer["state"] != "succeeded" or name not in TOLD or car.repeats(answer):
            return
        parameters = car.commands.get(answer["command_id"], {}).get("parameters", {})
        due = _Due(answer["command_id"], name, answer["captured_at"], TOLD[name])
        self.looked_at += 1
        if name in COMFORT and parameters.get("action") == "stop":
            self._stopped[machine] = due
        else:
            self._due.setdefault(machine, []).append(due)
            if name in COMFORT:
                self._running[machine] = name

    def _seen(self, machine: str, event: dict[str, Any], line: int) -> None:
        """Take what is no command's effect: a station fills up, and a system is installed in a locked car alone."""
        data = event.get("data", {})
        if event["name"] == "refuelled":
            self._filled[machine] = event["captured_at"]
        elif event["name"] == "update_progress" and (data["state"], data["target"]) == ("installing", "system"):
            self.looked_at += 1
            if self._cars.of(machine).locked is False:
                self.breach(line, machine, "a system update is installed in a car that is not locked")

    def _event(self, machine: str, event: dict[str, Any]) -> None:
        trigger, groups = FOLLOWED.get(event["name"], ("", frozenset()))
        if event["name"] == "update_result" and event["data"]["state"] == "installed":
            trigger, groups = "update", frozenset({"software"})
        if trigger:
            self._due.setdefault(machine, []).append(_Due("", event["name"], event["captured_at"], groups, trigger))
        service, _, what = event["name"].rpartition("_")
        if service not in COMFORT:
            return
        if what == "started":
            self._running[machine] = service
        elif what == "ended":
            self.looked_at += 1
            if event["data"]["reason"] != "restarted":
                self._running.pop(machine, None)
            began = event["captured_at"] - int((event["data"]["minutes"] + 0.01) * MINUTE)
            if self._drained.get(machine, 0) < began:
                self._took[machine] = service, began

    def _status(self, machine: str, message: dict[str, Any], line: int) -> None:
        due = self._due.get(machine, [])
        met = next((each for each in due if each.trigger == message["trigger"] and each.groups <= message.keys()), None)
        if met is not None:
            due.remove(met)
        energy = message.get("energy", {})
        if self._filled.get(machine) == message["captured_at"] and energy:
            del self._filled[machine]
            if energy.get("fuel_level_percent", 100.0) < FULL_PERCENT:
                self.breach(line, machine, f"a car was filled up, and tells {energy['fuel_level_percent']} % of fuel")
        if "charging" in message:
            self._plugged_in[machine] = message["charging"]["plugged_in"]
        service, began = self._took.pop(machine, ("", 0))
        if message["trigger"] == service:
            self._left(machine, service, began, message, line)

    def _left(self, machine: str, service: str, began: Instant, message: dict[str, Any], line: int) -> None:
        """Judge what heater or climatisation have left, at their end."""
        energy, equipment = message.get("energy", {}), self._equipment.get(message["vin"])
        if equipment is None:
            return
        if service == "heater" and "fuel_level_percent" in energy:
            most_l = (energy["fuel_level_percent"] + ROUNDED_PERCENT) / 100 * equipment.tank_l
            if most_l < equipment.reserve_l:
                told = f"the heater has left {most_l:.2f} l of fuel at most; the reserve is {equipment.reserve_l:g} l"
                self.breach(line, machine, told)
        charge = energy.get("charge_percent", 100.0) + ROUNDED_PERCENT
        least = self._cars.reserves.lowest(machine, began, message["captured_at"])
        if service == "climatisation" and self._plugged_in.get(machine) is False and charge < least:
            self.breach(line, machine, f"climatisation has left {charge:.1f} % of charge at most, expected {least:g} %")


class WakingTakes(Check):
    """A car that sleeps takes from seconds to a minute to wake for a command, about 15 s, and answers after it.

    A command that waited at the broker until the car was connected again wakes nobody, nor does one that the car remembers.
    """

    name = "waking"
    rule = "a car that sleeps answers after 1 to 60 s, 15 s in the middle of all"
    looks_at = "commands that woke a car"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._up_at: dict[str, Instant] = {}
        self._asked: dict[str, dict[str, Instant]] = {}
        self._logarithms = 0.0

    def handlers(self) -> Handlers:
        if self.begin.scenario is None:
            return {}  # a journal that does not say which cars there are need not be one of ours
        return {
            ("in", "LinkUp"): self._up,
            ("in", "LinkDown"): self._down,
            ("in", "Received", "Command"): self._received,
            ("out", "Transmit", "Response"): self._answered,
        }

    def _up(self, record: Input, _line: int) -> None:
        self._up_at[record.m] = record.t

    def _down(self, record: Input, _line: int) -> None:
        self._up_at.pop(record.m, None)
        self._asked.pop(record.m, None)

    def _received(self, record: Input, _line: int) -> None:
        command, up_at = record.data["message"], self._up_at.get(record.m)
        asked = self._asked.setdefault(record.m, {})
        if up_at is not None and command["issued_at"] >= up_at and not asked:
            asked[command["id"]] = record.t  # those behind it find the car on its way

    def _answered(self, record: Output, line: int) -> None:
        answer, asked = record.data["message"], self._asked.get(record.m)
        if not asked or not is_first(record):
            return
        received = asked.get(answer["command_id"])
        if received is None:
            return
        asked.clear()
        if answer.get("awake", False) or answer.get("reason") in REFUSED_ASLEEP:
            return
        if self._cars.of(record.m).repeats(answer):
            return
        self.looked_at += 1
        took_s = max((answer["captured_at"] - received) / SECOND, 1e-6)
        self._logarithms += math.log2(took_s / MEDIAN_S)
        if not WAKES_IN_S[0] <= took_s <= WAKES_IN_S[1]:
            told = f"a car that sleeps answers after {took_s:.1f} s, expected {WAKES_IN_S[0]:g} to {WAKES_IN_S[1]:.0f}"
            self.breach(line, record.m, told, subject=f"command {answer['command_id']} of {answer['vin']}")

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (however many there are)
        """Judge them all together."""
        if self.looked_at >= WAKINGS:
            mean = self._logarithms / self.looked_at
            if abs(mean) > DEVIATIONS * SPREAD / math.sqrt(self.looked_at) + 0.1:
                told = f"{self.looked_at} cars took {MEDIAN_S * 2**mean:.1f} s to wake in the middle, expected about {MEDIAN_S:g}"
                self.breach(line, "run", told)
