"""The shelves on which records about people stand: each a mapping in the notes of the rule, with what is found on it at once.

Nothing here walks a whole shelf, however many people there are: sessions and links are found by their account, and what ends is
dropped in the order of the ends.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Final, Generic, TypeVar

import msgspec

from fleet.cloud.people.records import Link, Record, Session, Tries
from fleet.cloud.rule import Notes
from fleet.kernel.instants import Instant
from fleet.kernel.timers import TimerHeap

RecordT = TypeVar("RecordT", bound=Record)
_DROPPED_AT_ONCE: Final = 100
"""What has ended goes with the next that comes, so many at a time: no input pays for all."""


class Shelf(Generic[RecordT]):
    """The records of one kind, by key; a mapping that is changed by `put` and `drop` alone."""

    def __init__(self, notes: Notes, name: str, kind: type[RecordT]) -> None:
        """Read what the notes hold of this kind."""
        self._notes = notes
        self._prefix = f"{name}/"
        self._held: dict[str, RecordT] = {
            key.removeprefix(self._prefix): msgspec.convert(value, kind)
            for key, value in notes.items()
            if key.startswith(self._prefix)
        }

    def get(self, key: str | None) -> RecordT | None:
        """Return the record of this key, None without one."""
        return None if key is None else self._held.get(key)

    def __getitem__(self, key: str) -> RecordT:
        return self._held[key]

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def values(self) -> ValuesView[RecordT]:
        return self._held.values()

    def items(self) -> ItemsView[str, RecordT]:
        return self._held.items()

    def put(self, key: str, record: RecordT) -> None:
        """Keep a record in place of the one before."""
        self._held[key] = record
        self._notes[self._prefix + key] = msgspec.to_builtins(record)

    def drop(self, key: str) -> RecordT | None:
        """Keep no record of this key any more, and return the one there was."""
        record = self._held.pop(key, None)
        if record is not None:
            del self._notes[self._prefix + key]
        return record


class Sessions(Shelf[Session]):
    """The sessions by the digests of their tokens; found by account, and by the digest of what renews them, too."""

    def __init__(self, notes: Notes) -> None:
        """Read what the notes hold."""
        super().__init__(notes, "session", Session)
        self._of: dict[str, dict[str, None]] = {}
        self._renewed_by: dict[str, str] = {}
        for key, session in self.items():
            self._list(key, session)

    def of(self, account: str) -> list[str]:
        """Return the digests of the sessions of an account, the oldest first, whatever order a store has."""
        return sorted(self._of.get(account, ()), key=lambda key: self._held[key].began)

    def renewed_by(self, refresh: str) -> str | None:
        """Return the session that this renews, or None."""
        return self._renewed_by.get(refresh)

    def put(self, key: str, record: Session) -> None:
        before = self.get(key)
        if before is not None:
            self._renewed_by.pop(before.refresh, None)
        super().put(key, record)
        self._list(key, record)

    def drop(self, key: str) -> Session | None:
        session = super().drop(key)
        if session is not None:
            self._renewed_by.pop(session.refresh, None)
            self._of[session.account].pop(key)
            if not self._of[session.account]:
                del self._of[session.account]
        return session

    def _list(self, key: str, session: Session) -> None:
        self._of.setdefault(session.account, {})[key] = None
        if session.refresh:
            self._renewed_by[session.refresh] = key


class Links(Shelf[Link]):
    """The links by the digests of their secrets; found by account, and dropped some time after they ended."""

    def __init__(self, notes: Notes) -> None:
        """Read what the notes hold."""
        super().__init__(notes, "link", Link)
        self._of: dict[str, dict[str, None]] = {}
        self._ends: TimerHeap[str] = TimerHeap()
        for key, link in self.items():
            self._list(key, link)

    def of(self, account: str) -> list[str]:
        """Return the digests of the links of an account."""
        return list(self._of.get(account, ()))

    def put(self, key: str, record: Link) -> None:
        super().put(key, record)
        self._list(key, record)

    def drop(self, key: str) -> Link | None:
        link = super().drop(key)
        if link is not None:
            self._ends.set(key, None)
            self._of[link.account].pop(key)
            if not self._of[link.account]:
                del self._of[link.account]
        return link

    def drop_ended(self, now: Instant) -> None:
        """Drop links that are over, the oldest first."""
        for key in [key for _, key in self._ends.pop_due(now, _DROPPED_AT_ONCE)]:
            self.drop(key)

    def _list(self, key: str, link: Link) -> None:
        self._of.setdefault(link.account, {})[key] = None
        self._ends.set(key, link.until)


class TriesShelf(Shelf[Tries]):
    """Counts by what they are of; the first to make room are those that are over, the last those that lock something."""

    def __init__(self, notes: Notes) -> None:
        """Read what the notes hold."""
        super().__init__(notes, "tries", Tries)
        self._open: TimerHeap[str] = TimerHeap()
        self._locked: TimerHeap[str] = TimerHeap()
        for key, tries in self.items():
            self._list(key, tries)

    def put(self, key: str, record: Tries) -> None:
        super().put(key, record)
        self._list(key, record)

    def drop(self, key: str) -> Tries | None:
        self._open.set(key, None)
        self._locked.set(key, None)
        return super().drop(key)

    def make_room(self, now: Instant) -> None:
        """Drop counts that are over; without one the count that ends first of those that lock nothing, and then of the others."""
        heaps = (self._open, self._locked)
        gone = [key for heap in heaps for _, key in heap.pop_due(now, _DROPPED_AT_ONCE)]
        if not gone:
            heap = self._open if len(self._open) else self._locked
            first = heap.next_deadline()
            gone = [] if first is None else [key for _, key in heap.pop_due(first, 1)]
        for key in gone:
            self.drop(key)

    def _list(self, key: str, tries: Tries) -> None:
        self._open.set(key, None if tries.locks else tries.until)
        self._locked.set(key, tries.until if tries.locks else None)
