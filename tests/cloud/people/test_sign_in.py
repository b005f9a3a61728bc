"""Passwords can be tried so often: for each account and each origin, known or not, one after the other or all at once."""

from __future__ import annotations

import pytest

from fleet.cloud.people import sign_in
from fleet.cloud.people.figures import Figures
from fleet.cloud.people.shelves import TriesShelf
from fleet.cloud.rule import Proof
from tests.cloud.people.lab import PASSWORD, PeopleLab, forbid_walks

ANNA = "anna@example.com"
TRIES, TRIES_OF_ORIGIN, LOCKED = Figures().tries, Figures().tries_of_origin, Figures().locked


def lab_with_anna() -> PeopleLab:
    lab = PeopleLab()
    lab.person(ANNA)
    return lab


def log_in(lab: PeopleLab, person: str = ANNA, password: str = PASSWORD, origin: str | None = None) -> str | None:
    proofs = lab.secrets(person, password=password)
    return lab.ask("account", "log_in", person=person, device="phone", origin=origin, proofs=proofs).reason


def test_five_wrong_passwords_lock_for_a_quarter_of_an_hour() -> None:
    lab = lab_with_anna()
    assert [log_in(lab, password="wrong") for _ in range(TRIES)] == ["wrong_credentials"] * TRIES
    assert log_in(lab) == "too_many_tries"
    lab.wait(LOCKED - 1)
    assert log_in(lab) == "too_many_tries", "what is tried meanwhile does not count"
    lab.wait(1)
    assert log_in(lab) is None


def test_a_right_password_counts_anew() -> None:
    lab = lab_with_anna()
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert log_in(lab, password="wrong") == "wrong_credentials"
        assert log_in(lab) is None


def test_a_name_that_nobody_has_is_refused_and_locked_as_one_that_somebody_has() -> None:
    lab = lab_with_anna()
    known = [lab.ask("account", "log_in", person=ANNA, device="x", proofs=lab.secrets(ANNA, password="wrong")) for _ in range(7)]
    unknown = [
        lab.ask("account", "log_in", person="bo@example.com", device="x", proofs=lab.secrets(password="wrong")) for _ in range(7)
    ]
    assert [(each.reason, each.detail) for each in known] == [(each.reason, each.detail) for each in unknown]


@pytest.mark.parametrize("other", ["ANNA@example.com", " anna@EXAMPLE.com", "p1"])
def test_another_spelling_brings_no_more_tries(other: str) -> None:
    lab = lab_with_anna()
    for _ in range(TRIES):
        log_in(lab, other, "wrong")
    assert log_in(lab) == "too_many_tries"


def test_an_origin_that_tries_one_password_on_many_accounts_is_bounded_and_others_are_not() -> None:
    lab = lab_with_anna()
    reasons = [log_in(lab, f"person{number}@example.com", "123456789", origin="192.0.2.7") for number in range(TRIES_OF_ORIGIN)]
    assert set(reasons) == {"wrong_credentials"}
    assert log_in(lab, origin="192.0.2.7") == "too_many_tries"
    assert log_in(lab, origin="192.0.2.8") is None


def test_an_account_of_ones_own_brings_an_origin_no_more_tries() -> None:
    lab = lab_with_anna()
    for number in range(TRIES_OF_ORIGIN):
        assert log_in(lab, f"person{number}@example.com", "wrong", origin="here") == "wrong_credentials"
        if number < TRIES_OF_ORIGIN - 1:
            assert log_in(lab, origin="here") is None
    assert log_in(lab, origin="here") == "too_many_tries"


def test_a_proof_of_a_password_that_was_changed_meanwhile_is_none() -> None:
    lab = lab_with_anna()
    before = lab.secrets(ANNA, password=PASSWORD)
    proofs = lab.secrets(ANNA, password=PASSWORD, new_password="another horse")
    lab.done("account", "change_password", person=ANNA, proofs=proofs)
    assert lab.refused("account", "log_in", person=ANNA, device="phone", proofs=before) == "wrong_credentials"


def test_a_proof_of_somebody_else_is_none() -> None:
    lab = lab_with_anna()
    lab.person("bo@example.com")
    proofs = lab.secrets("bo@example.com", password=PASSWORD)
    assert lab.refused("account", "log_in", person=ANNA, device="phone", proofs=proofs) == "wrong_credentials"


def test_what_could_not_be_proven_is_no_try() -> None:
    lab = lab_with_anna()
    for _ in range(2 * TRIES):
        busy = {"password": Proof(refused="busy")}
        assert lab.refused("account", "log_in", person=ANNA, device="phone", proofs=busy) == "busy"
    assert log_in(lab) is None


def test_counts_outlive_a_restart() -> None:
    lab = lab_with_anna()
    for _ in range(TRIES):
        log_in(lab, password="wrong")
    assert log_in(lab.again()) == "too_many_tries"


def test_no_memory_is_filled_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "KEPT", 10)
    lab = lab_with_anna()
    for number in range(50):
        log_in(lab, f"person{number}@example.com", "wrong", origin=str(number))
    assert len(lab.people.tries) <= 10


def test_a_lock_that_holds_outlives_names_that_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "KEPT", 10)
    lab = lab_with_anna()
    for _ in range(TRIES):
        log_in(lab, password="wrong")
    lab.wait(1)
    for number in range(50):
        log_in(lab, f"person{number}@example.com", "wrong", origin=str(number))
    assert log_in(lab) == "too_many_tries"
    assert len(lab.people.tries) == 10


def test_room_is_made_without_a_look_at_all_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "KEPT", 10)
    lab = lab_with_anna()
    forbid_walks(monkeypatch, TriesShelf)
    for number in range(20):
        assert log_in(lab, f"person{number}@example.com", "wrong", origin=str(number)) == "wrong_credentials"
    assert len(lab.people.tries) == 10
