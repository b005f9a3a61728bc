"""What is wrong with a scenario although its shape is right: names nobody knows, counts of 0, rules that contradict.

Each check looks at one part, so that one broken part hides no error in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from fleet.cloud.actions import ServiceEntry
from fleet.errors import UsageError, nearest_hint
from fleet.kernel.instants import DAY, SECOND, Instant, format_duration, to_datetime
from fleet.scenario.actions import (
    CAR_ACTIONS,
    LED,
    LOWERED,
    OPENED,
    SWITCHED,
    Action,
    GeoPoint,
    Load,
    NetworkFault,
    Selection,
    TimelineStep,
)
from fleet.scenario.expect import Expect
from fleet.scenario.expectations import STAGE_COUNTS, STAGE_LATENCIES, Expectation
from fleet.scenario.problems import Problem, Steps, check_known, check_name, check_value, check_weights, unknown
from fleet.scenario.scalars import Misread
from fleet.scenario.schema import CommandLoad, DeadZone, Fleet, Phase, Reconnect, Scenario, ScenarioStage, Vocabulary
from fleet.scenario.words import check_values, check_words, lacking
from fleet.transport.faults import FAULTS
from fleet.vehicle.signals import SetHeater
from fleet.wire.commands import LONGEST_TIME_TO_LIVE, CommandType
from fleet.wire.requests import requests
from fleet.wire.services import load_services

MOST_CARS: Final = 1_000_000
_MOST_COMMANDS: Final = 10_000_000
_LONGEST_DAYS: Final = 3660
_SHAPES: Final = ("rate", "ramp", "poisson", "burst")
_TIMED: Final[tuple[tuple[str, Callable[[Phase], tuple[Load | TimelineStep, ...]]], ...]] = (
    ("load", lambda phase: phase.load),
    ("timeline", lambda phase: phase.timeline),
)
_FROM_DISTANCE: Final = ("latitude", "longitude")
"""Parameters that `distance` fills, unless both are given: where the user stands."""
KNOWN_TO_CARS: Final = frozenset({"latitude", "longitude", "fuel", "plug"})
"""Parameters of requests that a car fills in itself."""


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


def _check_region(scenario: Scenario, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from check_known(("region",), "region", scenario.region, vocabulary.regions)


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
    if scenario.region not in vocabulary.regions:
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
    if fleet.region is not None:
        yield from check_known(("region",), "region", fleet.region, vocabulary.regions)
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
    for name, value, limit in (("latitude", place.latitude, 90), ("longitude", place.longitude, 180)):
        if not -limit <= value <= limit:
            yield Problem((name,), f"{value:g} is out of range: {-limit} to {limit} degrees are expected")


def _check_command_load(load: CommandLoad, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _check_command("name", load.name, load, vocabulary)
    if load.rate is None and load.count is None:
        yield Problem((), f"{load.name} lacks 'rate' or 'count', which say how many", hint="Such as 'rate: 120 per hour'.")
    if load.rate is not None and load.count is not None:
        yield Problem(("count",), "'rate' and 'count' exclude each other: one of them is expected", is_key=True)
    if load.count is not None and not 0 < load.count <= _MOST_COMMANDS:
        yield Problem(("count",), f"{load.count} is out of range: a whole number from 1 to {_MOST_COMMANDS} is expected")


def _check_command(
    key: str, name: str, words: CommandLoad | Action, vocabulary: Vocabulary, *, meant_wrong: str | None = None
) -> Iterator[Problem]:
    """Check a command and its words; `key` is where its name stands.

    What is `meant_wrong`, by the reason that is expected for it, may be wrong: it is asked as it stands.
    """
    known = vocabulary.commands.get(name)
    if known is None:
        if meant_wrong != "unsupported":
            yield unknown((key,), "command", name, vocabulary.commands)
    elif meant_wrong != "malformed":
        yield from _check_parameters(words, known)
    too_long = words.time_to_live is not None and words.time_to_live > LONGEST_TIME_TO_LIVE
    if too_long and meant_wrong == "argument_out_of_range":
        return
    if words.time_to_live is not None and not SECOND <= words.time_to_live <= LONGEST_TIME_TO_LIVE:
        most = format_duration(LONGEST_TIME_TO_LIVE)
        yield Problem(("time_to_live",), f"{words.time_to_live} is out of range: 1 s to {most} is expected")


def _check_parameters(load: CommandLoad | Action, known: CommandType) -> Iterator[Problem]:
    types = {field.name: field.type for field in msgspec.structs.fields(known.parameters)}
    needs_distance = types.keys() >= set(_FROM_DISTANCE)
    given_as_point = needs_distance and load.distance is None and load.parameters.keys() >= set(_FROM_DISTANCE)
    settable = [name for name in types if name not in _FROM_DISTANCE or given_as_point]
    for name, values in load.parameters.items():
        at = ("parameters", name)
        if name in types and name not in settable:
            yield Problem(at, f"where the user stands comes from 'distance', not from {name!r}", is_key=True)
        elif name not in types:
            hint = nearest_hint(name, settable) if settable else ""
            yield Problem(at, f"{known.name} has no parameter {name!r}", hint, is_key=True)
        else:
            yield from check_values(at, values, types[name], known.entry.parameters[name])
    yield from lacking("parameters", known.name, load.parameters, known.entry.parameters, given_elsewhere=_FROM_DISTANCE)
    if needs_distance and load.distance is None and not given_as_point:
        hint = "Such as 'distance: {from: 0 m, to: 400 m}'."
        yield Problem((), f"{known.name} lacks 'distance': how far the user stands from the car", hint)
    if load.distance is not None and not needs_distance:
        yield Problem(("distance",), f"{known.name} does not say where the user stands", is_key=True)
    if load.spin is not None and not known.needs_spin:
        yield Problem(("spin",), f"{known.name} needs no S-PIN", is_key=True)


def _check_action(
    action: Action, vocabulary: Vocabulary, *, more: tuple[str, ...] = (), looks: bool = False
) -> Iterator[Problem]:
    """Check that one thing is done (or none by a step that `looks`), and that it has its words and no others."""
    given = [key for key in ("do", "command", *more) if getattr(action, key) is not None]
    if len(given) != 1 and not (looks and not given):
        names = "one of " + ", ".join(repr(key) for key in ("do", "command", *more))
        what = f"{given[0]!r} and {given[1]!r} exclude each other" if given else "it does not say what is done"
        at = (given[1],) if given else ()
        yield Problem(
            at, f"{what}: {names} is expected", hint="" if given else f"do: {', '.join(CAR_ACTIONS)}.", is_key=bool(given)
        )
    if action.command is not None:
        meant_wrong = (
            action.expect.outcome.reason if isinstance(action, TimelineStep) and action.expect and action.expect.outcome else None
        )
        yield from _check_command("command", action.command, action, vocabulary, meant_wrong=meant_wrong)
    what = action.do or ("a command" if action.command is not None else "that" if given else "a step that only looks")
    for key, takes in (
        ("to", action.do in LED),
        ("door", action.do in OPENED),
        ("level", action.do in LOWERED),
        ("fault", action.do == "fault"),
        ("mode", action.do == "set_privacy"),
        ("named", action.do == "set_service"),
        ("switch", action.do in SWITCHED),
        ("sensor", action.do == "crash"),
        ("user", action.do == "reset_car" or action.command is not None),
        ("request", action.do == "ask"),
        ("data", action.do == "ask" or "service" in given),
        ("parameters", action.command is not None or action.do == "set_heater"),
        *((key, action.command is not None) for key in ("distance", "distance_from", "spin", "time_to_live")),
    ):
        if (given or looks) and not takes and getattr(action, key) not in (None, {}):
            yield Problem((key,), f"{what} takes no {key!r}", is_key=True)
    if action.distance_from is not None and action.distance is None:
        yield Problem(("distance_from",), "without 'distance' nobody stands anywhere", "Such as 'distance: 500 m'.", is_key=True)
    if action.do in OPENED and action.door is None:
        yield Problem((), f"{action.do} lacks 'door': which one", hint="Such as 'door: boot'.")
    if action.do == "set_privacy" and action.mode is None:
        yield Problem((), "set_privacy lacks 'mode': which one", hint="Such as 'mode: offline'.")
    if action.do in SWITCHED and action.switch is None:
        yield Problem((), f"{action.do} lacks 'switch': on or off", hint="Such as 'switch: off'.")
    if action.do == "set_service" and action.named is None:
        yield Problem((), "set_service lacks 'named': which service", hint="Such as 'named: lock'.")
    if action.do == "ask":
        yield from _check_request(action)
    if action.do == "set_heater":
        yield from _check_heater(action)
    if action.named is not None:
        yield from check_known(("named",), "service", action.named, vocabulary.switchable)
    if action.do == "fault" and action.fault is None:
        yield Problem((), "fault lacks 'fault': which one", hint="Such as 'fault: tyre_pressure'.")
    if action.do == "drive" and action.to is None:
        yield Problem((), "drive lacks 'to': where it leads", hint="Such as 'to: home' or 'to: {from: 2 km, to: 10 km}'.")


def _check_request(action: Action) -> Iterator[Problem]:
    """Check the words of a request as the car will, which fills in what it knows itself."""
    if action.request is None:
        yield Problem((), "ask lacks 'request': which online service", hint="Such as 'request: parking_places'.")
        return
    wrong = list(check_known(("request",), "request", action.request, requests()))
    yield from wrong
    if wrong or _is_meant_wrong(action):
        return
    given, parameters = {} if action.data is None else action.data.values, requests()[action.request].entry.parameters
    yield from check_words(action.request, given, parameters)
    yield from lacking("data", action.request, given, parameters, given_elsewhere=KNOWN_TO_CARS)


def _is_meant_wrong(action: Action) -> bool:
    """Tell whether a step expects that a request is not asked because of its words: then they stand as they are."""
    expect = action.expect if isinstance(action, TimelineStep) else None
    return expect is not None and expect.wanted.get("reason") in {"malformed", "argument_out_of_range"}


def _check_heater(action: Action) -> Iterator[Problem]:
    """Check run time and timers as the car will take them; whether its menu has them is the car's to judge."""
    try:
        msgspec.convert({name: values.samples()[0] for name, values in action.parameters.items()}, SetHeater)
    except msgspec.ValidationError as error:
        hint = "Such as 'parameters: {minutes: 30, timers: [{at: \"06:30\", days: [monday]}]}'."
        yield Problem(("parameters",), f"set_heater cannot take this: {error}", hint)


