"""The report: its account, its verdict, and what people and machines read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.observe import report as reports
from fleet.observe.report import Account, Generator, command_figures, judge, markdown, write_report

ACCOUNT = Account(
    created=100, published=98, acknowledged=95, stored=90, in_outbox=3, dropped=2, quarantined=1, refused=4, duplicates=7
)
QUIET = Generator(cpu_percent=20.0, loop_lag_ms_p99=12.0, late_sends=0)
MET = {"text": "lost == 0", "value": 0, "passed": True}
NOT_MET = {"text": "commands.unknown == 0", "value": 3, "passed": False}


def test_the_account_adds_up() -> None:
    """What was created and is nowhere is lost; duplicates, published and acknowledged stand beside the account."""
    assert ACCOUNT.lost == 100 - 90 - 3 - 2 - 1 - 4 == 0
    assert msgspec.structs.replace(ACCOUNT, stored=85).lost == 5
    assert msgspec.structs.replace(ACCOUNT, duplicates=50, published=0, acknowledged=0).lost == 0


class TestVerdict:
    def test_passed(self) -> None:
        """All expectations are met, also when there are none."""
        assert judge(ACCOUNT, QUIET, [MET], interrupted=False) == ("passed", "1 of 1 expectations met")
        assert judge(ACCOUNT, QUIET, [], interrupted=False)[0] == "passed"

    def test_failed_names_what_was_not_met(self) -> None:
        """And only that."""
        verdict, reason = judge(ACCOUNT, QUIET, [MET, NOT_MET], interrupted=False)
        assert verdict == "failed"
        assert "commands.unknown == 0" in reason
        assert "lost" not in reason

    def test_interrupted_judges_no_expectation(self) -> None:
        """Half a day tells nothing about a whole one."""
        assert judge(ACCOUNT, QUIET, [NOT_MET], interrupted=True)[0] == "interrupted"

    def test_a_negative_lost_is_invalid(self) -> None:
        """More stored than made: the account itself is wrong, and that goes before everything else."""
        wrong = msgspec.structs.replace(ACCOUNT, stored=93)
        for interrupted in (False, True):
            verdict, reason = judge(wrong, QUIET, [NOT_MET], interrupted=interrupted)
            assert verdict == "invalid"
            assert "3 more messages" in reason

    def test_a_clock_that_was_not_kept_is_invalid(self) -> None:
        """The generator was the limit: the figures say nothing, and the reason says what to do."""
        slow = msgspec.structs.replace(QUIET, loop_lag_ms_p99=reports.BEHIND_LIMIT_MS + 1)
        verdict, reason = judge(ACCOUNT, slow, [MET], interrupted=False)
        assert verdict == "invalid"
        assert "--clock" in reason
        at_limit = msgspec.structs.replace(QUIET, loop_lag_ms_p99=reports.BEHIND_LIMIT_MS)
        assert judge(ACCOUNT, at_limit, [MET], interrupted=False)[0] == "passed"

    def test_each_verdict_has_its_exit_code(self) -> None:
        """As the contract fixes them."""
        assert reports.EXIT_CODES == {"passed": 0, "failed": 1, "invalid": 3, "interrupted": 130}


class TestCommands:
    def test_figures_by_state_and_reason(self) -> None:
        """All ends are in the total; rejections and failures keep their reasons."""
        figures = command_figures(
            {"succeeded": {"": 5}, "rejected": {"busy": 2, "too_far": 3}, "failed": {"door_open": 1}, "unknown": {"": 1}}
        )
        assert figures == {
            "total": 12, "succeeded": 5, "rejected": {"busy": 2, "too_far": 3}, "failed": {"door_open": 1},
            "expired": 0, "unknown": 1,
        }  # fmt: skip

    def test_what_has_no_end_is_open(self) -> None:
        """Only while there is such a one."""
        assert command_figures({"sent": {"": 2}, "checking": {"": 1}})["open"] == 3
        assert command_figures({}) == {"total": 0, "succeeded": 0, "rejected": {}, "failed": {}, "expired": 0, "unknown": 0}


def whole_report(**changes: Any) -> dict[str, Any]:
    account = {name: getattr(ACCOUNT, name) for name in (*ACCOUNT.__struct_fields__, "lost")}
    return {
        "schema": reports.SCHEMA, "verdict": "failed", "reason": "not met: commands.unknown == 0", "seed": 7, "scenario": "small",
        "scenario_duration": "2 h", "clock": "x60", "version": "0", "machine": reports.machine(), "wall_s": 120.04, "cars": 3,
        "connected": 3, **account, "commands": command_figures({"succeeded": {"": 5}, "rejected": {"busy": 2, "too_far": 3}}),
        "latency_ms": {
            "publish_to_ack": {"p50": 1.25, "p90": 2.0, "p99": 3.0, "p999": 4.0, "max": 5.0}, "command_round_trip": {},
        },
        "outages": [
            {"scenario_time": "2026-03-02T06:00:00Z", "seconds": 4.2}, {"scenario_time": "2026-03-02T06:30:00Z", "seconds": None},
        ],
        "expectations": [MET, NOT_MET, {"text": "x <= 1", "value": None, "passed": False}],
        "generator": {"cpu_percent": 20.0, "loop_lag_ms_p99": 12.0, "late_sends": 0},
        **changes,
    }  # fmt: skip


class TestMarkdown:
    def test_it_holds_every_part(self) -> None:
        """Verdict, run, account, commands with reasons, latencies, expectations, outages, generator and machine."""
        text = markdown(whole_report())
        assert text.startswith("# small: failed\n")
        for line in (
            "3 cars, seed 7, 2 h at clock x60, 120.0 s of wall time, fleet 0.",
            "| made by the cars | 100 |",
            "| refused by the broker | 4 |",
            "| rejected (too_far) | 3 |",
            "| publish to ack | 1.2 | 2.0 | 3.0 | 4.0 | 5.0 |",
            "| command round trip | – | – | – | – | – |",
            "| lost == 0 | 0 | met |",
            "| commands.unknown == 0 | 3 | NOT met |",
            "| x <= 1 | – | NOT met |",
            "| 2026-03-02T06:00:00Z | 4.2 s |",
            "| 2026-03-02T06:30:00Z | the end |",
            "| late_sends | 0 |",
        ):
            assert line in text.splitlines(), line

    def test_tables_are_whole(self) -> None:
        """Every line of a table has as many cells as its head."""
        width = 0
        for line in markdown(whole_report()).splitlines():
            if not line.startswith("|"):
                width = 0
                continue
            width = width or line.count("|")
            assert line.count("|") == width, line

    def test_nothing_to_tell_is_told(self) -> None:
        """No expectations and no outages are sentences, not empty tables."""
        text = markdown(whole_report(expectations=[], outages=[]))
        assert "## Expectations\n\nNone.\n" in text
        assert "## Outages\n\nNone: " in text


def test_both_files_are_written(tmp_path: Path) -> None:
    """report.json is the report itself, report.md its text."""
    write_report(tmp_path, whole_report())
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(whole_report()))
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == markdown(whole_report())


@pytest.mark.parametrize("field", ["system", "architecture", "cpus", "python"])
def test_the_machine_is_described(field: str) -> None:
    """Figures are compared between machines only by who knows both."""
    assert reports.machine()[field]
