"""Months and days are those of a market's calendar: the same local time, also across a change of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fleet.cloud.calendar import days_later, end_of_day, months_later, zone_of
from fleet.cloud.countries import load_countries
from fleet.kernel.instants import HOUR, Instant, from_datetime

BERLIN = ZoneInfo("Europe/Berlin")


def at(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, *, zone: str = "Europe/Berlin", fold: int = 0
) -> Instant:  # fmt: skip
    return from_datetime(datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold))


@pytest.mark.parametrize(
    ("begins", "months", "ends"),
    [
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2028, 1, 31), 1, (2028, 2, 29)),
        ((2026, 12, 15), 1, (2027, 1, 15)),
        ((2026, 3, 31), -1, (2026, 2, 28)),
        ((2026, 1, 15), -1, (2025, 12, 15)),
        ((2024, 2, 29), 36, (2027, 2, 28)),
    ],
)
def test_months_are_those_of_the_calendar(begins: tuple[int, int, int], months: int, ends: tuple[int, int, int]) -> None:
    assert months_later(at(*begins, 10, 30), months, BERLIN) == at(*ends, 10, 30)
    assert months_later(at(*begins, 10, 30, zone="UTC"), months) == at(*ends, 10, 30, zone="UTC")


def test_the_local_time_stays_when_the_clocks_change() -> None:
    winter = at(2026, 1, 15, 9)
    assert months_later(winter, 6, BERLIN) == at(2026, 7, 15, 9)
    assert months_later(winter, 6, UTC) == months_later(winter, 6, BERLIN) + HOUR
    assert days_later(at(2026, 3, 28, 12), 1, BERLIN) == at(2026, 3, 28, 12) + 23 * HOUR
    assert days_later(at(2026, 10, 26, 12), -15, BERLIN) == at(2026, 10, 11, 12)


def test_a_time_that_the_clocks_leave_out_is_an_hour_later_and_of_one_that_comes_twice_it_is_the_first() -> None:
    assert months_later(at(2026, 2, 28, 2, 30), 1, BERLIN) == at(2026, 3, 28, 2, 30)
    assert days_later(at(2026, 3, 28, 2, 30), 1, BERLIN) == at(2026, 3, 29, 3, 30)
    assert days_later(at(2026, 10, 24, 2, 30), 1, BERLIN) == at(2026, 10, 25, 2, 30)
    assert days_later(at(2026, 10, 25, 2, 30, fold=1), 0, BERLIN) == at(2026, 10, 25, 2, 30)


@pytest.mark.parametrize("hour", [0, 12, 23])
def test_a_term_of_days_ends_with_its_last_day(hour: int) -> None:
    assert end_of_day(at(2026, 3, 20, hour), 14, BERLIN) == at(2026, 4, 4)
    assert end_of_day(at(2026, 10, 20, hour), 14, BERLIN) == at(2026, 11, 4)


def test_every_market_has_a_calendar_and_a_place_that_is_none_has_that_of_utc() -> None:
    assert {country: zone_of(country) for country in load_countries()}["SE"] == ZoneInfo("Europe/Stockholm")
    assert zone_of("") is zone_of("XX") is UTC
