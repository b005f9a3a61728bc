"""What a car has planned for itself: a handful of (instant, sequence, function, data), the earliest first."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fleet.kernel.instants import Instant

if TYPE_CHECKING:
    from fleet.vehicle.car import Car

NEVER: Final[Instant] = 1 << 62
"""Later than anything."""


class Agenda:
    """A heap ordered by (instant, order of adding). Entries are not removed: who acts on one checks that it still holds.

    `next_at` is the instant of the earliest entry, NEVER without one.
    """

    __slots__ = ("_heap", "_sequence", "next_at")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Callable[[Car, Any, Instant], None], Any]] = []
        self._sequence = 0
        self.next_at = NEVER

    def call(self, at: Instant, function: Callable[[Car, Any, Instant], None], data: Any = None) -> None:
        """Have `function(car, data, at)` called; it checks that what it was planned for still holds."""
        self._sequence = sequence = self._sequence + 1
        heapq.heappush(self._heap, (at, sequence, function, data))
        if at < self.next_at:  # noqa: PLR1730 (a third of the cost of min())
            self.next_at = at

    def pop(self) -> tuple[Callable[[Car, Any, Instant], None], Any]:
        """Remove the earliest entry and return its function and data; there must be one."""
        _, _, function, data = heapq.heappop(self._heap)
        self.next_at = self._heap[0][0] if self._heap else NEVER
        return function, data
