"""The catalogue of what can be asked about people, and the parts that are asked, say the same: each example is done.

What has to be there before stands in `ready/SERVICE.py`: `READY[action](lab)` brings it about and returns further arguments of
`lab.ask` (with `vin` the example is about another car), `OTHERWISE` does so for the other actions, and `LATER` are names of
answers that there are only sometimes.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from fleet.cli.centre import read_data
from fleet.cloud.actions import ActionEntry, load_actions
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.people.erasure import SUBJECT
from fleet.cloud.people.people import RULE
from fleet.cloud.people.records import CarPeople, CarUser
from fleet.cloud.people.registry import PARTS
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.registry import RULES
from fleet.cloud.rule import Proof
from fleet.wire.messages import DeskAnswer
from fleet.wire.services import Parameter
from tests.cloud.people.lab import OTHER, PASSWORD, SPIN, VIN, PeopleLab
from tests.cloud.test_actions import FORM, outside

EACH = [(service, action) for service in sorted(PeopleRule.serves) for action in load_actions()[service].actions]
PARAMETERS = [
    (service, action, name, parameter)
    for service, action in EACH
    for name, parameter in load_actions()[service].actions[action].parameters.items()
]
GUS = "gus@example.com"
OF_NOTHING = {
    ("account", "confirm"): "link_invalid",
    ("account", "reset_password"): "link_invalid",
    ("account", "refresh"): "session_ended",
    ("enrol", "consents"): "nothing_begun",
    ("enrol", "scan"): "nothing_begun",
    ("enrol", "cancel"): "nothing_begun",
}
"""What is refused since there is nothing of one's own."""
SECRETS = {"password": PASSWORD, "new_password": "another horse", "spin": SPIN, "new_spin": "4711"}


def entry_of(service: str, action: str) -> ActionEntry:
    return load_actions()[service].actions[action]


def ready(service: str) -> Any:
    return importlib.import_module(f"tests.cloud.people.ready.{service}")


def asked(
    service: str, action: str, odd: Mapping[str, Any] | None = None, *, without: str = "", vin: bool = True
) -> DeskAnswer:  # fmt: skip
    """Ask for an example where all is ready for it, without a word or with odd ones."""
    entry, lab = entry_of(service, action), PeopleLab()
    more = ready(service).READY.get(action, ready(service).OTHERWISE)(lab)
    words = shlex.split(entry.example.replace("VIN", VIN))
    person = words[words.index("--user") + 1] if "--user" in words else None
    data = {
        name: value
        for name, value in read_data(service, action, [word for word in words if "=" in word]).items()
        if name not in {without, *(odd or {})}
    }
    wanted = {name: SECRETS[name] for name in entry.secrets if name in SECRETS}
    given = {"person": person, "proofs": lab.secrets(person, **wanted), **more}
    of_car = given.pop("vin", VIN)
    return lab.ask(service, action, of_car if entry.car and vin else None, **given, **data, **(odd or {}))


def test_each_action_of_a_part_stands_in_the_catalogue() -> None:
    lab = PeopleLab()
    for part in PARTS:
        assert set(part(lab.people).actions()) == set(load_actions()[part.service].actions)


@pytest.mark.parametrize(("service", "action"), EACH)
def test_the_example_is_done_and_answered_with_what_is_told(service: str, action: str) -> None:
    assert entry_of(service, action).example.startswith("VIN") == entry_of(service, action).car
    answer = asked(service, action)
    assert answer.state == "succeeded", (answer.reason, answer.detail)
    told = set(load_actions()[service].answer(action))
    assert set(answer.data or {}) <= told
    assert told - set(answer.data or {}) <= getattr(ready(service), "LATER", set())


@pytest.mark.parametrize(("service", "action"), EACH)
def test_a_word_that_is_not_told_of_is_malformed(service: str, action: str) -> None:
    assert asked(service, action, {"colour": "red"}).reason == "malformed"


@pytest.mark.parametrize(("service", "action"), [each for each in EACH if entry_of(*each).car])
def test_where_a_car_is_told_of_one_is_needed(service: str, action: str) -> None:
    assert asked(service, action, vin=False).reason == "malformed"


@pytest.mark.parametrize(("service", "action", "name", "parameter"), PARAMETERS)
def test_what_is_required_is_needed(service: str, action: str, name: str, parameter: Parameter) -> None:
    if parameter.required:
        assert asked(service, action, without=name).reason == "malformed"


