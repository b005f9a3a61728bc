"""The lines of a scenario: each step that expects something, and what came of it for each of its cars.

A line hears the final answer to what its step asked, sees how the car stands then, and listens to the events that the car makes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from fleet.kernel.instants import HOUR, Duration, Instant
from fleet.runtime.car_facts import car_facts, holds
from fleet.scenario.actions import TimelineStep
from fleet.scenario.expect import told
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.wire.messages import DeskAnswer, Event

SHOWN: Final = 3
"""Of so many cars a line says what was seen instead."""
OPEN_MOST: Final = 100_000
"""Cases that wait at once; what is done beyond them is not watched, and counted as not held."""
LATE: Final[Duration] = HOUR
"""So much later an event may leave a car that had no network: so long a case that wants none of it is kept open."""


class Case:
    """One line for one car, or for none: what it still waits for, and what was seen instead of what is expected."""

    __slots__ = ("_expect", "_lines", "at", "car", "line", "waits_for", "wrong")

    def __init__(self, lines: LineJudge, line: LineTally, car: Car | None, at: Instant) -> None:
        """Begin when the step is done, at `at`."""
        self._lines = lines
        self._expect = line.expect
        self.line = line
        self.car = car
        self.at = at
        self.wrong: list[str] = []
        waits = {
            "step": True,
            "outcome": self._expect.outcome is not None,
            "event": self._expect.event is not None,
            "no event": self._expect.no_event is not None,
        }
        self.waits_for = {what for what, does in waits.items() if does}

    @property
    def until(self) -> Instant | None:
        """The last instant at which an event counts; None without an end."""
        return None if self._expect.within is None else self.at + self._expect.within

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for any more."""
        return not self.waits_for

    def _has(self, what: str) -> None:
        self.waits_for.discard(what)
        if self.is_over:
            self._lines.close(self)

    def done(self) -> None:
        """The step is done: without an outcome to wait for, look at the car now."""
        if self._expect.outcome is None:
            self._look()
        self._has("step")

    def answered(self, answer: DeskAnswer) -> None:
        """Take the final answer to what was asked."""
        seen = answer.state if answer.reason is None else f"{answer.state}({answer.reason})"
        expected = self._expect.outcome
        if expected is None:
            return
        if seen != str(expected):
            self.wrong.append(f"{seen}{f': {answer.detail}' if answer.detail else ''}")
        self._look()
        self._has("outcome")

    def _look(self) -> None:
        then, car = self._expect.then, self.car
        if then is None or car is None:
            return
        now = self._lines.now()
        if not holds(then, car, now):
            facts = car_facts(car, now)
            self.wrong.append(", ".join(f"car.{part.path} is {_fact(facts[part.path])}" for part in then.of_car))

    def heard(self, event: Event) -> bool:
        """Take an event of the expected name; False when it came too late, and may be meant for another line."""
        if self.until is not None and event.captured_at > self.until:
            self.wrong.append("no event by the end")
            self._has("event")
            return False
        wanted = self._expect.wanted
        if any(event.data.get(name) != value for name, value in wanted.items()):
            self.wrong.append(f"event {event.name}{told({name: event.data.get(name) for name in wanted})}")
        self._has("event")
        return True

    def heard_unwanted(self, event: Event) -> None:
        """Take an event that must not come."""
        if event.captured_at >= self.at and (self.until is None or event.captured_at <= self.until):
            self.wrong.append(f"event {event.name}{told(event.data)}")
            self._has("no event")

    def has_passed(self) -> None:
        """Close the wait for an event that must not come: its time is over."""
        self._has("no event")

    def end(self) -> None:
        """The run is over: what has not come by now will not."""
        missing = sorted(self.waits_for - {"step", "no event"})
        self.wrong += [f"no {what} by the end" for what in missing]
        self.waits_for.clear()
        self._lines.close(self)

    def seen(self) -> str:
        """Tell what was seen instead of what is expected."""
        text = ", ".join(self.wrong)
        return text if self.car is None else f"{text} ({self.car.vin})"


def _fact(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "not known" if value is None else str(value)


class LineTally:
    """One step that expects something, and what came of it: of how many cars it was done, and of how many it held."""

    __slots__ = ("done", "expect", "held", "seen", "stage", "step", "unwatched")

    def __init__(self, stage: str, step: TimelineStep) -> None:
        """Take a step that expects something."""
        assert step.expect is not None
        self.stage = stage
        self.step = step
        self.expect = step.expect
        self.done = 0
        self.held = 0
        self.unwatched = 0
        self.seen: list[str] = []

    def result(self, *, asked: bool) -> dict[str, Any]:
        """Return it for the report; without a desk nothing is `asked`, and what needs an answer is not judged."""
        return {
            "text": f"{self.step.title or self.step.subject}: {self.expect}",
            "stage": self.stage,
            "cars": self.done,
            "held": self.held,
            "judged": asked or (self.step.command is None and self.step.service is None),
            "seen": [*self.seen, *([f"{self.unwatched} more that were not watched"] if self.unwatched else [])],
        }


class LineJudge:
    """All lines of a scenario, for the cars of one shard; `now` tells the scenario time."""

    def __init__(self, scenario: Scenario, *, now: Callable[[], Instant]) -> None:
        """Take the steps that expect something."""
        self.now = now
        self._lines = {
            name: LineTally(phase.name, step)
            for phase in scenario.phases()
            for name, step in scenario.named_steps(phase)
            if step.expect is not None
        }
        self._open: dict[Case, None] = {}
        self._waiting: dict[tuple[str, str], deque[Case]] = {}
        self._unwanted: dict[tuple[str, str], list[Case]] = {}

    def open(self, name: str, car: Car | None, at: Instant) -> Case | None:
        """Begin the case of a step and a car; None for a step that expects nothing, or when too many are open."""
        line = self._lines.get(name)
        if line is None:
            return None
        line.done += 1
        if len(self._open) >= OPEN_MOST:
            line.unwatched += 1
            return None
        case = Case(self, line, car, at)
        self._open[case] = None
        if car is not None and line.expect.event is not None:
            self._waiting.setdefault((car.vin, line.expect.event), deque()).append(case)
        if car is not None and line.expect.no_event is not None:
            watching = self._unwanted.setdefault((car.vin, line.expect.no_event), [])
            for other in watching:
                if other.until is not None and other.until < at - LATE:
                    other.has_passed()
            watching[:] = [*(other for other in watching if "no event" in other.waits_for), case]
        return case

    def close(self, case: Case) -> None:
        """Count a case that waits for nothing any more."""
        if self._open.pop(case, case) is case:
            return  # counted already
        line = case.line
        line.held += not case.wrong
        if case.wrong and len(line.seen) < SHOWN:
            line.seen.append(case.seen())

    def heard(self, event: Event) -> None:
        """Give an event of a car to the line that has waited for it longest, and to all that do not want it."""
        key = (event.vin, event.name)
        for case in self._unwanted.get(key, ()):
            if "no event" in case.waits_for:
                case.heard_unwanted(event)
        waiting = self._waiting.get(key)
        while waiting and waiting[0].at <= event.captured_at:
            if waiting.popleft().heard(event):
                return

    def results(self, *, asked: bool) -> list[dict[str, Any]]:
        """End all that is open, and return each line for the report. Without a desk nothing is `asked`."""
        for case in list(self._open):
            case.end()
        return [line.result(asked=asked) for line in self._lines.values()]
