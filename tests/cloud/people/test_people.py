"""The state of the rules about people: what is put is kept, found by its names, and told to the desk."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.people.people import People, rights_in
from fleet.cloud.people.records import Account, CarPeople, CarUser, Consent, Licence, Session
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rights import Private, Terms
from fleet.cloud.rule import Notes
from fleet.kernel.instants import DAY, MINUTE

VIN = "VSSZZZKMZPR000001"
NOW = 1_772_424_000_000_000
ANNA = Account(id="p1", email="Anna@Example.com", registered=NOW, user_name="anna", mobile="+4670123")


def test_a_person_is_found_by_each_name_in_any_case_and_by_none_that_was_given_up() -> None:
    people = People(Notes())
    people.put_account(ANNA)
    for name in ("p1", "anna@example.COM", " ANNA ", "+4670123"):
        assert people.named(name) == ANNA
    people.put_account(replace(ANNA, email="new@example.com"))
    assert people.named("anna@example.com") is None
    assert people.named("new@example.com") is not None
    people.drop_account("p1")
    assert people.named("anna") is None


def test_what_was_put_is_there_after_a_restart() -> None:
    notes = Notes()
    people = People(notes)
    people.put_account(ANNA)
    people.put_car(CarPeople(vin=VIN, managed=True, users={"p1": CarUser(role="primary", since=NOW)}))
    again = People(Notes(dict(notes)))
    assert again.named("anna") == ANNA
    assert again.cars_of("p1") == {VIN}
    assert again.all_rights() == people.all_rights() == rights_in(dict(notes))


def test_a_repr_shows_nothing_personal() -> None:
    assert repr(ANNA) == "Account(id='p1')"


def test_the_rights_of_a_car_follow_from_users_licences_consents_and_switches() -> None:
    people = People(Notes())
    people.put_account(
        replace(
            ANNA,
            identified=NOW,
            consents=(
                Consent(what="research", version="1", given=True, at=NOW),
                Consent(what="research", version="1", given=False, at=NOW + 1),
            ),
        )
    )
    people.put_car(
        CarPeople(
            vin=VIN,
            managed=True,
            users={"p1": CarUser(role="primary", since=NOW)},
            licences=(
                Licence(id="l1", product="connect", packages=("safety", "remote"), begins=NOW, ends=NOW + DAY),
                Licence(id="l2", product="connect", packages=("remote",), begins=NOW + DAY, ends=NOW + 2 * DAY),
                Licence(id="l3", product="plus", packages=("online",), begins=NOW, ends=NOW + DAY, state="inactive"),
                Licence(id="l4", product="plus", packages=("maps",), begins=NOW, ends=NOW + DAY, state="withdrawn"),
            ),
            services_off=("honk",),
        )
    )
    rights = people.rights_of(VIN)
    assert rights is not None
    assert rights.users["p1"].identified
    assert rights.users["p1"].refused == ("research", "service_partner"), "the partner's wants a word of its own"
    assert rights.terms == {
        "safety": Terms(((NOW, NOW + DAY),)),
        "remote": Terms(((NOW, NOW + DAY), (NOW + DAY, NOW + 2 * DAY))),
        "online": Terms((), inactive=True),
        "maps": Terms(),
    }
    assert rights.services_off == ("honk",)


def test_a_change_of_a_person_touches_all_cars_of_that_person() -> None:
    people = People(Notes())
    people.put_account(ANNA)
    for vin in (VIN, "VSSZZZKMZPR000002"):
        people.put_car(CarPeople(vin=vin, users={"p1": CarUser(role="primary", since=NOW)}))
    people.take_touched()
    people.put_account(replace(ANNA, identified=NOW))
    assert people.take_touched() == [VIN, "VSSZZZKMZPR000002"]
    people.put_car(CarPeople(vin=VIN))
    assert people.cars_of("p1") == {"VSSZZZKMZPR000002"}
    people.drop_car("VSSZZZKMZPR000002")
    assert people.cars_of("p1") == frozenset()
    assert people.take_touched() == [VIN, "VSSZZZKMZPR000002"]


def test_a_session_ends_at_its_end_or_when_nobody_uses_it() -> None:
    people = People(Notes())
    people.put_account(ANNA)
    digest = digest_of("one")
    people.sessions.put(digest, Session(account="p1", device="phone", began=NOW, used=NOW, ends=NOW + DAY))
    assert people.in_session(digest, NOW + DAY - 1) == "p1"
    assert people.in_session(digest, NOW + DAY) is None
    assert people.in_session(digest_of("another"), NOW) is None
    people.put_account(replace(ANNA, relogin_min=5))
    assert people.in_session(digest, NOW + 5 * MINUTE - 1) == "p1"
    assert people.in_session(digest, NOW + 5 * MINUTE) is None
    people.drop_account("p1")
    assert people.in_session(digest, NOW) is None


def test_no_number_comes_twice() -> None:
    notes = Notes()
    assert [People(notes).next_number("invoice") for _ in range(3)] == [1, 2, 3]
    assert People(Notes(dict(notes))).next_number("invoice") == 4


def test_a_car_that_nobody_has_enrolled_or_registered_has_no_rights_to_judge_by() -> None:
    people = People(Notes())
    people.put_car(CarPeople(vin=VIN))
    assert people.rights_of(VIN) is None
    assert people.all_rights() == {}
    people.put_car(replace(people.car(VIN), managed=True))
    assert people.rights_of(VIN) is not None


def test_of_a_car_that_nobody_has_enrolled_its_licences_count_where_it_has_any() -> None:
    people = People(Notes())
    licence = Licence(id="l1", product="connect", packages=("remote",), begins=NOW, ends=NOW + DAY)
    people.put_car(CarPeople(vin=VIN, licences=(licence,), services_off=("honk",)))
    rights = people.rights_of(VIN)
    assert rights is not None
    assert not rights.people
    assert (rights.users, rights.services_off) == ({}, ("honk",))
    assert rights.terms == {"remote": Terms(((NOW, NOW + DAY),))}


@pytest.mark.parametrize("switched", [{"mode": "online"}, {"services_off": ("honk",)}])
def test_of_a_car_that_nobody_has_enrolled_the_switches_of_the_app_count_and_no_licence_is_missed(
    switched: dict[str, Any],
) -> None:
    people = People(Notes())
    people.put_car(replace(CarPeople(vin=VIN), **switched))
    rights = people.rights_of(VIN)
    assert rights is not None
    assert (rights.people, rights.terms) == (False, None)


def test_a_mode_that_nobody_has_turned_to_holds_since_ever() -> None:
    people = People(Notes())
    people.put_car(CarPeople(vin=VIN, managed=True, mode="online"))
    rights = people.rights_of(VIN)
    assert rights is not None
    assert rights.private == (Private(0, None, "online"),)
