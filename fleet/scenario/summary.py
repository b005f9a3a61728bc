"""A scenario in a few lines: its cars, its stages, how much load, and its actions with their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from fleet.kernel.instants import SECOND, Instant, format_duration, to_datetime
from fleet.scenario.actions import Action, Selection, TimelineStep
from fleet.scenario.following import followed_tracks
from fleet.scenario.schema import CommandLoad, Fleet, Phase, Scenario, Vocabulary
from fleet.vehicle.place_region import RegionFile

STEPS_MOST: Final = 100
"""Steps of a timeline that are listed one by one."""


def summary(scenario: Scenario, vocabulary: Vocabulary) -> list[str]:
    """Return the lines; random numbers by their mean. Raises UsageError for a track that cannot be read."""
    zone = vocabulary.zone_of(scenario)
    start = vocabulary.start_of(scenario)
    takes = "" if scenario.clock.is_virtual else f", {format_duration(round(scenario.duration / scenario.clock))} of real time"
    when = f"{_local(start, zone)} to {_local(start + scenario.duration, zone)} in {zone}"
    lines = [
        f"{scenario.scenario}: {' '.join(scenario.purpose.split())}",
        f"{scenario.cars} cars: {', '.join(_fleet(scenario, fleet) for fleet in scenario.fleets)}",
        f"{when}: {format_duration(scenario.duration)} at clock {scenario.clock}{takes}, seed {scenario.seed}",
    ]
    lines += [f"region {each.region}: {_places(each)} in {each.country}, {each.timezone}" for each in scenario.own_regions()]
    lines += [f"  {track.line(zone)}" for track in followed_tracks(scenario, vocabulary)]
    for phase in scenario.phases():
        if phase.name:
            lines.append(f"stage {phase.name}: {format_duration(phase.duration)}")
        elif not (phase.commands or phase.load or phase.timeline):
            continue
        else:
            lines.append("the whole run:" if scenario.stages else "in it:")
        lines += [f"  {line}" for line in _phase(scenario, phase, start, zone)]
    lines.append(f"{_count(len(scenario.expectations), 'expectation')}")
    return lines


def _fleet(scenario: Scenario, fleet: Fleet) -> str:
    region = fleet.region.region if isinstance(fleet.region, RegionFile) else fleet.region
    where = "" if fleet.region in (None, scenario.region) else f" in {region}"
    return f"{fleet.count} {fleet.name}{where}"


def _places(region: RegionFile) -> str:
    kinds = Counter(place.kind for place in region.places)
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.items())


def _local(at: Instant, zone: str) -> str:
    return to_datetime(at).astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M")


def _phase(scenario: Scenario, phase: Phase, start: Instant, zone: str) -> Iterator[str]:
    begin = start + phase.after_us
    for users in phase.commands:
        count = _users(scenario, users, begin, phase.duration, zone)
        yield f"about {count:.0f} × command {users.name} from the users of {users.fleet or 'all cars'}"
    for load in phase.load:
        cars = chosen_count(scenario, load.cars)
        spans = load.spans(begin, phase.duration, zone)
        active_s = sum(end - first for first, end in spans) / SECOND
        how = next(
            f"{kind} {shape}" for kind in ("rate", "ramp", "poisson", "burst") if (shape := getattr(load, kind)) is not None
        )
        yield f"about {load.shape.expected(active_s, cars):.0f} × {_what(load)}, {how}, {_count(cars, 'car')}"
    played = [step for step in phase.timeline if scenario.plays(step)]
    for step in played[:STEPS_MOST]:
        of_cars = not step.broker and step.about != "none"
        whose = ", " + _count(chosen_count(scenario, step.cars), "car") if of_cars else ""
        expected = "" if step.expect is None else f": {step.expect} is expected"
        yield f"{_when(step)}: {_what(step)}{whose}{expected}"
    if len(played) > STEPS_MOST:
        lines = sum(step.expect is not None for step in played)
        yield f"… and {len(played) - STEPS_MOST} more steps; {lines} of all {len(played)} expect something"


def _users(scenario: Scenario, users: CommandLoad, begin: Instant, duration: int, zone: str) -> float:
    if users.rate is None:
        return float(users.count or 0)
    spans = users.during.intervals(begin, duration, zone) if users.during else [(begin, begin + duration)]
    return users.rate.per_second(scenario.cars_in(users.fleet)) * sum(end - first for first, end in spans) / SECOND


def chosen_count(scenario: Scenario, cars: Selection) -> int:
    """Return how many cars a selection means."""
    return cars.size(scenario.cars_in(cars.fleet))


def _what(action: Action) -> str:
    if isinstance(action, TimelineStep) and action.broker is not None:
        return f"broker {action.broker}"
    if isinstance(action, TimelineStep) and action.network is not None:
        return f"{action.subject}{'' if action.lasts is None else f' for {action.lasts}'}"
    return f"command {action.command}" if action.command is not None else action.subject


def _when(step: TimelineStep) -> str:
    parts = [f"{key} {value}" for key in ("at", "every", "when") if (value := getattr(step, key)) is not None]
    return " ".join(parts)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
