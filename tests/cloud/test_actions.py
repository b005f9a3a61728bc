"""The catalogue of what the back end can be asked, and the rules that are asked, say the same."""

from __future__ import annotations

import ast
import inspect
import shlex
from pathlib import Path
from typing import Any

import pytest

from fleet import cloud
from fleet.cli.centre import read_data
from fleet.cloud.actions import ActionEntry, load_actions
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.registry import RULES
from fleet.cloud.rule import Done, Notes, RequestRefused, Rule
from fleet.wire.messages import ServiceRequest
from fleet.wire.services import Parameter

VIN = "VSSZZZKMZPR000001"
NOW = 1_772_424_000_000_000
FORM = {"malformed", "argument_out_of_range"}
"""Reasons of what is wrong in itself, whatever the service knows."""
EACH = [
    (service, action) for service, entry in load_actions().items() if service not in PeopleRule.serves for action in entry.actions
]
"""What is asked about people wants people first: `people/test_actions.py`."""
PARAMETERS = [
    (service, action, name, parameter)
    for service, action in EACH
    for name, parameter in load_actions()[service].actions[action].parameters.items()
]


def entry_of(service: str, action: str) -> ActionEntry:
    return load_actions()[service].actions[action]


def example(service: str, action: str) -> dict[str, Any]:
    """Return the data of the action's example."""
    words = shlex.split(entry_of(service, action).example.replace("VIN", VIN))
    return read_data(service, action, [word for word in words if "=" in word])


def rule_of(service: str, notes: dict[str, Any] | None = None) -> Rule:
    return next(rule for rule in RULES if rule.name == service)(Notes(notes))


def ask(rule: Rule, action: str, data: dict[str, Any], vin: str | None) -> Done | RequestRefused:
    return rule.asked(ServiceRequest(id="a", service=rule.name, action=action, vin=vin, data=data), NOW)


def asked(service: str, action: str, data: dict[str, Any], vin: str | None = VIN) -> Done | RequestRefused:
    """Return the answer of a rule that knows what the examples are about."""
    rule = rule_of(service)
    before = {"start": ["plan"] if len(data) == 1 else [], "resume": ["start", "pause"]}.get(action, ["start"])
    for earlier in before if service == "campaign" and action != "plan" else []:
        assert isinstance(ask(rule, earlier, example(service, earlier), None), Done)
    return ask(rule, action, data, vin if entry_of(service, action).car else None)


def test_every_rule_has_an_entry_and_every_entry_a_rule() -> None:
    served = set[str]().union(*({rule.name} if rule is not PeopleRule else rule.serves for rule in RULES))
    assert set(load_actions()) == served


@pytest.mark.parametrize("service", [rule.name for rule in RULES if rule is not PeopleRule])
def test_what_is_not_told_of_is_no_action(service: str) -> None:
    rule = rule_of(service)
    if service == "campaign":
        ask(rule, "start", example("campaign", "start"), None)
    refused = ask(rule, "dance", {"campaign": "spring"} if service == "campaign" else {}, VIN)
    assert isinstance(refused, RequestRefused)
    assert refused.reason == "unsupported"


@pytest.mark.parametrize(("service", "action"), EACH)
def test_the_example_is_done_and_answered_with_what_is_told(service: str, action: str) -> None:
    entry = entry_of(service, action)
    assert entry.example.startswith("VIN") == entry.car
    done = asked(service, action, example(service, action))
    assert isinstance(done, Done), done
    told, answer = set(load_actions()[service].answer(action)), set(done.data or {})
    assert answer <= told
    assert told - answer <= {"wave", "table", "maps", "active", "purchases"}, "which there are later"


def test_what_there_is_later_is_told_too() -> None:
    notes: dict[str, Any] = {f"maps/{VIN}": {}, f"active/{VIN}": {}, f"purchases/{VIN}": []}
    shown = ask(rule_of("online", notes), "show", {}, VIN)
    started = asked("campaign", "start", {"campaign": "spring"})
    for done, (service, action) in ((shown, ("online", "show")), (started, ("campaign", "start"))):
        assert isinstance(done, Done)
        assert set(done.data or {}) == set(entry_of(service, action).answer)


@pytest.mark.parametrize(("service", "action"), EACH)
def test_a_word_that_is_not_told_of_is_malformed(service: str, action: str) -> None:
    refused = asked(service, action, example(service, action) | {"colour": "red"})
    assert isinstance(refused, RequestRefused)
    assert refused.reason == "malformed"


@pytest.mark.parametrize(("service", "action"), [each for each in EACH if entry_of(*each).car])
def test_where_a_car_is_told_of_one_is_needed(service: str, action: str) -> None:
    assert isinstance(asked(service, action, example(service, action), vin=None), RequestRefused)


@pytest.mark.parametrize(("service", "action", "name", "parameter"), PARAMETERS)
def test_what_is_required_is_needed_and_nothing_else(service: str, action: str, name: str, parameter: Parameter) -> None:
    data = example(service, action)
    data.pop(name, None)
    assert isinstance(asked(service, action, data), RequestRefused if parameter.required else Done)


def outside(parameter: Parameter) -> list[Any]:
    """Return values just outside of what is possible."""
    match parameter.type:
        case "text":
            assert parameter.maximum is not None
            return ["x" * int(parameter.maximum + 1)]
        case "choice":
            return ["another"]
        case "flag":
            return ["perhaps"]
        case "list" if parameter.of is None:
            return [[], [{"colour": "red"}]]
        case "list":
            return [*([[]] if parameter.fewest else []), *([value] for value in outside(parameter.each))]
        case "integer" | "number":
            step = 1 if parameter.type == "integer" else 0.001
            assert parameter.minimum is not None
            assert parameter.maximum is not None
            return [parameter.minimum - step, parameter.maximum + step]


@pytest.mark.parametrize(("service", "action", "name", "parameter"), PARAMETERS)
def test_ranges_are_those_of_the_rule(service: str, action: str, name: str, parameter: Parameter) -> None:
    """What is just outside is refused; what is just inside, there where it stands alone, is taken."""
    for value in outside(parameter):
        refused = asked(service, action, example(service, action) | {name: value})
        assert isinstance(refused, RequestRefused), value
        assert refused.reason in FORM | set(entry_of(service, action).reasons)
    for value in (parameter.minimum, parameter.maximum) if parameter.type in {"integer", "number"} else ():
        assert isinstance(asked(service, action, example(service, action) | {name: value}), Done), value


def test_lists_of_plain_values() -> None:
    """Their items are judged as single values are."""
    waves = entry_of("campaign", "plan").parameters["waves"]
    assert waves.range_text == "1 to 100 items, each 0 to 1"
    assert waves.misfit("waves", [0.1, 1]) is None
    assert waves.misfit("waves", [0.1, 1.5]) == "waves, item 2: it is 1.5; possible: 0 to 1"


def test_whom_a_rule_tells_what_stands_in_the_catalogue() -> None:
    """Where the code has it in plain words."""
    told = {(who, kind) for entry in load_actions().values() for who, kinds in entry.notices.items() for kind in kinds}
    found = set()
    for module in Path(inspect.getfile(cloud)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Notify":
                words = [word.value for word in node.args[1:3] if isinstance(word, ast.Constant)]
                found |= {(words[0], words[1])} if len(words) == 2 else set()
    assert len(found) >= 5
    assert found <= told
