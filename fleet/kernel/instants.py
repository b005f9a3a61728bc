"""Scenario time: integer microseconds since 1970-01-01 UTC, and durations in the same unit."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final, Protocol

Instant = int
"""Microseconds since 1970-01-01T00:00:00 UTC."""
Duration = int
"""Microseconds."""

MICROSECOND: Final = 1
MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

LATEST: Final[Instant] = 253_370_764_800_000_000
"""The beginning of the year 9999. No clock goes beyond it, so that a calendar holds what is counted on from any present."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {
    "us": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "sec": SECOND,
    "min": MINUTE,
    "h": HOUR,
    "d": DAY,
    "day": DAY,
    "days": DAY,
    "week": 7 * DAY,
    "weeks": 7 * DAY,
}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


class Cancellable(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Where scenario time comes from. Real, scaled and virtual clocks are in `runtime/clocks.py`."""

    @property
    def factor(self) -> float:
        """Scenario seconds per wall second."""
        ...

    def now(self) -> Instant:
        """Return the scenario time."""
        ...

    def wall_us(self) -> int:
        """Return the wall time, in microseconds since 1970 UTC."""
        ...

    def at_wall_us(self, wall_us: int) -> Instant:
        """Return the scenario time at a wall time that was read from this clock."""
        ...

    def wall_us_at(self, instant: Instant) -> int:
        """Return the wall time at which the scenario reaches, or reached, `instant`."""
        ...

    def call_at(
        self, instant: Instant, callback: Callable[[], object], not_before_s: float = 0.0, not_after_s: float = inf
    ) -> Cancellable:
        """Have it called when the scenario reaches `instant`, but no earlier and no later than after so many wall seconds."""
        ...


def from_datetime(moment: datetime) -> Instant:
    """Convert an aware datetime exactly, without floating point.

    Raises ValueError for a naive one: a time without a zone is not an instant.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: Instant) -> datetime:
    """Convert to an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def format_instant(instant: Instant) -> str:
    """Write as ISO 8601 in UTC, with microseconds only where there are any: 2026-03-02T06:00:00Z.

    An instant that no calendar holds is written as its number: showing a store must not fail at one odd row.
    """
    try:
        return to_datetime(instant).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError:
        return f"{instant} µs"


def parse_duration(text: str) -> Duration:
    """Read `90 s`, `10 min`, `1 h 30 min`, `2 days`, `250 ms`.

    Raises ValueError for a number without a unit, an unknown unit or nothing at all.
    """
    total = 0
    position = 0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a duration: write a number and a unit, such as '10 min' or '1 h 30 min'")
        number, unit = match.groups()
        if unit not in _UNITS:
            raise ValueError(f"{unit!r} is not a unit of time: use ms, s, min, h, days or weeks")
        total += round(float(number) * _UNITS[unit])
        position = match.end()
    if not text.strip():
        raise ValueError("a duration is empty: write a number and a unit, such as '10 min'")
    return total


def format_duration(duration: Duration) -> str:
    """Write for people, the two largest units: `1 h 30 min`, `45 s`, `2 days 3 h`, `250 ms`."""
    if duration < 0:
        return "-" + format_duration(-duration)
    if duration < SECOND:
        return f"{duration / MILLISECOND:g} ms"
    parts = []
    for size, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        count, duration = divmod(duration, size)
        if count:
            parts.append(f"{count} {'day' if name == 'days' and count == 1 else name}")
    return " ".join(parts[:2])
