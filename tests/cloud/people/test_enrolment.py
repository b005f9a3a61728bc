"""Each way to enrol, step by step, and what is refused on the way."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.people.enrolment import BEGUN_LASTS, BEGUN_MOST, CODE_LASTS, FRESH_CODE, KEYS_LAST, QR_LASTS
from fleet.cloud.people.guessing import WRONG_IN_CAR
from fleet.cloud.people.primary import GARAGE
from fleet.cloud.people.privacy import with_mode
from fleet.cloud.people.records import CarUser
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import ClockMoved, Proof
from fleet.kernel.instants import DAY, MINUTE, SECOND
from fleet.wire.messages import Reply
from fleet.wire.requests import requests
from tests.cloud.people.enrolling import ALL_TEXTS, ANNA, ATECA, BEA, BORN, CARL, FORMENTOR, LEON, TAVASCAN, EnrolLab, account_of

SPIN = {"spin": Proof(right=True, account=ANNA)}


# --- by QR code


def test_by_qr_code() -> None:
    lab = EnrolLab()
    begun = lab.done("enrol", "begin", BORN, person=ANNA, way="qr")
    assert begun.data == {"way": "qr", "step": "consents", "until": lab.now + BEGUN_LASTS, "takes_over": False}
    assert lab.done("enrol", "consents", BORN, person=ANNA, **ALL_TEXTS).data["step"] == "scan"  # type: ignore[index]
    code = lab.shows()
    assert lab.rights(BORN) is None
    assert lab.done("enrol", "scan", BORN, person=ANNA, code=code).data["step"] == "enrolled"  # type: ignore[index]
    assert lab.roles() == {ANNA: "primary"}
    rights = lab.rights(BORN)
    assert rights is not None
    assert (rights.primary, rights.users[ANNA].since, rights.generation) == (ANNA, lab.now, "G4")
    (asked,) = lab.asked_of_car()
    assert (asked.vin, asked.name, asked.parameters) == (BORN, "enrol_user", {"user": ANNA, "role": "primary"})
    assert lab.told() == [(ANNA, "enrolled")]
    assert {(each.what, each.vin) for each in lab.people.accounts[ANNA].consents} == {
        ("privacy", ""), ("terms", ""), ("contract", BORN),
    }  # fmt: skip
    assert lab.car().users[ANNA].awaited
    lab.event("user_enrolled", BORN, user=ANNA, role="primary")
    assert not lab.car().users[ANNA].awaited
    assert lab.again().people.car(BORN) == lab.car()


@pytest.mark.parametrize("text", ALL_TEXTS)
def test_nobody_is_enrolled_without_accepting_each_text(text: str) -> None:
    lab = EnrolLab()
    lab.done("enrol", "begin", BORN, person=ANNA, way="qr")
    assert lab.refused("enrol", "consents", BORN, person=ANNA, **(ALL_TEXTS | {text: False})) == "consent_missing"
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows()) == "consent_missing"


def test_a_qr_code_is_good_for_five_minutes() -> None:
    for after, reason in ((QR_LASTS - 1, None), (QR_LASTS, "code_expired"), (QR_LASTS + 1, "code_expired")):
        lab = EnrolLab()
        lab.accepts(ANNA)
        code = lab.shows()
        lab.now += after
        answer = lab.ask("enrol", "scan", BORN, person=ANNA, code=code)
        assert answer.reason == reason, after
        assert (lab.roles() == {ANNA: "primary"}) == (reason is None)
    assert QR_LASTS == 5 * MINUTE


def test_a_car_does_not_say_how_long_its_code_is_good() -> None:
    """Nor does a clock of the car that is ahead."""
    lab = EnrolLab()
    lab.accepts(ANNA)
    code = lab.shows(until=lab.now + DAY)
    lab.now += QR_LASTS
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=code) == "code_expired"
    lab.now -= DAY
    code = lab.shows()
    lab.accepts(ANNA)
    shown = lab.car().qr
    assert shown is not None
    assert shown.shown == lab.now


def test_a_qr_code_is_good_once() -> None:
    lab = EnrolLab()
    lab.accepts(ANNA)
    code = lab.shows()
    lab.done("enrol", "scan", BORN, person=ANNA, code=code)
    lab.accepts(BEA)
    assert lab.refused("enrol", "scan", BORN, person=BEA, code=code) == "code_used"
    assert lab.roles() == {ANNA: "primary"}


def test_the_code_from_which_the_vin_was_read_does_not_end_it() -> None:
    """A second one does."""
    lab = EnrolLab()
    first = lab.shows()
    lab.done("enrol", "begin", BORN, person=ANNA, way="qr", code=first)
    lab.done("enrol", "consents", BORN, person=ANNA, **ALL_TEXTS)
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=first) == "code_used"
    lab.done("enrol", "scan", BORN, person=ANNA, code=lab.shows())


def test_the_code_of_another_car_and_one_that_was_replaced_are_wrong() -> None:
    lab = EnrolLab()
    lab.accepts(ANNA)
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows(TAVASCAN)) == "code_wrong"
    old = lab.shows()
    lab.shows()
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=old) == "code_wrong"
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code="ü") == "code_wrong"


def test_codes_that_arrive_in_another_order_than_they_were_shown() -> None:
    lab = EnrolLab()
    lab.at("qr_shown", 5, code="NEW")
    lab.at("qr_shown", 4, code="OLD")
    assert lab.car().qr is not None
    assert lab.car().qr.code == "NEW"  # type: ignore[union-attr]
    lab.at("car_reset", 6, by="car")
    assert lab.car().qr is None
    lab.at("qr_shown", 3, code="OLDEST")
    assert lab.car().qr is None


def test_a_code_that_cannot_be_read_is_none() -> None:
    lab = EnrolLab()
    for data in ({}, {"code": 5}, {"code": ""}, {"code": "x" * 65}):
        lab.event("qr_shown", BORN, **data)
    assert BORN not in lab.people.cars


def test_a_car_whose_model_is_another_than_its_vin_says_is_not_enrolled() -> None:
    lab = EnrolLab()
    lab.accepts(ANNA)
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows(model="Tavascan")) == "incompatible_car"


def test_nobody_goes_on_with_what_was_not_begun_or_took_too_long() -> None:
    lab = EnrolLab()
    assert lab.refused("enrol", "consents", BORN, person=ANNA, **ALL_TEXTS) == "nothing_begun"
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code="X") == "nothing_begun"
    lab.accepts(ANNA)
    assert lab.refused("enrol", "scan", BORN, person=BEA, code=lab.shows()) == "nothing_begun"
    lab.now += BEGUN_LASTS
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows()) == "nothing_begun"
    lab.accepts(ANNA)
    lab.done("enrol", "cancel", BORN, person=ANNA)
    assert lab.refused("enrol", "cancel", BORN, person=ANNA) == "nothing_begun"
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows()) == "nothing_begun"


# --- who and what


@pytest.mark.parametrize(
    ("vin", "reason"),
    [
        ("VSSZZZKIZPR000001", "invalid_vin"),
        ("VSSZZZKOZPR000001", "invalid_vin"),
        ("VSSZZZKQZPR000001", "invalid_vin"),
        ("WVWZZZK1ZPP000001", "incompatible_car"),
        (LEON, "wrong_way"),
    ],
)
def test_a_vin_that_cannot_be_enrolled_so(vin: str, reason: str) -> None:
    assert EnrolLab().refused("enrol", "begin", vin, person=ANNA, way="qr") == reason


def test_the_assistant_begins_in_the_car() -> None:
    assert EnrolLab().refused("enrol", "begin", LEON, person=ANNA, way="assistant") == "wrong_way"


def test_whoever_enrols_has_an_account_with_a_confirmed_address() -> None:
    lab = EnrolLab()
    assert lab.refused("enrol", "begin", BORN, way="qr") == "insufficient_rights"
    assert lab.refused("enrol", "begin", BORN, person="nobody", way="qr") == "insufficient_rights"
    lab.people.put_account(account_of(ANNA, confirmed=False))
    assert lab.refused("enrol", "begin", BORN, person=ANNA, way="qr") == "address_not_confirmed"


def test_a_garage_holds_fifty_cars() -> None:
    """Those that are being enrolled take their places; the 51st finds none."""
    lab = EnrolLab()
    for number in range(GARAGE - 1):
        vin = f"VSSZZZK1ZPP1{number:05}"
        lab.people.put_car(replace(lab.car(vin), users={ANNA: CarUser(role="primary", since=1)}))
    lab.accepts(ANNA)
    assert lab.refused("enrol", "begin", TAVASCAN, person=ANNA, way="qr") == "garage_full"
    lab.done("enrol", "scan", BORN, person=ANNA, code=lab.shows())
    assert len(lab.people.cars_of(ANNA)) == GARAGE
    assert lab.refused("enrol", "begin", TAVASCAN, person=ANNA, way="qr") == "garage_full"
    lab.done("enrol", "remove", BORN, person=ANNA)
    lab.done("enrol", "begin", TAVASCAN, person=ANNA, way="qr")


def test_what_was_not_ended_in_time_takes_no_place_and_nothing_of_it_is_kept() -> None:
    """Also of cars that do not exist: whoever types VINs fills nothing."""
    lab = EnrolLab()
    for number in range(GARAGE):
        lab.done("enrol", "begin", f"VSSZZZK1ZPP1{number:05}", person=ANNA, way="qr")
    assert lab.refused("enrol", "begin", BORN, person=ANNA, way="qr") == "garage_full"
    lab.now += BEGUN_LASTS
    lab.done("enrol", "begin", BORN, person=ANNA, way="qr")
    assert set(lab.people.cars) == {BORN}
    lab.done("enrol", "cancel", BORN, person=ANNA)
    assert set(lab.people.cars) == set()


def test_a_garage_that_has_filled_up_meanwhile_takes_no_car() -> None:
    lab = EnrolLab()
    lab.accepts(ANNA)
    for number in range(GARAGE):
        vin = f"VSSZZZK1ZPP1{number:05}"
        lab.people.put_car(replace(lab.car(vin), users={ANNA: CarUser(role="guest", since=1)}))
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows()) == "garage_full"


def test_nobody_enrols_a_car_twice() -> None:
    lab = EnrolLab()
    lab.enrols(ANNA)
    assert lab.refused("enrol", "begin", BORN, person=ANNA, way="qr") == "already_enrolled"


def test_a_car_that_was_switched_to_maximum_privacy_is_not_enrolled() -> None:
    """What the previous owner has chosen in the app keeps nobody from taking the car over."""
    lab = EnrolLab()
    lab.accepts(ANNA)
    lab.event("privacy_changed", BORN, mode="offline", services_off=[])
    assert lab.refused("enrol", "scan", BORN, person=ANNA, code=lab.shows()) == "privacy_offline"
    lab.event("privacy_changed", BORN, mode="online_with_location", services_off=[])
    lab.people.put_car(replace(with_mode(lab.car(), "offline", lab.now), mode_by="app", services_off=("honk",)))
    lab.done("enrol", "scan", BORN, person=ANNA, code=lab.shows())
    rights = lab.rights(BORN)
    assert rights is not None
    assert (rights.mode, rights.services_off) == ("online_with_location", ())


def test_of_people_who_begin_with_one_car_the_oldest_makes_room() -> None:
    """A VIN can be read through the windscreen: strangers who have begun keep the owner from nothing."""
    lab = EnrolLab()
    for number in range(BEGUN_MOST):
        lab.people.put_account(account_of(f"p1{number}"))
        lab.done("enrol", "begin", ATECA, person=f"p1{number}", way="code")
        lab.now += SECOND
    code = code_of(lab, ANNA)
    assert [*lab.car(ATECA).enrolments] == [*(f"p1{number}" for number in range(1, BEGUN_MOST)), ANNA]
    lab.now += 300 * DAY
    assert lab.types(code).error is None
    assert lab.roles(ATECA) == {ANNA: "primary"}


def test_whoever_begins_again_takes_no_second_place() -> None:
    lab = EnrolLab()
    for person in (ANNA, BEA, ANNA):
        lab.done("enrol", "begin", BORN, person=person, way="qr")
        lab.now += SECOND
    assert [*lab.car().enrolments] == [BEA, ANNA]
    lab.now += BEGUN_LASTS
    lab.done("enrol", "begin", BORN, person=CARL, way="qr")
    assert set(lab.car().enrolments) == {CARL}


def test_the_garage_is_shown() -> None:
    lab = EnrolLab()
    lab.enrols(ANNA)
    lab.done("enrol", "begin", TAVASCAN, person=ANNA, way="qr")
    shown: Any = lab.done("enrol", "show", person=ANNA).data
    assert shown["cars"] == [{"vin": BORN, "role": "primary", "since": lab.now}]
    assert [(each["vin"], each["step"]) for each in shown["enrolments"]] == [(TAVASCAN, "consents")]
    assert lab.done("enrol", "show", TAVASCAN, person=ANNA).data["cars"] == []  # type: ignore[index]
    lab.now += BEGUN_LASTS
    assert lab.done("enrol", "show", person=ANNA).data["enrolments"] == []  # type: ignore[index]


# --- by both keys


def test_by_both_keys() -> None:
    lab = EnrolLab()
    assert lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys").data["step"] == "keys"  # type: ignore[index]
    lab.event("key_presented", LEON, key="first")
    lab.event("key_presented", LEON, key="second")
    assert lab.roles(LEON) == {}
    reply = lab.request("enrolment", LEON, way="two_keys")
    assert (reply.error, reply.data) == (None, {"state": "enrolled", "user": ANNA, "role": "primary"})
    assert lab.roles(LEON) == {ANNA: "primary"}
    assert lab.people.accounts[ANNA] == account_of(ANNA), "nobody has shown a text, and none is recorded"


@pytest.mark.parametrize("missing", ["terms", "privacy"])
@pytest.mark.parametrize(("way", "vin"), [("two_keys", LEON), ("code", ATECA)])
def test_by_keys_and_by_code_nobody_enrols_whose_account_has_not_accepted_terms_and_privacy(
    way: str, vin: str, missing: str
) -> None:
    """On these ways no text is shown. What is taken back after the beginning counts, too."""
    lab = EnrolLab()
    has = {"terms": "privacy", "privacy": "terms"}[missing]
    lab.people.put_account(account_of(ANNA, accepted=(has,)))
    assert lab.refused("enrol", "begin", vin, person=ANNA, way=way) == "consent_missing"
    lab.people.put_account(account_of(ANNA))
    secrets = lab.done("enrol", "begin", vin, person=ANNA, way=way).secrets or {}
    lab.done("account", "consent", person=ANNA, what=missing, version="1", given=False)

    def ends() -> Reply:
        return lab.types(secrets["code"]) if way == "code" else lab.request("enrolment", vin, way=way)

    assert ends().error == "consent_missing"
    assert lab.roles(vin) == {}
    lab.done("account", "consent", person=ANNA, what=missing, version="2", given=True)
    assert ends().error is None
    assert lab.roles(vin) == {ANNA: "primary"}


def test_the_second_key_first_enrols_nobody() -> None:
    """The car asks nothing then; and keys alone, which nobody has spoken of in the app, are nothing."""
    lab = EnrolLab()
    assert lab.request("enrolment", LEON, way="two_keys").error == "nothing_begun"
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    lab.event("key_presented", LEON, key="second")
    lab.event("key_presented", LEON, key="first")
    assert lab.roles(LEON) == {}
    lab.now += KEYS_LAST
    assert lab.request("enrolment", LEON, way="two_keys").error == "nothing_begun"


def test_keys_are_for_one_person_at_a_time() -> None:
    """Else whoever knows a VIN would be enrolled by the keys of another."""
    lab = EnrolLab()
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    assert lab.refused("enrol", "begin", LEON, person=BEA, way="two_keys") == "busy"
    lab.now += KEYS_LAST - SECOND
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    lab.now += SECOND
    assert lab.refused("enrol", "begin", LEON, person=ANNA, way="two_keys") == "busy", "Bea waits for it"
    lab.done("enrol", "begin", LEON, person=BEA, way="two_keys")
    assert lab.request("enrolment", LEON, way="two_keys").data["user"] == BEA


def test_who_has_kept_nobody_waiting_begins_again_with_the_keys_at_once() -> None:
    lab = EnrolLab()
    for _ in range(3):
        lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
        lab.now += KEYS_LAST
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    assert lab.refused("enrol", "begin", LEON, person=BEA, way="two_keys") == "busy"
    lab.now += 2 * KEYS_LAST
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")


# --- by pairing code


def code_of(lab: EnrolLab, person: str, vin: str = ATECA) -> str:
    secrets = lab.done("enrol", "begin", vin, person=person, way="code").secrets
    assert secrets is not None
    return secrets["code"]


def test_by_pairing_code() -> None:
    lab = EnrolLab()
    code = code_of(lab, ANNA)
    assert (len(code), code.isdecimal()) == (8, True)
    assert code not in str(lab.again().notes)
    assert lab.types(code).error is None
    assert lab.roles(ATECA) == {ANNA: "primary"}
    assert lab.types(code).error == "code_wrong", "it is good once"


def test_a_pairing_code_is_told_once_and_another_one_after_the_car_was_taken_out() -> None:
    lab = EnrolLab()
    first = code_of(lab, ANNA)
    assert lab.refused("enrol", "begin", ATECA, person=ANNA, way="code") == "already_begun"
    lab.done("enrol", "remove", ATECA, person=ANNA)
    second = code_of(lab, ANNA)
    assert first != second
    assert lab.types(first).error == "code_wrong"
    assert lab.types(second).error is None


def test_a_pairing_code_is_valid_for_a_year() -> None:
    for after, error in ((CODE_LASTS - 1, None), (CODE_LASTS, "code_expired")):
        lab = EnrolLab()
        code = code_of(lab, ANNA)
        lab.now += after
        assert lab.types(code).error == error
        assert lab.roles(ATECA) == ({ANNA: "primary"} if error is None else {})


def test_a_pairing_code_is_of_its_own_car_and_of_whom_it_was_told() -> None:
    lab = EnrolLab()
    other = "VSSZZZKHZP6000002"
    of_anna, of_bea = code_of(lab, ANNA), code_of(lab, BEA, other)
    assert lab.types(of_bea).error == "code_wrong"
    assert lab.types(of_anna, other).error == "code_wrong"
    assert lab.types(of_bea, other).data["user"] == BEA
    assert lab.types(of_anna).data["user"] == ANNA


def test_a_car_that_sends_no_code_has_the_wrong_one() -> None:
    lab = EnrolLab()
    code_of(lab, ANNA)
    lab.done("enrol", "begin", ATECA, person=BEA, way="code")
    assert lab.request("enrolment", ATECA, way="code").error == "code_wrong"
    lab.people.put_car(replace(lab.car(ATECA), enrolments={}))
    assert lab.request("enrolment", ATECA, way="code", proofs={"code": Proof()}).error == "code_wrong"


# --- by the assistant


def test_by_the_assistant() -> None:
    lab = EnrolLab()
    reply = lab.request("enrolment", LEON, proofs=SPIN, way="assistant", user=ANNA)
    assert (reply.error, reply.data) == (None, {"state": "consents", "user": ANNA, "role": "primary"})
    assert lab.roles(LEON) == {}
    reply = lab.request("enrolment", LEON, way="assistant", step="accept", user="P1@example.com", consents=list(ALL_TEXTS))
    assert reply.data == {"state": "enrolled", "user": ANNA, "role": "primary"}
    assert {(each.what, each.vin) for each in lab.people.accounts[ANNA].consents if each.at == lab.now} == {
        ("privacy", ""), ("terms", ""), ("contract", LEON),
    }  # fmt: skip
    assert lab.done("enrol", "show", person=ANNA).data["cars"][0]["vin"] == LEON  # type: ignore[index]


@pytest.mark.parametrize(
    ("proof", "error"),
    [
        (None, "spin_required"),
        (Proof(right=False, account=ANNA), "spin_wrong"),
        (Proof(refused="spin_locked"), "spin_locked"),
        (Proof(right=True), "spin_wrong"),
    ],
)
def test_nobody_begins_in_the_car_without_the_spin(proof: Proof | None, error: str) -> None:
    lab = EnrolLab()
    proofs = {} if proof is None else {"spin": proof}
    assert lab.request("enrolment", LEON, proofs=proofs, way="assistant", user=ANNA).error == error
    accept: dict[str, Any] = {"way": "assistant", "step": "accept", "user": ANNA, "consents": list(ALL_TEXTS)}
    assert lab.request("enrolment", LEON, **accept).error == "nothing_begun"


def test_whoever_logged_in_accepts_all_texts_in_time() -> None:
    lab = EnrolLab()
    lab.request("enrolment", LEON, proofs=SPIN, way="assistant", user=ANNA)
    accept: dict[str, Any] = {"way": "assistant", "step": "accept", "user": ANNA}
    assert lab.request("enrolment", LEON, **accept, consents=["privacy", "terms"]).error == "consent_missing"
    assert lab.request("enrolment", LEON, **accept | {"user": BEA}, consents=list(ALL_TEXTS)).error == "nothing_begun"
    lab.now += BEGUN_LASTS
    assert lab.request("enrolment", LEON, **accept, consents=list(ALL_TEXTS)).error == "nothing_begun"


def test_a_navi_system_makes_the_way() -> None:
    lab = EnrolLab()
    assert lab.request("enrolment", LEON, proofs=SPIN, way="assistant", user=ANNA, model="Leon", navi=False).error == "wrong_way"
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    assert lab.request("enrolment", LEON, way="two_keys", model="Leon", navi=True).error == "wrong_way"
    assert lab.request("enrolment", LEON, way="two_keys", model="Ateca", navi=False).error == "incompatible_car"


# --- why not


def fails(lab: EnrolLab, error: str) -> Reply:
    """Have a car ask what is refused so."""
    match error:
        case "spin_required" | "spin_wrong" | "spin_locked" | "busy":
            proofs = {} if error == "spin_required" else {"spin": Proof(refused=error)}
            return lab.request("enrolment", LEON, proofs=proofs, way="assistant", user=ANNA)
        case "consent_missing":
            lab.request("enrolment", LEON, proofs=SPIN, way="assistant", user=ANNA)
            return lab.request("enrolment", LEON, way="assistant", step="accept", user=ANNA, consents=[])
        case "code_wrong" | "code_locked":
            for _ in range(WRONG_IN_CAR if error == "code_locked" else 0):
                lab.types("00000000")
            return lab.types("00000000")
        case "code_expired":
            code = code_of(lab, ANNA)
            lab.now += CODE_LASTS
            return lab.types(code)
        case "incompatible_car":
            return lab.request("enrolment", LEON, way="two_keys", model="Born")
        case "wrong_way":
            return lab.request("enrolment", LEON, way="code")
        case "nothing_begun":
            return lab.request("enrolment", LEON, way="two_keys")
        case _:
            lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
            car = lab.car(LEON)
            primary = {ANNA: CarUser(role="primary", since=1)}
            if error == "address_not_confirmed":
                lab.people.put_account(account_of(ANNA, confirmed=False))
            elif error == "already_enrolled":
                lab.people.put_car(replace(car, users=primary))
            elif error == "garage_full":
                for number in range(GARAGE):
                    lab.people.put_car(replace(lab.car(f"VSSZZZK1ZPP1{number:05}"), users=primary))
            else:
                assert error == "privacy_offline"
                lab.event("privacy_changed", LEON, mode="maximum_privacy", services_off=[])
            return lab.request("enrolment", LEON, way="two_keys")


@pytest.mark.parametrize("error", sorted({*requests()["enrolment"].entry.errors} - {"licence_expired"}))
def test_each_error_of_the_catalogue_comes_about(error: str) -> None:
    lab = EnrolLab()
    assert fails(lab, error).error == error
    assert "primary" not in {*lab.roles(ATECA).values(), *(lab.roles(LEON).values() if error != "already_enrolled" else ())}


# --- what comes late


def test_what_nobody_waits_for_is_not_done() -> None:
    lab = EnrolLab()
    lab.done("enrol", "begin", LEON, person=ANNA, way="two_keys")
    assert lab.request("enrolment", LEON, way="nonsense").error == "malformed"
    lab.at("car_reset", 100, LEON, by="car")
    assert lab.request("enrolment", LEON, way="two_keys").error == "nothing_begun", "asked before the reset"
    assert lab.roles(LEON) == {}


def test_what_is_left_of_an_enrolment_is_left_when_scenario_time_is_set_anew() -> None:
    lab = EnrolLab()
    lab.accepts(ANNA)
    code = lab.shows()
    lab.now += QR_LASTS - SECOND + DAY
    lab.give(ClockMoved(DAY))
    lab.done("enrol", "scan", BORN, person=ANNA, code=code)
    lab.accepts(BEA)
    code = lab.shows()
    lab.now += QR_LASTS + DAY
    lab.give(ClockMoved(DAY))
    assert lab.refused("enrol", "scan", BORN, person=BEA, code=code) == "code_expired"


def test_two_who_end_in_the_same_instant_are_one_after_the_other() -> None:
    """Both have typed the right code: one of them is the primary user at any time."""
    lab = EnrolLab()
    codes = [code_of(lab, person) for person in (ANNA, BEA, CARL)]
    for person, code in zip((ANNA, BEA, CARL), codes, strict=True):
        assert lab.types(code).error is None
        assert lab.roles(ATECA) == {person: "primary"}
    assert lab.told() == [(CARL, "enrolled"), (BEA, "taken_over")]
    assert digest_of(codes[0]) not in str(lab.car(ATECA))


def test_of_a_pairing_code_what_the_driver_has_made_of_it_is_kept_and_compared() -> None:
    lab = EnrolLab()
    kept = Proof(digest="sha256:" + "5" * 64)
    asked = {"person": ANNA, "proofs": {FRESH_CODE: kept}, "way": "code"}
    secrets = lab.done("enrol", "begin", ATECA, **asked).secrets
    assert lab.car(ATECA).enrolments[ANNA].code == kept.digest
    assert lab.types((secrets or {})["code"]).error == "code_wrong", "as a bare digest"
    assert lab.request("enrolment", ATECA, way="code", proofs={"code": kept}).error is None


def test_formentor_goes_by_keys() -> None:
    lab = EnrolLab()
    lab.done("enrol", "begin", FORMENTOR, person=ANNA, way="two_keys")
    assert lab.request("enrolment", FORMENTOR, way="two_keys").error is None
