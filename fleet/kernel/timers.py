"""One timer heap for many machines: no task, no timer handle and no tick for each of them."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from fleet.kernel.instants import Instant

KeyT = TypeVar("KeyT", bound=Hashable)


class TimerHeap(Generic[KeyT]):
    """The next deadline of each key, in the order (time, sequence in which it was set).

    Setting a deadline replaces the key's earlier one. Replaced entries stay in the heap until they surface;
    the heap is rebuilt when they are the majority, so memory follows the number of keys.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, KeyT]] = []
        self._current: dict[KeyT, tuple[Instant, int]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: KeyT, deadline: Instant | None) -> bool:
        """Set, replace or (None) remove the deadline of `key`, and return whether that changed anything.

        Setting the same instant again keeps its place.
        """
        held = self._current.get(key)
        if deadline is None:
            self._current.pop(key, None)
            return held is not None
        if held is not None and held[0] == deadline:
            return False
        self._sequence += 1
        self._current[key] = (deadline, self._sequence)
        heapq.heappush(self._heap, (deadline, self._sequence, key))
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._current):
            self._heap = [(at, n, key) for key, (at, n) in self._current.items()]
            heapq.heapify(self._heap)
        return True

    def next_deadline(self) -> Instant | None:
        """Return the earliest deadline, or None."""
        while self._heap:
            at, sequence, key = self._heap[0]
            if self._current.get(key) == (at, sequence):
                return at
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: Instant, limit: int) -> Iterator[tuple[Instant, KeyT]]:
        """Yield up to `limit` (deadline, key) that are due at `now`, earliest first, removing each.

        Deadlines set while iterating are seen, so a machine that wants to be woken again before `now` is.
        """
        for _ in range(limit):
            at = self.next_deadline()
            if at is None or at > now:
                return
            _, _, key = heapq.heappop(self._heap)
            del self._current[key]
            yield at, key
