"""The role of whoever touches a car's screen, by the users that the car knows."""

from __future__ import annotations

import pytest

from fleet.vehicle.kept import obtain
from fleet.vehicle.services.car_users import CarUsers, acting_role, is_primary, logged_in, may_delete
from fleet.wire.parameters import Role
from tests.vehicle.car_lab import CarLab


def test_a_car_without_people_is_its_primary_users() -> None:
    car = CarLab().car
    assert (acting_role(car), logged_in(car), is_primary(car, "p1"), may_delete(car, "anna")) == ("primary", None, False, True)
    assert car.kept is None, "a question makes no state"


@pytest.mark.parametrize(
    ("role", "anybody", "itself"), [("primary", True, True), ("additional", False, True), ("guest", False, False)]
)
def test_each_role_has_its_rights(role: Role, *, anybody: bool, itself: bool) -> None:
    car = CarLab().car
    users = obtain(car, CarUsers)
    users.roles = {"p1": role, "p2": "additional"}
    assert acting_role(car) == "guest", "nobody is logged in"
    users.logged_in = "p1"
    assert acting_role(car) == role
    assert (may_delete(car, "p2"), may_delete(car, "p1")) == (anybody, itself)
    assert is_primary(car, "p1") == (role == "primary")
