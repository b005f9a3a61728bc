"""Lock and unlock: with all openings closed, and never while driving."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import SECOND
from fleet.vehicle.signals import DriveTo, SetOpening
from tests.vehicle.car_lab import OK, SHOP, CarLab


def test_lock_and_unlock_do_it_and_tell() -> None:
    """The doors follow, and a status with the doors comes after the success."""
    lab = CarLab()
    for name, locked in (("unlock", False), ("lock", True)):
        assert lab.outcome(name) == OK
        doors = lab.statuses("command")[-1].doors
        assert doors is not None
        assert {doors.front_left.locked, doors.boot.locked, doors.bonnet.locked} == {locked}


@pytest.mark.parametrize("name", ["front_left", "rear_right", "boot", "bonnet"])
def test_an_open_door_is_not_locked(name: Any) -> None:
    """Rejected with the door in the detail; closed again, it succeeds. Unlocking minds no door."""
    lab = CarLab()
    lab.put(SetOpening(name, opened=True))
    assert lab.outcome("lock") == ("rejected", "door_open")
    assert name in (lab.responses()[-1].detail or "")
    assert lab.outcome("unlock") == OK
    lab.put(SetOpening(name, opened=False))
    assert lab.outcome("lock") == OK


@pytest.mark.parametrize("name", ["lock", "unlock"])
def test_never_while_driving(name: str) -> None:
    """`not_parked` while it moves, `engine_running` before and after."""
    lab = CarLab()
    lab.put(DriveTo(SHOP))
    assert lab.outcome(name, wait=0) == ("rejected", "engine_running")
    lab.run_for(40 * SECOND)
    assert lab.outcome(name, wait=0) == ("rejected", "not_parked")
    assert lab.car.journey is not None
    lab.run_until(lab.car.journey.arrive_at)
    assert lab.outcome(name, wait=0) == ("rejected", "engine_running")
    lab.arrive()
    assert lab.outcome(name, wait=2 * SECOND) == OK
