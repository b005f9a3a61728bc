"""Lets the links of one factory connect: so many a second, so many handshakes under way; and wakes each at its deadline.

One timer for all of them; only a handshake under way has a task.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from fleet.kernel.instants import MILLISECOND, SECOND, Instant
from fleet.kernel.timers import TimerHeap
from fleet.transport.loop_time import loop_now, loop_timer

_CATCH_UP_S: Final = 0.05
"""How much of a pause of the event loop is made up for in one go, at a limited rate."""
_POPPED_PER_TURN: Final = 1_000


class Connecting(Protocol):
    """A link, as far as connecting and its one deadline are concerned."""

    def attempt(self) -> Coroutine[Any, Any, None]:
        """Try once, until the link is up or its owner knows why not."""
        ...

    def attempt_began(self, task: asyncio.Task[None]) -> None:
        """Take the task, to cancel it when the attempt is no longer wanted."""
        ...

    def wake(self) -> None:
        """The time that was asked for is over."""
        ...

    def __str__(self) -> str: ...
    def __hash__(self) -> int: ...


class Connects:
    """First come, first served, behind three limits; and the timers of all links, in one heap."""

    def __init__(self, handshakes: int, connects_per_s: float | None) -> None:
        """Beyond the broker's listen backlog (100 in Mosquitto) the kernel repeats a connect only after a second."""
        self._handshakes = handshakes
        self._interval_s = 0.0 if connects_per_s is None else 1.0 / connects_per_s
        self._next_s = 0.0
        self._ready: OrderedDict[Connecting, None] = OrderedDict()
        self._timers: TimerHeap[Connecting] = TimerHeap()
        self._under_way: set[asyncio.Task[None]] = set()
        self._timer = loop_timer(self._deadline, self._pump, keeps_early=True)

    def add(self, link: Connecting) -> None:
        """Let the link attempt as soon as the limits allow."""
        self._ready[link] = None
        self._timer.rearm()

    def remove(self, link: Connecting) -> None:
        """The link wants no attempt."""
        if self._ready.pop(link, link) is None:
            self._rest()

    def set_timer(self, link: Connecting, wait_s: float | None) -> None:
        """Wake the link after so many seconds (None: not at all) instead of when it was asked for before."""
        if wait_s is None:
            if self._timers.set(link, None):
                self._rest()
        else:
            self._timers.set(link, loop_now() + int(wait_s * SECOND))
            self._timer.rearm()

    def _rest(self) -> None:
        """Set no timer for nothing."""
        if not self._ready and not len(self._timers):
            self._timer.cancel()

    def _deadline(self) -> Instant | None:
        """Return the moment at which something can be done, if nobody frees a place before."""
        first = self._timers.next_deadline()
        if not self._ready or len(self._under_way) >= self._handshakes:
            return first
        turn = int(self._next_s * SECOND) if self._interval_s else 0
        return turn if first is None else min(turn, first)

    def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        # Rounded up: a timer that comes a hair early must not be set again and again for the same deadline.
        for _, link in self._timers.pop_due(loop_now() + MILLISECOND, _POPPED_PER_TURN):
            link.wake()
        while self._ready and len(self._under_way) < self._handshakes:
            if self._interval_s:
                now_s = loop.time()
                if self._next_s > now_s + 0.001:
                    break
                self._next_s = max(self._next_s, now_s - _CATCH_UP_S) + self._interval_s
            link, _ = self._ready.popitem(last=False)
            task = loop.create_task(link.attempt(), name=f"connect {link}")
            self._under_way.add(task)
            task.add_done_callback(self._done)
            link.attempt_began(task)
        self._timer.rearm()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "a link died", "exception": error, "task": task})
        self._timer.rearm()
