"""Rights of people on journals written by hand: on either side of each rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.checks.verification import Verification
from fleet.kernel.instants import DAY
from tests.checks.lab import START, VIN, Paper, broken

CHECK = "people's rights"
ALWAYS = [
    {"id": "l1", "product": "g3_navi", "packages": ["safety", "remote", "online"], "begins": START - DAY, "ends": START + DAY}
]
USERS = {
    "p1": {"role": "primary", "since": START},
    "p2": {"role": "additional", "since": START},
    "p3": {"role": "guest", "since": START},
    "p4": {"role": "additional", "since": START, "allowed": ["heater"]},
}


@pytest.fixture
def paper() -> Paper:
    paper = Paper()
    keep(paper, "account/p1", {"id": "p1", "email": "a@example.com", "registered": START, "identified": START})
    keep(paper, f"car/{VIN}", car())
    return paper


def car(**changed: Any) -> dict[str, Any]:
    return {"vin": VIN, "managed": True, "users": USERS, "licences": ALWAYS} | changed


def keep(paper: Paper, key: str, value: dict[str, Any] | None) -> None:
    paper.write("centre", "out", "Keep", {"module": "people", "key": key, "value": None if value is None else json.dumps(value)})


def ask(paper: Paper, name: str, who: str, reason: str | None = None, *, spin: bool = False, **asked: Any) -> None:
    """Ask the desk for a command, which it refuses for a reason, or sends; with `spin` after the S-PIN was checked."""
    command_id = f"c{paper.now}"
    paper.desk("in", "CommandAsked", request={"id": command_id}, **asked)
    record = {"id": command_id, "vin": VIN, "name": name, "user": who, "state": None}
    paper.desk("out", "CommandOpened", record=record | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))
    if spin:
        paper.desk("in", "SpinVerified", job=1, right=True, token=True)
    if reason is None:
        paper.desk("out", "SendCommand", command={"id": command_id, "vin": VIN, "name": name})
    else:
        change = {"command_id": command_id, "state": "rejected", "reason": reason, "at": paper.now, "by": "desk"}
        paper.desk("out", "Transition", **change)


def sides(found: Verification, rule: str) -> tuple[int, int]:
    judged = next(each for each in found.rules if (each.check, each.rule) == (CHECK, rule))
    return judged.sides["allowed"].judged, judged.sides["refused"].judged


@pytest.mark.parametrize(("name", "who", "permitted"), [
    ("honk", "p1", True), ("honk", "p2", True), ("honk", "p3", False), ("honk", "p9", False),
    ("heater", "p1", True), ("heater", "p2", False), ("heater", "p4", True),
    ("reset", "p1", True), ("reset", "p4", False), ("honk", "p4", False),
])  # fmt: skip
def test_roles(paper: Paper, tmp_path: Path, name: str, who: str, *, permitted: bool) -> None:
    """What a role does not permit is refused, and nothing else is refused for it."""
    ask(paper, name, who)
    assert (CHECK not in broken(paper.judge(tmp_path))) is permitted
    refused = Paper()
    keep(refused, f"car/{VIN}", car())
    ask(refused, name, who, "insufficient_rights")
    assert (CHECK in broken(refused.judge(tmp_path))) is permitted


def test_nothing_is_judged_of_a_car_that_nobody_has_enrolled(paper: Paper, tmp_path: Path) -> None:
    keep(paper, f"car/{VIN}", car(managed=False))
    ask(paper, "honk", "whoever")
    found = paper.judge(tmp_path)
    assert CHECK not in broken(found)
    assert sides(found, "role") == (0, 0)


def test_what_the_back_end_wants_itself_is_nobody_s_right(paper: Paper, tmp_path: Path) -> None:
    ask(paper, "system_update", "back_end")
    assert CHECK not in broken(paper.judge(tmp_path))


def test_who_was_replaced_does_nothing_from_that_instant(paper: Paper, tmp_path: Path) -> None:
    ask(paper, "honk", "p1")
    keep(paper, f"car/{VIN}", car(users={"p5": {"role": "primary", "since": START}}))
    ask(paper, "honk", "p1", "insufficient_rights")
    assert CHECK not in broken(paper.judge(tmp_path))
    ask(paper, "honk", "p1")
    assert CHECK in broken(paper.judge(tmp_path))


def test_a_right_that_was_lost_while_the_s_pin_was_checked(paper: Paper, tmp_path: Path) -> None:
    ask(paper, "lock", "p1", spin=True)
    found = paper.judge(tmp_path)
    assert CHECK not in broken(found)
    assert sides(found, "identity") == (1, 0)
    keep(paper, f"car/{VIN}", car(users={}))
    ask(paper, "lock", "p1", spin=True)
    assert CHECK in broken(paper.judge(tmp_path))


def test_a_session_that_is_over_permits_nothing(paper: Paper, tmp_path: Path) -> None:
    ask(paper, "honk", "p1", "insufficient_rights", session_ended=True)
    assert CHECK not in broken(paper.judge(tmp_path))
    ask(paper, "honk", "p1", session_ended=True)
    assert CHECK in broken(paper.judge(tmp_path))


@pytest.mark.parametrize(("identified", "reason", "right"), [
    (START, None, True), (START, "user_not_verified", False), (None, None, False), (None, "user_not_verified", True),
])  # fmt: skip
def test_identity(paper: Paper, tmp_path: Path, identified: int | None, reason: str | None, *, right: bool) -> None:
    keep(paper, "account/p1", {"id": "p1", "email": "a@example.com", "registered": START, "identified": identified})
    ask(paper, "unlock", "p1", reason)
    assert (CHECK not in broken(paper.judge(tmp_path))) is right


@pytest.mark.parametrize(("licence", "reason", "right"), [
    ({}, None, True), ({}, "licence_expired", False),
    ({"ends": START}, None, False), ({"ends": START}, "licence_expired", True),
    ({"begins": START + DAY}, "licence_inactive", True), ({"begins": START + DAY}, None, False),
    ({"state": "inactive"}, "licence_inactive", True), ({"state": "withdrawn"}, None, False),
    ({"packages": ["online"]}, "licence_missing", True), ({"packages": ["online"]}, None, False),
])  # fmt: skip
def test_licences(paper: Paper, tmp_path: Path, licence: dict[str, Any], reason: str | None, *, right: bool) -> None:
    keep(paper, f"car/{VIN}", car(licences=[ALWAYS[0] | licence]))
    ask(paper, "honk", "p1", reason)
    assert (CHECK not in broken(paper.judge(tmp_path))) is right


def test_what_the_law_requires_is_never_refused_for_a_licence(paper: Paper, tmp_path: Path) -> None:
    keep(paper, f"car/{VIN}", car(licences=[]))
    ask(paper, "reset", "p1")
    assert CHECK not in broken(paper.judge(tmp_path))
    ask(paper, "reset", "p1", "licence_missing")
    assert CHECK in broken(paper.judge(tmp_path))


def test_what_was_known_at_the_beginning_counts(tmp_path: Path) -> None:
    paper = Paper()
    paper.write("centre", "in", "CentreStart", {"state": {"people": {f"car/{VIN}": car(users={})}}})
    ask(paper, "honk", "p1")
    assert CHECK in broken(paper.judge(tmp_path))


def test_what_is_switched_off_in_the_app_counts_as_what_the_car_has_said(paper: Paper, tmp_path: Path) -> None:
    keep(paper, f"car/{VIN}", car(mode="offline", services_off=["honk"]))
    ask(paper, "refresh", "p1", "privacy_offline")
    assert broken(paper.judge(tmp_path)) == set()
    ask(paper, "refresh", "p1")
    assert "desk switches" in broken(paper.judge(tmp_path))
