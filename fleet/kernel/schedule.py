"""Virtual time: one heap of calls in the order (instant, sequence), and a `now` that jumps from one to the next.

The same calls at the same instants run in the same order, whatever the machine does meanwhile.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from fleet.kernel.instants import SECOND, Duration, Instant

_SMALL: Final = 64


def virtual_duration(wall_s: float) -> Duration:
    """Return wall seconds as time of a schedule: in virtual time wall and scenario time are one. Converted only here."""
    return round(wall_s * SECOND)


def whole_wall_s(duration: Duration) -> int:
    """Return the whole wall seconds of a duration of a schedule: the way back."""
    return duration // SECOND


class ScheduledCall:
    """A call that is still to come, unless it is cancelled."""

    __slots__ = ("_args", "_callback", "_schedule")

    def __init__(self, schedule: Schedule, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._schedule = schedule
        self._callback: Callable[..., object] | None = callback
        self._args = args

    def cancel(self) -> None:
        """Do not call. Does nothing when it was called or cancelled before."""
        if self._callback is not None:
            self._callback = None
            self._args = ()
            self._schedule._cancelled_one()


class Schedule:
    """Calls to come, earliest first; of the same instant in the order in which they were asked for.

    A cancelled call stays in the heap until it surfaces; the heap is rebuilt when such calls are the majority.
    """

    __slots__ = ("_cancelled", "_heap", "_sequence", "now")

    def __init__(self, now: Instant = 0) -> None:
        """Begin at `now`; nobody but the schedule changes it."""
        self.now = now
        self._heap: list[tuple[Instant, int, ScheduledCall]] = []
        self._sequence = 0
        self._cancelled = 0

    def __len__(self) -> int:
        """Return how many calls are to come."""
        return len(self._heap) - self._cancelled

    def call_at(self, instant: Instant, callback: Callable[..., object], *args: Any) -> ScheduledCall:
        """Call at `instant`, or as soon as what is due has been called if that has passed."""
        call = ScheduledCall(self, callback, args)
        self._sequence = sequence = self._sequence + 1
        heapq.heappush(self._heap, (max(self.now, instant), sequence, call))
        return call

    def next_instant(self) -> Instant | None:
        """Return when the next call comes, or None."""
        heap = self._heap
        while heap:
            at, _, call = heap[0]
            if call._callback is not None:
                return at
            heapq.heappop(heap)
            self._cancelled -= 1
        return None

    def step(self) -> bool:
        """Let time jump to the next call and make it; False when there is none."""
        heap = self._heap
        while heap:
            at, _, call = heapq.heappop(heap)
            callback = call._callback
            if callback is None:
                self._cancelled -= 1
                continue
            call._callback = None
            self.now = at
            callback(*call._args)
            return True
        return False

    def run_until(self, instant: Instant) -> None:
        """Make all calls up to and including `instant`, those that are asked for meanwhile too, and leave it `now`."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= instant:
            at, _, call = pop(heap)
            callback = call._callback
            if callback is None:
                self._cancelled -= 1
                continue
            call._callback = None
            self.now = at
            callback(*call._args)
        self.now = max(self.now, instant)

    def _cancelled_one(self) -> None:
        self._cancelled += 1
        if len(self._heap) > _SMALL and 2 * self._cancelled > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2]._callback is not None]  # `run_until` holds the list
            heapq.heapify(self._heap)
            self._cancelled = 0
