"""Checks of the fields of a mapping: paths, units, value maps, expressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fleet.dialects.expressions import Expression
from fleet.dialects.names import Follow, listed, words_of
from fleet.dialects.paths import Place
from fleet.dialects.spec import Field
from fleet.dialects.units import UNITS, conversion, unit_of
from fleet.errors import UsageError, nearest_hint
from fleet.scenario.problems import Problem, Steps
from fleet.scenario.scalars import shown
from fleet.wire.services import Parameter, Services

MOST_DIGITS: Final = 9
_SOURCES: Final = ("from", "constant", "expression")
_NUMBERS: Final = (int, float)

# --- what a car sends


def check_sent(at: Steps, field: str | Field, follow: Follow, *, interval: bool = False) -> Iterator[Problem]:
    """Check a field that is written; `interval` allows `every`."""
    if isinstance(field, str):
        yield from check_path(at, field, follow)
        return
    if field.every is not None and not interval:
        yield Problem((*at, "every"), "'every' means something only where 'changes_only: true' sends changes alone", is_key=True)
    elif field.every is not None and field.every <= 0:
        yield Problem((*at, "every"), "a duration above 0 is expected")
    yield from _check_expression(at, field, follow)
    if field.path is None:
        yield from _check_without_path(at, field)
        return
    problems = list(check_path((*at, "from"), field.path, follow))
    yield from problems
    if not problems:
        yield from _check_unit(at, field, field.path)
        yield from _check_digits(at, field, field.path, follow(field.path))
        yield from _check_values(at, field, follow(field.path))


def check_path(at: Steps, path: str, follow: Follow) -> Iterator[Problem]:
    """Check that a path leads somewhere."""
    try:
        follow(path)
    except UsageError as error:
        yield Problem(at, str(error), error.hint)


def check_sources(field: Field, _: Services) -> Iterator[Problem]:
    """Check that a field comes from one thing, whatever it is for."""
    given = [
        name for name, value in zip(_SOURCES, (field.path, field.constant, field.expression), strict=True) if value is not None
    ]
    if not given:
        yield Problem((), f"a field needs one of {', '.join(_SOURCES)}")
    elif len(given) > 1:
        yield Problem((given[1],), f"{given[0]!r} and {given[1]!r} exclude each other", is_key=True)


def _check_without_path(at: Steps, field: Field) -> Iterator[Problem]:
    if field.unit is not None:
        hint = "Convert in the expression itself." if field.expression is not None else "Write the constant in their unit."
        yield Problem((*at, "unit"), "only a field 'from' a path has a unit of ours to convert", hint, is_key=True)
    if field.constant is not None and field.values:
        yield Problem((*at, "values"), "a constant is written as it is: it needs no 'values'", is_key=True)


def _check_expression(at: Steps, field: Field, follow: Follow) -> Iterator[Problem]:
    if field.expression is None:
        return
    try:
        expression = Expression(field.expression)
    except UsageError as error:
        yield Problem((*at, "expression"), str(error), error.hint)
        return
    for path in sorted(expression.paths):
        yield from check_path((*at, "expression"), path, follow)


def _check_unit(at: Steps, field: Field, path: str) -> Iterator[Problem]:
    if field.unit is None or conversion(path, field.unit) is not None:
        return
    ours = unit_of(path)
    if ours is None:
        yield Problem((*at, "unit"), f"{path!r} has no unit, so that there is nothing to convert", "Leave 'unit' out.")
    else:
        yield Problem((*at, "unit"), f"unknown unit {shown(field.unit)} for {path!r}", nearest_hint(field.unit, UNITS[ours]))


def _check_digits(at: Steps, field: Field, path: str, place: Place) -> Iterator[Problem]:
    if field.digits is None:
        return
    if not 0 <= field.digits <= MOST_DIGITS:
        yield Problem((*at, "digits"), f"{field.digits} is out of range: 0 to {MOST_DIGITS} are expected")
    if place.kind is not Any and place.kind not in _NUMBERS:
        yield Problem((*at, "digits"), f"{path!r} is no number that could be rounded", is_key=True)


def _check_values(at: Steps, field: Field, target: Place) -> Iterator[Problem]:
    if not field.values:
        if field.otherwise is not None and words_of(target):
            yield Problem((*at, "otherwise"), "'otherwise' stands beside 'values', which are missing", is_key=True)
        return
    place = (*at, "values")
    if target.is_struct:
        yield Problem(place, "it has parts, and is no value that could be replaced by another", is_key=True)
        return
    words = words_of(target)
    if not words:
        if field.otherwise is None:
            hint = "'otherwise' gives the value for all that the map lacks."
            yield Problem(place, "there may be other values than these, and 'otherwise' is missing", hint, is_key=True)
        return
    for word in field.values:
        if word not in words:
            yield Problem((*place, word), f"{shown(word)} is none of {', '.join(words)}", nearest_hint(word, words), is_key=True)
    missing = [word for word in words if word not in field.values]
    if missing and field.otherwise is None and set(field.values) <= set(words):
        hint = "Map them, or give 'otherwise' for all that the map lacks."
        yield Problem(place, f"the value map misses {listed(missing)}", hint, is_key=True)


# --- what it receives


def check_heard(
    at: Steps, field: str | Field, follow: Follow, ours: str, parameter: Parameter | None = None
) -> Iterator[Problem]:
    """Check a field that is read and becomes `ours`, a parameter if it is one."""
    if isinstance(field, str):
        yield from check_path(at, field, follow)
        return
    if field.every is not None:
        yield Problem((*at, "every"), "'every' is for what a car sends", is_key=True)
    yield from _check_expression(at, field, follow)
    if field.path is not None:
        yield from check_path((*at, "from"), field.path, follow)
        yield from _check_unit(at, field, ours)
    else:
        yield from _check_without_path(at, field)
    if parameter is not None:
        yield from _check_choices(at, field, ours, parameter)


def _check_choices(at: Steps, field: Field, ours: str, parameter: Parameter) -> Iterator[Problem]:
    """Check that constants and the results of a value map are values that the parameter can have."""
    given = [((*at, "values", word), value) for word, value in field.values.items()]
    given += [
        ((*at, name), value)
        for name, value in (("constant", field.constant), ("otherwise", field.otherwise))
        if value is not None
    ]
    for place, value in given:
        if parameter.choices and value not in parameter.choices:
            names = [str(choice) for choice in parameter.choices]
            yield Problem(place, f"{shown(value)} is no value of {ours!r}", nearest_hint(str(value), names))
        elif parameter.type == "flag" and not isinstance(value, bool):
            yield Problem(place, f"{shown(value)} is no value of {ours!r}: true or false is expected")
        elif parameter.type in {"integer", "number"} and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield Problem(place, f"{shown(value)} is no value of {ours!r}: a number is expected")
