"""A take-over: from that instant the previous owner has nothing of the car, in whatever order its messages arrive."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from fleet.cloud.desk_io import RightsChanged
from fleet.cloud.people.primary import TEXTS
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import AskCar, Keep, Mail, Proof
from fleet.kernel.instants import DAY
from tests.cloud.people.enrolling import ANNA, ATECA, BEA, BORN, CARL, FORMENTOR, LEON, EnrolLab


def sold() -> EnrolLab:
    """Return a lab in which Anna has a car that the car knows of, and Carl uses it, too; Bea is about to take it over."""
    lab = EnrolLab()
    lab.enrols(ANNA)
    lab.done("users", "invite", BORN, person=ANNA, email="p3@example.com", role="guest")
    lab.event("user_enrolled", BORN, user=CARL, role="guest")
    lab.now += DAY
    return lab


def test_who_takes_a_car_over_has_it_and_all_before_have_nothing() -> None:
    lab = sold()
    assert lab.done("enrol", "begin", BORN, person=BEA, way="qr").data["takes_over"]  # type: ignore[index]
    lab.enrols(BEA, at_home=False)
    assert lab.roles() == {BEA: "primary"}
    rights = lab.rights(BORN)
    assert rights is not None
    assert (set(rights.users), rights.users[BEA].since) == ({BEA}, lab.now)
    assert lab.told() == [(BEA, "enrolled"), (ANNA, "taken_over"), (CARL, "user_removed")]
    assert lab.people.cars_of(ANNA) == lab.people.cars_of(CARL) == frozenset()
    (asked,) = lab.asked_of_car()
    assert asked.parameters == {"user": BEA, "role": "primary", "takes_over": True}


def test_the_desk_hears_of_it_before_all_else() -> None:
    lab = sold()
    lab.enrols(BEA, at_home=False)
    kinds = [type(output) for output in lab.last if not isinstance(output, Keep)]
    assert kinds.index(RightsChanged) < min(kinds.index(AskCar), kinds.index(Mail))


def test_nothing_of_the_car_is_asked_for_by_the_previous_owner() -> None:
    lab = sold()
    lab.enrols(BEA)
    for person in (ANNA, CARL):
        for service, action, words in (
            ("users", "list", {}),
            ("users", "invite", {"email": "p1@example.com"}),
            ("users", "remove", {"user": BEA}),
            ("users", "leave", {}),
            ("enrol", "remove", {}),
        ):
            assert lab.refused(service, action, BORN, person=person, **words) == "insufficient_rights", (action, person)
    assert lab.done("enrol", "show", person=ANNA).data["cars"] == []  # type: ignore[index]


def test_a_car_that_was_reset_before_the_sale_is_free_and_nobody_is_told_of_a_take_over() -> None:
    lab = sold()
    lab.event("car_reset", BORN, by="car")
    assert not lab.done("enrol", "begin", BORN, person=BEA, way="qr").data["takes_over"]  # type: ignore[index]
    lab.enrols(BEA, at_home=False)
    assert lab.told() == [(BEA, "enrolled")]


def test_what_the_car_does_at_a_take_over_undoes_nothing() -> None:
    """It forgets all that the previous owner has left, and says so."""
    lab = sold()
    lab.enrols(BEA, at_home=False)
    lab.event("car_reset", BORN, by="enrolment")
    lab.event("car_paired", BORN)
    assert lab.roles() == {BEA: "primary"}
    lab.event("user_enrolled", BORN, user=BEA, role="primary")
    assert lab.roles() == {BEA: "primary"}
    assert lab.asked_of_car() == []


def test_an_additional_user_who_takes_the_car_over_is_its_primary_user() -> None:
    lab = sold()
    lab.enrols(CARL, at_home=False)
    assert lab.roles() == {CARL: "primary"}
    assert lab.told() == [(CARL, "enrolled"), (ANNA, "taken_over")]


def test_a_purchase_of_a_purchase() -> None:
    lab = sold()
    lab.enrols(BEA)
    lab.enrols(ANNA)
    assert lab.roles() == {ANNA: "primary"}
    assert lab.people.cars_of(ANNA) == {BORN}


# --- orders

SHOWN, HOME = 10, 20
"""Numbers of the QR code by which Bea enrols, and of the car's word that she is at home."""


def bea_enrols(lab: EnrolLab) -> None:
    lab.accepts(BEA)
    lab.at("qr_shown", SHOWN, code="NOW")
    lab.done("enrol", "scan", BORN, person=BEA, code="NOW")


def late(number: int, **data: Any) -> Any:
    return lambda lab: lab.at("car_reset", number, by="car", **data)


def home(lab: EnrolLab) -> None:
    lab.at("user_enrolled", HOME, user=BEA, role="primary")


def later_home(lab: EnrolLab) -> None:
    lab.at("user_enrolled", HOME + 1, user=CARL, role="additional")


@pytest.mark.parametrize(("reset", "before"), [(SHOWN - 1, 0), (SHOWN - 1, 1), (SHOWN - 1, 2), (SHOWN - 1, 3), (SHOWN + 1, 0)])
def test_a_reset_of_before_she_is_at_home_never_undoes_it(reset: int, before: int) -> None:
    """Neither the previous owner's, nor one between the code and the car's word: the car obeyed after it."""
    for order in permutations([late(reset), late(SHOWN - 2), home]):
        lab = EnrolLab()
        lab.enrols(ANNA)
        for step in order[:before]:
            if step is not home:
                step(lab)
        bea_enrols(lab)
        for step in order:
            if step is home or order.index(step) >= before:
                step(lab)
        assert lab.roles() == {BEA: "primary"}
        assert not lab.car().users[BEA].awaited


