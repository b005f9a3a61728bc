"""Timers and windows by the car's local clock, held against a clock that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.instants import DAY, MINUTE, SECOND, Instant, from_datetime, to_datetime
from fleet.vehicle.timers import DAYS, Timer, Window, clock_minute, local_instant, read_timer

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "Europe/Madrid", "Europe/London", "Australia/Lord_Howe", "Asia/Beirut")]
"""Lord Howe moves its clocks by half an hour, Beirut at midnight."""
CHANGES = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 5), date(2026, 10, 4), date(2022, 3, 27), date(2022, 10, 30)]

days = st.one_of(st.dates(date(2020, 1, 1), date(2035, 12, 31)), st.sampled_from(CHANGES))
zones = st.sampled_from(ZONES)
minutes = st.one_of(st.integers(0, 1439), st.integers(0, 200))


def berlin(text: str, *, fold: int = 0) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold))


def first_shown(zone: ZoneInfo, day: date, minute: int) -> Instant:
    """Watch the clock from a day before, a minute at a time, until it shows that time or a later one."""
    wanted = datetime.combine(day, time(minute // 60, minute % 60))
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    while at.astimezone(zone).replace(tzinfo=None) < wanted:
        at += timedelta(minutes=1)
    return from_datetime(at)


@given(zone=zones, day=days, minute=minutes)
@settings(max_examples=150, deadline=None)
def test_a_local_time_is_due_when_the_clock_first_shows_it_or_a_later_one(zone: ZoneInfo, day: date, minute: int) -> None:
    assert local_instant(zone, day, minute) == first_shown(zone, day, minute)


@given(zone=zones, day=days, minute=minutes, weekdays=st.frozensets(st.integers(0, 6), min_size=1), second=st.integers(0, 86_399))
@settings(max_examples=60, deadline=None)
def test_the_next_occurrence_of_a_weekly_timer_is_the_earliest_that_is_later(
    zone: ZoneInfo, day: date, minute: int, weekdays: frozenset[int], second: int
) -> None:
    now = local_instant(zone, day, 0) + second * SECOND
    around = [day + timedelta(days=ahead) for ahead in range(-2, 11)]
    due = sorted(first_shown(zone, each, minute) for each in around if each.weekday() in weekdays)
    assert Timer(minute, weekdays).next_after(now, zone) == next(at for at in due if at > now)


@given(zone=zones, day=days, minute=minutes, hours=st.integers(-30, 60))
@settings(max_examples=60, deadline=None)
def test_a_timer_of_one_date_comes_once(zone: ZoneInfo, day: date, minute: int, hours: int) -> None:
    at = first_shown(zone, day, minute)
    now = at + hours * 60 * MINUTE
    assert Timer(minute, on_date=day).next_after(now, zone) == (at if hours < 0 else None)


@given(zone=zones, day=days, begin=minutes, end=minutes, second=st.integers(0, 86_399))
@settings(max_examples=60, deadline=None)
def test_a_window_is_the_stretch_that_holds_now_or_the_next_one(
    zone: ZoneInfo, day: date, begin: int, end: int, second: int
) -> None:
    now = local_instant(zone, day, 0) + second * SECOND
    stretches = []
    for ahead in range(-2, 5):
        opens = day + timedelta(days=ahead)
        shuts = opens if end > begin else opens + timedelta(days=1)
        stretches.append((first_shown(zone, opens, begin), first_shown(zone, shuts, end)))
    expected = next((b, e) for b, e in stretches if b < e and now < e)
    assert Window(begin, end).next_stretch(now, zone) == expected


def test_a_time_the_clocks_jump_over_is_due_at_the_jump() -> None:
    timer = read_timer("02:30", days=["sunday"])
    assert timer.next_after(berlin("2026-03-28T12:00"), BERLIN) == berlin("2026-03-29T03:00")
    assert timer.next_after(berlin("2026-03-29T03:00"), BERLIN) == berlin("2026-04-05T02:30")


def test_a_time_that_comes_twice_is_due_the_first_time_only() -> None:
    timer = read_timer("02:30", days=["sunday"])
    first = berlin("2026-10-25T02:30")
    assert timer.next_after(berlin("2026-10-24T12:00"), BERLIN) == first
    assert timer.next_after(first, BERLIN) == berlin("2026-11-01T02:30")
    assert berlin("2026-10-25T02:30", fold=1) == first + 60 * MINUTE  # and this is not it


def test_a_timer_keeps_its_local_time_when_the_clocks_change() -> None:
    timer = read_timer("06:30", days=DAYS)
    at = berlin("2026-03-27T12:00")
    seen = []
    for _ in range(3):
        next_at = timer.next_after(at, BERLIN)
        assert next_at is not None
        seen.append(next_at - at)
        at = next_at
    assert format(to_datetime(at).astimezone(BERLIN), "%F %T %z") == "2026-03-30 06:30:00 +0200"
    assert seen[1] == DAY - 60 * MINUTE


def test_at_the_very_instant_it_is_due_the_next_one_is_meant() -> None:
    timer = read_timer("00:00", days=["monday"])
    monday = berlin("2026-03-02T00:00")
    assert timer.next_after(monday - 1, BERLIN) == monday
    assert timer.next_after(monday, BERLIN) == monday + 7 * DAY


def test_a_timer_that_is_switched_off_is_never_due() -> None:
    assert read_timer("06:30", days=DAYS, enabled=False).next_after(0, BERLIN) is None


def test_a_window_across_midnight_holds_the_hours_on_both_sides() -> None:
    night = Window(clock_minute("22:00"), clock_minute("06:00"))
    stretch = (berlin("2026-03-28T22:00"), berlin("2026-03-29T06:00"))
    assert stretch[1] - stretch[0] == 7 * 60 * MINUTE  # an hour of it is jumped over
    for inside in ("2026-03-28T22:00", "2026-03-28T23:59", "2026-03-29T00:00", "2026-03-29T05:59"):
        assert night.next_stretch(berlin(inside), BERLIN) == stretch
    assert night.next_stretch(berlin("2026-03-28T21:59"), BERLIN) == stretch
    assert night.next_stretch(stretch[1], BERLIN) == (berlin("2026-03-29T22:00"), berlin("2026-03-30T06:00"))


@pytest.mark.parametrize("text", ["24:00", "6:30", "06:60", "06.30", "0630", "06:30:00", "", "٠٦:٣٠", "06:30\n"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time of day"):
        clock_minute(text)


@pytest.mark.parametrize(
    ("days", "on_date", "complaint"),
    [
        ((), None, "days of the week or one date"),
        (("monday",), "2026-03-29", "days of the week or one date"),
        (("Monday",), None, "no day of the week"),
        ((), "2026-02-30", "'2026-02-30' is no date: that month has no such day"),
        ((), "29.03.2026", "is no date"),
        ((), "20260329", "is no date"),
        ((), "9999-12-31", "is no date"),
        ((), "", "is no date"),
    ],
)
def test_a_timer_that_names_no_day_is_refused(days: tuple[str, ...], on_date: str | None, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_timer("06:30", days=days, on_date=on_date)


def test_a_time_of_day_is_read_as_a_minute() -> None:
    assert [clock_minute(text) for text in ("00:00", "06:05", "23:59")] == [0, 365, 1439]
