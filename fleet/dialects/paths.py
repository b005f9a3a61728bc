"""Paths into the messages of cars: which there are, of which type, and how to get at the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from fleet.wire.messages import Header

HEADER: Final = frozenset(Header.__struct_fields__)


class Place(NamedTuple):
    """A value in a message: its type without None, and whether it or something on the way to it may be None.

    In free data, such as those of events, the type is Any.
    """

    kind: Any
    is_optional: bool

    @property
    def options(self) -> tuple[Any, ...]:
        """All values of a choice or a flag; empty for any other type."""
        if self.kind is bool:
            return (True, False)
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def is_struct(self) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, msgspec.Struct)

    @property
    def is_plain(self) -> bool:
        """Whether it is no struct and no list."""
        return self.kind in {bool, int, float, str} or get_origin(self.kind) is Literal


def find_place(message: type[msgspec.Struct], path: str) -> Place | None:
    """Return the place that a path leads to, None where there is no such field."""
    kind: Any = message
    is_optional = False
    for step in path.split("."):
        if kind is Any:
            return Place(Any, True) if step else None
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return None
        hint = _hints(kind).get(step)
        if hint is None:
            return None
        kind, may_be_none = _without_none(hint)
        is_optional = is_optional or may_be_none
        if get_origin(kind) is dict:
            kind, is_optional = Any, True
    return Place(kind, is_optional)


def all_paths(message: type[msgspec.Struct]) -> Iterator[str]:
    """Yield all paths into a message that have a type of their own, groups before what is in them."""
    for name, hint in _hints(message).items():
        yield name
        kind, _ = _without_none(hint)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from (f"{name}.{inner}" for inner in all_paths(kind))


def required_paths(group: type[msgspec.Struct], path: str) -> Iterator[str]:
    """Yield the paths without which a group at `path` cannot be, down to plain values."""
    for field in msgspec.structs.fields(group):
        if field.required:
            inner = f"{path}.{field.encode_name}"
            kind, _ = _without_none(_hints(group)[field.name])
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield from required_paths(kind, inner)
            else:
                yield inner


def getter(path: str) -> Callable[[Any], Any]:
    """Return the function that gets the value below a message or group, None where something on the way is not there."""
    steps = path.split(".")
    if len(steps) == 1:
        return attrgetter(path)

    def get(value: Any) -> Any:
        for step in steps:
            value = value.get(step) if type(value) is dict else getattr(value, step)
            if value is None:
                return None
        return value

    return get


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in kind.__struct_fields__}


def _without_none(hint: Any) -> tuple[Any, bool]:
    may_be_none = False
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        options = [option for option in get_args(hint) if option is not NoneType]
        may_be_none = len(options) < len(get_args(hint))
        hint = options[0]
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint, may_be_none
