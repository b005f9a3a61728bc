"""The report: its account, its verdict, and what people and machines read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.observe import report as reports
from fleet.observe.report import Account, Generator, command_figures, findings, judge, markdown, write_report

ACCOUNT = Account(
    created=100, published=98, acknowledged=95, stored=90, in_outbox=3, dropped=2, quarantined=1, refused=4, duplicates=7
)
QUIET = Generator(
    cpu_percent=20.0, cpu_percent_peak=45.0, cpu_percent_late=8.0, loop_lag_ms_p99=12.0, loop_lag_ms_max=40.0,
    behind_ms_p99=30.0, late_sends=0, late_percent=0.0, memory_mb_peak=80.0,
)  # fmt: skip
AT_THE_LIMITS = msgspec.structs.replace(
    QUIET,
    cpu_percent=reports.CPU_LIMIT_PERCENT,
    loop_lag_ms_p99=reports.LOOP_LAG_LIMIT_MS,
    behind_ms_p99=reports.BEHIND_LIMIT_MS,
    late_percent=reports.LATE_LIMIT_PERCENT,
    late_sends=1000,
)
BEYOND: dict[str, dict[str, float]] = {
    "used 97 % of a core (limit 90 %)": {"cpu_percent": 97.4, "cpu_percent_peak": 100.0},
    "loop turned 900 ms late at p99 (limit 250 ms)": {"loop_lag_ms_p99": 900.0},
    "were 501 ms behind their clock at p99 (limit 500 ms)": {"behind_ms_p99": 501.0},
    "5.1 % of the deadlines were met over 100 ms late (limit 5 %)": {"late_percent": 5.1, "late_sends": 1000},
}
"""What goes beyond each bound, from cause to effect, with the words for it."""
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

    def test_of_many_that_are_not_met_some_are_named_and_all_counted(self) -> None:
        """The reason stays a line that can be read."""
        _, reason = judge(ACCOUNT, QUIET, [NOT_MET] * (reports.NAMED_MOST + 3), interrupted=False)
        assert reason.count(str(NOT_MET["text"])) == reports.NAMED_MOST
        assert reason.endswith("; and 3 more")

    def test_interrupted_judges_no_expectation(self) -> None:
        """Half a day tells nothing about a whole one."""
        assert judge(ACCOUNT, QUIET, [NOT_MET], interrupted=True)[0] == "interrupted"

    def test_a_negative_lost_is_invalid(self) -> None:
        """More stored than created: the account itself is wrong, and that goes before everything else."""
        wrong = msgspec.structs.replace(ACCOUNT, stored=93)
        for interrupted in (False, True):
            verdict, reason = judge(wrong, QUIET, [NOT_MET], interrupted=interrupted)
            assert verdict == "invalid"
            assert "3 more messages" in reason

    def test_death_of_a_part_comes_first(self) -> None:
        """What broke is the reason, whatever else went wrong with it."""
        loaded = msgspec.structs.replace(QUIET, cpu_percent=99.0)
        verdict, reason = judge(ACCOUNT, loaded, [NOT_MET], interrupted=True, broken="the broker has ended")
        assert (verdict, reason) == ("invalid", "the broker has ended; the figures hold for what ran before")

    def test_each_verdict_has_its_exit_code(self) -> None:
        """As the contract fixes them."""
        assert reports.EXIT_CODES == {"passed": 0, "failed": 1, "invalid": 3, "interrupted": 130}


class TestGeneratorHealth:
    def test_at_the_bounds_it_is_well(self) -> None:
        """Each figure may reach its bound, all of them at once."""
        assert judge(ACCOUNT, AT_THE_LIMITS, [MET], interrupted=False)[0] == "passed"

    @pytest.mark.parametrize("text", BEYOND)
    def test_each_bound_makes_a_run_invalid(self, text: str) -> None:
        """One figure beyond its bound is enough, is named with its value and limit, and names no other."""
        verdict, reason = judge(ACCOUNT, msgspec.structs.replace(QUIET, **BEYOND[text]), [MET], interrupted=False)
        assert verdict == "invalid"
        assert text in reason
        assert "also" not in reason

    def test_it_comes_before_what_it_makes_worthless(self) -> None:
        """Neither an expectation that is not met nor an interrupt hides that the figures mean nothing."""
        slow = msgspec.structs.replace(QUIET, behind_ms_p99=501.0)
        assert [judge(ACCOUNT, slow, [NOT_MET], interrupted=each)[0] for each in (False, True)] == ["invalid", "invalid"]

    def test_the_cause_gives_the_advice_and_its_effects_are_named(self) -> None:
        """A process at its limit turns late and falls behind: less load is the advice, and nothing hides what followed."""
        everything = msgspec.structs.replace(QUIET, **{k: v for change in BEYOND.values() for k, v in change.items()})
        _, reason = judge(ACCOUNT, everything, [MET], interrupted=False)
        cause, *others = reason.split("; also, ")
        first, *rest = BEYOND
        assert first in cause
        assert "fewer --cars or a lower --clock" in cause
        assert all(text in other for text, other in zip(rest, others, strict=True))

    @pytest.mark.parametrize("effect", [{}, {"behind_ms_p99": 501.0}, {"late_percent": 6.0, "late_sends": 60}])
    def test_whom_the_loop_waited_for(self, effect: dict[str, float]) -> None:
        """Late in turns that used hardly any CPU: others had the machine, and fewer cars would not help; else its own load.

        Also when the loop kept within its own bound, and what it made late did not.
        """
        lag = reports.LOOP_IN_TIME_MS + 1 if effect else reports.LOOP_LAG_LIMIT_MS + 1
        changes = {**effect, "loop_lag_ms_p99": lag}
        starved = msgspec.structs.replace(QUIET, **changes, cpu_percent_late=reports.OWN_LOAD_PERCENT - 1)
        _, reason = judge(ACCOUNT, starved, [MET], interrupted=False)
        assert "while its loop was late it used 49 % of a core, so the machine was busy with other things" in reason
        assert "--cars" not in reason
        busy = msgspec.structs.replace(QUIET, **changes, cpu_percent_late=reports.OWN_LOAD_PERCENT)
        _, reason = judge(ACCOUNT, busy, [MET], interrupted=False)
        assert "fewer --cars or a lower --clock" in reason
        assert "other things" not in reason

    @pytest.mark.parametrize("effect", [{"behind_ms_p99": 501.0}, {"late_percent": 6.0, "late_sends": 60}])
    def test_deadlines_behind_a_loop_that_turns_in_time(self, effect: dict[str, float]) -> None:
        """The clock is too fast for so many cars, whatever CPU the few late turns used."""
        in_time = msgspec.structs.replace(QUIET, **effect, loop_lag_ms_p99=reports.LOOP_IN_TIME_MS)
        _, reason = judge(ACCOUNT, in_time, [MET], interrupted=False)
        assert reason.endswith("so the clock is too fast; use a lower --clock factor or fewer --cars")

    def test_a_few_late_sends_are_no_share(self) -> None:
        """Three late ones of twenty say nothing; ten do."""
        few = msgspec.structs.replace(QUIET, late_percent=15.0, late_sends=reports.LATE_FEWEST - 1)
        assert judge(ACCOUNT, few, [MET], interrupted=False)[0] == "passed"
        enough = msgspec.structs.replace(few, late_sends=reports.LATE_FEWEST)
        assert judge(ACCOUNT, enough, [MET], interrupted=False)[0] == "invalid"

    def test_a_back_end_at_its_limit_is_a_finding(self) -> None:
        """It is what was tested, so the figures hold; below the bound, or unknown, nothing is said."""
        (finding,) = findings(QUIET, 97.3)
        assert "the back end used 97 % of a core" in finding
        assert findings(QUIET, reports.BACKEND_LIMIT_PERCENT) == findings(QUIET, None) == []
        assert f"Finding: {finding}.\n" in markdown(whole_report(findings=[finding]))

    def test_a_loop_late_within_its_bound_is_a_finding(self) -> None:
        """The run counts, but its latencies hold the loop's own; beyond the bound the reason has said it already."""
        lags = [reports.LOOP_IN_TIME_MS, reports.LOOP_IN_TIME_MS + 1, reports.LOOP_LAG_LIMIT_MS, reports.LOOP_LAG_LIMIT_MS + 1]
        found = [findings(msgspec.structs.replace(QUIET, loop_lag_ms_p99=lag), None) for lag in lags]
        assert [len(each) for each in found] == [0, 1, 1, 0]
        assert "turned 51 ms late at p99" in found[1][0]
        assert "the machine was busy with other things" in found[1][0]


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
        "generator": msgspec.structs.asdict(QUIET), "backend": {"cpu_percent": 11.0, "cpu_percent_peak": 31.4}, "findings": [],
        **changes,
    }  # fmt: skip


