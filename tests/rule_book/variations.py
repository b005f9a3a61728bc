"""The boundaries of parameters, as the catalogue has them: for each the values on both sides, and what is of another kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleet.wire.services import Parameter
from tests.rule_book.book import DROP

OK: Final = "succeeded"
OUT_OF_RANGE: Final = "rejected(argument_out_of_range)"
MALFORMED: Final = "rejected(malformed)"
_TIMES: Final = (("00:00", OK), ("23:59", OK), ("24:00", OUT_OF_RANGE), ("6:30", OUT_OF_RANGE), ("06:300", OUT_OF_RANGE))
_DATES: Final = (("2026-12-31", OK), ("2026-02-30", OUT_OF_RANGE), ("2026-12-310", OUT_OF_RANGE))


@dataclass(frozen=True, slots=True)
class Variation:
    """One set of words, which parameter of it is varied and how, and what should come of it."""

    path: tuple[str, ...]
    text: str
    words: dict[str, Any]
    outcome: str


def values(name: str, parameter: Parameter) -> Iterator[tuple[str, Any, str]]:
    """Yield (how it is called, value, outcome) of a plain parameter: what the catalogue takes, and what lies just beyond."""
    match parameter.type:
        case "integer" | "number":
            assert parameter.minimum is not None
            assert parameter.maximum is not None
            whole = parameter.type == "integer"
            low, high = (int(end) if whole or end == int(end) else end for end in (parameter.minimum, parameter.maximum))
            step: float = parameter.step or (1 if whole else 0.1)
            step = int(step) if step == int(step) else step
            yield f"{low}", low, OK
            if high != low:
                yield f"{high}", high, OK
            yield f"{_number(low - 1 if whole else low - step)}", _number(low - 1 if whole else low - step), OUT_OF_RANGE
            yield f"{_number(high + step)}", _number(high + step), OUT_OF_RANGE
            if parameter.step:
                between = _number(low + step / 2)
                yield f"{between}, between two steps", int(between) if whole else between, OUT_OF_RANGE
            yield "a word", "many", MALFORMED
        case "choice":
            for choice in parameter.choices:
                yield choice, choice, OK
            yield "whistle, which is no choice", "whistle", MALFORMED
        case "flag":
            yield "true", True, OK
            yield "false", False, OK
            yield "maybe", "maybe", MALFORMED
        case "text":
            yield from _texts(name, parameter)
        case "list":
            raise AssertionError("a list has items")


def _texts(name: str, parameter: Parameter) -> Iterator[tuple[str, Any, str]]:
    known = {"at": _TIMES, "begins": _TIMES, "ends": _TIMES, "date": _DATES}.get(name)
    if known is not None:
        yield from ((text, text, outcome) for text, outcome in known)
    else:
        longest = int(parameter.maximum or 0)
        yield f"{longest} characters", "x" * longest, OK
        yield f"{longest + 1} characters", "x" * (longest + 1), OUT_OF_RANGE
    yield "a number", 5, MALFORMED


def _number(value: float) -> float:
    value = round(value, 6)
    return int(value) if value == int(value) else value


def variations(
    parameters: Mapping[str, Parameter],
    base: Mapping[str, Any],
    companions: Mapping[tuple[str, ...], Mapping[str, Any]],
    at: tuple[str, ...] = (),
) -> Iterator[Variation]:
    """Yield the variations of all parameters of a command, tables in lists included; `base` is what is right.

    `companions` are words that must go with a parameter, by its path; DROP leaves one out. A path ends in a value where only it
    needs them.
    """
    for name, parameter in parameters.items():
        path = (*at, name)
        if parameter.required and name in base:
            yield Variation(path, "is missing", {key: value for key, value in base.items() if key != name}, MALFORMED)
        if parameter.type != "list":
            for text, value, outcome in values(name, parameter):
                with_it = companions.get((*path, text), companions.get(path, {}))
                words = {key: kept for key, kept in {**base, **with_it, name: value}.items() if kept is not DROP}
                yield Variation(path, text, words, outcome)
            continue
        yield from _of_list(parameter, base, companions, path)


def _of_list(
    parameter: Parameter, base: Mapping[str, Any], companions: Mapping[tuple[str, ...], Mapping[str, Any]], path: tuple[str, ...]
) -> Iterator[Variation]:
    name = path[-1]
    most = parameter.most or 0
    with_it = companions.get(path, {})
    rest = {key: kept for key, kept in {**base, **with_it}.items() if kept is not DROP}

    def of(count: int) -> list[Any]:
        if parameter.choices:
            return [parameter.choices[number % len(parameter.choices)] for number in range(count)]
        item = base[name][0]
        named = "name" in item and parameter.items["name"].type == "text"
        return [item | ({"name": f"{item['name']} {number}"} if named else {}) for number in range(count)]

    if not parameter.choices:
        yield Variation(path, f"{parameter.fewest} items", {**rest, name: of(parameter.fewest)}, OK)
        if parameter.fewest:
            yield Variation(path, f"{parameter.fewest - 1} items", {**rest, name: of(parameter.fewest - 1)}, OUT_OF_RANGE)
    yield Variation(path, f"{most} items", {**rest, name: of(most)}, OK)
    yield Variation(path, f"{most + 1} items", {**rest, name: of(most + 1)}, OUT_OF_RANGE)
    yield Variation(path, "a word", {**rest, name: "none"}, MALFORMED)
    if parameter.choices:
        yield Variation(path, "whistle, which is none", {**rest, name: ["whistle"]}, MALFORMED)
        return
    for inner in variations(parameter.items, base[name][0], companions, path):
        yield Variation(inner.path, inner.text, {**rest, name: [inner.words]}, inner.outcome)
