"""The small values of a scenario file: `10 min`, `6 %`, `900 m`, `120 per hour`, `06:00-09:00`, `x1800`.

Each type reads the plain data of a YAML value by `parse`, says by `expected` what that value looks like, and
writes itself back by `str`. Knows no files and no positions.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import ClassVar, Final, Self
from zoneinfo import ZoneInfo

from fleet.kernel.instants import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Instant,
    format_duration,
    from_datetime,
    parse_duration,
    to_datetime,
)
from fleet.transport.faults import parse_bytes, parse_bytes_per_s

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_SHARE: Final = re.compile(_NUMBER + r"\s*%")
_DISTANCE: Final = re.compile(_NUMBER + r"\s*(m|km)")
_RATE: Final = re.compile(_NUMBER + r"\s*per\s+([a-z]+)(\s+per\s+car)?")
_WINDOW: Final = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})")
_START: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?\s*(Z|[+-]\d{2}:\d{2})?")
_TIME_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d{2})")
_PER: Final = {
    "s": SECOND, "second": SECOND, "min": MINUTE, "minute": MINUTE, "h": HOUR, "hour": HOUR, "d": DAY, "day": DAY,
}  # fmt: skip


class Misread(ValueError):
    """A value that is not what it should be; `at` leads from the value to the part of it that is wrong."""

    def __init__(self, message: str, *at: str | int, hint: str = "") -> None:
        super().__init__(message)
        self.at = at
        self.hint = hint


class Readable(ABC):
    """Base of the types that read themselves from plain data (text, numbers, lists, mappings)."""

    __slots__ = ()

    expected: ClassVar[str]
    """The form of such a value, for messages: `a duration such as '10 min'`."""

    @classmethod
    @abstractmethod
    def parse(cls, raw: object) -> Self:
        """Read the value; raises Misread."""


def shown(raw: object) -> str:
    """Write a value for a message: short, and a list or a mapping only by its kind."""
    if raw is None:
        return "nothing"
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, int | float):
        return f"{raw:g}" if isinstance(raw, float) else str(raw)
    text = str(raw)
    return repr(text if len(text) <= 40 else text[:39] + "…")


def is_number(raw: object) -> bool:
    """Tell whether a value is a number; true and false are none."""
    return isinstance(raw, int | float) and not isinstance(raw, bool)


class Duration(Readable, int):
    """A length of scenario time in microseconds."""

    expected: ClassVar[str] = "a duration such as '10 min' or '1 h 30 min'"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `10 min`; a bare number is refused, because nobody can tell its unit."""
        if is_number(raw):
            raise Misread(f"{shown(raw)} has no unit: {cls.expected} is expected", hint=f"Did you mean '{shown(raw)} min'?")
        if not isinstance(raw, str):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        try:
            return cls(parse_duration(raw))
        except OverflowError:
            raise Misread(f"{shown(raw)} is too long") from None
        except ValueError as error:
            raise Misread(str(error)) from None

    def __str__(self) -> str:
        return format_duration(self)


class Share(Readable, float):
    """A part of a whole, 0 to 1."""

    expected: ClassVar[str] = "a share such as '6 %' or 0.06"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `6 %` or 0.06; 6 is refused, because it could mean either."""
        if isinstance(raw, str):
            match = _SHARE.fullmatch(raw.strip())
            if match is None:
                raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
            value = float(match[1]) / 100
            if value > 1:
                raise Misread(f"{shown(raw)} is more than the whole: at most '100 %' is expected")
            return cls(value)
        if not isinstance(raw, int | float) or isinstance(raw, bool):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        if not 0 <= raw <= 1:
            hint = f"Did you mean '{shown(raw)} %'?" if 1 < raw <= 100 else ""
            raise Misread(f"{shown(raw)} is not between 0 and 1: {cls.expected} is expected", hint=hint)
        return cls(raw)

    def __str__(self) -> str:
        return f"{self * 100:g} %"


class Distance(Readable, float):
    """A distance in metres."""

    expected: ClassVar[str] = "a distance such as '400 m' or '1.5 km'"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `400 m` or `1.5 km`, at most half way round the earth."""
        if is_number(raw):
            raise Misread(f"{shown(raw)} has no unit: {cls.expected} is expected", hint=f"Did you mean '{shown(raw)} m'?")
        match = _DISTANCE.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        metres = float(match[1]) * (1000 if match[2] == "km" else 1)
        if metres > 20_000_000:
            raise Misread(f"{shown(raw)} is too far: at most '20000 km' is expected")
        return cls(metres)

    def __str__(self) -> str:
        return f"{float(self):g} m"


