"""Area and speed alerts, judged by the commands that a car has got and by what it reports.

Source: the tables of commands and of what a car reports of the domain description. Figures marked ours there are in the words of
the checks. Times of day at which a zone is watched are not judged: a journal does not say which clock a car has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import UNTOLD, Check, CheckedRule, Handlers, is_first, is_wiped
from fleet.checks.command_rule import Answer, CommandRule, Parameters, Verdict
from fleet.checks.geodesy import LatLon, vincenty_m
from fleet.checks.privacy import OPEN, Modes
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input, Output

BUILT_FROM: Final = 202225
ZONES: Final = 4
BAND_M: Final = 25.0
FIX_M: Final = 35.0
"""A fix of a receiver that errs by 5 m (Rayleigh) is never so far off."""
ROUND: Final = 0.005
"""How far a large circle may be from round, as a share of its radius."""
SIZES_M: Final = {"radius_m": (100, 50_000), "width_m": (200, 100_000), "height_m": (200, 100_000)}
LONGEST_NAME: Final = 40
TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
POLE_DEGREES: Final = 85.0
DEGREE_M: Final = 111_200.0
SPHERE: Final = 0.01
"""How far the degrees of a sphere are off, as a share."""
LIMITS_KMH: Final = range(30, 251, 10)

Zone = dict[str, Any]


class AlertRule(CommandRule):
    """Area and speed alert: built from week 25 of 2022 on, up to four zones on the map, limits of 30 to 250 km/h in tens."""

    name = "alert rule"
    rule = "alerts are set only in cars built from week 25/2022 on, for up to four zones that exist, or 30 to 250 km/h"
    looks_at = "answers"
    BUILT: Final = CheckedRule("built from", "only in cars built from week 25/2022 on", frozenset({"not_equipped"}))
    ZONES: Final = CheckedRule(
        "zones", "up to four zones on the map, with sizes, times and names", frozenset({"argument_out_of_range"})
    )
    LIMIT: Final = CheckedRule("limit", "30 to 250 km/h in steps of 10", frozenset({"argument_out_of_range"}))
    rules = (BUILT, ZONES, LIMIT)
    commands = frozenset({"area_alert", "speed_alert"})

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:  # noqa: ARG002 (in any state)
        """Judge an area or speed alert: when the car was built, and its zones or its limit."""
        fitted = self._equipment.get(answer["vin"])
        if fitted is None:
            yield Verdict(self.BUILT, None, "when the car was built is not known")
        else:
            yield Verdict(self.BUILT, fitted.build_week >= BUILT_FROM, f"the car is of week {fitted.build_week}")
        rule, wrong = self.LIMIT if answer["name"] == "speed_alert" else self.ZONES, _wrong(answer["name"], parameters)
        if wrong is None:
            yield Verdict(rule, None, "a zone is too close to the edge of the map to say")
        else:
            yield Verdict(rule, not wrong, wrong or "nothing is wrong with it")


def _wrong(name: str, parameters: Parameters) -> str | None:
    """Return what is wrong with the words of a command, "" when nothing is, None when that is too close to say."""
    if name == "speed_alert":
        limit = parameters.get("limit_kmh", 130)
        return "" if limit in LIMITS_KMH else f"the limit is {limit} km/h"
    zones: Sequence[Zone] = parameters["zones"]
    if len(zones) > ZONES:
        return f"there are {len(zones)} zones"
    names = [zone["name"] for zone in zones]
    if len(set(names)) < len(names) or not all(name.strip() and len(name) <= LONGEST_NAME for name in names):
        return f"the zones are named {names}"
    found = [_wrong_zone(zone) for zone in zones]
    return next((wrong for wrong in found if wrong), None if None in found else "")


def _wrong_zone(zone: Zone) -> str | None:
    """Judge shape, times and place of one zone; what JSON has no number for is null in a journal."""
    sizes = {key: zone[key] for key in SIZES_M if key in zone}
    if set(sizes) not in ({"radius_m"}, {"width_m", "height_m"}):
        return f"a zone is given by {sorted(sizes)}"
    for key, size in sizes.items():
        least, most = SIZES_M[key]
        if size is None or not least <= size <= most:
            return f"{key} is {size}"
    times = [zone[key] for key in ("begins", "ends") if zone.get(key) is not None]
    if len(times) == 1 or not all(TIME.fullmatch(time) for time in times):
        return f"a zone is watched at {times}"
    latitude, longitude = zone["latitude"], zone["longitude"]
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return f"a zone is at {latitude}, {longitude}"
    return _wrong_place(abs(latitude), abs(longitude), sizes)


def _wrong_place(latitude: float, longitude: float, sizes: Mapping[str, float]) -> str | None:
    """Judge how far north and east a zone reaches, with the degrees of a sphere and room for what that is off."""
    to_north_m = sizes.get("radius_m", sizes.get("height_m", 0.0) / 2)
    to_east_m = sizes.get("radius_m", sizes.get("width_m", 0.0) / 2)
    north = to_north_m / DEGREE_M
    if abs(latitude + north - POLE_DEGREES) < SPHERE * north:
        return None
    if latitude + north > POLE_DEGREES:
        return "a zone reaches the pole"
    east = to_east_m / DEGREE_M / math.cos(math.radians(latitude))
    if abs(longitude + east - 180) < SPHERE * east:
        return None
    return "a zone lies over the date line" if longitude + east > 180 else ""


def _beyond_m(zone: Zone, place: LatLon) -> float:
    """Return how far outside its zone a place is, negative inside."""
    centre = (zone["latitude"], zone["longitude"])
    if zone.get("radius_m") is not None:
        return vincenty_m(centre, place) - float(zone["radius_m"])
    east_m = vincenty_m(centre, (centre[0], place[1])) - zone["width_m"] / 2
    north_m = vincenty_m(centre, (place[0], centre[1])) - zone["height_m"] / 2
    return math.hypot(east_m, north_m) if min(east_m, north_m) > 0 else max(east_m, north_m)


def _slack_m(zone: Zone) -> float:
    return FIX_M + ROUND * max(zone.get(key) or 0.0 for key in SIZES_M)


class _Side:
    """A zone that is watched, and on which side of its edge the car was last; None is not known."""

    __slots__ = ("inside", "zone")

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.inside: bool | None = None

    def wants(self, direction: str) -> bool:
        """Tell whether each crossing of that direction has its alert, at whatever time."""
        always = self.zone.get("days", "every_day") == "every_day" and self.zone.get("begins") is None
        return always and self.zone.get("on", "both") in {"both", direction}

    def look(self, place: LatLon) -> bool | None:
        """Return on which side a parked car clearly is."""
        beyond_m = _beyond_m(self.zone, place)
        if abs(beyond_m) <= BAND_M + _slack_m(self.zone):
            return None
        return beyond_m < 0


class SettingsCheck(Check):
    """The base of checks of settings that a reset wipes. The event of a reset overtakes the answers to commands before it.

    Of a car that is `unsure` nobody knows whether it was reset before or after its last setting: both have the same instant.
    """

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._wiped_at: dict[str, Instant] = {}
        self._unsure: set[str] = set()

    def wiped(self, machine: str, event: Mapping[str, Any]) -> None:
        """Take a reset."""
        self._wiped_at[machine] = event["captured_at"]
        self._unsure.discard(machine)

    def new_parameters(self, record: Output, name: str) -> Parameters | None:
        """Return what holds from a successful answer on; None for one that sets nothing, or was wiped since."""
        answer, machine = record.data["message"], record.m
        if (answer["name"], answer["state"]) != (name, "succeeded") or not is_first(record):
            return None
        car = self._cars.of(machine)
        wiped_at = self._wiped_at.get(machine, 0)
        if car.repeats(answer) or answer["captured_at"] < wiped_at:
            return None
        command = car.commands.get(answer["command_id"])
        if command is None or answer["captured_at"] == wiped_at:
            self._unsure.add(machine)
        else:
            self._unsure.discard(machine)
        parameters: Parameters | None = None if command is None else command.get("parameters", {})
        return parameters


class AreaAlertsAgree(SettingsCheck):
    """An alert names a zone that is watched and a direction that was wanted, where the car is on that side of the edge.

    Entering and leaving take turns; who is parked on another side than before has been told of it. The edge has a band of 25 m to
    either side (ours).
    """

    name = "area alerts"
    rule = "area alerts are of zones that are watched, at their edge, in turn, and none is missing"
    looks_at = "alerts, and positions of parked cars with zones"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._sides: dict[str, dict[str, _Side]] = {}

    def forget(self, machine: str) -> None:
        """Forget on which side of each zone the car is; the zones stay."""
        for side in self._sides.get(machine, {}).values():
            side.inside = None

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit", "Response"): self._answered,
            ("out", "Transmit", "Event"): self._told,
            ("out", "Transmit", "Status"): self._parked,
        }

    def _answered(self, record: Output, _line: int) -> None:
        parameters, car = self.new_parameters(record, "area_alert"), self._cars.of(record.m)
        if parameters is None:
            return
        self._sides[record.m] = {zone["name"]: _Side(zone) for zone in parameters["zones"]}
        place = self._cars.asked(record.m).position
        if place is not None and not car.engine_on:
            for side in self._sides[record.m].values():
                side.inside = side.look(place)

    def _told(self, record: Output, line: int) -> None:
        event, machine = record.data["message"], record.m
        if not is_first(record):
            return
        if is_wiped(event):
            self.wiped(machine, event)
            self._sides.pop(machine, None)
        elif event["name"] in UNTOLD:
            for side in self._sides.get(machine, {}).values():
                side.inside = None
        elif event["name"] == "area_alert" and machine not in self._unsure:
            self.looked_at += 1
            side_of = self._sides.get(machine, {}).get(event["data"]["zone"])
            for told in _judge_alert(side_of, event["data"]):
                self.breach(line, machine, told)

    def _parked(self, record: Output, line: int) -> None:
        message, sides = record.data["message"], self._sides.get(record.m)
        position = message.get("position")
        if not sides or record.m in self._unsure or position is None or message["state"] != "parked" or not is_first(record):
            return
        self.looked_at += 1
        for name, side in sides.items():
            now_inside = side.look((position["latitude"], position["longitude"]))
            if now_inside is None:
                continue
            direction = "enter" if now_inside else "leave"
            if side.inside is (not now_inside) and side.wants(direction):
                where = "inside" if now_inside else "outside"
                self.breach(line, record.m, f"the car is parked {where} {name!r}, but no alert told that it did {direction}")
            side.inside = now_inside


def _judge_alert(side: _Side | None, data: Mapping[str, Any]) -> Iterator[str]:
    direction = data["direction"]
    if side is None:
        yield f"an alert of the zone {data['zone']!r}, which is not watched"
        return
    entering = direction == "enter"
    if side.zone.get("on", "both") not in {"both", direction}:
        yield f"the zone {data['zone']!r} is watched for {side.zone['on']}, but {direction} is told"
    if side.inside is entering and side.wants("enter") and side.wants("leave"):
        yield f"{direction} is told of {data['zone']!r}, but the car was {'in' if entering else 'out'} before"
    side.inside = entering
    beyond_m, slack_m = _beyond_m(side.zone, (data["latitude"], data["longitude"])), _slack_m(side.zone)
    if entering and beyond_m > slack_m - BAND_M:
        yield f"expected {data['zone']!r} to be entered at least {BAND_M:.0f} m inside, but the fix is at {beyond_m:.0f} m"
    if not entering and beyond_m < BAND_M - slack_m:
        yield f"expected {data['zone']!r} to be left at least {BAND_M:.0f} m outside, but the fix is at {beyond_m:.0f} m"


class SpeedAlertsAgree(SettingsCheck):
    """An alert tells the limit that is watched and a higher speed; a trip that was faster on average has had one.

    Unless no position may leave the car: an alert tells one.
    """

    name = "speed alerts"
    PASSED_BY_KMH: Final = 15.2
    """By so much a car is faster at most 3 s after it has passed a limit (ours: 1.4 m/s²); on a recorded track by anything."""
    rule = "speed alerts are of the limit that is watched, above it, and a trip above it on average has one"
    looks_at = "alerts, and trips of cars with a limit"

    def __init__(self, begin: Begin, cars: Cars, modes: Modes) -> None:
        """Take what is known of the cars, and what their privacy switches are set to at the start."""
        super().__init__(begin, cars)
        self._modes = modes
        tracks = any(fleet.get("tracks") for fleet in (begin.scenario or {}).get("fleets", ()))
        self._passed_by_kmh = math.inf if tracks or begin.scenario is None else self.PASSED_BY_KMH
        self._limits: dict[str, float] = {}
        self._silent: dict[str, bool] = {}

    def forget(self, machine: str) -> None:
        """The limit stays; whether it was passed on this drive nobody knows."""
        self._silent.pop(machine, None)

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit", "Response"): self._answered,
            ("out", "Transmit", "Event"): self._told,
            **{("in", name): self._switched for name in ("SetPrivacy", "SetService", "ResetCar", "DeleteUser")},
        }

    def _switched(self, record: Input, _line: int) -> None:
        """Note what a switch is set to; it can drop an alert that waits."""
        if record.type == "SetPrivacy":
            self._modes.set(record)
        elif record.type == "ResetCar":
            self._modes.open(record.m)
        self._silent.pop(record.m, None)

    def _answered(self, record: Output, _line: int) -> None:
        parameters = self.new_parameters(record, "speed_alert")
        if parameters is None:
            return
        self._silent.pop(record.m, None)
        if parameters.get("action", "start") == "stop":
            self._limits.pop(record.m, None)
        else:
            self._limits[record.m] = parameters.get("limit_kmh", 130)

    def _told(self, record: Output, line: int) -> None:
        event, machine = record.data["message"], record.m
        limit = self._limits.get(machine)
        if not is_first(record):
            return
        match event["name"]:
            case "engine_on" if self._modes.of(machine) == OPEN:
                self._silent[machine] = True
            case "speed_alert":
                self.looked_at += 1
                passed_by_kmh = self._passed_by_kmh if machine in self._silent else math.inf  # if it was watched from the start
                self._silent[machine] = False
                told, speed = event["data"]["limit_kmh"], event["data"]["speed_kmh"]
                if (told != limit and machine not in self._unsure) or not told <= speed <= told + passed_by_kmh:
                    self.breach(line, machine, f"{speed} km/h is told above {told}, but the limit is {limit}")
            case "trip" if limit is not None and machine in self._silent and machine not in self._unsure:
                self.looked_at += 1
                average = event["data"]["average_speed_kmh"]
                if average > limit and self._silent[machine]:
                    self.breach(line, machine, f"a trip at {average} km/h on average has no alert above {limit}")
            case name if name in UNTOLD:
                self._silent.pop(machine, None)
                if is_wiped(event):
                    self.wiped(machine, event)
                    self._limits.pop(machine, None)
