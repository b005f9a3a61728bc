"""The commands that users send over a whole run, drawn before it begins: when, and of which load."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import SECOND, Instant
from fleet.scenario.schema import Scenario


@dataclass(frozen=True, slots=True)
class ScheduledCommand:
    """A command that a user will send: when, and of which of all the stages' loads it is the n-th."""

    at: Instant
    load: int
    n: int


def schedule_commands(scenario: Scenario, start: Instant, zone: str, *, share: float = 1.0) -> list[ScheduledCommand]:
    """Draw when users send which command over the whole run; `share` is this shard's part of the fleet.

    A rate per car is one per car of those that are commanded: of the fleet that is named, or of all.
    """
    scheduled: list[ScheduledCommand] = []
    phases = [(phase, load) for phase in scenario.phases() for load in phase.commands]
    for number, (phase, load) in enumerate(phases):
        draws = Draws(stream_key(scenario.seed, "users", load.name, str(number)), "when")
        begin = start + phase.after_us
        spans = load.during.intervals(begin, phase.duration, zone) if load.during else [(begin, begin + phase.duration)]
        seconds = sum(end - first for first, end in spans) / SECOND
        rate = load.rate.per_second(scenario.cars_in(load.fleet)) if load.rate else 0.0
        count = load.count if load.count is not None else _poisson(draws, rate * seconds)
        scheduled.extend(ScheduledCommand(_within(spans, draws.unit()), number, n) for n in range(round(count * share)))
    scheduled.sort(key=lambda each: (each.at, each.load, each.n))
    return scheduled


def _poisson(draws: Draws, mean: float) -> int:
    """Return a Poisson count; by its normal approximation, which is what large counts have."""
    return max(0, round(draws.normal(mean, mean**0.5)))


def _within(spans: list[tuple[Instant, Instant]], point: float) -> Instant:
    """Return the instant at `point` (0 to 1) of all spans joined."""
    left = int(point * sum(end - begin for begin, end in spans))
    for begin, end in spans:
        if left < end - begin:
            return begin + left
        left -= end - begin
    return spans[-1][1]
