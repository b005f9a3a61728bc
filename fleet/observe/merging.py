"""Merges the journals that the processes of a run write, ordered by (time, part, line)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from fleet.errors import JournalError
from fleet.kernel.instants import Instant
from fleet.observe.journal import BLOCK_BYTES, KINDS, NOT_YET, End, JournalReader, Line, Lines, Record, journal_lines
from fleet.observe.packing import pack_of

_UNTIMED: Final = b'{"t":%d,' % NOT_YET


def merge_journals(parts: Sequence[Path], into: Path) -> None:
    """Merge the parts into one journal, and remove them.

    The first is the simulator's. A record that another part wrote before it knew the scenario time gets the time of the start.
    Records of a part keep their order; the marks are computed anew. Raises JournalError, also for a part with a gap, and
    OSError, and leaves the parts as they were then.
    """
    readers = [JournalReader(part) for part in parts]
    begin = readers[0].begin
    names = tuple(name for reader in readers for name in reader.begin.parts)
    ends: list[End | None] = [None] * len(parts)
    lines = Lines()
    first = msgspec.json.encode(msgspec.structs.replace(begin, parts=names)) + b"\n"
    merged, pack = into.with_name(f".merging-{into.name}"), pack_of(into)
    block = bytearray()
    try:
        with merged.open("wb", buffering=0) as file:
            streams = [_keyed(part, number, begin.start or NOT_YET, ends) for number, part in enumerate(parts)]
            for t, _, _, line in chain([(begin.t, 0, 1, first)], heapq.merge(*streams)):
                block += line
                lines.add(line)
                if lines.is_due:
                    block += lines.mark(t)
                if len(block) >= BLOCK_BYTES:
                    file.write(pack(bytes(block)))
                    block.clear()
            block += lines.end(_end_of(ends, begin.start or NOT_YET))
            file.write(pack(bytes(block)))
        merged.replace(into)
    finally:
        merged.unlink(missing_ok=True)
    for part in parts:
        if part != into:
            part.unlink()


def _keyed(path: Path, part: int, start: Instant, ends: list[End | None]) -> Iterator[tuple[Instant, int, int, bytes]]:
    """Yield the lines between first and last, without marks, with the key to merge by; the last one goes to `ends`.

    Raises JournalError where it shows that lines before are not as they were written.
    """
    latest, lines = start, Lines()
    for number, line in enumerate(journal_lines(path), 1):
        if not line.endswith(b"\n"):
            break
        record = _of_run(line)
        finding = lines.read(record, line)
        if finding:
            raise JournalError(finding, file=str(path), line=number, hint="fleet verify judges each part alone.")
        if record is not None:
            ends[part] = record if isinstance(record, End) else None
            continue
        if line.startswith(_UNTIMED):
            line = b'{"t":%d,' % start + line[len(_UNTIMED) :]  # noqa: PLW2901
        latest = max(latest, int(line[5 : line.index(b",")]))
        yield latest, part, number, line


def _of_run(line: bytes) -> Record | None:
    """Return first line, last line or mark, None for all that happened in the run."""
    if b'"m":"run"' not in line[:40]:
        return None
    record: Record = msgspec.json.decode(line, type=KINDS[msgspec.json.decode(line, type=Line).k])
    return record


def _end_of(ends: Iterable[End | None], start: Instant) -> End:
    """Join the last lines of all parts; one that has none was killed."""
    found = [end for end in ends if end is not None]
    account = {name: count for end in found for name, count in end.account.items()}
    notes = [end.note for end in found if end.note]
    if None in ends:
        notes.append("a process of the run was killed")
    return End(max([start, *(end.t for end in found)]), "run", "end", complete=not notes, account=account, note="; ".join(notes))
