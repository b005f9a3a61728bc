"""Charging and departure times, judged by what a car says of its plug, its power and its charge, and by what it was asked.

Source: the table of remote commands, and what a car reports, of the domain description. Figures marked ours there are in the
words of the checks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import Check, CheckedRule, Handlers, is_first
from fleet.checks.command_rule import Answer, CommandRule, Parameters, Verdict
from fleet.checks.rules import equipped
from fleet.checks.times import is_clock, timers_fit
from fleet.kernel.instants import HOUR, MINUTE, Instant, format_instant
from fleet.observe.journal import Begin, Input, Output
from fleet.vehicle.catalogue import Equipment

LIMITS: Final = {50, 60, 70, 80, 90, 100}
CURRENTS: Final = range(6, 17)
PLACES: Final = 4
DRAINS_KEPT: Final = 64
MAINS_V: Final = 230
ROUNDED_PERCENT: Final = 0.11
"""Each of two statuses tells tenths of a percent."""
LEAST_SHARE: Final = 0.2
"""The share of its power that a battery still takes when it is nearly full (ours)."""
ROUNDED_KW: Final = 0.01
CONDITIONED_PERCENT: Final = 20.0
"""An upper bound of the charge that conditioning before a departure takes out of the smallest battery (ours)."""
WOKEN: Final = 20 * MINUTE
"""How long before a departure a car says that it cannot be ready (ours)."""


def _phases(equipment: Equipment) -> int:
    """The e-Hybrid charges by one phase, the electric cars by three."""
    return 1 if equipment.energy == "e-hybrid" else 3


class _Told:
    """Charge and charging by the last status of a car; None is not known any more."""

    __slots__ = ("at", "charging", "drained", "percent", "starts_at")

    def __init__(self, at: Instant, percent: float, charging: dict[str, Any] | None) -> None:
        self.at = at
        self.percent: float | None = percent
        self.charging = charging
        self.starts_at: Instant | None = (charging or {}).get("starts_at")
        self.drained = False


class ChargeAgrees(Check):
    """Charge grows by the plug alone: by the power that flows times the time, and no higher than the limit.

    The power only falls while it flows, so between two statuses as much has gone in as the second one's power would have
    brought at least, and the first one's at most. Every change of it is told. Who waits begins when it said, unless asked to.
    """

    name = "charge"
    rule = "charge grows by the plug alone, by its power times the time, to its limit at most, and not before it said"
    looks_at = "statuses with charging"

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin)
        self._cars = cars
        self._equipment = equipment
        self._told: dict[str, _Told] = {}
        self._drained_at: dict[str, deque[Instant]] = {}

    def forget(self, machine: str) -> None:
        """Forget the charge; the time at which somebody drew it down is known."""
        self._told.pop(machine, None)

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit"): self._sent,
            ("in", "DrainTo"): self._drained,
            ("in", "SetBatteryProtection"): self._protected,
        }

    def _drained(self, record: Input, _line: int) -> None:
        self._drained_at.setdefault(record.m, deque(maxlen=DRAINS_KEPT)).append(record.t)

    def _protected(self, record: Input, _line: int) -> None:
        """Charging to a reserve waits for no night."""
        if record.m in self._told:
            self._told[record.m].starts_at = None

    def _sent(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        message = record.data["message"]
        if not self._cars.of(record.m).follows(message):
            self._told.pop(record.m, None)  # what was not heard may have changed all
        match record.of:
            case "Event":
                self._event(record.m, message)
            case "Response" if message["state"] == "succeeded" and record.m in self._told:
                self._told[record.m].starts_at = None
            case "Status" if "charge_percent" in message.get("energy", {}):
                self._status(record, line)
            case _:
                pass

    def _event(self, machine: str, event: dict[str, Any]) -> None:
        told = self._told.get(machine)
        if told is None:
            return
        if event["name"] == "refuelled":
            del self._told[machine]
        elif event["name"] == "engine_on":
            if told.charging is None or told.charging["state"] == "charging":
                told.percent = None  # what had gone in until the plug was taken out is not told
            told.charging, told.starts_at = {"state": "unplugged", "plugged_in": False, "power_kw": 0.0}, None

    def _status(self, record: Output, line: int) -> None:
        message, machine = record.data["message"], record.m
        percent: float = message["energy"]["charge_percent"]
        charging: dict[str, Any] | None = message.get("charging")
        equipment = self._equipment.get(message["vin"])
        engine_on = self._cars.of(machine).engine_on is True
        found = [] if charging is None else _in_itself(percent, charging, equipment, engine_on=engine_on)
        self.looked_at += charging is not None
        before = self._told.get(machine)
        if before is not None:
            if any(before.at <= at <= message["captured_at"] for at in self._drained_at.get(machine, ())):
                before.drained, before.starts_at = True, None
            found += _since(before, message, equipment)
        for told in found:
            self.breach(line, machine, told)
        told_now = self._told[machine] = _Told(message["captured_at"], percent, charging)
        if charging is None and before is not None:
            told_now.charging, told_now.starts_at = before.charging, (before.charging or {}).get("starts_at")
            told_now.drained = before.drained  # what is told of the power is from before that


def _in_itself(percent: float, charging: dict[str, Any], equipment: Equipment | None, *, engine_on: bool) -> list[str]:
    """Return what does not fit together in one status."""
    found = []
    is_charging, power_kw = charging["state"] == "charging", charging["power_kw"]
    if (charging["state"] == "unplugged") == charging["plugged_in"]:
        found.append(f"charging is {charging['state']}, but plugged_in is {charging['plugged_in']}")
    if charging["plugged_in"] and engine_on:
        found.append("the car is plugged in with the engine on")
    if (power_kw > 0) != is_charging:
        found.append(f"charging is {charging['state']} with {power_kw} kW")
    if equipment is not None:
        most_kw = min(equipment.charge_power_kw, MAINS_V * charging["max_current_a"] * _phases(equipment) / 1000)
        if power_kw > most_kw + ROUNDED_KW:
            found.append(f"charges with {power_kw} kW; {charging['max_current_a']} A are {most_kw:.2f} kW here")
    target = charging.get("target_percent", 100)
    if is_charging and equipment is not None and power_kw > 0:
        min_per_percent = equipment.usable_kwh / 100 / power_kw * 60
        least_min = max(0.0, target - percent - ROUNDED_PERCENT) * min_per_percent
        most_min = (target - percent + ROUNDED_PERCENT) * min_per_percent / LEAST_SHARE + 2
        if not math.floor(least_min) <= charging["remaining_min"] <= most_min:
            told = f"{percent} % are told to reach {target} % in {charging['remaining_min']} min with {power_kw} kW"
            found.append(f"{told}, expected {least_min:.0f} to {most_min:.0f}")
    if is_charging and percent > target + ROUNDED_PERCENT:
        found.append(f"charges at {percent} %; the limit is {target} %")
    if charging["state"] == "complete" and percent < target - ROUNDED_PERCENT:
        found.append(f"says complete at {percent} %; the limit is {target} %")
    return found


def _since(before: _Told, message: dict[str, Any], equipment: Equipment | None) -> list[str]:
    """Return what cannot have become of the charge since the status before."""
    charging, was = message.get("charging"), before.charging
    if was is None or before.percent is None:
        return []
    at, percent = message["captured_at"], message["energy"]["charge_percent"]
    now_kw = charging["power_kw"] if charging is not None and charging["state"] == "charging" else 0.0
    if now_kw and before.starts_at is not None and at < before.starts_at:
        return [f"charges since it said that it waits until {format_instant(before.starts_at)}"]
    grown = percent - before.percent
    if was["state"] != "charging":
        since = f"{format_instant(before.at)}, when it was {was['state']}"
        return [f"expected at most {before.percent} % since {since}, but it is {percent} %"] if grown > ROUNDED_PERCENT else []
    if equipment is None:
        return []
    per_kw = (at - before.at) / HOUR / equipment.usable_kwh * 100
    if not before.drained and grown > was["power_kw"] * per_kw + ROUNDED_PERCENT:
        return [f"grown by {grown:.1f} % in {(at - before.at) / MINUTE:.0f} min with {was['power_kw']} kW at most"]
    least_kw = min(was["power_kw"], now_kw)  # this status may tell that a setting has just raised it
    if not before.drained and grown < least_kw * per_kw - ROUNDED_PERCENT:
        return [f"grown by {grown:.1f} % in {(at - before.at) / MINUTE:.0f} min with {least_kw} kW at least"]
    most = max(was.get("target_percent", 100), before.percent)
    return [f"charged to {percent} %; the limit is {most} %"] if percent > most + ROUNDED_PERCENT else []


class ChargingRule(CommandRule):
    """A start needs a car that is plugged in; limits are 50 to 100 % in steps of 10, currents 6 to 16 A; 4 places, 3 departures.

    Whether it is plugged in, the last status says, and a drive, which begins without a plug.
    """

    name = "charging rule"
    rule = "charging starts only with a plug; limit, current, places and departure times are in their ranges"
    looks_at = "answers"
    EQUIPPED: Final = CheckedRule("equipped", "only in a car with a socket for charging", frozenset({"not_equipped"}))
    PLUG: Final = CheckedRule("plug", "a start only with a plug", frozenset({"not_plugged_in"}))
    RANGES: Final = CheckedRule(
        "ranges",
        "limits of 50 to 100 % in steps of 10, 6 to 16 A, windows, 4 places and 3 departure times that exist",
        frozenset({"argument_out_of_range"}),
    )
    rules = (EQUIPPED, PLUG, RANGES)
    asks = True
    commands = frozenset({"charging", "charging_settings", "charging_locations", "departure_timers"})

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        fitted = self._equipment.get(answer["vin"])
        yield equipped(self.EQUIPPED, has=None if fitted is None else fitted.usable_kwh > 0, what="socket for charging")
        if answer["name"] != "charging":
            yield Verdict(self.RANGES, _RANGES[answer["name"]](parameters), f"asks for {parameters}")
        elif parameters.get("action", "start") == "start":
            why = {None: "whether it is plugged in is not known", True: "it is plugged in", False: "there is no plug"}
            yield Verdict(self.PLUG, car.plugged_in, why[car.plugged_in])


def _settings_fit(each: Parameters) -> bool:
    limit, current = each.get("limit_percent"), each.get("max_current_a")
    times = [each.get(name) for name in ("begins", "ends")]
    together = times == [None, None] if not each.get("night_window", times[0] is not None) else None not in times
    return (
        (limit is None or limit in LIMITS)
        and (current is None or current in CURRENTS)
        and together
        and (times[0] is None or times[0] != times[1])
        and all(time is None or is_clock(time) for time in times)
    )


def _places_fit(parameters: Parameters) -> bool:
    places = parameters["locations"]
    names = {place["name"] for place in places}
    return (
        len(places) <= PLACES
        and len(names) == len(places)
        and all(name.strip() and len(name) <= 40 for name in names)
        and all(_settings_fit(place) and _within(place.get("radius_m", 100), 50, 1000) for place in places)
        and all(_within(place["latitude"], -90, 90) and _within(place["longitude"], -180, 180) for place in places)
    )


def _within(number: float | None, least: float, most: float) -> bool:
    """Tell whether a number lies there; what JSON has no number for is null in a journal."""
    return number is not None and least <= number <= most


_RANGES: Final[dict[str, Callable[[Parameters], bool]]] = {
    "charging_settings": lambda each: any(value is not None for value in each.values()) and _settings_fit(each),
    "charging_locations": _places_fit,
    "departure_timers": lambda each: timers_fit(each["timers"]),
}


class DepartureAgrees(Check):
    """A parked car tells once of each departure: that it is ready, at the time itself and charged, or up to 20 min ahead why not.

    Who sets a departure again is told again. What conditioning takes out of a car without a plug may be missing from its charge.
    """

    name = "departures"
    rule = "a departure is told once, for a time that was set, by a parked car: ready when charged, or why not"
    looks_at = "departure events"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._minutes: dict[str, set[int]] = {}
        self._last: dict[str, Instant] = {}
        self._charging: dict[str, dict[str, Any]] = {}

    def forget(self, machine: str) -> None:
        """The times that were set stay; whether the car charges nobody knows."""
        self._charging.pop(machine, None)

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit", "Event"): self._event,
            ("out", "Transmit", "Status"): self._status,
            ("out", "Transmit", "Response"): self._answered,
        }

    def _answered(self, record: Output, _line: int) -> None:
        answer = record.data["message"]
        if (answer["name"], answer["state"]) != ("departure_timers", "succeeded"):
            return
        car = self._cars.of(record.m)
        command = car.commands.get(answer["command_id"])
        if command is not None and not car.repeats(answer):
            timers = command["parameters"]["timers"]
            self._minutes[record.m] = {int(timer["at"][3:]) for timer in timers if timer.get("enabled", True)}
            self._last.pop(record.m, None)  # who sets a time again is told again

    def _status(self, record: Output, _line: int) -> None:
        charging = record.data["message"].get("charging")
        if charging is not None:
            self._charging[record.m] = charging

    def _event(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if event["name"] not in {"departure_ready", "departure_not_ready"} or not is_first(record):
            return
        self.looked_at += 1
        for told in self._judge(record.m, event):
            self.breach(line, record.m, told)
        self._last[record.m] = event["data"]["departs_at"]

    def _judge(self, machine: str, event: dict[str, Any]) -> list[str]:
        departs_at, percent = event["data"]["departs_at"], event["data"]["charge_percent"]
        charging = self._charging.get(machine)
        minute = departs_at // MINUTE % 60
        found = []
        if minute not in self._minutes.get(machine, set()) | {0}:  # 0 is where the clocks go forward
            found.append(f"a departure at {format_instant(departs_at)} was never set")
        if self._last.get(machine) == departs_at:
            found.append(f"the departure at {format_instant(departs_at)} is told twice")
        if self._cars.of(machine).engine_on:
            found.append(f"{event['name']}, but the engine is on")
        if event["name"] == "departure_ready":
            least = (charging or {}).get("target_percent", 0) - CONDITIONED_PERCENT * (
                charging is None or not charging["plugged_in"]
            )
            if event["captured_at"] != departs_at:
                found.append(f"ready at {format_instant(event['captured_at'])} for {format_instant(departs_at)}")
            if percent < least - ROUNDED_PERCENT:
                found.append(f"ready with {percent} %; the limit is {(charging or {}).get('target_percent')} %")
        elif not departs_at - WOKEN <= event["captured_at"] <= departs_at:
            found.append(f"{format_instant(event['captured_at'])} is no time to tell of {format_instant(departs_at)}")
        elif event["data"]["reason"] == "not_plugged_in" and charging is not None and charging["plugged_in"]:
            found.append("not ready as not_plugged_in, but the car is plugged in")
        return found
