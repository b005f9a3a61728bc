"""Messages for a car in another system's form: the paths into them, and each value of ours that is in them, both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fleet.dialects.expressions import Expression
from fleet.dialects.payloads import written
from fleet.dialects.spec import Field
from fleet.dialects.units import conversion
from fleet.dialects.values import ABSENT, Convert, as_text, chain, number_only, rounding, same
from fleet.errors import Unwritable
from fleet.wire.frame import Frame


class Incoming(msgspec.Struct, frozen=True):
    """A frame as paths see it: the payload as plain data, the levels that the topic's pattern names, and the properties."""

    payload: Any
    topic: Mapping[str, str]
    properties: Mapping[str, str]
    correlation: str | None = None


ROOTS = tuple(Incoming.__struct_fields__)


def incoming(frame: Frame, payload: Any, captures: Mapping[str, str]) -> Incoming:
    """Return a frame as paths see it."""
    correlation = None if frame.correlation is None else frame.correlation.decode(errors="replace")
    return Incoming(payload, captures, dict(frame.user_properties), correlation)


def route(path: str) -> Callable[[Incoming], Any]:
    """Return the function that follows a path; None where it leads nowhere. A text's steps are its words."""
    root, *steps = path.split(".")

    def follow(came: Incoming) -> Any:
        value: Any = getattr(came, root)
        for step in steps:
            if isinstance(value, dict):
                value = value.get(step)
                continue
            items = value.split() if isinstance(value, str) else value
            if not isinstance(items, list) or not step.isdecimal() or int(step) >= len(items):
                return None
            value = items[int(step)]
        return value

    return follow


class Outgoing:
    """A message to a car, while it is put together from paths and values."""

    def __init__(self) -> None:
        self.payload: Any = None
        self.topic: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.correlation: bytes | None = None

    def put(self, path: str, value: Any) -> None:
        """Put a value where a path will find it."""
        root, *steps = path.split(".")
        if root == "topic":
            self.topic[steps[0]] = written(value)
        elif root == "properties":
            self.properties[".".join(steps)] = written(value)
        elif root == "correlation":
            self.correlation = written(value).encode()
        elif not steps:
            self.payload = value
        else:
            self.payload = self.payload if isinstance(self.payload, dict) else {}
            at = self.payload
            for step in steps[:-1]:
                at = at.setdefault(step, {})
            at[steps[-1]] = value

    def body(self, *, text: bool) -> Any:
        """Return the payload: what is keyed by 0, 1, 2 … is a list, and in a text its words."""
        return _listed(self.payload, text=text) if self.payload is not None else "" if text else {}


def _listed(value: Any, *, text: bool) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(each, text=False) for key, each in value.items()}
    if sorted(inner) != sorted(map(str, range(len(inner)))):
        return inner
    items = [inner[str(index)] for index in range(len(inner))]
    return " ".join(map(written, items)) if text else items


class IncomingField:
    """A value of ours that comes in their payload, such as a parameter: both ways.

    `name` and `kind` are ours. Reading raises ValueError, TypeError or Unwritable for a value that cannot be read.
    """

    __slots__ = ("_expression", "_follow", "_otherwise", "constant", "path", "read_value", "write_value")

    def __init__(self, name: str, field: Field, kind: Any) -> None:
        """Compile a field of a mapping that has been checked."""
        self.path = field.path
        self._follow = None if field.path is None else route(field.path)
        self.constant = ABSENT if field.constant is None else field.constant
        self._expression = None if field.expression is None else Expression(field.expression)
        self._otherwise = ABSENT if field.otherwise is None else field.otherwise
        self.read_value = chain(_incoming(name, field, kind)) or same
        self.write_value = chain(_outgoing(name, field)) or same

    @property
    def is_computed(self) -> bool:
        """Whether it comes from an expression, which leads no way back."""
        return self._expression is not None

    def read(self, incoming: Incoming) -> Any:
        """Return our value, ABSENT where there is none."""
        if self.constant is not ABSENT:
            return self.constant
        if self._expression is not None:
            value = self._expression.evaluate(incoming)
            return self._otherwise if value is None else value
        assert self._follow is not None
        value = self._follow(incoming)
        return self._otherwise if value is None else self.read_value(value)


def _incoming(name: str, field: Field, kind: Any) -> list[Convert]:
    steps: list[Convert] = []
    if field.values:
        table, otherwise = dict(field.values), field.otherwise

        def look_up(value: Any) -> Any:
            found = table.get(written(value), otherwise)
            if found is None:
                raise ValueError(f"{name}: {written(value)[:40]!r} is none of the values")
            return found

        steps.append(look_up)
    elif kind in {bool, int, float}:
        steps.append(_read_plainly(kind if field.unit is None else float))
    if field.unit is not None and (found := conversion(name, field.unit)) is not None:
        steps.append(number_only(found.to_ours))
        if kind is int:
            steps.append(round)
    return [*steps, *rounding(field, None)]


def _read_plainly(kind: Any) -> Convert:
    """Return the function that reads a text as a number or truth, as text payloads and topics have them."""

    def read(value: Any) -> Any:
        return msgspec.convert(value, kind, strict=False) if isinstance(value, str) else value

    return read


def _outgoing(name: str, field: Field) -> list[Convert]:
    steps: list[Convert] = []
    if field.unit is not None and (found := conversion(name, field.unit)) is not None:
        steps.append(found.to_theirs)
    if field.values:
        table = {written(ours): text for text, ours in field.values.items()}

        def look_back(value: Any) -> Any:
            text = written(value)
            if text not in table:
                raise Unwritable("value", f"{name} is {text[:40]!r}, which its values do not have")
            return _plain(table[text])

        steps.append(look_back)
    return [*steps, *as_text(field)]


def _plain(text: str) -> Any:
    """Return a key of a value map as the plain value that it was written as."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, bool | int | float) else text
