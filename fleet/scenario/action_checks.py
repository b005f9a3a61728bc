"""Checks of what is done to cars in a scenario: commands, loads, steps of a timeline, faults of the network.

Each check looks at one part, so that one broken part hides no error in another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from fleet.cloud.actions import ServiceEntry
from fleet.errors import UsageError, nearest_hint
from fleet.kernel.instants import SECOND, format_duration
from fleet.scenario.actions import (
    CAR_ACTIONS,
    LED,
    LOWERED,
    OF_PERSONS,
    OPENED,
    SWITCHED,
    Action,
    Load,
    NetworkFault,
    Selection,
    TimelineStep,
)
from fleet.scenario.expect import Expect
from fleet.scenario.people_checks import check_acting
from fleet.scenario.persons import whom_word
from fleet.scenario.problems import Problem, check_known, check_name, unknown
from fleet.scenario.schema import CommandLoad, Vocabulary
from fleet.scenario.screen_checks import NAMING, TYPING, check_screen
from fleet.scenario.words import check_values, check_words, lacking
from fleet.transport.faults import FAULTS
from fleet.vehicle.signals import SetHeater
from fleet.wire.commands import LONGEST_TIME_TO_LIVE, CommandType
from fleet.wire.requests import requests
from fleet.wire.services import load_services

_MOST_COMMANDS: Final = 10_000_000
_SHAPES: Final = ("rate", "ramp", "poisson", "burst")
_FROM_DISTANCE: Final = ("latitude", "longitude")
"""Parameters that `distance` fills, unless both are given: where the user stands."""
KNOWN_TO_CARS: Final = frozenset({"latitude", "longitude", "fuel", "plug"})
"""Parameters of requests that a car fills in itself."""


def check_command_load(load: CommandLoad, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Check commands that users send: name and parameters, and how many."""
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
        ("level", action.do in LOWERED or action.do == "set_battery_protection"),
        ("fault", action.do == "fault"),
        ("mode", action.do == "set_privacy"),
        ("named", action.do == "set_service"),
        ("switch", action.do in SWITCHED),
        ("sensor", action.do == "crash"),
        ("user", action.do == "reset_car" or action.do in NAMING or action.command is not None),
        ("request", action.do == "ask"),
        ("data", action.do == "ask" or "service" in given),
        ("parameters", action.command is not None or action.do == "set_heater"),
        ("spin", action.command is not None or action.do in TYPING),
        *((key, action.command is not None) for key in ("distance", "distance_from", "time_to_live")),
    ):
        if (given or looks) and not takes and getattr(action, key) not in (None, {}):
            yield Problem((key,), f"{what} takes no {key!r}", is_key=True)
    yield from check_acting(action, given=given)
    yield from check_screen(action, what)
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
    askable = [name for name, known in requests().items() if not known.entry.is_of_screen]
    wrong = list(check_known(("request",), "request", action.request, askable))
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


def check_load(load: Load, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Check an action of a load, and its rhythm."""
    yield from _check_action(load, vocabulary)
    given = [key for key in _SHAPES if getattr(load, key) is not None]
    if not given:
        yield Problem((), f"it lacks one of {', '.join(_SHAPES)}, which say how often", hint="Such as 'rate: 20 per s'.")
    for key in given[1:]:
        yield Problem((key,), f"{given[0]!r} and {key!r} exclude each other: one of them is expected", is_key=True)
    if load.lasts is not None and load.lasts <= 0:
        yield Problem(("for",), "a duration above 0 is expected")


def check_step(step: TimelineStep, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Check a step of a timeline: its action, its time, and whatever else it acts on."""
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
    if step.expect.outcome is not None and (step.command, step.service) == (None, None) and step.do not in OF_PERSONS:
        yield Problem(("expect", "outcome"), "only a command, a service or an enrolment has an outcome", is_key=True)


def check_expect(expect: Expect, _: Vocabulary) -> Iterator[Problem]:
    """Check what a step expects."""
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
    named = whom_word(parameters)
    if step.whom is not None and named is None:
        yield Problem(("whom",), f"{what} is about nobody", is_key=True)
    elsewhere = listed if step.whom is None or named is None else listed | {named}
    yield from lacking("data", what, given, parameters, given_elsewhere=elsewhere)


def check_selection(cars: Selection, _: Vocabulary) -> Iterator[Problem]:
    """Check that cars are chosen in one way, and that some are left."""
    given = [key for key in ("share", "count", "index") if getattr(cars, key) is not None]
    for key in given[1:]:
        yield Problem((key,), f"{given[0]!r} and {key!r} exclude each other: one of them is expected", is_key=True)
    if cars.count is not None and cars.count <= 0:
        yield Problem(("count",), f"{cars.count} is out of range: a whole number above 0 is expected")
    if cars.share is not None and not cars.share > 0:
        yield Problem(("share",), "0 % are no cars: a share above 0 is expected")
