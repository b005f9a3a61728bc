"""Doors, windows and lights: left badly at the stated shares, and opened from outside."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.draws import Draws
from fleet.vehicle.body import OPENINGS, Body
from fleet.vehicle.leaving import leaving_habits
from tests.vehicle.car_lab import SEED


def test_cars_are_left_badly_at_the_stated_shares() -> None:
    """97 % of those without an open boot locked, 2 % with a window open, 0.4 % the boot, 0.4 % the lights."""
    bodies = []
    for n in range(20_000):
        body = Body(has_sunroof=False)
        body.leave(leaving_habits(Draws(SEED, "leaving", n)))
        assert not (body.locked and body.open_doors)
        bodies.append(body)
    shares = [sum(map(bool, values)) / len(bodies) for values in zip(
        *((not b.locked, b.open_windows, b.open_doors, b.lights_on) for b in bodies), strict=True)]  # fmt: skip
    assert shares == pytest.approx([0.034, 0.02, 0.004, 0.004], abs=0.004), f"seed {SEED}"


@pytest.mark.parametrize("name", OPENINGS)
def test_opening_unlocks(name: Any) -> None:
    """An open door is open and unlocked; closed, it is shut and still unlocked; getting in closes everything."""
    body = Body(has_sunroof=True)
    body.set_opening(name, opened=True)
    door = getattr(body.doors(), name)
    assert (door.open, door.locked) == (True, False)
    assert not body.doors().front_left.locked
    body.set_opening(name, opened=False)
    assert not getattr(body.doors(), name).open
    assert not body.locked
    body.set_opening(name, opened=True)
    body.get_in()
    assert body.open_doors == frozenset()
    assert body.windows().sunroof is False


def test_no_such_door() -> None:
    """The error names those there are."""
    with pytest.raises(ValueError, match="boot"):
        Body(has_sunroof=False).set_opening("roof", opened=True)
