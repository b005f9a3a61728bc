"""Small journals on disk, whole and broken."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fleet.observe.journal import Begin, End, JournalWriter, Record, Wake

START = 1_772_427_600_000_000
BEGIN = Begin(START, "run", "begin", version="1.2.3", parts=("simulator",), seed=7, start=START, boot=9, clock="x60")


def journal(path: Path, *records: Record, begin: Begin = BEGIN, account: dict[str, int] | None = None) -> Path:
    """Write a whole journal."""
    writer = JournalWriter(path, begin)
    for record in records:
        writer.write(record)
    writer.close(START + 99, account or {})
    return path


def wakes(count: int, machine: str = "car/V") -> list[Wake]:
    return [Wake(START + number, machine, "wake") for number in range(count)]


def unmarked(end: Record) -> End:
    """Return a last line without what it says of the lines before it."""
    assert isinstance(end, End)
    return msgspec.structs.replace(end, line=None, crc32=None)


def broken(path: Path, line: int, text: bytes) -> Path:
    """Put something else into a line of a journal."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = text
    path.write_bytes(b"".join(lines))
    return path
