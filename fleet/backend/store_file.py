"""The file behind a store's path: one writer holds it, and it is looked at with each commit.

A file can have many names (links, other ways to its folder), so what is locked is the file itself. And a path can come to
mean another file while a back end runs, or none: rows then go where nobody will find them.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from fleet.backend.schema import LOG_PAGES_MAX, check_place
from fleet.errors import StoreError, StoreGone

_LOCKS_FILE: Final = sys.platform == "linux"
"""There `flock` and the locks by which SQLite shares the file know nothing of each other; elsewhere they exclude each other."""
_LOG_BYTES_MAX: Final = LOG_PAGES_MAX * 4096
"""From this length of the log on, a commit may itself write to the file."""

_Left = tuple[int, int, int, int]
"""A file as it was left: device and inode say which it is, then how long it is, and when (ns) somebody wrote to it last."""


class HeldName:
    """A store that has a name, and no file as long as nobody wants to read it."""

    def __init__(self, path: Path) -> None:
        """Hold the name. Raises StoreError, also when another back end has it."""
        check_place(path)
        self._beside = _hold_name(Path(os.path.realpath(path)), path)

    def opened(self, is_whole: Callable[[], bool]) -> None:
        """Begin to watch; `is_whole` reads the file anew, should somebody else write to it, and tells whether all is there."""

    def close(self) -> None:
        """Let go, after all else that has the file open: that takes SQLite's locks on it away from the whole process."""
        os.close(self._beside)

    def sync(self) -> None:
        """See it onto the disk."""

    def look(self) -> None:
        """Raise StoreGone when the path means another file, or none, or a part of what belongs to it is missing."""

    def begin(self) -> bool:
        """Begin a commit; raises StoreGone when another program has taken or written something away.

        Returns False while another thread is within `writing`: then nobody can tell whose writing is whose.
        """
        return True

    def end(self, *, alone: bool) -> None:
        """End a commit that `begin` has begun, whether or not it succeeded; `alone` is what that returned."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write within, one thread at a time; raises StoreGone when another program has done so, before that or meanwhile."""
        yield


class StoreFile(HeldName):
    """A store's file, held from the beginning and watched once it is `opened`."""

    def __init__(self, path: Path) -> None:
        """Hold name and file; it is created empty where there is none. Raises StoreError, also when another back end has it."""
        super().__init__(path)
        real = Path(os.path.realpath(path))
        try:
            self._file = _hold_file(real, path)
        except BaseException:
            super().close()
            raise
        # The log stands beside the file itself, whatever link the path is.
        self._names = (str(path.absolute()), f"{real}-wal", f"{real}-shm")
        self._left: list[_Left | None] = [None] * len(self._names)
        self._is_whole: Callable[[], bool] = lambda: True
        self._is_complete = False
        """True once file, log and index were all found."""
        self._writing = Lock()

    def opened(self, is_whole: Callable[[], bool]) -> None:
        self._is_whole = is_whole
        self._left[0] = _as_left(os.fstat(self._file))
        self._note(self._found())

    def close(self) -> None:
        os.close(self._file)
        super().close()

    def sync(self) -> None:
        os.fdatasync(self._file)

    def look(self) -> None:
        self._hold_against(self._found())

    def begin(self) -> bool:
        """Examine the files unless they are as they were left; True when no other thread writes, until `end`."""
        alone = self._writing.acquire(blocking=False)
        path, log, index = self._names
        try:
            as_left = _found(path) == self._left[0] and _found(log) == self._left[1] and os.access(index, os.F_OK)
            if not as_left:
                self._examine(self._found(), alone=alone)
        except BaseException:
            if alone:
                self._writing.release()
            raise
        return alone

    def end(self, *, alone: bool) -> None:
        left, log = self._left[1], _found(self._names[1])
        if self._is_complete and left and log and log[1] == left[1] and log[2] < _LOG_BYTES_MAX:
            self._left[1] = log
        else:
            self._note(self._found(), log_only=not alone)
        if alone:
            self._writing.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._writing:
            self._examine(self._found(), alone=True)
            try:
                yield
            finally:
                found = self._found()
                self._note(found)
            self._hold_against(found)

    def _found(self) -> list[_Left | None]:
        """Return how the path, the log and its index are now; None for what is not there."""
        return [_found(name) for name in self._names]

    def _examine(self, found: list[_Left | None], *, alone: bool) -> None:
        self._hold_against(found)
        if alone:
            self._look_into(found)

    def _hold_against(self, found: list[_Left | None]) -> None:
        """Raise StoreGone where something else is found than what was left, or nothing."""
        for name, now, left in zip(self._names, found, self._left, strict=False):
            if left is not None and (now is None or now[:2] != left[:2]):
                what = "was removed or renamed" if now is None else "was replaced by another file"
                raise StoreGone(name, what)

    def _look_into(self, found: list[_Left | None]) -> None:
        """Raise StoreGone when somebody has written to the file or to its log, and not all is there."""
        if found[0] == self._left[0] and (self._left[1] is None or found[1] == self._left[1]):
            return
        if not self._is_whole():
            raise StoreGone(self._names[0], "was overwritten")
        self._note(found)  # such as by a program that copied the log back, from which nothing is lost

    def _note(self, found: list[_Left | None], *, log_only: bool = False) -> None:
        """Note how things are left; a name that means another file now stays as it was noted."""
        for place in range(1 if log_only else 0, len(found)):
            left, now = self._left[place], found[place]
            if now is not None and (left is None or left[:2] == now[:2]):
                self._left[place] = now
        self._is_complete = None not in self._left


