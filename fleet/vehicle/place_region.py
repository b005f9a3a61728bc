"""Regions of single places: drivers live at one of the homes, and go to the other places by kind, weight and distance.

This is the shape of a region file, a user's own or one of `regions/`; unknown keys are errors.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

import msgspec

from fleet.kernel.draws import Draws
from fleet.vehicle.geo import DETOUR_MEAN, LatLon, distance_m, offset
from fleet.vehicle.region import GARAGE_SHARE, Climate, MapArea, Place, PlaceKind, Region

APART_M: Final = 500.0
"""Nobody drives to a place that is nearer than this in a straight line: the shortest trips have 0.6 km (ours)."""
LIMIT_KM: Final = 95.0
"""How far a place may lie from the first one, so that the five longest drives of a day fit into it."""
MARGIN_DEGREES: Final = 2.0
"""How far beyond its places the maps of a region go that does not say (ours): some 200 km."""
_NEAR_ENOUGH: Final = (0.7, 1.4)
"""A place lies at the distance asked for when it is within these parts of it (ours)."""


class RegionPlace(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A place in WGS 84 degrees. Of its kind it is chosen by its weight, and one parks within `spread_m` of it."""

    kind: PlaceKind
    latitude: float
    longitude: float
    weight: float = 1.0
    spread_m: float = 0.0
    name: str = ""


class RegionFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A region: its first place is its middle.

    Without `maps` they reach some 200 km beyond the places; without `climate` it follows from the latitude.
    """

    region: str
    country: str
    timezone: str
    places: tuple[RegionPlace, ...]
    maps: MapArea | None = None
    climate: Climate | None = None
    source: str = ""

    def map_area(self) -> MapArea:
        """Return the area that the maps of its cars cover."""
        if self.maps is not None:
            return self.maps
        north, east = [place.latitude for place in self.places], [place.longitude for place in self.places]
        return MapArea(
            max(min(north) - MARGIN_DEGREES, -90.0), max(min(east) - MARGIN_DEGREES, -180.0),
            min(max(north) + MARGIN_DEGREES, 90.0), min(max(east) + MARGIN_DEGREES, 180.0),
        )  # fmt: skip


class PlaceRegion(Region):
    """A region of single places; see `RegionFile`."""

    __slots__ = ("_of_kind", "places")

    def __init__(self, file: RegionFile) -> None:
        first = file.places[0]
        centre = (first.latitude, first.longitude)
        limit_m = max(
            distance_m(*centre, place.latitude, place.longitude) + math.sqrt(2) * place.spread_m for place in file.places
        )
        super().__init__(
            file.region, timezone=file.timezone, country=file.country, maps=file.map_area(), centre=centre,
            limit_m=limit_m + 1.0, climate=file.climate,
        )  # fmt: skip
        self.places: Final = file.places
        self._of_kind: Final[dict[str, list[RegionPlace]]] = {}
        for place in file.places:
            self._of_kind.setdefault(place.kind, []).append(place)

    def draw_home(self, draws: Draws, garage_share: float = GARAGE_SHARE) -> Place:
        """Draw where a driver lives, by weight, and where exactly."""
        return self._at(_weighted(draws, self._of_kind["home"]), draws, "home", draws.chance(garage_share))

    def draw_destination(
        self, draws: Draws, home: Place, road_km: float, kind: PlaceKind = "errand", garage_share: float = GARAGE_SHARE
    ) -> Place:
        """Draw a place of a kind (of any, where there is none elsewhere) at about road_km / 1.3 in a straight line from `home`.

        Of those between 0.7 and 1.4 times as far one is drawn by weight; without any, it is the one that comes nearest to it.
        """
        away_m = road_km * 1000.0 / DETOUR_MEAN
        there = [(_away(home, place), place) for place in self._elsewhere(kind, home)]
        near = [place for at_m, place in there if _NEAR_ENOUGH[0] * away_m <= at_m <= _NEAR_ENOUGH[1] * away_m]
        chosen = _weighted(draws, near) if near else min(there, key=lambda each: _misses(each[0], away_m))[1]
        return self._at(chosen, draws, kind, draws.chance(garage_share), not_near=(home,))

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
        """Return the place whose distances to the two come nearest to those asked for, or (right) the one after it."""
        there = self._elsewhere(kind, home, via)
        missed = sorted(
            (_misses(_away(home, place), home_m) + _misses(_away(via, place), via_m), number)
            for number, place in enumerate(there)
        )
        return self._at(there[missed[0 if left or len(missed) < 2 else 1][1]], None, kind, garage)

    def station_near(self, position: LatLon, kind: PlaceKind, within_m: float) -> Place | None:
        """Return the nearest station of a kind within a distance; None when there is none."""
        here = Place(*position, "")
        found = [(away, place) for place in self._of_kind.get(kind, ()) if APART_M <= (away := _away(here, place)) <= within_m]
        return self._at(min(found, key=lambda each: each[0])[1], None, kind, garage=False) if found else None

    def _elsewhere(self, kind: PlaceKind, *not_near: Place) -> Sequence[RegionPlace]:
        """Return the places of a kind that are far enough from others; of any kind where there is none."""
        for places in (self._of_kind.get(kind, ()), self.places):
            found = [place for place in places if all(_away(each, place) >= APART_M for each in not_near)]
            if found:
                return found
        raise AssertionError("of three places that lie 1 km apart one is far enough from any two")

    def _at(
        self, place: RegionPlace, draws: Draws | None, kind: PlaceKind, garage: bool, *, not_near: Sequence[Place] = ()
    ) -> Place:
        """Return where one parks at a place: anywhere within its spread, but not next to where one comes from."""
        latitude, longitude = place.latitude, place.longitude
        if draws is not None and place.spread_m:
            spread_m = place.spread_m
            latitude, longitude = offset(
                latitude, longitude, draws.uniform(-spread_m, spread_m), draws.uniform(-spread_m, spread_m)
            )
            if any(distance_m(latitude, longitude, *each.position) < APART_M for each in not_near):
                latitude, longitude = place.latitude, place.longitude
        return Place(round(latitude, 6), round(longitude, 6), place.name or self.name, kind, garage)


@lru_cache(maxsize=64)
def place_region(file: RegionFile) -> PlaceRegion:
    """Return the region of a file; the same one for equal files."""
    return PlaceRegion(file)


def _away(here: Place, place: RegionPlace) -> float:
    return distance_m(here.latitude, here.longitude, place.latitude, place.longitude)


def _misses(at_m: float, wanted_m: float) -> float:
    """Return by how much a distance misses another: twice as far is as bad as half as far."""
    return abs(math.log(max(at_m, 1.0) / max(wanted_m, 1.0)))


def _weighted(draws: Draws, places: Sequence[RegionPlace]) -> RegionPlace:
    weights = list(accumulate(place.weight for place in places))
    return places[min(bisect_right(weights, draws.unit() * weights[-1]), len(places) - 1)]
