"""The stages of a run: what goes on in them as actors of the heap, and what the cars' figures were when each ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.kernel.instants import Instant
from fleet.observe.histogram import Histogram
from fleet.runtime.action_executor import ActionExecutor
from fleet.runtime.car_selector import CarSelector
from fleet.runtime.load import OpenLoop, make_loads
from fleet.runtime.outages import NetworkOutages, make_outages
from fleet.runtime.outcomes import Outcomes
from fleet.runtime.timeline import Figures, TimedStep, make_timeline
from fleet.scenario.schema import Scenario


def make_actors(
    scenario: Scenario, *, start: Instant, zone: str, selector: CarSelector, executor: ActionExecutor, figures: Figures
) -> list[OpenLoop | TimedStep | NetworkOutages]:
    """Return the actors of load and timeline, of the whole run and of all stages, and of failing networks."""
    actors: list[OpenLoop | TimedStep | NetworkOutages] = [*make_outages(scenario, start=start, zone=zone, selector=selector)]
    for phase in scenario.phases():
        actors += make_loads(scenario, phase, start=start, zone=zone, selector=selector, executor=executor)
        actors += make_timeline(scenario, phase, start=start, zone=zone, selector=selector, executor=executor, figures=figures)
    return actors


class StageMarks:
    """Takes the figures at the end of each stage, so that a stage's own are the difference; an actor of the shard's heap."""

    def __init__(self, scenario: Scenario, start: Instant, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Take what tells the figures since the start of the run."""
        self.marks: list[tuple[str, Mapping[str, Any]]] = []
        self._ends = [(phase.name, start + phase.after_us + phase.duration) for phase in scenario.phases() if phase.name]
        self._figures = figures

    def deadline(self) -> Instant | None:
        """Return the last instant of the present stage, before all that begins with the next; the last one ends with the run."""
        return self._ends[len(self.marks)][1] - 1 if len(self.marks) < len(self._ends) - 1 else None

    def wake(self, at: Instant) -> None:
        """Take the figures, when the stage is over."""
        while (due := self.deadline()) is not None and due <= at:
            self.mark()

    def mark(self) -> None:
        """End the present stage now; at the end of a run the last one that began."""
        self.marks.append((self._ends[len(self.marks)][0], self._figures()))

    @property
    def is_over(self) -> bool:
        """Whether all stages have ended."""
        return len(self.marks) == len(self._ends)


def stage_results(marks: Sequence[tuple[str, Mapping[str, Any]]], outcomes: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """Return what happened in each stage: the cars' counts between its ends, and the end of the commands asked in it."""
    found = []
    before: Mapping[str, Any] = {"account": {}, "publish_to_ack": Histogram().to_dict()}
    for name, mark in marks:
        sent = Histogram.from_dict(mark["publish_to_ack"]).since(Histogram.from_dict(before["publish_to_ack"]))
        asked = outcomes.get(name, Outcomes())
        found.append(
            {
                "name": name,
                "account": {key: count - before["account"].get(key, 0) for key, count in mark["account"].items()},
                "commands": asked.counts(),
                "commands_asked": asked.asked,
                "publish_to_ack": sent.to_dict(),
                "round_trip": asked.round_trip.to_dict(),
                "round_trip_waking": asked.round_trip_waking.to_dict(),
            }
        )
        before = mark
    return found
