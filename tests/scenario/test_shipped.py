"""The scenarios that come with the project."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from fleet.kernel.instants import MINUTE, SECOND
from fleet.runtime.assembly import vocabulary
from fleet.scenario.actions import TimelineStep
from fleet.scenario.loader import check
from fleet.scenario.text import read_text
from tests.shipped import DIRECTORY, FILES, listing, loaded

LONG_BYTES = 100_000
"""Of the rule book it is enough that loading, which raises what `check` returns, finds no error."""


def test_the_promised_ones_are_there() -> None:
    """What README and demo name exists, with its purpose."""
    listed = {line.name: line for line in listing()}
    assert set(listed) == {
        "rush-hour", "find-my-car", "underground-car-park", "reconnect-storm", "heater-morning", "broker-outage",
        "overnight-charging", "accident", "long-weekend", "command-storm", "geofence-evening", "border", "online-day",
        "winter-week", "ota-campaign", "road-trip", "licence-year", "new-owner", "family", "privacy-day", "registration-day",
        "right-to-be-forgotten", "rule-book",
    }  # fmt: skip
    assert listed["rush-hour"].cars == 2000
    assert all(line.purpose for line in listed.values())


def test_the_table_tells_of_each() -> None:
    """The page beside them names every one, with as many cars and at the clock that its file has."""
    page = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| [")]
    told = {
        row[0].partition("]")[0].removeprefix("["): (int(row[2].replace(" ", "")), row[4].rpartition(", ")[2]) for row in rows
    }
    assert told == {line.name: (line.cars, str(line.clock)) for line in listing()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_right_and_named_like_its_file(path: Path) -> None:
    """No shipped file has an error, and each says what it is for to a reader."""
    if path.stat().st_size < LONG_BYTES:
        assert check(read_text(path), path.name, vocabulary()) == []
    assert loaded(path).scenario == path.stem
    assert read_text(path).startswith("# "), "a comment tells the reader what the file is"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fast_clocks_have_commands_that_live_long_enough(path: Path) -> None:
    """No command may be too old after one real second of waiting; those with a second to live are asked too late on purpose."""
    scenario = loaded(path)
    asked = [(command.name, command.time_to_live) for phase in scenario.phases() for command in phase.commands]
    asked += [
        (action.command, action.time_to_live)
        for phase in scenario.phases()
        for action in (*phase.load, *phase.timeline)
        if action.command is not None and not (isinstance(action, TimelineStep) and action.only == "virtual")
    ]
    for name, written in asked:
        if name not in vocabulary().commands:
            continue  # one that no car knows is refused at once
        time_to_live = written or vocabulary().commands[name].time_to_live
        if time_to_live == SECOND:
            continue
        if scenario.clock == inf:
            continue  # a virtual clock waits for everybody
        assert time_to_live / scenario.clock >= MINUTE / 60
        if scenario.clock >= 1000:
            assert time_to_live >= 30 * MINUTE


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_lasts_about_a_minute_live(path: Path) -> None:
    """Nobody waits longer to see one; and each can fail: it expects something beside that nothing is lost."""
    scenario = loaded(path)
    assert scenario.duration / scenario.clock <= 65 * SECOND
    expected = [*scenario.expectations, *(e for stage in scenario.stages for e in stage.expectations)]
    assert len({expectation.path for expectation in expected}) > 3
