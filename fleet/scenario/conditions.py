"""Conditions of a timeline: `connected / cars < 50 %` on counts, `car.fuel_percent < 15` on each car; joined by `and`.

Knows the names of the figures, not who measures them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from fleet.errors import nearest_hint
from fleet.scenario.scalars import Misread, Readable, shown

FIGURES: Final = (
    "cars", "connected", "created", "published", "acknowledged", "in_outbox", "dropped", "refused",
    "parked", "ignition_on", "driving", "online", "reachable", "offline",
    "commands.total", "commands.succeeded", "commands.rejected", "commands.failed", "commands.expired", "commands.unknown",
    "commands.waiting",
)  # fmt: skip
"""Counts that the simulator knows while the cars live."""

CAR_NUMBERS: Final = (
    "fuel_percent", "charge_percent", "low_voltage_percent", "odometer_km", "trip_km", "trips", "listed_routes", "in_outbox",
)  # fmt: skip
CAR_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "state": ("parked", "ignition_on", "driving"),
    "connection": ("online", "reachable", "offline"),
    "heater": ("on", "off"),
    "climate": ("off", "heating", "ventilation", "climatisation"),
    "charging": ("unplugged", "plugged_in", "charging", "complete", "error"),
    "locked": ("yes", "no"),
    "ota": ("none", "waiting", "downloading", "paused", "downloaded", "installing"),
    "place": ("home", "work", "errand", "delivery", "petrol_station", "charging_station"),
}
"""Known facts of a car: numbers, and words of which it has one."""

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_PATH: Final = r"[a-z_][a-z_.]*"
_NUMBER: Final = re.compile(rf"({_PATH})(?:\s*/\s*({_PATH}))?\s*(==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(%?)")
_WORD: Final = re.compile(rf"({_PATH})\s*(==|!=)\s*([a-z_]+)")

CarFacts = Mapping[str, float | str | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One part of a condition. `path` is without `car.`; a word is compared with `word`, a number with `bound`."""

    path: str
    of_car: bool
    comparison: str
    bound: float = 0.0
    divisor: str | None = None
    word: str | None = None

    def holds(self, facts: CarFacts) -> bool:
        """Tell whether it is true; what is not known of a car is not."""
        value = facts.get(self.path)
        if value is None:
            return False
        if self.word is not None:
            return (value == self.word) is (self.comparison == "==")
        assert not isinstance(value, str)
        if self.divisor is not None:
            whole = facts.get(self.divisor)
            if not whole or isinstance(whole, str):
                return False
            value = value / whole
        return _OPERATORS[self.comparison](value, self.bound)


@dataclass(frozen=True, slots=True)
class Condition(Readable):
    """Comparisons that must hold together: all `of_run`, and for a car all `of_car`."""

    expected: ClassVar[str] = "a condition such as 'connected / cars < 50 %' or 'car.fuel_percent < 15 and car.state == parked'"

    text: str
    of_run: tuple[Comparison, ...]
    of_car: tuple[Comparison, ...]

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read the text; raises Misread, with the nearest figure for an unknown one."""
        if not isinstance(raw, str):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        parts = [_comparison(part.strip()) for part in re.split(r"\s+and\s+", raw.strip())]
        return cls(
            text=raw.strip(),
            of_run=tuple(part for part in parts if not part.of_car),
            of_car=tuple(part for part in parts if part.of_car),
        )

    def __str__(self) -> str:
        return self.text


def _comparison(text: str) -> Comparison:
    number = _NUMBER.fullmatch(text)
    if number is not None:
        path, divisor, comparison, bound, percent = number.groups()
        return _number(path, divisor, comparison, float(bound), percent=bool(percent))
    word = _WORD.fullmatch(text)
    if word is None:
        raise Misread(f"{Condition.expected} is expected, not {shown(text)}")
    path, comparison, value = word.groups()
    name = _car_path(path, CAR_WORDS)
    if value not in CAR_WORDS[name]:
        raise Misread(f"{value!r} is not one of {', '.join(CAR_WORDS[name])}", hint=nearest_hint(value, CAR_WORDS[name]))
    return Comparison(path=name, of_car=True, comparison=comparison, word=value)


def _number(path: str, divisor: str | None, comparison: str, bound: float, *, percent: bool) -> Comparison:
    if path.startswith("car."):
        name = _car_path(path, CAR_NUMBERS)
        if divisor is not None:
            raise Misread("a figure of a car is not divided: only counts of the run are")
        if percent and not name.endswith("_percent"):
            raise Misread(f"'%' is not a unit of {path}: no unit is expected")
        return Comparison(path=name, of_car=True, comparison=comparison, bound=bound)
    for named in (path, divisor):
        if named is not None and named not in FIGURES:
            raise Misread(f"there is no figure {named!r}", hint=nearest_hint(named, (*FIGURES, *_all_car_paths())))
    if percent and divisor is None:
        raise Misread(f"'%' is not a unit of {path}: divide it, as in 'connected / cars < 50 %'")
    return Comparison(path=path, of_car=False, comparison=comparison, bound=bound / 100 if percent else bound, divisor=divisor)


def _car_path(path: str, known: Mapping[str, tuple[str, ...]] | tuple[str, ...]) -> str:
    name = path.removeprefix("car.")
    if path.startswith("car.") and name in known:
        return name
    if path.startswith("car.") and (name in CAR_NUMBERS or name in CAR_WORDS):
        kind = "a number" if name in CAR_NUMBERS else f"one of {', '.join(CAR_WORDS[name])}"
        raise Misread(f"{path} is {kind}: it cannot be compared with that")
    raise Misread(f"there is no figure {path!r}", hint=nearest_hint(path, (*FIGURES, *_all_car_paths())))


def _all_car_paths() -> tuple[str, ...]:
    return tuple(f"car.{name}" for name in (*CAR_NUMBERS, *CAR_WORDS))
