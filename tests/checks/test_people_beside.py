"""Older checks on journals with people, written by hand: S-PINs of accounts, errors of requests, who lets a partner be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.lab import START, VIN, Paper, broken
from tests.checks.test_back_end import faulty, partner_told
from tests.checks.test_people_rights import ask, car, keep

GIVEN = {"what": "service_partner", "version": "1", "at": START, "given": True}


@pytest.fixture
def paper() -> Paper:
    paper = Paper()
    keep(paper, f"car/{VIN}", car())
    keep(
        paper, "account/p1", {"id": "p1", "email": "a@example.com", "registered": START, "identified": START, "consents": [GIVEN]}
    )
    paper.desk("out", "StoreUser", user={"vin": "", "name": "p1"})
    return paper


# --- S-PIN


@pytest.mark.parametrize(("account", "right"), [("p1", True), ("p1", False), ("p2", True)])
def test_the_s_pin_of_an_account_is_proven_for_its_cars(paper: Paper, tmp_path: Path, account: str, *, right: bool) -> None:
    """That of another account proves nothing."""
    paper.desk("out", "StoreUser", user={"vin": "", "name": "p2"})
    paper.desk("in", "CommandAsked", request={"id": "c", "spin": True})
    record = {"id": "c", "vin": VIN, "name": "lock", "user": "p1", "state": None}
    paper.desk("out", "CommandOpened", record=record | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))
    paper.desk("out", "VerifySpin", job=1, vin="", user=account, spin=True, against=True)
    paper.desk("in", "SpinVerified", job=1, right=right, token=True)
    paper.desk("out", "SendCommand", command={"id": "c", "vin": VIN, "name": "lock"})
    assert ("S-PIN rule" in broken(paper.judge(tmp_path))) == ((account, right) != ("p1", True))


@pytest.mark.parametrize(
    ("name", "action", "in_session", "enough"),
    [
        ("climatisation", "start", True, True),
        ("climatisation", "start", False, False),
        ("heater", "stop", True, True),
        ("heater", "start", True, False),
        ("lock", None, True, False),
    ],
)
def test_a_session_is_worth_an_s_pin_for_some(
    paper: Paper, tmp_path: Path, name: str, action: str | None, *, in_session: bool, enough: bool
) -> None:
    given: dict[str, Any] = {"id": "c", "name": name, "parameters": {"action": action} if action else {}}
    paper.desk("in", "CommandAsked", request=given, **({"in_session": True} if in_session else {}))
    record = {"id": "c", "vin": VIN, "name": name, "user": "p1", "state": None}
    paper.desk("out", "CommandOpened", record=record | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))
    paper.desk("out", "SendCommand", command={"id": "c", "vin": VIN, "name": name})
    assert ("S-PIN rule" not in broken(paper.judge(tmp_path))) == enough


def test_a_role_that_does_not_permit_it_is_no_matter_of_the_s_pin(paper: Paper, tmp_path: Path) -> None:
    paper.desk("out", "StoreUser", user={"vin": "", "name": "p3"})
    ask(paper, "lock", "p3", "insufficient_rights")
    assert broken(paper.judge(tmp_path)) == set()


# --- errors of requests


@pytest.mark.parametrize("error", ["licence_expired", "privacy_location", "consent_missing"])
@pytest.mark.parametrize("known", [True, False])
def test_reasons_about_people_are_errors_of_cars_with_people(tmp_path: Path, error: str, *, known: bool) -> None:
    paper = Paper()
    if known:
        keep(paper, f"car/{VIN}", car())
    paper.write("centre", "in", "Request", {"vin": VIN, "id": "r1", "name": "traffic"})
    paper.write(
        "centre", "out", "SendReply", {"vin": VIN, "reply": {"id": "r1", "name": "traffic", "error": error}, "lifetime": 1}
    )
    assert ("replies fit" in broken(paper.judge(tmp_path))) != known


# --- the service partner


@pytest.mark.parametrize(
    ("changed", "consents", "told"),
    [
        ({}, [GIVEN], True),
        ({}, [GIVEN, GIVEN | {"given": False}], False),
        ({}, [], False),
        ({"licences": []}, [GIVEN], False),
        ({"mode": "offline"}, [GIVEN], False),
        ({"services_off": ["partner"]}, [GIVEN], False),
        ({"users": {"p1": {"role": "additional", "since": START}}}, [GIVEN], False),
    ],
)
def test_a_partner_is_told_of_a_car_with_people_as_these_let_it(
    paper: Paper, tmp_path: Path, changed: dict[str, Any], consents: list[Any], *, told: bool
) -> None:
    asked = {"type": "service", "id": "1", "service": "partner", "action": "choose", "vin": VIN, "data": {"partner": "North"}}
    paper.write("centre", "in", "ServiceAsked", {"request": asked, "answer_topic": "", "unknown": [], "person": "p1"})
    keep(paper, f"car/{VIN}", car(**changed))
    keep(paper, "account/p1", {"id": "p1", "email": "a@example.com", "registered": START, "consents": consents})
    faulty(paper)
    partner_told(paper, contact="email")
    assert ("partners" in broken(paper.judge(tmp_path))) != told


@pytest.mark.parametrize(("person", "counts"), [("p1", True), ("p2", False)])
def test_the_primary_user_alone_chooses(paper: Paper, tmp_path: Path, person: str, *, counts: bool) -> None:
    asked = {"type": "service", "id": "1", "service": "partner", "action": "choose", "vin": VIN, "data": {"partner": "North"}}
    paper.write("centre", "in", "ServiceAsked", {"request": asked, "answer_topic": "", "unknown": [], "person": person})
    faulty(paper)
    partner_told(paper, contact="email")
    assert ("partners" not in broken(paper.judge(tmp_path))) == counts
