"""Track files: known by their content, packed or not."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.scenario.tracks import read_track
from tests.scenario.test_tracks import DEGREES, drive, is_the_drive, iso

KML_TRACK = (
    '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"><Document><Placemark><gx:Track>'
    + "".join(f"<when>{iso(30 * n)}</when>" for n in range(40))
    + "".join(f"<gx:coord>{lon:.6f} {lat:.6f} 0</gx:coord>" for lat, lon in DEGREES)
    + "</gx:Track></Placemark></Document></kml>"
)


KML_POINTS = (
    "<kml><Document>"
    + "".join(
        f"<Placemark><TimeStamp><when>{iso(30 * n)}</when></TimeStamp>"
        f"<Point><coordinates>{lon:.6f},{lat:.6f},0</coordinates></Point></Placemark>"
        for n, (lat, lon) in enumerate(DEGREES)
    )
    + "</Document></kml>"
)


WAYPOINTS = (
    "<gpx>"
    + "".join(f'<wpt lat="{lat:.6f}" lon="{lon:.6f}"><time>{iso(30 * n)}</time></wpt>' for n, (lat, lon) in enumerate(DEGREES))
    + "</gpx>"
)


PLAIN = "\n".join(drive())


@pytest.mark.parametrize(
    ("name", "content", "read_as"),
    [
        ("t.csv", KML_TRACK.encode(), "KML, 40 track points"),
        ("t.kml", KML_POINTS.encode(), "KML, 40 placemarks"),
        ("t.gpx", WAYPOINTS.encode(), "GPX, 40 waypoints"),
        ("t.gpx", WAYPOINTS.replace("wpt", "trkpt").encode(), "GPX, 40 track points"),
        ("t.gpx.gz", gzip.compress(WAYPOINTS.encode()), "GPX, 40 waypoints"),
        ("t.gpx", PLAIN.encode(), "CSV with commas, columns 'lat', 'lon' and 'time'"),
        ("t", b"\xef\xbb\xbf" + PLAIN.encode(), "CSV with commas, columns 'lat', 'lon' and 'time'"),
        ("t.csv", PLAIN.encode("utf-16"), "CSV with commas, columns 'lat', 'lon' and 'time'"),
        ("t.csv", PLAIN.replace("time", "time,Straße", 1).encode("cp1252"), "CSV with commas, columns 'lat', 'lon' and 'time'"),
        ("t.xml", b"\xef\xbb\xbf" + WAYPOINTS.encode(), "GPX, 40 waypoints"),
    ],
)
def test_a_file_is_read_by_its_content(tmp_path: Path, name: str, content: bytes, read_as: str) -> None:
    """Whatever it is called, packed or not; and it is said what it was taken for."""
    (tmp_path / name).write_bytes(content)
    track = read_track(tmp_path / name)
    assert is_the_drive(track)
    assert track.read_as == read_as


def test_archives(tmp_path: Path) -> None:
    """One track in an archive is read; of several none is guessed."""
    with zipfile.ZipFile(tmp_path / "one.kmz", "w") as archive:
        archive.writestr("doc.kml", KML_TRACK)
        archive.writestr("__MACOSX/._doc.kml", "notes of the Finder")
    assert is_the_drive(read_track(tmp_path / "one.kmz"))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", PLAIN)
        archive.writestr("b.csv", PLAIN)
    with pytest.raises(UsageError, match=r"two\.zip is an archive with 2 tracks in it: one is expected"):
        read_track(tmp_path / "two.zip")
    (tmp_path / "half.gz").write_bytes(gzip.compress(PLAIN.encode())[:-20])
    with pytest.raises(UsageError, match=r"half\.gz cannot be unpacked"):
        read_track(tmp_path / "half.gz")
