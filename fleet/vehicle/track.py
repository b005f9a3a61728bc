"""Drives that were driven before: the positions and times of a track instead of a drawn road and its speeds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant
from fleet.vehicle.driver import Driver, PlannedTrip
from fleet.vehicle.geo import LatLon, Path, distance_m
from fleet.vehicle.kinematics import SpeedPiece
from fleet.vehicle.region import Place, Region

ENGINE_LEAD: Final = 15 * SECOND
"""From engine on to the first metre of a track (ours)."""
STANDS_FOR: Final = 5 * MINUTE
"""A car that stays within `STANDS_WITHIN_M` for so long has been parked: the drive has ended, and another one follows (ours)."""
STANDS_WITHIN_M: Final = 60.0
STROLL_MS: Final = 2.0
"""A car that was slower between two fixes that are STANDS_FOR apart was parked, and drove off unseen (ours) …"""
RESUMED_MS: Final = 8.0
"""… at this speed (ours)."""
SHORTEST_M: Final = 100.0
"""Less than this is no drive but the noise of the receiver (ours)."""


Point = tuple[float, float, Instant]
"""Latitude and longitude in degrees, and when."""


class TrackProfile:
    """How a path was driven: evenly between one fix and the next. As `fleet.vehicle.kinematics.SpeedProfile`, in closed form."""

    __slots__ = ("_at_m", "_at_us", "duration_us", "length_m")

    def __init__(self, elapsed_us: Sequence[Duration], distances_m: Sequence[float]) -> None:
        """Take for each fix the time since the first one and the metres driven until then; both never fall."""
        self._at_us: Final = tuple(elapsed_us)
        self._at_m: Final = tuple(distances_m)
        self.duration_us: Final = self._at_us[-1]
        self.length_m: Final = self._at_m[-1]

    def distance_at(self, elapsed_us: Duration) -> float:
        """Return the metres driven; exactly `length_m` from the end on."""
        if elapsed_us <= 0:
            return 0.0
        if elapsed_us >= self.duration_us:
            return self.length_m
        leg = bisect_right(self._at_us, elapsed_us) - 1
        begin_us, end_us = self._at_us[leg], self._at_us[leg + 1]
        begin_m, end_m = self._at_m[leg], self._at_m[leg + 1]
        return min(begin_m + (end_m - begin_m) * (elapsed_us - begin_us) / (end_us - begin_us), end_m)

    def speed_at(self, elapsed_us: Duration) -> float:
        """Return the speed in km/h; 0 before the start and after the end."""
        if elapsed_us < 0 or elapsed_us >= self.duration_us:
            return 0.0
        leg = bisect_right(self._at_us, elapsed_us) - 1
        return (self._at_m[leg + 1] - self._at_m[leg]) / (self._at_us[leg + 1] - self._at_us[leg]) * SECOND * 3.6

    def pieces(self) -> Iterator[SpeedPiece]:
        """Yield the speeds from fix to fix."""
        for (begin_us, end_us), (begin_m, end_m) in zip(pairwise(self._at_us), pairwise(self._at_m), strict=True):
            if end_us > begin_us:
                kmh = (end_m - begin_m) / (end_us - begin_us) * SECOND * 3.6
                yield SpeedPiece(begin_us, end_us, kmh, kmh)

    def elapsed_at(self, distance_m: float) -> Duration:
        """Return when `distance_m` is first reached."""
        if distance_m <= 0.0:
            return 0
        if distance_m >= self.length_m:
            return self._at_us[bisect_left(self._at_m, self.length_m)]
        leg = bisect_left(self._at_m, distance_m) - 1
        share = (distance_m - self._at_m[leg]) / (self._at_m[leg + 1] - self._at_m[leg])
        return round(self._at_us[leg] + share * (self._at_us[leg + 1] - self._at_us[leg]))


@dataclass(frozen=True, slots=True)
class TrackTrip(PlannedTrip):
    """A planned trip that is driven as its track was: the engine is started at `departure`, and the car moves later."""

    path: Path
    profile: TrackProfile


def trips_of(points: Sequence[Point], begin: Instant, breaks: frozenset[int] = frozenset()) -> list[TrackTrip]:
    """Cut a track into drives; its first point is at `begin`, whatever its own time was.

    At each index of `breaks` a recording began anew: the car was parked before, and drove there unseen.
    """
    trips: list[TrackTrip] = []
    here: LatLon = points[0][:2]
    for drive in _drives(points, breaks):
        path = Path([here, *(point[:2] for point in drive[1:])])  # the first fix is a little off where the car was parked
        if path.length_m < SHORTEST_M:
            continue
        latitude, longitude, _ = drive[-1]
        place = Place(latitude, longitude, "on its track", "errand")
        profile = TrackProfile([at - drive[0][2] for _, _, at in drive], path.distances_m)
        trips.append(TrackTrip(begin + drive[0][2] - points[0][2], place, "errand", path, profile))
        here = place.position
    return trips


def _drives(points: Sequence[Point], breaks: frozenset[int]) -> list[list[Point]]:
    """Split a track where the car stood for long, with its receiver on or off."""
    drives: list[list[Point]] = []
    drive = [points[0]]
    last_moved = 0
    for index, (before, point) in enumerate(pairwise(points), 1):
        moved_m = distance_m(*drive[last_moved][:2], *point[:2])
        if moved_m <= STANDS_WITHIN_M:
            drive.append(point)
            continue
        gap = point[2] - before[2]
        silent = gap >= STANDS_FOR and (index in breaks or moved_m * SECOND < STROLL_MS * gap)
        if silent or before[2] - drive[last_moved][2] >= STANDS_FOR:
            drives.append(drive[: last_moved + 1])
            drive = [(*before[:2], _set_off(before, point, moved_m) if silent else before[2])]
        drive.append(point)
        last_moved = len(drive) - 1
    drives.append(drive[: last_moved + 1])
    return [each for each in drives if len(each) > 1]


def _set_off(before: Point, point: Point, moved_m: float) -> Instant:
    """Return when a car that was parked drove off unseen: as late as it can, but not before it has stood for a while."""
    gap = point[2] - before[2]
    return max(before[2] + min(STANDS_FOR, gap // 2), point[2] - int(moved_m / RESUMED_MS * SECOND))


class TrackDriver(Driver):
    """Drives a track, and otherwise stays; lives where it begins."""

    __slots__ = ("_trips",)

    def __init__(self, key: int, region: Region, *, home: Place, trips: Sequence[TrackTrip]) -> None:
        """Take the trips in their order."""
        super().__init__(key, region, home=home, work=home, profile="parked")
        self._trips = tuple(trips)

    def plan_day(self, day: date) -> tuple[PlannedTrip, ...]:
        """Return the trips of the track that begin on a local date."""
        return tuple(trip for trip in self._trips if self.local_date(trip.departure) == day)
