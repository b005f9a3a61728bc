"""The rule book: written from the catalogue, complete by it, and sharp: what is broken is named by its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import spin_guard
from fleet.cloud.actions import load_actions
from fleet.cloud.people.rule import PeopleRule
from fleet.runtime.assembly import vocabulary
from fleet.scenario.loader import Overrides, load
from fleet.scenario.scalars import ClockFactor
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.vehicle.remote import Remote
from fleet.vehicle.rules import refusal
from fleet.vehicle.services import horn
from fleet.vehicle.services.registry import SERVICES
from fleet.wire.commands import COMMANDS
from fleet.wire.messages import Command
from fleet.wire.parameters import Lock, Unlock
from fleet.wire.requests import requests
from fleet.wire.services import CommandEntry, Parameter, load_services
from tests.rule_book.commands import STOPS_IN_S
from tests.rule_book.events import NOT_CAUSED
from tests.rule_book.knowledge import KNOWN, OF_BACK_END
from tests.rule_book.requests import KNOWN_REQUESTS, NEVER, OF_PEOPLE
from tests.rule_book.writing import FILE, book, written
from tests.runtime.test_shipped_virtually import run, unmet

HOW = "Run `make rule-book`, and look at what has changed."


@cache
def loaded() -> Scenario:
    return load(FILE, vocabulary(), Overrides(clock=ClockFactor.parse("virtual")))


def test_the_file_is_what_the_catalogue_says() -> None:
    """Whatever is added to the catalogue has its lines."""
    of_users = {name for name, command in COMMANDS.items() if command.entry.is_of_users}
    assert set(KNOWN) == of_users, "what the book must know of each command stands in tests/rule_book/knowledge.py"
    assert set(OF_BACK_END) == set(COMMANDS) - of_users
    assert set(KNOWN_REQUESTS) == set(requests()) - OF_PEOPLE
    assert FILE.read_text(encoding="utf-8") == written(), HOW


def endings(name: str, entry: CommandEntry) -> set[str]:
    """Return how a command can end, as follows from its entry."""
    needs = {
        "succeeded", "expired", "rejected(malformed)", "rejected(insufficient_rights)", "rejected(not_paired)",
        "rejected(deep_sleep)",
    }  # fmt: skip
    takes_s = KNOWN[name].takes_s
    for holds, more in (
        (not entry.legal, {"rejected(privacy_offline)", "rejected(service_deactivated)", "rejected(workshop_mode)"}),
        (entry.spin, {"rejected(spin_required)", "rejected(spin_wrong)", "rejected(spin_locked)"}),
        (entry.equipment or entry.built_from, {"rejected(not_equipped)"}),
        (entry.state == "parked", {"rejected(engine_running)", "rejected(not_parked)"}),
        (entry.state == "parked" and not entry.legal, {"rejected(crashed)"}),
        (entry.tells_position, {"rejected(privacy_location)"}),
        (entry.needs_12v, {"rejected(battery_low)"}),
        (entry.budget, {"rejected(power_budget)"}),
        (takes_s is not None, {"rejected(busy)"}),
        (takes_s is not None and entry.state == "parked", {"failed(engine_running)"}),
        (any(parameter.range_text for parameter in entry.parameters.values() if parameter.type != "choice"),
         {"rejected(argument_out_of_range)"}),
    ):  # fmt: skip
        needs |= more if holds else set()
    # A stop that takes as long as the start before it overtakes nothing.
    own = set(entry.reasons) - ({"cancelled"} if (takes_s or 0) <= STOPS_IN_S else set())
    return needs | {"failed(cancelled)" if reason == "cancelled" else f"rejected({reason})" for reason in own}


@pytest.mark.parametrize("name", KNOWN)
def test_each_command_ends_in_each_way_it_can(name: str) -> None:
    """For each reason that the catalogue gives there is a line that expects it, and one that is obeyed."""
    told = {line.outcome for line in book().lines if line.subject == name}
    assert endings(name, COMMANDS[name].entry) - told == set()


@pytest.mark.parametrize("name", OF_BACK_END)
def test_no_user_may_send_what_is_the_back_ends_own(name: str) -> None:
    assert {line.outcome for line in book().lines if line.subject == name} == {"rejected(insufficient_rights)"}


@pytest.mark.parametrize("name", KNOWN_REQUESTS)
def test_each_online_service_is_answered_and_fails_in_each_way_it_can(name: str) -> None:
    """For each error of the catalogue, and for whatever else keeps a car from asking, there is a line."""
    entry = requests()[name].entry
    lines = [line for line in book().lines if line.subject == name]
    events = {line.event for line in lines if not line.unwanted}
    assert {"request_answered", "request_failed", "request_timed_out"} <= events
    ways = {"not_equipped", "service_deactivated", "no_network", *entry.errors}
    ways |= {"privacy_location"} if entry.tells_position and "born" in KNOWN_REQUESTS[name].fits else set()
    ways |= {"argument_out_of_range", "malformed"} if entry.parameters else set()
    never = {error for request, error in NEVER if request == name}
    assert ways - never - {line.event_data.get("reason") for line in lines} == set()


def test_each_event_is_caused() -> None:
    """What a car can tell is told to a line, but for what takes longer than the book."""
    told = {line.event for line in book().lines if not line.unwanted}
    assert set(load_services().events) - told == set(NOT_CAUSED)


def test_each_service_of_the_back_end_is_asked() -> None:
    """Each action is done, and refused for each of its reasons but those of users that a scenario has none of.

    What is asked about people has scenarios of its own.
    """
    lines = {(line.subject, line.outcome) for line in book().lines}
    for service, entry in load_actions().items():
        if service in PeopleRule.serves:
            continue
        for action, asked in entry.actions.items():
            assert (f"{service} {action}", "succeeded") in lines
            for reason in set(asked.reasons) - {"insufficient_rights"}:
                assert (f"{service} {action}", f"rejected({reason})") in lines, (service, action, reason)


def numbers(parameters: Mapping[str, Parameter], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Parameter]]:
    for name, parameter in parameters.items():
        if parameter.type in {"integer", "number"}:
            yield (*at, name), parameter
        yield from numbers(parameter.items, (*at, name))


def found(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield what stands at a path, in all items of lists."""
    if not path:
        yield value
    for item in value if isinstance(value, list) else [value]:
        if path and isinstance(item, Mapping) and path[0] in item:
            yield from found(item[path[0]], path[1:])


