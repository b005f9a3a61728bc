"""The scalars of the scenario language: durations, shares, rates, clocks, moments, windows."""

# ruff: noqa: E501 - a table of cases reads best with one case in a line

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, from_datetime
from fleet.scenario.drawn import Distances, SpinMix, Values
from fleet.scenario.scalars import (
    ClockFactor,
    DayWindow,
    Distance,
    Duration,
    LocalTime,
    Misread,
    Moment,
    Rate,
    Readable,
    Share,
)

BERLIN = "Europe/Berlin"


def utc(*parts: int) -> int:
    return from_datetime(datetime(*parts, tzinfo=UTC))  # type: ignore[misc,arg-type]


@given(st.integers(0, 3000), st.sampled_from([("s", SECOND), ("min", MINUTE), ("h", HOUR), ("days", DAY)]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: tuple[str, int]) -> None:
    """Durations are exact microseconds."""
    name, size = unit
    assert Duration.parse(f"{number} {name}") == number * size
    assert Duration.parse(f"{number}{name}") == number * size


@given(st.integers(0, 100))
def test_a_share_reads_the_same_as_percent_and_as_part(percent: int) -> None:
    """`6 %` and 0.06 are the same share."""
    assert Share.parse(f"{percent} %") == Share.parse(percent / 100)
    assert Share.parse(str(Share.parse(f"{percent} %"))) == Share.parse(f"{percent} %")


@given(st.integers(0, 20_000))
def test_a_distance_is_in_metres(number: int) -> None:
    """Kilometres become metres, and what is written back reads the same."""
    assert Distance.parse(f"{number} km") == Distance.parse(f"{number * 1000} m") == float(number * 1000)
    assert Distance.parse(f"{number / 8} m") == number / 8


@given(st.integers(1, 5000), st.sampled_from(["s", "min", "hour", "day"]), st.integers(1, 500))
def test_a_rate_per_car_grows_with_the_cars(number: int, unit: str, cars: int) -> None:
    """`per car` multiplies by the number of cars; a plain rate does not."""
    fleet = Rate.parse(f"{number} per {unit}")
    each = Rate.parse(f"{number} per {unit} per car")
    assert each.per_second(cars) == pytest.approx(fleet.per_second(cars) * cars)
    assert Rate.parse(str(each)) == each
    assert fleet.per_second(1) == pytest.approx(number * SECOND / {"s": SECOND, "min": MINUTE, "hour": HOUR, "day": DAY}[unit])


def test_a_clock_is_real_or_a_factor() -> None:
    """`real` is the factor 1."""
    assert ClockFactor.parse("real") == 1.0
    assert ClockFactor.parse("x1800") == 1800.0
    assert str(ClockFactor.parse("x0.5")) == "x0.5"
    assert str(ClockFactor.parse("real")) == "real"
    assert (str(ClockFactor.parse("virtual")), ClockFactor.parse("virtual").is_virtual) == ("virtual", True)
    assert not ClockFactor.parse("x100000").is_virtual
    for text in ("real", "virtual", "x0.001", "x60", "x1.23456789", "x99999.875", "x100000"):
        assert str(ClockFactor.parse(text)) == text, "a part of a run is given the same clock by its text"


@pytest.mark.parametrize(
    ("kind", "raw", "message", "hint"),
    [
        (Duration, 10, "10 has no unit: a duration such as '10 min' or '1 h 30 min' is expected", "Did you mean '10 min'?"),
        (Duration, True, "a duration such as '10 min' or '1 h 30 min' is expected, not true", ""),
        (Duration, "9" * 400 + " h", f"'{'9' * 39}…' is too long", ""),
        (Duration, "5 minutes", "'minutes' is not a unit of time: use ms, s, min, h, days or weeks", ""),
        (Share, 6, "6 is not between 0 and 1: a share such as '6 %' or 0.06 is expected", "Did you mean '6 %'?"),
        (Share, "120 %", "'120 %' is more than the whole: at most '100 %' is expected", ""),
        (Share, -0.5, "-0.5 is not between 0 and 1: a share such as '6 %' or 0.06 is expected", ""),
        (Share, "six", "a share such as '6 %' or 0.06 is expected, not 'six'", ""),
        (Distance, 400, "400 has no unit: a distance such as '400 m' or '1.5 km' is expected", "Did you mean '400 m'?"),
        (Distance, "1 mile", "a distance such as '400 m' or '1.5 km' is expected, not '1 mile'", ""),
        (Distance, "30000 km", "'30000 km' is too far: at most '20000 km' is expected", ""),
        (Rate, "5 per moon", "'moon' is not a unit of time: per s, min, hour or day is expected", ""),
        (Rate, 5, "a rate such as '120 per hour', '2 per s' or '3 per day per car' is expected, not 5", ""),
        (Rate, "0 per s", "'0 per s' is out of range: a rate above 0 and at most a thousand million is expected", ""),
        (ClockFactor, 1800, f"{ClockFactor.expected} is expected, not 1800", "Did you mean 'x1800'?"),
        (ClockFactor, "x0", f"'x0' is out of range: {ClockFactor.expected} is expected", ""),
        (DayWindow, "9-10", "a time of day such as '06:00-09:00' is expected, not '9-10'", ""),
        (DayWindow, "22:00-02:00", "'22:00-02:00' ends before it begins: a time of day such as '06:00-09:00', within one day, is expected", ""),
        (DayWindow, "06:75-09:00", "'06:75-09:00' is not on the clock: a time of day such as '06:00-09:00', at most to 24:00, is expected", ""),
        (LocalTime, "tomorrow", f"{LocalTime.expected} is expected, not 'tomorrow'", ""),
        (LocalTime, "1203-01-01T00:00", "'1203-01-01T00:00' is out of range: a year from 1980 to 2199 is expected", ""),
        (Values, {"from": 3, "to": 1}, "the range ends at 1, below its start 3", ""),
        (Values, {"from": 3}, "the range lacks 'to'", ""),
        (Distances, {"from": "1 km", "to": "5 m"}, "the range ends at 5 m, below its start 1000 m", ""),
        (Distances, {"from": "1 m", "too": "5 m"}, "unknown key 'too': a range has 'from' and 'to'", ""),
        (SpinMix, {"right": 0.5}, "the shares add up to 50 %: 100 % is expected", ""),
        (SpinMix, "maybe", "right, wrong, none, new or token, or shares such as {right: 95 %, wrong: 5 %} is expected, not 'maybe'", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_was_expected(kind: type[Readable], raw: object, message: str, hint: str) -> None:
    """Every refusal names the value and what such a value looks like."""
    with pytest.raises(Misread) as caught:
        kind.parse(raw)
    assert str(caught.value) == message
    assert caught.value.hint == hint


def test_a_day_that_does_not_exist_is_refused() -> None:
    """The calendar is checked, not only the digits."""
    with pytest.raises(Misread, match="'2026-02-30T05:00' does not exist"):
        LocalTime.parse("2026-02-30T05:00")


def test_a_start_is_local_unless_it_has_an_offset() -> None:
    """Without an offset the zone decides; with one the zone does not matter."""
    assert LocalTime.parse("2026-03-02T05:00").instant(BERLIN) == utc(2026, 3, 2, 4)
    assert LocalTime.parse("2026-07-02T05:00").instant(BERLIN) == utc(2026, 7, 2, 3)
    assert LocalTime.parse("2026-03-02T05:00+05:00").instant(BERLIN) == utc(2026, 3, 2, 0)
    assert LocalTime.parse("2026-03-02 05:00Z").instant(BERLIN) == utc(2026, 3, 2, 5)


def test_clock_changes_are_told_apart() -> None:
    """An hour that is left out is refused; one that comes twice is its first time."""
    with pytest.raises(Misread, match="does not exist in Europe/Berlin"):
        LocalTime.parse("2026-03-29T02:30").instant(BERLIN)
    assert LocalTime.parse("2026-10-25T02:30").instant(BERLIN) == utc(2026, 10, 25, 0, 30)


@pytest.mark.parametrize(
    ("raw", "begin", "hours", "found"),
    [
        ("90 min", (2026, 3, 2, 4), 2, (2026, 3, 2, 5, 30)),
        ("2 h", (2026, 3, 2, 4), 2, None),
        ("06:30", (2026, 3, 2, 4), 2, (2026, 3, 2, 5, 30)),
        ("05:00", (2026, 3, 2, 4), 2, (2026, 3, 2, 4)),
        ("04:59", (2026, 3, 2, 4), 24, (2026, 3, 3, 3, 59)),
        ("04:59", (2026, 3, 2, 4), 2, None),
        ("00:00", (2028, 2, 28, 12), 48, (2028, 2, 28, 23)),
        ("2028-02-29T12:00", (2028, 2, 28, 12), 48, (2028, 2, 29, 11)),
        ("2028-02-29T12:00Z", (2028, 2, 28, 12), 48, (2028, 2, 29, 12)),
        ("02:30", (2026, 3, 29, 0), 4, None),
        ("02:30", (2026, 3, 29, 0), 30, (2026, 3, 30, 0, 30)),
        ("02:30", (2026, 10, 24, 22), 6, (2026, 10, 25, 0, 30)),
        ("02:30", (2026, 10, 25, 0, 45), 2, None),
        ("03:30", (2026, 3, 29, 0), 4, (2026, 3, 29, 1, 30)),
    ],
)
def test_a_moment_is_found_in_its_stage(raw: str, begin: tuple[int, ...], hours: int, found: tuple[int, ...] | None) -> None:
    """An offset, the next time of day, or a date; over leap days and changes of the clocks; None when it does not come."""
    moment = Moment.parse(raw)
    assert moment.within(utc(*begin), hours * HOUR, BERLIN) == (utc(*found) if found else None)
    assert Moment.parse(str(moment)) == moment


def test_a_window_comes_every_day_of_the_run() -> None:
    """Its instants are clipped to the run."""
    window = DayWindow.parse("06:00-09:00")
    start = LocalTime.parse("2026-03-02T07:00").instant(BERLIN)
    assert window.intervals(start, 24 * HOUR, BERLIN) == [
        (start, start + 2 * HOUR),
        (start + 23 * HOUR, start + 24 * HOUR),
    ]
    assert window.intervals(start + 3 * HOUR, HOUR, BERLIN) == []


def test_a_window_over_a_clock_change_follows_the_wall_clock() -> None:
    """00:00-24:00 of the day the clocks go forward has 23 hours."""
    ((begin, end),) = DayWindow.parse("00:00-24:00").intervals(utc(2026, 3, 28, 23), 23 * HOUR, BERLIN)
    assert end - begin == 23 * HOUR


@given(st.integers(0, 23), st.integers(1, 6), st.integers(1, 100))
def test_windows_lie_inside_the_run(hour: int, length: int, run_hours: int) -> None:
    """No interval leaves the run, and none overlaps the next."""
    window = DayWindow(begin_us=hour * HOUR, end_us=min(hour + length, 24) * HOUR)
    start = utc(2026, 3, 2) + timedelta(hours=3) // timedelta(microseconds=1)
    found = window.intervals(start, run_hours * HOUR, BERLIN)
    edges = [edge for interval in found for edge in interval]
    assert edges == sorted(edges)
    assert all(start <= edge <= start + run_hours * HOUR for edge in edges)
