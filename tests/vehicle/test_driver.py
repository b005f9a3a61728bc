"""Days and their trips: the published figures, and that nothing depends on anything else."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.errors import UnknownName
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import DAY, HOUR, MINUTE, Instant, from_datetime, to_datetime
from fleet.vehicle.driver import (
    COMMUTER_SHARE,
    LENGTHS_KM,
    PROFILES,
    TRIPS_WEEKDAY,
    TRIPS_WEEKEND,
    Driver,
    PlannedTrip,
    draw_driver,
    draw_length_km,
)
from fleet.vehicle.geo import road_path
from fleet.vehicle.kinematics import speed_plan
from fleet.vehicle.regions import region

DEPARTURES_WEEKDAY = (0.5,) * 6 + (4.8,) * 3 + (5.2,) * 5 + (6.9,) * 3 + (8.5,) * 3 + (3.3,) * 3 + (0.5,)
"""Percent of a working day's trips that start in each hour (emobpy 0.6.2): what both profiles give together."""
SEED = 2017
DRIVERS = 1200
MONDAY = date(2026, 3, 2)
BERLIN = ZoneInfo("Europe/Berlin")
KEYS = st.integers(0, 2**64 - 1)
SETTINGS = settings(deadline=None, max_examples=60)


class Drive(NamedTuple):
    """A planned trip as it was driven."""

    driver: int
    day: date
    trip: PlannedTrip
    road_m: float
    duration_us: int


def driver(n: int, profile: str | None = None, where: str = "munich") -> Driver:
    return draw_driver(stream_key(SEED, str(n), "driver"), region(where), profile)


def driven(n: int, who: Driver, day: date) -> list[Drive]:
    drives = []
    here = who.home.position
    for index, trip in enumerate(who.plan_day(day)):
        position = day.toordinal() * 100 + index
        path = road_path(Draws(who.key, "road", position), here, trip.destination.position)
        profile = speed_plan(Draws(who.key, "speed", position), path.length_m)
        drives.append(Drive(n, day, trip, path.length_m, profile.duration_us))
        here = trip.destination.position
    return drives


@pytest.fixture(scope="module")
def week() -> list[list[Drive]]:
    """A week of 1200 drivers, a list for each car-day."""
    days = [MONDAY + timedelta(days=n) for n in range(7)]
    return [driven(n, who, day) for n in range(DRIVERS) for who in [driver(n)] for day in days]


# --- the published figures


def test_number_of_trips_is_the_published_one(week: list[list[Drive]]) -> None:
    """Each share within 2.5 points on working days (6000 car-days) and 3.5 at weekends (2400)."""
    for first, last, table, tolerance in ((0, 5, TRIPS_WEEKDAY, 0.025), (5, 7, TRIPS_WEEKEND, 0.035)):
        days = [car_day for n, car_day in enumerate(week) if first <= n % 7 < last]
        count = Counter(len(car_day) for car_day in days)
        assert set(count) <= set(table)
        for trips, share in table.items():
            assert count[trips] / len(days) == pytest.approx(share, abs=tolerance), f"seed {SEED}, {trips} trips"


def test_lengths_are_the_published_ones(week: list[list[Drive]]) -> None:
    """Road lengths as driven: each quantile within 3 points, the mean 15 km within 1 km."""
    lengths = [drive.road_m / 1000 for car_day in week for drive in car_day]
    for km, share in LENGTHS_KM[1:]:
        found = sum(length <= km for length in lengths) / len(lengths)
        assert found == pytest.approx(share, abs=0.03), f"seed {SEED}, {km} km"
    assert sum(lengths) / len(lengths) == pytest.approx(15.0, abs=1.0), f"seed {SEED}"


def test_length_draws_have_the_stated_quantiles() -> None:
    """Before places and roads: within 1 point of the table, and never beyond the limit."""
    lengths = [draw_length_km(Draws(SEED, "length", n), 300.0) for n in range(20_000)]
    for km, share in LENGTHS_KM:
        assert sum(length <= km for length in lengths) / len(lengths) == pytest.approx(share, abs=0.01), f"seed {SEED}"
    assert 250.0 < max(lengths) <= 300.0


def test_a_day_has_45_minutes_of_driving(week: list[list[Drive]]) -> None:
    """Within 3 minutes on the mean of all cars and days: parked 97 % of the time."""
    driving = sum(drive.duration_us for car_day in week for drive in car_day) / len(week)
    assert driving / MINUTE == pytest.approx(45.0, abs=3.0), f"seed {SEED}"
    assert 1 - driving / DAY == pytest.approx(0.97, abs=0.003), f"seed {SEED}"


