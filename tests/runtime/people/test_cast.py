"""The people of a car by their roles: who does a step, and who is who after a take-over."""

from __future__ import annotations

import msgspec

from fleet.kernel.draws import Draws
from fleet.runtime.people.cast import CarCast, Cast
from fleet.runtime.people.person import Manner, make_person
from fleet.scenario.actions import TimelineStep
from fleet.vehicle.catalogue import draw_equipment, load_catalogue
from tests.runtime.people.people_lab import VIN, anna

EQUIPMENT = draw_equipment(load_catalogue(), Draws(1, "equipment"), model="Born")
BUYER, GUEST = make_person("buyer", 2, 2, Manner()), make_person("guest", 3, 3, Manner())


def car_of(*, enrolled: bool = True) -> tuple[CarCast, Cast]:
    cast = Cast(1)
    car = cast.cars[VIN] = CarCast(VIN, EQUIPMENT, "SE", enrolled=enrolled)
    car.roles = {"primary": [anna()], "buyer": [BUYER], **({"guest": [GUEST]} if enrolled else {})}
    return car, cast


def step(**words: object) -> TimelineStep:
    return msgspec.structs.replace(TimelineStep(), **words)


def test_who_takes_a_car_over_is_its_primary_user_and_the_one_before_its_previous_owner() -> None:
    car, cast = car_of()
    before = car.first("primary")
    car.is_taken_by(BUYER)
    assert car.users() == [("primary", BUYER)]
    assert cast.of_role("previous_owner", VIN) is before
    assert cast.of_role("guest", VIN) is None
    assert cast.of_role("buyer", VIN) is None


def test_who_enrols_the_own_car_is_nobodys_successor() -> None:
    car, cast = car_of(enrolled=False)
    owner = car.first("primary")
    assert owner is not None
    assert car.users() == []
    car.is_taken_by(owner)
    assert car.users() == [("primary", owner)]
    assert cast.of_role("previous_owner", VIN) is None
    assert cast.of_role("buyer", VIN) is BUYER


def test_a_buyer_of_a_car_that_nobody_has_enrolled_has_no_predecessor() -> None:
    car, cast = car_of(enrolled=False)
    car.is_taken_by(BUYER)
    assert cast.of_role("previous_owner", VIN) is None


def test_a_step_is_done_by_who_it_names_or_by_a_role_or_by_the_primary_user() -> None:
    car, cast = car_of()
    cast.named["bert"] = BUYER
    assert cast.acting(step(person="bert"), VIN) is BUYER
    assert cast.acting(step(by="guest"), VIN) is GUEST
    assert cast.acting(step(), VIN) is car.first("primary")
    assert cast.acting(step(by="guest"), None) is None
    assert cast.acting(step(by="additional"), VIN) is None


def test_a_step_is_done_where_there_is_somebody_for_it() -> None:
    _, cast = car_of()
    assert cast.can_act(step(), "VSSZZZKMZPR000009"), "nobody is wanted"
    assert cast.can_act(step(by="guest"), VIN)
    assert not cast.can_act(step(by="guest"), "VSSZZZKMZPR000009")
    assert not cast.can_act(step(by="primary", whom="additional"), VIN)
    assert cast.can_act(step(by="primary", whom="guest"), VIN)
    assert cast.called("nobody", VIN) is None
