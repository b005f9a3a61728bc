"""Where things are on the WGS 84 ellipsoid: an exact distance for rules, a fast local metric for driving, and roads.

Knows no car and no map: a road here is a plausible polyline between two points.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, cast

from geographiclib.geodesic import Geodesic

from fleet.kernel.draws import Draws

LatLon = tuple[float, float]
"""Latitude and longitude in degrees, WGS 84."""

DETOUR_LEAST: Final = 1.15
DETOUR_MOST: Final = 1.45
"""A road is that many times as long as the straight line (ours; road networks are commonly put at about 1.3)."""
DETOUR_MEAN: Final = (DETOUR_LEAST + DETOUR_MOST) / 2

_EQUATOR_M: Final = 6_378_137.0
_ECCENTRICITY_2: Final = 0.006_694_379_990_141_316
_RADIANS: Final = math.pi / 180.0
_NORTH_RADIUS_M: Final = _EQUATOR_M * (1.0 - _ECCENTRICITY_2)
_SHORTEST_BEND_M: Final = 1.0


def geodesic_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the length of the WGS 84 geodesic in metres, rounded to 1 mm.

    Exact to nanometres before rounding, and slow (about 50 µs): for rules with a limit, such as the 500 m of honk
    and flash, where a millimetre decides.
    """
    inverse = Geodesic.WGS84.Inverse(lat1, lon1, lat2, lon2, Geodesic.DISTANCE)
    return round(cast("float", inverse["s12"]), 3)


def metres_per_degree(latitude: float) -> tuple[float, float]:
    """Return how many metres one degree north and one degree east are at a latitude.

    From the radii of curvature of WGS 84, in the meridian and in the prime vertical.
    """
    phi = latitude * _RADIANS
    sine = math.sin(phi)
    w2 = 1.0 - _ECCENTRICITY_2 * sine * sine
    w = math.sqrt(w2)
    return _NORTH_RADIUS_M / (w2 * w) * _RADIANS, _EQUATOR_M / w * math.cos(phi) * _RADIANS


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the distance in metres by the metric at the middle latitude: fast, for driving.

    Off by less than 2 parts in 100 000 up to 20 km and 0.5 % up to 300 km, for latitudes up to 60° (against
    geographiclib, in the tests). Does not cross the 180th meridian.
    """
    north, east = metres_per_degree((lat1 + lat2) * 0.5)
    return math.hypot((lat2 - lat1) * north, (lon2 - lon1) * east)


def offset(lat: float, lon: float, east_m: float, north_m: float) -> LatLon:
    """Return the point that lies `east_m` and `north_m` metres from another, by the same metric as `distance_m`."""
    north, _ = metres_per_degree(lat)
    # The metric belongs to the middle latitude, which is only known once the way north is: one step finds it.
    north, _ = metres_per_degree(lat + north_m / north * 0.5)
    rise = north_m / north
    _, east = metres_per_degree(lat + rise * 0.5)
    return lat + rise, lon + east_m / east


class Path:
    """A polyline that is driven from its first point to its last; distances in metres from the start."""

    __slots__ = ("_at_m", "length_m", "points")

    def __init__(self, points: Sequence[LatLon]) -> None:
        """Take at least two points; raises ValueError for fewer."""
        if len(points) < 2:
            raise ValueError("a path has at least two points")
        self.points: Final = tuple(points)
        travelled = 0.0
        at = [0.0]
        for (lat1, lon1), (lat2, lon2) in pairwise(self.points):
            travelled += distance_m(lat1, lon1, lat2, lon2)
            at.append(travelled)
        self._at_m: Final = at
        self.length_m: Final = travelled

    @property
    def distances_m(self) -> tuple[float, ...]:
        """The metres driven at each of the points."""
        return tuple(self._at_m)

    def _leg_at(self, distance_m: float) -> int:
        """Return the index of the leg's first point."""
        return max(0, min(bisect_right(self._at_m, distance_m) - 1, len(self.points) - 2))

    def position_at(self, distance_m: float) -> LatLon:
        """Return where one is after `distance_m`; before the start is the start, beyond the end the end."""
        if distance_m <= 0.0:
            return self.points[0]
        if distance_m >= self.length_m:
            return self.points[-1]
        leg = self._leg_at(distance_m)
        start_m = self._at_m[leg]
        share = (distance_m - start_m) / (self._at_m[leg + 1] - start_m)
        (lat1, lon1), (lat2, lon2) = self.points[leg], self.points[leg + 1]
        return lat1 + (lat2 - lat1) * share, lon1 + (lon2 - lon1) * share

    def stretches_within(self, centre: LatLon, radius_m: float) -> list[tuple[float, float]]:
        """Return from where to where, in metres driven, the path is within `radius_m` of a point; each leg for itself."""
        found = []
        for leg, ((lat1, lon1), (lat2, lon2)) in enumerate(pairwise(self.points)):
            begin_m, end_m = self._at_m[leg], self._at_m[leg + 1]
            if end_m <= begin_m:
                continue
            # On the leg's own plane with the centre in the middle: |start + t·way|² = radius², t from 0 to 1.
            north, east = metres_per_degree((lat1 + lat2) * 0.5)
            x, y = (lon1 - centre[1]) * east, (lat1 - centre[0]) * north
            dx, dy = (lon2 - lon1) * east, (lat2 - lat1) * north
            a, half_b, c = dx * dx + dy * dy, x * dx + y * dy, x * x + y * y - radius_m * radius_m
            root = half_b * half_b - a * c
            if root <= 0.0:
                continue
            enter, leave = (-half_b - math.sqrt(root)) / a, (-half_b + math.sqrt(root)) / a
            if leave > 0.0 and enter < 1.0:
                leg_m = end_m - begin_m
                found.append((begin_m + max(0.0, enter) * leg_m, end_m if leave >= 1.0 else begin_m + leave * leg_m))
        return found

    def heading_at(self, distance_m: float) -> float:
        """Return the direction of travel there, in degrees clockwise from north, in [0, 360)."""
        leg = self._leg_at(distance_m)
        (lat1, lon1), (lat2, lon2) = self.points[leg], self.points[leg + 1]
        north, east = metres_per_degree((lat1 + lat2) * 0.5)
        return math.degrees(math.atan2((lon2 - lon1) * east, (lat2 - lat1) * north)) % 360.0