def _check_load(load: Load, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _check_action(load, vocabulary)
    given = [key for key in _SHAPES if getattr(load, key) is not None]
    if not given:
        yield Problem((), f"it lacks one of {', '.join(_SHAPES)}, which say how often", hint="Such as 'rate: 20 per s'.")
    for key in given[1:]:
        yield Problem((key,), f"{given[0]!r} and {key!r} exclude each other: one of them is expected", is_key=True)
    if load.lasts is not None and load.lasts <= 0:
        yield Problem(("for",), "a duration above 0 is expected")


def _check_step(step: TimelineStep, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _check_action(step, vocabulary, more=("broker", "network", "service"), looks=step.expect is not None)
    if step.at is None and step.every is None and step.when is None:
        yield Problem((), "it lacks 'at', 'every' or 'when', which say when", hint="Such as 'at: 10 min'.")
    if step.every is not None and step.every < SECOND:
        yield Problem(("every",), "at least 1 s is expected")
    yield from _check_service(step, vocabulary)
    yield from _check_line(step)
    if step.broker is not None:
        if step.cars != Selection():
            yield Problem(("cars",), "the broker has no cars to choose from", is_key=True)
        if step.when is not None and step.when.of_car:
            yield Problem(("when",), "what is done to the broker cannot depend on one car")
    if step.lasts is not None and step.network is None:
        yield Problem(("for",), "only 'network' takes 'for'", is_key=True)
    if step.lasts is not None and step.lasts <= 0:
        yield Problem(("for",), "a duration above 0 is expected")
    if step.network is not None:
        if step.when is not None and step.when.of_car:
            yield Problem(
                ("when",),
                "what is done to the network cannot depend on one car",
                hint="'cars' says whose connections it concerns.",
            )
        if step.every is not None and step.lasts is not None and step.lasts > step.every:
            yield Problem(("for",), f"{step.lasts} is longer than 'every': it would begin again before it is over")


def _check_line(step: TimelineStep) -> Iterator[Problem]:
    """Check what makes a step a line of the report."""
    if step.id is not None and step.command is None:
        yield Problem(("id",), "only a command takes 'id'", is_key=True)
    if step.id is not None:
        yield from check_name(("id",), step.id)
    if step.expect is None:
        if step.title is not None:
            yield Problem(("title",), "only a step with 'expect' takes 'title'", is_key=True)
        return
    if not step.of_cars and (step.expect.then, step.expect.event, step.expect.no_event) != (None, None, None):
        yield Problem(("expect",), "what is not done to a car can have an 'outcome' alone", is_key=True)
    if step.expect.outcome is not None and step.command is None and step.service is None:
        yield Problem(("expect", "outcome"), "only a command or a service has an outcome", is_key=True)


def _check_expect(expect: Expect, _: Vocabulary) -> Iterator[Problem]:
    if (expect.outcome, expect.then, expect.event, expect.no_event) == (None, None, None, None):
        what = "'outcome', 'then', 'event' or 'no_event'"
        yield Problem((), f"it expects nothing: {what} is expected", "Such as 'outcome: succeeded'.")
    if expect.then is not None and expect.then.of_run:
        yield Problem(("then",), "it is about one car, and not about the run", hint="Such as 'then: car.locked == yes'.")
    events = load_services().events
    for key, name in (("event", expect.event), ("no_event", expect.no_event)):
        if name is not None:
            yield from check_known((key,), "event", name, events)
    for name in expect.wanted if expect.event in events else ():
        yield from check_known(("data", name), f"data of {expect.event}", name, events[str(expect.event)].data, is_key=True)
    if expect.data is not None and expect.event is None:
        yield Problem(("data",), "only an 'event' has data", is_key=True)
    if expect.within is not None and expect.event is None and expect.no_event is None:
        yield Problem(("within",), "only 'event' and 'no_event' take 'within'", is_key=True)
    if expect.within is not None and expect.within <= 0:
        yield Problem(("within",), "a duration above 0 is expected")


def check_network(fault: NetworkFault, _: Vocabulary | None = None) -> Iterator[Problem]:
    """Say what is wrong with a fault, whoever has written it."""
    kinds = fault.kinds
    if not kinds:
        names = [name for name in FAULTS if name in fault.__struct_fields__]
        yield Problem((), "it does not say what is wrong", hint=f"Such as 'latency: 200 ms'. Known: {', '.join(names)}.")
        return
    taken = {key for kind in kinds for key in fault.words(kind)}
    for key in ("jitter", "way", "topic", "every", "share", "first", "within"):
        if getattr(fault, key) is not None and key not in taken:
            yield Problem((key,), f"{' and '.join(kinds)} takes no {key!r}", is_key=True)
    of_packets = [kind for kind in kinds if kind in ("drop", "duplicate", "reorder")]
    for kind in of_packets[1:]:
        yield Problem((kind,), f"{of_packets[0]!r} and {kind!r} exclude each other: a step each is expected", is_key=True)
    for kind in kinds:
        try:
            fault.fault(kind)
        except UsageError as error:
            yield Problem((kind,), str(error), error.hint)


def _check_service(step: TimelineStep, vocabulary: Vocabulary) -> Iterator[Problem]:
    if step.service is None:
        for key, given in (("action", step.action), ("about", None if step.about == "each" else step.about)):
            if given is not None:
                yield Problem((key,), f"only a service of the back end takes {key!r}", is_key=True)
        return
    entry = vocabulary.services.get(step.service)
    if entry is None:
        yield unknown(("service",), "service", step.service, vocabulary.services)
    elif not entry.actions:
        yield Problem(("service",), f"nothing can be asked of {step.service}")
    elif step.action is None:
        yield Problem((), f"{step.service} lacks 'action': what it is to do", f"Known: {', '.join(entry.actions)}.")
    elif step.action not in entry.actions:
        yield unknown(("action",), f"action of {step.service}", step.action, entry.actions)
    else:
        yield from _check_asked(step, step.action, entry)
    if step.about == "none" and step.cars != Selection():
        yield Problem(("cars",), "it is about no cars", is_key=True)
    if step.about != "each" and step.when is not None and step.when.of_car:
        yield Problem(("when",), "what is asked once for all cannot depend on one car")


def _check_asked(step: TimelineStep, action: str, entry: ServiceEntry) -> Iterator[Problem]:
    """Check the words for an action, and that it is asked about as many cars as it takes."""
    given = {} if step.data is None else step.data.values
    listed = {"cars"} if step.about == "list" else set()
    parameters = entry.parameters(action, given.keys() | listed)
    what = f"{step.service} {action}"
    if entry.actions[action].car and step.about != "each":
        yield Problem(("about",), f"{what} is about one car: 'each' is expected")
    elif not listed <= parameters.keys():
        yield Problem(("about",), f"{what} takes no list of cars: 'each' or 'none' is expected")
    yield from check_words(what, given, parameters)
    yield from lacking("data", what, given, parameters, given_elsewhere=listed)


def _check_reconnect(again: Reconnect, _: Vocabulary) -> Iterator[Problem]:
    if again.first is not None and again.first <= 0:
        yield Problem(("first",), "a duration above 0 is expected")
    if again.longest < (again.first or SECOND):
        yield Problem(("longest",), f"{again.longest} is shorter than the first wait")


def _check_selection(cars: Selection, _: Vocabulary) -> Iterator[Problem]:
    given = [key for key in ("share", "count", "index") if getattr(cars, key) is not None]
    for key in given[1:]:
        yield Problem((key,), f"{given[0]!r} and {key!r} exclude each other: one of them is expected", is_key=True)
    if cars.count is not None and cars.count <= 0:
        yield Problem(("count",), f"{cars.count} is out of range: a whole number above 0 is expected")
    if cars.share is not None and not cars.share > 0:
        yield Problem(("share",), "0 % are no cars: a share above 0 is expected")


Check = Callable[[Any, Vocabulary], Iterable[Problem]]

CHECKS: Final[dict[type[msgspec.Struct], tuple[Check, ...]]] = {
    Scenario: (
        _check_scenario_name, _check_purpose, _check_seed, _check_duration, _check_size, _check_fleet_names, _check_stages,
        _check_targets, _check_expectations, _check_region, _check_times,
    ),
    Fleet: (_check_fleet_name, _check_count, _check_models, _check_tracks, _check_fleet_words, _check_privacy),
    GeoPoint: (_check_place,),
    DeadZone: (_check_zone,),
    CommandLoad: (_check_command_load,),
    ScenarioStage: (_check_stage_name, _check_stage),
    Load: (_check_load,),
    TimelineStep: (_check_step,),
    Expect: (_check_expect,),
    NetworkFault: (check_network,),
    Selection: (_check_selection,),
    Reconnect: (_check_reconnect,),
}  # fmt: skip
"""What is checked of each kind of part. One check of a part goes on where another needs a value that is broken."""
