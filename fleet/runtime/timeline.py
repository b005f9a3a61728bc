"""The timeline of a scenario: what is done at a time, every so often, or when something comes true; one actor for each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant
from fleet.runtime.action_executor import ActionExecutor
from fleet.runtime.car_facts import holds
from fleet.runtime.car_selector import CarHandle, CarSelector
from fleet.scenario.actions import TimelineStep
from fleet.scenario.schema import Phase, Scenario

LOOKS: Final = 1000
"""A condition without `at` and `every` is looked at so many times in its stage, but not oftener than every second, nor
more rarely than every minute, of scenario time."""

Figures = Callable[[], Mapping[str, float]]


def look_every(duration: Duration) -> Duration:
    """Return how often a lone condition is looked at in a stage of that length."""
    return max(SECOND, min(MINUTE, duration // LOOKS))


class TimedStep:
    """One step of the timeline, an actor of the shard's heap.

    With `at` or `every` it is done then, to those of its cars for which `when` holds; with `when` alone as soon as
    it holds: once for each car, or once in all when the condition is one on counts.
    """

    def __init__(
        self, step: TimelineStep, name: str, *, key: int, begin: Instant, duration: Duration, zone: str,
        cars: Sequence[CarHandle], executor: ActionExecutor, figures: Figures,
    ) -> None:  # fmt: skip
        """Take the cars of this shard it is done to; `name` is unique in the scenario."""
        self.done = 0
        self._step = step
        self._name = name
        self._key = key
        self._end = begin + duration
        self._cars = list(cars)
        self._executor = executor
        self._figures = figures
        self._occasion = 0
        self._once = step.at is None and step.every is None
        self._every = look_every(duration) if self._once else step.every
        self._next = self._first(begin, duration, zone)

    def _first(self, begin: Instant, duration: Duration, zone: str) -> Instant | None:
        if self._step.at is not None:
            return self._step.at.within(begin, duration, zone)
        return begin if self._once else begin + (self._step.every or 0)

    def deadline(self) -> Instant | None:
        """Return when it is next looked at; None when it is over."""
        return self._next

    def wake(self, at: Instant) -> None:
        """Do it where it is to be done, and find when it comes again."""
        is_over = self._look(at) and self._once
        following = at + self._every if self._every is not None else self._end
        self._next = following if following < self._end and not is_over else None

    def _look(self, at: Instant) -> bool:
        """Do it to those for whom the condition holds; True when nobody is left to whom a condition's step could be done."""
        when = self._step.when
        if when is not None and when.of_run:
            figures = self._figures()
            if not all(part.holds(figures) for part in when.of_run):
                return False
        if self._step.broker is not None:
            self._executor.to_broker(self._step.broker)
            self.done += 1
            return True
        if self._step.network is not None:
            self._executor.to_network(self._name, True)
            self.done += 1
            return True
        if not self._step.of_cars:
            about = self._cars if self._step.about == "list" else ()
            self._executor.ask_service(self._step, about, at, name=self._name, occasion=self._occasion)
            self._occasion += 1
            self.done += 1
            return True
        ready = (
            self._cars if when is None or not when.of_car else [handle for handle in self._cars if holds(when, handle.car, at)]
        )
        for handle in ready:
            draws = Draws(self._key ^ handle.car.key, "what", self._occasion)
            self._executor.perform_step(self._step, handle, at, draws=draws, name=self._name, occasion=self._occasion)
            self.done += 1
        self._occasion += 1
        if self._once and ready:
            served = set(map(id, ready))
            self._cars = [handle for handle in self._cars if id(handle) not in served]
        return not self._cars


class TimedFault(TimedStep):
    """A step that is done to the network: what it begins it ends, after `for` or with its stage."""

    _over_at: Instant | None = None

    def deadline(self) -> Instant | None:
        """Return when it next begins, is looked at or ends."""
        return min((at for at in (self._next, self._over_at) if at is not None), default=None)

    def wake(self, at: Instant) -> None:
        """End it, and begin it."""
        if self._over_at is not None and self._over_at <= at:
            self._over_at = None
            self._executor.to_network(self._name, False)
        if self._next is not None and self._next <= at:
            before = self.done
            super().wake(at)
            if self.done > before:
                lasts = self._step.lasts
                self._over_at = self._end if lasts is None else min(self._end, at + lasts)


def make_timeline(
    scenario: Scenario,
    phase: Phase,
    *,
    start: Instant,
    zone: str,
    selector: CarSelector,
    executor: ActionExecutor,
    figures: Figures,
) -> list[TimedStep]:
    """Return the actors of a stage's timeline. What each draws depends on stage, action and the how-manieth of its kind it is."""
    steps = []
    for name, step in scenario.named_steps(phase):
        actor = TimedStep if step.network is None else TimedFault
        steps.append(
            actor(
                step,
                name,
                key=stream_key(scenario.seed, "timeline", name),
                begin=start + phase.after_us,
                duration=phase.duration,
                zone=zone,
                cars=() if step.broker is not None or step.network is not None else selector.chosen(step.cars),
                executor=executor,
                figures=figures,
            )
        )
    return steps
