"""What is wrong with a scenario although its shape is right: names nobody knows, counts of 0, rules that contradict.

Each check looks at one part, so that one broken part hides no error in another.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fleet.errors import nearest_hint
from fleet.kernel.instants import DAY, SECOND, format_duration
from fleet.scenario.scalars import Misread, shown
from fleet.scenario.schema import CommandLoad, Fleet, Place, Scenario, Vocabulary
from fleet.wire.commands import LONGEST_TIME_TO_LIVE, CommandType

Steps = tuple[str | int, ...]
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MOST_CARS: Final = 1_000_000
_MOST_COMMANDS: Final = 10_000_000
_LONGEST_DAYS: Final = 3660
_FROM_DISTANCE: Final = ("latitude", "longitude")
"""Parameters that `distance` fills: where the user stands."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at `at`, seen from the part; `is_key` blames the key and not its value."""

    at: Steps
    message: str
    hint: str = ""
    is_key: bool = False


def _check_scenario(scenario: Scenario, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _name(("scenario",), scenario.scenario)
    if not scenario.purpose.strip():
        yield Problem(("purpose",), "a sentence is expected, not nothing")
    if not 0 <= scenario.seed < 1 << 63:
        yield Problem(("seed",), f"{scenario.seed} is out of range: a whole number from 0 to 2^63 - 1 is expected")
    if not 0 < scenario.duration <= _LONGEST_DAYS * DAY:
        yield Problem(("duration",), f"a duration above 0 and at most {_LONGEST_DAYS} days is expected")
    yield from _check_fleets(scenario.fleets)
    yield from _check_targets(scenario)
    yield from _check_expectations(scenario, vocabulary)
    unknown_region = list(_known(("region",), "region", scenario.region, vocabulary.regions))
    yield from unknown_region
    if not unknown_region:
        yield from _check_times(scenario, vocabulary)


def _check_fleets(fleets: tuple[Fleet, ...]) -> Iterator[Problem]:
    if not fleets:
        yield Problem(("fleets",), "the list is empty: at least one fleet is expected")
    cars = sum(fleet.count for fleet in fleets)
    if cars > _MOST_CARS:
        yield Problem(("fleets",), f"{cars} cars are too many: at most {_MOST_CARS} are expected")
    seen: set[str] = set()
    for index, fleet in enumerate(fleets):
        if fleet.name in seen:
            yield Problem(("fleets", index, "name"), f"there are two fleets named {fleet.name!r}")
        seen.add(fleet.name)


def _check_targets(scenario: Scenario) -> Iterator[Problem]:
    names = [fleet.name for fleet in scenario.fleets]
    for index, load in enumerate(scenario.commands):
        if load.fleet is not None:
            yield from _known(("commands", index, "fleet"), "fleet", load.fleet, names)


def _check_expectations(scenario: Scenario, vocabulary: Vocabulary) -> Iterator[Problem]:
    for index, expectation in enumerate(scenario.expectations):
        for reason in expectation.reasons():
            if vocabulary.reasons and reason not in vocabulary.reasons:
                yield _unknown(("expectations", index), "reason", reason, vocabulary.reasons)


def _check_times(scenario: Scenario, vocabulary: Vocabulary) -> Iterator[Problem]:
    try:
        start = vocabulary.start_of(scenario)
    except Misread as error:
        yield Problem(("start",), str(error))
        return
    if not 0 < scenario.duration <= _LONGEST_DAYS * DAY:
        return
    zone = vocabulary.zone_of(scenario)
    for index, load in enumerate(scenario.commands):
        if load.during is not None and not load.during.intervals(start, scenario.duration, zone):
            message = f"{load.during} never comes in a run from {scenario.start} for {scenario.duration}"
            yield Problem(("commands", index, "during"), message)


def _check_fleet(fleet: Fleet, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _name(("name",), fleet.name)
    if fleet.count <= 0:
        yield Problem(("count",), f"{fleet.count} cars are no fleet: a whole number above 0 is expected")
    if not fleet.models:
        yield Problem(("models",), "no model is named: at least one, such as {Born: 1}, is expected")
    yield from _check_weights(("models",), "model", fleet.models, vocabulary.models)
    for model, energies in fleet.energies.items():
        at = ("energies", model)
        if model not in fleet.models:
            yield Problem(at, f"this fleet has no {model!r} among its models", nearest_hint(model, fleet.models), is_key=True)
            continue
        if not energies:
            yield Problem(at, "no energy is named: at least one weight is expected")
        yield from _check_weights(at, f"energy of {model}", energies, vocabulary.models.get(model, energies))
    if fleet.profile is not None:
        yield from _known(("profile",), "profile", fleet.profile, vocabulary.profiles)
    if fleet.region is not None:
        yield from _known(("region",), "region", fleet.region, vocabulary.regions)
    for item, value in fleet.equipment.items():
        yield from _known(("equipment", item), "equipment", item, vocabulary.equipment, is_key=True)
        if item in vocabulary.equipment:
            yield from _check_value(("equipment", item), value, vocabulary.equipment[item])


def _check_place(place: Place, _: Vocabulary) -> Iterator[Problem]:
    for name, value, limit in (("latitude", place.latitude, 90), ("longitude", place.longitude, 180)):
        if not -limit <= value <= limit:
            yield Problem((name,), f"{value:g} is out of range: {-limit} to {limit} degrees are expected")


def _check_command(load: CommandLoad, vocabulary: Vocabulary) -> Iterator[Problem]:
    known = vocabulary.commands.get(load.name)
    if known is None:
        yield _unknown(("name",), "command", load.name, vocabulary.commands)
    else:
        yield from _check_parameters(load, known)
    if load.rate is None and load.count is None:
        yield Problem((), f"{load.name} lacks 'rate' or 'count', which say how many", hint="Such as 'rate: 120 per hour'.")
    if load.rate is not None and load.count is not None:
        yield Problem(("count",), "'rate' and 'count' exclude each other: one of them is expected", is_key=True)
    if load.count is not None and not 0 < load.count <= _MOST_COMMANDS:
        yield Problem(("count",), f"{load.count} is out of range: a whole number from 1 to {_MOST_COMMANDS} is expected")
    if load.time_to_live is not None and not SECOND <= load.time_to_live <= LONGEST_TIME_TO_LIVE:
        most = format_duration(LONGEST_TIME_TO_LIVE)
        yield Problem(("time_to_live",), f"{load.time_to_live} is out of range: 1 s to {most} is expected")


def _check_parameters(load: CommandLoad, known: CommandType) -> Iterator[Problem]:
    types = {field.name: field.type for field in msgspec.structs.fields(known.parameters)}
    settable = [name for name in types if name not in _FROM_DISTANCE]
    needs_distance = len(settable) < len(types)
    for name, values in load.parameters.items():
        at = ("parameters", name)
        if name in types and name not in settable:
            yield Problem(at, f"where the user stands comes from 'distance', not from {name!r}", is_key=True)
        elif name not in types:
            hint = nearest_hint(name, settable) if settable else ""
            yield Problem(at, f"{load.name} has no parameter {name!r}", hint, is_key=True)
        else:
            for index, value in enumerate(values.samples()):
                inside: Steps = (index,) if len(values.choices) > 1 else ()
                yield from _check_value((*at, *inside), value, types[name])
    if needs_distance and load.distance is None:
        hint = "Such as 'distance: {from: 0 m, to: 400 m}'."
        yield Problem((), f"{load.name} lacks 'distance': how far the user stands from the car", hint)
    if load.distance is not None and not needs_distance:
        yield Problem(("distance",), f"{load.name} does not say where the user stands", is_key=True)
    if load.spin is not None and not known.needs_spin:
        yield Problem(("spin",), f"{load.name} needs no S-PIN", is_key=True)


def _check_value(at: Steps, value: object, wanted: Any) -> Iterator[Problem]:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        described = msgspec.inspect.type_info(wanted)
        if isinstance(described, msgspec.inspect.LiteralType):
            words = [str(word) for word in described.values]
            yield Problem(at, f"{shown(value)} is not one of {', '.join(words)}", nearest_hint(str(value), words))
        else:
            names = {
                msgspec.inspect.BoolType: "true or false",
                msgspec.inspect.IntType: "a whole number",
                msgspec.inspect.FloatType: "a number",
            }
            yield Problem(at, f"{names.get(type(described), 'another kind of value')} is expected, not {shown(value)}")


def _check_weights(at: Steps, kind: str, weights: Mapping[str, float], known: Iterable[str]) -> Iterator[Problem]:
    names = list(known)
    for name, weight in weights.items():
        yield from _known((*at, name), kind, name, names, is_key=True)
        if not 0 < weight <= 1e9:
            yield Problem((*at, name), f"{weight:g} is no weight: a number above 0 is expected")


def _known(at: Steps, kind: str, name: str, known: Iterable[str], *, is_key: bool = False) -> Iterator[Problem]:
    names = list(known)
    if name not in names:
        yield _unknown(at, kind, name, names, is_key=is_key)


def _unknown(at: Steps, kind: str, name: str, known: Iterable[str], *, is_key: bool = False) -> Problem:
    # Names are compared in lower case, because models are written with a capital.
    written = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), written, n=1)
    hint = f"Did you mean {written[near[0]]!r}?" if near else nearest_hint(name, written.values())
    return Problem(at, f"unknown {kind} {shown(name)}", hint, is_key)


def _name(at: Steps, name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield Problem(at, f"{shown(name)} is no name: letters, digits, '-' and '_' are expected, at most 64")


Check = Callable[[Any, Vocabulary], Iterable[Problem]]

CHECKS: Final[dict[type[msgspec.Struct], Check]] = {
    Scenario: _check_scenario,
    Fleet: _check_fleet,
    Place: _check_place,
    CommandLoad: _check_command,
}
