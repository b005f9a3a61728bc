"""Departure times and windows as commands give them: whether such times, days and dates exist."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

TIMERS: Final = 3
"""Departure times that a car keeps of each kind."""
YEARS: Final = range(2000, 2100)
"""The car's calendar (ours)."""
_CLOCK: Final = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")
_DAYS: Final = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})


def is_clock(text: Any) -> bool:
    """Tell whether this is a time of day, HH:MM."""
    return isinstance(text, str) and _CLOCK.fullmatch(text) is not None


def timers_fit(timers: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether there are at most 3 departure times, each with days of the week or a date, and all of them exist."""
    return len(timers) <= TIMERS and all(
        is_clock(timer["at"])
        and len(timer.get("days") or ()) <= len(_DAYS)
        and set(timer.get("days") or ()) <= _DAYS
        and bool(timer.get("days")) != (timer.get("date") is not None)
        and (timer.get("date") is None or _is_date(timer["date"]))
        for timer in timers
    )


def _is_date(text: str) -> bool:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return False
    return day.isoformat() == text and day.year in YEARS
