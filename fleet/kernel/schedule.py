"""Virtual time: calls in the order (instant, sequence), and a `now` that jumps from one to the next.

The same calls at the same instants run in the same order, whatever the machine does meanwhile.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from fleet.kernel.instants import SECOND, Duration, Instant

T = TypeVar("T")
U = TypeVar("U")

END_OF_TIME: Final[Instant] = 1 << 62
"""Later than anything."""
_SMALL: Final = 64


def virtual_duration(wall_s: float) -> Duration:
    """Return wall seconds as time of a schedule: in virtual time wall and scenario time are one. Converted only here."""
    return round(wall_s * SECOND)


def whole_wall_s(duration: Duration) -> int:
    """Return the whole wall seconds of a duration of a schedule: the way back."""
    return duration // SECOND


class ScheduledCall(msgspec.Struct, eq=False):
    """A call that is still to come, unless it is cancelled."""

    _schedule: Schedule
    _callback: Callable[..., object] | None
    _args: tuple[Any, ...]

    def cancel(self) -> None:
        """Do not call. Does nothing when it was called or cancelled before."""
        if self._callback is not None:
            self._callback = None
            self._args = ()
            self._schedule._cancelled_one()


class Schedule:
    """Calls to come, earliest first; of the same instant in the order in which they were asked for.

    A cancelled call stays in the heap until it surfaces; the heap is rebuilt when such calls are the majority. What is
    posted in the order of its time, as by a network of constant delay, waits in a queue beside the heap: a heap of ten
    thousand deadlines would cost it three times as much.
    """

    __slots__ = ("_cancelled", "_halted", "_heap", "_posted", "asked_for", "now")

    def __init__(self, now: Instant = 0) -> None:
        """Begin at `now`; nobody but the schedule changes it."""
        self.now = now
        self._heap: list[tuple[Instant, int, ScheduledCall]] = []
        self._posted: deque[tuple[Instant, int, Callable[[Any, Any], object], Any, Any]] = deque()
        self.asked_for = 0
        """How many calls have been asked for so far: the same as before means that nothing is to come that was not before."""
        self._cancelled = 0
        self._halted = False

    def __len__(self) -> int:
        """Return how many calls are to come."""
        return len(self._heap) - self._cancelled + len(self._posted)

    def call_at(self, instant: Instant, callback: Callable[..., object], *args: Any) -> ScheduledCall:
        """Call at `instant`, or as soon as what is due has been called if that has passed."""
        call = ScheduledCall(self, callback, args)
        self.put_at(instant, call)
        return call

    def put_at(self, instant: Instant, call: ScheduledCall) -> None:
        """Take a call, to be called as by `call_at`."""
        self.asked_for = sequence = self.asked_for + 1
        if instant < self.now:  # noqa: PLR1730  calling `max` costs as much as all the rest
            instant = self.now
        heapq.heappush(self._heap, (instant, sequence, call))

    def post_at(self, instant: Instant, callback: Callable[[T, U], object], first: T, second: U) -> None:
        """Call at `instant`, and be it a call that nobody cancels: the cheap way for messages, so it takes just two arguments."""
        posted = self._posted
        if instant < (posted[-1][0] if posted else self.now):
            self.call_at(instant, callback, first, second)
            return
        self.asked_for = sequence = self.asked_for + 1
        posted.append((instant, sequence, callback, first, second))

    def next_instant(self) -> Instant | None:
        """Return when the next call comes, or None."""
        heap, posted = self._heap, self._posted
        while heap and heap[0][2]._callback is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        if posted and not (heap and heap[0][0] < posted[0][0]):
            return posted[0][0]
        return heap[0][0] if heap else None

    def step(self) -> bool:
        """Let time jump to the next call and make it; False when there is none."""
        if self.next_instant() is None:
            return False
        self.run_till(iter((False, True)).__next__)
        return True

    def run_until(self, instant: Instant) -> None:
        """Make all calls up to and including `instant`, those that are asked for meanwhile too, and leave it `now`."""
        self.run_till(None, instant)
        self.now = max(self.now, instant)

    def halt(self) -> None:
        """Make no further call in this run. A call of the run says so."""
        self._halted = True

    def run_till(self, done: Callable[[], bool] | None, limit: Instant = END_OF_TIME) -> bool:
        """Let time jump from call to call, till it is `done` (None: never) or `halt` was said; False when none is left.

        Those after `limit` are left for later.
        """
        heap, posted, pop = self._heap, self._posted, heapq.heappop
        self._halted = False
        while heap or posted:
            # No two entries have the same sequence, so the comparison never comes to what is to be called.
            if posted and not (heap and heap[0] < posted[0]):
                at, _, callback, first, second = posted[0]
                if at > limit:
                    return False
                if done is not None and done():
                    return True
                self.now = at
                posted.popleft()
                callback(first, second)
            else:
                at, _, call = heap[0]
                scheduled = call._callback
                if scheduled is None:
                    pop(heap)
                    self._cancelled -= 1
                    continue
                if at > limit:
                    return False
                if done is not None and done():
                    return True
                self.now = at
                pop(heap)
                call._callback = None
                scheduled(*call._args)
            if self._halted:
                self._halted = False
                return True
        return False

    def _cancelled_one(self) -> None:
        self._cancelled += 1
        if len(self._heap) > _SMALL and 2 * self._cancelled > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2]._callback is not None]  # `run_till` holds the list
            heapq.heapify(self._heap)
            self._cancelled = 0