class ClockFactor(Readable, float):
    """Scenario seconds per wall second; infinite for a virtual clock, which waits for nobody."""

    expected: ClassVar[str] = "'real', 'virtual', or 'x60' for sixty scenario seconds a second (x0.001 to x100000)"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `real` (which is 1), `virtual` or `x60`."""
        if raw == "real":
            return cls(1)
        if raw == "virtual":
            return cls("inf")
        match = re.fullmatch("x" + _NUMBER, raw) if isinstance(raw, str) else None
        if match is None:
            hint = f"Did you mean 'x{shown(raw)}'?" if is_number(raw) else ""
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}", hint=hint)
        factor = float(match[1])
        if not 0.001 <= factor <= 100_000:  # the desk follows no slower one
            raise Misread(f"{shown(raw)} is out of range: {cls.expected} is expected")
        return cls(factor)

    @property
    def is_virtual(self) -> bool:
        """Whether time jumps from one event to the next."""
        return float(self) == inf

    def __str__(self) -> str:
        if self.is_virtual:
            return "virtual"
        return "real" if float(self) == 1 else "x" + repr(float(self)).removesuffix(".0")


class Size(Readable, int):
    """A number of bytes."""

    expected: ClassVar[str] = "a number of bytes such as '16 B' or '1.5 kB'"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `16 B`, `1.5 kB` or `2 MB`."""
        if is_number(raw):
            raise Misread(f"{shown(raw)} has no unit: {cls.expected} is expected", hint=f"Did you mean '{shown(raw)} B'?")
        try:
            return cls(parse_bytes(str(raw)))
        except ValueError:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}") from None

    def __str__(self) -> str:
        return f"{int(self)} B"


class ByteRate(Readable, int):
    """A number of bytes in a second of real time."""

    expected: ClassVar[str] = "a bandwidth such as '20 kB per s'"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `20 kB per s` or `20 kB/s`."""
        try:
            return cls(parse_bytes_per_s(str(raw)))
        except ValueError:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}") from None

    def __str__(self) -> str:
        return f"{int(self)} B per s"


@dataclass(frozen=True, slots=True)
class Rate(Readable):
    """So many in so much scenario time, for the whole fleet or for each car."""

    expected: ClassVar[str] = "a rate such as '120 per hour', '2 per s' or '3 per day per car'"

    count: float
    period_us: int
    per_car: bool = False

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `120 per hour`, `2 per s`, `3 per day per car`."""
        rate = cls.parse_or_zero(raw)
        if rate.count == 0:
            raise Misread(f"{shown(raw)} is out of range: a rate above 0 and at most a thousand million is expected")
        return rate

    @classmethod
    def parse_or_zero(cls, raw: object) -> Self:
        """Read a rate that may be 0, such as an end of a ramp."""
        match = _RATE.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        if match[2] not in _PER:
            raise Misread(f"{match[2]!r} is not a unit of time: per s, min, hour or day is expected")
        count = float(match[1])
        if count > 1e9:
            raise Misread(f"{shown(raw)} is out of range: a rate above 0 and at most a thousand million is expected")
        return cls(count=count, period_us=_PER[match[2]], per_car=match[3] is not None)

    def per_second(self, cars: int) -> float:
        """Return how many come in a scenario second when there are `cars` cars."""
        return self.count * (cars if self.per_car else 1) * SECOND / self.period_us

    def __str__(self) -> str:
        unit = next(name for name, size in reversed(_PER.items()) if size == self.period_us)
        return f"{self.count:g} per {unit}{' per car' if self.per_car else ''}"


