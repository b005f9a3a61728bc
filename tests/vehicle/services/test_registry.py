"""The catalogue of services, the types of parameters and the code of the car say the same."""

from __future__ import annotations

import ast
import inspect
import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest

from fleet.vehicle import services
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.services.registry import SERVICES
from fleet.wire.commands import COMMANDS
from fleet.wire.services import Parameter, load_services

TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (float,),
    "text": (str,),
    "choice": (str,),
    "flag": (bool,),
    "list": (tuple,),
}


def plain(kind: Any) -> Any:
    """Take the None out of a type."""
    options = [each for each in get_args(kind) if each is not type(None)]
    return options[0] if type(None) in get_args(kind) else kind


def agree(struct: type[msgspec.Struct], parameters: dict[str, Parameter], where: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    assert set(fields) == set(parameters), where
    for name, parameter in parameters.items():
        field, told = fields[name], f"{where} {name}"
        kind = plain(field.type)
        if parameter.type == "choice":
            assert get_origin(kind) is Literal, told
            assert get_args(kind) == parameter.choices, told
        elif parameter.type == "list":
            assert get_origin(kind) is tuple, told
            if parameter.choices:
                assert get_args(get_args(kind)[0]) == parameter.choices, told
            else:
                agree(get_args(kind)[0], parameter.items, told)
        else:
            assert kind in TYPES[parameter.type], told
        assert parameter.required == (field.required), told
        if not parameter.required and parameter.type != "list":
            assert field.default == parameter.default, told


def test_types_and_catalogue_agree() -> None:
    for name, command in COMMANDS.items():
        agree(command.parameters, command.entry.parameters, name)


def test_every_command_has_a_service_and_every_service_a_command() -> None:
    assert {command.parameters for command in COMMANDS.values()} == set(SERVICES)


def test_equipment_is_what_a_car_can_have() -> None:
    services = load_services()
    needed = [each.equipment for each in services.commands.values()] + [each.equipment for each in services.requests.values()]
    for names in needed:
        for name in names:
            assert hasattr(Equipment, name)


def test_groups_and_roles_are_known() -> None:
    for entry in load_services().commands.values():
        assert entry.group in {"access", "comfort", "energy", "watching", "journeys", "system", "people"}
        assert set(entry.may) <= {"primary", "additional", "guest", "back_end"}


def written(node: ast.AST) -> str | None:
    """Return the reason a call `Refusal("reason", …)` gives."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
        reason = node.args[0]
        assert isinstance(reason, ast.Constant)
        return str(reason.value)
    return None


def test_reasons_of_services_stand_in_the_catalogue() -> None:
    """What a module writes as a refusal is a reason of a command, or one that all have in common."""
    common = {"argument_out_of_range", "not_equipped", "not_parked", "engine_running", "battery_low", "power_budget", "busy"}
    common |= {"privacy_offline", "privacy_location", "service_deactivated", "not_paired", "workshop_mode", "crashed"}
    told = common | {reason for entry in load_services().commands.values() for reason in entry.reasons}
    folder = Path(inspect.getfile(services)).parent
    for module in folder.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            reason = written(node)
            assert reason is None or reason in told, f"{module.name} writes {reason!r}"


MINUTES = Parameter(type="integer", unit="min", minimum=10, maximum=60, step=10)
DEGREES = Parameter(type="number", unit="°C", minimum=16, maximum=29.5, step=0.5)


@pytest.mark.parametrize("value", [10, 20, 60])
def test_in_range(value: int) -> None:
    assert MINUTES.misfit("minutes", value) is None


@pytest.mark.parametrize("value", [0, 9, 11, 15, 61, 70, -10])
def test_out_of_range(value: int) -> None:
    assert MINUTES.misfit("minutes", value) == f"minutes is {value}; possible: 10 to 60 min in steps of 10"


@pytest.mark.parametrize(("value", "fits"), [(16, True), (21.5, True), (29.5, True), (30, False), (21.3, False), (15.5, False)])
def test_half_steps(value: float, *, fits: bool) -> None:
    assert (DEGREES.misfit("target_c", value) is None) == fits


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_never_fits(value: float) -> None:
    assert DEGREES.misfit("target_c", value) is not None
    assert Parameter(type="number").misfit("any", value) is not None


def test_lists() -> None:
    class Item(msgspec.Struct):
        minutes: int

    many = Parameter(type="list", fewest=1, most=2, items={"minutes": MINUTES})
    assert many.misfit("timers", (Item(10), Item(20))) is None
    assert many.misfit("timers", ()) == "timers has 0 items; possible: 1 to 2 items"
    assert many.misfit("timers", (Item(10),) * 3) == "timers has 3 items; possible: 1 to 2 items"
    found = many.misfit("timers", (Item(10), Item(15)))
    assert found == "timers, item 2: minutes is 15; possible: 10 to 60 min in steps of 10"


def test_texts() -> None:
    name = Parameter(type="text", maximum=5)
    assert name.misfit("name", "short") is None
    assert name.misfit("name", "longer") == "name has 6 characters; possible: at most 5 characters"
