"""Reads KEY=VALUE from the command line as parameters of the catalogue of services."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fleet.errors import UnknownName, UsageError
from fleet.wire.services import Parameter, whole_number

_TEXT: Final = Parameter(type="text")


def read_words(what: str, words: Iterable[str], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the parameters that KEY=VALUE words give to `what`; raises UsageError for an unknown one or a value of another type.

    Lists are written in JSON, those of plain values with commas, too. Ranges are left to whoever acts on them.
    """
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r} is no parameter", hint=f"Write KEY=VALUE, such as {_example(parameters)}.")
        if key not in parameters:
            if not parameters:
                raise UsageError(f"{what} takes no parameters, so no {key!r}", hint=f"Leave {word!r} out.")
            raise UnknownName(f"parameter of {what}", key, parameters)
        if key in given:
            raise UsageError(f"{key} is given twice", hint="Leave one of them out.")
        given[key] = _value(key, text, parameters[key])
    return given


def lacking(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> str | None:
    """Return which required parameter was not given, with the item of the list that lacks it; None when all are there."""
    for name, parameter in parameters.items():
        if name not in given:
            if parameter.required:
                return name
        elif parameter.items:
            for number, item in enumerate(given[name], start=1):
                found = lacking(parameter.items, item) if isinstance(item, dict) else None
                if found is not None:
                    return f"{found} in item {number} of {name}"
    return None


def _example(parameters: Mapping[str, Parameter]) -> str:
    for name, parameter in parameters.items():
        if parameter.type != "list":
            value = parameter.choices[0] if parameter.choices else parameter.minimum if parameter.minimum is not None else "…"
            return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
    return "name=value"


def _value(key: str, text: str, parameter: Parameter) -> Any:
    try:
        match parameter.type:
            case "integer":
                return whole_number(text)
            case "number":
                return _number(text)
            case "flag":
                return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[text.lower()]
            case "list":
                return _items(text, parameter)
            case "choice" if text not in parameter.choices:
                raise UnknownName(f"value of {key}", text, parameter.choices)
            case _:
                return text
    except (ValueError, KeyError):
        expected = {
            "integer": "a whole number",
            "number": "a number",
            "flag": "yes or no",
            "list": f"a list in JSON of {{{', '.join(parameter.items)}}}"
            if parameter.items
            else "a list, with commas or in JSON,",
        }[parameter.type]
        told = f"Possible: {parameter.range_text}." if parameter.range_text else f"fleet catalogue tells more of {key!r}."
        raise UsageError(f"{key} is {text[:80]!r}, but {expected} is expected", hint=told) from None


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _items(text: str, parameter: Parameter) -> list[Any]:
    if not text.lstrip().startswith("[") and not parameter.items:
        each = _TEXT if parameter.of is None else parameter.each
        return [_value("an item", item.strip(), each) for item in text.split(",")] if text else []
    items = json.loads(text, parse_int=whole_number)
    if not isinstance(items, list):
        raise ValueError  # noqa: TRY004 (text that is no list, whatever else it is)
    if parameter.of == "text" and not all(isinstance(item, str) for item in items):
        raise ValueError
    return items
