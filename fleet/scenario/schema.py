"""What a scenario file may say, version 1 of the language, as types; unknown keys are errors.

Only the shape is here. Names of models, regions and profiles are checked by the loader against a `Vocabulary`,
which whoever assembles the program fills from the vehicle catalogue.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Self, get_args, get_origin

import msgspec

from fleet.kernel.draws import Draws
from fleet.kernel.instants import Instant
from fleet.scenario.expectations import Expectation
from fleet.scenario.scalars import (
    ClockFactor,
    Distance,
    Duration,
    LocalTime,
    Misread,
    Rate,
    Readable,
    Share,
    Window,
    is_number,
    shown,
)
from fleet.wire.commands import COMMANDS, CommandType

Plain = str | int | float | bool


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a scenario."""


@dataclass(frozen=True, slots=True)
class Values(Readable):
    """Where the values of a command's parameter come from: one of `choices`, or evenly between two numbers."""

    expected: ClassVar[str] = "a value, a list to choose from, or a range {from: …, to: …}"

    choices: tuple[Plain, ...] = ()
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `flash`, `[10, 30, 60]` or `{from: 5, to: 15}`."""
        if isinstance(raw, list):
            if not raw:
                raise Misread(f"the list is empty: {cls.expected} is expected")
            for index, item in enumerate(raw):
                _plain(item, index)
            return cls(choices=tuple(raw))
        if isinstance(raw, dict):
            low, high = _ends(raw)
            for key, end in (("from", low), ("to", high)):
                if not is_number(end):
                    raise Misread(f"a number is expected, not {shown(end)}", key)
            if low > high:
                raise Misread(f"the range ends at {shown(high)}, below its start {shown(low)}", "to")
            return cls(low=low, high=high)
        return cls(choices=(_plain(raw),))

    def samples(self) -> tuple[Plain, ...]:
        """Return the values that stand for all: every choice, or both ends of the range."""
        return self.choices if self.low is None or self.high is None else (self.low, self.high)

    def draw(self, draws: Draws) -> Plain:
        """Draw one; whole ends give whole numbers, both ends included."""
        if self.low is None or self.high is None:
            return draws.choice(self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return draws.integer(self.low, self.high)
        return draws.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Distances(Readable):
    """A distance in metres, or evenly between two."""

    expected: ClassVar[str] = "a distance such as '400 m', or a range {from: 0 m, to: 900 m}"

    low_m: Distance
    high_m: Distance

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `400 m` or `{from: 0 m, to: 900 m}`."""
        if not isinstance(raw, dict):
            exact = Distance.parse(raw)
            return cls(low_m=exact, high_m=exact)
        ends = []
        for key, end in zip(("from", "to"), _ends(raw), strict=True):
            try:
                ends.append(Distance.parse(end))
            except Misread as error:
                raise Misread(str(error), key, hint=error.hint) from None
        if ends[0] > ends[1]:
            raise Misread(f"the range ends at {ends[1]}, below its start {ends[0]}", "to")
        return cls(low_m=ends[0], high_m=ends[1])

    def draw_m(self, draws: Draws) -> float:
        """Draw a distance in metres."""
        return draws.uniform(self.low_m, self.high_m)


