"""Times in track files: columns of dates and times as devices write them, and the instants that are plausible."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.kernel.instants import SECOND
from fleet.scenario.track_times import read_times
from tests.scenario.test_tracks import EPOCH_S, drive, is_the_drive, iso, track_of


@pytest.mark.parametrize(
    "lines",
    [
        drive(time=lambda second: str((EPOCH_S + second) * 10**3)),
        drive(time=lambda second: str((EPOCH_S + second) * 10**6)),
        drive(time=lambda second: str((EPOCH_S + second) * 10**9)),
        drive(time=lambda second: f"{EPOCH_S + second}.000"),
        drive(time=lambda second: iso(second).replace("-", "").replace(":", "")),
        drive(time=lambda second: re.sub(r"\D", "", iso(second))),
        drive(head="lat,lon,date,time", time=lambda second: f"060524,{iso(second)[11:19].replace(':', '')}"),
        drive(head="lat,lon,DATE,TIME", time=lambda second: f"20240506,{int(iso(second)[11:19].replace(':', ''))}"),
        drive(head="lat,lon,utc_date,utc_time", time=lambda second: f"2024-05-06,{iso(second)[11:19]}"),
        drive(head="lat,lon,Date,Time", time=lambda second: f"06.05.2024,{iso(second)[11:19]}"),
        drive(head="lat,lon,elapsed,Timestamp", time=lambda second: f"{second},{iso(second)}"),
        drive(head="lat,lon,time,timestamp", time=lambda second: f"{second},{EPOCH_S + second}"),
        drive(head="Latitude (deg),Longitude (deg),GPS Time"),
        drive(head='lat,lon,time,"note; free text"', row='{lat:.6f},{lon:.6f},{time},"a; b, c"'),
        drive(head="lat\tlon\ttime", row="{lat:.6f}\t{lon:.6f}\t{time}"),
        drive(head="lat|lon|time", row="{lat:.6f}|{lon:.6f}|{time}"),
        drive(head="LATITUDE N/S,LONGITUDE E/W,time", row="{lat:.6f}N,{lon:.6f}E,{time}"),
        drive(
            head="lat;lon;Datum;Uhrzeit", row="{lat:.6f};{lon:.6f};{time}", time=lambda second: f"06.05.24;{iso(second)[11:19]}"
        ),
        drive(head="Längengrad;Breitengrad;Zeitstempel", row="{lon:.6f};{lat:.6f};{time}"),
        ['"lat","lon","time"', *(re.sub(r"(\d+)\.(\d{6})", r'"\1,\2"', line) for line in drive()[1:])],
        [drive()[0], *drive()[:0:-1]],
        ["# recorded by a logger; version 2", "", *drive()],
        ["sep=;", *drive(head="lat;lon;time", row="{lat:.6f};{lon:.6f};{time}")],
        ["Device 4711", "Exported 2024-05-07", *drive()],
        [f"{line}\r" for line in drive()],
        ["#lat,lon,time", *drive()[1:]],
    ],
)
def test_columns_and_times_as_devices_write_them(tmp_path: Path, lines: list[str]) -> None:
    """Epochs of every unit, compact dates, two columns, other separators, lines before the head: 40 good rows at their times."""
    assert is_the_drive(track_of(tmp_path, lines))


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        (("31/05/2024 23:59:30", "01/06/2024 00:00:00", "01/06/2024 00:00:30"), "day, month, year"),
        (("05/31/2024 11:59:30 PM", "06/01/2024 12:00:00 AM", "06/01/2024 12:00:30 AM"), "month, day, year"),
        (("01.02.2024 23:59:30", "02.02.2024 00:00:00", "02.02.2024 00:00:30"), "day, month, year"),
        (("24/05/06 07:00:00", "24/05/06 07:00:30", "24/05/07 07:00:00"), "year, month, day"),
    ],
)
def test_a_column_of_dates_is_read_in_the_order_in_which_its_rows_lie_together(dates: tuple[str, ...], order: str) -> None:
    """One date does not say whether its day comes first; the column does."""
    times = read_times(dates)
    assert times.order == order
    first, second, _ = (instant for instant in times.instants if isinstance(instant, int))
    assert second - first == 30 * SECOND


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("60", "as seconds, ms, µs or ns since 1970 it is not from 1990 to 2099"),
        ("45418.29861", "as seconds, ms, µs or ns since 1970 it is not from 1990 to 2099"),
        ("nan", "'nan' is no time"),
        ("1970-01-01T00:00:00Z", "is in 1970: a time from 1990 to 2099 is expected"),
        ("2262-01-01T00:00:00Z", "is in 2262: a time from 1990 to 2099 is expected"),
        ("07:10:00", "is a time of the day: its date is missing"),
    ],
)
def test_only_plausible_instants_are_times(text: str, why: str) -> None:
    """A number is read by its size, and what no receiver can have meant is told with its reason."""
    (instant,) = read_times([text]).instants
    assert isinstance(instant, str)
    assert why in instant
