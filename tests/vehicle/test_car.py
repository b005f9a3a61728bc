"""A car that had a defect: what else it has planned keeps its time."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import HOUR, MINUTE, SECOND, Instant
from fleet.vehicle.car import Car
from fleet.vehicle.signals import AskStatus
from tests.vehicle.car_lab import CarLab


def test_what_follows_the_defect_is_not_done_too_early() -> None:
    """One entry of the agenda raises; the next one is still done at its own time, not with the next input."""
    lab = CarLab()
    lab.run_for(MINUTE)
    car, now = lab.car, lab.now
    done: list[Instant] = []

    def fail(_car: Car, _data: None, _now: Instant) -> None:
        raise ZeroDivisionError

    def act(_car: Car, _data: None, at: Instant) -> None:
        done.append(at)

    car.agenda.call(now + SECOND, fail)
    car.agenda.call(now + HOUR, act)
    car._due = car._next_due()
    with pytest.raises(ZeroDivisionError):
        car.wake(now + SECOND)
    car.receive(AskStatus(), now + 2 * SECOND)
    assert done == []
    car.wake(now + HOUR)
    assert done == [now + HOUR]
