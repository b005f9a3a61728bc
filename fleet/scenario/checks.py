"""Checks of a scenario whose shape is right: names nobody knows, counts of 0, times that never come.

Each check looks at one part, so that one broken part hides no error in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from fleet.errors import UsageError, nearest_hint
from fleet.kernel.instants import DAY, SECOND, Instant, format_duration, to_datetime
from fleet.scenario.action_checks import check_command_load, check_expect, check_load, check_network, check_selection, check_step
from fleet.scenario.actions import (
    GeoPoint,
    Load,
    NetworkFault,
    Selection,
    TimelineStep,
)
from fleet.scenario.expect import Expect
from fleet.scenario.expectations import STAGE_COUNTS, STAGE_LATENCIES, Expectation
from fleet.scenario.people import Household, NamedPerson, People
from fleet.scenario.people_checks import check_household, check_people, check_person
from fleet.scenario.problems import Problem, Steps, check_known, check_name, check_value, check_weights, unknown
from fleet.scenario.region_checks import check_coordinates
from fleet.scenario.scalars import Misread
from fleet.scenario.schema import CommandLoad, DeadZone, Fleet, Phase, Reconnect, Scenario, ScenarioStage, Vocabulary
from fleet.vehicle.place_region import RegionFile

MOST_CARS: Final = 1_000_000
_LONGEST_DAYS: Final = 3660
_TIMED: Final[tuple[tuple[str, Callable[[Phase], tuple[Load | TimelineStep, ...]]], ...]] = (
    ("load", lambda phase: phase.load),
    ("timeline", lambda phase: phase.timeline),
)


def _check_scenario_name(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    yield from check_name(("scenario",), scenario.scenario)


def _check_purpose(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    if not scenario.purpose.strip():
        yield Problem(("purpose",), "a sentence is expected, not nothing")


def _check_seed(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    if not 0 <= scenario.seed < 1 << 63:
        yield Problem(("seed",), f"{scenario.seed} is out of range: a whole number from 0 to 2^63 - 1 is expected")


def _check_duration(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    if scenario.written_duration is not None and not 0 < scenario.written_duration <= _LONGEST_DAYS * DAY:
        yield Problem(("duration",), f"a duration above 0 and at most {_LONGEST_DAYS} days is expected")


def _check_region(part: Scenario | Fleet, vocabulary: Vocabulary) -> Iterator[Problem]:
    if isinstance(part.region, str):
        yield from check_known(("region",), "region", part.region, vocabulary.regions)


def oversized(fleets: Sequence[Fleet]) -> str | None:
    """Return what is wrong when there are more cars than serial numbers, of which each fleet has its share."""
    cars = sum(fleet.count for fleet in fleets)
    if cars > MOST_CARS:
        return f"{cars} cars are too many: at most {MOST_CARS} are expected"
    most = MOST_CARS // max(1, len(fleets))
    for fleet in fleets:
        if fleet.count > most:
            return f"fleet {fleet.name!r} has {fleet.count} cars: at most {most} are expected, with {len(fleets)} fleets"
    return None


def _check_size(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    if not scenario.fleets:
        yield Problem(("fleets",), "the list is empty: at least one fleet is expected")
    told = oversized(scenario.fleets)
    if told is not None:
        yield Problem(("fleets",), told)


def _check_fleet_names(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, fleet in enumerate(scenario.fleets):
        if fleet.name in seen:
            yield Problem(("fleets", index, "name"), f"there are two fleets named {fleet.name!r}")
        seen.add(fleet.name)


def _check_stages(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    if scenario.stages and scenario.written_duration is not None:
        yield Problem(("duration",), "'duration' and 'stages' exclude each other: the stages together are the run", is_key=True)
    if scenario.stages and scenario.duration > _LONGEST_DAYS * DAY:
        yield Problem(("stages",), f"together they take longer than {_LONGEST_DAYS} days", is_key=True)
    seen: set[str] = set()
    for index, stage in enumerate(scenario.stages):
        if stage.name in seen:
            yield Problem(("stages", index, "name"), f"there are two stages named {stage.name!r}")
        seen.add(stage.name)


def _at(scenario: Scenario, phase: Phase) -> Steps:
    """Return where the elements of a phase stand in the file."""
    if not phase.name:
        return ()
    return ("stages", next(index for index, stage in enumerate(scenario.stages) if stage.name == phase.name))


def _check_targets(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    counts = {fleet.name: fleet.count for fleet in scenario.fleets}
    people = scenario.people or People()
    drawn, named = [each.cars for each in people.drawn], [each.cars for each in people.persons]
    for key, chosen in (("drawn", drawn), ("persons", named)):
        for index, cars in enumerate(chosen):
            yield from _check_cars(("people", key, index, "cars"), cars or Selection(), counts)
    for phase in scenario.phases():
        at = _at(scenario, phase)
        for index, load in enumerate(phase.commands):
            if load.fleet is not None:
                yield from check_known((*at, "commands", index, "fleet"), "fleet", load.fleet, counts)
        for key, timed in _TIMED:
            for index, action in enumerate(timed(phase)):
                yield from _check_cars((*at, key, index, "cars"), action.cars, counts)


def _check_cars(at: Steps, cars: Selection, counts: Mapping[str, int]) -> Iterator[Problem]:
    if cars.fleet is not None:
        yield from check_known((*at, "fleet"), "fleet", cars.fleet, counts)
    held = counts.get(cars.fleet, 0) if cars.fleet is not None else sum(counts.values())
    if held and cars.index is not None and max(cars.index.numbers) >= held:
        yield Problem((*at, "index"), f"there is no car {max(cars.index.numbers)}: the last one of {held} is {held - 1}")


def _check_expectations(scenario: Scenario, vocabulary: Vocabulary) -> Iterator[Problem]:
    for index, expectation in enumerate(scenario.expectations):
        yield from _check_reasons(("expectations", index), expectation, vocabulary)
    for number, stage in enumerate(scenario.stages):
        for index, expectation in enumerate(stage.expectations):
            at = ("stages", number, "expectations", index)
            yield from _check_reasons(at, expectation, vocabulary)
            unknown = expectation.unknown_in_stage()
            if unknown is not None:
                known = (*STAGE_COUNTS, *(f"latency_ms.{kind}.FIGURE" for kind in STAGE_LATENCIES))
                yield Problem(at, f"{unknown!r} is not known of one stage", f"Known: {', '.join(known)}.")


def _check_reasons(at: Steps, expectation: Expectation, vocabulary: Vocabulary) -> Iterator[Problem]:
    for reason in expectation.reasons():
        if vocabulary.reasons and reason not in vocabulary.reasons:
            yield unknown(at, "reason", reason, vocabulary.reasons)


def _check_times(scenario: Scenario, vocabulary: Vocabulary) -> Iterator[Problem]:
    if not isinstance(scenario.region, RegionFile) and scenario.region not in vocabulary.regions:
        return
    try:
        start = vocabulary.start_of(scenario)
    except Misread as error:
        yield Problem(("start",), str(error))
        return
    if not 0 < scenario.duration <= _LONGEST_DAYS * DAY:
        return
    zone = vocabulary.zone_of(scenario)
    for number, fleet in enumerate(scenario.fleets):
        for name, never in _never_tracks(fleet, start, scenario.duration, zone):
            yield Problem(
                ("fleets", number, "tracks", name),
                f"{never} in a run from {_local(start, zone)} for {format_duration(scenario.duration)}",
            )
        for index, window in enumerate(fleet.coverage.outages):
            if not window.intervals(start, scenario.duration, zone):
                message = f"{window} never comes in a run from {_local(start, zone)} for {format_duration(scenario.duration)}"
                yield Problem(("fleets", number, "coverage", "outages", index), message)
    for phase in scenario.phases():
        at = _at(scenario, phase)
        begin = start + phase.after_us
        what = f"the stage {phase.name!r}" if phase.name else "a run"
        stretch = f"{what} from {_local(begin, zone)} for {format_duration(phase.duration)}"
        for index, load in enumerate(phase.commands):
            if load.during is not None and not load.during.intervals(begin, phase.duration, zone):
                yield Problem((*at, "commands", index, "during"), f"{load.during} never comes in {stretch}")
        for key, timed in _TIMED:
            for index, action in enumerate(timed(phase)):
                for name, never in _never(action, begin, phase.duration, zone):
                    yield Problem((*at, key, index, name), f"{never} in {stretch}")


def _never_tracks(fleet: Fleet, start: Instant, duration: int, zone: str) -> Iterator[tuple[str, str]]:
    if fleet.tracks is None or fleet.tracks.at is None:
        return
    try:
        if fleet.tracks.at.within(start, duration, zone) is None:
            yield "at", f"{fleet.tracks.at} never comes"
    except Misread as error:
        yield "at", f"{error},"


def _never(action: Load | TimelineStep, begin: Instant, duration: int, zone: str) -> Iterator[tuple[str, str]]:
    """Yield the key and what is wrong with a time that does not come in its stage."""
    if action.at is not None:
        try:
            came = action.at.within(begin, duration, zone)
        except Misread as error:
            yield "at", f"{error},"
            return
        if came is None:
            yield "at", f"{action.at} never comes"
            return
    if isinstance(action, Load) and action.during is not None and not action.spans(begin, duration, zone):
        yield "during", f"{action.during} never comes"
    if isinstance(action, TimelineStep) and action.every is not None and action.every >= duration and action.at is None:
        yield "every", f"{action.every} is too long: it never passes"


def _local(at: Instant, zone: str) -> str:
    return to_datetime(at).astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="minutes")


def _check_stage_name(stage: ScenarioStage, _: Vocabulary) -> Iterator[Problem]:
    yield from check_name(("name",), stage.name)


def _check_stage(stage: ScenarioStage, _: Vocabulary) -> Iterator[Problem]:
    if stage.duration <= 0:
        yield Problem(("duration",), "a duration above 0 is expected")


def _check_dialect(part: Scenario | Fleet, vocabulary: Vocabulary) -> Iterator[Problem]:
    if part.dialect is not None and vocabulary.open_dialect is not None:
        try:
            vocabulary.open_dialect(part.dialect)
        except UsageError as error:
            yield Problem(("dialect",), str(error), error.hint)


def _check_fleet_name(fleet: Fleet, _: Vocabulary) -> Iterator[Problem]:
    yield from check_name(("name",), fleet.name)


def _check_count(fleet: Fleet, _: Vocabulary) -> Iterator[Problem]:
    if fleet.count <= 0:
        yield Problem(("count",), f"{fleet.count} cars are no fleet: a whole number above 0 is expected")


def _check_models(fleet: Fleet, vocabulary: Vocabulary) -> Iterator[Problem]:
    if not fleet.models:
        yield Problem(("models",), "no model is named: at least one, such as {Born: 1}, is expected")
    yield from check_weights(("models",), "model", fleet.models, vocabulary.models)
    for model, energies in fleet.energies.items():
        at = ("energies", model)
        if model not in fleet.models:
            yield Problem(at, f"this fleet has no {model!r} among its models", nearest_hint(model, fleet.models), is_key=True)
            continue
        if not energies:
            yield Problem(at, "no energy is named: at least one weight is expected")
        yield from check_weights(at, f"energy of {model}", energies, vocabulary.models.get(model, energies))


def _check_tracks(fleet: Fleet, _: Vocabulary) -> Iterator[Problem]:
    if fleet.tracks is not None:
        if not fleet.tracks.files:
            yield Problem(("tracks", "files"), "no file is named: at least one track is expected")
        for key in ("profile", "places"):
            if getattr(fleet, key) is not None:
                yield Problem(
                    (key,),
                    f"{key!r} and 'tracks' exclude each other: its track says where a car goes",
                    is_key=True,
                )


def _check_fleet_words(fleet: Fleet, vocabulary: Vocabulary) -> Iterator[Problem]:
    if fleet.profile is not None:
        yield from check_known(("profile",), "profile", fleet.profile, vocabulary.profiles)
    if fleet.registered_in is not None:
        yield from check_known(("registered_in",), "country", fleet.registered_in, vocabulary.countries)
    for item, value in fleet.equipment.items():
        yield from check_known(("equipment", item), "equipment", item, vocabulary.equipment, is_key=True)
        if item in vocabulary.equipment:
            yield from check_value(("equipment", item), value, vocabulary.equipment[item])


def _check_privacy(fleet: Fleet, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Check that the switch of every model has the modes that are asked for."""
    for mode in fleet.privacy.shares if fleet.privacy is not None else ():
        for model in fleet.models:
            modes = vocabulary.privacy.get(model, (mode,))
            if mode not in modes:
                hint = f"It has {', '.join(modes)}. Other models can be a fleet of their own."
                yield Problem(("privacy",), f"the privacy switch of a {model} has no {mode!r}", hint)


