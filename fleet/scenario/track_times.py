"""Times as the rows of a track write them: ISO 8601, epochs in four units, dates and clocks in the orders people use.

A column is read as a whole, because one date alone does not say whether its day or its month comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from fleet.kernel.instants import MICROSECOND, MILLISECOND, SECOND, Instant, from_datetime, to_datetime

EARLIEST: Final = from_datetime(datetime(1990, 1, 1, tzinfo=UTC))
LATEST: Final = from_datetime(datetime(2100, 1, 1, tzinfo=UTC))
"""No receiver has recorded a drive before or after; what lies outside is a clock that was not set, or no time at all."""
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_DATE: Final = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})")
_CLOCK: Final = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([ap])?\.?(?:m\.?)?\s*(z|utc|gmt|[+-]\d{2}(?::?\d{2})?)?", re.IGNORECASE
)
_COMPACT_CLOCK: Final = re.compile(r"(\d{1,6})(?:\.(\d{1,9}))?(z)?", re.IGNORECASE)
_WRITTEN_TOGETHER: Final = re.compile(r"((?:19|20)\d{6})(\d{4}(?:\d{2})?)")


class _Order(NamedTuple):
    """Where year, month and day stand in a date."""

    year: int
    month: int
    day: int
    name: str


_ORDERS: Final = (
    _Order(2, 1, 0, "day, month, year"),  # as NMEA 0183 and most of Europe write
    _Order(0, 1, 2, "year, month, day"),
    _Order(2, 0, 1, "month, day, year"),
)


@dataclass(frozen=True, slots=True)
class Times:
    """The instants of a column, each or the reason why there is none, and how its dates were read ("" when they say it)."""

    instants: tuple[Instant | str, ...]
    order: str = ""

    @property
    def count(self) -> int:
        """How many are instants."""
        return sum(not isinstance(each, str) for each in self.instants)


def read_times(texts: Sequence[str]) -> Times:
    """Read a column of instants; without an offset they are in UTC."""
    return _read([(text.strip(), None) for text in texts])


def read_dates_and_clocks(dates: Sequence[str], clocks: Sequence[str]) -> Times:
    """Read a column of dates beside one of times of the day."""
    return _read([(date.strip(), clock.strip()) for date, clock in zip(dates, clocks, strict=True)])


_Cell = tuple[str, str | None]
"""The text of an instant, or of a date and the time of the day beside it."""


def _read(cells: Sequence[_Cell]) -> Times:
    """Take the order of dates in which most rows are instants; of equals the one in which they lie closest together."""
    orders = _ORDERS if any(map(_depends_on_order, cells)) else _ORDERS[:1]
    readings = {order: tuple(_plausible(cell, order) for cell in cells) for order in orders}
    best = max(orders, key=lambda order: _rank(readings[order]))
    matters = any(reading != readings[best] for reading in readings.values())
    return Times(readings[best], best.name if matters else "")


def _rank(reading: Sequence[Instant | str]) -> tuple[int, int]:
    instants = [each for each in reading if not isinstance(each, str)]
    return len(instants), min(instants) - max(instants) if instants else 0


def _depends_on_order(cell: _Cell) -> bool:
    text, clock = cell
    if clock is None and _NUMBER.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return True
    return False


class _NoTime(ValueError):
    """A text that is no time, with the reason for people."""


def _plausible(cell: _Cell, order: _Order) -> Instant | str:
    """Return the instant, or why there is none."""
    text, clock = cell
    shown = _shown(text if clock is None else f"{text} {clock}".strip())
    try:
        instant = _instant(text, order) if clock is None else _joined(_date(text, order), clock)
    except _NoTime as error:
        return str(error)
    except (ValueError, OverflowError):
        return f"{shown} is no time: ISO 8601 or seconds since 1970 are expected"
    if EARLIEST <= instant < LATEST:
        return instant
    return f"{shown} is in {to_datetime(instant).year}: a time from 1990 to 2099 is expected"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _instant(text: str, order: _Order) -> Instant:
    if together := _WRITTEN_TOGETHER.fullmatch(text):
        return _joined(_date(together[1], order), together[2].ljust(6, "0"))
    if _NUMBER.fullmatch(text):
        return _epoch(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    if found := _DATE.match(text):
        return _joined(_date(found[0], order), text[found.end() :].lstrip("T, "))
    if _CLOCK.fullmatch(text):
        raise _NoTime(f"{_shown(text)} is a time of the day: its date is missing")
    moment = parsedate_to_datetime(text)  # 06 May 2024 07:10:00 +0000
    return from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _epoch(text: str) -> Instant:
    """Read a number by its size: the plausible ranges of the units lie far apart."""
    whole = int(text) if text.lstrip("+-").isdecimal() and len(text) < 25 else None
    value = float(text) if whole is None else whole
    for factor in (SECOND, MILLISECOND, MICROSECOND):
        if EARLIEST <= value * factor < LATEST:
            return round(value * factor)
    if EARLIEST <= value / 1000 < LATEST:
        return (whole // 1000) if whole is not None else round(value / 1000)
    raise _NoTime(f"{_shown(text)} is no time: as seconds, ms, µs or ns since 1970 it is not from 1990 to 2099")


def _date(text: str, order: _Order) -> datetime:
    """Read a date, with separators or as six or eight digits; a spreadsheet may have taken the first 0 away."""
    if found := _DATE.fullmatch(text):
        numbers = found.groups()
        if len(numbers[0]) > 2:
            order = _ORDERS[1]
    elif text.isdecimal() and 5 <= len(text) <= 6:
        digits = text.zfill(6)
        numbers = digits[:2], digits[2:4], digits[4:]
    elif text.isdecimal() and len(text) == 8:
        if text[:2] in {"19", "20"}:
            order, numbers = _ORDERS[1], (text[:4], text[4:6], text[6:])
        else:
            numbers = text[:2], text[2:4], text[4:]
    else:
        moment = datetime.fromisoformat(text)
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    year = int(numbers[order.year])
    if len(numbers[order.year]) == 2:
        year += 2000
    return datetime(year, int(numbers[order.month]), int(numbers[order.day]), tzinfo=UTC)


def _joined(date: datetime, clock: str) -> Instant:
    """Return the instant at a time of the day, written with colons or as hhmmss."""
    if found := _CLOCK.fullmatch(clock):
        hour, minute, second, fraction, half, zone = found.groups()
    elif found := _COMPACT_CLOCK.fullmatch(clock):
        digits = found[1].zfill(6)
        hour, minute, second, fraction, half, zone = digits[:2], digits[2:4], digits[4:], found[2], None, found[3]
    else:
        raise ValueError(clock)
    hours = int(hour)
    if half is not None:
        if not 1 <= hours <= 12:
            raise ValueError(clock)
        hours = hours % 12 + (12 if half.lower() == "p" else 0)
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    moment = date.replace(hour=hours, minute=int(minute), second=int(second or 0), microsecond=microsecond, tzinfo=_zone(zone))
    return from_datetime(moment)


def _zone(text: str | None) -> timezone:
    if text is None or text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
