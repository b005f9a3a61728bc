"""Real towns, and places on dry land."""

from __future__ import annotations

from collections import Counter

import pytest

from fleet.kernel.draws import Draws
from fleet.vehicle.geo import DETOUR_MEAN, distance_m, geodesic_m
from fleet.vehicle.region import Place
from fleet.vehicle.regions import load_town_regions
from fleet.vehicle.town_region import TownRegion

SEED = 20


@pytest.fixture(params=["munich", "madrid"])
def here(request: pytest.FixtureRequest) -> TownRegion:
    return load_town_regions()[request.param]


@pytest.mark.parametrize(("name", "one", "other", "km"), [
    ("munich", "München", "Augsburg", 56.5),
    ("munich", "München", "Nürnberg", 150.5),
    ("madrid", "Madrid", "Toledo", 67.5),
    ("madrid", "Madrid", "Zaragoza", 273.0),
])  # fmt: skip
def test_towns_lie_where_they_are(name: str, one: str, other: str, km: float) -> None:
    """Straight distances between known towns are right to 3 km."""
    towns = {town.name: town for town in load_town_regions()[name].towns}
    a, b = towns[one], towns[other]
    assert geodesic_m(a.latitude, a.longitude, b.latitude, b.longitude) / 1000 == pytest.approx(km, abs=3.0)


def test_towns_are_many_distinct_and_inside(here: TownRegion) -> None:
    """25 to 40 of them, each once, none beyond the limit, and the first the largest."""
    assert 25 <= len(here.towns) <= 40
    assert len({town.name for town in here.towns}) == len(here.towns)
    assert all(here.contains(town.latitude, town.longitude) for town in here.towns)
    assert max(here.towns, key=lambda town: town.population_k) is here.towns[0]


def test_homes_are_in_towns_by_population(here: TownRegion) -> None:
    """Each home is within its town's radius; about half of them are in the largest town, as the people are."""
    towns = {town.name: town for town in here.towns}
    homes = [here.draw_home(Draws(SEED, "home", n)) for n in range(1000)]
    for home in homes:
        town = towns[home.name]
        assert town.homes
        assert home.kind == "home"
        assert distance_m(home.latitude, home.longitude, town.latitude, town.longitude) <= town.radius_km * 1000 + 1
    living = [town for town in here.towns if town.homes]
    expected = here.towns[0].population_k / sum(town.population_k for town in living)
    share = Counter(home.name for home in homes)[here.towns[0].name] / len(homes)
    assert share == pytest.approx(expected, abs=0.05), f"seed {SEED}"


@pytest.mark.parametrize("road_km", [0.6, 3.0, 7.0, 20.0, 60.0, 150.0, 300.0])
def test_destinations_lie_at_the_distance_asked_for(here: TownRegion, road_km: float) -> None:
    """The straight line is road / 1.3 (to 1 m), and every place is on dry land, however far."""
    for n in range(100):
        home = here.draw_home(Draws(SEED, "home", n))
        there = here.draw_destination(Draws(SEED, "there", n), home, road_km)
        straight = distance_m(*home.position, *there.position)
        assert straight == pytest.approx(road_km * 1000 / DETOUR_MEAN, abs=1.0), f"seed {SEED}, {n}"
        assert here.contains(*there.position), f"seed {SEED}, {n}"
        assert there.name in {town.name for town in here.towns}


def test_destinations_favour_towns() -> None:
    """Of 56 km straight from the middle of Munich, most drives go to the large town there: Augsburg."""
    munich = load_town_regions()["munich"]
    centre = Place(48.137, 11.575, "München", "home")
    names = Counter(munich.draw_destination(Draws(SEED, "there", n), centre, 73.0).name for n in range(300))
    assert names.most_common(1)[0][0] == "Augsburg"
    assert len(names) > 3


def test_place_beyond_closes_the_triangle(here: TownRegion) -> None:
    """Three distances that make a triangle are kept; otherwise the way between the two stops gives way."""
    home = Place(*here.centre, here.towns[0].name, "home")
    via = here.draw_destination(Draws(SEED, "there"), home, 13.0)
    for left in (False, True):
        place = here.place_beyond(home, via, 8_000.0, 5_000.0, left=left)
        assert distance_m(*home.position, *place.position) == pytest.approx(8_000, abs=1)
        assert distance_m(*via.position, *place.position) == pytest.approx(5_000, abs=5)
    far = here.place_beyond(home, via, 30_000.0, 5_000.0, left=True)
    assert distance_m(*home.position, *far.position) == pytest.approx(30_000, abs=1)
    outside = here.place_beyond(home, via, 400_000.0, 400_000.0, left=True)
    assert here.contains(*outside.position)


def test_garages_are_drawn_by_their_share() -> None:
    """None unless asked for, all when all are."""
    munich = load_town_regions()["munich"]
    assert not any(munich.draw_home(Draws(SEED, "home", n)).garage for n in range(50))
    assert all(munich.draw_home(Draws(SEED, "home", n), 1.0).garage for n in range(50))