@pytest.mark.parametrize(("first", "last"), [(0, 5), (6, 8), (9, 13), (14, 16), (17, 19), (20, 22), (23, 23)])
def test_departures_of_a_working_day_are_the_published_ones(week: list[list[Drive]], first: int, last: int) -> None:
    """Percent of the trips in each band of hours, within 2 points, both profiles together."""
    hours = [
        to_datetime(drive.trip.departure).astimezone(BERLIN).hour
        for car_day in week
        for drive in car_day
        if drive.day.weekday() < 5
    ]
    found = 100 * sum(first <= hour <= last for hour in hours) / len(hours)
    assert found == pytest.approx(sum(DEPARTURES_WEEKDAY[first : last + 1]), abs=2.0), f"seed {SEED}"


def test_published_hours_are_whole() -> None:
    """24 hours, 100 %."""
    assert len(DEPARTURES_WEEKDAY) == 24
    assert sum(DEPARTURES_WEEKDAY) == pytest.approx(100.0)


# --- the shape of a day


def begin_of(day: date, zone: ZoneInfo) -> Instant:
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))


@SETTINGS
@given(KEYS, st.sampled_from(PROFILES), st.sampled_from(["munich", "madrid"]), st.dates(date(2024, 1, 1), date(2030, 12, 31)))
def test_a_day_can_be_driven_as_it_is_planned(key: int, profile: str, where: str, day: date) -> None:
    """Whatever the draws: chained, home at last, each departure after the arrival before it, all between two midnights."""
    who = draw_driver(key, region(where), profile)
    drives = driven(0, who, day)
    free_at = begin_of(day, who.region.zone)
    for drive in drives:
        assert drive.trip.departure >= free_at
        free_at = drive.trip.departure + drive.duration_us
    assert free_at <= begin_of(day + timedelta(days=1), who.region.zone)
    assert not drives or drives[-1].trip.destination is who.home
    for a, b in pairwise(drives):
        assert a.trip.destination != b.trip.destination
        if profile != "courier":
            assert b.trip.departure - a.trip.departure - a.duration_us >= 10 * MINUTE


