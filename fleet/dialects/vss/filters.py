"""The filters of VISS 3: which signals a request means, and when a subscription sends (section 7 of its core). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fleet.dialects.vss.signals import Value
from fleet.errors import FleetError
from fleet.kernel.instants import MILLISECOND, SECOND, Duration

SHORTEST_PERIOD_MS: Final = 100
LONGEST_PERIOD_MS: Final = 86_400_000
SAMPLED_EVERY: Final[Duration] = SECOND
"""How often `change` and `range` look at the car between its messages (ours)."""
OPERATORS: Final = ("eq", "ne", "gt", "gte", "lt", "lte")
_UNSUPPORTED: Final = ("curvelog", "history")


class VissError(FleetError):
    """A request that is answered with an error of VISS: its number, reason and description."""

    def __init__(self, number: int, reason: str, description: str) -> None:
        self.number = number
        self.reason = reason
        self.description = description
        super().__init__(f"{number} {reason}: {description}")

    def as_object(self) -> dict[str, str]:
        """Return it as it stands in a response."""
        return {"number": str(self.number), "reason": self.reason, "description": self.description}


def bad_request(description: str) -> VissError:
    """Return the error of a request that the schema forbids."""
    return VissError(400, "bad_request", description)


def invalid_data(description: str) -> VissError:
    """Return the error of a request that the tree forbids."""
    return VissError(400, "invalid_data", description)


def unavailable(description: str) -> VissError:
    """Return the error of a request for what is not there."""
    return VissError(404, "unavailable_data", description)


class Bound(NamedTuple):
    """A comparison with a number."""

    operator: str
    number: float


class Filter(NamedTuple):
    """The part of a filter that says when: `variant` timebased, change or range; `either` joins two bounds with OR."""

    variant: str
    period: Duration = 0
    bounds: tuple[Bound, ...] = ()
    either: bool = False


class Wanted(NamedTuple):
    """A request's filter: relative paths, when to send, and how deep metadata go (0: without limit)."""

    paths: tuple[str, ...] = ()
    when: Filter | None = None
    depth: int | None = None


def read_filter(filter_: Any, allowed: Sequence[str]) -> Wanted:
    """Read the `filter` of a request: one object, or paths and one more. Raises VissError."""
    if filter_ is None:
        return Wanted()
    parts = filter_ if isinstance(filter_, list) else [filter_]
    if not 1 <= len(parts) <= 2 or not all(isinstance(part, Mapping) for part in parts):
        raise bad_request("Missing or invalid filter: an object with variant and parameter is expected, or paths and one more")
    wanted = Wanted()
    for part in parts:
        variant = part.get("variant")
        if variant in _UNSUPPORTED:
            raise unavailable(f"Unsupported feature: the filter {variant}")
        if variant not in allowed:
            raise bad_request(f"Incorrect filter: {str(variant)[:40]!r}; {', '.join(allowed)} may be used here")
        wanted = _with(wanted, str(variant), part.get("parameter"))
    return wanted


def _with(wanted: Wanted, variant: str, parameter: Any) -> Wanted:
    if variant == "paths":
        if wanted.paths:
            raise bad_request("Incorrect filter: paths stands there twice")
        return wanted._replace(paths=_read_paths(parameter))
    if wanted.when is not None or wanted.depth is not None:
        raise bad_request(f"Incorrect filter: {variant} cannot be combined with another than paths")
    if variant == "metadata":
        return wanted._replace(depth=_whole_number(parameter, "parameter"))
    if variant == "timebased":
        return wanted._replace(when=Filter("timebased", period=read_period(parameter)))
    if variant == "change":
        return wanted._replace(when=Filter("change", bounds=(_read_bound(parameter, "diff"),)))
    return wanted._replace(when=_read_range(parameter))


def read_period(parameter: Any) -> Duration:
    """Read the period of a timebased filter, which is in ms. Raises VissError."""
    period_ms = _whole_number(_member(parameter, "period"), "period")
    if not SHORTEST_PERIOD_MS <= period_ms <= LONGEST_PERIOD_MS:
        raise invalid_data(
            f"Data value outside limit: a period of {period_ms} ms; {SHORTEST_PERIOD_MS} to {LONGEST_PERIOD_MS} are possible"
        )
    return period_ms * MILLISECOND