@dataclass(frozen=True, slots=True)
class SpinMix(Readable):
    """Which share of users gives the right S-PIN, a wrong one or none; together they are the whole."""

    expected: ClassVar[str] = "right, wrong or none, or shares such as {right: 95 %, wrong: 5 %}"

    right: float = 1.0
    wrong: float = 0.0
    none: float = 0.0

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `right` or `{right: 95 %, wrong: 3 %, none: 2 %}`."""
        if isinstance(raw, dict):
            shares = dict.fromkeys(("right", "wrong", "none"), 0.0)
            for key, value in raw.items():
                if key not in shares:
                    raise Misread(f"unknown key {shown(key)}: {cls.expected} is expected", key)
                try:
                    shares[key] = float(Share.parse(value))
                except Misread as error:
                    raise Misread(str(error), key, hint=error.hint) from None
            if abs(sum(shares.values()) - 1) > 1e-9:
                raise Misread(f"the shares add up to {sum(shares.values()) * 100:g} %: 100 % is expected")
            return cls(**shares)
        if raw not in ("right", "wrong", "none"):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        return cls(**{"right": 0.0, str(raw): 1.0})

    def draw(self, draws: Draws) -> str:
        """Draw `right`, `wrong` or `none`."""
        return ("right", "wrong", "none")[draws.weighted((self.right, self.wrong, self.none))]


class Coverage(_Part, frozen=True, kw_only=True):
    """Where there is no network: the share of parking places that are garages, and of drives that pass a hole."""

    garages: Share = Share(0)
    holes: Share = Share(0)


class Place(_Part, frozen=True, kw_only=True):
    """A point in WGS 84 degrees; the cars stand evenly within `spread` of it."""

    latitude: float
    longitude: float
    spread: Distance = Distance(0)


class Places(_Part, frozen=True, kw_only=True):
    """Fixed places instead of ones drawn from the region."""

    parked_at: Place


class Fleet(_Part, frozen=True, kw_only=True):
    """So many cars that are alike in how they are drawn.

    `models` and `energies` are weights; a model without energies takes its catalogue's own mix. `region` None is
    the scenario's, and `profile` None the usual mix of commuters and others. `equipment` overrides what the catalogue would draw.
    """

    name: str
    count: int
    models: dict[str, float]
    energies: dict[str, dict[str, float]] = {}
    profile: str | None = None
    region: str | None = None
    coverage: Coverage = Coverage()
    equipment: dict[str, Plain] = {}
    places: Places | None = None


class CommandLoad(_Part, frozen=True, kw_only=True):
    """Commands that users send, evenly spread by chance over the run or over a time of day.

    Either `rate` or `count` (over the whole run) says how many, `fleet` to which cars (None: all). `time_to_live` is
    scenario time, None the command's own; a fast clock needs a long one. `distance` is how far the user stands from the car,
    for commands that say so.
    """

    name: str
    rate: Rate | None = None
    count: int | None = None
    during: Window | None = None
    fleet: str | None = None
    time_to_live: Duration | None = None
    parameters: dict[str, Values] = {}
    distance: Distances | None = None
    spin: SpinMix | None = None


class Scenario(_Part, frozen=True, kw_only=True):
    """A whole scenario. `start` without an offset is local time in `region`."""

    scenario: str
    purpose: str
    seed: int
    start: LocalTime
    duration: Duration
    clock: ClockFactor = ClockFactor(1)
    region: str
    fleets: tuple[Fleet, ...]
    commands: tuple[CommandLoad, ...] = ()
    expectations: tuple[Expectation, ...] = ()

    @property
    def cars(self) -> int:
        """How many cars there are in all fleets."""
        return sum(fleet.count for fleet in self.fleets)

    def region_of(self, fleet: Fleet) -> str:
        """Return the region a fleet lives in."""
        return fleet.region or self.region


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names a scenario may use. Whatever is handed in here is all there is.

    `models` maps a model to its energies, `regions` a region to its IANA time zone, `equipment` a field to its type.
    An empty `reasons` accepts any.
    """

    models: Mapping[str, Collection[str]]
    regions: Mapping[str, str]
    profiles: Collection[str]
    equipment: Mapping[str, Any]
    reasons: Collection[str] = ()
    commands: Mapping[str, CommandType] = field(default_factory=lambda: COMMANDS)

    def zone_of(self, scenario: Scenario) -> str:
        """Return the IANA time zone the scenario's clock times are in."""
        return self.regions[scenario.region]

    def start_of(self, scenario: Scenario) -> Instant:
        """Return the scenario time at which the run starts."""
        return scenario.start.instant(self.zone_of(scenario))


_WRITTEN: Final[dict[type[Readable], dict[str, Any]]] = {
    Duration: {"type": "string", "examples": ["10 min", "1 h 30 min"]},
    Share: {"anyOf": [{"type": "string", "pattern": "%$"}, {"type": "number", "minimum": 0, "maximum": 1}]},
    Distance: {"type": "string", "examples": ["400 m", "1.5 km"]},
    Rate: {"type": "string", "examples": ["120 per hour", "3 per day per car"]},
    Window: {"type": "string", "examples": ["06:00-09:00"]},
    LocalTime: {"type": "string", "examples": ["2026-03-02T05:00"]},
    ClockFactor: {"type": "string", "pattern": r"^(real|x\d+(\.\d+)?)$"},
    Expectation: {"type": "string", "examples": ["lost == 0"]},
    Values: {"type": ["string", "number", "boolean", "array", "object"]},
    Distances: {"type": ["string", "object"]},
    SpinMix: {"type": ["string", "object"]},
}
"""How the project's own types are written in a file, for the JSON Schema."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fleet scenario", **_schema_of(Scenario)}


def _schema_of(kind: Any) -> dict[str, Any]:
    # msgspec's own generator would describe our types by their fields; in a file they are written as one text.
    if kind == Plain:
        return {"type": ["string", "number", "boolean"]}
    if isinstance(kind, UnionType):
        (kind,) = (option for option in get_args(kind) if option is not NoneType)
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema_of(get_args(kind)[0])}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": _schema_of(get_args(kind)[1])}
    if issubclass(kind, Readable):
        return {**_WRITTEN[kind], "description": kind.expected}
    if not issubclass(kind, msgspec.Struct):
        return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[kind]}
    fields = msgspec.structs.fields(kind)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": {field.encode_name: _schema_of(field.type) for field in fields},
        "required": [field.encode_name for field in fields if field.required],
        "additionalProperties": False,
    }


def _plain(raw: object, *at: int) -> Plain:
    if not isinstance(raw, str | int | float | bool):
        raise Misread(f"{Values.expected} is expected, not {shown(raw)}", *at)
    return raw


def _ends(raw: dict[Any, Any]) -> tuple[Any, Any]:
    for key in raw:
        if key not in ("from", "to"):
            raise Misread(f"unknown key {shown(key)}: a range has 'from' and 'to'", key)
    for key in ("from", "to"):
        if key not in raw:
            raise Misread(f"the range lacks {key!r}")
    return raw["from"], raw["to"]
