"""Tells new messages from known ones, and finds the newest state of each car, before a batch is written.

The numbers seen and the messages that the newest state of each car comes from are kept in memory, loaded when a car is first
met, and written with the rows that they belong to. The state itself stands in those messages only: written out once more it
would be as much as they are.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from fleet.backend.known_numbers import GAPS_OF_BOOT, BootKey, KnownNumbers, Seen
from fleet.backend.newest_rows import load_newest
from fleet.backend.quarantine import PAYLOAD_KEPT, Room
from fleet.backend.schema import LAST_ID
from fleet.backend.store import Arrival, Batch, Prepared, QuarantinedFrame
from fleet.cloud.rule import Erase
from fleet.cloud.sequence import SeenSequence
from fleet.cloud.twin import Newest

BOOTS_FORGOTTEN: Final = "earlier boots of cars with too many were forgotten"
GAPS_GIVEN_UP: Final = "boots leave out so many numbers that the earliest were given up"
NOT_KEPT: Final = "messages in quarantine were counted, but not kept"
_ANY_CAR: Final = "SELECT EXISTS (SELECT 1 FROM sequence) OR EXISTS (SELECT 1 FROM newest)"
_PUT_ASIDE: Final = "SELECT 1 FROM quarantine WHERE vin = ? AND boot = ? AND seq = ? AND seq > 0"


class BatchPreparer:
    """The messages that a store knows. `next_id` is the id of the next new one."""

    def __init__(self, connection: sqlite3.Connection, bring_up: Callable[[], None]) -> None:
        """Read from this connection; `bring_up` writes the rows of batches that are still held, before a row is looked for."""
        self._connection = connection
        self._bring_up = bring_up
        self._newest: dict[str, Newest] = {}
        # Then all there ever is of a car is in memory from the first time on.
        self._began_empty = not connection.execute(_ANY_CAR).fetchone()[0]
        self.numbers = KnownNumbers(connection, empty=self._began_empty)
        self._room = Room(connection)
        self.next_id = 1 + int(connection.execute(LAST_ID).fetchone()[0])
        self.beyond: Counter[str] = Counter()
        self._of_erased: dict[BootKey, Seen] = {}
        """The numbers of cars of which no row is left: what comes again is counted once, as long as this process lives."""

    def forget(self) -> None:
        """Begin anew from the rows."""
        self.numbers.clear()
        self._room = Room(self._connection)
        self._newest.clear()
        self._of_erased.clear()
        self._began_empty = False
        self.next_id = 1 + int(self._connection.execute(LAST_ID).fetchone()[0])

    def prepare(self, batch: Batch) -> Prepared:
        """Tell new messages from known ones and merge them.

        All reading comes first: an error in the middle would leave numbers noted whose rows are never written.
        """
        prepared = Prepared(first_id=self.next_id)
        fresh, newest, sequences, known = prepared.fresh, prepared.newest, prepared.sequences, self.numbers.of
        for held in batch.quarantined:
            if held.vin and held.boot is not None and held.seq and (seen := known((held.vin, held.boot))) is not None:
                sequences[held.vin, held.boot] = seen
        if batch.forgotten or batch.erased:
            self._look_up_erased(batch, sequences)
        for arrival in batch.arrivals:
            key = arrival[:2]
            if key not in sequences and (seen := known(key)) is not None:
                sequences[key] = seen
            vin = key[0]
            if vin not in newest:
                newest[vin] = self._newest.get(vin) or self._load_newest(vin)
        for presence in batch.presences:
            vin = presence.vin
            if vin not in newest:
                newest[vin] = self._newest.get(vin) or self._load_newest(vin)
        next_id = self.next_id
        for arrival in batch.arrivals:
            seen = sequences.get(arrival[:2])
            if seen is None or not seen.numbers.add(arrival.seq):
                self._not_new(arrival, seen, prepared)
                continue
            if arrival.origin is not None:
                newest[arrival.vin].take(arrival.origin, next_id)
            next_id += 1
            fresh.append(arrival)
        self.next_id = next_id
        for presence in batch.presences:
            newest[presence.vin].take_presence(presence)
        for held in batch.quarantined:
            self._put_aside(held, prepared)
        for arrival, has_row in batch.forgotten:
            self._count_forgotten(arrival, prepared, has_row=has_row)
        self._note_beyond(sequences.values())
        prepared.forgotten = self.numbers.take_forgotten()
        if prepared.forgotten:
            self.beyond[BOOTS_FORGOTTEN] += len(prepared.forgotten)
        return prepared

    def _note_beyond(self, numbers: Iterable[Seen]) -> None:
        for seen in numbers:
            if seen.numbers.floor and not seen.is_beyond:
                seen.is_beyond = True
                self.beyond[GAPS_GIVEN_UP] += 1

    def _look_up_erased(self, batch: Batch, sequences: dict[BootKey, Seen]) -> None:
        """Read the numbers of messages that are not stored any more, and of cars before they are erased."""
        for arrival, has_row in batch.forgotten:
            if has_row and (seen := self.numbers.of(arrival[:2])) is not None:
                sequences[arrival[:2]] = seen
        for vin in (vin for erased in batch.erased for vin in erased.vins):
            for boot in self.numbers.boots(vin):
                if (seen := self.numbers.of((vin, boot))) is not None:
                    self._of_erased[vin, boot] = seen

    def forget_cars(self, erased: Iterable[Erase]) -> None:
        """Let go of what is erased, once it is committed."""
        for car in (car for each in erased for car in each.cars):
            held = self._newest.pop(car.vin, None)
            if car.whole:
                self.numbers.drop(car.vin)
            elif held is not None:
                self._newest[car.vin] = load_newest(self._connection, car.vin)
        self._room = Room(self._connection)

    def _count_forgotten(self, arrival: Arrival, prepared: Prepared, *, has_row: bool) -> None:
        """Note the number of a message of an erased car as seen, so that the car need not send it again, and count it once."""
        key = arrival[:2]
        if has_row:
            seen = prepared.sequences.get(key)
        else:
            seen = self._of_erased.setdefault(key, Seen(SeenSequence(gaps_most=GAPS_OF_BOOT)))
            prepared.forgotten_sequences[key] = seen
        if seen is None or not seen.numbers.add(arrival.seq):
            return
        count, noted = prepared.erased_counts.get(arrival.boot, (0, 0))
        prepared.erased_counts[arrival.boot] = count + 1, noted + has_row

    def _not_new(self, arrival: Arrival, seen: Seen | None, prepared: Prepared) -> None:
        """Count a duplicate; or put aside what may be one, as its boot or its number is not known any more."""
        if seen is not None and arrival.seq > seen.numbers.floor:
            seen.duplicates += 1
            prepared.duplicates += 1
            return
        vin, boot, seq, kind, name, *_ = arrival
        detail = f"{kind} {name or ''} {seq} of boot {boot}: so many {'boots' if seen is None else 'gaps'} came after it"
        held = QuarantinedFrame(
            arrival.received_at, f"{vin}/{kind}", "too_late", detail, len(arrival.payload), arrival.payload[:PAYLOAD_KEPT],
            vin, None, None,
        )  # fmt: skip
        prepared.refused.append((arrival, held))
        self._put_aside(held, prepared)

    def _put_aside(self, held: QuarantinedFrame, prepared: Prepared) -> None:
        """Note the number of a message in quarantine as seen, so that its car need not send it again; keep it if there is room.

        One whose number is stored already was damaged on its second way only: it is kept, but not counted. The same one
        again is kept once, by its number.
        """
        seen = prepared.sequences.get((held.vin or "", held.boot or 0))
        if seen is None or not held.seq:
            held = held._replace(boot=None, seq=None)
        elif seen.numbers.add(held.seq):
            seen.quarantined += 1
        elif any(held[-3:] == other[-3:] for other in prepared.quarantined) or self._is_put_aside(held):
            return
        else:
            held = held._replace(boot=None, seq=None)
        prepared.put_aside[held.reason] = prepared.put_aside.get(held.reason, 0) + 1
        if self._room.take(held.vin, held.reason):
            prepared.quarantined.append(held)
        else:
            self.beyond[NOT_KEPT] += 1

    def _is_put_aside(self, held: QuarantinedFrame) -> bool:
        self._bring_up()
        number = (held.vin, held.boot, held.seq)
        return self._connection.execute(_PUT_ASIDE, number).fetchone() is not None

    def _load_newest(self, vin: str) -> Newest:
        newest = Newest() if self._began_empty else load_newest(self._connection, vin)
        self._newest[vin] = newest
        return newest
