"""Expectations: read, checked against the known paths, held against a report."""

# ruff: noqa: E501 - a table of cases reads best with one case in a line

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario.expectations import COUNTS, LIVE, MEASURES, STAGE_COUNTS, STAGE_LATENCIES, Expectation, ExpectationWatch
from fleet.scenario.scalars import Misread

REPORT: dict[str, Any] = {
    "cars": 40,
    "lost": 0,
    "stored": 300,
    "created": 400,
    "commands": {"total": 50, "succeeded": 45, "rejected": {"too_far": 3, "busy": 1}, "failed": {}, "unknown": 1},
    "latency_ms": {"command_round_trip": {"p50": 8.5, "p99": 41.0, "max": None}},
    "generator": {"cpu_percent": 40.0},
    "faults": {"drop": {"packets": 3}},
}


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        ("lost == 0", 0, True),
        ("stored != 300", 300, False),
        ("cars > 39", 40, True),
        ("cars < 40", 40, False),
        ("commands.unknown <= 0", 1, False),
        ("commands.rejected.too_far >= 3", 3, True),
        ("commands.rejected.fuel_low == 0", 0, True),
        ("commands.rejected == 4", 4, True),
        ("commands.failed == 0", 0, True),
        ("commands.expired == 0", 0, True),
        ("duplicates == 0", 0, True),
        ("latency_ms.command_round_trip.p99 <= 60", 41.0, True),
        ("latency_ms.command_round_trip.p99 <= 40 ms", 41.0, False),
        ("latency_ms.command_round_trip.p99 <= 0.06 s", 41.0, True),
        ("commands.succeeded / commands.total >= 90 %", 0.9, True),
        ("commands.succeeded / commands.total > 0.9", 0.9, False),
        ("stored/created>=75%", 0.75, True),
        ("generator.cpu_percent < 50 %", 40.0, True),
        ("faults.drop.packets >= 3", 3, True),
        ("faults.reset.connections == 0", 0, True),
    ],
)
def test_an_expectation_holds_or_not(text: str, value: float, passed: bool) -> None:
    """The outcome carries the text, the value that was found and whether it passed."""
    outcome = Expectation.parse(text).evaluate(REPORT)
    assert (outcome.text, outcome.value, outcome.passed, outcome.note) == (text, value, passed, "")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("latency_ms.command_round_trip.p90 <= 60", "latency_ms.command_round_trip.p90: nothing was measured"),
        ("latency_ms.command_round_trip.max <= 60", "latency_ms.command_round_trip.max: nothing was measured"),
        ("latency_ms.publish_to_ack.p50 >= 0", "latency_ms.publish_to_ack.p50: nothing was measured"),
        ("stored / dropped >= 0", "dropped: it is 0, and nothing divides by it"),
        ("lost / generator.late_sends >= 0", "generator.late_sends: nothing was measured"),
    ],
)
def test_what_was_not_measured_does_not_pass(text: str, note: str) -> None:
    """A missing figure fails the expectation and says so, whatever the comparison."""
    outcome = Expectation.parse(text).evaluate(REPORT)
    assert (outcome.value, outcome.passed, outcome.note) == (None, False, note)


