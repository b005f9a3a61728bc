"""Checks of the people of a scenario, and of who does something in its steps."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.kernel.instants import DAY
from fleet.scenario.actions import OF_PERSONS, OF_SOMEBODY, Action, TimelineStep
from fleet.scenario.expectations import OF_PEOPLE
from fleet.scenario.people import LANGUAGES, Household, NamedPerson
from fleet.scenario.persons import MISTAKES, ROLES
from fleet.scenario.problems import Problem, Steps, check_known, check_name, check_weights
from fleet.scenario.schema import Scenario, Vocabulary

_OLDEST_DAYS = 3660


def check_household(household: Household, _: Vocabulary) -> Iterator[Problem]:
    """Check that shares, languages and ages can be."""
    if household.families + max(household.additional, household.guests) > 1:
        yield Problem(("families",), "families and cars with another additional user or guest are more than all cars")
    if not household.languages:
        yield Problem(("languages",), "no language is named: at least one weight is expected")
    yield from check_weights(("languages",), "language", household.languages, LANGUAGES)
    if household.licence_age.high > _OLDEST_DAYS * DAY:
        yield Problem(("licence_age",), f"at most {_OLDEST_DAYS} days are expected")


def check_person(person: NamedPerson, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Check the name and the words of somebody."""
    yield from check_name(("name",), person.name)
    if person.name in ROLES:
        yield Problem(("name",), f"{person.name!r} is a role: another name is expected")
    yield from check_known(("language",), "language", person.language, LANGUAGES)
    if person.country is not None:
        yield from check_known(("country",), "country", person.country, vocabulary.countries)
    if (person.role is None) is not (person.cars is None):
        lacking, given = ("cars", "role") if person.cars is None else ("role", "cars")
        yield Problem((), f"it has {given!r} and lacks {lacking!r}: a role is one on cars")
    if person.role == "previous_owner":
        yield Problem(("role",), "a previous owner comes of a take-over: 'primary' is expected, and somebody who enrols then")
    if not person.registered and person.role not in (None, "primary", "buyer"):
        yield Problem(("registered",), f"without an account nobody is {person.role} of a car", is_key=True)
    if not person.registered and person.app:
        yield Problem(("app",), "without an account there is no session", is_key=True)
    if person.allowed is not None and person.role != "additional":
        yield Problem(("allowed",), "only an additional user is allowed services one by one", is_key=True)
    for index, name in enumerate(person.allowed or ()):
        yield from check_known(("allowed", index), "service", name, vocabulary.switchable)


def check_people(scenario: Scenario, _: Vocabulary) -> Iterator[Problem]:
    """Check that names are used once, that fleets exist, and that steps name somebody there is."""
    people = scenario.people
    for index, expectation in enumerate(scenario.expectations if people is None else ()):
        if expectation.path.startswith(tuple(f"{what}." for what in OF_PEOPLE)):
            yield Problem(("expectations", index), f"{expectation.path} is counted where the scenario has 'people'")
    names: set[str] = set()
    for index, person in enumerate(people.persons if people is not None else ()):
        if person.name in names:
            yield Problem(("people", "persons", index, "name"), f"there are two people named {person.name!r}")
        names.add(person.name)
    for number, phase in enumerate(scenario.phases()):
        at: Steps = ("stages", number - 1) if phase.name else ()
        for key, actions in (("load", phase.load), ("timeline", phase.timeline)):
            for index, action in enumerate(actions):
                yield from _check_known_people(action, (*at, key, index), scenario, names)


def _check_known_people(action: Action, at: Steps, scenario: Scenario, names: set[str]) -> Iterator[Problem]:
    if action.person is not None:
        yield from check_known((*at, "person"), "person", action.person, names)
    if action.whom is not None:
        yield from check_known((*at, "whom"), "person or role", action.whom, (*names, *ROLES))
    if (action.by or action.person or action.whom) is not None and scenario.people is None:
        yield Problem((*at, "by" if action.by is not None else "person"), "the scenario has no 'people'")


def check_acting(action: Action, *, given: list[str]) -> Iterator[Problem]:
    """Check the words about who does something, and how."""
    asks = action.command is not None or "service" in given
    acts = action.do in OF_PERSONS
    what = action.do or ("a command" if action.command is not None else "that" if given else "a step that only looks")
    for key, takes in (
        ("person", asks or acts or action.do in OF_SOMEBODY),
        ("by", asks or acts or action.do in OF_SOMEBODY),
        ("in_session", asks),
        ("whom", "service" in given or action.do == "delete_user"),
        ("wrong", "service" in given),
        ("way", action.do == "enrol"),
        ("wrong_first", action.do == "enrol"),
    ):
        if not takes and getattr(action, key) is not None:
            yield Problem((key,), f"{what} takes no {key!r}", is_key=True)
    for key in ("by", "user"):
        if action.person is not None and getattr(action, key) is not None:
            yield Problem((key,), f"'person' and {key!r} exclude each other: one of them is expected", is_key=True)
    if action.by is not None and action.user is not None:
        yield Problem(("user",), "'by' and 'user' exclude each other: one of them is expected", is_key=True)
    if acts and action.person is None and action.by is None:
        yield Problem((), f"{action.do} lacks 'by' or 'person': who does it", hint="Such as 'by: primary'.")
    if action.in_session is not None and action.person is None and action.by is None:
        yield Problem(("in_session",), "without 'by' or 'person' there is nobody with a session", is_key=True)
    if action.by is not None and isinstance(action, TimelineStep) and action.service is not None and action.about != "each":
        yield Problem(("by",), "what is asked once for all is asked by a 'person'", is_key=True)
    if action.do == "enrol":
        yield from _check_enrolling(action)


def _check_enrolling(action: Action) -> Iterator[Problem]:
    wrong = action.wrong_first or {}
    of_any_way = dict.fromkeys(name for names in MISTAKES.values() for name in names)
    known = of_any_way if action.way is None else MISTAKES[action.way]
    for name, share in wrong.items():
        yield from check_known(("wrong_first", name), f"mistake on the way {action.way or 'of a car'}", name, known, is_key=True)
        if not share > 0:
            yield Problem(("wrong_first", name), "a share above 0 is expected")
    if sum(wrong.values()) > 1 + 1e-9:
        yield Problem(("wrong_first",), f"the shares add up to {sum(wrong.values()) * 100:g} %: at most 100 % is expected")
