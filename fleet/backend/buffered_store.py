"""A store that decides batch by batch and writes many of them in one transaction: for virtual runs, where nothing is killed.

What is new, what was there before, and what is the newest of each car is found by the same code; only the rows come later,
at the latest with `close`. A command is looked up among those that are still held, too. The one row of a car that says how it
stands comes later still: in a large fleet it would be written anew with nearly each of its messages.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from fleet.backend.known_numbers import BootKey, Seen
from fleet.backend.schema import in_words, open_for_writing, open_in_memory
from fleet.backend.store import Batch, Committed, Part, Quarantined, Store, _committed
from fleet.backend.store_file import HeldName
from fleet.cloud.desk_io import CommandOpened, CommandRecord
from fleet.cloud.twin import Newest

HELD_ROWS: Final = 5_000
BEHIND_ROWS: Final = 50_000
"""How far behind its messages the row of a car may be."""


class BufferedStore(Store):
    """The only writer of a store file, that may be behind what it has taken."""

    has_log = False

    def __init__(self, path: Path, *, created_by: str = "") -> None:
        """Open or create the store."""
        self._held: list[Part] = []
        self._held_rows = 0
        self._held_commands: set[str] = set()
        self._sequences: dict[BootKey, Seen] = {}
        self._cars: dict[str, tuple[Newest, int]] = {}
        self._behind_rows = 0
        super().__init__(path, created_by=created_by)
        self._numbers.unsaved = self._sequences

    def _open(self, created_by: str) -> sqlite3.Connection:
        """Open the file once: nobody writes while it is looked at."""
        self._lookup = open_for_writing(self.path, created_by=created_by, survives_kill=False)
        return self._lookup

    def close(self) -> None:
        """Write what is held, and close the file."""
        try:
            self.flush(cars=True)
        finally:
            super().close()

    def commit(self, batch: Batch, stored_at: int) -> Committed:
        """Take a batch; raises StoreFull or StoreError when those held before it cannot be written."""
        if self._held_rows > HELD_ROWS:
            self.flush()
        prepared = self._prepare(batch)
        self._held.append(Part(batch, prepared, stored_at))
        self._held_rows += batch.size
        self._sequences.update(prepared.sequences)
        for key in prepared.forgotten:
            self._sequences.pop(key, None)
        for vin, newest in prepared.newest.items():
            self._cars[vin] = newest, stored_at
        for decision in batch.writes:
            if isinstance(decision.write, CommandOpened):
                self._held_commands.add(decision.write.record.id)
        return _committed(prepared)

    def flush(self, *, cars: bool = False) -> None:
        """Write in one transaction the batches that are held, with `cars` their rows too. What cannot be written stays held."""
        if self._connection is None:
            return
        cars = cars or self._behind_rows + self._held_rows > BEHIND_ROWS
        sequences, newest = (self._sequences, self._cars) if cars else ({}, {})
        if not (self._held or sequences or newest):
            return
        try:
            self._write(self._held, sequences, newest)
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise in_words(error, self.path) from error
            raise
        self._behind_rows += self._held_rows
        if cars:
            self._sequences.clear()
            self._cars = {}
            self._behind_rows = 0
        self._held = []
        self._held_rows = 0
        self._held_commands = set()

    def forget(self) -> None:
        """Write what is held before."""
        self.flush(cars=True)
        super().forget()

    def save(self) -> None:
        """Write all that is held."""
        self.flush(cars=True)

    def find_command(self, command_id: str) -> CommandRecord | None:
        """Return the command with this id, None when there never was one."""
        if command_id in self._held_commands:
            self.flush()
        return super().find_command(command_id)

    def _is_put_aside(self, held: Quarantined) -> bool:
        self.flush()  # it looks for a row
        return super()._is_put_aside(held)


class MemoryStore(BufferedStore):
    """A store that comes to its file when somebody wants to read it: for tests, most of which nobody reads afterwards."""

    hold = HeldName

    def _open(self, created_by: str) -> sqlite3.Connection:
        self._lookup = open_in_memory(created_by=created_by)
        return self._lookup

    def save(self) -> None:
        """Write the whole store to its file, anew."""
        self.flush(cars=True)
        if self._connection is not None:
            self.path.unlink(missing_ok=True)
            self._connection.execute("VACUUM INTO ?", (str(self.path),))
