"""What a report says of a broker that others use, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.runtime.assembly import vocabulary
from fleet.runtime.broker_findings import broker_findings
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import load
from fleet.scenario.schema import Scenario
from fleet.transport.remarks import NO_RETAIN, SHORTER_SESSIONS, Remarks


def shipped(name: str) -> Scenario:
    return load(Path(resource_dir("scenarios") / f"{name}.yaml"), vocabulary())


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ({"taken_over": 1, "unexplained": 0}, "another client took over the session of cars once"),
        (
            {"taken_over": 0, "unexplained": 3},
            "the broker, or a proxy before it, closed a connection of cars 3 times and gave no reason",
        ),
    ],
)
def test_takeovers_are_named_with_their_remedy(ends: dict[str, int], found: str) -> None:
    """Whether the broker says so or only hangs up: what it means and what to do."""
    [finding] = broker_findings(shipped("rush-hour"), {"ends": ends, "remarks": []}, {})
    assert finding.startswith(found)
    assert "--topic-prefix" in finding


@pytest.mark.parametrize("ends", [{}, {"taken_over": 0, "unexplained": 2}])
def test_a_connection_that_ends_now_and_then_is_no_finding(ends: dict[str, int]) -> None:
    """A broker that hangs up once may have its reasons."""
    assert broker_findings(shipped("rush-hour"), {"ends": ends}, {}) == []


def test_a_scenario_that_harms_its_broker_explains_itself() -> None:
    """Connections that end because the scenario kills the broker are no takeovers."""
    result: dict[str, Any] = {"ends": {"taken_over": 0, "unexplained": 500}}
    assert broker_findings(shipped("broker-outage"), result, {}) == []


def test_what_the_broker_does_otherwise_is_told_of_cars_and_back_end() -> None:
    """Remarks of both processes are findings."""
    assert broker_findings(shipped("rush-hour"), {"remarks": ["one"]}, {"remarks": ["other"], "ends": {}}) == ["one", "other"]


def test_a_remark_of_cars_and_back_end_is_a_finding_once() -> None:
    """The broker is the same; only how often each has noticed it differs."""
    of_cars, of_backend = Remarks(), Remarks()
    for _ in range(20):
        of_cars.add(NO_RETAIN)
    of_backend.add(NO_RETAIN)
    of_backend.add(SHORTER_SESSIONS, "60 s")
    found = broker_findings(shipped("rush-hour"), {"remarks": of_cars.in_words()}, {"remarks": of_backend.in_words()})
    assert found == [f"{NO_RETAIN} (20 times)", f"{SHORTER_SESSIONS} (once, first: 60 s)"]


def test_messages_that_cars_could_not_read_are_told() -> None:
    """Nothing that a car leaves aside is left out of the report."""
    assert broker_findings(shipped("rush-hour"), {"unreadable": {"topic": 3, "type": 1}}, {}) == [
        "cars refused 4 messages sent to them, by reason: topic 3, type 1"
    ]


def test_a_broker_that_died_explains_why_connections_ended() -> None:
    """Nobody took the sessions of its clients over; a takeover before its death is still one."""
    result: dict[str, Any] = {"ends": {"taken_over": 0, "unexplained": 500}}
    assert broker_findings(shipped("rush-hour"), result, {}, died=True) == []
    assert len(broker_findings(shipped("rush-hour"), {"ends": {"taken_over": 1, "unexplained": 500}}, {}, died=True)) == 1
