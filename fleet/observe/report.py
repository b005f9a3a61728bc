"""The report of a run: what happened, whether the account holds, and the verdict; as JSON for machines, Markdown for people.

Gets plain figures; knows no store and no scenario.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

SCHEMA: Final = "fleet-report/1"

Verdict = Literal["passed", "failed", "invalid", "interrupted"]
EXIT_CODES: Final[dict[Verdict, int]] = {"passed": 0, "failed": 1, "invalid": 3, "interrupted": 130}

BEHIND_LIMIT_MS: Final = 500.0
"""A live run whose deadlines were met later than this at p99, in wall time, has not kept its clock."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """created = stored + in_outbox + dropped + quarantined + refused + lost; the other figures stand beside it."""

    created: int
    published: int
    acknowledged: int
    stored: int
    in_outbox: int
    dropped: int
    quarantined: int
    refused: int
    duplicates: int

    @property
    def lost(self) -> int:
        """What the cars made and nobody has; below 0 the account itself is wrong."""
        return self.created - self.stored - self.in_outbox - self.dropped - self.quarantined - self.refused


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """How the load generator fared: when it is the limit, the run says nothing about the system under test."""

    cpu_percent: float
    loop_lag_ms_p99: float
    late_sends: int


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
    total = sum(sum(reasons.values()) for reasons in counts.values())

    def whole(state: str) -> int:
        return sum(counts.get(state, {}).values())

    figures: dict[str, Any] = {
        "total": total,
        "succeeded": whole("succeeded"),
        "rejected": dict(counts.get("rejected", {})),
        "failed": dict(counts.get("failed", {})),
        "expired": whole("expired"),
        "unknown": whole("unknown"),
    }
    still_open = total - sum(whole(state) for state in ("succeeded", "rejected", "failed", "expired", "unknown"))
    if still_open:
        figures["open"] = still_open
    return figures


def judge(
    account: Account, generator: Generator, expectations: Sequence[Mapping[str, Any]], *, interrupted: bool, broken: str = ""
) -> tuple[Verdict, str]:
    """Return the verdict and its reason; what makes the figures worthless comes before what they say.

    `broken` tells which part of the run died under it, in words.
    """
    if broken:
        return "invalid", f"{broken}; the figures hold for what ran before"
    if account.lost < 0:
        return "invalid", f"the account does not add up: {-account.lost} more messages were stored than made"
    if generator.loop_lag_ms_p99 > BEHIND_LIMIT_MS:
        return "invalid", (
            f"the cars were {generator.loop_lag_ms_p99:.0f} ms behind their clock at p99 (limit {BEHIND_LIMIT_MS:.0f} ms): "
            "use a lower --clock factor, fewer --cars or a faster machine"
        )
    if interrupted:
        return "interrupted", "stopped before the scenario's end; the figures hold for what ran"
    failed = [expectation["text"] for expectation in expectations if not expectation["passed"]]
    if failed:
        return "failed", "not met: " + "; ".join(failed)
    return "passed", f"{len(expectations)} of {len(expectations)} expectations met"


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json and report.md into `folder`."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (folder / "report.json").write_bytes(text + b"\n")
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    return "\n\n".join(
        (
            f"# {report['scenario']}: {report['verdict']}",
            f"{report['reason']}.",
            _run_line(report),
            "## Account\n\n" + _table(("messages", "count"), account_rows(report)),
            "## Commands\n\n" + _table(("outcome", "count"), command_rows(report["commands"])),
            "## Latency in ms (wall, from the due time)\n\n" + _table(("", *_FIGURES), latency_rows(report["latency_ms"])),
            "## Expectations\n\n" + _table(("expectation", "value", ""), expectation_rows(report["expectations"])),
            "## Outages\n\n" + _outages(report["outages"]),
            "## Generator\n\n" + _table(("figure", "value"), [(k, v) for k, v in report["generator"].items()]),
            "## Machine\n\n" + _table(("what", "value"), [(k, v) for k, v in report["machine"].items()]),
        )
    ) + "\n"  # fmt: skip


_FIGURES: Final = ("p50", "p90", "p99", "p999", "max")
_ACCOUNT: Final = (
    ("created", "made by the cars"),
    ("acknowledged", "acknowledged by the broker"),
    ("stored", "stored by the back end"),
    ("in_outbox", "still with the cars"),
    ("dropped", "dropped, outbox full"),
    ("quarantined", "quarantined"),
    ("refused", "refused by the broker"),
    ("lost", "lost"),
    ("duplicates", "stored once, came again"),
)


def account_rows(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the account, line by line."""
    return [(text, "not looked at" if report[name] is None else report[name]) for name, text in _ACCOUNT]


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
