"""The state in which drivers leave their cars comes by its stated shares."""

from __future__ import annotations

import math

import pytest

from fleet.kernel.draws import Draws
from fleet.vehicle.leaving import leaving_habits

SEED = 2017


def test_habits_come_by_their_shares() -> None:
    """20 000 times walked away; a boot left open is never locked."""
    left = [leaving_habits(Draws(SEED, "leaving", n)) for n in range(20_000)]

    def share(count: int) -> float:
        return count / len(left)

    assert share(sum(habits.locks for habits in left)) == pytest.approx(0.97 * 0.996, abs=0.005), f"seed {SEED}"
    assert share(sum(habits.open_window is not None for habits in left)) == pytest.approx(0.02, abs=0.004), f"seed {SEED}"
    assert share(sum(habits.boot_left_open for habits in left)) == pytest.approx(0.004, abs=0.002), f"seed {SEED}"
    assert share(sum(habits.lights_left_on for habits in left)) == pytest.approx(0.004, abs=0.002), f"seed {SEED}"
    assert not any(habits.boot_left_open and habits.locks for habits in left)
    assert {habits.open_window for habits in left} == {None, "front_left", "front_right", "rear_left", "rear_right"}
    assert min(habits.delay_s for habits in left) >= 15.0
    assert max(habits.delay_s for habits in left) <= 90.0
    assert math.isclose(sum(habits.delay_s for habits in left) / len(left), 52.5, abs_tol=1.0)
