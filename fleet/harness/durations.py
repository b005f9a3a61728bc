"""Lengths of time as tests write them: of the cars' time, and of real time."""

from __future__ import annotations

from math import inf
from typing import Final

from fleet.errors import UsageError
from fleet.kernel.instants import DAY, SECOND, Duration
from fleet.scenario.scalars import Duration as ReadDuration
from fleet.scenario.scalars import Misread, is_number

LONGEST: Final = 36_525 * DAY
"""A hundred years: no test needs more, and a slip of the unit ends at once."""


def duration(value: str | float) -> Duration:
    """Read `"5 s"`, `"10 min"`, or a number of seconds. Raises UsageError, also for less than nothing and over 100 years."""
    try:
        found = value * SECOND if isinstance(value, int | float) and is_number(value) else ReadDuration.parse(value)
    except Misread as error:
        raise UsageError(str(error), hint=error.hint or 'Such as "5 s", "10 min" or "2 h".') from None
    if not 0 <= found <= LONGEST:
        raise UsageError(f"{value!r} is out of range", hint="From 0 to 100 years.")
    return round(found)


def wall_s(within_s: float) -> float:
    """Return a number of seconds of real time as it is. Raises UsageError for anything else."""
    if not (is_number(within_s) and 0 <= within_s < inf):
        raise UsageError(f"within_s is {within_s!r}", hint="It is a number of seconds of real time, such as within_s=5.")
    return within_s
