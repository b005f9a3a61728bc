"""The catalogue of services, from services.toml: one description that cars, desk, checks, tools, scenarios and docs share.

It says what can be told in data: parameters and their ranges, equipment, state, rights, what is sent. What a service does, and
the rules that are its alone, are code of the car.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from fleet.kernel.instants import SECOND, Duration
from fleet.wire.parameters import PARAMETERS

ParameterKind = Literal["integer", "number", "text", "choice", "flag", "list"]
State = Literal["any", "parked"]
BACK_END: Final = "back_end"
"""Stands in `may` for the back end itself: a rule of the service centre, and no user."""
_KINDS: Final[dict[Any, ParameterKind]] = {int: "integer", float: "number", str: "text", bool: "flag"}
_STEP_TOLERANCE: Final = 1e-9


def whole_number(text: str) -> int | float:
    """Return what digits say; beyond the 64 bits that a message carries, the nearest fraction."""
    number = int(text)
    return number if -(2**63) <= number < 2**63 else float(text)


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all entries: a misspelt key is an error."""


class Parameter(_Entry, frozen=True, kw_only=True):
    """One parameter of a command or request.

    Numbers lie between `minimum` and `maximum`, both included, in steps of `step` from `minimum` on. A text has at most `maximum`
    characters. A list has `fewest` to `most` items: each one of `choices`, or a plain value of type `of` within the range, or
    else with the parameters in `items`. Without `required` it may be left out.
    """

    type: ParameterKind
    summary: str = ""
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    fewest: int = 0
    most: int | None = None
    of: ParameterKind | None = None
    items: dict[str, Parameter] = {}

    @property
    def range_text(self) -> str:
        """The range in words, such as `10 to 60 min in steps of 10`; empty when there is none."""
        if self.type == "list":
            of_what = f" of {', '.join(self.choices)}" if self.choices else ""
            if self.of is not None and self.each.range_text:
                of_what = f", each {self.each.range_text}"
            return f"{self.fewest} to {self.most} items{of_what}" if self.most is not None else ""
        if self.choices:
            return ", ".join(self.choices)
        if self.type == "text" and self.maximum is not None:
            return f"at most {self.maximum:g} characters"
        if self.minimum is None or self.maximum is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        if self.minimum == self.maximum:
            return f"{self.minimum:g}{unit} only"
        steps = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.minimum:g} to {self.maximum:g}{unit}{steps}"

    @property
    def each(self) -> Parameter:
        """One item of a list of plain values."""
        assert self.of is not None
        return Parameter(type=self.of, unit=self.unit, minimum=self.minimum, maximum=self.maximum, step=self.step)

    def misfit(self, name: str, value: Any) -> str | None:
        """Return what is wrong with a value of the right type, None when nothing is."""
        if value is None:
            return None
        if self.type == "list":
            return self._list_misfit(name, value)
        if self.type in {"choice", "flag"}:
            return None  # their types say all
        if self.type == "text":
            fits = self.maximum is None or len(value) <= self.maximum
            return None if fits else f"{name} has {len(value)} characters; possible: {self.range_text}"
        if not math.isfinite(value) or not self._holds(value):
            return f"{name} is {value:g}; possible: {self.range_text or 'a number'}"
        return None

    def _holds(self, number: float) -> bool:
        if self.minimum is not None and number < self.minimum:
            return False
        if self.maximum is not None and number > self.maximum:
            return False
        if self.step is None:
            return True
        steps = (number - (self.minimum or 0.0)) / self.step
        return abs(steps - round(steps)) <= _STEP_TOLERANCE * max(1.0, abs(steps))

    def _list_misfit(self, name: str, value: Any) -> str | None:
        if len(value) < self.fewest or (self.most is not None and len(value) > self.most):
            return f"{name} has {len(value)} items; possible: {self.range_text}"
        for number, item in enumerate(value, start=1):
            found = misfit(self.items, item) if self.of is None else self.each.misfit("it", item)
            if found is not None:
                return f"{name}, item {number}: {found}"
        return None


def misfit(parameters: Mapping[str, Parameter], values: Any) -> str | None:
    """Return the first thing that is out of range in a struct of parameters, None when all fits."""
    for name, parameter in parameters.items():
        found = parameter.misfit(name, getattr(values, name))
        if found is not None:
            return found
    return None


