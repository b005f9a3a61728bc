"""The SQLite database behind a store: its connections, the hold on its file, and one transaction at a time.

A commit goes to SQLite's log, which from time to time is copied back into the database file. With the disk's share in it
that takes some 30 ms, and nobody's command shall wait for it: `copy_back` does most of it in another thread, beside
commits, so that `restart_log` between two commits has little left to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Final

from fleet.backend.known_numbers import BootKey, Seen
from fleet.backend.needles import Needle, found_in
from fleet.backend.rows import Part, write_messages, write_newest, write_rest, write_sequences
from fleet.backend.schema import BUSY_TIMEOUT_MS, open_for_reading, open_for_writing, open_in_memory, store_error
from fleet.backend.store_file import HeldName, StoreFile
from fleet.cloud.twin import Newest
from fleet.errors import StoreError, StoreGone

_LOOK_AGAIN_ROWS: Final = 100
"""A commit of more rows takes so long that the file is looked at again before they are called stored."""
_LAST_ID: Final = "SELECT coalesce(max(id), 0) FROM message"


class Medium(Enum):
    """Where the rows are, and who else may read them there."""

    SHARED_FILE = "shared file"
    """Survives `kill -9` at any moment, not a power cut; others read beside the writer."""
    OWN_FILE = "own file"
    """Nobody else reads it while it is open, and it may be lost when the process is killed."""
    MEMORY = "memory"
    """Comes to its file when it is saved."""


class Database:
    """An open database. `writer` belongs to the thread of the commits; `reader` finds what was committed, in any thread."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection

    def __init__(self, path: Path, medium: Medium, *, created_by: str) -> None:
        """Open or create it; raises StoreError and its kin, also when another back end has it open."""
        self.path = path
        self._medium = medium
        self._opened: list[sqlite3.Connection] = []
        self._file = HeldName(path) if medium is Medium.MEMORY else StoreFile(path)
        self.is_closed = False
        try:
            self._open(created_by)
            self._written_id = int(self.writer.execute(_LAST_ID).fetchone()[0])
        except BaseException:
            self.close()
            raise
        self._file.opened(self._is_whole)

    def _open(self, created_by: str) -> None:
        path, opened = self.path, self._opened
        match self._medium:
            case Medium.MEMORY:
                opened.append(open_in_memory(created_by=created_by))
            case Medium.OWN_FILE:
                opened.append(open_for_writing(path, created_by=created_by, survives_kill=False))
            case Medium.SHARED_FILE:
                opened.append(open_for_writing(path, created_by=created_by))
                opened.append(open_for_reading(path))
                opened.append(open_for_writing(path, created_by=created_by))
        self.writer, self.reader, self._copier = opened if len(opened) > 1 else opened * 3

    @property
    def has_log(self) -> bool:
        """True where a log grows that `copy_back` and `restart_log` keep short."""
        return self._medium is Medium.SHARED_FILE

    def _is_whole(self) -> bool:
        """Tell whether the file, read anew, holds all that was written."""
        try:
            with closing(open_for_reading(self.path)) as anew:
                (found,) = anew.execute("PRAGMA quick_check(1)").fetchone()
                (last_id,) = anew.execute(_LAST_ID).fetchone()
                return bool(found == "ok" and last_id >= self._written_id)
        except (sqlite3.Error, StoreError):
            return False

    def look(self) -> None:
        """Raise StoreGone when the file is not at its path any more."""
        self._file.look()

    def close(self) -> None:
        """Close it; commits are kept. Safe to call twice."""
        if not self.is_closed:
            self.is_closed = True
            for connection in reversed(self._opened):
                connection.close()
            self._file.close()

    def write(self, parts: Sequence[Part], sequences: Mapping[BootKey, Seen], newest: Mapping[str, tuple[Newest, int]]) -> None:
        """Write batches, in their order, and the rows of boots and of cars (each with when it was stored), in one transaction.

        Raises StoreGone when the file is not the one that was written to before: then nothing of it may be acknowledged.
        """
        connection = self.writer
        try:
            alone = self._file.begin()
            try:
                connection.execute("BEGIN IMMEDIATE")
                write_messages(connection, parts)
                write_sequences(connection, sequences)
                write_newest(connection, newest)
                for part in parts:
                    write_rest(connection, part.batch, part.prepared)
                connection.execute("COMMIT")
                if any(part.batch.erased for part in parts):  # the last rows may be gone
                    self._written_id = int(connection.execute(_LAST_ID).fetchone()[0])
                else:
                    self._written_id = max([self._written_id, *(part.prepared.last_id for part in parts)])
            finally:
                self._file.end(alone=alone)
            if sum([part.batch.size for part in parts]) > _LOOK_AGAIN_ROWS:
                self._file.look()
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise store_error(error, self.path) from error
            raise

    def copy_back(self) -> None:
        """Copy the log into the database file as far as it is there now, and see it onto the disk; in any thread."""
        # Nothing is lost with it: the log has it all, and is copied again. That the file is gone, the next commit says.
        with suppress(sqlite3.Error, OSError, StoreGone):
            with self._file.writing():
                self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._file.sync()

    def restart_log(self) -> None:
        """Copy the rest, so that the log can begin anew; in the thread of the commits."""
        with suppress(sqlite3.Error), self._file.writing():
            self.writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def truncate_log(self) -> bool:
        """Copy all of the log back and empty it; in the thread of the commits. False while a reader needs what is in it."""
        if not self.has_log:
            return True
        with self._in_words(), self._file.writing():
            self.writer.execute("PRAGMA busy_timeout = 0")  # nobody waits here for a reader
            try:
                (busy, _, _) = self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self.writer.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        return not busy

    def traces(self, needles: Sequence[Needle]) -> list[str]:
        """Return which of these stand in the file or its log; in any thread."""
        if self._medium is Medium.MEMORY:
            return []
        return sorted({what for ending in ("", "-wal") for what in found_in(Path(f"{self.path}{ending}"), needles)})

    def rewrite(self) -> None:
        """Write the whole file anew; in the thread of the commits, which waits for it."""
        if self._medium is Medium.MEMORY:
            return
        with self._in_words(), self._file.writing():
            self.writer.execute("VACUUM")
        self.truncate_log()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def save(self) -> None:
        """Write a database in memory to its file, anew."""
        if self._medium is Medium.MEMORY and not self.is_closed:
            self.path.unlink(missing_ok=True)
            self.writer.execute("VACUUM INTO ?", (str(self.path),))