@pytest.mark.parametrize(("service", "action", "name", "parameter"), PARAMETERS)
def test_ranges_are_those_of_the_catalogue(service: str, action: str, name: str, parameter: Parameter) -> None:
    """What is just outside is refused; the ends of a range are taken."""
    for value in outside(parameter):
        answer = asked(service, action, {name: value})
        assert answer.reason in FORM, (value, answer.reason, answer.detail)
    for end in (parameter.minimum, parameter.maximum) if parameter.type in {"integer", "number"} else ():
        assert end is not None
        value = int(end) if parameter.type == "integer" else end
        assert asked(service, action, {name: value}).state == "succeeded", value


OF_GUESTS = {
    ("account", each)
    for each in (
        "register", "send_link", "complete", "log_in", "log_out", "change_password", "forgot_password", "set_spin", "settings",
        "consent", "show", "delete_device",
    )
} | {
    ("enrol", "begin"), ("enrol", "show"), ("privacy", "consent"), ("store", "invoices"), ("erasure", "export"),
    ("erasure", "erase"),
}  # fmt: skip
"""What anybody with an account may ask: about the own account, and to begin to enrol a car, which alone changes nothing."""
EVERY = [(service, action) for service, entry in load_actions().items() for action in entry.actions]


def as_guest_of_another_car(service: str, action: str, *, of_car: bool = False, **odd: Any) -> DeskAnswer:
    """Ask for an example where all is ready for it, but in an app of Gus, who is a guest of another car."""
    entry, lab = entry_of(service, action), PeopleLab()
    lab.centre = ServiceCentre(RULES, {RULE: lab.notes})
    if service in PeopleRule.serves:
        more = ready(service).READY.get(action, ready(service).OTHERWISE)(lab)
    else:
        more = ready("users").OTHERWISE(lab)
    for _ in range(9):
        lab.people.next_number("account")  # some of those who are there have been put there
    gus = lab.person(GUS, first_name="Gus", last_name="Berg")
    lab.people.put_car(CarPeople(vin=OTHER, managed=True, users={gus: CarUser(role="guest", since=lab.now)}))
    token = lab.log_in(GUS)
    words = shlex.split(entry.example.replace("VIN", VIN))
    data = {**read_data(service, action, [word for word in words if "=" in word]), **odd}
    secrets = {name.rstrip("?"): SECRETS.get(name.rstrip("?"), "guessed") for name in entry.secrets}
    of_driver = {SUBJECT + each: Proof(digest=digest_of(each)) for each in (VIN, gus)}
    proofs = lab.secrets(GUS, **secrets) | of_driver
    return lab.ask(service, action, more.get("vin", VIN) if entry.car or of_car else None, session=token, proofs=proofs, **data)


@pytest.mark.parametrize(("service", "action"), [each for each in EVERY if each not in OF_GUESTS])
def test_an_app_does_nothing_with_the_car_of_others_and_nothing_that_is_for_whoever_runs_the_service(
    service: str, action: str
) -> None:  # fmt: skip
    answer = as_guest_of_another_car(service, action)
    assert answer.state == "rejected", answer
    assert answer.reason == OF_NOTHING.get((service, action), "insufficient_rights"), answer.detail


@pytest.mark.parametrize(("service", "action"), sorted(OF_GUESTS))
def test_what_anybody_may_ask_tells_nothing_of_others(service: str, action: str) -> None:
    odd: dict[str, Any] = {"user_name": "gus", "mobile": ""} if action == "settings" else {}
    answer = as_guest_of_another_car(service, action, **odd)
    assert answer.state == "succeeded", (answer.reason, answer.detail)
    told = repr((answer.data, answer.secrets, answer.detail))
    assert not any(each in told for each in ("anna", "Anna", "'p1'", VIN)), told


@pytest.mark.parametrize("scope", ["car", "data"])
def test_an_app_erases_no_car_of_others(scope: str) -> None:
    assert as_guest_of_another_car("erasure", "erase", of_car=True, scope=scope).reason == "insufficient_rights"


def test_of_the_car_of_others_the_garage_tells_nothing() -> None:
    answer = as_guest_of_another_car("enrol", "show", of_car=True)
    assert answer.reason == "insufficient_rights" or answer.data == {"cars": [], "enrolments": []}, answer
