"""Expectations on fields: a value, or a matcher such as `lt(20)`; and how a field is found in a status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

import msgspec

from fleet.errors import UsageError, nearest_hint
from fleet.wire.messages import Group, Header, Status


class Matcher:
    """Says whether a value is what is expected, and how that is written."""

    def __init__(self, text: str, holds: Callable[[Any], bool]) -> None:
        """Take the words and the test."""
        self.text = text
        self._holds = holds

    def holds(self, value: Any) -> bool:
        """Tell whether it fits; a value of another kind does not."""
        try:
            return bool(self._holds(value))
        except TypeError:
            return False

    def __repr__(self) -> str:
        return self.text


def lt(limit: Any) -> Matcher:
    """Less than."""
    return Matcher(f"< {limit!r}", lambda value: value < limit)


def le(limit: Any) -> Matcher:
    """At most."""
    return Matcher(f"<= {limit!r}", lambda value: value <= limit)


def gt(limit: Any) -> Matcher:
    """More than."""
    return Matcher(f"> {limit!r}", lambda value: value > limit)


def ge(limit: Any) -> Matcher:
    """At least."""
    return Matcher(f">= {limit!r}", lambda value: value >= limit)


def between(low: Any, high: Any) -> Matcher:
    """From `low` to `high`, both included."""
    return Matcher(f"from {low!r} to {high!r}", lambda value: low <= value <= high)


def near(wanted: float, within: float) -> Matcher:
    """A number no farther than `within` from the one that is wanted."""
    return Matcher(f"{wanted!r} ± {within!r}", lambda value: abs(value - wanted) <= within)


def one_of(*values: Any) -> Matcher:
    """One of these values."""
    return Matcher(f"one of {', '.join(map(repr, values))}", lambda value: value in values)


def unlike(value: Any) -> Matcher:
    """Anything else."""
    return Matcher(f"not {value!r}", lambda found: found != value)


def anything() -> Matcher:
    """Whatever, as long as it is there."""
    return Matcher("anything", lambda value: value is not None)


def as_matcher(expected: Any) -> Matcher:
    """Return what holds for a plain value: equality."""
    return expected if isinstance(expected, Matcher) else Matcher(f"== {expected!r}", lambda value: value == expected)


# --- fields of a status -------------------------------------------------------------------------------------------

Path = tuple[str, ...]


@cache
def status_fields() -> Mapping[str, Path]:
    """Return where each field of a status is found: by its whole path, and by its end where no other field ends so."""
    paths = list(_paths(Status, ()))
    found = {".".join(path): path for path in paths}
    for path in paths:
        for begin in range(1, len(path)):
            end = path[begin:]
            if sum(other[-len(end) :] == end for other in paths) == 1:
                found[".".join(end)] = path
    return found


def _paths(kind: type[msgspec.Struct], before: Path) -> Iterator[Path]:
    for field in msgspec.structs.fields(kind):
        options = [each for each in get_args(field.type) or (field.type,) if isinstance(each, type)]
        groups = [each for each in options if issubclass(each, Group)]
        here = (*before, field.name)
        if field.name in Header.__struct_fields__ and not before:
            if field.name == "captured_at":
                yield here
            continue
        yield here
        for group in groups:
            yield from _paths(group, here)


def field_path(name: str) -> Path:
    """Return where a field is found. Raises UsageError with the nearest name for one that does not exist."""
    known = status_fields()
    path = known.get(name.replace("__", "."))
    if path is None:
        last = name.replace("__", ".")
        several = sorted(".".join(each) for each in set(known.values()) if each[-1] == last)
        if several:
            raise UsageError(
                f"{name!r} is in several groups: {', '.join(several)}", hint=f"Write {several[0].replace('.', '__')}=…."
            )
        raise UsageError(f"a status has no field {name!r}", hint=nearest_hint(name, sorted(known)))
    return path


def value_at(message: Any, path: Path) -> Any:
    """Return the field's value, None where its group is not part of the message."""
    for name in path:
        message = message.get(name) if isinstance(message, dict) else getattr(message, name, None)
        if message is None:
            return None
    return message


class Fields:
    """Expected values of a status, field by field."""

    def __init__(self, expected: Mapping[str, Any]) -> None:
        """Take fields and what is expected of them. Raises UsageError for a field that does not exist."""
        self._expected = [(name, field_path(name), as_matcher(value)) for name, value in expected.items()]

    def hold(self, status: Status) -> bool:
        """Tell whether all fit."""
        return all(matcher.holds(value_at(status, path)) for _, path, matcher in self._expected)

    def told(self, status: Status) -> str:
        """Write what the status has instead."""
        return ", ".join(f"{name} is {value_at(status, path)!r}" for name, path, _ in self._expected)

    def __str__(self) -> str:
        return " and ".join(f"{name} {matcher!r}" for name, _, matcher in self._expected) or "any"
