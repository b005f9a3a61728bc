"""Tracks: good rows are used, broken ones are named, and what is no track is an error at its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.kernel.instants import SECOND
from fleet.scenario.loader import check, load, track_warnings
from fleet.scenario.tracks import Fix, read_track
from tests.scenario.samples import GOOD, VOCABULARY

EPOCH_2024 = 1_714_979_400 * SECOND
CSV = """\
time,lon,lat,speed
2024-05-06T07:10:00Z,11.5755,48.1374,0
2024-05-06T07:10:30Z,11.5780,48.1391,10
north,11.58,48.14,10
2024-05-06T07:10:40Z,11.58,,10
2024-05-06T07:10:40Z,11.58,98.1,10
yesterday,11.58,48.14,10
2024-05-06T07:10:20Z,11.58,48.14,10
2024-05-06T07:10:50Z,12.58,48.14,10
2024-05-06T07:10:50Z
1714979460,11.5800,48.1400,10
2024-05-06T09:11:30+02:00,11.5850,48.1420,10
"""
GPX = """\
<?xml version="1.0"?>
<gpx xmlns="http://www.topografix.com/GPX/1/1">
  <metadata><time>2020-01-01T00:00:00Z</time></metadata>
  <trk><name>morning</name><trkseg>
    <trkpt lat="48.1374" lon="11.5755"><ele>500</ele><time>2024-05-06T07:10:00Z</time></trkpt>
    <trkpt lat="48.1380" lon="11.5760"/>
    <trkpt lon="11.5800"><time>2024-05-06T07:10:30Z</time></trkpt>
    <trkpt lat="48.1400" lon="11.5800"><time>2024-05-06T07:11:00Z</time></trkpt>
  </trkseg></trk>
</gpx>
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_good_rows_of_a_csv_are_used_and_broken_ones_named(tmp_path: Path) -> None:
    """Columns by name, times with offsets or as seconds; each broken row with its line and why."""
    track = read_track(write(tmp_path, "t.csv", CSV))
    assert track.fixes == (
        Fix(48.1374, 11.5755, EPOCH_2024),
        Fix(48.1391, 11.5780, EPOCH_2024 + 30 * SECOND),
        Fix(48.14, 11.58, EPOCH_2024 + 60 * SECOND),
        Fix(48.142, 11.585, EPOCH_2024 + 90 * SECOND),
    )
    assert [line.replace(f"{tmp_path}/", "") for line in track.broken] == [
        "t.csv:4: 'north' is no time: ISO 8601 or seconds since 1970 are expected",
        "t.csv:5: '' is no latitude",
        "t.csv:6: 98.1 is no latitude: -90 to 90 degrees are expected",
        "t.csv:7: 'yesterday' is no time: ISO 8601 or seconds since 1970 are expected",
        "t.csv:8: its time is not after that of the row before it",
        "t.csv:9: it is 13383 km/h away from the row before it",
        "t.csv:10: '' is no latitude",
    ]


def test_points_of_a_gpx_are_read_by_their_lines(tmp_path: Path) -> None:
    """Other times in the file are not the points'."""
    track = read_track(write(tmp_path, "t.gpx", GPX))
    assert track.fixes == (Fix(48.1374, 11.5755, EPOCH_2024), Fix(48.14, 11.58, EPOCH_2024 + 60 * SECOND))
    assert [line.rpartition("/")[2] for line in track.broken] == [
        "t.gpx:6: '' is no time: ISO 8601 or seconds since 1970 are expected",
        "t.gpx:7: '' is no latitude",
    ]


def test_semicolons_separate_too(tmp_path: Path) -> None:
    """As spreadsheets of half of Europe write them."""
    assert len(read_track(write(tmp_path, "t.csv", "Latitude;Longitude;Time\n48;11;0\n48.001;11;60\n")).fixes) == 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "lat,lon\n48,11\n", "t.csv:1: there is no column time"),
        ("t.csv", "", "t.csv:1: there is no column latitude, longitude, time"),
        ("t.csv", "lat,lon,time\n48,11,0\n98,11,5\n", "t.csv has 1 good rows: at least 2 are expected"),
        ("t.gpx", "<gpx><trk>", "t.gpx:1: no XML: no element found"),
        ("t.gpx", "<gpx/>", "t.gpx has 0 good rows: at least 2 are expected"),
    ],
)
def test_what_is_no_track(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Too few good rows, no columns, no XML."""
    with pytest.raises(UsageError) as caught:
        read_track(write(tmp_path, name, text))
    assert str(caught.value).rpartition("/")[2] == message


def test_a_scenario_names_its_tracks_relative_to_itself(tmp_path: Path) -> None:
    """What cannot be used is an error at its name; what is left out is told beside."""
    write(tmp_path, "t.csv", CSV)
    write(tmp_path, "bad.csv", "lat,lon,time\n")
    made = GOOD.replace("    profile: commuter\n", "    tracks: {files: [t.csv]}\n")
    main = write(tmp_path, "main.yaml", made)
    assert check(made, str(main), VOCABULARY) == []
    scenario = load(main, VOCABULARY)
    assert scenario.fleets[0].tracks is not None
    assert scenario.fleets[0].tracks.files == (str(tmp_path / "t.csv"),)
    assert len(track_warnings(scenario)) == 7
    broken = made.replace("{files: [t.csv]}", "{files: [t.csv, none.csv, bad.csv, 5], at: 23:00}").replace(
        "name: parked", "name: p\n    tracks: {files: []}"
    )
    assert [str(error).replace(f"{tmp_path}/", "") for error in check(broken, str(main), VOCABULARY)] == [
        "main.yaml:13:48: fleets[0].tracks.files[3]: a text is expected, not 5",
        "main.yaml:17:21: fleets[1].tracks.files: no file is named: at least one track is expected",
        "main.yaml:20:5: fleets[1].profile: 'profile' and 'tracks' exclude each other: its track says where a car goes",
        "main.yaml:22:5: fleets[1].places: 'places' and 'tracks' exclude each other: its track says where a car goes",
    ]
    missing = made.replace("{files: [t.csv]}", "{files: [t.csv, none.csv, bad.csv], at: 23:00}")
    assert [str(error).replace(f"{tmp_path}/", "") for error in check(missing, str(main), VOCABULARY)] == [
        "main.yaml:13:29: fleets[0].tracks.files[1]: none.csv: there is no such file",
        "main.yaml:13:39: fleets[0].tracks.files[2]: bad.csv has 0 good rows: at least 2 are expected",
        "main.yaml:13:53: fleets[0].tracks.at: 23:00 never comes in a run from 2026-03-02T05:00 for 17 h",
    ]
