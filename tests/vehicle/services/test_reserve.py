"""A battery that nobody protects has no reserve, and the question makes no state."""

from __future__ import annotations

from fleet.vehicle.kept import keep
from fleet.vehicle.services.reserve import LEAST, MOST, Reserve, reserve_of
from tests.vehicle.car_lab import CarLab


def test_the_reserve_is_what_was_set() -> None:
    car = CarLab().car
    assert (reserve_of(car), car.kept) == (0.0, None)
    keep(car, Reserve(0.3))
    assert reserve_of(car) == 0.3
    assert (LEAST, MOST) == (0.2, 0.5)
