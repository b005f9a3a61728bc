"""What a car is told of its users, and by what the back end knows its words again."""

from __future__ import annotations

from fleet.cloud.people import at_home
from fleet.cloud.people.records import CarPeople, CarUser
from fleet.wire.commands import read_parameters
from tests.cloud.people.enrolling import ANNA, BEA, BORN, EnrolLab

CAR = CarPeople(
    vin=BORN,
    managed=True,
    users={ANNA: CarUser(role="primary", since=1, given=(1, 5)), BEA: CarUser(role="guest", since=2, given=(1, 7))},
    sim=ANNA,
)


def test_a_car_understands_what_it_is_told() -> None:
    lab = EnrolLab()
    lab.people.put_car(CAR)
    told = [
        at_home.welcome(lab.people, BORN, BEA),
        *at_home.dismiss(lab.people, BORN, [BEA]),
        *at_home.dismiss(lab.people, BORN, [""]),
    ]
    for asked in told:
        read_parameters(asked.name, dict(asked.parameters))
    assert [at_home.asked_for(asked.id) for asked in told] == [("enrol", BEA), ("forget", BEA), ("forget", "")]
    assert len({asked.id for asked in told}) == 3


def test_without_its_primary_user_a_car_has_none_and_nothing_of_them() -> None:
    assert set(at_home.without_users(CAR, [BEA]).users) == {ANNA}
    assert at_home.without_users(CAR, [BEA]).sim == ANNA
    left = at_home.without_users(CAR, [ANNA])
    assert (left.users, left.sim) == ({}, "")
    assert left.managed


def test_what_a_car_is_told_of_twice_has_the_last_word() -> None:
    car = at_home.with_user(CarPeople(vin=BORN, forgetting=(BEA, ANNA)), BEA, CarUser(role="guest", since=1))
    assert car.forgetting == (ANNA,)
    assert car.users[BEA].awaited


def test_an_older_word_of_the_car_changes_nothing() -> None:
    assert at_home.deleted(CAR, BEA, (1, 6)) == CAR
    assert set(at_home.deleted(CAR, BEA, (1, 8)).users) == {ANNA}
    assert set(at_home.reset(CAR, (1, 4)).users) == {ANNA, BEA}
    assert at_home.reset(CAR, (1, 8)).users == {}
    assert at_home.enrolled(CAR, BEA, (1, 6)).users[BEA].given == (1, 7)
