"""Area alert: tells when the car enters or leaves a zone, computed from the path of each drive before it is driven.

Between inside and outside lies a band of MARGIN_M to either side of the zone's edge, in which the car stays what it was: who
drives along the edge, with a receiver that errs, is not told once a second.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

from fleet.kernel.instants import Instant, to_datetime
from fleet.vehicle import ports
from fleet.vehicle.driver import Driver
from fleet.vehicle.geo import LatLon, Path, metres_per_degree
from fleet.vehicle.journey import Journey
from fleet.vehicle.kept import drop, find, keep
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal, Service
from fleet.vehicle.timers import Window, clock_minute
from fleet.wire.parameters import AreaAlert, Zone

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MARGIN_M: Final = 25.0
"""Five times the Rayleigh parameter of the receiver's error (5 m): a fix that is farther off comes four times in a million."""
POLE_DEGREES: Final = 85.0
"""Beyond this latitude there is no road, and no metric for driving (ours)."""

CROSSING: Final = "area alert"
"""Key of the timers of a drive's crossings."""


class Watched:
    """A zone as the car watches it: a circle or rectangle on the plane that touches the earth at its centre."""

    __slots__ = ("_east", "_north", "inside", "zone")

    def __init__(self, zone: Zone, here: LatLon) -> None:
        """Take a zone that was judged; for a car that is in it already there is no alert."""
        self.zone = zone
        self._north, self._east = metres_per_degree(zone.latitude)
        x, y = self._plane(here)
        if zone.radius_m is not None:
            self.inside = math.hypot(x, y) <= zone.radius_m
        else:
            self.inside = abs(x) <= _half(zone.width_m) and abs(y) <= _half(zone.height_m)

    def _plane(self, point: LatLon) -> tuple[float, float]:
        """Return metres east and north of the centre; a leg of a path, straight in degrees, is straight here too."""
        return (point[1] - self.zone.longitude) * self._east, (point[0] - self.zone.latitude) * self._north

    def crossings(self, path: Path, from_m: float) -> list[tuple[float, bool]]:
        """Return what is ahead from `from_m` on: (metres driven, whether the car enters there), in their order."""
        inner, outer = self._stretches(path, -MARGIN_M), self._stretches(path, MARGIN_M)
        found: list[tuple[float, bool]] = []
        at_m, inside = from_m, self.inside
        while True:
            if inside:
                reached_m = next((end_m for begin_m, end_m in outer if begin_m <= at_m < end_m), at_m)
                if reached_m >= path.length_m:
                    return found
            else:
                ahead = next((max(begin_m, at_m) for begin_m, end_m in inner if end_m > at_m), None)
                if ahead is None:
                    return found
                reached_m = ahead
            at_m, inside = reached_m, not inside
            found.append((at_m, inside))

    def _stretches(self, path: Path, wider_m: float) -> list[tuple[float, float]]:
        """Return from where to where (metres driven) the path is in the zone, made wider by so much on all sides."""
        found: list[tuple[float, float]] = []
        points = [self._plane(point) for point in path.points]
        for leg, (begin_m, end_m) in zip(pairwise(points), pairwise(path.distances_m), strict=True):
            shares = self._within(*leg, wider_m) if end_m > begin_m else None
            if shares is None:
                continue
            enter_m, leave_m = (begin_m + share * (end_m - begin_m) for share in shares)
            if found and shares[0] <= 0.0 and found[-1][1] >= begin_m:
                found[-1] = found[-1][0], leave_m
            else:
                found.append((enter_m, leave_m))
        return found

    def _within(self, start: tuple[float, float], end: tuple[float, float], wider_m: float) -> tuple[float, float] | None:
        """Return between which shares (0 to 1) of a straight leg it is in the zone."""
        (x, y), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
        zone = self.zone
        if zone.radius_m is not None:
            enter, leave = _in_circle(x, y, dx, dy, zone.radius_m + wider_m)
        else:
            in_x = _in_band(x, dx, _half(zone.width_m) + wider_m)
            in_y = _in_band(y, dy, _half(zone.height_m) + wider_m)
            enter, leave = max(in_x[0], in_y[0]), min(in_x[1], in_y[1])
        enter, leave = max(0.0, enter), min(1.0, leave)
        return (enter, leave) if enter < leave else None

    def wants(self, *, entering: bool, now: Instant, clock: ZoneInfo) -> bool:
        """Tell whether the user wants to know of a crossing at this time; a window over midnight belongs to the day it began."""
        zone = self.zone
        if zone.on != "both" and (zone.on == "enter") != entering:
            return False
        day_of = now
        if zone.begins is not None and zone.ends is not None:
            day_of, _ = Window(clock_minute(zone.begins), clock_minute(zone.ends)).next_stretch(now, clock)
            if day_of > now:
                return False
        is_weekend = to_datetime(day_of).astimezone(clock).weekday() >= 5
        return zone.days == "every_day" or (zone.days == "weekend") == is_weekend


