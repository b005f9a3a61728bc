"""Tracks of real drives, GPX or CSV: where a car was when. Broken rows are named and left out, good ones are used."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from xml.parsers import expat

from fleet.errors import UsageError
from fleet.kernel.instants import SECOND, Instant, from_datetime

FASTEST_MS: Final = 100.0
"""Metres a second; a row that would need more is a jump of the receiver."""
FEWEST: Final = 2
_LARGEST_BYTES: Final = 100_000_000
_NAMES: Final = {
    "latitude": ("lat", "latitude"),
    "longitude": ("lon", "lng", "long", "longitude"),
    "time": ("time", "timestamp", "datetime"),
}
_METRES_PER_DEGREE: Final = 111_195.0


class Fix(NamedTuple):
    """Where the car was, in WGS 84 degrees, and when."""

    latitude: float
    longitude: float
    at: Instant


class _Row(NamedTuple):
    """A row as it is written; `number` is its line in the file."""

    number: int
    latitude: str
    longitude: str
    time: str


@dataclass(frozen=True, slots=True)
class Track:
    """The good rows of a file in the order of their times, and what is wrong with the others, as file:row: why."""

    fixes: tuple[Fix, ...]
    broken: tuple[str, ...]


def read_track(path: Path) -> Track:
    """Read a file; raises UsageError when it cannot be read, is no track, or has too few good rows."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UsageError(f"{path} is larger than {_LARGEST_BYTES // 1_000_000} MB")
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file", hint="A path is relative to the file that names it.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    rows = _gpx_rows(content, path) if path.suffix.lower() == ".gpx" else _csv_rows(content, path)
    fixes, broken = _good(rows, path)
    if len(fixes) < FEWEST:
        first = f"; the first is {broken[0]}" if broken else ""
        raise UsageError(
            f"{path} has {len(fixes)} good rows: at least {FEWEST} are expected", hint=f"{len(broken)} are broken{first}"
        )
    return Track(tuple(fixes), tuple(broken))


def _good(rows: Iterable[_Row], path: Path) -> tuple[list[Fix], list[str]]:
    fixes: list[Fix] = []
    broken: list[str] = []
    for row in rows:
        try:
            fix = Fix(_degrees(row.latitude, "latitude", 90), _degrees(row.longitude, "longitude", 180), _instant(row.time))
            if fixes:
                _follow(fixes[-1], fix)
        except ValueError as error:
            broken.append(f"{path}:{row.number}: {error}")
        else:
            fixes.append(fix)
    return fixes, broken


def _degrees(text: str, name: str, limit: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {name}") from None
    if not abs(value) <= limit:
        raise ValueError(f"{text} is no {name}: {-limit} to {limit} degrees are expected")
    return value


def _instant(text: str) -> Instant:
    """Read ISO 8601, in UTC when it has no offset, or seconds since 1970."""
    try:
        return round(float(text) * SECOND)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time: ISO 8601 or seconds since 1970 are expected") from None
    return from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _follow(before: Fix, fix: Fix) -> None:
    """Raise ValueError for a row that cannot come after the one before it."""
    seconds = (fix.at - before.at) / SECOND
    if seconds <= 0:
        raise ValueError("its time is not after that of the row before it")
    north_m = (fix.latitude - before.latitude) * _METRES_PER_DEGREE
    east_m = (fix.longitude - before.longitude) * _METRES_PER_DEGREE * math.cos(math.radians(fix.latitude))
    speed = math.hypot(north_m, east_m) / seconds
    if speed > FASTEST_MS:
        raise ValueError(f"it is {speed * 3.6:.0f} km/h away from the row before it")


def _csv_rows(content: bytes, path: Path) -> Iterator[_Row]:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", hint="Save the file as UTF-8.") from None
    dialect = ";" if lines and ";" in lines[0] else ","
    reader = csv.reader(lines, delimiter=dialect)
    head = [name.strip().lower() for name in next(reader, [])]
    columns = {name: next((head.index(alias) for alias in aliases if alias in head), None) for name, aliases in _NAMES.items()}
    missing = [name for name, column in columns.items() if column is None]
    if missing:
        raise UsageError(
            f"{path}:1: there is no column {', '.join(missing)}", hint="The first row names the columns: lat, lon, time."
        )
    for row in reader:
        if any(cell.strip() for cell in row):
            cells = [row[column].strip() if column is not None and column < len(row) else "" for column in columns.values()]
            yield _Row(reader.line_num, *cells)


def _gpx_rows(content: bytes, path: Path) -> Iterator[_Row]:
    """Yield the points of all tracks and routes, by the line in which each begins."""
    rows: list[_Row] = []
    point: dict[str, str] = {}
    inside: list[str] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        inside.append(name.rpartition(":")[2])
        if inside[-1] in {"trkpt", "rtept"}:
            point.clear()
            point.update({"lat": "", "lon": "", "time": ""} | attributes | {"line": str(parser.CurrentLineNumber)})

    def text(characters: str) -> None:
        if inside[-1:] == ["time"] and inside[-2:-1] in (["trkpt"], ["rtept"]):
            point["time"] += characters

    def end(_: str) -> None:
        if inside.pop() in {"trkpt", "rtept"}:
            rows.append(_Row(int(point["line"]), point["lat"], point["lon"], point["time"].strip()))

    parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = start, text, end
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UsageError(f"{path}:{error.lineno}: no XML: {expat.ErrorString(error.code)}") from None
    yield from rows
