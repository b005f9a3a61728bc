"""The sequence numbers that a store knows of its cars, within bounds: in memory, in rows, and given up.

A car that keeps to its contract never meets one of the bounds. One that does not shall cost no other car anything: what is
beyond a bound is counted by name in `beyond`, and what comes of it later goes to quarantine.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

from fleet.cloud.sequence import Gap, SeenSequence
from fleet.wire.messages import Stored

GAPS_OF_BOOT: Final = 10_000
"""As many as a car has messages in its outbox: no more of them can be lost at once and come again."""
BOOTS_OF_CAR: Final = 1_000
"""Rows; of further boots the earliest one is forgotten, and what comes of it later is not taken for new."""
BOOTS_IN_MEMORY: Final = 4
"""Of a car; of others the row is read when a message of them comes."""
MARKED_GAPS: Final = 200
"""Gaps that one mark names: dropped and lost messages never come, and must not hold up the rest."""

BootKey = tuple[str, int]
"""VIN and boot."""


class Seen:
    """The numbers of one boot: how often one came again, how many are in quarantine, and how many marks were sent.

    `is_beyond` notes that some were given up, once that was counted.
    """

    __slots__ = ("duplicates", "is_beyond", "marked", "numbers", "quarantined")

    def __init__(self, numbers: SeenSequence, duplicates: int = 0, quarantined: int = 0) -> None:
        self.numbers = numbers
        self.duplicates = duplicates
        self.quarantined = quarantined
        self.marked = 0
        self.is_beyond = numbers.floor > 0

    def mark(self, boot: int) -> Stored:
        """Say to the car what is stored; with very many gaps a part of them, and each time another one."""
        numbers = self.numbers
        gaps = numbers.gaps
        if not gaps:
            return Stored(boot=boot, through=numbers.high)
        start = self._window(len(gaps))
        shown = gaps[start : start + MARKED_GAPS]
        high = numbers.high if start + MARKED_GAPS >= len(gaps) else shown[-1][1]
        untold = [(gaps[0][0], gaps[start - 1][1])] if start else []
        return Stored(boot=boot, through=numbers.through, high=high, gaps=(*untold, *shown))

    def _window(self, gaps: int) -> int:
        """Return with which gap to begin: in turn with the newest ones, as cars wait for those, and through all of them."""
        if gaps <= MARKED_GAPS:
            return 0
        turn, newest = divmod(self.marked, 2)
        self.marked += 1
        return gaps - MARKED_GAPS if newest else turn * MARKED_GAPS % gaps


class KnownNumbers:
    """The numbers by boot, as a store needs them; a boot is loaded when a message of it comes."""

    def __init__(self, connection: sqlite3.Connection, *, empty: bool) -> None:
        """Read from this connection, unless the store was `empty` in the beginning and all is in memory."""
        self._connection = connection
        self._all_in_memory = empty
        self._seen: dict[BootKey, Seen] = {}
        self._boots: dict[str, list[int]] = {}
        self._held: dict[str, list[int]] = {}
        self._read_gaps = msgspec.msgpack.Decoder(list[Gap]).decode
        self._forgotten: list[BootKey] = []
        self.unsaved: Mapping[BootKey, Seen] = {}
        """What is newer than its row."""

    def clear(self) -> None:
        """Let go of what is in memory; the rows have it."""
        self._seen.clear()
        self._boots.clear()
        self._held.clear()
        self._forgotten = []
        self._all_in_memory = False

    def of(self, key: BootKey) -> Seen | None:
        """Return the numbers of a boot, None for one so early that it may have been forgotten."""
        seen = self._seen.get(key)
        if seen is not None:
            return seen
        vin, boot = key
        boots = self._boots.get(vin)
        if boots is None:
            boots = self._boots[vin] = self._stored_boots(vin)
        place = bisect_left(boots, boot)
        if place < len(boots) and boots[place] == boot:
            seen = self.unsaved.get(key) or self._stored(key)
        elif len(boots) >= BOOTS_OF_CAR and place == 0:
            return None
        else:
            seen = Seen(SeenSequence(gaps_most=GAPS_OF_BOOT))
            boots.insert(place, boot)
            if len(boots) > BOOTS_OF_CAR:
                self._forgotten.append((vin, boots.pop(0)))
        self._hold(key, seen)
        return seen

    def boots(self, vin: str) -> list[int]:
        """Return the boots of a car, in their order."""
        return list(self._boots[vin]) if vin in self._boots else self._stored_boots(vin)

    def drop(self, vin: str) -> None:
        """Let go of a car whose rows are deleted."""
        for boot in self._held.pop(vin, ()):
            self._seen.pop((vin, boot), None)
        self._boots.pop(vin, None)

    def take_forgotten(self) -> list[BootKey]:
        """Return the boots that were forgotten since the last call: their rows are to be deleted."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def _hold(self, key: BootKey, seen: Seen) -> None:
        """Hold it in memory, in the place of the boot of the car that has been there for the longest time."""
        vin, boot = key
        self._seen[key] = seen
        held = self._held.setdefault(vin, [])
        held.append(boot)
        if len(held) > BOOTS_IN_MEMORY:
            self._seen.pop((vin, held.pop(0)), None)
            self._all_in_memory = False

    def holds(self, key: BootKey) -> Seen | None:
        """Return the numbers of a boot where they are in memory; empty ones where it is known that it has none."""
        seen = self._seen.get(key) or self.unsaved.get(key)
        return Seen(SeenSequence()) if seen is None and self._all_in_memory else seen

    def _stored_boots(self, vin: str) -> list[int]:
        if self._all_in_memory:
            return []
        return [row[0] for row in self._connection.execute("SELECT boot FROM sequence WHERE vin = ? ORDER BY boot", (vin,))]

    def _stored(self, key: BootKey) -> Seen:
        row = self._connection.execute(NUMBERS, key).fetchone()
        return Seen(SeenSequence(gaps_most=GAPS_OF_BOOT)) if row is None else self.read(row)

    def read(self, row: tuple[int, int, bytes, int, int, int]) -> Seen:
        """Return what a row tells."""
        high, missing, gaps, floor, duplicates, quarantined = row
        known = self._read_gaps(gaps)
        numbers = SeenSequence(high, known, floor=floor, gaps_most=GAPS_OF_BOOT)
        numbers.given_up = missing - numbers.missing
        numbers.missing = missing
        return Seen(numbers, duplicates, quarantined)


NUMBERS: Final = "SELECT high, missing, gaps, floor, duplicates, quarantined FROM sequence WHERE vin = ? AND boot = ?"
"""To be read by `KnownNumbers.read`."""
