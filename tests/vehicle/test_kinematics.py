"""The speeds of a drive: closed forms that agree with each other, and everyday averages."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import DAY, HOUR, SECOND
from fleet.vehicle.driver import draw_length_km
from fleet.vehicle.geo import DETOUR_LEAST, DETOUR_MOST
from fleet.vehicle.kinematics import SpeedProfile, longest_drive, speed_plan

SEED = 2017
KEYS = st.integers(0, 2**64 - 1)
SETTINGS = settings(deadline=None, max_examples=60)


def plan(key: int, metres: float) -> SpeedProfile:
    return speed_plan(Draws(key, "speed"), metres)


@SETTINGS
@given(KEYS, st.floats(1.0, 400_000.0))
def test_distance_never_falls_and_ends_at_the_length(key: int, metres: float) -> None:
    """From exactly 0 to exactly the path's length."""
    profile = plan(key, metres)
    assert profile.length_m == metres
    assert profile.distance_at(0) == 0.0
    assert profile.distance_at(profile.duration_us) == metres
    assert profile.distance_at(profile.duration_us - 1) == pytest.approx(metres, abs=0.001)
    assert profile.distance_at(profile.duration_us + DAY) == metres
    at = [profile.distance_at(profile.duration_us * n // 500) for n in range(501)]
    assert all(a <= b for a, b in pairwise(at))


@SETTINGS
@given(KEYS, st.floats(1.0, 120_000.0))
def test_speed_is_the_derivative_of_distance(key: int, metres: float) -> None:
    """Its integral over the drive is the length; pieces are linear, so the trapezoid rule is right but at their ends."""
    profile = plan(key, metres)
    steps = 4_000
    edges = [profile.duration_us * n // steps for n in range(steps + 1)]
    speeds = [profile.speed_at(edge) / 3.6 for edge in edges]
    integral = sum(
        (v1 + v2) / 2 * (t2 - t1) / SECOND for (t1, t2), (v1, v2) in zip(pairwise(edges), pairwise(speeds), strict=True)
    )
    assert integral == pytest.approx(metres, rel=2e-4, abs=0.01)
    assert min(speeds) >= 0.0
    assert max(speeds) * 3.6 <= 130.0
    assert speeds[0] == speeds[-1] == 0.0


@SETTINGS
@given(KEYS, st.floats(100.0, 200_000.0), st.floats(0.0, 1.0))
def test_elapsed_at_is_the_inverse_of_distance(key: int, metres: float, share: float) -> None:
    """The instant a point of the road is first reached, to the microsecond."""
    profile = plan(key, metres)
    elapsed = profile.elapsed_at(share * metres)
    assert profile.distance_at(elapsed) == pytest.approx(share * metres, abs=0.001)
    assert profile.distance_at(elapsed - 2) <= share * metres + 1e-6
    assert profile.elapsed_at(-1.0) == 0
    assert profile.elapsed_at(metres + 1.0) == profile.duration_us


@SETTINGS
@given(KEYS, st.floats(10.0, 300_000.0))
def test_no_drive_takes_longer_than_its_bound(key: int, straight_m: float) -> None:
    """However the draws fall: plans rely on it."""
    for detour in (DETOUR_LEAST, DETOUR_MOST):
        assert plan(key, straight_m * detour).duration_us <= longest_drive(straight_m)


@pytest.mark.parametrize(("km", "kmh"), [(2.0, 22), (5.0, 24), (15.0, 28), (35.0, 43), (150.0, 79), (300.0, 91)])
def test_average_speeds_rise_with_the_distance(km: float, kmh: float) -> None:
    """Ours, ±3 km/h over 200 drives."""
    mean = sum(km / (plan(stream_key(SEED, str(n)), km * 1000).duration_us / HOUR) for n in range(200)) / 200
    assert mean == pytest.approx(kmh, abs=3.0), f"seed {SEED}"


@pytest.mark.parametrize("metres", [0.0, -1.0])
def test_no_speed_without_a_distance(metres: float) -> None:
    """Asked for by mistake, and said so."""
    with pytest.raises(ValueError, match="no speed"):
        plan(1, metres)


def test_acceleration_is_everyday() -> None:
    """No car gains or loses more than 2 m/s in a second, over 50 drives of all lengths."""
    for key in range(50):
        profile = plan(key, draw_length_km(Draws(key, "length"), 300.0) * 1000)
        speeds = [profile.speed_at(t) / 3.6 for t in range(0, profile.duration_us, SECOND)]
        assert max((abs(a - b) for a, b in pairwise(speeds)), default=0.0) <= 2.0
