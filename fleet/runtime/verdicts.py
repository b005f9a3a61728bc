"""The expectations of a scenario: looked at while it runs, and held against its report and its stages at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.kernel.instants import Duration
from fleet.observe.histogram import Histogram
from fleet.observe.report import command_figures
from fleet.scenario.expectations import Expectation, ExpectationWatch, Outcome
from fleet.scenario.schema import Scenario

_CONNECTED = ("online", "reachable")


class Verdicts:
    """Whoever runs the scenario calls `look` now and then, and `outcomes` once with its report."""

    def __init__(self, scenario: Scenario, *, backend: bool = True, desk: bool = True, confirms: bool = False) -> None:
        """Take the expectations of the run and of its stages.

        Without a back end of ours, or one that `confirms`, or a desk that answers, nobody sees what some are about: they are not
        judged, and counted.
        """
        self.unjudged = 0
        self._parts: list[tuple[str, Duration, Duration, list[tuple[Expectation, ExpectationWatch | None]]]] = []
        for phase, expectations in zip(
            scenario.phases(), (scenario.expectations, *(stage.expectations for stage in scenario.stages)), strict=True
        ):
            seen = [each for each in expectations if each.is_seen_by(backend=backend, desk=desk, confirms=confirms)]
            self.unjudged += len(expectations) - len(seen)
            watched = [(each, ExpectationWatch(each) if each.mode is not None else None) for each in seen]
            self._parts.append((phase.name, phase.after_us, phase.after_us + phase.duration, watched))

    def look(self, figures: Mapping[str, float], elapsed: Duration, at: str) -> None:
        """Take the live figures, `elapsed` since the start; `at` says when, for people."""
        for _, begin, end, expectations in self._parts:
            if elapsed > 0 and begin <= elapsed < end:
                for _, watch in expectations:
                    if watch is not None:
                        watch.look(figures, at)

    def outcomes(self, report: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Hold what was not watched against the report, or against its stage, one of `stages` as `stage_figures` gives them."""
        by_name = {stage["name"]: stage for stage in stages}
        found = []
        for stage, _, _, expectations in self._parts:
            for expectation, watch in expectations:
                held = watch.outcome() if watch is not None else _hold(expectation, report if not stage else by_name.get(stage))
                text = f"{stage}: {held.text}" if stage else held.text
                found.append({"text": text, "stage": stage, "value": held.value, "passed": held.passed, "note": held.note})
        return found


def line_outcomes(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines that were judged as expectations of the report; the value is of how many cars a line held."""
    return [
        {
            "text": line["text"],
            "stage": line["stage"],
            "value": line["held"],
            "passed": bool(line["cars"]) and line["held"] == line["cars"],
            "note": f"of {line['cars']}; seen: {'; '.join(line['seen'])}" if line["seen"] else _nobody(line),
        }
        for line in lines
        if line["judged"]
    ]


def _nobody(line: Mapping[str, Any]) -> str:
    return "" if line["cars"] else "it was not done: its time did not come, or there is no such car"


def unjudged(verdicts: Verdicts, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is to be said of the expectations and lines that nobody could judge."""
    found = []
    if verdicts.unjudged:
        found.append(
            f"expectations that were not judged, as only a back end of ours sees what they are about: {verdicts.unjudged}"
        )
    count = sum(not line["judged"] for line in lines)
    if count:
        found.append(f"{count} of {len(lines)} lines were not judged: they ask the desk, and there is none")
    return found


def _hold(expectation: Expectation, figures: Mapping[str, Any] | None) -> Outcome:
    if figures is None:
        return Outcome(text=expectation.text, value=None, passed=False, note="the stage did not begin")
    return expectation.evaluate(figures)


def stage_figures(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the stages for the report: counts of what happened in each, and latencies, by the names of the report."""
    return [
        {
            "name": result["name"],
            **{name: count for name, count in result["account"].items() if name != "in_outbox"},
            "commands": {**command_figures(result["commands"]), "total": result["commands_asked"]},
            "latency_ms": {
                "publish_to_ack": Histogram.from_dict(result["publish_to_ack"]).summary_ms(),
                "command_round_trip": Histogram.from_dict(result["round_trip"]).summary_ms(),
                "command_round_trip_waking": Histogram.from_dict(result["round_trip_waking"]).summary_ms(),
            },
        }
        for result in results
    ]


def progress_figures(progress: Mapping[str, Any], backend: Mapping[str, Any]) -> dict[str, float]:
    """Return the live figures by the names of conditions and expectations, from a progress line and the store's counters."""
    connections = {name: progress["connections"].get(name, 0) for name in (*_CONNECTED, "offline")}
    outcomes = progress["commands"]
    ends = dict.fromkeys(("succeeded", "rejected", "failed", "expired", "unknown"), 0)
    for outcome, count in outcomes.items():
        state = outcome.partition("(")[0]
        ends[state] = ends.get(state, 0) + count
    waiting = progress["commands_waiting"]
    figures: dict[str, float] = {
        "cars": sum(connections.values()),
        "connected": sum(connections[name] for name in _CONNECTED),
        **connections,
        **{state: progress["states"].get(state, 0) for state in ("parked", "ignition_on", "driving")},
        **progress["account"],
        "commands.total": sum(ends.values()) + waiting,
        "commands.waiting": waiting,
        **{f"commands.{state}": count for state, count in ends.items()},
    }
    if backend:
        figures |= {
            "stored": backend.get("stored", 0),
            "duplicates": backend.get("duplicates", 0),
            "quarantined": sum(backend.get("quarantined", {}).values()),
        }
    return figures
