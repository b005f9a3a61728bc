"""The life of commands on journals written by hand: what is told of one that has ended, and of one that comes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.lab import VIN, Paper, told


@pytest.fixture
def paper() -> Paper:
    return Paper()


def open_one(paper: Paper, command_id: str = "one") -> None:
    record: dict[str, Any] = {"id": command_id, "vin": VIN, "name": "refresh", "user": "primary", "state": None}
    paper.desk("in", "CommandAsked", request={"id": command_id})
    paper.desk("out", "CommandOpened", record=record | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))


def move(paper: Paper, state: str, *, by: str = "desk", reason: str | None = None, told_as: str | None = None) -> None:
    change = {"command_id": "one", "state": state, "reason": reason, "at": paper.now, "by": by}
    paper.desk("out", "Transition", **change)
    paper.desk("out", "Answer", topic="t", answer={"id": "one", "state": told_as or state, "reason": reason})


def counts(paper: Paper, folder: Path, check: str) -> dict[str, int]:
    found = paper.judge(folder)
    return {
        f"{each.rule} {side}": tally.judged for each in found.rules if each.check == check for side, tally in each.sides.items()
    }


def test_a_terminal_state_that_is_moved_again(paper: Paper, tmp_path: Path) -> None:
    """A late answer of the car is judged by what becomes of it: nothing."""
    open_one(paper)
    move(paper, "queued")
    move(paper, "unknown")
    paper.desk("in", "CarAnswered", response={"command_id": "one", "state": "succeeded"})
    assert told(paper.judge(tmp_path), "command ends") == []
    assert counts(paper, tmp_path, "command ends")["stays judged"] == 1
    move(paper, "succeeded", by="car")
    assert told(paper.judge(tmp_path), "command ends") == ["ended as unknown, but becomes succeeded"]


@pytest.mark.parametrize(("reason", "right"), [("too_far", True), ("busy", False)])
def test_a_reason_that_the_car_has_not_given(paper: Paper, tmp_path: Path, reason: str, *, right: bool) -> None:
    """What the desk says of the car is what the car has said, with its reason."""
    open_one(paper)
    move(paper, "queued")
    paper.desk("in", "CarAnswered", response={"command_id": "one", "state": "rejected", "reason": "too_far"})
    move(paper, "rejected", by="car", reason=reason)
    assert (told(paper.judge(tmp_path), "command ends") == []) is right


def test_another_state_than_it_has_is_told(paper: Paper, tmp_path: Path) -> None:
    """Who has asked hears what stands in the book."""
    open_one(paper)
    move(paper, "queued")
    move(paper, "expired", told_as="succeeded")
    assert told(paper.judge(tmp_path), "command ends") == ["is expired, but succeeded is told"]


def test_a_command_that_comes_again(paper: Paper, tmp_path: Path) -> None:
    """It is answered as before, and not run; that is judged as soon as one comes twice."""
    paper.get("one", "refresh")
    paper.answer("one", "refresh", "accepted", "succeeded")
    paper.status("refresh")
    assert counts(paper, tmp_path, "command runs")["once judged"] == 0
    paper.get("one", "refresh")
    paper.answer("one", "refresh", "succeeded")
    assert told(paper.judge(tmp_path), "command runs") == []
    assert counts(paper, tmp_path, "command runs")["once judged"] == 1
    paper.get("one", "refresh")
    paper.answer("one", "refresh", "accepted", "succeeded")
    assert any("executed again" in each for each in told(paper.judge(tmp_path), "command runs"))


@pytest.mark.parametrize(("state", "reason", "late", "right"), [
    ("accepted", None, False, True),
    ("accepted", None, True, False),
    ("expired", None, True, True),
    ("expired", None, False, False),
    ("rejected", "too_far", True, False),
    ("rejected", "privacy_offline", True, True),
])  # fmt: skip
def test_the_time_to_live(paper: Paper, tmp_path: Path, state: str, reason: str | None, *, late: bool, right: bool) -> None:
    """After its expiry a command is neither executed nor judged, but called expired; before it is not."""
    paper.get("one", "honk", valid_min=1, latitude=48.0, longitude=11.0)
    paper.pass_time(2 if late else 0.5)
    paper.answer("one", "honk", state, reason=reason)
    assert (told(paper.judge(tmp_path), "command runs") == []) is right
