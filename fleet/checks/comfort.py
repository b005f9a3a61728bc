"""Heater, ventilation and climatisation, judged by what a car says: how long they run, and what they take.

Source: the table of remote commands, and what a car reports, of the domain description. Figures marked ours there are in the
words of the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleet.checks.cars import Cars
from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.checks.command_rule import Parameters
from fleet.kernel.instants import MINUTE, Instant, format_instant
from fleet.observe.journal import Begin, Output
from fleet.vehicle.catalogue import Equipment

ROUNDED_MIN: Final = 0.01
ROUNDED_PERCENT: Final = 0.05
"""A status tells tenths of a percent."""
ROUNDED_L: Final = 0.002
HEATER_L_PER_MIN: Final = 0.2 / 30
CLIMATISATION_MIN: Final = 30
STATES: Final = {
    "heater": {"heating", "ventilation"}, "ventilation": {"ventilation"}, "climatisation": {"climatisation"},
}  # fmt: skip
"""The name of each running service in a status."""
COMFORT: Final = frozenset(STATES)


class _Run:
    """A service that was started; it must be over at `ends_at`. `left` is when a status said how many minutes were left."""

    __slots__ = ("ends_at", "left", "minutes", "service", "started_at", "target_c", "windows")

    def __init__(self, service: str, minutes: float, started_at: Instant, target_c: float | None = None) -> None:
        self.service = service
        self.minutes = minutes
        self.started_at = started_at
        self.ends_at = started_at + int(minutes * MINUTE)
        self.target_c = target_c
        self.windows = False
        self.left: tuple[Instant, int] | None = None


def _asked_for(service: str, parameters: Parameters, now: Instant) -> _Run:
    if service == "climatisation":
        run = _Run(service, CLIMATISATION_MIN, now, parameters.get("target_c", 21))
        run.windows = parameters.get("window_heating", False)
        return run
    return _Run(service, parameters.get("minutes", 30), now)


def _tells_start(message: dict[str, Any]) -> bool:
    return message.get("trigger") == "command" and "climate" in message


class ComfortAgrees(Check):
    """One of heater, ventilation and climatisation runs at a time, from its start to its reported end, never with the engine on.

    A start is the success of a command, or `…_started`; it runs as long as asked for (climatisation 30 min) at most, and ends by
    itself when its time is over, when the driver starts the engine, on a stop, on another start, when the fuel gets low, or the
    12 V battery.
    """

    name = "comfort"
    rule = "one comfort service runs at a time, as long as asked for and not with the engine on; the status agrees"
    looks_at = "ends of services, and statuses with climate"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._running: dict[str, _Run] = {}
        self._starting: dict[str, _Run] = {}
        self._unknown: set[str] = set()

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._sent}

    def forget(self, machine: str) -> None:
        """Whether something runs is not known, until a status says that nothing does, or its end is reported."""
        super().forget(machine)
        self._unknown.add(machine)

    def _sent(self, record: Output, line: int) -> None:
        if not is_first(record) or is_priority(record):
            return
        message, machine = record.data["message"], record.m
        if machine in self._unknown:
            if _tells_end(message):
                self._unknown.discard(machine)
            return
        if machine in self._starting and (not self._cars.of(machine).follows(message) or _tells_start(message)):
            self._begin(machine, self._starting.pop(machine), line)
        run = self._running.get(machine)
        if run is not None and message["captured_at"] > run.ends_at:
            self.breach(line, machine, f"expected the {run.service} to end by itself at {format_instant(run.ends_at)}")
            del self._running[machine]
        match record.of:
            case "Event":
                self._event(record, line)
            case "Status":
                self._status(record, line)
            case "Response":
                self._answered(record, line)
            case _:
                pass

    def _begin(self, machine: str, run: _Run, line: int) -> None:
        other = self._running.get(machine)
        if other is not None:
            self.breach(line, machine, f"the {run.service} starts while the {other.service} runs")
        self._running[machine] = run

    def _answered(self, record: Output, line: int) -> None:
        answer, run = record.data["message"], self._running.get(record.m)
        name, car = answer["name"], self._cars.of(record.m)
        if car.repeats(answer):
            return
        if answer["state"] == "succeeded" and name in STATES:
            parameters = car.commands.get(answer["command_id"], {}).get("parameters", {})
            if parameters.get("action", "start") == "start":
                self._starting[record.m] = _asked_for(name, parameters, answer["captured_at"])
        elif answer.get("reason") in {"heater_running", "ventilation_running"}:
            wanted = answer["reason"].removesuffix("_running")
            if run is None or run.service != wanted:
                self.breach(line, record.m, f"{name} is refused as {answer['reason']}, but no {wanted} runs")

    def _event(self, record: Output, line: int) -> None:
        event, machine = record.data["message"], record.m
        service, _, what = event["name"].rpartition("_")
        run = self._running.get(machine)
        if event["name"] == "engine_on" and run is not None:
            self.breach(line, machine, f"the engine starts, but the {run.service} runs on")
        elif event["name"] == "low_voltage_low" and run is not None:
            run.ends_at = min(run.ends_at, event["captured_at"])
        elif service in STATES and what == "started":
            self._begin(machine, _Run(service, event["data"]["minutes"], event["captured_at"]), line)
        elif service in STATES and what == "ended":
            self.looked_at += 1
            if run is None or run.service != service:
                self.breach(line, machine, f"{event['name']}, but no {service} runs")
            else:
                del self._running[machine]
                self._ended(run, event, machine, line)
                self._was_left(run, event, machine, line)

    def _ended(self, run: _Run, event: dict[str, Any], machine: str, line: int) -> None:
        told = event["data"]
        ran_min = (event["captured_at"] - run.started_at) / MINUTE
        if abs(told["minutes"] - ran_min) > ROUNDED_MIN or told["minutes"] > run.minutes + ROUNDED_MIN:
            asked = f"was started for {run.minutes:g} and ran {ran_min:.2f}"
            self.breach(line, machine, f"the {run.service} tells {told['minutes']} min, but {asked}")
        elif told["reason"] == "time" and abs(ran_min - run.minutes) > ROUNDED_MIN:
            self.breach(
                line, machine, f"the {run.service}'s time was over at {format_instant(run.ends_at)}, but it ended otherwise"
            )

    def _was_left(self, run: _Run, event: dict[str, Any], machine: str, line: int) -> None:
        """Compare what a status said was left with the end, where nothing can have moved it: a plug lets climatisation run on."""
        if run.left is None or run.service == "climatisation" or event["data"]["reason"] != "time":
            return
        at, left_min = run.left
        expected_min = -(-(event["captured_at"] - at) // MINUTE)
        if left_min != expected_min:
            told = f"{left_min} min were left of the {run.service} at {format_instant(at)}, expected {expected_min}"
            self.breach(line, machine, told)

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        climate = message.get("climate")
        if climate is None:
            return
        self.looked_at += 1
        if (running := self._running.get(record.m)) is not None:
            running.left = (message["captured_at"], climate["remaining_min"])
        run, state = self._running.get(record.m), climate["state"]
        if (state != "off") != (run is not None) or (run is not None and state not in STATES[run.service]):
            self.breach(line, record.m, f"climate is {state}, but what runs is {'nothing' if run is None else run.service}")
        elif run is not None and climate["remaining_min"] > -(-(run.ends_at - message["captured_at"]) // MINUTE):
            told = f"{climate['remaining_min']} min are left of a {run.service} that ends at {format_instant(run.ends_at)}"
            self.breach(line, record.m, told)
        elif run is not None and run.target_c is not None and climate.get("target_c") != run.target_c:
            self.breach(line, record.m, f"expected the target {run.target_c} °C, but the status tells {climate.get('target_c')}")
        elif run is not None and run.windows and not climate.get("window_heating"):
            self.breach(line, record.m, "its windows were to be heated, but the status tells otherwise")


def _tells_end(message: dict[str, Any]) -> bool:
    """Tell whether nothing runs after this; what is restarted ends, and tells so, in the same instant."""
    if message.get("trigger") in {"load", "refresh", "engine_off"}:
        return bool(message.get("climate", {}).get("state") == "off")
    service, _, what = str(message.get("name", "")).rpartition("_")
    return service in STATES and what == "ended" and message["data"].get("reason") != "restarted"


class _Taken:
    """Fuel or charge of a car when a service began, and the consumption that the service reports: the difference at its end."""

    __slots__ = ("charge_percent", "charge_taken_kwh", "fuel_percent", "fuel_taken_l", "plugged_in", "started_at")

    def __init__(self) -> None:
        self.started_at: Instant | None = None
        self.plugged_in: bool | None = None
        self.forget()

    def forget(self) -> None:
        """Nothing runs."""
        self.fuel_percent: float | None = None
        self.charge_percent: float | None = None
        self.fuel_taken_l = self.charge_taken_kwh = 0.0


class ComfortEnergy(Check):
    """A heater takes 0.2 l of fuel in 30 min of heating, and none to ventilate; what a service tells to have taken is gone.

    The status at its start and the one at its end tell tank and charge. What a station or a plug gives meanwhile cannot be told
    apart, so they are compared where there was none.
    """

    name = "comfort energy"
    rule = "heating takes 0.2 l in 30 min; tank and charge have lost what heater and climatisation took"
    looks_at = "ends of heater and climatisation"

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the cars' equipment by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment
        self._taken: dict[str, _Taken] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._event, ("out", "Transmit", "Status"): self._status}

    def _event(self, record: Output, line: int) -> None:
        event = record.data["message"]
        service, _, what = event["name"].rpartition("_")
        if not is_first(record):
            return
        if event["name"] == "refuelled":
            self._taken.pop(record.m, None)
        if service not in COMFORT:
            return
        taken, told = self._taken.setdefault(record.m, _Taken()), event["data"]
        if what == "started":
            taken.started_at = event["captured_at"]
        elif what == "ended":
            self.looked_at += 1
            taken.fuel_taken_l, taken.charge_taken_kwh = told.get("fuel_l", 0.0), told.get("energy_kwh", 0.0)
            burnt_l = told["minutes"] * HEATER_L_PER_MIN if told["mode"] == "heating" else 0.0
            if abs(taken.fuel_taken_l - burnt_l) > ROUNDED_L:
                expected = f"expected {burnt_l:.3f} l of fuel for {told['minutes']} min of {told['mode']}"
                self.breach(line, record.m, f"{expected}, but it tells {taken.fuel_taken_l} l")

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        if not is_first(record):
            return
        taken = self._taken.setdefault(record.m, _Taken())
        if "charging" in message:
            taken.plugged_in = message["charging"]["plugged_in"]
            taken.charge_percent = None if taken.plugged_in else taken.charge_percent
        climate, energy = message.get("climate"), message.get("energy")
        if climate is None or energy is None:
            return
        if climate["state"] == "off":
            if message["vin"] in self._equipment:
                self._compare(taken, energy, self._equipment[message["vin"]], record.m, line)
            taken.forget()
        elif message["trigger"] == "command" or message["captured_at"] == taken.started_at:
            taken.fuel_percent = energy.get("fuel_level_percent")
            taken.charge_percent = energy.get("charge_percent") if taken.plugged_in is False else None

    def _compare(self, taken: _Taken, energy: dict[str, Any], equipment: Equipment, machine: str, line: int) -> None:
        rows = (
            ("l of fuel", taken.fuel_taken_l, taken.fuel_percent, energy.get("fuel_level_percent"), equipment.tank_l),
            ("kWh", taken.charge_taken_kwh, taken.charge_percent, energy.get("charge_percent"), equipment.usable_kwh),
        )
        for what, took, before, after, full in rows:
            if not took or before is None or after is None or (what == "kWh" and taken.plugged_in is not False):
                continue
            gone = (before - after + 2 * ROUNDED_PERCENT) / 100 * full + ROUNDED_L
            if gone < took:
                self.breach(line, machine, f"{took} {what} were taken, but it went from {before} % to {after} %")
