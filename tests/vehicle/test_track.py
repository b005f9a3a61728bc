"""Recorded tracks as a car drives them: where they are cut, and their profile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.vehicle.geo import offset
from fleet.vehicle.track import TrackProfile, trips_of
from tests.scenario.test_following import HOME, Points, two_drives, way


def test_a_track_is_cut_where_the_car_stood() -> None:
    """Two drives, each from where the one before ended, with its own length and time."""
    first, second = trips_of(two_drives(), HOUR)
    assert first.departure == HOUR
    assert first.path.length_m == pytest.approx(3_000, rel=0.01)
    assert first.profile.duration_us == 300 * SECOND
    assert second.path.points[0] == first.destination.position
    assert second.path.length_m == pytest.approx(2_000, rel=0.03)
    assert 850 * SECOND <= second.departure - first.departure <= 900 * SECOND


def test_a_receiver_that_was_off_while_parked_cuts_too() -> None:
    """The next fix is somewhere else after half an hour: the car has driven off unseen, not crept there."""
    points: Points = [(*HOME, 0)]
    way(points, 300, 3_000)
    latitude, longitude, at = points[-1]
    points.append((*offset(latitude, longitude, 400, 0), at + 30 * MINUTE))
    way(points, 300, 3_000)
    first, second = trips_of(points, 0)
    assert second.departure - first.departure == pytest.approx(35 * MINUTE - 50 * SECOND, abs=SECOND)
    assert second.path.length_m == pytest.approx(3_400, rel=0.01)


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 900)), min_size=1, max_size=30), st.floats(0, 1))
def test_a_profile_goes_only_forward_and_its_inverse_agrees(legs: list[tuple[int, float]], share: float) -> None:
    """Whatever the legs, standing ones included: distance never falls, and `elapsed_at` is when it is reached."""
    elapsed, distances = [0], [0.0]
    for seconds, metres in legs:
        elapsed.append(elapsed[-1] + seconds * SECOND)
        distances.append(distances[-1] + metres)
    profile = TrackProfile(elapsed, distances)
    at = int(profile.duration_us * share)
    assert profile.distance_at(at) <= profile.distance_at(at + SECOND) <= profile.length_m
    metres = profile.length_m * share
    assert profile.distance_at(profile.elapsed_at(metres)) == pytest.approx(metres, abs=0.01)
    assert profile.distance_at(profile.duration_us) == profile.length_m
    assert profile.speed_at(at) >= 0
