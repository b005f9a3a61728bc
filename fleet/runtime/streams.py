"""The standard streams of a command: it goes on to its end, whatever becomes of whoever reads what it prints.

A reader that leaves (`fleet run … | head -1`) or a terminal that is closed is no error of the command: the rest is dropped,
and the exit code is its own. What could not be written for another reason, such as a full disk, is an error at the end.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Final, TextIO

from fleet.errors import FleetError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_READER_LEFT: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EIO})
"""EIO is that of a terminal which is gone; on a disk it is an error."""


class Outlet(io.FileIO):
    """A file descriptor to write to. Never raises: after a failure it drops what comes, and `failure` says why."""

    def __init__(self, descriptor: int) -> None:
        """Take a descriptor that is open; it stays open when this is closed."""
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None
        self.needs_reader = True
        self._dropped = False
        self._on_disk = not (self.isatty() or _is_pipe(descriptor))

    @property
    def is_lost(self) -> bool:
        """Tell whether something was dropped that somebody wanted."""
        if self.failure is None or not self._dropped:
            return False
        if self.failure.errno == errno.EBADF:
            return self.needs_reader
        return self._on_disk or self.failure.errno not in _READER_LEFT

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, however long the reader takes."""
        while self.failure is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.failure = error
                break
            if written is not None:
                return written
            select.select((), (self,), ())  # somebody who shares it has set it not to block
        self._dropped = True
        return memoryview(data).nbytes


class Streams:
    """Standard output and standard error of this process, in place of Python's own."""

    def __init__(self) -> None:
        """Open what our caller has closed, and replace `sys.stdout` and `sys.stderr`."""
        closed = [descriptor for descriptor in range(3) if not _is_open(descriptor)]
        for _ in closed:
            os.open(os.devnull, os.O_RDWR)  # else the event loop would take a connection for standard input, and abort
        if sys.stdin is None:
            sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (as long as the process)
        self._out = Outlet(1)
        if 1 in closed:
            self._out.failure = OSError(errno.EBADF, "it is closed")
        sys.stdout = _text(self._out, sys.stdout)
        sys.stderr = _text(Outlet(2), sys.stderr, always_at_once=True)

    def finish(self) -> FleetError | None:
        """Write what is held back; return what was lost, if anything was."""
        sys.stdout.flush()
        failure = self._out.failure
        if failure is None or not self._out.is_lost:
            return None
        return FleetError(
            f"standard output cannot be written: {failure.strerror}",
            hint="Send it elsewhere, or make room there; what is missing is lost.",
        )


def need_no_reader() -> None:
    """Note that what is printed only shows how the command gets on: that standard output is closed is then no error."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Outlet):
        raw.needs_reader = False


def _text(outlet: Outlet, before: TextIO | None, *, always_at_once: bool = False) -> TextIO:
    """Return a text stream that replaces what its encoding does not know."""
    encoding = "utf-8" if before is None else before.encoding
    errors = "backslashreplace" if always_at_once else "replace"
    return io.TextIOWrapper(
        io.BufferedWriter(outlet), encoding=encoding, errors=errors, line_buffering=always_at_once or outlet.isatty()
    )


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