def test_faults_that_nobody_has_counted_are_not_none() -> None:
    """A null stands for that, and passes no expectation."""
    outcome = Expectation.parse("faults.drop.packets == 0").evaluate({**REPORT, "faults": None})
    assert (outcome.value, outcome.passed, outcome.note) == (None, False, "faults.drop.packets: nothing was measured")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("losst == 0", "the report has no 'losst'", "Did you mean 'lost'?"),
        ("commands.succeded > 1", "the report has no 'commands.succeded'", "Did you mean 'commands.succeeded'?"),
        ("lost / totl > 1", "the report has no 'totl'", None),
        ("faults.drip.packets > 1", "the report has no 'faults.drip.packets'", "Did you mean 'faults.drop.packets'?"),
        ("latency_ms.command_round_trip.p95 <= 60", "the report has no 'latency_ms.command_round_trip.p95'",
         "Did you mean 'latency_ms.command_round_trip.p99'?"),
        ("lost = 0", f"{Expectation.expected} is expected, not 'lost = 0'", ""),
        ("lost == none", f"{Expectation.expected} is expected, not 'lost == none'", ""),
        ("lost == 0 ms", "'ms' is not a unit of lost: no unit is expected", ""),
        ("lost / stored == 0 ms", "'ms' is not a unit of a ratio: '%' or no unit is expected", ""),
        ("latency_ms.publish_to_ack.p50 <= 3 min", "'min' is not a unit of latency_ms.publish_to_ack.p50: 'ms', 's' or no unit is expected", ""),
    ],
)  # fmt: skip
def test_a_wrong_expectation_is_refused_when_it_is_read(text: str, message: str, hint: str | None) -> None:
    """A misspelt path cannot pass by being absent from the report."""
    with pytest.raises(Misread) as caught:
        Expectation.parse(text)
    assert str(caught.value) == message
    assert hint is None or caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("always lost == 0", "while the run goes on nobody knows 'lost'", None),
        ("eventually connectd == 5", "while the run goes on nobody knows 'connectd'", "Did you mean 'connected'?"),
        ("never lost == 0", f"{Expectation.expected} is expected, not 'never lost == 0'", ""),
    ],
)
def test_what_nobody_knows_while_the_run_goes_on_is_refused(text: str, message: str, hint: str | None) -> None:
    """Losses, for one, are known at the end alone."""
    with pytest.raises(Misread) as caught:
        Expectation.parse(text)
    assert str(caught.value) == message
    assert hint is None or caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "looks", "value", "passed", "note"),
    [
        ("always connected / cars >= 50 %", [40, 30, 38], 0.75, True, "always in 3 looks; this came nearest"),
        ("always connected / cars >= 50 %", [40, 10, 5, 40], 0.25, False, "first failed at 1"),
        ("eventually connected >= 20", [0, 10, 25, 40], 25, True, "first held at 2"),
        ("eventually connected >= 20", [0, 10, 5], 10, False, "never in 3 looks; this came nearest"),
        ("eventually connected == 0", [9, 2, 4], 2, False, "never in 3 looks; this came nearest"),
        ("always connected < 9", [], None, False, "there was no look at it"),
    ],
)
def test_what_is_watched_keeps_the_value_that_decides(
    text: str, looks: list[int], value: float | None, passed: bool, note: str
) -> None:
    """Each look counts until it is decided; else the nearest to the bound is told."""
    watch = ExpectationWatch(Expectation.parse(text))
    for number, connected in enumerate(looks):
        watch.look({"connected": connected, "cars": 40}, str(number))
    outcome = watch.outcome()
    assert (outcome.text, outcome.value, outcome.passed, outcome.note) == (text, value, passed, note)


@pytest.mark.parametrize("percent", range(101))
def test_a_share_is_met_to_the_last_digit(percent: int) -> None:
    expectation = Expectation.parse(f"stored / created == {percent} %")
    assert expectation.evaluate({"stored": 2 * percent, "created": 200}).passed


def test_a_look_without_the_figure_is_none() -> None:
    """A run without a back end of ours has no `stored`, and no cars are no divisor."""
    watch = ExpectationWatch(Expectation.parse("always stored / cars >= 0"))
    watch.look({"cars": 5}, "0")
    watch.look({"cars": 0, "stored": 5}, "1")
    assert not watch.outcome().passed


def test_a_stage_knows_less() -> None:
    """What is not counted by stage is named."""
    assert Expectation.parse("commands.rejected.busy / commands.total < 5 %").unknown_in_stage() is None
    assert Expectation.parse("latency_ms.command_round_trip.p99 < 5").unknown_in_stage() is None
    assert Expectation.parse("always stored > 5").unknown_in_stage() is None
    assert Expectation.parse("created / stored < 5").unknown_in_stage() == "stored"
    assert Expectation.parse("latency_ms.publish_to_stored.p99 < 5").unknown_in_stage() == "latency_ms.publish_to_stored.p99"


@pytest.mark.parametrize("path", [*STAGE_COUNTS, *(f"latency_ms.{kind}.p99" for kind in STAGE_LATENCIES)])
def test_what_a_stage_knows_can_be_expected_of_it(path: str) -> None:
    """What is offered is read, and is not refused afterwards."""
    assert Expectation.parse(f"{path} >= 1").unknown_in_stage() is None


@pytest.mark.parametrize("path", LIVE)
def test_what_is_known_while_the_run_goes_on_can_be_watched(path: str) -> None:
    """What is offered is read."""
    assert Expectation.parse(f"always {path} >= 1").mode == "always"


def test_it_is_no_text_at_all() -> None:
    """A number or a mapping is refused like any other wrong value."""
    with pytest.raises(Misread, match="not a mapping"):
        Expectation.parse({"lost == 0": None})


def test_reasons_are_named() -> None:
    """Whoever knows the reasons can check them."""
    assert Expectation.parse("commands.rejected.too_far / commands.total < 10 %").reasons() == ["too_far"]
    assert Expectation.parse("lost == 0").reasons() == []


@given(st.sampled_from([*COUNTS, *MEASURES]), st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), st.integers(-5, 10**9))
def test_every_known_path_is_read_and_held_against_an_empty_report(path: str, comparison: str, bound: int) -> None:
    """An empty report has counts of 0 and no measures."""
    outcome = Expectation.parse(f"{path} {comparison} {bound}").evaluate({})
    if path in MEASURES:
        assert (outcome.value, outcome.passed) == (None, False)
    else:
        assert outcome.value == 0
        assert outcome.passed is {"==": bound == 0, "!=": bound != 0, "<=": bound >= 0, ">=": bound <= 0, "<": bound > 0, ">": bound < 0}[comparison]  # fmt: skip
