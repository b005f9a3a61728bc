"""The report of a run: figures, whether the account holds, and the verdict; as JSON for machines, Markdown for people.

Gets plain figures; knows no store and no scenario.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

SCHEMA: Final = "fleet-report/1"

Verdict = Literal["passed", "failed", "invalid", "interrupted"]
EXIT_CODES: Final[dict[Verdict, int]] = {"passed": 0, "failed": 1, "invalid": 3, "interrupted": 130}

CPU_LIMIT_PERCENT: Final = 90.0
"""The simulator is one thread: beyond nine tenths of a core, waiting for itself is part of every latency it measures."""
LOOP_LAG_LIMIT_MS: Final = 250.0
"""How late its loop may turn at p99: all latencies are taken on that loop, and the shipped scenarios allow 500 ms."""
LOOP_IN_TIME_MS: Final = 50.0
"""Up to this at p99 the loop turns in time, and it is not the loop that makes deadlines late."""
OWN_LOAD_PERCENT: Final = 50.0
"""CPU while the loop was late from which the lateness is its own work, and not that of others on the machine."""
BEHIND_LIMIT_MS: Final = 500.0
"""A live run whose deadlines were met later than this at p99, in wall time, has not kept its clock."""
LATE_LIMIT_PERCENT: Final = 5.0
"""With more than one deadline in twenty met over 100 ms late, the load was not the one that the scenario asks for."""
LATE_FEWEST: Final = 10
"""Fewer late ones than this say nothing about a share."""
_REFUSED: Final = re.compile(r"\brefused\b")
NAMED_MOST: Final = 10
"""Of so many expectations that are not met the reason has the text; all are in the report's table."""
BACKEND_LIMIT_PERCENT: Final = 90.0
"""CPU of the back end's process from which the report names it as the limit: a finding, for it is what was tested."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """created = stored + in_outbox + dropped + quarantined + refused + left_out + erased + lost; others stand beside it.

    `erased` are messages of cars that were erased: stored before, or not taken any more.
    `left_out` are messages for which the cars' dialect has no place. Of a store that was looked into: `rows_missing` messages
    taken for stored have no row, and `rows_twice` rows are too many.
    """

    created: int
    published: int
    acknowledged: int
    stored: int
    in_outbox: int
    dropped: int
    quarantined: int
    refused: int
    duplicates: int
    left_out: int = 0
    erased: int = 0
    rows_missing: int = 0
    rows_twice: int = 0

    @property
    def lost(self) -> int:
        """Messages that the cars created and nobody has; below 0 the account itself is wrong."""
        found = self.stored + self.in_outbox + self.dropped + self.quarantined + self.refused + self.left_out + self.erased
        return self.created - found


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """How the load generator fared: when it is the limit, the run says nothing about the system under test.

    `cpu_percent_late` is its CPU over the time in which its loop was late: it tells its own load from a busy machine.
    """

    cpu_percent: float
    cpu_percent_peak: float
    cpu_percent_late: float
    loop_lag_ms_p99: float
    loop_lag_ms_max: float
    behind_ms_p99: float
    late_sends: int
    late_percent: float
    memory_mb_peak: float


def machine() -> dict[str, Any]:
    """Return what this machine is, for figures that are to be compared."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def command_figures(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return the commands by terminal state, and by reason where there is one; `open` only while some have no end."""
    figures = outcome_figures(counts)
    ends = {state: sum(counts.get(state, {}).values()) for state in ("expired", "unknown")}
    figures |= ends
    ended = figures["succeeded"] + sum(figures["rejected"].values()) + sum(figures["failed"].values()) + sum(ends.values())
    still_open = figures["total"] - ended
    if still_open:
        figures["open"] = still_open
    return figures