class CommandEntry(_Entry, frozen=True, kw_only=True):
    """A remote command.

    Commands of one `kind` (their own name when not given) exclude each other. `may`: roles that may send it, `may_in_g3` those
    that may send it, too, to a car of the third generation. `equipment`: fields of the car's equipment that must be true;
    `built_from`: ISO year × 100 + week. `state` parked: standing, engine off.
    `budget`: refused when the car was woken too often without a drive. `needs_12v`: refused while the 12 V battery is low.
    `tells_position`: refused while no position may leave the car. `legal`: required by law, so it works in every privacy mode
    and without a licence. `package`: what the car needs a licence for. `identity`: for users whom a dealer has identified.
    `consent`: the purpose to which the user must not have refused consent. With `session_is_enough` an app that is logged in
    needs no S-PIN for it, with `session_is_enough_to_stop` for a stop. `enrols`: part of enrolment, so it works in a car in which
    nobody is at home, and whichever services are off. `reasons`: those of its own, beside the ones that follow from the rest.
    """

    summary: str
    group: str
    time_to_live_s: int
    may: tuple[str, ...]
    may_in_g3: tuple[str, ...] = ()
    kind: str | None = None
    spin: bool = False
    equipment: tuple[str, ...] = ()
    built_from: int | None = None
    state: State = "any"
    budget: bool = False
    needs_12v: bool = False
    tells_position: bool = False
    legal: bool = False
    package: str | None = None
    identity: bool = False
    consent: str | None = None
    session_is_enough: bool = False
    session_is_enough_to_stop: bool = False
    enrols: bool = False
    publishes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    parameters: dict[str, Parameter] = {}

    @property
    def time_to_live(self) -> Duration:
        """Scenario time, unless whoever asks says otherwise."""
        return self.time_to_live_s * SECOND

    @property
    def is_of_users(self) -> bool:
        """Whether any user may send it, and not the back end alone."""
        return self.may != (BACK_END,)


class EventEntry(_Entry, frozen=True, kw_only=True):
    """Something a car tells by itself: `data` are the names it may carry; `legal` and `enrols` as with commands.

    `package`: what the car needs a licence for, so that the back end makes something of it.
    """

    summary: str
    data: tuple[str, ...] = ()
    tells_position: bool = False
    legal: bool = False
    enrols: bool = False
    package: str | None = None


class RequestEntry(_Entry, frozen=True, kw_only=True):
    """An online service: what the car asks of the back end. `answer` are the names of the reply, `errors` its reasons.

    `time_out_s` is scenario time; `equipment`, `may`, `tells_position`, `package`, `consent` and `enrols` as with commands.
    """

    summary: str
    time_out_s: int
    answer: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    equipment: tuple[str, ...] = ()
    tells_position: bool = False
    package: str | None = None
    consent: str | None = None
    enrols: bool = False
    parameters: dict[str, Parameter] = {}

    @property
    def is_of_screen(self) -> bool:
        """Whether the car asks it for somebody at its screen, and nobody in words: an S-PIN is typed there."""
        return "sealed_spin" in self.parameters


class Services(_Entry, frozen=True, kw_only=True):
    """The whole catalogue."""

    commands: dict[str, CommandEntry]
    events: dict[str, EventEntry]
    requests: dict[str, RequestEntry] = {}


@cache
def load_services() -> Services:
    """Return the catalogue from the package's own file.

    Names, types and defaults of the commands' parameters come from their structs, in the order of the file.
    """
    text = resources.files("fleet.wire").joinpath("services.toml").read_text(encoding="utf-8")
    raw = msgspec.toml.decode(text)
    for name, entry in raw["commands"].items():
        entry["parameters"] = _typed(PARAMETERS[name], entry.get("parameters", {}), name)
    return msgspec.convert(raw, Services)


def _typed(struct: type[msgspec.Struct], words: dict[str, Any], where: str) -> dict[str, Any]:
    """Add to ranges and words of parameters, in their order, all that the struct says of them."""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    if fields.keys() != words.keys():
        raise ValueError(f"{where}: the struct has {sorted(fields)}, the catalogue {sorted(words)}")
    return {name: told | _of_field(fields[name], told, f"{where}.{name}") for name, told in words.items()}


def _of_field(field: msgspec.structs.FieldInfo, words: dict[str, Any], where: str) -> dict[str, Any]:
    """Return type, choices, items and default of one parameter."""
    kind = _without_none(field.type)
    found: dict[str, Any] = {"required": field.required}
    if get_origin(kind) is tuple:
        (kind, _) = get_args(kind)
        found["type"] = "list"
        if get_origin(kind) is Literal:
            found["choices"] = get_args(kind)
        else:
            found["items"] = _typed(kind, words["items"], where)
        return found
    if get_origin(kind) is Literal:
        return found | {"type": "choice", "choices": get_args(kind), "default": _plain_default(field)}
    return found | {"type": _KINDS[kind], "default": _plain_default(field)}


def _without_none(kind: Any) -> Any:
    """Return the type of a value that is there."""
    options = get_args(kind)
    return next(each for each in options if each is not NoneType) if NoneType in options else kind


def _plain_default(field: msgspec.structs.FieldInfo) -> Any:
    """Return the default as people write it: a whole number without a fraction."""
    default = None if field.required else field.default
    return int(default) if isinstance(default, float) and default.is_integer() else default
