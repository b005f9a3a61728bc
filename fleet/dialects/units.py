"""Units of other systems: which ones a field of ours can be written in, and how it gets there and back.

Our own unit is in the name of a field (`range_km`, `charge_percent`), or the field is an instant: microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fleet.kernel.instants import SECOND, from_datetime, to_datetime

Convert = Callable[[Any], Any]
SIGNIFICANT: Final = 12
"""Digits that are kept of a number on its way back, so that 38.1 km are 38.1 km again."""


class Conversion(NamedTuple):
    """The two directions between our unit and theirs."""

    to_theirs: Convert
    to_ours: Convert


def _linear(factor: float, offset: float = 0) -> Conversion:
    """Return the conversion `ours * factor + offset`; whole numbers stay whole where they can."""
    whole = int(factor) if float(factor).is_integer() and not offset else None

    def to_theirs(value: float) -> float:
        return value * whole if whole is not None else value * factor + offset

    def to_ours(value: float) -> float:
        return float(f"{(value - offset) / factor:.{SIGNIFICANT}g}")

    return Conversion(to_theirs, to_ours)


def _epoch(unit_us: int) -> Conversion:
    def to_theirs(instant: int) -> float:
        whole, rest = divmod(instant, unit_us)
        return instant / unit_us if rest else whole

    def to_ours(value: float) -> int:
        return value * unit_us if isinstance(value, int) else round(value * unit_us)

    return Conversion(to_theirs, to_ours)


def _iso(instant: int) -> str:
    seconds, rest_us = divmod(instant, SECOND)
    return f"{_second(seconds)}.{rest_us:06}Z" if rest_us else _second(seconds) + "Z"


def _from_iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


_SAME: Final = Conversion(lambda value: value, lambda value: value)
_DISTANCE_KM: Final = {"km": _SAME, "m": _linear(1000), "mi": _linear(1 / 1.609344)}
UNITS: Final[dict[str, dict[str, Conversion]]] = {
    "km": _DISTANCE_KM,
    "m": {"m": _SAME, "km": _linear(1 / 1000), "ft": _linear(1 / 0.3048)},
    "kmh": {"kmh": _SAME, "mph": _linear(1 / 1.609344), "m_s": _linear(1 / 3.6)},
    "percent": {"percent": _SAME, "fraction": _linear(1 / 100)},
    "c": {"c": _SAME, "f": _linear(1.8, 32), "k": _linear(1, 273.15)},
    "kw": {"kw": _SAME, "w": _linear(1000)},
    "kwh": {"kwh": _SAME, "wh": _linear(1000), "mj": _linear(3.6)},
    "l": {"l": _SAME, "ml": _linear(1000), "gal_us": _linear(1 / 3.785411784), "gal_uk": _linear(1 / 4.54609)},
    "v": {"v": _SAME, "mv": _linear(1000)},
    "a": {"a": _SAME, "ma": _linear(1000)},
    "s": {"s": _SAME, "ms": _linear(1000), "min": _linear(1 / 60), "h": _linear(1 / 3600)},
    "min": {"min": _SAME, "s": _linear(60), "ms": _linear(60_000), "h": _linear(1 / 60)},
    "days": {"days": _SAME, "h": _linear(24)},
    "mb": {"mb": _SAME, "b": _linear(1_000_000), "kb": _linear(1000)},
    "instant": {
        "epoch_s": _epoch(SECOND), "epoch_ms": _epoch(1000), "epoch_us": _SAME, "iso8601": Conversion(_iso, _from_iso),
    },
}  # fmt: skip
"""Ours to theirs, by the last part of our field's name; `minutes` is as `min`."""
_OTHER_NAMES: Final = {"minutes": "min"}
_INSTANTS: Final = frozenset({"captured_at", "due_wall_us", "sent_wall_us", "issued_at"})


def unit_of(path: str) -> str | None:
    """Return our unit of a field by its path, None for one without."""
    name = path.rpartition(".")[2]
    if name.endswith("_at") or name in _INSTANTS:
        return "instant"
    last = name.rpartition("_")[2]
    last = _OTHER_NAMES.get(last, last)
    return last if "_" in name and last in UNITS else _OTHER_NAMES.get(name)


def conversion(path: str, unit: str) -> Conversion | None:
    """Return the conversion of a field to a unit of theirs, None where there is none."""
    ours = unit_of(path)
    return None if ours is None else UNITS[ours].get(unit)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """Return a second since 1970 in ISO 8601: cars that are alike send at the same one."""
    return to_datetime(seconds * SECOND).isoformat()[:19]


def iso_with_digits(digits: int) -> Convert:
    """Return the function that writes an instant in ISO 8601 with so many digits behind the second, cut off there."""
    if digits == 0:
        return lambda instant: _second(instant // SECOND) + "Z"
    digits = min(digits, 6)
    unit_us = 10 ** (6 - digits)

    def write(instant: int) -> str:
        seconds, rest_us = divmod(instant, SECOND)
        return f"{_second(seconds)}.{rest_us // unit_us:0{digits}}Z"

    return write
