"""Takes the lines about somebody who was erased out of a journal that has ended. One that has no end may still be written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from fleet.errors import JournalError
from fleet.observe.journal import End, Line, Lines, journal_lines
from fleet.observe.packing import pack_of

_MARKS = ("mark", "end")


def lines_about(path: Path, words: Sequence[bytes]) -> int:
    """Return how many lines of a file, packed or not, hold one of these words. Raises OSError, and JournalError behind damage."""
    return sum(any(word in line for word in words) for line in journal_lines(path))


def redact(path: Path, words: Sequence[str]) -> int:
    """Write a journal anew without the lines that hold one of these words; return how many there were.

    Its last line then says that it is not complete, and why, so that whoever checks it knows. Marks are made anew. Raises
    JournalError for one that has no end, or whose first line, without which it is none, is among them; OSError.
    """
    sought = [word.encode() for word in words]
    if not lines_about(path, sought):
        return 0
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            pack = pack_of(path)
            taken = 0
            block = bytearray()
            for line, gone in _kept(path, sought):
                taken += gone
                block += line
                if len(block) > 1 << 20:
                    file.write(pack(bytes(block)))
                    block.clear()
            file.write(pack(bytes(block)))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return taken


def _kept(path: Path, words: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the lines that stay, with marks, each with how many were left out before it."""
    lines, gone, t, end = Lines(), 0, 0, None
    for number, text in enumerate(journal_lines(path), 1):
        head = msgspec.json.decode(text, type=Line)
        if head.k in _MARKS:
            end = msgspec.json.decode(text, type=End) if head.k == "end" else end
            continue
        if any(word in text for word in words):
            if number == 1:
                raise JournalError(
                    "its first line, from which the cars of the run are made, is about somebody who was erased",
                    file=str(path), line=1, hint="Remove the file.",
                )  # fmt: skip
            gone += 1
            continue
        t = head.t
        lines.add(text)
        yield text, gone
        gone = 0
        if lines.is_due:
            yield lines.mark(t), 0
    if end is None:
        raise JournalError(
            "it has no end: it may still be written, and what is written cannot be taken back line by line",
            file=str(path), hint="Let the run come to its end, and ask again; or remove the file of a run that was killed.",
        )  # fmt: skip
    note = "lines about a car or a person were taken out: all of them was erased"
    yield lines.end(msgspec.structs.replace(end, complete=False, note=note)), gone
