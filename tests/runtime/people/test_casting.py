"""Who there is in a scenario: shares, names and shards, and that a change of one changes nobody else."""

from __future__ import annotations

from fleet.runtime.assembly import people_of, vocabulary
from fleet.runtime.people.cast import CarCast, Cast
from fleet.scenario.loader import parse
from fleet.scenario.schema import Scenario

HEAD = """\
scenario: people
purpose: Has people.
seed: 3
start: 2028-02-29T05:00
duration: 1 h
region: stockholm
fleets:
  - {name: any, count: 400, models: {Leon: 1, Born: 1}}
  - {name: other, count: 40, models: {Born: 1}, registered_in: NO}
timeline: [{at: 1 min, do: park}]
"""
MANY = "{cars: {fleet: any}, families: 20 %, additional: 10 %, guests: 10 %, buyers: 5 %, unverified: 10 %, apps: 50 %}"


def scenario_of(drawn: str, persons: str = "") -> Scenario:
    return parse(f"{HEAD}people:\n  drawn: [{drawn}]\n  persons: [{persons}]\n", "", vocabulary())


def cast(drawn: str, persons: str = "", *, index: int = 0, count: int = 1) -> Cast:
    found = people_of(scenario_of(drawn, persons), index=index, count=count)
    assert found is not None
    return found


def roles(of: Cast) -> dict[str, int]:
    return {role: sum(len(car.roles.get(role, ())) for car in of.cars.values()) for role in ("additional", "guest", "buyer")}


def shown(car: CarCast) -> list[tuple[str, list[str]]]:
    return [(role, [person.email for person in people]) for role, people in car.roles.items()]


def test_without_the_element_there_is_nobody() -> None:
    assert people_of(parse(HEAD, "", vocabulary())) is None


def test_shares_are_those_of_the_file() -> None:
    of = cast(MANY)
    assert len(of.cars) == 400
    found = roles(of)
    assert 90 <= found["additional"] <= 150, "30 % of 400"
    assert 90 <= found["guest"] <= 150
    assert 8 <= found["buyer"] <= 35
    apps = sum(person.app for person in of.people())
    assert 160 <= apps <= 240
    unverified = sum(not person.verified for car in of.cars.values() for _, person in car.users())
    assert 30 <= unverified <= 90


def test_addresses_are_each_somebodys_own() -> None:
    people = cast(MANY, "{name: anna}, {name: bert, role: guest, cars: {index: 0}}").people()
    assert len({person.email for person in people}) == len(people)
    assert len({person.key for person in people}) == len(people)


def test_another_share_changes_nobody_else() -> None:
    """With more families the other people of each car are the same."""
    before, after = cast(MANY), cast(MANY.replace("buyers: 5 %", "buyers: 50 %, licence_age: 90 days"))
    for vin, car in before.cars.items():
        assert [each for each in shown(car) if each[0] != "buyer"] == [
            each for each in shown(after.cars[vin]) if each[0] != "buyer"
        ]


def test_each_shard_has_the_people_of_its_cars() -> None:
    whole = cast(MANY)
    parts = [cast(MANY, index=index, count=3) for index in range(3)]
    assert {vin: shown(car) for part in parts for vin, car in part.cars.items()} == {
        vin: shown(car) for vin, car in whole.cars.items()
    }


def test_a_car_belongs_to_the_first_line_that_takes_it() -> None:
    of = cast("{cars: {fleet: other}, languages: {sv: 1}}, {languages: {de: 1}}")
    assert len(of.cars) == 440
    languages = {car.country: car.roles["primary"][0].language for car in of.cars.values()}
    assert languages == {"NO": "sv", "SE": "de"}


def test_of_a_car_that_nobody_has_enrolled_there_is_an_owner_and_no_user() -> None:
    of = cast("{cars: {fleet: other}, enrolled: 0 %, registered: 50 %, families: 100 %, buyers: 100 %}")
    assert all(not car.enrolled and car.users() == [] for car in of.cars.values())
    assert {tuple(car.roles) for car in of.cars.values()} == {("primary", "buyer")}
    assert {car.roles["primary"][0].registered for car in of.cars.values()} == {True, False}
    assert all(car.roles["buyer"][0].registered for car in of.cars.values())


def test_somebody_named_is_there_in_the_place_of_who_was_drawn() -> None:
    persons = "{name: anna, role: additional, cars: {index: [0, 1]}, allowed: [honk]}, {name: bert, country: AT}"
    of = cast("{cars: {count: 400}, families: 100 %}", persons)
    having = [car for car in of.cars.values() if of.named["anna"] in car.roles.get("additional", ())]
    assert len(having) == 2
    assert all(car.roles["additional"] == [of.named["anna"]] and car.allowed == {"anna": ("honk",)} for car in having)
    assert (of.named["anna"].country, of.named["bert"].country) == ("SE", "AT")
