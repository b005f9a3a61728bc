"""The regions that are shipped: all of them by the same measures."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from fleet.cloud.countries import country_at, load_countries
from fleet.errors import UnknownName
from fleet.kernel.draws import Draws, stream_key
from fleet.vehicle.driver import PROFILES, draw_driver
from fleet.vehicle.geo import distance_m
from fleet.vehicle.place_region import PlaceRegion
from fleet.vehicle.region import Region
from fleet.vehicle.regions import load_region_files, load_regions, load_town_regions, region

SEED = 20
ZONES = {
    "amsterdam": "Europe/Amsterdam", "hamburg": "Europe/Berlin", "lisbon": "Europe/Lisbon", "madrid": "Europe/Madrid",
    "milan": "Europe/Rome", "munich": "Europe/Berlin", "paris": "Europe/Paris", "stockholm": "Europe/Stockholm",
    "vienna": "Europe/Vienna", "warsaw": "Europe/Warsaw",
}  # fmt: skip


@pytest.fixture(params=sorted(ZONES))
def here(request: pytest.FixtureRequest) -> Region:
    return region(request.param)


def test_regions_are_named() -> None:
    """All ten are there, with their time zones; another name is answered with the nearest."""
    assert {name: entry.timezone for name, entry in load_regions().items()} == ZONES
    assert load_town_regions().keys() | load_region_files().keys() == ZONES.keys()
    with pytest.raises(UnknownName) as caught:
        region("madird")
    assert "madrid" in caught.value.hint


def test_zone_country_and_maps_are_those_of_the_place(here: Region) -> None:
    """The zone exists, the country is a market and that of its middle, and the maps have the middle."""
    assert str(here.zone) == here.timezone == str(ZoneInfo(ZONES[here.name]))
    assert here.country in load_countries()
    assert country_at(*here.centre) == here.country
    assert here.has_map(*here.centre)


def test_it_is_neither_arctic_nor_a_desert(here: Region) -> None:
    """January and July are those of a European city."""
    day_us = 24 * 3_600_000_000
    january = [here.ambient_c(here.centre[0], (20_454 + n) * day_us + day_us // 2) for n in range(28)]
    july = [here.ambient_c(here.centre[0], (20_635 + n) * day_us + day_us // 2) for n in range(28)]
    assert -8 < sum(january) / 28 < 17
    assert 16 < sum(july) / 28 < 32


@pytest.mark.parametrize("profile", PROFILES)
def test_drivers_live_and_travel_within_its_bounds(here: Region, profile: str) -> None:
    """Home, work and each stop of two weeks are inside and on its maps, and no trip leads to where it begins."""
    trips = 0
    for n in range(10):
        driver = draw_driver(stream_key(SEED, here.name, str(n)), here, profile)
        assert here.contains(*driver.home.position)
        assert here.contains(*driver.work.position)
        for day in range(14):
            place = driver.home
            for trip in driver.plan_day(date(2026, 3, 2) + timedelta(days=day)):
                assert here.contains(*trip.destination.position), f"seed {SEED}, {n}, {day}"
                assert here.has_map(*trip.destination.position)
                assert distance_m(*place.position, *trip.destination.position) > 50, f"seed {SEED}, {n}, {day}"
                place = trip.destination
                trips += 1
    assert trips > 0 or profile == "parked"


@pytest.mark.parametrize("name", sorted(load_region_files()))
def test_a_city_has_all_kinds_of_places(name: str) -> None:
    """Homes, work, errands, deliveries, and both kinds of stations, each at a place of its own."""
    city = region(name)
    assert isinstance(city, PlaceRegion)
    kinds = {place.kind for place in city.places}
    assert kinds == {"home", "work", "errand", "delivery", "petrol_station", "charging_station"}
    assert len(city.places) > 150
    assert city.limit_m < 96_000
    assert "Natural Earth" in load_region_files()[name].source
    homes = {(home.latitude, home.longitude) for home in (city.draw_home(Draws(SEED, "home", n)) for n in range(200))}
    assert len(homes) > 190
