"""The limits of incoming messages, for every dialect: plain data, storable texts and instants. Decides by value alone.

Fields with a type of their own carry their ranges in `messages`, where they cost nothing. This is for the rest: free data that
is written as JSON later, and texts that become a row, a topic or a header. Errors name the kind of misfit and never a value,
since there may be an S-PIN in it.
"""

from __future__ import annotations

import math
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from fleet.errors import Undecodable
from fleet.kernel.instants import DAY, format_duration

MAX_PAYLOAD: Final = 64 * 1024
"""Bytes; what is larger is no message of ours."""
NOT_PLAIN: Final = {"not plain data": True}
"""Stands for parameters of a command that are no plain data."""
MAX_NESTING: Final = 32
"""How deep free data may nest: it is written again, and must not exhaust the stack there."""
BOOT_AHEAD: Final = DAY
"""How far the clock of a machine with cars may be ahead of the back end's."""
_INTEGERS: Final = range(-(2**63), 2**63)
_SIMPLE: Final = frozenset({bool, type(None)})
_BOUNDED: Final = frozenset({int, float, bool, type(None)})
"""Types that hold neither a text nor free data."""


def check_boot(boot: int, wall_us: int) -> None:
    """Raise Undecodable `range` for a run of a car's computer that begins in the future.

    The highest boot of a car is its newest one, and a live boot is the wall time of its start in µs: one from the future would
    make all that the car says itself look old.
    """
    if boot > wall_us + BOOT_AHEAD:
        ahead = format_duration(boot - wall_us)
        raise Undecodable("range", f"boot {boot} is a start {ahead} from now; a boot is the wall time of the start in µs")


def check_fields(message: msgspec.Struct, *, but: str = "") -> None:
    """Raise Undecodable `type` or `range` for a text or free data among the fields that could not be kept or sent on.

    The field `but` is somebody else's to judge.
    """
    for name in _free_fields(type(message)):
        value = getattr(message, name)
        kind = type(value)
        if kind is str:
            found = _misfit_of_one(value)
        elif kind is dict and value:
            found = misfit(value)
        else:
            continue
        if found is not None and name != but:
            reason, words = found
            raise Undecodable(reason, f"{name}: {words}")


@cache
def _free_fields(message: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of the fields that can hold a text or free data: of a status one in twenty."""
    return tuple(field.name for field in msgspec.structs.fields(message) if _is_free(field.type))


def _is_free(kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _is_free(arguments[0])
    if origin in {Union, UnionType}:
        return any(map(_is_free, arguments))
    return origin is not Literal and kind not in _BOUNDED and not (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def misfit(value: object) -> tuple[str, str] | None:
    """Return reason and words for the first thing that JSON or a database could not hold, None when all is plain.

    Plain are None, booleans, finite numbers of 64 bits, storable texts, and lists and mappings by text of those.
    """
    level: list[Any] = [value]
    for _ in range(MAX_NESTING + 1):
        inner: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                if not all(type(key) is str and is_storable(key) for key in each):
                    return "type", "a key is no text that can be stored"
                inner += each.values()
            elif kind is list:
                inner += each
            elif (found := _misfit_of_one(each)) is not None:
                return found
        if not inner:
            return None
        level = inner
    return "type", f"it nests deeper than {MAX_NESTING}"


def _misfit_of_one(value: object) -> tuple[str, str] | None:
    kind = type(value)
    if kind is str:
        return None if is_storable(value) else ("type", "a text holds NUL or half a character")  # type: ignore[arg-type]
    if kind is float:
        return None if math.isfinite(value) else ("range", "a number is not finite")  # type: ignore[arg-type]
    if kind is int:
        return None if value in _INTEGERS else ("range", "a number has more than 64 bits")
    return None if kind in _SIMPLE else ("type", f"a value of type {kind.__name__} is no plain data")


def is_storable(text: str) -> bool:
    """Tell whether a text can be a column, a topic and JSON: no NUL, and no surrogate."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def storable(text: str) -> str:
    """Return the text with U+FFFD in place of what cannot be stored."""
    return text if is_storable(text) else text.encode(errors="replace").decode().replace("\0", "\ufffd")


def plain_part(value: Any, depth: int = 0) -> Any:
    """Return what is plain of a value; the rest is None, or left out where it is a key or nests too deeply."""
    if depth >= MAX_NESTING:
        return None
    if type(value) is dict:
        return {key: plain_part(each, depth + 1) for key, each in value.items() if type(key) is str and is_storable(key)}
    if type(value) is list:
        return [plain_part(each, depth + 1) for each in value]
    if type(value) is str:
        return storable(value)
    return value if _misfit_of_one(value) is None else None
