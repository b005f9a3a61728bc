"""Checks of a region file whose shape is right: places that are nowhere or too far apart, and names nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

import msgspec

from fleet.scenario.problems import Problem, check_known, check_name
from fleet.scenario.schema import Vocabulary
from fleet.vehicle.geo import distance_m
from fleet.vehicle.place_region import APART_M, LIMIT_KM, RegionFile, RegionPlace
from fleet.vehicle.region import Climate, MapArea

MOST_PLACES: Final = 5_000
_MOST_SPREAD_M: Final = 10_000
_STARTS: Final = 50
"""From how many places three that lie apart are looked for."""


def check_coordinates(latitude: float, longitude: float) -> Iterator[Problem]:
    """Check that a position is one in WGS 84 degrees."""
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not -limit <= value <= limit:
            yield Problem((name,), f"{value:g} is out of range: {-limit} to {limit} degrees are expected")


def _check_place(place: RegionPlace, _: Vocabulary) -> Iterator[Problem]:
    yield from check_coordinates(place.latitude, place.longitude)


def _check_weight(place: RegionPlace, _: Vocabulary) -> Iterator[Problem]:
    if not 0 < place.weight <= 1e9:
        yield Problem(("weight",), f"{place.weight:g} is no weight: a number above 0 is expected")


def _check_spread(place: RegionPlace, _: Vocabulary) -> Iterator[Problem]:
    if not 0 <= place.spread_m <= _MOST_SPREAD_M:
        yield Problem(("spread_m",), f"{place.spread_m:g} is out of range: 0 to {_MOST_SPREAD_M} metres are expected")


def _check_area(area: MapArea, _: Vocabulary) -> Iterator[Problem]:
    for low, high, limit in (("south", "north", 90), ("west", "east", 180)):
        for name in (low, high):
            if not -limit <= getattr(area, name) <= limit:
                yield Problem((name,), f"{getattr(area, name):g} is out of range: {-limit} to {limit} degrees are expected")
        if getattr(area, low) >= getattr(area, high):
            yield Problem((high,), f"{high!r} is not beyond {low!r}, {getattr(area, low):g}")


def _check_climate(climate: Climate, _: Vocabulary) -> Iterator[Problem]:
    for name, low, high in (("mean_c", -40, 40), ("swing_c", 0, 40)):
        value = getattr(climate, name)
        if not low <= value <= high:
            yield Problem((name,), f"{value:g} is out of range: {low} to {high} °C are expected")


def _check_region_name(file: RegionFile, _: Vocabulary) -> Iterator[Problem]:
    yield from check_name(("region",), file.region)


@cache
def _time_zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _check_zone(file: RegionFile, _: Vocabulary) -> Iterator[Problem]:
    yield from check_known(("timezone",), "time zone", file.timezone, _time_zones())


def _check_country(file: RegionFile, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from check_known(("country",), "country", file.country, vocabulary.countries)


def _check_kinds(file: RegionFile, _: Vocabulary) -> Iterator[Problem]:
    if len(file.places) > MOST_PLACES:
        yield Problem(("places",), f"{len(file.places)} places are too many: at most {MOST_PLACES} are expected")
    if not any(place.kind == "home" for place in file.places):
        yield Problem(("places",), "nobody lives here: at least one place of the kind 'home' is expected")


def _check_distances(file: RegionFile, _: Vocabulary) -> Iterator[Problem]:
    if not file.places or any([*_check_place(place, _)] for place in file.places):
        return
    first = file.places[0]
    for index, place in enumerate(file.places):
        away_km = distance_m(first.latitude, first.longitude, place.latitude, place.longitude) / 1000
        if away_km > LIMIT_KM:
            hint = "A driver comes home each evening. Places farther away can be a region of their own."
            yield Problem(
                ("places", index),
                f"it is {away_km:.0f} km from the first place, the middle: at most {LIMIT_KM:g} km are expected",
                hint,
            )
    if len(file.places) <= MOST_PLACES and not _three_apart([(place.latitude, place.longitude) for place in file.places]):
        apart_km = 2 * APART_M / 1000
        yield Problem(("places",), f"at least three places are expected that lie {apart_km:g} km or more from each other")


def _three_apart(points: Sequence[tuple[float, float]]) -> bool:
    """Tell whether there are three points that far apart that one of them is not next to any two others, wherever these are."""
    for start in points[:_STARTS]:
        second = max(points, key=lambda point: distance_m(*start, *point))
        third = max(min(distance_m(*start, *point), distance_m(*second, *point)) for point in points)
        if min(third, distance_m(*start, *second)) >= 2 * APART_M:
            return True
    return False


def _check_inside(file: RegionFile, _: Vocabulary) -> Iterator[Problem]:
    area = file.maps
    if area is None or [*_check_area(area, _)]:
        return
    for index, place in enumerate(file.places):
        if [*_check_place(place, _)]:
            continue
        if not (area.south <= place.latitude <= area.north and area.west <= place.longitude <= area.east):
            yield Problem(("places", index), "it is outside of 'maps', the area that the cars have maps of")


REGION_CHECKS: Final[Mapping[type[msgspec.Struct], tuple[Callable[[Any, Vocabulary], Iterable[Problem]], ...]]] = {
    RegionFile: (_check_region_name, _check_zone, _check_country, _check_kinds, _check_distances, _check_inside),
    RegionPlace: (_check_place, _check_weight, _check_spread),
    MapArea: (_check_area,),
    Climate: (_check_climate,),
}
"""The checks of each part of a region file, as in `checks.CHECKS`."""
