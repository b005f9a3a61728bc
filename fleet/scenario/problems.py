"""Problems of a scenario file, with their place, and the checks that any element of one may need."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fleet.errors import nearest_hint
from fleet.scenario.scalars import shown

Steps = tuple[str | int, ...]
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at `at`, seen from the part; `is_key` blames the key and not its value."""

    at: Steps
    message: str
    hint: str = ""
    is_key: bool = False


class ValueUnknown(Exception):
    """A check has come to a value that is broken, of which it can say nothing."""


class _Unknown:
    """Stands in a part for a value that is broken: whatever uses it ends with ValueUnknown."""

    def _raise(self, *_: object, **__: object) -> Any:
        raise ValueUnknown

    __bool__ = __contains__ = __eq__ = __format__ = __getattr__ = __getitem__ = __hash__ = __index__ = __iter__ = _raise
    __len__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _raise
    __float__ = __int__ = __str__ = __repr__ = _raise


UNKNOWN: Final = _Unknown()


def check_value(at: Steps, value: object, wanted: Any) -> Iterator[Problem]:
    """Check that a value is of a type, a `Literal` among them."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        described = msgspec.inspect.type_info(wanted)
        if isinstance(described, msgspec.inspect.LiteralType):
            words = [str(word) for word in described.values]
            yield Problem(at, f"{shown(value)} is not one of {', '.join(words)}", nearest_hint(str(value), words))
        else:
            names = {
                msgspec.inspect.BoolType: "true or false",
                msgspec.inspect.IntType: "a whole number",
                msgspec.inspect.FloatType: "a number",
                msgspec.inspect.StrType: "a text",
            }
            yield Problem(at, f"{names.get(type(described), 'another kind of value')} is expected, not {shown(value)}")


def check_weights(at: Steps, kind: str, weights: Mapping[str, float], known: Iterable[str]) -> Iterator[Problem]:
    """Check the names of a table of weights, and that each weighs something."""
    names = list(known)
    for name, weight in weights.items():
        yield from check_known((*at, name), kind, name, names, is_key=True)
        if not 0 < weight <= 1e9:
            yield Problem((*at, name), f"{weight:g} is no weight: a number above 0 is expected")


def check_known(at: Steps, kind: str, name: str, known: Iterable[str], *, is_key: bool = False) -> Iterator[Problem]:
    """Check that a name is known."""
    names = list(known)
    if name not in names:
        yield unknown(at, kind, name, names, is_key=is_key)


def unknown(at: Steps, kind: str, name: str, known: Iterable[str], *, is_key: bool = False) -> Problem:
    """Return what is said of a name that is not known, with the nearest one that is."""
    # Names are compared in lower case, because models are written with a capital.
    written = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), written, n=1)
    hint = f"Did you mean {written[near[0]]!r}?" if near else nearest_hint(name, written.values())
    return Problem(at, f"unknown {kind} {shown(name)}", hint, is_key)


def check_name(at: Steps, name: str) -> Iterator[Problem]:
    """Check that a name is one."""
    if not _NAME.fullmatch(name):
        yield Problem(at, f"{shown(name)} is no name: letters, digits, '-' and '_' are expected, at most 64")