def test_a_reset_of_after_she_is_at_home_frees_the_car_in_any_order() -> None:
    for order in permutations([late(HOME + 1), late(SHOWN - 2), home]):
        lab = EnrolLab()
        lab.enrols(ANNA)
        bea_enrols(lab)
        for step in order:
            step(lab)
        assert lab.roles() == {}


@pytest.mark.parametrize("deleted", [HOME, HOME + 2])
def test_a_deletion_counts_by_its_number(deleted: int) -> None:
    """Of a user who was named once more, or not."""
    for order in permutations([late(deleted, user=CARL), home, later_home]):
        lab = EnrolLab()
        bea_enrols(lab)
        lab.done("users", "invite", BORN, person=BEA, email="p3@example.com")
        for step in order:
            step(lab)
        expected = {BEA: "primary"} if deleted > HOME + 1 else {BEA: "primary", CARL: "additional"}
        assert lab.roles() == expected, deleted


@pytest.mark.parametrize("number", [SHOWN - 1, SHOWN + 1])
def test_a_reset_counts_for_somebody_whom_the_car_could_not_take(number: int) -> None:
    """The newest that is known of her is the code on the screen."""
    for resets_first in (True, False):
        lab = EnrolLab()
        bea_enrols(lab)
        (asked,) = lab.asked_of_car()
        if resets_first:
            lab.at("car_reset", number, by="car")
        lab.ends(asked, "rejected", "deep_sleep")
        if not resets_first:
            lab.at("car_reset", number, by="car")
        assert lab.roles() == ({BEA: "primary"} if number < SHOWN or not resets_first else {})


def test_what_the_previous_owner_had_begun_is_worth_nothing_in_a_car_that_was_reset() -> None:
    """A code that the car showed before is none any more."""
    lab = EnrolLab()
    lab.accepts(BEA)
    lab.at("qr_shown", SHOWN, code="NOW")
    lab.at("car_reset", SHOWN + 1, by="car")
    assert lab.refused("enrol", "scan", BORN, person=BEA, code="NOW") == "code_wrong"


def test_no_note_holds_a_code() -> None:
    lab = EnrolLab()
    lab.done("enrol", "begin", "VSSZZZKHZP6000001", person=ANNA, way="code")
    assert digest_of("x")[:7] in str(lab.again().notes)


def test_an_enrolment_begins_the_free_term_and_shows_that_services_are_active() -> None:
    lab = EnrolLab()
    lab.enrols(ANNA)
    assert [asked.parameters for asked in lab.those(AskCar) if asked.name == "show_notice"] == [{"kind": "activation"}]
    lab.event("user_enrolled", BORN, user=ANNA, role="primary")
    assert lab.those(AskCar) == [], "it is shown once"
    car = lab.people.cars[BORN]
    assert [(held.product, held.begins) for held in car.licences] == [("connect", car.registered)]


def test_what_the_new_owner_keeps_private_stays_so_when_the_car_forgets_the_previous_one() -> None:
    """Of the car's own settings nothing is left, and the app wins nothing by that."""
    lab = sold()
    lab.enrols(BEA, at_home=False)
    lab.done("privacy", "set", BORN, person=BEA, mode="offline")
    lab.event("car_reset", BORN, by="enrolment")
    rights = lab.rights(BORN)
    assert rights is not None
    assert rights.mode == "offline"


# --- a car that is switched to silence is enrolled by nobody, also when it was before anybody knew of it


def test_no_qr_code_enrols_a_silent_car() -> None:
    lab = EnrolLab()
    lab.event("privacy_changed", BORN, mode="offline", services_off=[])
    assert BORN not in lab.people.cars
    lab.accepts(ANNA)
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows()) == "privacy_offline"
    lab.event("privacy_changed", BORN, mode="online", services_off=[])
    lab.done("enrol", "scan", BORN, person=ANNA, code=lab.shows())


def test_no_code_and_no_keys_enrol_a_silent_car() -> None:
    lab = EnrolLab()
    for vin in (ATECA, LEON):
        lab.event("privacy_changed", vin, mode="maximum_privacy", services_off=[])
    secrets = lab.done("enrol", "begin", ATECA, person=ANNA, way="code").secrets
    assert secrets is not None
    assert lab.types(secrets["code"]).error == "privacy_offline"
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    assert lab.request("enrolment", LEON, way="two_keys").error == "privacy_offline"
    assert not lab.roles(ATECA)
    assert not lab.roles(LEON)


def test_no_assistant_enrols_a_silent_car() -> None:
    lab = EnrolLab()
    lab.event("privacy_changed", FORMENTOR, mode="maximum_privacy", services_off=[])
    proofs = {"spin": Proof(right=True, account=ANNA)}
    began = lab.request("enrolment", FORMENTOR, proofs=proofs, way="assistant", user=ANNA)
    assert began.data.get("state") == "consents", began.error
    reply = lab.request("enrolment", FORMENTOR, way="assistant", step="accept", user=ANNA, consents=[*TEXTS])
    assert reply.error == "privacy_offline"
    assert not lab.roles(FORMENTOR)
