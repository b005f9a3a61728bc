"""Somebody logs in on the screen of a car: with the S-PIN, or with the one that was saved there."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.people.records import CarPeople, CarUser
from fleet.cloud.rule import Proof, SendReply
from tests.cloud.people.lab import SPIN, VIN, PeopleLab

ANNA, BO = "anna@example.com", "bo@example.com"


def lab_with_users() -> PeopleLab:
    """Anna is the primary user, Bo a guest; both have an S-PIN."""
    lab = PeopleLab()
    for email in (ANNA, BO):
        lab.person(email)
        set_spin(lab, email)
    users = {"p1": CarUser(role="primary", since=lab.now), "p2": CarUser(role="guest", since=lab.now)}
    lab.people.put_car(CarPeople(vin=VIN, managed=True, users=users))
    return lab


def set_spin(lab: PeopleLab, person: str) -> None:
    lab.done("account", "set_spin", session=lab.log_in(person), proofs=lab.secrets(person, new_spin=SPIN))


def log_in(lab: PeopleLab, user: str, proof: Proof | None = None, **data: Any) -> tuple[str | None, dict[str, Any]]:
    reply = lab.request("log_in", user=user, proofs=None if proof is None else {"spin": proof}, **data)
    return reply.error, reply.data


@pytest.mark.parametrize(("user", "role"), [("p1", "primary"), ("p2", "guest")])
def test_a_user_logs_in_with_the_spin_and_is_told_the_role(user: str, role: str) -> None:
    lab = lab_with_users()
    assert log_in(lab, user, Proof(right=True, account=user)) == (None, {"user": user, "role": role})


def test_whoever_is_no_user_of_the_car_does_not_log_in() -> None:
    lab = lab_with_users()
    lab.person("cy@example.com")
    for user in ("p3", "p9", "primary", ""):
        assert log_in(lab, user, Proof(right=True, account=user))[0] == "insufficient_rights"
    lab.people.put_car(replace(lab.people.car(VIN), users={}))
    assert log_in(lab, "p1", Proof(right=True, account="p1"))[0] == "insufficient_rights"


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (Proof(refused="spin_wrong"), "spin_wrong"),
        (Proof(refused="spin_locked"), "spin_locked"),
        (Proof(right=True, account="p2"), "spin_wrong"),
        (Proof(), "spin_wrong"),
        (None, "spin_required"),
    ],
)
def test_without_the_right_spin_nobody_logs_in(proof: Proof | None, reason: str) -> None:
    assert log_in(lab_with_users(), "p1", proof) == (reason, {})


def test_a_saved_spin_stands_for_one_that_was_typed_in_this_car_and_has_not_changed_since() -> None:
    lab = lab_with_users()
    assert log_in(lab, "p1", saved=True)[0] == "spin_required"
    log_in(lab, "p1", Proof(right=True, account="p1"))
    assert log_in(lab, "p1", saved=True)[0] is None
    assert log_in(lab.again(), "p1", saved=True)[0] is None
    assert log_in(lab, "p2", saved=True)[0] == "spin_required"
    set_spin(lab, ANNA)
    assert log_in(lab, "p1", saved=True)[0] == "spin_required"
    log_in(lab, "p1", Proof(right=True, account="p1"))
    assert log_in(lab, "p1", saved=True)[0] is None


def test_somebody_without_an_spin_has_none_saved() -> None:
    lab = lab_with_users()
    account = lab.people.accounts["p1"]
    lab.people.put_account(replace(account, spin_set=False, spin_version=-1))
    assert log_in(lab, "p1", saved=True)[0] == "spin_required"


def test_what_is_malformed_or_late_is_not_done() -> None:
    lab = lab_with_users()
    assert log_in(lab, "p1", Proof(right=True, account="p1"), colour="red")[0] == "malformed"
    lab.late_request("log_in", user="p1")
    assert not lab.those(SendReply)
