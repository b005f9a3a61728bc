"""One timer heap for many machines: no task, no timer handle and no tick for each of them."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

from fleet.kernel.instants import Instant

KeyT = TypeVar("KeyT", bound=Hashable)


class TimerHeap(Generic[KeyT]):
    """The next deadline of each key, in the order (time, sequence in which it was set).

    Setting a deadline replaces the key's earlier one. Replaced entries stay in the heap until they surface;
    the heap is rebuilt when they are the majority, so memory follows the number of keys.
    """

    def __init__(self) -> None:
        # An entry is [deadline, sequence, key]; of one that was replaced the key is gone.
        self._heap: list[list[Any]] = []
        self._current: dict[KeyT, list[Any]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: KeyT, deadline: Instant | None) -> bool:
        """Set, replace or (None) remove the deadline of `key`, and return whether that changed anything.

        Setting the same instant again keeps its place.
        """
        current = self._current
        held = current.get(key)
        if held is not None:
            if held[0] == deadline:
                return False
            held[2] = None
        if deadline is None:
            current.pop(key, None)
            return held is not None
        self._sequence = sequence = self._sequence + 1
        heap = self._heap
        current[key] = entry = [deadline, sequence, key]
        heapq.heappush(heap, entry)
        if len(heap) > 64 and len(heap) > 2 * len(current):
            self._heap = list(current.values())
            heapq.heapify(self._heap)
        return True

    def next_deadline(self) -> Instant | None:
        """Return the earliest deadline, or None."""
        heap = self._heap
        while heap:
            entry = heap[0]
            if entry[2] is not None:
                return entry[0]  # type: ignore[no-any-return]
            heapq.heappop(heap)
        return None

    def pop_due(self, now: Instant, limit: int) -> Iterator[tuple[Instant, KeyT]]:
        """Yield up to `limit` (deadline, key) that are due at `now`, earliest first, removing each.

        Deadlines set while iterating are seen, so a machine that wants to be woken again before `now` is.
        """
        current = self._current
        for _ in range(limit):
            heap = self._heap  # a rebuilt one, perhaps
            while heap and heap[0][2] is None:
                heapq.heappop(heap)
            if not heap or heap[0][0] > now:
                return
            at, _, key = heapq.heappop(heap)
            del current[key]
            yield at, key
