"""Files of lines that are packed while they are written: zstd where its library is there, gzip otherwise, plain by their name.

Each block that is written is a frame of its own, so that a killed process leaves all its whole blocks readable, and a
writer that met a full disk can still put a last line behind them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol

try:
    import zstandard
except ImportError:  # an interpreter that its wheels are not made for
    zstandard = None  # type: ignore[assignment]

from fleet.errors import UsageError

Pack = Callable[[bytes], bytes]
"""Makes a frame of a block."""
ZSTD, GZIP = ".zst", ".gz"
BEST: Final = GZIP if zstandard is None else ZSTD
"""The ending of files that are packed as well as can be here."""
_ZSTD_LEVEL: Final = 1
"""A twelfth of a journal's size at 700 MB/s on one core; higher levels gain nothing on blocks of 256 KiB."""
_GZIP_LEVEL: Final = 1
_ZSTD_BEGINS: Final = b"\x28\xb5\x2f\xfd"
_GZIP_BEGINS: Final = b"\x1f\x8b"
_GZIP_MEMBERS: Final = 31
"""The window bits by which zlib reads gzip."""
_READ_BYTES: Final = 1 << 16


class DamagedPacking(Exception):
    """The bytes of a packed file are not as they were written; the message says what the codec found."""


def pack_of(path: Path) -> Pack:
    """Return what packs blocks for a file of this name. Raises UsageError for zstd without its library."""
    if path.suffix == ZSTD:
        if zstandard is None:
            raise UsageError(f"{path} cannot be written: this Python has no zstandard", hint=f"Name it {path.with_suffix(GZIP)}.")
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress
    if path.suffix == GZIP:
        return lambda block: gzip.compress(block, _GZIP_LEVEL, mtime=0)
    return bytes


def packed(path: Path) -> Path:
    """Return the name of a file beside which nobody has to think of its size."""
    return path.with_name(path.name + BEST)


def find(path: Path) -> Path | None:
    """Return the file of that name, or the packed one of it; None without any. The newest, where there are several."""
    beside = [path.with_name(path.name + ending) for ending in ("", ZSTD, GZIP)]
    return max((each for each in beside if each.exists()), key=lambda each: each.stat().st_mtime_ns, default=None)


def read_lines(path: Path, *, longest: int = -1) -> Iterator[bytes]:
    """Yield the lines of a file, whatever it is packed with, as far as it is whole; the last one may lack its end.

    A line is cut after `longest` bytes. Raises OSError, DamagedPacking behind what is good, and UsageError for zstd without its
    library.
    """
    with path.open("rb") as file:
        begins = file.peek(4)[:4]
        if begins == _ZSTD_BEGINS:
            if zstandard is None:
                raise UsageError(
                    f"{path} is packed with zstd, and this Python has no zstandard", hint=f"Unpack it: zstd -d {path}"
                )
            yield from _lines(_unpacked(file, zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError), longest)
        elif begins.startswith(_GZIP_BEGINS):
            yield from _lines(_unpacked(file, partial(zlib.decompressobj, _GZIP_MEMBERS), zlib.error), longest)
        elif longest < 0:
            yield from file
        else:
            yield from iter(lambda: file.readline(longest), b"")


class _Frame(Protocol):
    """Unpacks one frame; what comes behind it is `unused_data`."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _unpacked(file: BinaryIO, begin: Callable[[], _Frame], error: type[Exception]) -> Iterator[bytes]:
    """Yield what is in the frames, one after the other; the last one may have been cut off."""
    frame = begin()
    while data := file.read(_READ_BYTES):
        while data:
            if frame.eof:
                frame = begin()
            try:
                unpacked = frame.decompress(data)
            except error as found:
                raise DamagedPacking(str(found)) from None
            yield unpacked
            data = frame.unused_data if frame.eof else b""


def _lines(blocks: Iterator[bytes], longest: int) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if 0 <= longest < len(rest):
            break
    if rest:
        yield rest[:longest] if longest >= 0 else rest
