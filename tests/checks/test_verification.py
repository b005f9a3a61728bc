"""The rules that are judged: told in the documentation, counted on their sides, and with the reason where they could not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from fleet.checks.cars import Beginning
from fleet.checks.check import DESK_INPUTS
from fleet.checks.verification import Judged, Verification, declared_rules
from fleet.cloud.desk_io import DeskInput
from tests.checks.lab import START, Paper
from tests.checks.test_rules import HOME, USER

DOCS = Path(__file__).parents[2] / "docs" / "checks.md"


def test_the_documentation_has_all_rules() -> None:
    """The table of docs/checks.md is what the checks declare: check, rule, words, sides."""
    rows = [f"| {check} | {rule.name} | {rule.words} | {', '.join(rule.sides)} |" for check, rule in declared_rules()]
    text = DOCS.read_text(encoding="utf-8")
    begin = text.index("| check | rule |")
    told = text[begin : text.index("\n\n", begin)].splitlines()[2:]
    assert told == rows, "put this in its place:\n" + "\n".join(rows)


def test_no_two_rules_have_one_name() -> None:
    """A rule is required by its name."""
    names = [(check, rule.name) for check, rule in declared_rules()]
    assert len(set(names)) == len(names)


@pytest.fixture
def paper() -> Paper:
    return Paper()


def count(found: Verification, check: str, rule: str) -> dict[str, int | dict[str, int]]:
    """Return how often a rule was judged on each side, or why it was not."""
    judged: Judged = next(each for each in found.rules if (each.check, each.rule) == (check, rule))
    return {side: tally.judged or tally.undecided for side, tally in judged.sides.items()}


def honk(paper: Paper, command_id: str, state: str, *, north: float) -> None:
    paper.get(command_id, "honk", latitude=USER["latitude"] + north, longitude=USER["longitude"])
    paper.answer(command_id, "honk", state, reason="too_far" if state == "rejected" else None)


@pytest.mark.parametrize(("position", "expected"), [
    ({"position": HOME}, {"allowed": 1, "refused": 2}),
    ({}, {"allowed": {"no position of the car is known": 1}, "refused": {"no position of the car is known": 2}}),
])  # fmt: skip
def test_a_rule_counts_each_side(paper: Paper, tmp_path: Path, position: dict[str, Any], expected: dict[str, Any]) -> None:
    """A right answer counts where it stands; without a position it is not judged, which is told with the reason."""
    honk(paper, "one", "accepted", north=0.001)
    honk(paper, "two", "rejected", north=0.01)
    paper.status(**position)
    honk(paper, "three", "rejected", north=0.02)
    found = paper.judge(tmp_path)
    assert found.holds
    assert count(found, "honk rule", "within 500 m") == expected


def at_home(_vin: str) -> Beginning:
    place = (USER["latitude"], USER["longitude"])
    return Beginning(START, place, fuel_percent=50.0, charge_percent=None, low_voltage_percent=80.0, plugged_in=False)


def test_a_car_that_has_not_moved_is_where_it_began(paper: Paper, tmp_path: Path) -> None:
    """The place of the start counts until the engine runs."""
    honk(paper, "one", "accepted", north=0.01)
    found = paper.judge(tmp_path, beginnings=at_home)
    assert not found.holds
    paper.event("engine_on")
    paper.event("engine_off")
    honk(paper, "two", "accepted", north=0.02)
    found = paper.judge(tmp_path, beginnings=at_home)
    assert count(found, "honk rule", "within 500 m")["allowed"] == 1


def test_what_is_accepted_and_succeeds_counts_once(paper: Paper, tmp_path: Path) -> None:
    """Nor is the end of a command another judgement."""
    paper.get("one", "lock")
    paper.answer("one", "lock", "accepted", "in_progress", "succeeded")
    assert count(paper.judge(tmp_path), "lock rule", "doors closed") == {"allowed": 1, "refused": {}}


def test_all_that_the_desk_is_given_is_known() -> None:
    """The checks name the inputs of the desk one by one."""
    assert {made.__name__ for made in get_args(DeskInput)} | {"DeskStart", "Restored"} == set(DESK_INPUTS)
