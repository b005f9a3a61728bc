"""Single values on their way: what a `Field` of a mapping does to ours so that it becomes theirs, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from fleet.dialects.expressions import Expression
from fleet.dialects.paths import HEADER, Place, find_place, getter
from fleet.dialects.payloads import written
from fleet.dialects.spec import Field
from fleet.dialects.units import conversion, iso_with_digits
from fleet.errors import Unwritable
from fleet.kernel.instants import Duration
from fleet.wire.messages import STATUS_GROUPS

Convert = Callable[[Any], Any]


class _Absent:
    """Stands for a value that is not there, where None may be one."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()
_ACCOMPANIES: Final = HEADER | {"trigger"}
GROUPS: Final = (*STATUS_GROUPS, "state")
"""The parts of a status that a frame of its own may have."""


class OutgoingField:
    """A field of an entry, compiled: how to get at our value, how to write it, and how to read it back.

    `root` is the field of the message that it begins at, None for constants and expressions. `accompanies`: it is no news by
    itself. `group` is the part of a status that it belongs to, `state` among them. `read` is None where no way leads back.
    """

    __slots__ = (
        "absent", "accompanies", "constant", "convert", "every", "expression", "get", "group", "inner", "otherwise", "read",
        "root", "source", "target",
    )  # fmt: skip

    def __init__(self, target: str, field: Field, message: type[msgspec.Struct], *, null: bool, plain: bool) -> None:
        """Compile a field of a mapping that has been checked; `plain`: the payload's codec knows no structs."""
        self.target = target
        self.every: Duration | None = field.every
        self.constant = ABSENT if field.constant is None else field.constant
        self.expression = None if field.expression is None else Expression(field.expression)
        self.source = field.path
        self.otherwise: Any = ABSENT if field.otherwise is None else field.otherwise
        self.absent: Any = field.values.get(written(None), ABSENT) if field.values else self.otherwise
        if null and self.absent is ABSENT:
            self.absent = None
        self.root: str | None = None
        self.inner: Convert | None = None
        self.convert: Convert | None = None
        self.read: Convert | None = None
        self.group: str | None = None
        self.accompanies = self.constant is not ABSENT
        if field.path is not None:
            self._follow(field, field.path, message, plain=plain)
        elif self.expression is not None:
            self.get: Convert = self.expression.evaluate
            self.group = next((name for name in GROUPS if name in self.expression.roots), None)
            self.accompanies = self.expression.roots <= _ACCOMPANIES
            self.convert = chain([*rounding(field, None), *as_text(field)])
        else:
            constant = self.constant
            self.get = lambda _: constant

    def _follow(self, field: Field, path: str, message: type[msgspec.Struct], *, plain: bool) -> None:
        self.root, _, rest = path.partition(".")
        self.get = getter(path)
        self.inner = getter(rest) if rest else None
        self.group = self.root if self.root in GROUPS else None
        self.accompanies = self.root in _ACCOMPANIES
        place = find_place(message, path) or Place(Any, True)  # `value` and `field` of a field's frame, `topic` of an answer
        self.convert = chain(_to_theirs(field, path, place, plain=plain))
        self.read = chain(_to_ours(field, path, place)) or same

    @property
    def roots(self) -> frozenset[str]:
        """The parts of the message that it is computed from."""
        if self.expression is not None:
            return self.expression.roots
        return frozenset() if self.root is None else frozenset((self.root,))

    @property
    def is_constant(self) -> bool:
        """Whether it has the same value in each message."""
        return self.constant is not ABSENT

    def value_in(self, message: Any) -> Any:
        """Return their value for a message, ABSENT where there is none. Raises Unwritable."""
        value = self.get(message)
        if value is None:
            return ABSENT if self.group is not None and getattr(message, self.group) is None else self.absent
        return value if self.convert is None else self.convert(value)


def same(value: Any) -> Any:
    return value


def chain(steps: list[Convert]) -> Convert | None:
    """Return the steps as one function, None for none."""
    if len(steps) < 2:
        return steps[0] if steps else None
    first, *others = steps
    if len(others) == 1:
        (second,) = others
        return lambda value: second(first(value))

    def chained(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return chained


# --- ours to theirs


def _to_theirs(field: Field, path: str, place: Place, *, plain: bool) -> list[Convert]:
    steps: list[Convert] = []
    if field.values:
        steps.append(_looked_up(field, path, place))
    if plain and not place.is_plain:
        steps.append(msgspec.to_builtins)
    if field.unit is not None and (found := conversion(path, field.unit)) is not None:
        if field.unit == "iso8601" and field.digits is not None:
            return [*steps, iso_with_digits(field.digits), *as_text(field)]
        steps.append(found.to_theirs)
    return [*steps, *rounding(field, place), *as_text(field)]


def _looked_up(field: Field, path: str, place: Place) -> Convert:
    """Return the function that looks a value of ours up."""
    table = {_key(text, place.kind): theirs for text, theirs in field.values.items()}
    by_text = place.kind is Any
    otherwise = ABSENT if field.otherwise is None else field.otherwise

    def look_up(value: Any) -> Any:
        found = table.get(written(value) if by_text else value, otherwise)
        if found is ABSENT:
            raise Unwritable("value", f"{path} is {written(value)[:40]!r}, which its values do not have")
        return found

    return look_up


def _key(text: str, kind: Any) -> Any:
    """Return a key of a value map as the value that it stands for."""
    if kind is bool:
        return text == "true"
    if kind in {int, float}:
        return float(text)
    return text


def rounding(field: Field, _: Place | None) -> list[Convert]:
    """Return the conversion that rounds to the digits of the field; none where it says nothing."""
    digits = field.digits
    if digits is None:
        return []
    if digits == 0:
        return [round]
    return [lambda value: round(value, digits)]


def as_text(field: Field) -> list[Convert]:
    return [written] if field.as_text else []


# --- theirs to ours


def _to_ours(field: Field, path: str, place: Place) -> list[Convert]:
    steps: list[Convert] = []
    if field.as_text and not field.values and place.is_plain and field.unit != "iso8601":
        steps.append(_number_from_text if field.unit is not None else _from_text(place.kind))
    if field.unit is not None and (found := conversion(path, field.unit)) is not None:
        steps.append(number_only(found.to_ours))
        if place.kind is int:
            steps.append(round)
    if field.values:
        steps.append(_looked_back(field.values, place.kind))
    return steps


def _from_text(kind: Any) -> Convert:
    if kind not in {bool, int, float}:
        return same
    return lambda value: msgspec.convert(value, kind, strict=False)


def _number_from_text(value: Any) -> Any:
    return msgspec.convert(value, int | float, strict=False)


def number_only(convert: Convert) -> Convert:
    """Return a conversion that takes no truth for a number."""

    def checked(value: Any) -> Any:
        if isinstance(value, bool):
            raise TypeError("a number is expected")
        return convert(value)

    return checked


def _looked_back(values: Mapping[str, Any], kind: Any) -> Convert:
    """Return the function that finds ours again: the first that is written so."""
    table: dict[str, Any] = {}
    for text, theirs in values.items():
        table.setdefault(written(theirs), _key(text, kind))

    def look_back(value: Any) -> Any:
        text = written(value)
        if text not in table:
            raise ValueError(f"{text[:40]!r} is none of the values")
        return table[text]

    return look_back
