"""Regions with real towns: drivers live in them by their population and travel the distances that they mean to.

Places are drawn; roads between them are made by `geo`. Knows no car and no driver.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Final

import msgspec

from fleet.kernel.draws import Draws
from fleet.vehicle.geo import DETOUR_MEAN, LatLon, distance_m, metres_per_degree, offset
from fleet.vehicle.region import GARAGE_SHARE, MapArea, Place, PlaceKind, Region


class Town(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A real town; see regions.toml."""

    name: str
    latitude: float
    longitude: float
    population_k: float
    radius_km: float
    homes: bool = True


class _Neighbours:
    """The towns as seen from one of them, nearest (itself) first, with cumulative population."""

    __slots__ = ("cumulative_k", "distances_m", "towns")

    def __init__(self, town: Town, towns: tuple[Town, ...]) -> None:
        seen = sorted(
            ((distance_m(town.latitude, town.longitude, other.latitude, other.longitude), n) for n, other in enumerate(towns))
        )
        self.distances_m: Final = [distance for distance, _ in seen]
        self.towns: Final = [towns[n] for _, n in seen]
        self.cumulative_k: Final = [0.0, *accumulate(other.population_k for other in self.towns)]


class TownRegion(Region):
    """A region of towns. Made once by `load_regions` and shared by all drivers."""

    __slots__ = ("_home_towns", "_home_weights", "_neighbours", "_town_centres", "towns")

    def __init__(
        self, name: str, timezone: str, country: str, limit_km: float, towns: tuple[Town, ...], *, maps: MapArea
    ) -> None:
        """`limit_km` is how far a place may lie from the first town."""
        centre = (towns[0].latitude, towns[0].longitude)
        super().__init__(name, timezone=timezone, country=country, maps=maps, centre=centre, limit_m=limit_km * 1000.0)
        self.towns: Final = towns
        self._town_centres: Final = [(town.latitude, town.longitude) for town in towns]
        self._neighbours: Final = {town.name: _Neighbours(town, towns) for town in towns}
        self._home_towns: Final = [town for town in towns if town.homes]
        self._home_weights: Final = list(accumulate(town.population_k for town in self._home_towns))

    def draw_home(self, draws: Draws, garage_share: float = GARAGE_SHARE) -> Place:
        """Draw where a driver lives: a town by its population, and a point in it, denser towards its centre."""
        town = self._home_towns[bisect_right(self._home_weights, draws.unit() * self._home_weights[-1])]
        distance = town.radius_km * 1000.0 * draws.unit()
        bearing = math.tau * draws.unit()
        lat, lon = offset(town.latitude, town.longitude, distance * math.sin(bearing), distance * math.cos(bearing))
        return Place(round(lat, 6), round(lon, 6), town.name, "home", draws.chance(garage_share))

    def draw_destination(
        self, draws: Draws, home: Place, road_km: float, kind: PlaceKind = "errand", garage_share: float = GARAGE_SHARE
    ) -> Place:
        """Draw where a drive of about `road_km` from `home` (any place of this region) leads.

        The straight line is `road_km` / 1.3, at most the region's limit. It leads to or towards a town at about that
        distance, the larger the likelier, or to somewhere in the same town when that is large enough.
        """
        straight_m = min(road_km * 1000.0 / DETOUR_MEAN, self.limit_m)
        seen = self._seen_from(home)
        town = self._draw_town(draws, seen, straight_m)
        if town is seen.towns[0]:
            bearing = math.tau * draws.unit()
        else:
            scatter = 2.0 * town.radius_km * 1000.0
            bearing = _bearing(home, town.latitude, town.longitude, scatter * (draws.unit() - 0.5))
        garage = draws.chance(garage_share)
        lat, lon = _from(home, bearing, straight_m)
        if not self.contains(lat, lon):
            # Towards the middle of the region there is always room for limit_km.
            lat, lon = _from(home, _bearing(home, *self.centre, 0.0), straight_m)
            town = self.nearest_town(lat, lon)
        return Place(round(lat, 6), round(lon, 6), town.name, kind, garage)

    def place_beyond(
        self,
        home: Place,
        via: Place,
        home_m: float,
        via_m: float,
        *,
        left: bool,
        kind: PlaceKind = "errand",
        garage: bool = False,
    ) -> Place:
        """Return the place `home_m` from `home` and `via_m` from `via` in a straight line, left or right of their line.

        Where the three distances make no triangle, the one to `via` gives way; where the place would be
        outside the region, it is the middle between the two.
        """
        base_m = distance_m(*home.position, *via.position)
        cosine = (base_m**2 + home_m**2 - via_m**2) / max(2.0 * base_m * home_m, 1.0)
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        lat, lon = _from(home, _bearing(home, *via.position, 0.0) + (-angle if left else angle), home_m)
        if not self.contains(lat, lon):
            lat, lon = (home.latitude + via.latitude) / 2.0, (home.longitude + via.longitude) / 2.0
        return Place(round(lat, 6), round(lon, 6), self.nearest_town(lat, lon).name, kind, garage)

    def nearest_town(self, lat: float, lon: float) -> Town:
        """Return the town whose centre is nearest."""
        north, east = metres_per_degree(lat)
        away = [math.hypot((town_lat - lat) * north, (town_lon - lon) * east) for town_lat, town_lon in self._town_centres]
        return self.towns[away.index(min(away))]

    def _seen_from(self, place: Place) -> _Neighbours:
        seen = self._neighbours.get(place.name)
        return seen or self._neighbours[self.nearest_town(place.latitude, place.longitude).name]

    @staticmethod
    def _draw_town(draws: Draws, seen: _Neighbours, straight_m: float) -> Town:
        """Draw a town at about `straight_m`, by population; without one, take the one that comes nearest to it."""
        slack_m = max(2_000.0, 0.2 * straight_m)
        first = 0 if straight_m <= seen.towns[0].radius_km * 1000.0 else bisect_left(seen.distances_m, straight_m - slack_m)
        last = bisect_right(seen.distances_m, straight_m + slack_m)
        point = draws.unit()
        if first < last:
            low, high = seen.cumulative_k[first], seen.cumulative_k[last]
            return seen.towns[bisect_right(seen.cumulative_k, low + point * (high - low), first, last) - 1]
        if first == len(seen.towns):
            return seen.towns[-1]
        return seen.towns[first]


def _from(place: Place, bearing: float, distance: float) -> LatLon:
    return offset(place.latitude, place.longitude, distance * math.sin(bearing), distance * math.cos(bearing))


def _bearing(place: Place, lat: float, lon: float, aside_m: float) -> float:
    """Return the direction (radians from north) to a point `aside_m` east of the given one."""
    north, east = metres_per_degree((place.latitude + lat) * 0.5)
    return math.atan2((lon - place.longitude) * east + aside_m, (lat - place.latitude) * north)