def road_path(draws: Draws, start: LatLon, end: LatLon) -> Path:
    """Return a plausible road: 3 to 6 legs, 1.15 to 1.45 times as long as the straight line.

    Every leg leaves the straight line at the same angle, to one side or the other, so the whole length follows
    from the angle and needs no search. Points less than 1 m apart get a straight path.
    """
    lat1, lon1 = start
    north, east = metres_per_degree((lat1 + end[0]) * 0.5)
    north_m = (end[0] - lat1) * north
    east_m = (end[1] - lon1) * east
    straight_m = math.hypot(north_m, east_m)
    if straight_m < _SHORTEST_BEND_M:
        return Path((start, end))
    # Inside the limits by more the farther it is: the metric of a leg differs a little from that of the whole.
    margin = 0.004 + min(straight_m / 4e6, 0.1)
    detour = draws.uniform(DETOUR_LEAST + margin, DETOUR_MOST - margin)
    slope = math.sqrt(detour * detour - 1.0)
    along = lateral = 0.0
    points = [start]
    for share, side in _bends(draws):
        along += share
        lateral += share * side * slope
        points.append((lat1 + (along * north_m + lateral * east_m) / north, lon1 + (along * east_m - lateral * north_m) / east))
    points.append(end)
    return Path(points)


_WEIGHTS: Final = [0.4 + n / 1023 for n in range(1024)]
"""The draw of ten bits: how long a leg is beside the others."""


def _bends(draws: Draws) -> list[tuple[float, int]]:
    """Return (share of the straight line, side ±1) of each leg but the last.

    Each side has half of the line, so the road ends where it should.
    """
    sides = draws.bits() & 0xFFFF  # small, so that taking it to pieces costs less
    sizes = draws.bits()
    side = 0
    legs = []
    whole = left = 0.0
    for n in range(3 + (sides & 3)):
        side = -side if n == 1 else (1 if sides >> (8 + n) & 1 else -1)
        weight = _WEIGHTS[sizes & 1023]
        sizes >>= 10
        legs.append((weight, side))
        whole += weight
        if side > 0:
            left += weight
    right = whole - left
    legs.pop()
    return [(0.5 * weight / (left if side > 0 else right), side) for weight, side in legs]