def outcome_figures(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return how many things were asked, and what came of them: refusals and failures by their reasons."""
    return {
        "total": sum(sum(reasons.values()) for reasons in counts.values()),
        "succeeded": sum(counts.get("succeeded", {}).values()),
        "rejected": dict(counts.get("rejected", {})),
        "failed": dict(counts.get("failed", {})),
    }


def judge(
    account: Account,
    generator: Generator,
    expectations: Sequence[Mapping[str, Any]],
    *,
    interrupted: bool,
    broken: str = "",
    until_stored: bool = False,
) -> tuple[Verdict, str]:
    """Return the verdict and its reason; a reason that makes the figures worthless comes before all others.

    A broker that refuses everything fails a run that expects nothing of `refused`. `broken` names the part of the run that died,
    in words; with `until_stored` cars kept their messages until the back end said that they are stored.
    """
    if broken:
        return "invalid", f"{broken}; the figures hold for what ran before"
    if account.lost < 0:
        return "invalid", f"the account does not add up: {-account.lost} more messages were stored than created"
    overload = overload_of(generator)
    if overload:
        return "invalid", overload
    untrue = untrue_of(account, until_stored=until_stored)
    if untrue:
        return "failed", "; ".join(untrue)
    if interrupted:
        return "interrupted", "stopped before the scenario's end; the figures hold for what ran"
    failed = [expectation["text"] for expectation in expectations if not expectation["passed"]]
    if account.refused and not account.acknowledged and not any(_REFUSED.search(each["text"]) for each in expectations):
        failed.append(f"the broker took none of the cars' messages, and refused {account.refused}")
    if failed:
        more = [f"and {len(failed) - NAMED_MOST} more"] if len(failed) > NAMED_MOST else []
        return "failed", "not met: " + "; ".join([*failed[:NAMED_MOST], *more])
    return "passed", f"{len(expectations)} of {len(expectations)} expectations met"


def untrue_of(account: Account, *, until_stored: bool) -> list[str]:
    """Return the false claims of the store and its back end, whatever the scenario expects."""
    found = []
    if account.rows_missing:
        found.append(f"{_messages(account.rows_missing)} taken for stored, and no row of the store has them")
    if account.rows_twice:
        found.append(f"the store has {account.rows_twice} rows too many: the same messages again")
    if until_stored and account.lost > account.rows_missing:
        found.append(f"{_messages(account.lost - account.rows_missing)} said to be stored to their cars, and were not")
    return found


def _messages(count: int) -> str:
    return "1 message was" if count == 1 else f"{count} messages were"


def overload_of(generator: Generator) -> str:
    """Return the bounds that the generator passed, with advice; empty when it kept within all.

    The bounds go from cause to effect: the advice is for the first that is passed, and the others are named.
    """
    beyond: list[tuple[str, str]] = []
    if generator.cpu_percent > CPU_LIMIT_PERCENT:
        text = f"the simulator used {generator.cpu_percent:.0f} % of a core (limit {CPU_LIMIT_PERCENT:.0f} %)"
        beyond.append((text, "use fewer --cars or a lower --clock factor"))
    if generator.loop_lag_ms_p99 > LOOP_LAG_LIMIT_MS:
        text = f"the simulator's loop turned {generator.loop_lag_ms_p99:.0f} ms late at p99 (limit {LOOP_LAG_LIMIT_MS:.0f} ms)"
        beyond.append((text, _advice(generator)))
    if generator.behind_ms_p99 > BEHIND_LIMIT_MS:
        text = f"the cars were {generator.behind_ms_p99:.0f} ms behind their clock at p99 (limit {BEHIND_LIMIT_MS:.0f} ms)"
        beyond.append((text, _advice(generator)))
    if generator.late_percent > LATE_LIMIT_PERCENT and generator.late_sends >= LATE_FEWEST:
        text = f"{generator.late_percent:.1f} % of the deadlines were met over 100 ms late (limit {LATE_LIMIT_PERCENT:.0f} %)"
        beyond.append((text, _advice(generator)))
    if not beyond:
        return ""
    (cause, advice), *others = beyond
    return "; ".join((f"{cause}: {advice}", *(f"also, {text}" for text, _ in others)))


def _advice(generator: Generator) -> str:
    """Tell whether the loop waited for itself, for the machine, or not at all, and what to do then."""
    if generator.loop_lag_ms_p99 <= LOOP_IN_TIME_MS:
        return "its loop turned in time, so the clock is too fast; use a lower --clock factor or fewer --cars"
    own = f"while its loop was late it used {generator.cpu_percent_late:.0f} % of a core"
    if generator.cpu_percent_late >= OWN_LOAD_PERCENT:
        return f"{own}, so it was kept busy by its cars; use fewer --cars or a lower --clock factor"
    return f"{own}, so the machine was busy with other things; end those, or give it a machine of its own"


def findings(generator: Generator, backend_cpu_percent: float | None) -> list[str]:
    """Return the findings about the limits of the run, beside the verdict; None when the back end's CPU is not known."""
    found = []
    if LOOP_IN_TIME_MS < generator.loop_lag_ms_p99 <= LOOP_LAG_LIMIT_MS:
        text = f"the simulator's loop turned {generator.loop_lag_ms_p99:.0f} ms late at p99, and latencies are so much too long"
        found.append(f"{text}: {_advice(generator)}")
    if backend_cpu_percent is not None and backend_cpu_percent > BACKEND_LIMIT_PERCENT:
        text = f"the back end used {backend_cpu_percent:.0f} % of a core"
        found.append(f"{text}: it was the limit of what was stored and commanded")
    return found


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json and report.md into `folder`."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (folder / "report.json").write_bytes(text + b"\n")
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report for people. A virtual run has no generator that could fall behind, and no wall."""
    virtual = report["clock"] == "virtual"
    time = "virtual" if virtual else "wall"
    return "\n\n".join(
        (
            f"# {report['scenario']}: {report['verdict']}",
            f"{report['reason']}.",
            *(f"Finding: {finding}." for finding in report["findings"]),
            _run_line(report),
            "## Account\n\n" + _table(("messages", "count"), account_rows(report)),
            *([f"Counted by {report['counted_by']}."] if report.get("counted_by") else []),
            *_left_out(report.get("left_out_by")),
            "## Commands\n\n" + _table(("outcome", "count"), command_rows(report["commands"])),
            *_of_people(report),
            f"## Latency in ms ({time}, from the due time)\n\n" + _table(("", *_FIGURES), latency_rows(report["latency_ms"])),
            "## Expectations\n\n" + _table(("expectation", "value", ""), expectation_rows(report["expectations"])),
            *(["## Stages\n\n" + _table(("stage", *_STAGE), stage_rows(report["stages"]))] if report.get("stages") else []),
            "## Outages\n\n" + _outages(report["outages"]),
            *(["## Faults\n\n" + _table(("fault", "what it did"), fault_rows(report["faults"]))] if report.get("faults") else []),
            *([] if virtual else ["## Generator\n\n" + _table(("simulator", "value"), generator_rows(report))]),
            "## Machine\n\n" + _table(("what", "value"), [(k, v) for k, v in report["machine"].items()]),
        )
    ) + "\n"  # fmt: skip


def _of_people(report: Mapping[str, Any]) -> list[str]:
    """Return the tables about people, where there are some."""
    asked = [what for what in ("services", "enrolments") if what in report]
    tables = [f"## {what.capitalize()}\n\n" + _table(("outcome", "count"), command_rows(report[what])) for what in asked]
    if report.get("mails"):
        tables.append("## Mails\n\n" + _table(("kind", "count"), sorted(report["mails"].items())))
    return tables


_FIGURES: Final = ("p50", "p90", "p99", "p999", "max")
_STAGE: Final = (
    "created", "published", "acknowledged", "commands", "succeeded", "publish to ack p99 (ms)", "round trip p99 (ms)",
)  # fmt: skip
_ACCOUNT: Final = (
    ("created", "created by the cars"),
    ("acknowledged", "acknowledged by the broker"),
    ("stored", "stored by the back end"),
    ("in_outbox", "still with the cars"),
    ("dropped", "dropped, outbox full"),
    ("quarantined", "quarantined"),
    ("refused", "refused by the broker"),
    ("left_out", "left out by the dialect"),
    ("erased", "erased"),
    ("lost", "lost"),
    ("duplicates", "stored once, came again"),
)


def account_rows(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the account, line by line."""
    rows = [
        (text, "not looked at" if report[name] is None else report[name])
        for name, text in _ACCOUNT
        if name not in {"left_out", "erased"} or report.get(name)
    ]
    presences = ", ".join(f"{count} {name}" for name, count in report.get("presences", {}).items())
    return [*rows, ("presence, in no account", presences)] if presences else rows


def _left_out(counts: Mapping[str, int] | None) -> list[str]:
    if not counts:
        return []
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ["## Left out by the dialect\n\n" + _table(("message", "count"), rows)]


def command_rows(commands: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the commands by outcome, with the reasons, the most frequent first."""
    rows: list[tuple[str, Any]] = [("total", commands["total"]), ("succeeded", commands["succeeded"])]
    for state in ("rejected", "failed"):
        reasons = sorted(commands[state].items(), key=lambda item: -item[1])
        rows.extend((f"{state} ({reason})" if reason else state, count) for reason, count in reasons)
    rows.extend((state, commands[state]) for state in ("expired", "unknown", "open") if commands.get(state))
    return rows


def latency_rows(latency: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """Return p50 to max of each latency; a dash where nothing was measured."""
    return [
        (name.replace("_", " "), *(f"{figures[f]:.1f}" if f in figures else "–" for f in _FIGURES))
        for name, figures in latency.items()
    ]


def expectation_rows(expectations: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return text, value and outcome of each expectation."""
    return [
        (e["text"], "–" if e["value"] is None else f"{e['value']:g}", "met" if e["passed"] else "NOT met") for e in expectations
    ]


def stage_rows(stages: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the figures of each stage: messages, commands, and the slowest of a hundred."""
    return [
        (
            stage["name"],
            *(str(stage[name]) for name in _STAGE[:3]),
            *(str(stage["commands"][name]) for name in ("total", "succeeded")),
            *(_slowest(stage["latency_ms"][name]) for name in ("publish_to_ack", "command_round_trip")),
        )
        for stage in stages
    ]


def _slowest(figures: Mapping[str, float]) -> str:
    return f"{figures['p99']:.1f}" if figures else "–"


def fault_rows(faults: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    """Return the planned faults of the network, by kind."""
    return [
        (kind, ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()) or "nothing")
        for kind, counts in faults.items()
    ]


def generator_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how simulator and back end fared, each figure in words."""
    generator, backend = report["generator"], report["backend"]
    rows = [
        ("CPU", _cpu(generator)),
        ("loop lag", f"p99 {generator['loop_lag_ms_p99']:.1f} ms, max {generator['loop_lag_ms_max']:.1f} ms"),
        ("behind the clock", f"p99 {generator['behind_ms_p99']:.1f} ms"),
        ("late sends", f"{generator['late_sends']} ({generator['late_percent']:.2f} %)"),
        ("memory", f"{generator['memory_mb_peak']:.0f} MB"),
    ]
    return [*rows, ("back end CPU", _cpu(backend))] if backend else rows


def _cpu(figures: Mapping[str, float]) -> str:
    return f"{figures['cpu_percent']:.0f} % of a core (busiest second {figures['cpu_percent_peak']:.0f} %)"


def _run_line(report: Mapping[str, Any]) -> str:
    run = f"{report['cars']} cars, seed {report['seed']}, {report['scenario_duration']} at clock {report['clock']}"
    return f"{run}, {report['wall_s']:.1f} s of wall time, fleet {report['version']}."


def _outages(outages: Sequence[Mapping[str, Any]]) -> str:
    if not outages:
        return "None: there was never a time at which all cars had lost their connection."
    return _table(
        ("no car connected from", "for"),
        [(o["scenario_time"], "the end" if o["seconds"] is None else f"{o['seconds']:.1f} s") for o in outages],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