def _read_paths(parameter: Any) -> tuple[str, ...]:
    paths = [parameter] if isinstance(parameter, str) else parameter
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise bad_request("Missing or invalid filter: the parameter of paths is a path or a list of paths")
    return tuple(path.replace("/", ".") for path in paths)


def _read_range(parameter: Any) -> Filter:
    if not isinstance(parameter, list):
        return Filter("range", bounds=(_read_bound(parameter, "boundary"),))
    if len(parameter) != 2:
        raise bad_request("Missing or invalid filter: a range has one boundary or two")
    joined = parameter[0].get("combination-op", "AND") if isinstance(parameter[0], Mapping) else None
    if joined not in ("AND", "OR"):
        raise bad_request("Missing or invalid filter: the combination-op of a range is AND or OR")
    bounds = tuple(_read_bound(part, "boundary") for part in parameter)
    return Filter("range", bounds=bounds, either=joined == "OR")


def _read_bound(parameter: Any, name: str) -> Bound:
    operator = _member(parameter, "logic-op")
    if operator not in OPERATORS:
        raise bad_request(f"Missing or invalid filter: logic-op is one of {', '.join(OPERATORS)}")
    return Bound(operator, _number(_member(parameter, name), name))


def _member(parameter: Any, name: str) -> Any:
    if not isinstance(parameter, Mapping) or name not in parameter:
        raise bad_request(f"Missing or invalid filter: its parameter has no {name}")
    return parameter[name]


def _number(text: Any, name: str) -> float:
    """Read a number: a string in VISS, but a JSON number is taken, too."""
    if isinstance(text, str) and re.fullmatch(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})", text):
        return float(text)
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    raise bad_request(f"Missing or invalid filter: {name} is no number")


def _whole_number(text: Any, name: str) -> int:
    number = _number(text, name)
    if number < 0 or number != int(number):
        raise bad_request(f"Missing or invalid filter: {name} is no whole number")
    return int(number)


# --- which paths


def resolve(tree: Iterable[str], path: str, relative: Sequence[str]) -> list[str]:
    """Return the leaves that a path and its relative paths mean, in the tree's order. Raises VissError when one means none."""
    leaves = list(tree)
    if not relative:
        if path in leaves:
            return [path]
        if any(leaf.startswith(path + ".") for leaf in leaves):
            raise invalid_data("Requested action on a branch is not supported: name its leaves with a paths filter")
        raise unavailable("Data is unknown")
    found = set()
    for each in relative:
        pattern = re.compile(_pattern(f"{path}.{each}" if path else each))
        matching = [leaf for leaf in leaves if pattern.fullmatch(leaf)]
        if not matching:
            raise unavailable(f"Data is unknown: {each[:100]!r} below {path[:100]!r}")
        found.update(matching)
    return [leaf for leaf in leaves if leaf in found]


def _pattern(path: str) -> str:
    """Return the path as a regular expression: `*` is one segment, and a branch means all below it."""
    segments = (r"[^.]+" if segment == "*" else re.escape(segment) for segment in path.split("."))
    return r"\.".join(segments) + r"(\..+)?"


# --- when


def is_changed(bound: Bound, before: Value | None, after: Value) -> bool:
    """Tell whether a value has changed as a change filter wants it; a signal that was not there before has changed."""
    if before is None:
        return True
    if isinstance(before, bool) and isinstance(after, bool):
        step = float(after) - float(before)
        wanted = {"gt": step > 0, "lt": step < 0, "ne": step != 0, "eq": step == 0}
        return bound.number == 0 and wanted.get(bound.operator, False)
    if isinstance(before, str) or isinstance(after, str):
        return bound.operator == "ne" and bound.number == 0 and before != after
    return _compare(bound.operator, after - before, bound.number)


def is_within(filter_: Filter, value: Value) -> bool:
    """Tell whether a value lies where a range filter wants it."""
    if isinstance(value, str | bool):
        return False
    results = [_compare(bound.operator, value, bound.number) for bound in filter_.bounds]
    return any(results) if filter_.either else all(results)


def _compare(operator: str, left: float, right: float) -> bool:
    match operator:
        case "eq":
            return left == right
        case "ne":
            return left != right
        case "gt":
            return left > right
        case "gte":
            return left >= right
        case "lt":
            return left < right
        case _:
            return left <= right
