"""Rows of recorded drives out of files as devices, apps and spreadsheets write them: CSV, GPX and KML, known by their content."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from xml.parsers import expat

from fleet.errors import UsageError
from fleet.scenario.track_times import Times, read_dates_and_clocks, read_times

LARGEST_BYTES: Final = 100_000_000
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_PACKED_TRACK: Final = re.compile(r"^(?!__MACOSX/).*\.(csv|gpx|kml|txt)$", re.IGNORECASE)
"""Files of an archive that may be the track; macOS adds notes of its own."""
_HEAD_WITHIN: Final = 30
"""Lines in which the names of the columns are looked for: devices write a few of their own before."""
_LATITUDE: Final = re.compile(
    r"(gps|fix|position|location|pos|loc|wgs84)?(latitude|lat)(ns|deg|degrees|dd|wgs84)?|(geo)?breite(ngrad)?"
)
_LONGITUDE: Final = re.compile(
    r"(gps|fix|position|location|pos|loc|wgs84)?(longitude|long|lon|lng)(ew|deg|degrees|dd|wgs84)?|(geo)?lae?nge(ngrad)?"
)
_TIME: Final = re.compile(
    r"(gps|fix|utc|local|device|event|record|recorded|captured|position|sample|created)?(time|timestamp|datetime|dateandtime|at|ts|utc)"
    r"(utc|gmt|local|iso|iso8601|epoch|unix|ms|us|ns|s|sec|seconds|z)?|(unix|epoch)(time|ms|us|ns)?|when|(gps|utc|orts)?(uhr)?zeit(stempel|punkt)?"
)
_DATE: Final = re.compile(r"(gps|utc|local|fix|event)?(date|day|datum)(utc|gmt|local)?")


class Row(NamedTuple):
    """A row as it is written; `number` is its line in the file, `segment` the stretch of recording that it belongs to."""

    number: int
    segment: int
    latitude: str
    longitude: str


@dataclass(frozen=True, slots=True)
class TrackRows:
    """Content of a track file: its rows, the time of each, and in words the format it was read as."""

    rows: Sequence[Row]
    times: Times
    read_as: str


def read_track_file(path: Path) -> TrackRows:
    """Read a file, packed or not; raises UsageError when it cannot be read or is no track."""
    content = _unpacked(_bytes_of(path), path)
    text = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"<", "<".encode("utf-16"), b"\xfe\xff\0<")):
        return _read_xml(content.lstrip(b" \t\r\n"), path)
    if text.startswith((b"{", b"[")):
        raise _not_read(path, "JSON")
    if re.match(rb"\$[A-Z]{5},", text):
        raise _not_read(path, "NMEA 0183")
    return _read_csv(_decoded(content, path), path)


def _not_read(path: Path, what: str) -> UsageError:
    return UsageError(f"{path} is {what}, and no track that can be read", hint="Convert it to CSV (lat, lon, time), GPX or KML.")


# --- bytes ----------------------------------------------------------------------------------------------------------


def _bytes_of(path: Path) -> bytes:
    too_large = UsageError(f"{path} is larger than {LARGEST_BYTES // 1_000_000} MB", hint="Cut it into several tracks.")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file", hint="A path is relative to the file that names it.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_BYTES:
        raise too_large
    return content


def _unpacked(content: bytes, path: Path) -> bytes:
    """Unpack gzip, and an archive (.zip, .kmz) of one track."""
    try:
        if content.startswith(b"\x1f\x8b"):
            return _bounded(gzip.GzipFile(fileobj=io.BytesIO(content)).read, path)
        if content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                names = [each for each in archive.namelist() if _PACKED_TRACK.search(each)]
                if len(names) != 1:
                    is_workbook = "[Content_Types].xml" in archive.namelist()
                    hint = "Save it as CSV." if is_workbook else "Unpack it, and name the track in it."
                    raise UsageError(f"{path} is an archive with {len(names)} tracks in it: one is expected", hint=hint)
                with archive.open(names[0]) as file:
                    return _bounded(file.read, path)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path} cannot be unpacked: {error}", hint="Is it whole?") from None
    if content.startswith((b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")):
        raise UsageError(f"{path} is packed in a way that is not read", hint="Unpack it, or pack it with gzip.")
    return content


def _bounded(read: Callable[[int], bytes], path: Path) -> bytes:
    content = read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise UsageError(f"{path} unpacks to more than {LARGEST_BYTES // 1_000_000} MB", hint="Cut it into several tracks.")
    return content


def _decoded(content: bytes, path: Path) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\0" in content:
        raise UsageError(f"{path} is no text", hint="A track is CSV, GPX or KML, in UTF-8 or in UTF-16 with a byte order mark.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")  # only notes have letters outside of ASCII; positions and times have none


# --- CSV ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Head:
    """The row that names the columns: where it stands, what separates them, and which may hold what."""

    line: int
    separator: str
    names: Sequence[str]
    columns: dict[str, list[int]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Quantities without a column; a date alone may hold the time as well."""
        found = self.columns
        missing = [what for what in ("latitude", "longitude") if not found[what]]
        return missing if found["time"] or found["date"] else [*missing, "time"]


