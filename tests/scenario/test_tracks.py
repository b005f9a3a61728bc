"""Tracks: good rows are used, broken ones are named, and what is no track is an error at its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.kernel.instants import DAY, MINUTE, SECOND, to_datetime
from fleet.scenario.following import FollowedTrack, followed_tracks, rows_left_out, track_findings
from fleet.scenario.loader import check, load
from fleet.scenario.tracks import Fix, Track, read_track
from tests.scenario.samples import GOOD, VOCABULARY

EPOCH_S = 1_714_979_400
EPOCH_2024 = EPOCH_S * SECOND
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
    text = "Latitude;Longitude;Time\n48,5;11;1714979400\n48,501;11;1714979460\n"
    assert [fix.latitude for fix in read_track(write(tmp_path, "t.csv", text)).fixes] == [48.5, 48.501]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "lat,lon\n48,11\n", "t.csv:1: there is no column time"),
        ("t.csv", "", "t.csv:1: there is no column latitude, longitude, time"),
        ("t.csv", "a;b\tc\n1;2\n", "t.csv:1: there is no column latitude, longitude, time"),
        ("t.csv", f"lat,lon,time\n48,11,{EPOCH_S}\n98,11,{EPOCH_S + 5}\n", "t.csv has 1 good rows: at least 2 are expected"),
        ("t.csv", f"lat,lon,time\n48,11,{EPOCH_S}\n48,11,{EPOCH_S + 5}\n", "t.csv has no drive in it: the car never goes 100 m"),
        ("t.gpx", "<gpx><trk>", "t.gpx:1: no XML: no element found"),
        ("t.gpx", "<gpx/>", "t.gpx has no points with times in it"),
        ("t.gpx", "<html/>", "t.gpx is XML with the root 'html', and no track that can be read"),
        ("t.csv", '{"type": "FeatureCollection"}', "t.csv is JSON, and no track that can be read"),
        ("t.nmea", "$GPRMC,071000,A,4808.24,N,01134.53,E,0,0,060524,,*00", "t.nmea is NMEA 0183, and no track that can be read"),
        ("t.csv", "lat,lon,time\0\n", "t.csv is no text"),
    ],
)
def test_what_is_no_track(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Too few good rows, no drive, no columns, no XML, formats of others by their names."""
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
    tracks = followed_tracks(scenario, VOCABULARY)
    assert len(rows_left_out(tracks)) == 7
    (finding,) = track_findings(tracks)
    assert "t.csv: 7 of its 11 rows are left out" in finding
    assert tracks[0].line("Europe/Berlin") == (
        "track t.csv of commuters: 1 drive, 0.9 km, from 2026-03-02 05:00 to 2026-03-02 05:01;"
        " 4 good rows, 7 left out (read as CSV with commas, columns 'lat', 'lon' and 'time')"
    )
    broken = made.replace("{files: [t.csv]}", "{files: [t.csv, none.csv, bad.csv, 5], at: 23:00}").replace(
        "name: parked", "name: p\n    tracks: {files: []}"
    )
    assert [str(error).replace(f"{tmp_path}/", "") for error in check(broken, str(main), VOCABULARY)] == [
        "main.yaml:13:29: fleets[0].tracks.files[1]: none.csv: there is no such file",
        "main.yaml:13:39: fleets[0].tracks.files[2]: bad.csv has 0 good rows: at least 2 are expected",
        "main.yaml:13:48: fleets[0].tracks.files[3]: a text is expected, not 5",
        "main.yaml:13:56: fleets[0].tracks.at: 23:00 never comes in a run from 2026-03-02T05:00 for 17 h",
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


# --- how others write their tracks ------------------------------------------------------------------------------------

DEGREES = [(48.1374 + 0.001 * number, 11.5755 + 0.001 * number) for number in range(40)]
"""A drive north-east, a row each 30 s."""


def iso(second: int) -> str:
    return f"{to_datetime(EPOCH_2024 + second * SECOND):%Y-%m-%dT%H:%M:%SZ}"


def drive(*, time: Callable[[int], str] = iso, head: str = "lat,lon,time", row: str = "{lat:.6f},{lon:.6f},{time}") -> list[str]:
    """Return the lines of a CSV of 40 good rows."""
    lines = [row.format(lat=lat, lon=lon, time=time(30 * number)) for number, (lat, lon) in enumerate(DEGREES)]
    return [head, *lines]


def track_of(folder: Path, lines: list[str]) -> Track:
    return read_track(write(folder, "t.csv", "\n".join(lines)))


def is_the_drive(track: Track) -> bool:
    """Whether all 40 rows are there, at the right instants."""
    whole = [(round(fix.latitude, 6), round(fix.longitude, 6), fix.at) for fix in track.fixes]
    return whole == [
        (round(lat, 6), round(lon, 6), EPOCH_2024 + 30 * number * SECOND) for number, (lat, lon) in enumerate(DEGREES)
    ]


def without(track: Track) -> list[int]:
    """Return the lines that are left out."""
    return [int(line.split(":")[1]) for line in track.broken]


@pytest.mark.parametrize(
    ("bad", "at"),
    [
        (["0,0,2024-05-06T07:09:30Z"], 0),
        (["0,0,2024-05-06T07:15:40Z"], 12),
        (["0,0,2024-05-06T07:15:40Z", "0,0,2024-05-06T07:15:45Z", "0,0,2024-05-06T07:15:50Z"], 12),
        (["48.1490,11.5870,2043-12-22T07:15:40Z"], 12),
        (["48.1490,11.5870,2024-05-07T07:15:40Z"], 12),
        (["48.1490,11.5870,2004-09-20T07:15:40Z"], 12),
        (["48.1490,11.5870,1970-01-01T00:00:00Z"], 0),
        ([f"48.149{n % 10},11.5870,2043-12-22T07:15:{n:02}Z" for n in range(40)], 12),
        (["58.1490,11.5870,2024-05-06T07:30:10Z"], 40),
    ],
)
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: list[str], at: int) -> None:
    """No fix, a week number that rolled over, a clock that was set: first, last or between, the rows around it stay."""
    lines = drive()
    lines[at + 1 : at + 1] = bad
    track = track_of(tmp_path, lines)
    assert is_the_drive(track)
    assert without(track) == [at + 2 + number for number in range(len(bad))]


