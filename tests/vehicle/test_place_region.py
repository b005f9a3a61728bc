"""Regions of single places: which one a driver goes to."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.draws import Draws
from fleet.vehicle.geo import distance_m, offset
from fleet.vehicle.place_region import APART_M, PlaceRegion, RegionFile, RegionPlace, place_region
from fleet.vehicle.region import MapArea, Place, PlaceKind

SEED = 21
KINDS: tuple[PlaceKind, ...] = ("home", "work", "errand", "delivery")
MALMO = (55.605, 13.0038)


def place(kind: PlaceKind, east_m: float, north_m: float, weight: float = 1.0, spread_m: float = 0.0) -> RegionPlace:
    latitude, longitude = offset(*MALMO, east_m, north_m)
    return RegionPlace(kind, latitude, longitude, weight, spread_m, f"{kind} {east_m:g} {north_m:g}")


def made(*places: RegionPlace) -> PlaceRegion:
    return PlaceRegion(RegionFile(region="malmo", country="SE", timezone="Europe/Stockholm", places=places))


TOWN = made(
    place("home", 0, 0, 1.0, 300.0), place("home", 3_000, 0, 3.0), place("work", 0, 5_000), place("work", 0, 20_000),
    place("errand", 5_000, 0), place("errand", -5_000, 0, 9.0), place("errand", 0, -30_000),
    place("petrol_station", 1_000, 1_000),
)  # fmt: skip
HOME = Place(*MALMO, "home", "home")


def test_homes_are_drawn_by_weight_and_within_their_spread() -> None:
    """Three in four live where the weight is 3, and the others within 300 m either way of their place."""
    homes = [TOWN.draw_home(Draws(SEED, "home", n)) for n in range(1000)]
    assert Counter(home.name for home in homes)["home 3000 0"] == pytest.approx(750, abs=50), f"seed {SEED}"
    spread = [distance_m(*MALMO, *home.position) for home in homes if home.name == "home 0 0"]
    assert 300 < max(spread) <= 300 * 2**0.5 + 1


def test_a_destination_is_of_its_kind_and_about_as_far_as_asked() -> None:
    """By weight among those that are; the one that comes nearest where none is; any other where there is none of the kind."""
    near = Counter(TOWN.draw_destination(Draws(SEED, "to", n), HOME, 6.5).name for n in range(500))
    assert near["errand -5000 0"] == pytest.approx(450, abs=30), f"seed {SEED}"
    assert set(near) == {"errand -5000 0", "errand 5000 0"}
    assert TOWN.draw_destination(Draws(SEED, "to"), HOME, 300.0).name == "errand 0 -30000"
    assert TOWN.draw_destination(Draws(SEED, "to"), HOME, 9.0, "work").name == "work 0 5000"
    assert TOWN.draw_destination(Draws(SEED, "to"), HOME, 1.8, "delivery").kind == "delivery"
    assert TOWN.draw_destination(Draws(SEED, "to"), HOME, 1.8, "delivery").name == "petrol_station 1000 1000"


def test_a_second_stop_closes_the_triangle_as_well_as_the_places_allow() -> None:
    """Left is the best of them, right the next; never one of the two it stands between."""
    via = Place(*offset(*MALMO, 5_000, 0), "via")
    assert TOWN.place_beyond(HOME, via, 5_000, 10_000, left=True).name == "errand -5000 0"
    assert TOWN.place_beyond(HOME, via, 5_000, 10_000, left=False).name == "errand 0 -30000"


def test_the_nearest_station_of_the_kind_is_found_within_reach() -> None:
    """And none beyond it, or of another kind."""
    found = TOWN.station_near(MALMO, "petrol_station", 1_500)
    assert found is not None
    assert (found.name, found.kind) == ("petrol_station 1000 1000", "petrol_station")
    assert TOWN.station_near(MALMO, "petrol_station", 1_400) is None
    assert TOWN.station_near(MALMO, "charging_station", 90_000) is None


def test_maps_reach_beyond_the_places_unless_the_file_says() -> None:
    file = RegionFile(region="m", country="SE", timezone="Europe/Stockholm", places=TOWN.places)
    assert place_region(file).has_map(MALMO[0] + 1.9, MALMO[1] - 1.9)
    assert not place_region(file).has_map(MALMO[0] + 2.2, MALMO[1])
    narrow = msgspec.structs.replace(file, maps=MapArea(55.0, 12.0, 56.0, 14.0))
    assert not place_region(narrow).has_map(56.1, 13.0)
    assert place_region(narrow).centre == MALMO


@given(st.data())
def test_nobody_drives_to_where_he_is(data: st.DataObject) -> None:
    """Wherever home and the first stop are, the next place is 500 m or more from both, as long as three places lie 1 km apart."""
    metres = st.floats(-60_000, 60_000)
    places = [place("errand", 0, 0), place("home", 1_000, 0), place("work", 0, 1_000)]
    for _ in range(data.draw(st.integers(0, 5))):
        kind = data.draw(st.sampled_from(KINDS))
        places.append(
            place(kind, data.draw(metres), data.draw(metres), data.draw(st.floats(0.01, 100.0)), data.draw(st.floats(0, 400)))
        )
    region = made(*places)
    home = region.draw_home(Draws(data.draw(st.integers(0, 1 << 30)), "home"))
    via = Place(*offset(*MALMO, data.draw(metres), data.draw(metres)), "via")
    there = region.draw_destination(Draws(data.draw(st.integers(0, 1 << 30)), "to"), home, data.draw(st.floats(0.6, 300.0)))
    beyond = region.place_beyond(
        home, via, data.draw(st.floats(100, 200_000)), data.draw(st.floats(100, 200_000)), left=data.draw(st.booleans())
    )
    assert distance_m(*home.position, *there.position) >= APART_M - 1
    assert distance_m(*home.position, *beyond.position) >= APART_M - 1
    assert distance_m(*via.position, *beyond.position) >= APART_M - 1
    assert region.contains(*there.position)
