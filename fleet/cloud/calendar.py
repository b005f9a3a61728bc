"""Months and days of contracts, counted by the calendar of a market: by the clock on its walls, not in hours.

A term ends at the same local time as it began (ours), also when the clocks were changed meanwhile. What is kept are instants.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from fleet.cloud.countries import load_countries
from fleet.kernel.instants import Instant, from_datetime, to_datetime


@cache
def zone_of(country: str) -> tzinfo:
    """Return the time zone of a market, UTC of one that is not known."""
    market = load_countries().get(country)
    return UTC if market is None else ZoneInfo(market.timezone)


def local_text(at: Instant, zone: tzinfo) -> str:
    """Return an instant as people of the market write it, to the minute."""
    return to_datetime(at).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def months_later(at: Instant, months: int, zone: tzinfo = UTC) -> Instant:
    """Return the same local time so many months later (before, if negative), or on that month's last day."""
    local = to_datetime(at).astimezone(zone)
    years, month = divmod(local.month - 1 + months, 12)
    for last in (local.day, 30, 29, 28):
        try:
            return _on(local.date().replace(local.year + years, month + 1, last), local, zone)
        except ValueError:
            continue  # that month is shorter
    raise AssertionError("every month has 28 days")


def days_later(at: Instant, days: int, zone: tzinfo) -> Instant:
    """Return the same local time so many days later, or before."""
    local = to_datetime(at).astimezone(zone)
    return _on(local.date() + timedelta(days=days), local, zone)


def end_of_day(at: Instant, days: int, zone: tzinfo) -> Instant:
    """Return when the day ends that lies so many days after that of the instant: a term of days ends with its last day."""
    local = to_datetime(at).astimezone(zone)
    return _on(local.date() + timedelta(days=days + 1), local.replace(hour=0, minute=0, second=0, microsecond=0), zone)


def _on(day: date, time: datetime, zone: tzinfo) -> Instant:
    """Return a local time of a day; one that the clocks leave out is as much later, of one that comes twice it is the first."""
    return from_datetime(datetime.combine(day, time.time().replace(fold=0), zone).astimezone(UTC))
