"""The JSON Schema of scenario files, for completion in editors; made from the types, so that it cannot fall behind."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from fleet.scenario.actions import Destination, Numbers
from fleet.scenario.arrivals import Burst, Ramp
from fleet.scenario.conditions import Condition
from fleet.scenario.drawn import Distances, Durations, Given, Plain, PrivacyMix, SpinMix, Values
from fleet.scenario.element import without_none
from fleet.scenario.expect import Ending
from fleet.scenario.expectations import Expectation
from fleet.scenario.scalars import (
    ByteRate,
    ClockFactor,
    DayWindow,
    Distance,
    Duration,
    LocalTime,
    Moment,
    Rate,
    Readable,
    Share,
    Size,
)
from fleet.scenario.schema import INSTEAD, RegionChoice, Scenario
from fleet.vehicle.place_region import RegionFile

_WRITTEN: Final[dict[type[Readable], dict[str, Any]]] = {
    Duration: {"type": "string", "examples": ["10 min", "1 h 30 min"]},
    Share: {"anyOf": [{"type": "string", "pattern": "%$"}, {"type": "number", "minimum": 0, "maximum": 1}]},
    Distance: {"type": "string", "examples": ["400 m", "1.5 km"]},
    Size: {"type": "string", "examples": ["16 B", "1.5 kB"]},
    ByteRate: {"type": "string", "examples": ["20 kB per s"]},
    Rate: {"type": "string", "examples": ["120 per hour", "3 per day per car"]},
    DayWindow: {"type": "string", "examples": ["06:00-09:00"]},
    LocalTime: {"type": "string", "examples": ["2026-03-02T05:00"]},
    ClockFactor: {"type": "string", "pattern": r"^(real|virtual|x\d+(\.\d+)?)$"},
    Moment: {"type": "string", "examples": ["10 min", "06:30"]},
    Expectation: {"type": "string", "examples": ["lost == 0"]},
    Condition: {"type": "string", "examples": ["connected / cars < 50 %", "car.fuel_percent < 15"]},
    Ending: {"type": "string", "examples": ["succeeded", "rejected(too_far)"]},
    Values: {"type": ["string", "number", "boolean", "array", "object"]},
    Given: {"type": "object"},
    Distances: {"type": ["string", "object"], "examples": ["400 m"]},
    Durations: {"type": ["string", "object"], "examples": ["90 days"]},
    SpinMix: {"type": ["string", "object"], "examples": ["right"]},
    PrivacyMix: {"type": ["string", "object"], "examples": ["online"]},
    Ramp: {"type": "object", "properties": {"from": {"type": "string"}, "to": {"type": "string"}}, "required": ["from", "to"]},
    Burst: {"type": ["integer", "string", "object"], "examples": [500, "2 per car"]},
    Destination: {"type": ["string", "object"], "examples": ["home", "5 km"]},
    Numbers: {"type": ["integer", "array"], "items": {"type": "integer", "minimum": 0}},
}
"""How the project's own types are written in a file."""
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_PARAMETER: Final = {"type": "string", "pattern": r"^\$\{\w+\}$"}
"""Instead of a number or a word there may be a parameter."""


_REGION: Final = {
    "type": "string",
    "description": "a shipped region, or the path of a region file, relative to this one",
    "examples": ["munich", "regions/malmo.yaml"],
}
_CHOICES: Final[tuple[tuple[Any, dict[str, Any]], ...]] = (
    (Plain, {"type": ["string", "number", "boolean"]}),
    (RegionChoice, _REGION),
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files."""
    return schema_of_file("fleet scenario", Scenario, instead=INSTEAD, beside=_PARAMETER)


def region_schema() -> dict[str, Any]:
    """Return the JSON Schema of region files."""
    return schema_of_file("fleet region", RegionFile)


def schema_of_file(
    title: str,
    root: type[msgspec.Struct],
    *,
    instead: Mapping[type[msgspec.Struct], Mapping[str, str]] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the JSON Schema of a kind of file: `instead` as `reader` has it, `beside` what may stand for any number or word."""
    maker = _Maker(instead or {}, beside)
    return {"$schema": _DRAFT, "title": title, **maker.schema_of(root)}


class _Maker:
    """Makes schemas of types. msgspec's own generator would describe ours by their fields; in a file they are one text."""

    def __init__(self, instead: Mapping[type[msgspec.Struct], Mapping[str, str]], beside: Mapping[str, Any] | None) -> None:
        self._instead = instead
        self._beside = beside

    def schema_of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type; None among its options means that the key may be left out."""
        kind = without_none(kind)
        for choice, written in _CHOICES:
            if kind == choice:
                return written
        if isinstance(kind, UnionType):
            return {"anyOf": [self.schema_of(option) for option in get_args(kind)]}
        origin = get_origin(kind)
        if origin is tuple:
            return {"type": "array", "items": self.schema_of(get_args(kind)[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.schema_of(get_args(kind)[1])}
        if origin is Literal:
            return self._or_beside({"enum": list(get_args(kind))})
        return self._schema_of_one(kind)

    def _schema_of_one(self, kind: type) -> dict[str, Any]:
        if issubclass(kind, Readable):
            return {**_WRITTEN[kind], "description": kind.expected}
        if issubclass(kind, msgspec.Struct):
            return self._schema_of_part(kind)
        if kind is str:
            return {"type": "string"}
        return self._or_beside({"type": {int: "integer", float: "number", bool: "boolean"}[kind]})

    def _or_beside(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema if self._beside is None else {"anyOf": [schema, dict(self._beside)]}

    def _schema_of_part(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        fields = msgspec.structs.fields(kind)
        needed = self._instead.get(kind, {})
        return {
            "type": "object",
            "description": (kind.__doc__ or "").partition("\n")[0],
            "properties": {field.encode_name: self.schema_of(field.type) for field in fields},
            "required": [field.encode_name for field in fields if field.required],
            **({"anyOf": [{"required": [key]} for pair in needed.items() for key in pair]} if needed else {}),
            "additionalProperties": False,
        }