@pytest.mark.parametrize("day", [MONDAY, date(2026, 3, 29)])
def test_the_longest_days_fit_too(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    """Five trips of the greatest length each still end before midnight, even on the day of 23 hours."""
    monkeypatch.setattr("fleet.vehicle.driver.draw_length_km", lambda _, longest_km: longest_km)
    counts = set()
    for n in range(60):
        drives = driven(n, driver(n, "errands"), day)
        counts.add(len(drives))
        assert all(a.trip.departure + a.duration_us < b.trip.departure for a, b in pairwise(drives))
        if drives:
            assert drives[0].trip.departure >= begin_of(day, BERLIN)
            assert drives[-1].trip.departure + drives[-1].duration_us <= begin_of(day + timedelta(days=1), BERLIN)
    assert 5 in counts, f"seed {SEED}"


def test_plans_depend_on_key_and_day_alone() -> None:
    """Asked in another order, after other days and other drivers, the plan is the same."""
    days = [MONDAY + timedelta(days=n) for n in range(10)]
    forward = {(n, day): driver(n).plan_day(day) for n in range(20) for day in days}
    backward = {(n, day): driver(n).plan_day(day) for day in reversed(days) for n in reversed(range(20))}
    assert forward == backward
    assert len({plan for plan in forward.values() if plan}) == sum(1 for plan in forward.values() if plan)


def test_commuters_go_to_work_first_on_working_days() -> None:
    """In the morning, to the one place of work; never at the weekend."""
    for n in range(150):
        who = driver(n, "commuter")
        for day in (MONDAY, MONDAY + timedelta(days=5)):
            plan = who.plan_day(day)
            if day == MONDAY and plan:
                assert plan[0].destination == who.work
                assert plan[0].purpose == "work"
                assert 5 <= to_datetime(plan[0].departure).astimezone(BERLIN).hour <= 9
            else:
                assert all(trip.purpose != "work" for trip in plan)


def test_couriers_make_many_short_trips_in_working_hours() -> None:
    """Ten and more, between 8 and 20 h, none on Sundays."""
    for n in range(40):
        who = driver(n, "courier")
        drives = driven(n, who, MONDAY)
        assert 10 <= len(drives) <= 26
        hours = [to_datetime(drive.trip.departure).astimezone(BERLIN).hour for drive in drives]
        assert min(hours) >= 8
        assert max(hours) < 20
        assert sum(drive.road_m for drive in drives[:-1]) / len(drives) < 8_000
        assert who.plan_day(MONDAY + timedelta(days=6)) == ()


def test_weekend_drivers_and_parked_cars() -> None:
    """The one hardly on working days, mostly at weekends; the other never."""
    busy = [[bool(driver(n, "weekend").plan_day(MONDAY + timedelta(days=day))) for day in range(7)] for n in range(200)]
    assert sum(sum(days[:5]) for days in busy) < 0.1 * 5 * 200, f"seed {SEED}"
    assert sum(sum(days[5:]) for days in busy) > 0.8 * 2 * 200, f"seed {SEED}"
    assert not any(driver(n, "parked").plan_day(MONDAY + timedelta(days=n % 7)) for n in range(50))


def test_profiles_are_drawn_by_their_share_and_checked() -> None:
    """Without a name: commuter or errands; a wrong name is answered with the nearest. The home stays the same."""
    profiles = Counter(driver(n).profile for n in range(1000))
    assert set(profiles) == {"commuter", "errands"}
    assert profiles["commuter"] / 1000 == pytest.approx(COMMUTER_SHARE, abs=0.04), f"seed {SEED}"
    assert {driver(7, profile).home for profile in PROFILES} == {driver(7).home}
    with pytest.raises(UnknownName) as caught:
        driver(1, "comuter")
    assert "commuter" in caught.value.hint


def test_garages_come_by_the_share_asked_for() -> None:
    """None by default; with 1 every place but none else changes."""
    key = stream_key(SEED, "garage")
    plain, hidden = draw_driver(key, region("munich")), draw_driver(key, region("munich"), garage_share=1.0)
    assert not plain.home.garage
    assert hidden.home.garage
    assert hidden.home.position == plain.home.position
    for n in range(14):
        day = MONDAY + timedelta(days=n)
        assert [t.destination.position for t in plain.plan_day(day)] == [t.destination.position for t in hidden.plan_day(day)]
        assert all(trip.destination.garage for trip in hidden.plan_day(day))


# --- local time


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 3, 30), 24)])
def test_midnights_follow_the_clocks(day: date, hours: int) -> None:
    """The day that loses an hour has 23, the one that gains it 25."""
    begin = begin_of(day, BERLIN)
    who = driver(1)
    assert who.next_midnight(begin) == begin + hours * HOUR
    assert who.next_midnight(begin + hours * HOUR - 1) == begin + hours * HOUR
    assert who.local_date(begin) == day
    assert who.local_date(begin - 1) == day - timedelta(days=1)


@given(st.integers(0, 100 * 366 * DAY), st.sampled_from(["Europe/Berlin", "Europe/Madrid"]))
@example(from_datetime(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)), "Europe/Berlin")
@example(from_datetime(datetime(2026, 10, 25, 23, 0, tzinfo=UTC)) - 1, "Europe/Berlin")
@example(from_datetime(datetime(2026, 3, 1, 23, 0, tzinfo=UTC)), "Europe/Berlin")
def test_local_dates_are_those_of_the_calendar(now: Instant, zone: str) -> None:
    """At any instant, and on the days on which clocks change: the date there, and the midnight that ends it."""
    who = next(driver(1, where=name) for name in ("munich", "madrid") if region(name).timezone == zone)
    day = to_datetime(now).astimezone(ZoneInfo(zone)).date()
    assert who.local_date(now) == day
    after = day + timedelta(days=1)
    assert who.next_midnight(now) == from_datetime(datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(zone)))


def test_departures_keep_their_local_hours_over_a_change_of_the_clocks() -> None:
    """Sunday drivers start by the clock on the wall: the hours of both Sundays of change look like any other's."""

    def mean_hour(day: date) -> float:
        hours = [
            to_datetime(trip.departure).astimezone(BERLIN).hour for n in range(800) for trip in driver(n, "weekend").plan_day(day)
        ]
        return sum(hours) / len(hours)

    usual = mean_hour(date(2026, 3, 22))
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        assert mean_hour(day) == pytest.approx(usual, abs=0.35), f"seed {SEED}"