def _in_circle(x: float, y: float, dx: float, dy: float, radius_m: float) -> tuple[float, float]:
    """Solve |start + t·way|² = radius²; an empty interval when the line passes by."""
    a, half_b, c = dx * dx + dy * dy, x * dx + y * dy, x * x + y * y - radius_m * radius_m
    square = half_b * half_b - a * c
    if square <= 0.0:
        return math.inf, -math.inf
    root = math.sqrt(square)
    return (-half_b - root) / a, (-half_b + root) / a


def _in_band(start: float, way: float, half_m: float) -> tuple[float, float]:
    """Return for which t |start + t·way| is below `half_m`."""
    if way == 0.0:
        return (-math.inf, math.inf) if abs(start) < half_m else (math.inf, -math.inf)
    one, other = (-half_m - start) / way, (half_m - start) / way
    return min(one, other), max(one, other)


def _half(side_m: float | None) -> float:
    return (side_m or 0.0) / 2.0


class Watch:
    """All zones of a car."""

    __slots__ = ("watched",)

    def __init__(self, zones: tuple[Zone, ...], here: LatLon) -> None:
        """Take the zones and where the car is."""
        self.watched = tuple(Watched(zone, here) for zone in zones)


class Ports(ports.Located, ports.Sender, ports.Timed, ports.Keeper, Protocol):
    """A car that knows the way ahead of it."""

    driver: Driver
    journey: Journey | None


# --- the command


def _refusal(_car: Ports, parameters: AreaAlert, _now: Instant) -> Refusal | None:
    """Judge what the catalogue's ranges do not say: each zone's shape, place and times, and that names differ."""
    names = [zone.name for zone in parameters.zones]
    for number, zone in enumerate(parameters.zones, start=1):
        wrong = _misfit(zone)
        if wrong is None and names.index(zone.name) != number - 1:
            wrong = f"another zone is named {zone.name!r}, too"
        if wrong is not None:
            return Refusal("argument_out_of_range", f"zones, item {number}: {wrong}")
    return None


def _misfit(zone: Zone) -> str | None:
    if not zone.name.strip():
        return "it has no name"
    try:
        times = [clock_minute(time) for time in (zone.begins, zone.ends) if time is not None]
    except ValueError as error:
        return str(error)
    if len(times) == 1:
        return "begins and ends go together"
    return _shape_misfit(zone)


def _shape_misfit(zone: Zone) -> str | None:
    if zone.radius_m is not None and (zone.width_m, zone.height_m) == (None, None):
        to_east_m = to_north_m = zone.radius_m
    elif zone.radius_m is None and zone.width_m is not None and zone.height_m is not None:
        to_east_m, to_north_m = zone.width_m / 2.0, zone.height_m / 2.0
    else:
        return "it has either radius_m, or width_m and height_m"
    north, east = metres_per_degree(zone.latitude)
    if abs(zone.latitude) + to_north_m / north > POLE_DEGREES:
        return f"it reaches beyond {POLE_DEGREES:.0f} degrees of latitude"
    if abs(zone.longitude) + to_east_m / east > 180.0:
        return "it lies over the date line"
    return None


def _carry_out(car: Ports, parameters: AreaAlert, now: Instant) -> None:
    """Watch these zones instead of those before; none at all ends the watch."""
    if parameters.zones:
        keep(car, Watch(parameters.zones, car.true_position(now)))
    else:
        drop(car, Watch)
    if car.journey is not None:
        plan(car, car.journey, now)


AREA_ALERT: Final = Service(_carry_out, _refusal, takes=None)


# --- driving


def plan(car: Ports, journey: Journey, now: Instant) -> None:
    """Put the crossings of a drive, as far as it is still ahead, into the agenda."""
    car.agenda.cancel(CROSSING)
    watch = find(car, Watch)
    if watch is None:
        return
    from_m = journey.distance_at(now)
    for watched in watch.watched:
        for at_m, entering in watched.crossings(journey.path, from_m):
            at = max(now, journey.reached_at(at_m))
            car.agenda.call(at, _crossed, (watched, entering), key=CROSSING)


def end_drive(car: Ports, _now: Instant) -> None:
    """Expect none of the crossings that were still ahead."""
    car.agenda.cancel(CROSSING)


def forget(car: Ports, _now: Instant) -> None:
    """Forget the zones."""
    drop(car, Watch)
    car.agenda.cancel(CROSSING)


def _crossed(car: Ports, data: tuple[Watched, bool], now: Instant) -> None:
    """Be inside or outside from now on, and send the event that the user wants."""
    watched, entering = data
    watched.inside = entering
    if not watched.wants(entering=entering, now=now, clock=car.driver.region.zone):
        return
    fix = car.position(now)
    car.send_event(
        "area_alert",
        now,
        {
            "zone": watched.zone.name,
            "direction": "enter" if entering else "leave",
            "latitude": fix.latitude,
            "longitude": fix.longitude,
            "accuracy_m": fix.accuracy_m,
        },
    )


LISTENER: Final = Listener(state=Watch, drive_planned=plan, engine_stopped=end_drive, forget=forget)
