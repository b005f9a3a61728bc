"""When a store writes the batches it takes: each at once, or many of them in one transaction.

A buffer is for virtual runs, where nothing is killed and nobody reads meanwhile: rows come later, at the latest with `flush`. The
one row of a car that says how it stands comes later still: in a large fleet it would be written anew with nearly each of its
messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleet.backend.database import Database, Medium
from fleet.backend.known_numbers import BootKey, Seen
from fleet.backend.rows import Part
from fleet.cloud.desk_io import CommandOpened
from fleet.cloud.twin import Newest


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """Where rows are written, and when. `held_rows` may wait until they are written together; 0 writes each batch at once.

    The rows of boots and cars may be `behind_rows` behind the messages that they come from.
    """

    medium: Medium
    held_rows: int = 0
    behind_rows: int = 0


AT_ONCE: Final = WritePolicy(Medium.SHARED_FILE)
BUFFERED: Final = WritePolicy(Medium.OWN_FILE, held_rows=5_000, behind_rows=50_000)
IN_MEMORY: Final = WritePolicy(Medium.MEMORY, held_rows=5_000, behind_rows=50_000)


class WriteBuffer:
    """The batches that were taken and have no rows yet. `sequences` are the numbers of boots that are newer than their rows."""

    def __init__(self, database: Database, policy: WritePolicy) -> None:
        """Write to this database, by this policy."""
        self._database = database
        self._policy = policy
        self._held: list[Part] = []
        self._held_rows = 0
        self._held_commands: set[str] = set()
        self.sequences: dict[BootKey, Seen] = {}
        self._cars: dict[str, tuple[Newest, int]] = {}
        self._behind_rows = 0

    def take(self, part: Part) -> None:
        """Write a batch, now or later; raises StoreError and its kin when it, or those held before it, cannot be written."""
        batch, prepared, stored_at = part
        newest = {vin: (newest, stored_at) for vin, newest in prepared.newest.items()}
        if not self._policy.held_rows:
            self._database.write([part], prepared.sequences, newest)
            return
        self._held.append(part)
        self._held_rows += batch.size
        self._cars.update(newest)
        self.sequences.update(prepared.sequences)
        for key in prepared.forgotten:
            self.sequences.pop(key, None)
        for decision in batch.writes:
            if isinstance(decision.write, CommandOpened):
                self._held_commands.add(decision.write.record.id)

    def make_room(self) -> None:
        """Write the batches that are held when there are too many."""
        if self._held_rows > self._policy.held_rows:
            self.bring_up()

    def holds(self, command_id: str) -> bool:
        """Tell whether a command has no row yet."""
        return command_id in self._held_commands

    def flush(self) -> None:
        """Write all that is held, with the rows of boots and cars. What cannot be written stays held."""
        self._write(cars=True)

    def bring_up(self) -> None:
        """Write the rows of the batches that are held; those of boots and cars only when they are far behind."""
        self._write(cars=self._behind_rows + self._held_rows > self._policy.behind_rows)

    def _write(self, *, cars: bool) -> None:
        sequences, newest = (self.sequences, self._cars) if cars else ({}, {})
        if not (self._held or sequences or newest):
            return
        self._database.write(self._held, sequences, newest)
        self._behind_rows += self._held_rows
        if cars:
            self.sequences.clear()
            self._cars = {}
            self._behind_rows = 0
        self._held = []
        self._held_rows = 0
        self._held_commands = set()