def _check_zone(zone: DeadZone, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _check_place(zone, vocabulary)
    if zone.radius <= 0:
        yield Problem(("radius",), "a distance above 0 m is expected")


def _check_place(place: GeoPoint | DeadZone, _: Vocabulary) -> Iterator[Problem]:
    yield from check_coordinates(place.latitude, place.longitude)


def _check_reconnect(again: Reconnect, _: Vocabulary) -> Iterator[Problem]:
    if again.first is not None and again.first <= 0:
        yield Problem(("first",), "a duration above 0 is expected")
    if again.longest < (again.first or SECOND):
        yield Problem(("longest",), f"{again.longest} is shorter than the first wait")


Check = Callable[[Any, Vocabulary], Iterable[Problem]]

CHECKS: Final[dict[type[msgspec.Struct], tuple[Check, ...]]] = {
    Scenario: (
        _check_scenario_name, _check_purpose, _check_seed, _check_duration, _check_size, _check_fleet_names, _check_stages,
        _check_targets, _check_expectations, _check_region, _check_times, _check_dialect, check_people,
    ),
    Household: (check_household,),
    NamedPerson: (check_person,),
    Fleet: (
        _check_fleet_name, _check_count, _check_models, _check_tracks, _check_region, _check_fleet_words, _check_privacy,
        _check_dialect,
    ),
    GeoPoint: (_check_place,),
    DeadZone: (_check_zone,),
    CommandLoad: (check_command_load,),
    ScenarioStage: (_check_stage_name, _check_stage),
    Load: (check_load,),
    TimelineStep: (check_step,),
    Expect: (check_expect,),
    NetworkFault: (check_network,),
    Selection: (check_selection,),
    Reconnect: (_check_reconnect,),
}  # fmt: skip
"""The checks of each kind of element. They are independent: one goes on where another needs a value that is broken."""
