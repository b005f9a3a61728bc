"""What a car has planned for itself: a handful of (instant, sequence, kind, data), the earliest first."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum, auto
from typing import TYPE_CHECKING, Any

from fleet.kernel.instants import Instant

if TYPE_CHECKING:
    from fleet.vehicle.car import Car


class Kind(IntEnum):
    """What is to be done when the time has come."""

    PLAN_DAY = auto()
    START = auto()
    STOPPED = auto()
    LEFT = auto()
    COVERAGE = auto()
    DEAD_ZONE = auto()
    WOKEN = auto()
    ACTUATED = auto()
    CALL = auto()


class Agenda:
    """A heap ordered by (instant, order of adding). Entries are not removed: who acts on one checks that it still holds."""

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Kind, Any]] = []
        self._sequence = 0

    def add(self, at: Instant, kind: Kind, data: Any = None) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, kind, data))

    def call(self, at: Instant, function: Callable[[Car, Any, Instant], None], data: Any = None) -> None:
        """Have `function(car, data, at)` called; it checks that what it was planned for still holds."""
        self.add(at, Kind.CALL, (function, data))

    def next_at(self) -> Instant | None:
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: Instant) -> tuple[Instant, Kind, Any] | None:
        """Remove and return the earliest entry when it is due."""
        if not self._heap or self._heap[0][0] > now:
            return None
        at, _, kind, data = heapq.heappop(self._heap)
        return at, kind, data
