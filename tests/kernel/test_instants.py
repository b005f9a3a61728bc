"""Instants and durations: exact, aware of zones, readable both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.instants import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    format_duration,
    format_instant,
    from_datetime,
    parse_duration,
    to_datetime,
)


@given(st.integers(0, 2**52))
def test_datetimes_survive_to_the_microsecond(instant: int) -> None:
    """There and back, without floating point."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
    assert from_datetime(moment) == instant
    assert to_datetime(from_datetime(moment)) == moment


def test_a_time_without_a_zone_is_no_instant() -> None:
    """Refused; one with another zone is the same instant."""
    with pytest.raises(ValueError, match="no time zone"):
        from_datetime(datetime(2026, 3, 2))  # noqa: DTZ001
    east = timezone(timedelta(hours=2))
    assert from_datetime(datetime(2026, 3, 2, 2, tzinfo=east)) == from_datetime(datetime(2026, 3, 2, tzinfo=UTC))


def test_written_as_iso_in_utc() -> None:
    """Microseconds only where there are any."""
    at = from_datetime(datetime(2026, 3, 2, 6, tzinfo=UTC))
    assert format_instant(at) == "2026-03-02T06:00:00Z"
    assert format_instant(at + 5) == "2026-03-02T06:00:00.000005Z"


@pytest.mark.parametrize(
    ("text", "duration"),
    [("90 s", 90 * SECOND), ("10min", 10 * MINUTE), ("1 h 30 min", 90 * MINUTE), ("2 days", 2 * DAY), ("250 ms", 250 * 1000),
     ("0.5 h", 30 * MINUTE), (" 1 week ", 7 * DAY), ("3 us", 3)],
)  # fmt: skip
def test_durations_are_read(text: str, duration: int) -> None:
    """Numbers with units, added up."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "  ", "5", "h", "5 parsecs", "-5 s", "5 s x", "1e3 s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number without a unit, an unknown unit, nothing at all."""
    with pytest.raises(ValueError, match=r"duration|unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [(90 * MINUTE, "1 h 30 min"), (45 * SECOND, "45 s"), (2 * DAY + 3 * HOUR + 5, "2 days 3 h"), (DAY, "1 day"),
     (250 * MILLISECOND, "250 ms"), (-MINUTE, "-1 min"), (0, "0 ms")],
)  # fmt: skip
def test_durations_are_written_for_people(duration: int, text: str) -> None:
    """The two largest units."""
    assert format_duration(duration) == text
