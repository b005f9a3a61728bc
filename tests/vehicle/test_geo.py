"""Distances against PROJ and geographiclib, and roads that are as long as they say."""

from __future__ import annotations

import math

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from fleet.kernel.draws import Draws
from fleet.vehicle.geo import DETOUR_LEAST, DETOUR_MOST, Path, distance_m, geodesic_m, metres_per_degree, offset, road_path

PROJ = Geod(ellps="WGS84")
LATITUDES = st.floats(-60.0, 60.0)
LONGITUDES = st.floats(-179.0, 179.0)
BEARINGS = st.floats(0.0, 360.0)
SETTINGS = settings(deadline=None, max_examples=150)


@SETTINGS
@given(LATITUDES, LONGITUDES, BEARINGS, st.floats(0.0, 2_000_000.0))
def test_geodesic_agrees_with_proj_to_the_millimetre(lat: float, lon: float, bearing: float, metres: float) -> None:
    """Another implementation's direct problem is inverted to within rounding."""
    lon2, lat2, _ = PROJ.fwd(lon, lat, bearing, metres)
    assert geodesic_m(lat, lon, lat2, lon2) == pytest.approx(metres, abs=0.000_51)


@pytest.mark.parametrize("place", [(48.137, 11.575), (40.417, -3.703), (0.0, 0.0), (-60.0, 170.0)])
@pytest.mark.parametrize("bearing", [0.0, 45.0, 90.0, 200.0, 315.0])
def test_geodesic_decides_the_500_m_rule(place: tuple[float, float], bearing: float) -> None:
    """500.000 m is within 500 m wherever it lies; a centimetre more is not, nor is a millimetre."""
    for metres, inside in ((499.999, True), (500.0, True), (500.001, False), (500.01, False)):
        lon2, lat2, _ = PROJ.fwd(place[1], place[0], bearing, metres)
        assert (geodesic_m(*place, lat2, lon2) <= 500.0) is inside, metres


@SETTINGS
@given(LATITUDES, LONGITUDES, BEARINGS, st.floats(1.0, 300_000.0))
def test_fast_metric_stays_within_its_stated_error(lat: float, lon: float, bearing: float, metres: float) -> None:
    """Against geographiclib: 2 parts in 100 000 up to 20 km, 0.5 % up to 300 km, up to 60° of latitude."""
    there = Geodesic.WGS84.Direct(lat, lon, bearing, metres)
    assume(abs(there["lat2"]) <= 60.0)
    assume(abs(there["lon2"] - lon) < 180.0)
    bound = 2e-5 if metres <= 20_000.0 else 5e-3
    assert distance_m(lat, lon, there["lat2"], there["lon2"]) == pytest.approx(metres, rel=bound, abs=1e-4)


@SETTINGS
@given(LATITUDES, LONGITUDES, st.floats(-50_000.0, 50_000.0), st.floats(-50_000.0, 50_000.0))
def test_offset_is_the_way_back_of_distance(lat: float, lon: float, east_m: float, north_m: float) -> None:
    """A point set off by (east, north) lies as far away as these say."""
    assert distance_m(lat, lon, *offset(lat, lon, east_m, north_m)) == pytest.approx(
        math.hypot(east_m, north_m), rel=1e-6, abs=1e-4
    )


def test_metres_per_degree_at_known_latitudes() -> None:
    """The figures of WGS 84 at the equator and at 60°."""
    assert metres_per_degree(0.0) == pytest.approx((110_574.28, 111_319.49), abs=0.01)
    assert metres_per_degree(60.0) == pytest.approx((111_412.27, 55_800.0), abs=0.1)


def test_path_is_driven_from_its_first_point_to_its_last() -> None:
    """Positions follow the legs, headings are theirs, and nothing happens before the start or beyond the end."""
    corner = offset(48.0, 11.0, 0.0, 1_000.0)
    end = offset(*corner, 500.0, 0.0)
    path = Path([(48.0, 11.0), corner, end])
    assert path.length_m == pytest.approx(1_500.0, abs=0.01)
    assert path.position_at(-1.0) == (48.0, 11.0)
    assert path.position_at(path.length_m + 1.0) == end
    assert distance_m(*path.position_at(1_250.0), *offset(*corner, 250.0, 0.0)) < 0.01
    assert path.heading_at(10.0) == pytest.approx(0.0, abs=0.01)
    assert path.heading_at(1_400.0) == pytest.approx(90.0, abs=0.01)
    assert path.heading_at(99_999.0) == pytest.approx(90.0, abs=0.01)


def test_path_needs_two_points() -> None:
    """One point is no path."""
    with pytest.raises(ValueError, match="two points"):
        Path([(48.0, 11.0)])


@SETTINGS
@given(st.integers(0, 2**64 - 1), st.floats(36.0, 60.0), st.floats(-9.0, 30.0), BEARINGS, st.floats(50.0, 250_000.0))
def test_road_is_longer_than_the_straight_line_by_a_plausible_factor(
    key: int, lat: float, lon: float, bearing: float, metres: float
) -> None:
    """Three to six legs from start to end, 1.15 to 1.45 times the straight line, whatever the draws."""
    end = offset(lat, lon, metres * math.sin(math.radians(bearing)), metres * math.cos(math.radians(bearing)))
    path = road_path(Draws(key, "road"), (lat, lon), end)
    assert 4 <= len(path.points) <= 7
    assert path.points[0] == (lat, lon)
    assert path.points[-1] == end
    assert DETOUR_LEAST <= path.length_m / distance_m(lat, lon, *end) <= DETOUR_MOST


@SETTINGS
@given(st.integers(0, 2**64 - 1), st.floats(0.0, 1.0), st.floats(0.0, 200.0))
def test_distance_driven_is_the_length_of_the_road(key: int, share: float, step_m: float) -> None:
    """Driving on by a step moves the car by that step at most, and by just that within a leg (the metric's 0.2 % apart)."""
    path = road_path(Draws(key, "road"), (48.137, 11.575), (48.371, 10.898))
    at_m = share * (path.length_m - 200.0)
    moved = distance_m(*path.position_at(at_m), *path.position_at(at_m + step_m))
    assert moved <= step_m * (1 + 2e-3) + 1e-6
    if path.heading_at(at_m) == path.heading_at(at_m + step_m):
        assert moved == pytest.approx(step_m, rel=2e-3, abs=1e-6)


def test_road_to_where_one_is_has_no_length() -> None:
    """No bend is made up for a drive to the same place."""
    assert road_path(Draws(1, "road"), (48.0, 11.0), (48.0, 11.0)).length_m == 0.0
