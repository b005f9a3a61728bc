"""The commands that cars have executed, in a file that outlives their process: none is executed again by the next one.

A line is written, and in the hands of the operating system, before the car says anything of the command: it survives a kill, and
not a power cut. What the broker cannot deliver any more is forgotten, so the file is as large as what is remembered.
"""

from __future__ import annotations

import fcntl
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from fleet.errors import UsageError
from fleet.kernel.instants import Instant
from fleet.runtime.clocks import wall_us
from fleet.vehicle.remote import REMEMBERED, REMEMBERED_MOST
from fleet.vehicle.signals import Executed

COMPACT_ABOVE_BYTES: Final = 16 << 20
"""The file is written anew when it is so large, and twice as large as it was after the last time."""
GRACE_US: Final = 3_600_000_000
"""A broker's clock is not ours: a command is remembered for so much longer than its time to live."""

log = structlog.get_logger()


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: a boot that began, or what a car has done, and until when (wall µs) the broker may deliver that again."""

    boot: int = 0
    vin: str = ""
    until: int = 0
    done: Executed | None = None


_decode: Final = msgspec.json.Decoder(_Line).decode
_encode: Final = msgspec.json.Encoder().encode


class CommandMemory:
    """Commands that the cars of one process, and of those before it, have executed. One process at a time has the file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it with its folder. Raises UsageError when another process has it, and OSError."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            hint = "Give each simulator a folder of its own: --state DIR; or --no-state, and it remembers nothing."
            raise UsageError(f"another simulator has {path}", hint=hint) from None
        self.failed = 0
        self._last_boot = 0
        self._file = -1
        self._torn = False
        self._size = self._compacted = 0
        self._held = self._compact()

    # --- the boots

    def new_boot(self, wanted: int) -> int:
        """Return a boot that is later than all before it, though the clock of the machine may have been set back."""
        boot = max(wanted, self._last_boot + 1)
        self._last_boot = boot
        self._write(_Line(boot=boot))
        return boot

    # --- the commands

    def recall(self, vin: str) -> tuple[Executed, ...]:
        """Return what a car has executed before this process; of each car once."""
        return tuple(self._held.pop(vin, {}).values())

    def remember(self, vin: str, done: Executed, until_wall_us: Instant) -> None:
        """Write down what a car does, or has done; a disk that takes nothing is reported once, and counted."""
        self._write(_Line(vin=vin, until=until_wall_us + GRACE_US, done=done))
        if self._size > max(COMPACT_ABOVE_BYTES, 2 * self._compacted):
            with suppress(OSError):  # what is there stays, and is tried again with the next line
                self._compact()

    def _write(self, line: _Line) -> None:
        text = (b"\n" if self._torn else b"") + _encode(line) + b"\n"
        try:
            written = os.write(self._file, text)
        except OSError as error:
            self._missed(str(error))
            return
        self._size += written
        self._torn = written < len(text)
        if self._torn:
            self._missed("the disk is full")

    def _missed(self, why: str) -> None:
        if not self.failed:
            log.warning("commands are executed that nobody remembers", file=str(self._path), error=why)
        self.failed += 1

    # --- the file

    def _compact(self) -> dict[str, OrderedDict[str, Executed]]:
        """Write the file anew with what is still worth remembering, and return that by car and command."""
        lines = self._worth_keeping(list(self._read()))
        fresh = self._path.with_suffix(".new")
        boot = [_Line(boot=self._last_boot)] if self._last_boot else []
        with fresh.open("wb") as file:
            file.writelines(_encode(line) + b"\n" for line in (*boot, *lines))
        fresh.replace(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._size = self._compacted = self._path.stat().st_size
        held: dict[str, OrderedDict[str, Executed]] = {}
        for line in lines:
            assert line.done is not None
            held.setdefault(line.vin, OrderedDict())[line.done.id] = line.done
        return held

    def _read(self) -> Iterator[_Line]:
        """Yield the lines there are; one that was cut off by a kill is no line, and neither is one that was damaged."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return
        for line in text.splitlines():
            with suppress(msgspec.DecodeError):
                found = _decode(line)
                self._last_boot = max(self._last_boot, found.boot)
                if found.done is not None:
                    yield found

    def _worth_keeping(self, lines: list[_Line]) -> list[_Line]:
        """Return the last word on each command that may still be delivered again, and on the newest of each car."""
        now = wall_us()
        by_car: dict[str, OrderedDict[str, _Line]] = {}
        for line in lines:
            assert line.done is not None
            known = by_car.setdefault(line.vin, OrderedDict())
            known[line.done.id] = line
        kept: list[_Line] = []
        for known in by_car.values():
            newest = [*known.values()][-REMEMBERED_MOST:]
            kept += [line for line in newest[:-REMEMBERED] if line.until >= now] + newest[-REMEMBERED:]
        return kept

    # --- the end

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