class TestMarkdown:
    def test_it_holds_every_part(self) -> None:
        """Verdict, run, account, commands with reasons, latencies, expectations, outages, generator and machine."""
        text = markdown(whole_report())
        assert text.startswith("# small: failed\n")
        for line in (
            "3 cars, seed 7, 2 h at clock x60, 120.0 s of wall time, fleet 0.",
            "| created by the cars | 100 |",
            "| refused by the broker | 4 |",
            "| rejected (too_far) | 3 |",
            "| publish to ack | 1.2 | 2.0 | 3.0 | 4.0 | 5.0 |",
            "| command round trip | – | – | – | – | – |",
            "| lost == 0 | 0 | met |",
            "| commands.unknown == 0 | 3 | NOT met |",
            "| x <= 1 | – | NOT met |",
            "| 2026-03-02T06:00:00Z | 4.2 s |",
            "| 2026-03-02T06:30:00Z | the end |",
            "| CPU | 20 % of a core (busiest second 45 %) |",
            "| loop lag | p99 12.0 ms, max 40.0 ms |",
            "| behind the clock | p99 30.0 ms |",
            "| late sends | 0 (0.00 %) |",
            "| memory | 80 MB |",
            "| back end CPU | 11 % of a core (busiest second 31 %) |",
        ):
            assert line in text.splitlines(), line

    def test_faults_are_told_by_kind(self) -> None:
        """With what they did, also when that was nothing."""
        text = markdown(whole_report(faults={"drop": {"packets": 3, "too_large": 1}, "stall": {}}))
        assert "| drop | 3 packets, 1 too large |\n| stall | nothing |\n" in text

    def test_a_back_end_that_was_not_watched_has_no_line(self) -> None:
        """With --no-backend, or where the system does not tell."""
        assert "back end CPU" not in markdown(whole_report(backend={}))

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
        assert "## Faults" not in text
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
