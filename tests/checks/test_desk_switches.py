"""Switches on journals written by hand: the desk goes by what a car has said, and the car by how it is switched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.checks.verification import Verification
from tests.checks.lab import CAR, VIN, Paper, broken, told


@pytest.fixture
def paper() -> Paper:
    return Paper()


def says(paper: Paper, seq: int, name: str, **data: Any) -> None:
    event = {"vin": VIN, "boot": 7, "seq": seq, "captured_at": paper.now, "name": name, "data": data}
    paper.desk("in", "CarSwitched", event=event)


def ask(paper: Paper, name: str, reason: str | None = None) -> None:
    """Ask the desk for a command, which it refuses for a reason, or sends."""
    command_id = f"c{paper.now}"
    paper.desk("in", "CommandAsked", request={"id": command_id})
    record = {"id": command_id, "vin": VIN, "name": name, "user": "primary", "state": None}
    paper.desk("out", "CommandOpened", record=record | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))
    if reason is None:
        paper.desk("out", "SendCommand", command={"id": command_id, "vin": VIN, "name": name})
    else:
        change = {"command_id": command_id, "state": "rejected", "reason": reason, "at": paper.now, "by": "desk"}
        paper.desk("out", "Transition", **change)


def sides(found: Verification, check: str, rule: str) -> tuple[int, int]:
    judged = next(each for each in found.rules if (each.check, each.rule) == (check, rule))
    return judged.sides["allowed"].judged, judged.sides["refused"].judged


@pytest.mark.parametrize(("name", "reason", "rule", "right"), [
    ("refresh", "privacy_offline", "mode", True),
    ("refresh", None, "mode", False),
    ("reset", None, "mode", True),
    ("reset", "privacy_offline", "mode", False),
])  # fmt: skip
def test_a_car_that_says_it_is_offline(
    paper: Paper, tmp_path: Path, name: str, reason: str | None, rule: str, *, right: bool
) -> None:
    """Nothing is sent to it but what the law requires."""
    says(paper, 1, "privacy_changed", mode="offline", services_off=[])
    ask(paper, name, reason)
    found = paper.judge(tmp_path)
    assert ("desk switches" not in broken(found)) is right
    assert sides(found, "desk switches", rule) == (int(reason is None), int(reason is not None))


@pytest.mark.parametrize("reason", ["privacy_offline", "service_deactivated", "not_paired", "privacy_location"])
def test_a_refusal_of_what_the_car_has_not_said(paper: Paper, tmp_path: Path, reason: str) -> None:
    """Each reason needs a message of the car, and an older one is none."""
    says(paper, 5, "privacy_changed", mode="online_with_location", services_off=["lock"])
    says(paper, 4, "privacy_changed", mode="offline", services_off=["honk"])
    ask(paper, "honk", reason)
    assert broken(paper.judge(tmp_path)) == {"desk switches"}


def test_a_reset_and_a_pairing(paper: Paper, tmp_path: Path) -> None:
    """The newest of the two counts, whichever is heard last."""
    says(paper, 1, "car_reset", by="car")
    ask(paper, "refresh", "not_paired")
    says(paper, 3, "car_paired")
    ask(paper, "refresh")
    says(paper, 2, "car_reset", by="car")
    ask(paper, "refresh")
    found = paper.judge(tmp_path)
    assert broken(found) == set()
    assert sides(found, "desk switches", "paired") == (2, 1)


@pytest.mark.parametrize(("off", "reason", "right"), [
    (True, "service_deactivated", True),
    (True, None, False),
    (False, "service_deactivated", False),
    (False, None, True),
])  # fmt: skip
def test_a_service_in_the_car(paper: Paper, tmp_path: Path, reason: str | None, *, off: bool, right: bool) -> None:
    """It is obeyed exactly while it is not switched off."""
    paper.write(CAR, "in", "SetService", {"name": "unlock", "on": not off})
    paper.get("one", "unlock")
    paper.answer("one", "unlock", "accepted" if reason is None else "rejected", reason=reason)
    found = paper.judge(tmp_path)
    assert ("switch rule" not in broken(found)) is right, told(found, "switch rule")
    assert sides(found, "switch rule", "service") == (int(reason is None), int(reason is not None))
