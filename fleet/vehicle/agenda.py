"""The timers of a car: a handful of (instant, sequence, key, function, data), the earliest first."""

from __future__ import annotations

import heapq
from typing import Any, Final

from fleet.kernel.instants import Instant
from fleet.vehicle.ports import Act

NEVER: Final[Instant] = 1 << 62
"""Later than anything."""


class Agenda:
    """A heap ordered by (instant, order of adding). An entry with a key is cancelled, or replaced, by that key.

    A cancelled entry keeps its place and does nothing when its instant comes: entries are few, and a wake-up in vain costs less
    than to put the heap in order. `next_at` is the instant of the earliest entry, NEVER without one.
    """

    __slots__ = ("_heap", "_sequence", "next_at")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, object, Act, Any]] = []
        self._sequence = 0
        self.next_at = NEVER

    def __len__(self) -> int:
        """Return how many entries it holds, those cancelled included until their instant comes."""
        return len(self._heap)

    def call(self, at: Instant, function: Act, data: Any = None, *, key: object = None) -> None:
        """Have `function(car, data, at)` called, beside all other entries; those that share a `key` are cancelled together."""
        self._sequence = sequence = self._sequence + 1
        heapq.heappush(self._heap, (at, sequence, key, function, data))
        if at < self.next_at:  # noqa: PLR1730 (a third of the cost of min())
            self.next_at = at

    def replace(self, key: object, at: Instant, function: Act, data: Any = None) -> None:
        """Have `function(car, data, at)` called in place of all entries under `key`; at the same instant it keeps its place."""
        heap, kept = self._heap, False
        for index, entry in enumerate(heap):
            if entry[2] != key:
                continue
            if entry[0] == at and not kept:
                heap[index], kept = (at, entry[1], key, function, data), True
            else:
                heap[index] = entry[0], entry[1], None, _nothing, None
        if not kept:
            self.call(at, function, data, key=key)

    def cancel(self, key: object) -> None:
        """Take back all entries under `key`; does nothing without any."""
        heap = self._heap
        for index, entry in enumerate(heap):
            if entry[2] == key:
                heap[index] = entry[0], entry[1], None, _nothing, None

    def planned_at(self, key: object) -> Instant | None:
        """Return the instant of an entry under `key`; None without any."""
        for at, _, of, _, _ in self._heap:
            if of == key:
                return at
        return None

    def pop(self) -> tuple[Act, Any]:
        """Remove the earliest entry and return its function and data; there must be one."""
        _, _, _, function, data = heapq.heappop(self._heap)
        self.next_at = self._heap[0][0] if self._heap else NEVER
        return function, data


def _nothing(_car: object, _data: None, _now: Instant) -> None:
    """Pass the instant of a cancelled entry."""