@pytest.mark.parametrize("name", KNOWN)
def test_each_number_is_asked_for_on_both_sides(name: str) -> None:
    """At both ends of its range, and beyond; between two steps where it has steps."""
    lines = [line for line in book().lines if line.subject == name]
    for path, parameter in numbers(COMMANDS[name].entry.parameters):
        values = [(value, line.outcome) for line in lines for value in found(line.parameters, path)]
        plain = {value for value, _ in values if isinstance(value, int | float)}
        assert {parameter.minimum, parameter.maximum} <= plain, path
        out = {value for value, outcome in values if outcome == "rejected(argument_out_of_range)" and value in plain}
        assert min(out) < (parameter.minimum or 0), path
        assert max(out) > (parameter.maximum or 0), path
        if parameter.step:
            assert any((value - (parameter.minimum or 0)) % parameter.step for value in out - {min(out), max(out)}), path


def test_it_passes(tmp_path: Path) -> None:
    """In virtual time each line is met."""
    report = run(loaded(), tmp_path)
    assert (unmet(report), report["verdict"]) == (set(), "passed")
    assert len(report["expectations"]) > 1000


BROKEN = (
    "honk: a user 500.001 m from the car's last fix (leon): rejected(too_far)",
    "honk: a user 600 m from the car's last fix (born): rejected(too_far)",
    "heater: minutes 9: rejected(argument_out_of_range)",
    "heater: minutes 15, between two steps: rejected(argument_out_of_range)",
    "heater: minutes 70: rejected(argument_out_of_range)",
    "lock: a fourth wrong S-PIN: rejected(spin_locked)",
    "lock: boot open: rejected(door_open), then car.locked == no",
    "unlock: as it is: succeeded, then car.locked == no",
    "unlock: the car is driven (leon): rejected(not_parked)",
    "lock: the ignition is on (born): rejected(engine_running)",
    "refresh: a microsecond later: expired",
    "lock: delivered twice: succeeded, then car.locked == yes",
)
"""Lines that tell of the bugs below."""


def test_it_names_what_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A horn that is heard too far, odd minutes, four S-PINs, an unlock that locks, doors and drives that do not matter, old and
    repeated commands that are run: each has its line.
    """
    minutes = COMMANDS["heater"].entry.parameters["minutes"]
    execute, arrive = Remote._execute, Remote.arrive

    def timeless(self: Remote, car: Car, command: Command, now: int, *, awake: bool) -> None:
        execute(self, car, _living(command, now), now, awake=awake)

    def forgetful(self: Remote, car: Car, command: Command, now: int, **more: Any) -> None:
        if self._answers is not None:
            self._answers.pop(command.id, None)
        arrive(self, car, command, now, **more)

    def lenient(car: Car, command: Any, parameters: Any, now: int) -> Any:
        found = refusal(car, command, parameters, now)
        wrong = found is not None and found.reason in {"not_parked", "engine_running"} and command.kind == "lock"
        return None if wrong else found

    monkeypatch.setattr(horn, "HONK_WITHIN_M", 600.5)
    monkeypatch.setitem(COMMANDS["heater"].entry.parameters, "minutes", _replaced(minutes, minimum=9, maximum=70, step=None))
    monkeypatch.setattr(spin_guard, "TRIES", 4)
    monkeypatch.setitem(SERVICES, Unlock, SERVICES[Lock])
    monkeypatch.setitem(SERVICES, Lock, replace(SERVICES[Lock], refusal=lambda *_: None))
    monkeypatch.setattr("fleet.vehicle.rules.refusal", lenient)
    monkeypatch.setattr(Remote, "_execute", timeless)
    monkeypatch.setattr(Remote, "arrive", forgetful)
    assert set(BROKEN) - unmet(run(loaded(), tmp_path)) == set()


def _living(command: Command, now: int) -> Any:
    return _replaced(command, expires_at=max(now, command.expires_at))


def _replaced(struct: Any, **changes: Any) -> Any:
    return type(struct)(**{name: getattr(struct, name) for name in struct.__struct_fields__} | changes)
