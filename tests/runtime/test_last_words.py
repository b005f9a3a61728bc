"""The result of a simulator that died: a report can be made of it, whatever it had told by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.observe.histogram import Histogram
from fleet.runtime.last_words import result_of_dead
from fleet.runtime.reporting import compose_report
from fleet.runtime.run import RunConfig
from fleet.runtime.verdicts import Verdicts
from fleet.runtime.virtual_stage import virtual_run
from tests.runtime.pure_lab import scenario
from tests.runtime.test_virtual_stage import COMMANDS, FLEETS, VIRTUAL, Quiet

MADE = scenario(FLEETS, COMMANDS, clock=VIRTUAL)
LAG = Histogram()
LAG.record(2_000)
PROGRESS: dict[str, Any] = {
    "type": "progress",
    "scenario_time": "2026-03-02T05:30:00Z",
    "account": {"created": 12, "published": 11, "acknowledged": 9, "refused": 0, "dropped": 1, "in_outbox": 2, "repeated": 0},
    "commands": {"succeeded": 3, "rejected(too_far)": 2},
    "publish_to_ack_ms": {"p50": 1.0, "p90": 2.0, "p99": 3.0, "p999": 4.0, "max": 5.0},
    "round_trip_ms": {},
    "so_far": {
        "boot": 7,
        "connected": 30,
        "wall_s": 61.5,
        "behind": LAG.to_dict(),
        "late_sends": 1,
        "health": {
            "loop_lag": LAG.to_dict(),
            "cpu_percent": 20.0,
            "cpu_percent_peak": 30.0,
            "cpu_percent_late": 0.0,
            "memory_mb_peak": 50.0,
        },
    },
}


def report(progress: dict[str, Any], store: Path | None = None) -> dict[str, Any]:
    return compose_report(
        MADE, result=result_of_dead(progress, MADE, until_stored=False), backend={}, backend_cpu={}, store=store,
        verdicts=Verdicts(MADE), broken="the simulator was killed by SIGKILL",
    )  # fmt: skip


def test_the_report_has_what_the_simulator_had_told() -> None:
    """Its counts, outcomes of commands, latencies and health; what its cars still held is not known, nor what was lost."""
    found = report(PROGRESS)
    assert (found["verdict"], found["reason"]) == (
        "invalid",
        "the simulator was killed by SIGKILL; the figures hold for what ran before",
    )
    assert (found["cars"], found["connected"], found["wall_s"]) == (30, 30, 61.5)
    assert (found["created"], found["acknowledged"], found["dropped"]) == (12, 9, 1)
    assert (found["in_outbox"], found["lost"], found["expectations"]) == (None, None, [])
    assert found["commands"]["succeeded"] == 3
    assert found["commands"]["rejected"] == {"too_far": 2}
    assert found["latency_ms"]["publish_to_ack"]["p99"] == 3.0
    assert (found["generator"]["cpu_percent"], found["generator"]["late_sends"]) == (20.0, 1)
    assert found["findings"][-1].startswith("the simulator's last word is of 2026-03-02T05:30:00Z: its counts end there")


def test_one_that_told_nothing_leaves_a_report_too() -> None:
    found = report({})
    assert (found["verdict"], found["created"], found["lost"]) == ("invalid", 0, None)
    assert found["findings"][-1].startswith("the run broke before the simulator told anything of its cars")


def test_a_store_that_never_was_is_not_looked_into(tmp_path: Path) -> None:
    found = report({}, tmp_path / "store.sqlite")
    assert (found["verdict"], found["stored"]) == ("invalid", None)


@pytest.mark.parametrize("key", ["in_outbox", "lost"])
def test_the_report_of_a_run_that_came_to_its_end_knows_all(key: str, tmp_path: Path) -> None:
    """Both reports have the same keys; this one has figures where the other does not know."""
    whole = virtual_run(RunConfig(scenario=MADE, out=tmp_path), Quiet()).execute()
    assert set(report(PROGRESS)) | {"events", "notices", "replies", "replies_failed"} >= set(whole) - set(_OF_STORE)
    assert whole[key] is not None


_OF_STORE = ("stored_of_others", "quarantined_by_reason", "statuses_engine_off", "statuses_asked")
