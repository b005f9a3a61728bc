"""Looks for texts and numbers in files, byte by byte: whether something that was erased is still there. Changes nothing."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

CHUNK: Final = 1 << 20
"""Bytes that are read at a time: a search must not hold up other threads for long."""


class Needle(NamedTuple):
    """Something to look for: what it is in words, which do not contain it, and its forms as bytes.

    Each form holds one of the `hints`, so that where none of these is nothing else is looked for.
    """

    what: str
    forms: tuple[bytes, ...]
    hints: tuple[bytes, ...] = ()

    def is_in(self, content: bytes) -> bool:
        """Tell whether one of the forms is in there."""
        if self.hints and not any(hint in content for hint in self.hints):
            return False
        return any(form in content for form in self.forms)


def text_needle(what: str, text: str) -> Needle:
    """Return a text as a needle."""
    return Needle(what, (text.encode(),))


def position_needle(what: str, latitude: float, longitude: float) -> Needle:
    """Return a position as a needle: in a message, in the columns of a car's newest state, and in JSON."""
    first, second = struct.pack(">d", latitude), struct.pack(">d", longitude)
    in_message = b"\xa8latitude\xcb" + first + b"\xa9longitude\xcb" + second
    in_json = f'"latitude":{latitude!r},"longitude":{longitude!r}'.encode()
    spaced = in_json.replace(b":", b": ").replace(b",", b", ")
    return Needle(what, (in_message, first + second, in_json, spaced), (first, repr(latitude).encode()))


def found_in(path: Path, needles: Iterable[Needle]) -> list[str]:
    """Return what was found in a file, each once; nothing in one that is gone. Raises OSError for one that cannot be read."""
    left = {needle.what: needle for needle in needles}
    if not left:
        return []
    overlap = max(len(form) for needle in left.values() for form in needle.forms) - 1
    found = []
    for chunk in _chunks(path, overlap):
        for needle in list(left.values()):
            if needle.is_in(chunk):
                found.append(needle.what)
                del left[needle.what]
        if not left:
            break
    return found


def _chunks(path: Path, overlap: int) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces, each with the end of the one before."""
    try:
        opened = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        tail = b""
        while read := os.read(opened, CHUNK):
            chunk = tail + read
            yield chunk
            tail = chunk[-overlap:] if overlap else b""
    finally:
        os.close(opened)
