"""Times by the car's own local clock: timers that come by day of the week or once, and windows that come every day.

A local time is due at the first instant at which the clock shows it or a later one: one that the clocks jump over is
due at the jump, one that comes twice is due the first time. Knows no car.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from fleet.kernel.instants import SECOND, Instant, from_datetime, to_datetime

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""The days of the week as timers name them, in the order of `date.weekday`."""
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DATE: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
"""The car's calendar goes from 2000 to 2099 (ours)."""


class Timer(NamedTuple):
    """Due at `minute` of the local day: on each of `days` (0 is Monday), or once, on `on_date`."""

    minute: int
    days: frozenset[int] = frozenset()
    on_date: date | None = None
    enabled: bool = True

    def next_after(self, now: Instant, zone: ZoneInfo) -> Instant | None:
        """Return when it is next due, later than `now`; None when it is switched off or its date has passed."""
        if not self.enabled:
            return None
        if self.on_date is not None:
            at = local_instant(zone, self.on_date, self.minute)
            return at if at > now else None
        today = to_datetime(now).astimezone(zone).date()
        for ahead in range(8):  # the eighth is today's day of the week again, a week on
            day = today + timedelta(days=ahead)
            if day.weekday() in self.days and (at := local_instant(zone, day, self.minute)) > now:
                return at
        return None


class Window(NamedTuple):
    """From one minute of the local day to another, every day; one that ends no later than it begins ends the next day."""

    begin_minute: int
    end_minute: int

    def next_stretch(self, now: Instant, zone: ZoneInfo) -> tuple[Instant, Instant]:
        """Return when it begins and ends: the one that holds `now`, which its end does not, or else the next one."""
        day = to_datetime(now).astimezone(zone).date() - timedelta(days=1)
        while True:
            begins_at = local_instant(zone, day, self.begin_minute)
            ends_on = day if self.end_minute > self.begin_minute else day + timedelta(days=1)
            ends_at = local_instant(zone, ends_on, self.end_minute)
            if begins_at < ends_at and now < ends_at:  # one that lies in an hour that is jumped over is left out
                return begins_at, ends_at
            day += timedelta(days=1)


def read_timer(at: str, *, days: Iterable[str] = (), on_date: str | None = None, enabled: bool = True) -> Timer:
    """Return the timer of a command: a time `HH:MM`, and names of DAYS or one date `YYYY-MM-DD`.

    Raises ValueError for a time, day or date that does not exist, and for both or neither of days and date.
    """
    named = tuple(days)
    for day in named:
        if day not in DAYS:
            raise ValueError(f"{day!r} is no day of the week: {', '.join(DAYS)}")
    if bool(named) == (on_date is not None):
        raise ValueError("a timer has days of the week or one date")
    return Timer(
        clock_minute(at),
        frozenset(DAYS.index(day) for day in named),
        None if on_date is None else _calendar_date(on_date),
        enabled,
    )


def clock_minute(text: str) -> int:
    """Read `HH:MM` as a minute of the day, 0 to 1439; raises ValueError for anything else."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time of day: write it as 06:30, from 00:00 to 23:59")
    return 60 * int(match[1]) + int(match[2])


def _calendar_date(text: str) -> date:
    if _DATE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no date: write it as 2026-03-29, from 2000 to 2099")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date: that month has no such day") from None


def local_instant(zone: ZoneInfo, day: date, minute: int) -> Instant:
    """Return when the clock of `zone` first shows that minute of that day, or a later one."""
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    at = from_datetime(wall)
    if _shown(at, zone) == wall.replace(tzinfo=None):
        return at
    # Jumped over: read with the offset behind the jump it is too early, with the one before it too late.
    early, late = from_datetime(wall.replace(fold=1)), at
    while late - early > SECOND:
        middle = (early + late) // (2 * SECOND) * SECOND
        if _shown(middle, zone) < wall.replace(tzinfo=None):
            early = middle
        else:
            late = middle
    return late


def _shown(instant: Instant, zone: ZoneInfo) -> datetime:
    """Return what a clock of `zone` shows, without the zone: which of two passes of an hour it is does not show."""
    return to_datetime(instant).astimezone(zone).replace(tzinfo=None, fold=0)