def _as_left(found: os.stat_result) -> _Left:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _found(name: str) -> _Left | None:
    """Return how a file is now, None when there is none."""
    try:
        return _as_left(os.stat(name))  # noqa: PTH116 (with each commit, and a Path costs as much again)
    except OSError:
        return None


# --- one writer -----------------------------------------------------------------------------------------------------------


def _hold_name(real: Path, path: Path) -> int:
    """Hold the file beside the store that says it has a writer; the system lets go of it when the process ends."""
    try:
        beside = os.open(f"{real}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        told = os.pread(beside, 1_000, 0).decode(errors="replace").strip()
        os.close(beside)
        raise _in_use(path, told) from None
    os.ftruncate(beside, 0)
    os.pwrite(beside, f"process {os.getpid()}\n".encode(), 0)
    return beside


def _hold_file(real: Path, path: Path) -> int:
    """Hold the file itself, whatever it is called elsewhere."""
    # Looked for first: to open and close a file that this very process has a store in would take that one's locks away.
    holder = _holder(real)
    if holder is not None:
        raise _in_use(path, holder)
    try:
        file = os.open(real, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        if _LOCKS_FILE:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif os.fstat(file).st_nlink > 1:
            raise StoreError(
                f"{path} has another name, a hard link, by which a second back end could have it",
                hint="Remove that one; a symbolic link does no harm.",
            )
        _look_for_log(real, path)
    except OSError:
        os.close(file)
        raise _in_use(path, "") from None
    except StoreError:
        os.close(file)
        raise
    return file


def _look_for_log(real: Path, path: Path) -> None:
    """Raise StoreError when the last commits stand in the log of another name of the file, where SQLite would not find them."""
    mine = real.stat()
    if mine.st_nlink == 1:
        return
    for name in real.parent.iterdir():
        log = Path(f"{name}-wal")
        if name != real and name.is_file() and os.path.samestat(name.stat(), mine) and log.is_file() and log.stat().st_size:
            raise StoreError(
                f"{path} is {name} by another name, and its last commits are in {log}",
                hint=f"Use --store {name} once, so that they come into the file.",
            )


def _holder(real: Path) -> str | None:
    """Return in words which process holds the file, by what the system tells of its locks; None where it tells of none."""
    try:
        wanted = real.stat()
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in locks:
        kind, _, _, process, place, *_ = line.partition(":")[2].split()
        if kind == "FLOCK" and place.rpartition(":")[2] == str(wanted.st_ino):
            name = _name_in(process, wanted)
            if name is not None:
                return f"process {process}, under the name {name}"
    return None


def _name_in(process: str, wanted: os.stat_result) -> str | None:
    """Return how a process calls a file that it has open."""
    with suppress(OSError):
        for opened in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(opened.stat(), wanted):
                    return str(opened.readlink())
    return None


def _in_use(path: Path, holder: str) -> StoreError:
    by = f": {holder}" if holder else ""
    return StoreError(f"{path} is in use by another back end{by}", hint="Stop that one first, or name another --store.")


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be written: {error.strerror}", hint="May this user write the file and its folder?")
