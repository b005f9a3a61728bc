"""Many people and cars at once: all of a request is taken, or nothing; whoever is there already stays as before."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import DAY
from fleet.wire.messages import DeskAnswer
from tests.cloud.people.lab import OTHER, PASSWORD, VIN, PeopleLab

ANNA = {"email": "anna@example.com", "language": "sv", "identified": True}
BERT = {"email": "bert@example.com"}


def car(*users: tuple[str, str], vin: str = VIN, **more: Any) -> dict[str, Any]:
    told = [{"email": f"{name}@example.com", "role": role} for name, role in users]
    return {"vin": vin, "model": "Born", "generation": "G4", "users": told, **more}


def seed(lab: PeopleLab, **words: Any) -> DeskAnswer:
    return lab.ask("people", "seed", proofs=lab.secrets(new_password=PASSWORD), **words)


def test_people_and_cars_are_there_at_once() -> None:
    lab = PeopleLab()
    told = seed(lab, persons=[ANNA, BERT], vehicles=[car(("anna", "primary"), ("bert", "guest"), mode="online"), car(vin=OTHER)])
    assert told.data == {"accounts": ["p1", "p2"], "vehicles": 2}
    rights = lab.rights()
    assert rights is not None
    assert (rights.primary, rights.mode, rights.users["p2"].role) == ("p1", "online", "guest")
    assert (rights.users["p1"].identified, rights.users["p2"].identified) == (True, False)
    empty = lab.rights(OTHER)
    assert empty is not None
    assert empty.users == {}, "of a car that nobody has enrolled nobody is a user"
    assert lab.mails == []


def test_whoever_is_seeded_can_log_in() -> None:
    lab = PeopleLab()
    seed(lab, persons=[ANNA])
    assert lab.log_in("anna@example.com")


def test_licences_are_as_old_as_is_told_and_nobody_is_reminded_of_what_was_due_before() -> None:
    """A free term of three years (G4) that began 1 090 days ago ends in a few days: only what comes from now on is told."""
    lab = PeopleLab()
    seed(lab, persons=[ANNA], vehicles=[car(("anna", "primary"), registered=lab.now - 1_090 * DAY), car(vin=OTHER)])
    rights = lab.rights()
    assert rights is not None
    assert rights.terms is not None
    ((begins, ends),) = rights.terms["remote"].spans
    assert begins == lab.now - 1_090 * DAY
    assert 5 * DAY <= ends - lab.now <= 7 * DAY
    lab.wait(10 * DAY)
    assert [mail.data["when"] for mail in lab.mails if mail.kind == "licence_reminder"] == ["48_hours", "end"]
    empty = lab.rights(OTHER)
    assert empty is not None
    assert empty.terms == {}


def test_somebody_who_is_known_stays_as_before() -> None:
    lab = PeopleLab()
    account = lab.person("anna@example.com", language="de")
    told = seed(lab, persons=[ANNA], vehicles=[car(("anna", "primary"))])
    assert told.data is not None
    assert told.data["accounts"] == [account]
    assert lab.people.accounts[account].identified is None


@pytest.mark.parametrize(
    ("words", "detail"),
    [
        ({"vehicles": [car(("anna", "primary"))]}, "no account"),
        ({"persons": [ANNA], "vehicles": [car(("anna", "guest"))]}, "0 primary users"),
        ({"persons": [ANNA, BERT], "vehicles": [car(("anna", "primary"), ("bert", "primary"))]}, "2 primary users"),
        ({"persons": [ANNA], "vehicles": [car(("anna", "primary"), ("anna", "guest"))]}, "a user twice"),
        ({"persons": [ANNA], "vehicles": [car(vin="VSSZZZKMZPRO00001")]}, "no VIN"),
        ({"persons": [{"email": "anna@example.com\r\nBcc: all@example.com"}]}, "email"),
    ],
)
def test_what_cannot_be_so_is_refused_and_nothing_of_it_is_kept(words: dict[str, Any], detail: str) -> None:
    lab = PeopleLab()
    told = seed(lab, **words)
    assert (told.state, told.reason) == ("rejected", "malformed")
    assert detail in (told.detail or "")
    assert not lab.people.accounts
    assert not lab.people.cars


def test_a_car_with_people_is_not_given_others() -> None:
    lab = PeopleLab()
    seed(lab, persons=[ANNA, BERT], vehicles=[car(("anna", "primary"))])
    assert seed(lab, vehicles=[car(("bert", "primary"))]).reason == "malformed"
