"""Who names, allows and removes users of a car, and how the car is kept in step."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.desk_io import RightsChanged
from fleet.cloud.people.at_home import AGAIN_AFTER
from fleet.cloud.people.guessing import ADDRESSES
from fleet.cloud.people.people import rights_in
from fleet.cloud.people.users import USERS
from fleet.cloud.rights import ALLOWABLE, command_doing, refusal
from fleet.cloud.rule import ClockMoved
from fleet.kernel.instants import DAY, MINUTE
from tests.cloud.people.enrolling import ANNA, BEA, BORN, CARL, TAVASCAN, EnrolLab, account_of

BEA_MAIL = "p2@example.com"


def family(**more: Any) -> EnrolLab:
    """Return a lab in which Anna has a car, and Bea is an additional user of it, known to the car."""
    lab = EnrolLab()
    lab.enrols(ANNA)
    lab.done("users", "invite", BORN, person=ANNA, email=BEA_MAIL, **more)
    lab.event("user_enrolled", BORN, user=BEA, role="additional")
    return lab


def may(lab: EnrolLab, person: str, command: str) -> bool:
    rights = lab.rights(BORN)
    assert rights is not None
    why = refusal(rights, None, person, command_doing(command), lab.now)
    return why is None or why[0] != "insufficient_rights"


# --- named


def test_an_owner_learns_of_some_addresses_a_day_whether_they_have_an_account_and_of_no_more() -> None:
    lab = EnrolLab()
    lab.enrols(ANNA)
    for number in range(ADDRESSES):
        assert lab.refused("users", "invite", BORN, person=ANNA, email=f"x{number}@example.com") == "not_found"
    known, unknown = (lab.ask("users", "invite", BORN, person=ANNA, email=email) for email in (BEA_MAIL, "nobody@example.com"))
    assert known.reason == "too_many_tries"
    assert (known.reason, known.detail) == (unknown.reason, unknown.detail)
    lab.enrols(CARL, TAVASCAN)
    lab.done("users", "invite", TAVASCAN, person=CARL, email=BEA_MAIL)
    lab.now += DAY
    lab.done("users", "invite", BORN, person=ANNA, email=BEA_MAIL)


def test_the_primary_user_names_another_one() -> None:
    lab = EnrolLab()
    lab.enrols(ANNA)
    answer = lab.done("users", "invite", BORN, person=ANNA, email=" P2@Example.com")
    assert answer.data == {"user": BEA, "role": "additional"}
    (asked,) = lab.asked_of_car()
    assert (asked.name, asked.parameters) == ("enrol_user", {"user": BEA, "role": "additional"})
    assert lab.told() == [(BEA, "user_added")]
    rights = lab.rights(BORN)
    assert rights is not None
    assert (rights.users[BEA].role, rights.primary) == ("additional", ANNA)


def test_whom_nobody_names_is_the_primary_user() -> None:
    """A trusted tool speaks for the primary user, and says so or says nothing."""
    lab = family()
    lab.done("users", "list", BORN)
    lab.done("users", "list", BORN, person="primary")
    assert lab.refused("users", "list", BORN, person="nobody") == "insufficient_rights"
    assert lab.refused("users", "list", TAVASCAN) == "insufficient_rights"


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("nobody@example.com", "not_found"),
        ("p3@example.com", "not_found"),
        (CARL, "not_found"),
        (BEA_MAIL, "already_user"),
        ("p1@example.com", "already_user"),
    ],
)
def test_only_somebody_with_a_confirmed_account_is_named_and_by_the_address(email: str, reason: str) -> None:
    """That there is no such account, and that it is not confirmed, is told alike."""
    lab = family()
    lab.people.put_account(account_of(CARL, confirmed=False))
    assert lab.refused("users", "invite", BORN, person=ANNA, email=email) == reason


def test_a_car_has_five_users() -> None:
    lab = family()
    for number in range(10, 10 + USERS - 2):
        lab.people.put_account(account_of(f"p{number}"))
        lab.done("users", "invite", BORN, person=ANNA, email=f"p{number}@example.com", role="guest")
    assert len(lab.roles()) == USERS == 5
    assert lab.refused("users", "invite", BORN, person=ANNA, email="p3@example.com") == "too_many_users"
    lab.done("users", "remove", BORN, person=ANNA, user="p10")
    lab.done("users", "invite", BORN, person=ANNA, email="p3@example.com")


@pytest.mark.parametrize("person", [BEA, CARL])
def test_nobody_else_names_allows_or_removes(person: str) -> None:
    lab = family()
    asked = {"invite": {"email": "p3@example.com"}, "allow": {"user": BEA}, "remove": {"user": ANNA}}
    for action, words in asked.items():
        assert lab.refused("users", action, BORN, person=person, **words) == "insufficient_rights", action


def test_a_guest_deletes_nobody_but_leaves() -> None:
    lab = family(role="guest")
    assert lab.refused("users", "remove", BORN, person=BEA, user=ANNA) == "insufficient_rights"
    lab.done("users", "remove", BORN, person=BEA, user=BEA)
    assert lab.roles() == {ANNA: "primary"}
    lab = family(role="guest")
    lab.done("users", "leave", BORN, person=BEA)
    assert lab.roles() == {ANNA: "primary"}


# --- allowed


def test_what_is_allowed_takes_the_place_of_what_the_role_may() -> None:
    lab = family()
    assert (may(lab, BEA, "honk"), may(lab, BEA, "lock")) == (True, False)
    lab.done("users", "allow", BORN, person=ANNA, user=BEA, services=["lock", "lock"])
    assert (may(lab, BEA, "honk"), may(lab, BEA, "lock")) == (False, True)
    lab.done("users", "allow", BORN, person=ANNA, user=BEA)
    assert (may(lab, BEA, "honk"), may(lab, BEA, "lock")) == (True, False)


def test_nothing_is_allowed_that_changes_car_contract_users_or_security() -> None:
    lab = family()
    for service in ("reset", "system_update", "enrol_user", "show_notice", "store_purchase", "dance"):
        assert lab.refused("users", "allow", BORN, person=ANNA, user=BEA, services=[service]) == "argument_out_of_range"
    lab.done("users", "allow", BORN, person=ANNA, user=BEA, services=sorted(ALLOWABLE))
    assert not may(lab, BEA, "reset")


def test_a_guest_is_allowed_nothing() -> None:
    lab = family(role="guest")
    assert lab.refused("users", "allow", BORN, person=ANNA, user=BEA, services=["honk"]) == "insufficient_rights"
    assert lab.refused("users", "allow", BORN, person=ANNA, user=ANNA, services=["honk"]) == "insufficient_rights"
    assert lab.refused("users", "allow", BORN, person=ANNA, user=CARL, services=["honk"]) == "not_found"


# --- removed


def test_whom_the_primary_user_removes_has_no_rights_at_once_and_the_car_forgets() -> None:
    lab = family()
    lab.done("users", "remove", BORN, person=ANNA, user=BEA_MAIL)
    (asked,) = lab.asked_of_car()
    assert (asked.name, asked.parameters) == ("reset", {"user": BEA})
    assert lab.told() == [(BEA, "user_removed")]
    rights = lab.rights(BORN)
    assert rights is not None
    assert set(rights.users) == {ANNA}
    assert lab.people.cars_of(BEA) == frozenset()
    assert lab.car().forgetting == (BEA,)
    lab.event("car_reset", BORN, user=BEA, by="app")
    assert lab.car().forgetting == ()


def test_a_car_keeps_its_primary_user() -> None:
    lab = family()
    assert lab.refused("users", "leave", BORN, person=ANNA) == "not_possible"
    assert lab.refused("users", "remove", BORN, person=ANNA, user=ANNA) == "not_possible"


def test_a_car_that_its_primary_user_takes_out_of_the_garage_is_free() -> None:
    lab = family()
    lab.done("enrol", "remove", BORN, person=ANNA)
    (asked,) = lab.asked_of_car()
    assert (asked.name, asked.parameters) == ("reset", {})
    assert sorted(lab.told()) == [(ANNA, "user_removed"), (BEA, "user_removed")]
    rights = lab.rights(BORN)
    assert rights is not None
    assert rights.users == {}
    lab.event("car_reset", BORN, by="app")
    lab.event("car_paired", BORN)
    assert lab.roles() == {}, "whoever pairs it in the old way has no rights"
    lab.enrols(BEA)
    assert lab.told() == []


def test_an_additional_user_takes_the_car_out_of_the_own_garage() -> None:
    lab = family()
    lab.done("enrol", "remove", BORN, person=BEA)
    assert lab.roles() == {ANNA: "primary"}
    assert lab.refused("enrol", "remove", BORN, person=BEA) == "insufficient_rights"


def test_users_see_themselves_and_the_primary_one_all() -> None:
    lab = family()
    users: Any = lab.done("users", "list", BORN, person=ANNA).data
    assert [(each["user"], each["role"], each["in_car"]) for each in users["users"]] == [
        (ANNA, "primary", True), (BEA, "additional", True),
    ]  # fmt: skip
    users = lab.done("users", "list", BORN, person=BEA).data
    assert [each["user"] for each in users["users"]] == [BEA]
    assert lab.refused("users", "list", BORN, person=CARL) == "insufficient_rights"
    assert "example.com" not in str(users)


# --- deleted in the car


def test_who_is_deleted_in_the_car_has_no_rights_any_more() -> None:
    lab = family()
    lab.event("car_reset", BORN, user=BEA, by="car")
    assert lab.told() == [(BEA, "user_removed")]
    assert lab.roles() == {ANNA: "primary"}
    assert lab.asked_of_car() == []


@pytest.mark.parametrize("data", [{"by": "car"}, {"user": ANNA, "by": "car"}, {"user": "primary", "by": "car"}])
def test_factory_settings_free_the_car(data: dict[str, str]) -> None:
    lab = family()
    lab.event("car_reset", BORN, **data)
    assert lab.roles() == {}
    assert sorted(lab.told()) == [(ANNA, "user_removed"), (BEA, "user_removed")]
    rights = lab.rights(BORN)
    assert rights is not None
    assert rights.users == {}


def test_what_cannot_be_read_removes_nobody() -> None:
    lab = family()
    for name, data in (("car_reset", {"user": 5}), ("user_enrolled", {}), ("user_enrolled", {"user": ["x"]})):
        lab.event(name, BORN, **data)
        assert lab.roles() == {ANNA: "primary", BEA: "additional"}
    lab.event("car_reset", TAVASCAN, by="car")
    assert TAVASCAN not in lab.people.cars


def test_a_car_that_has_somebody_at_home_who_was_removed_is_told_so() -> None:
    """But not of somebody of whom the back end knows nothing, or who was there before a reset."""
    lab = family()
    lab.done("users", "remove", BORN, person=ANNA, user=BEA)
    lab.event("user_enrolled", BORN, user=BEA, role="additional")
    assert [asked.parameters for asked in lab.asked_of_car()] == [{"user": BEA}]
    lab.event("user_enrolled", BORN, user="p99", role="additional")
    assert lab.asked_of_car() == []
    lab.at("car_reset", 100, by="car")
    lab.at("user_enrolled", 99, user=BEA, role="additional")
    assert lab.asked_of_car() == []


# --- what a car does not take


@pytest.mark.parametrize("state", ["expired", "unknown", "rejected", "failed"])
def test_a_car_is_told_again_of_a_user(state: Any) -> None:
    lab = EnrolLab()
    (asked,) = lab.enrols(ANNA, at_home=False)
    lab.ends(asked, state, "privacy_offline")
    assert lab.wait(AGAIN_AFTER - MINUTE) == []
    lab.wait(MINUTE)
    (again,) = lab.asked_of_car()
    assert (again.parameters, again.id != asked.id) == (asked.parameters, True)
    lab.ends(again, "succeeded")
    lab.event("user_enrolled", BORN, user=ANNA, role="primary")
    lab.wait(3 * DAY)
    assert lab.asked_of_car() == []


def test_a_car_is_told_again_whom_to_forget_also_after_a_restart() -> None:
    lab = family()
    lab.done("users", "remove", BORN, person=ANNA, user=BEA)
    (asked,) = lab.asked_of_car()
    lab.ends(asked, "rejected", "deep_sleep")
    lab.last = []
    kept = lab.again()
    restarted = EnrolLab(kept.notes)
    restarted.now = lab.now
    restarted.wait(AGAIN_AFTER)
    assert [again.parameters for again in restarted.asked_of_car()] == [{"user": BEA}]
    restarted.event("car_reset", BORN, boot=2, user=BEA, by="app")
    restarted.ends(asked, "expired")
    restarted.wait(2 * DAY)
    assert restarted.asked_of_car() == []


def test_a_car_is_told_again_as_long_after_when_scenario_time_is_set_anew() -> None:
    lab = EnrolLab()
    (asked,) = lab.enrols(ANNA, at_home=False)
    lab.ends(asked, "expired")
    lab.now += 10 * DAY
    lab.give(ClockMoved(10 * DAY))
    lab.wait(AGAIN_AFTER - MINUTE)
    assert lab.asked_of_car() == []
    lab.wait(MINUTE)
    assert len(lab.asked_of_car()) == 1


def test_a_car_is_not_told_again_of_somebody_who_is_gone_or_after_it_was_erased() -> None:
    lab = EnrolLab()
    (asked,) = lab.enrols(ANNA, at_home=False)
    lab.ends(asked, "expired")
    lab.people.drop_car(BORN)
    lab.wait(2 * DAY)
    assert lab.asked_of_car() == []
    lab.ends(asked, "expired")
    lab.enrols(ANNA)
    lab.ends(asked, "expired")
    lab.wait(2 * DAY)
    assert lab.asked_of_car() == [], "the car has said meanwhile that she is at home"


def test_somebody_named_again_while_the_car_forgets_stays() -> None:
    """The car does both in this order; what it says of the first does not undo the second."""
    lab = family()
    lab.done("users", "remove", BORN, person=ANNA, user=BEA)
    lab.done("users", "invite", BORN, person=ANNA, email=BEA_MAIL, role="guest")
    lab.event("car_reset", BORN, user=BEA, by="app")
    assert lab.roles() == {ANNA: "primary", BEA: "guest"}
    lab.event("user_enrolled", BORN, user=BEA, role="guest")
    assert lab.roles() == {ANNA: "primary", BEA: "guest"}
    lab.event("car_reset", BORN, user=BEA, by="car")
    assert lab.roles() == {ANNA: "primary"}


def test_a_garage_that_is_full_takes_no_car_of_others() -> None:
    lab = family()
    for number in range(50):
        vin = f"VSSZZZK1ZPP1{number:05}"
        lab.people.put_car(replace(lab.car(vin), users={CARL: lab.car().users[ANNA]}))
    assert lab.refused("users", "invite", BORN, person=ANNA, email="p3@example.com") == "garage_full"


# --- scenario time


def since(lab: EnrolLab) -> list[int]:
    """Return since when the desk has each user of the car see what it measures."""
    rights = lab.rights(BORN)
    assert rights is not None
    return [user.since for user in rights.users.values()]


def test_after_the_clock_was_set_back_users_see_what_is_measured_now() -> None:
    """The desk is told at once; a clock that is set forward changes nothing."""
    lab = family()
    begun = lab.now
    lab.set_clock(DAY)
    assert since(lab) == [begun, begun]
    lab.set_clock(-31 * DAY)
    assert len(lab.those(RightsChanged)) == 1
    assert since(lab) == [lab.now, lab.now]
    assert rights_in(lab.again().notes) == {BORN: lab.rights(BORN)}


@pytest.mark.parametrize("given_back", [False, True])
def test_who_had_the_car_before_is_not_seen_when_the_clock_is_set_back(given_back: bool) -> None:
    """What the car of Anna measured in the days that come again is none of Bea's affair, whoever gave it to her."""
    lab = EnrolLab()
    lab.enrols(ANNA)
    lab.wait(2 * DAY)
    if given_back:
        lab.done("enrol", "remove", BORN, person=ANNA)
        lab.event("car_reset", BORN)
    lab.enrols(BEA)
    taken = lab.now
    lab.set_clock(-DAY)
    assert since(lab) == [taken]
