"""The lines of a scenario: each step that expects something, and what came of it for each of its cars.

A line hears the final answer to what its step asked, sees how the car stands then, and listens to the events that the car makes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from fleet.kernel.instants import Instant
from fleet.runtime.car_facts import car_facts, holds
from fleet.scenario.deeds import Step
from fleet.scenario.expect import Expect, told
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.wire.messages import DeskAnswer, Event

SHOWN: Final = 3
"""Of so many cars a line says what was seen instead."""


class Case:
    """One line for one car, or for none: what it still waits for, and what was seen instead of what is expected."""

    __slots__ = ("_expect", "_lines", "at", "car", "waits_for", "wrong")

    def __init__(self, lines: Lines, expect: Expect, car: Car | None, at: Instant) -> None:
        """Begin when the step is done, at `at`."""
        self._lines = lines
        self._expect = expect
        self.car = car
        self.at = at
        self.wrong: list[str] = []
        self.waits_for: set[str] = set()
        if expect.outcome is not None:
            self.waits_for.add("outcome")
        if expect.event is not None:
            self.waits_for.add("event")

    @property
    def until(self) -> Instant | None:
        """The last instant at which an event counts; None without an end."""
        return None if self._expect.within is None else self.at + self._expect.within

    @property
    def held(self) -> bool:
        """Whether all has come that is expected, and nothing else."""
        return not self.wrong and not self.waits_for

    def done(self) -> None:
        """The step is done: without an outcome to wait for, look at the car now."""
        if self._expect.outcome is None:
            self._look()

    def answered(self, answer: DeskAnswer) -> None:
        """Take the final answer to what was asked."""
        seen = answer.state if answer.reason is None else f"{answer.state}({answer.reason})"
        expected = self._expect.outcome
        if expected is None:
            return
        self.waits_for.discard("outcome")
        if seen != str(expected):
            self.wrong.append(f"{seen}{f': {answer.detail}' if answer.detail else ''}")
        self._look()

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
            return False
        self.waits_for.discard("event")
        wanted = self._expect.wanted
        if any(event.data.get(name) != value for name, value in wanted.items()):
            self.wrong.append(f"event {event.name}{told({name: event.data.get(name) for name in wanted})}")
        return True

    def heard_unwanted(self, event: Event) -> None:
        """Take an event that must not come."""
        if event.captured_at >= self.at and (self.until is None or event.captured_at <= self.until):
            self.wrong.append(f"event {event.name}{told(event.data)}")

    def seen(self) -> str:
        """Tell what was seen instead of what is expected."""
        missing = [f"no {what} by the end" for what in sorted(self.waits_for)]
        text = ", ".join([*self.wrong, *missing])
        return text if self.car is None else f"{text} ({self.car.vin})"


def _fact(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "not known" if value is None else str(value)


class Lines:
    """All lines of a scenario, for the cars of one shard; `now` tells the scenario time."""

    def __init__(self, scenario: Scenario, *, now: Callable[[], Instant]) -> None:
        """Take the steps that expect something."""
        self.now = now
        self._steps: dict[str, tuple[str, Step]] = {}
        for phase in scenario.phases():
            for name, step in scenario.named_steps(phase):
                if step.expect is not None:
                    self._steps[name] = (phase.name, step)
        self._cases: dict[str, list[Case]] = {name: [] for name in self._steps}
        self._waiting: dict[tuple[str, str], deque[Case]] = {}
        self._unwanted: dict[tuple[str, str], list[Case]] = {}

    def open(self, name: str, car: Car | None, at: Instant) -> Case | None:
        """Begin the case of a step and a car; None for a step that expects nothing."""
        if name not in self._steps:
            return None
        expect = self._steps[name][1].expect
        assert expect is not None
        case = Case(self, expect, car, at)
        self._cases[name].append(case)
        if car is not None and expect.event is not None:
            self._waiting.setdefault((car.vin, expect.event), deque()).append(case)
        if car is not None and expect.no_event is not None:
            self._unwanted.setdefault((car.vin, expect.no_event), []).append(case)
        return case

    def heard(self, event: Event) -> None:
        """Give an event of a car to the line that has waited for it longest, and to all that do not want it."""
        key = (event.vin, event.name)
        for case in self._unwanted.get(key, ()):
            case.heard_unwanted(event)
        waiting = self._waiting.get(key)
        while waiting and waiting[0].at <= event.captured_at:
            if waiting.popleft().heard(event):
                return

    def results(self, *, asked: bool) -> list[dict[str, Any]]:
        """Return for the report what is expected, of how many cars it held, and what was seen of others.

        Without a desk nothing is `asked`: what needs an answer is not judged.
        """
        found = []
        for name, (stage, step) in self._steps.items():
            cases = self._cases[name]
            judged = asked or (step.command is None and step.service is None)
            found.append(
                {
                    "text": f"{step.title or step.subject}: {step.expect}",
                    "stage": stage,
                    "cars": len(cases),
                    "held": sum(case.held for case in cases),
                    "judged": judged,
                    "seen": [case.seen() for case in cases if not case.held][:SHOWN],
                }
            )
        return found