def gpx(*segments: tuple[int, float, int]) -> str:
    """Return a GPX of segments: start in seconds, first latitude, rows each 30 s some 111 m north."""
    made = []
    for begin, latitude, rows in segments:
        points = [
            f'<trkpt lat="{latitude + 0.001 * n:.6f}" lon="11.5"><time>{iso(begin + 30 * n)}</time></trkpt>' for n in range(rows)
        ]
        made.append(f"<trkseg>{''.join(points)}</trkseg>")
    return f"<gpx><trk>{''.join(made)}</trk></gpx>"


def test_two_segments_far_apart_are_two_trips_and_a_finding(tmp_path: Path) -> None:
    """The car stands where the first recording ended, drives to where the second begins, and goes on; and that is told."""
    track = read_track(write(tmp_path, "t.gpx", gpx((0, 48.0, 50), (5_070, 48.25, 50))))
    first, second = track.trips(0)
    assert first.path.length_m == pytest.approx(5_450, rel=0.01)
    assert second.path.length_m == pytest.approx(22_350 + 5_450, rel=0.01)
    assert second.path.points[0] == first.destination.position
    assert second.departure - first.departure >= first.profile.duration_us + 5 * MINUTE
    (finding,) = track.unrecorded
    assert finding.rpartition("/")[2] == (
        "t.gpx:1: 1 h after the row before it, and 22.3 km away: the car stands, and then drives straight there"
    )


def test_segments_are_driven_in_the_order_of_their_times(tmp_path: Path) -> None:
    """Exports list the newest recording first; a row of it that is wrong moves none."""
    in_order = read_track(write(tmp_path, "t.gpx", gpx((0, 48.0, 50), (5_070, 48.25, 50))))
    newest_first = read_track(write(tmp_path, "u.gpx", gpx((5_070, 48.25, 50), (0, 48.0, 50))))
    assert newest_first.fixes == in_order.fixes
    assert newest_first.breaks == in_order.breaks


def test_many_rows_left_out_are_a_finding(tmp_path: Path) -> None:
    """A clock that jumps in the middle leaves half a drive: the report says so, not only the screen."""
    lines = drive()
    halves = [*lines[:19], *(line.replace("2024-", "2043-") for line in lines[19:])]
    for name, written in (("half.csv", halves), ("whole.csv", [*lines[:3], *lines[2:]])):
        track = track_of(tmp_path, written)
        followed = FollowedTrack(name, "recorded", track, tuple(track.trips(0)), DAY)
        told = [text for text in followed.findings() if "rows are left out" in text]
        assert bool(told) == (name == "half.csv")
        if told:
            assert told[0].startswith("half.csv: 18 of its 40 rows are left out; the first is ")


def test_a_segment_that_begins_at_once_goes_on(tmp_path: Path) -> None:
    """Devices begin a new segment after every tunnel: no engine is switched off for it."""
    (trip,) = read_track(write(tmp_path, "t.gpx", gpx((0, 48.0, 50), (1_560, 48.052, 50)))).trips(0)
    assert trip.path.length_m == pytest.approx(11_230, rel=0.01)


def test_a_long_silence_of_a_dense_csv_is_a_stop_too(tmp_path: Path) -> None:
    """A file without segments says by its rhythm that its recording stopped; a sparse one is one drive."""
    lines = drive()
    late = [f"{48.4 + 0.001 * n:.6f},11.6,{iso(4_800 + 30 * n)}" for n in range(20)]
    assert len(track_of(tmp_path, [*lines, *late]).trips(0)) == 2
    sparse = ["lat,lon,time", *(f"{48 + 0.1 * n:.6f},11.6,{iso(600 * n)}" for n in range(6))]
    assert len(track_of(tmp_path, sparse).trips(0)) == 1


def test_a_drive_that_the_run_is_too_short_for_is_told(tmp_path: Path) -> None:
    """None of its drives begins: the cars would stand, and the run pass."""
    stands = [f"48.1374,11.5755,{iso(-80_000 + 1_000 * n)}" for n in range(79)]
    write(tmp_path, "t.csv", "\n".join(["lat,lon,time", *stands, *drive()[1:]]))
    made = GOOD.replace("    profile: commuter\n", "    tracks: {files: [t.csv]}\n")
    scenario = load(write(tmp_path, "main.yaml", made), VOCABULARY)
    (finding,) = track_findings(followed_tracks(scenario, VOCABULARY))
    told = finding.rpartition("/")[2]
    assert told == "t.csv: none of its drives begins in the run; the cars of commuters that follow it stay parked"
