"""What makes people known to the back end: the part takes it, each person once, and each is known by the account then."""

from __future__ import annotations

from fleet.kernel.instants import DAY
from fleet.runtime.assembly import vocabulary
from fleet.runtime.people.cast import Cast
from fleet.runtime.people.seeding import CARS_PER_REQUEST, Seed, seeds_of
from tests.cloud.people.lab import PeopleLab
from tests.runtime.people.test_casting import cast, scenario_of

PERSONS = "{name: anna, role: primary, cars: {index: [0, 1]}}, {name: bert, registered: false}, {name: cleo}"
DRAWN = "{cars: {fleet: any}, families: 50 %, enrolled: 80 %, registered: 50 %, licence_age: 30 days, privacy: online}"


def known(of: Cast) -> tuple[PeopleLab, list[Seed]]:
    """Have a back end take all of it."""
    lab = PeopleLab()
    seeds = seeds_of(of, seed=3, start=lab.now)
    for seed in seeds:
        told = lab.ask("people", "seed", proofs=lab.secrets(new_password=seed.password), **seed.data)
        assert told.state == "succeeded", told.detail
        assert told.data is not None
        seed.is_known(told.data["accounts"])
    return lab, seeds


def test_everybody_with_an_account_is_known_once() -> None:
    of = cast(DRAWN, PERSONS)
    lab, seeds = known(of)
    assert len(seeds) == 1 + 400 // CARS_PER_REQUEST
    registered = [person for person in of.people() if person.registered]
    assert {person.account for person in registered} == set(lab.people.accounts)
    assert len(registered) == len(lab.people.accounts)
    assert of.named["bert"].account == ""
    for person in registered:
        assert lab.people.accounts[person.account].email == person.email


def test_cars_have_the_users_of_their_cast() -> None:
    of = cast(DRAWN, PERSONS)
    lab, _ = known(of)
    for vin, car in of.cars.items():
        told = lab.people.cars[vin]
        assert told.managed
        assert {account: user.role for account, user in told.users.items()} == {
            person.account: role for role, person in car.users()
        }
        assert told.mode == ("online" if car.enrolled else "online_with_location")
    empty = next(vin for vin, car in of.cars.items() if not car.enrolled)
    rights = lab.people.rights_of(empty)
    assert rights is not None
    assert rights.users == {}


def test_a_request_has_one_password() -> None:
    of = cast(DRAWN, PERSONS)
    _, seeds = known(of)
    for seed in seeds:
        assert {person.password for person in seed.persons} == {seed.password}
    assert len({seed.password for seed in seeds}) == len(seeds)


def test_a_repr_shows_no_person() -> None:
    seed = seeds_of(cast(DRAWN), seed=3, start=0)[0]
    assert seed.persons[0].email not in repr(seed)


def test_the_age_of_a_car_is_when_it_was_registered() -> None:
    start = vocabulary().start_of(scenario_of(DRAWN))
    vehicles = [each for seed in seeds_of(cast(DRAWN), seed=3, start=start) for each in seed.data["vehicles"]]
    assert {each["registered"] for each in vehicles if "registered" in each} == {start - 30 * DAY}
    assert all(("registered" in each) is ("users" in each) for each in vehicles)
