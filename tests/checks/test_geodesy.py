"""The second way to a distance against PROJ, which the cars do not use either."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from fleet.checks.geodesy import vincenty_m

WGS84 = Geod(ellps="WGS84")


@given(
    latitude=st.floats(-89, 89),
    longitude=st.floats(-180, 180),
    north=st.floats(-0.9, 0.9),
    east=st.floats(-10, 10),
)
def test_it_is_the_length_of_the_geodesic(latitude: float, longitude: float, north: float, east: float) -> None:
    """To a tenth of a millimetre, wherever on the globe and across the 180th meridian."""
    there = (latitude + north, longitude + east)
    _, _, expected_m = WGS84.inv(longitude, latitude, there[1], there[0])
    assert vincenty_m((latitude, longitude), there) == pytest.approx(expected_m, abs=1e-4)


def test_the_other_side_of_the_globe_is_far() -> None:
    """Where the formula finds no end, nobody hears the horn."""
    assert vincenty_m((0.0, 0.0), (0.3, 179.8)) == math.inf


def test_the_same_place_is_at_no_distance() -> None:
    """Nothing is divided by it."""
    assert vincenty_m((48.0, 11.0), (48.0, 11.0)) == 0.0
