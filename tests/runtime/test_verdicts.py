"""Expectations of a run and of its stages: each is held against its own figures, those of its own time."""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.kernel.instants import MINUTE
from fleet.observe.histogram import Histogram
from fleet.observe.report import Generator
from fleet.runtime.verdicts import Verdicts, progress_figures, stage_figures
from fleet.scenario.conditions import FIGURES
from fleet.scenario.expectations import LIVE, MEASURES, STAGE_COUNTS
from fleet.scenario.schema import Scenario
from tests.runtime.stage_lab import StageLab, staged

TWO = """\
expectations: [lost == 0, always connected >= 3]
stages:
  - {name: calm, duration: 10 min, expectations: [created == 7, always connected >= 5]}
  - {name: storm, duration: 10 min, expectations: [created == 7, eventually connected == 3, commands.rejected.busy == 2]}
"""
PROGRESS: dict[str, Any] = {
    "states": {"parked": 8, "driving": 2},
    "connections": {"online": 3, "reachable": 4, "offline": 3},
    "account": dict.fromkeys(("created", "published", "acknowledged", "refused", "dropped", "in_outbox", "repeated"), 1),
    "commands": {"succeeded": 5, "rejected(busy)": 2, "rejected(too_far)": 1},
    "commands_waiting": 4,
}


def stage(name: str, created: int) -> dict[str, Any]:
    nothing = Histogram().to_dict()
    return {
        "name": name,
        "account": {"created": created, "in_outbox": 9},
        "commands": {"rejected": {"busy": 2}},
        "commands_asked": 3,
        "publish_to_ack": nothing,
        "round_trip": nothing,
        "round_trip_waking": nothing,
    }


def outcomes(made: Scenario, looks: dict[int, int], stages: list[dict[str, Any]]) -> dict[str, tuple[Any, bool, str]]:
    verdicts = Verdicts(made)
    for minute, connected in looks.items():
        verdicts.look({"connected": connected}, minute * MINUTE, f"minute {minute}")
    found = verdicts.outcomes({"lost": 0}, stage_figures(stages))
    return {each["text"]: (each["value"], each["passed"], each["note"]) for each in found}


def test_each_part_of_the_run_is_held_against_its_own() -> None:
    """A look belongs to the stage it falls into, a figure to the stage it was taken for."""
    held = outcomes(staged(TWO), {0: 0, 1: 6, 9: 5, 10: 3, 19: 4, 20: 0}, [stage("calm", 7), stage("storm", 8)])
    assert held["lost == 0"] == (0, True, "")
    assert held["always connected >= 3"] == (3, True, "always in 4 looks; this came nearest")
    assert held["calm: created == 7"] == (7, True, "")
    assert held["calm: always connected >= 5"] == (5, True, "always in 2 looks; this came nearest")
    assert held["storm: created == 7"] == (8, False, "")
    assert held["storm: eventually connected == 3"] == (3, True, "first held at minute 10")
    assert held["storm: commands.rejected.busy == 2"] == (2, True, "")


def test_a_stage_that_did_not_begin_meets_nothing() -> None:
    """An interrupted run has no figures of it."""
    held = outcomes(staged(TWO), {1: 6}, [stage("calm", 7)])
    assert held["storm: created == 7"] == (None, False, "the stage did not begin")
    assert held["storm: eventually connected == 3"] == (None, False, "there was no look at it")


def test_live_figures_have_the_names_of_the_language() -> None:
    """Whatever may be watched or waited for is told, by progress lines and by the cars alike."""
    backend = {"stored": 1, "duplicates": 0, "quarantined": {"malformed": 2}}
    figures = progress_figures(PROGRESS, backend)
    assert set(LIVE) <= set(figures)
    assert figures["connected"] == 7
    assert (figures["commands.total"], figures["commands.rejected"], figures["commands.waiting"]) == (12, 3, 4)
    assert figures["quarantined"] == 2
    assert "stored" not in progress_figures(PROGRESS, {})
    lab = StageLab(staged("timeline: [{when: cars > 99, do: engine_on}]\n"))
    assert set(FIGURES) <= set(lab.actors[0]._figures())  # type: ignore[union-attr]


def test_report_and_language_name_the_same_figures() -> None:
    """What the generator tells of itself can be expected; what a stage may expect is in its figures."""
    told = {f"generator.{name}" for name in Generator.__struct_fields__}
    assert told == {path for path in MEASURES if path.startswith("generator.")}
    lab = StageLab(staged(TWO))
    counted = {f"commands.{name}" for name in stage_figures([stage("calm", 1)])[0]["commands"]}
    assert set(STAGE_COUNTS) <= counted | set(lab.shard_lab.shard.account())
    assert msgspec.json.encode(stage_figures([stage("calm", 1)]))