def _read_csv(text: str, path: Path) -> TrackRows:
    lines = text.splitlines()
    head = _head(lines)
    if head is None or head.missing:
        missing = ["latitude", "longitude", "time"] if head is None else head.missing
        found = "nothing" if head is None else ", ".join(repr(name[:30]) for name in head.names[:12])
        raise UsageError(
            f"{path}:{1 if head is None else head.line}: there is no column {', '.join(missing)}",
            hint=f"The first row names the columns: lat, lon, time. Found: {found}.",
        )
    reader = csv.reader(lines[head.line :], delimiter=head.separator, skipinitialspace=True)
    try:
        written = [(head.line + reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UsageError(f"{path}:{head.line + reader.line_num}: no CSV: {error}") from None
    cells = [(number, row) for number, row in written if any(cell.strip() for cell in row) and not row[0].startswith("#")]

    def column(index: int) -> list[str]:
        return [row[index].strip() if index < len(row) else "" for _, row in cells]

    latitudes, longitudes = column(head.columns["latitude"][0]), column(head.columns["longitude"][0])
    positions = [
        (latitude.replace(",", "."), longitude.replace(",", "."))
        for latitude, longitude in zip(latitudes, longitudes, strict=True)
    ]
    rows = [Row(number, 0, *position) for (number, _), position in zip(cells, positions, strict=True)]
    times, named = _times_of(head, column)
    used = [head.names[head.columns[what][0]].strip() for what in ("latitude", "longitude")]
    order = f" ({times.order})" if times.order else ""
    columns = f"{used[0]!r}, {used[1]!r} and {' with '.join(map(repr, named))}{order}"
    return TrackRows(rows, times, f"CSV with {_SEPARATORS[head.separator]}, columns {columns}")


def _head(lines: Sequence[str]) -> _Head | None:
    """Return the row that names the columns, or the one that comes closest; None where nothing is written."""
    best: _Head | None = None
    declared = next((line[4:5] for line in lines[:1] if line.lower().startswith("sep=")), "")
    for number, line in enumerate(lines[:_HEAD_WITHIN], 1):
        if not line.strip() or line.lower().startswith("sep="):
            continue
        for separator in [declared] if declared in _SEPARATORS else _SEPARATORS:
            names = next(csv.reader([line.lstrip("#").strip() if line.startswith("#") else line], delimiter=separator), [])
            head = _Head(number, separator, names, _columns(names))
            if best is None or len(head.missing) < len(best.missing) or _is_better(head, best):
                best = head
        if best is not None and not best.missing:
            return best
    return best


def _is_better(head: _Head, best: _Head) -> bool:
    return head.line == best.line and len(head.missing) == len(best.missing) and len(head.names) > len(best.names)


def _columns(names: Sequence[str]) -> dict[str, list[int]]:
    plain = [re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(].*?[\])]", "", name.lower().replace("ä", "a"))) for name in names]
    kinds = {"latitude": _LATITUDE, "longitude": _LONGITUDE, "time": _TIME, "date": _DATE}
    return {kind: [index for index, name in enumerate(plain) if pattern.fullmatch(name)] for kind, pattern in kinds.items()}


def _times_of(head: _Head, column: Callable[[int], list[str]]) -> tuple[Times, list[str]]:
    """Read the column of times that is best to read, with the column of dates where it says only the time of the day."""
    times, dates, names = head.columns["time"], head.columns["date"], [name.strip() for name in head.names]
    read = [(read_times(column(each)), [names[each]]) for each in (*times, *dates)]
    read += [(read_dates_and_clocks(column(date), column(time)), [names[date], names[time]]) for date in dates for time in times]
    return max(read, key=lambda each: len({instant for instant in each[0].instants if isinstance(instant, int)}))


# --- XML ------------------------------------------------------------------------------------------------------------

_POINTS: Final = {"trkpt": "track points", "rtept": "route points", "wpt": "waypoints"}


class _Points:
    """Gathers the points of GPX and KML by the line in which each begins."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.root = ""
        self.rows: dict[str, list[Row]] = {}
        self.times: dict[str, list[str]] = {}
        self._parser = parser
        self._inside: list[str] = []
        self._text: list[str] = []
        self._segment = 0
        self._at: dict[str, str] = {}
        self._line = 0
        self._whens: list[str] = []
        self._coords: list[tuple[int, str]] = []
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text.append

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.root = self.root or name.lower()
        self._inside.append(name)
        self._text.clear()
        if name in {"trkseg", "rte", "Track"}:
            self._segment += 1
        if name in _POINTS:
            self._at = {"lat": "", "lon": "", "time": ""} | attributes
            self._line = self._parser.CurrentLineNumber
        elif name in {"Placemark", "Track"}:
            self._at, self._whens, self._coords = {}, [], []
            self._line = self._parser.CurrentLineNumber

    def _end(self, _: str) -> None:
        name = self._inside.pop()
        text = "".join(self._text).strip()
        self._text.clear()
        parent = self._inside[-1] if self._inside else ""
        if name == "time" and parent in _POINTS:
            self._at["time"] = text
        elif name in _POINTS:
            self._add(_POINTS[name], self._line, self._at["lat"], self._at["lon"], self._at["time"])
        elif name == "when":
            self._whens.append(text)
        elif name == "coord":
            self._coords.append((self._parser.CurrentLineNumber, text))
        elif name == "coordinates" and parent == "Point":
            self._at["coordinates"] = text.replace(",", " ")
        elif name == "Track":
            for (line, position), when in zip(self._coords, self._whens, strict=False):
                self._add_position("track points", line, position, when)
        elif name == "Placemark" and "coordinates" in self._at and self._whens:
            self._add_position("placemarks", self._line, self._at["coordinates"], self._whens[0])

    def _add_position(self, kind: str, line: int, position: str, when: str) -> None:
        longitude, latitude = (*position.split(), "", "")[:2]
        self._add(kind, line, latitude, longitude, when)

    def _add(self, kind: str, line: int, latitude: str, longitude: str, time: str) -> None:
        segment = self._segment if kind not in {"waypoints", "placemarks"} else 0
        self.rows.setdefault(kind, []).append(Row(line, segment, latitude, longitude))
        self.times.setdefault(kind, []).append(time)


def _read_xml(content: bytes, path: Path) -> TrackRows:
    """Read the tracks of a file; where there are none its routes, and where there are none of these its single points."""
    parser = expat.ParserCreate()
    points = _Points(parser)
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UsageError(f"{path}:{error.lineno}: no XML: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise UsageError(f"{path}: no XML: {error}") from None
    if points.root not in {"gpx", "kml"}:
        raise _not_read(path, f"XML with the root {points.root[:40]!r}")
    kind = next((kind for kind in ("track points", "route points", "placemarks", "waypoints") if points.rows.get(kind)), None)
    if kind is None:
        raise UsageError(
            f"{path} has no points with times in it",
            hint="A track says where the car was and when: trkpt in GPX, gx:Track in KML.",
        )
    rows = points.rows[kind]
    segments = len({row.segment for row in rows})
    read_as = f"{points.root.upper()}, {len(rows)} {kind}" + (f" in {segments} segments" if segments > 1 else "")
    return TrackRows(rows, read_times(points.times[kind]), read_as)