@dataclass(frozen=True, slots=True)
class DayWindow(Readable):
    """A time of day that comes again every day, as microseconds after local midnight; the end is not part of it."""

    expected: ClassVar[str] = "a time of day such as '06:00-09:00'"

    begin_us: int
    end_us: int

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `06:00-09:00`; it ends on the day it began, at 24:00 at the latest."""
        match = _WINDOW.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        begin_h, begin_min, end_h, end_min = (int(part) for part in match.groups())
        begin_us = begin_h * HOUR + begin_min * MINUTE
        end_us = end_h * HOUR + end_min * MINUTE
        if begin_min > 59 or end_min > 59 or end_us > DAY:
            raise Misread(f"{shown(raw)} is not on the clock: {cls.expected}, at most to 24:00, is expected")
        if begin_us >= end_us:
            raise Misread(f"{shown(raw)} ends before it begins: {cls.expected}, within one day, is expected")
        return cls(begin_us=begin_us, end_us=end_us)

    def intervals(self, start: Instant, duration: int, zone: str) -> list[tuple[Instant, Instant]]:
        """Return the [begin, end) instants of the window in a run of `duration` µs, in local time of the IANA `zone`.

        On a day of clock change the window follows the wall clock, so it may be an hour shorter or longer.
        """
        local = ZoneInfo(zone)
        day = to_datetime(start).astimezone(local).date()
        last = to_datetime(start + duration).astimezone(local).date()
        found = []
        while day <= last:
            begin = max(_local_instant(day, self.begin_us, local), start)
            end = min(_local_instant(day, self.end_us, local), start + duration)
            if begin < end:
                found.append((begin, end))
            day += timedelta(days=1)
        return found

    def __str__(self) -> str:
        return "-".join(f"{us // HOUR:02d}:{us % HOUR // MINUTE:02d}" for us in (self.begin_us, self.end_us))


def _local_instant(day: date, offset_us: int, zone: ZoneInfo) -> Instant:
    # Naive arithmetic first: 24:00 becomes the next day's midnight, and the zone applies to the wall clock's reading.
    naive = datetime(day.year, day.month, day.day) + timedelta(microseconds=offset_us)  # noqa: DTZ001 - the zone comes next
    return from_datetime(naive.replace(tzinfo=zone))


@dataclass(frozen=True, slots=True)
class LocalTime(Readable):
    """A date and a time of day, with an offset or in the local time of wherever it is used."""

    expected: ClassVar[str] = "a local date and time such as 2026-03-02T05:00, or one with an offset such as …T05:00+01:00"

    moment: datetime

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read ISO 8601 to the minute or second, years 1980 to 2199."""
        text = raw.strip() if isinstance(raw, str) else ""
        if not _START.fullmatch(text):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        try:
            moment = datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", ""))
        except ValueError as error:
            raise Misread(f"{shown(raw)} does not exist: {error}") from None
        if not 1980 <= moment.year < 2200:
            raise Misread(f"{shown(raw)} is out of range: a year from 1980 to 2199 is expected")
        return cls(moment)

    def instant(self, zone: str) -> Instant:
        """Return the instant, reading a time without an offset in the IANA `zone`.

        An hour that comes twice is its first time. Raises Misread for one that the clock change leaves out.
        """
        if self.moment.tzinfo is not None:
            return from_datetime(self.moment)
        local = self.moment.replace(tzinfo=ZoneInfo(zone))
        if local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) != self.moment:
            raise Misread(f"{self} does not exist in {zone}: the clocks are put forward over it")
        return from_datetime(local)

    def __str__(self) -> str:
        return self.moment.isoformat(timespec="minutes" if self.moment.second == 0 else "seconds")


@dataclass(frozen=True, slots=True)
class Moment(Readable):
    """When something happens in a stage: so long after its beginning, at a time of day, or at a date and time."""

    expected: ClassVar[str] = "a time since the beginning such as '10 min', a time of day such as '06:30', or a date and time"

    after_us: int | None = None
    time_of_day_us: int | None = None
    at: LocalTime | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `10 min`, `06:30` or `2026-03-02T06:30`."""
        text = raw.strip() if isinstance(raw, str) else ""
        match = _TIME_OF_DAY.fullmatch(text)
        if match is not None:
            hours, minutes = int(match[1]), int(match[2])
            if hours > 23 or minutes > 59:
                raise Misread(f"{shown(raw)} is not on the clock: {cls.expected} is expected")
            return cls(time_of_day_us=hours * HOUR + minutes * MINUTE)
        if _START.fullmatch(text):
            return cls(at=LocalTime.parse(raw))
        try:
            return cls(after_us=Duration.parse(raw))
        except Misread as error:
            if is_number(raw):
                raise Misread(f"{shown(raw)} has no unit: {cls.expected} is expected", hint=error.hint) from None
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}") from None

    def within(self, begin: Instant, duration: int, zone: str) -> Instant | None:
        """Return its first instant in [begin, begin + duration) by the clocks of the IANA `zone`; None when it never comes.

        Raises Misread for a date and time that the clock change leaves out.
        """
        if self.after_us is not None:
            found = begin + self.after_us
        elif self.at is not None:
            found = self.at.instant(zone)
        else:
            found = self._next_time_of_day(begin, zone)
        return found if begin <= found < begin + duration else None

    def _next_time_of_day(self, begin: Instant, zone: str) -> Instant:
        """Return when it comes next; a day on which the clocks are put forward over it has none."""
        assert self.time_of_day_us is not None
        day = to_datetime(begin).astimezone(ZoneInfo(zone)).date()
        while True:
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the zone comes next
            with suppress(Misread):
                found = LocalTime(midnight + timedelta(microseconds=self.time_of_day_us)).instant(zone)
                if found >= begin:
                    return found
            day += timedelta(days=1)

    def __str__(self) -> str:
        if self.after_us is not None:
            return format_duration(self.after_us)
        if self.at is not None:
            return str(self.at)
        assert self.time_of_day_us is not None
        return f"{self.time_of_day_us // HOUR:02d}:{self.time_of_day_us % HOUR // MINUTE:02d}"
