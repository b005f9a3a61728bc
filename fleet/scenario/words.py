"""Whether the words for a command, a request or a service are those of the catalogues, in type and range, and none is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal

from fleet.errors import nearest_hint
from fleet.scenario.actions import Destination
from fleet.scenario.drawn import Values
from fleet.scenario.problems import Problem, Steps, check_known, check_value
from fleet.scenario.scalars import Misread, shown
from fleet.wire.services import Parameter

_PLAIN_TYPES: Final[dict[str, Any]] = {
    "integer": int, "number": float, "text": str, "flag": bool, "list": list,
}  # fmt: skip
"""Values that the types of the catalogue of services take in a file."""


def check_values(at: Steps, values: Values, wanted: Any, parameter: Parameter) -> Iterator[Problem]:
    """Check values for a parameter of a command: their types. Ranges are the car's to judge."""
    for index, value in enumerate(values.samples()):
        inside: Steps = (index,) if len(values.choices) > 1 else ()
        if isinstance(value, list) == (parameter.type == "list"):
            yield from (
                _check_items(at, value, parameter) if isinstance(value, list) else check_value((*at, *inside), value, wanted)
            )
        elif parameter.type == "list":
            hint = f"Such as [{{{', '.join(f'{name}: …' for name in parameter.items)}}}]."
            yield Problem((*at, *inside), f"a list of tables is expected, not {shown(value)}", hint)
        else:
            yield Problem(
                at, f"a value of type {parameter.type} is expected, not {'a list of tables' if value else 'an empty list'}"
            )


def _check_items(at: Steps, rows: list[Any], parameter: Parameter, *, as_it_stands: bool = False) -> Iterator[Problem]:
    """Check the tables of a list: their keys and the types of their values. Ranges are the car's to judge.

    What goes to a service `as_it_stands` has no `at` for a position, and its ranges are judged here.
    """
    if as_it_stands and not parameter.fewest <= len(rows) <= (parameter.most or len(rows)):
        yield Problem(at, f"{at[-1]} has {len(rows)} items; possible: {parameter.range_text}")
    for index, row in enumerate(rows):
        where = (*at, index)
        if parameter.choices:
            yield from check_value(where, row, Literal[parameter.choices])
            continue
        if parameter.of is not None:
            yield from _check_word(where, row, parameter.each)
            continue
        if not isinstance(row, dict):
            yield Problem(where, f"a table is expected, not {shown(row)}")
            continue
        known = parameter.items
        place = ("latitude", "longitude") if "latitude" in known and not as_it_stands else ()
        for name, value in row.items():
            if name == "at" and place:
                yield from check_destination((*where, "at"), value)
            elif name not in known:
                names = [*known, "at"] if place else list(known)
                yield Problem((*where, name), f"there is no {name!r} here", nearest_hint(str(name), names), is_key=True)
            elif known[name].type == "list" and isinstance(value, list):
                yield from _check_items((*where, name), value, known[name], as_it_stands=as_it_stands)
            elif as_it_stands:
                yield from _check_word((*where, name), value, known[name])
            else:
                yield from check_value((*where, name), value, _plain_type(known[name]))
        for name, item in known.items():
            if item.required and name not in row and not (name in place and "at" in row):
                hint = "Or 'at: home', 'at: 5 km'." if name in place else ""
                yield Problem(where, f"it lacks {name!r}", hint)


def check_words(what: str, given: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> Iterator[Problem]:
    """Check `data`, which goes to a service as it stands: names, types and ranges."""
    for name, value in given.items():
        if name in parameters:
            yield from _check_word(("data", name), value, parameters[name])
        elif parameters:
            yield from check_known(("data", name), f"word of {what}", name, parameters, is_key=True)
        else:
            yield Problem(("data", name), f"{what} takes no words", is_key=True)


def _check_word(at: Steps, value: object, parameter: Parameter) -> Iterator[Problem]:
    if parameter.type == "list":
        if isinstance(value, list):
            yield from _check_items(at, value, parameter, as_it_stands=True)
        else:
            yield Problem(at, f"a list is expected, not {shown(value)}")
        return
    wrong = list(check_value(at, value, _plain_type(parameter)))
    yield from wrong
    misfit = None if wrong else parameter.misfit(at[-1] if isinstance(at[-1], str) else "it", value)
    if misfit is not None:
        yield Problem(at, misfit)


def lacking(
    key: str,
    what: str,
    given: Mapping[str, Any],
    parameters: Mapping[str, Parameter],
    *,
    given_elsewhere: Collection[str] = (),
) -> Iterator[Problem]:
    """Check that what is required is there, under `key`, unless it comes from elsewhere."""
    for name, parameter in parameters.items():
        if parameter.required and name not in given and name not in given_elsewhere:
            told = f": {parameter.summary}" if parameter.summary else ""
            hint = "'about: list' gives all its cars." if name == "cars" else f"Such as '{key}: {{{name}: …}}'."
            yield Problem((key,) if given else (), f"{what} lacks {name!r}{told}", hint)


def _plain_type(parameter: Parameter) -> Any:
    return Literal[parameter.choices] if parameter.choices else _PLAIN_TYPES[parameter.type]


def check_destination(at: Steps, value: object) -> Iterator[Problem]:
    """Check a place that is written in words."""
    try:
        Destination.parse(value)
    except Misread as error:
        yield Problem(at, str(error), error.hint)
