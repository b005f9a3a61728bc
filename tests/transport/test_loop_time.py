"""A timer on the event loop's time."""

from __future__ import annotations

import asyncio

from fleet.kernel.instants import MILLISECOND, Instant
from fleet.transport.loop_time import loop_now, loop_timer


async def test_a_timer_comes_at_the_deadline_and_one_that_keeps_early_not_later_than_it_was_asked_for() -> None:
    """A deadline that moves away takes the call with it; with `keeps_early` the call comes all the same."""
    deadline: Instant = loop_now() + 5 * MILLISECOND
    called: list[str] = []
    both = asyncio.Event()

    def due(name: str) -> None:
        called.append(name)
        if len(called) == 2:
            both.set()

    exact = loop_timer(lambda: deadline, lambda: due("exact"))
    early = loop_timer(lambda: deadline, lambda: due("early"), keeps_early=True)
    for timer in (exact, early):
        timer.rearm()
    deadline += 45 * MILLISECOND
    for timer in (exact, early):
        timer.rearm()
    await asyncio.wait_for(both.wait(), 5)
    assert called == ["early", "exact"]
    assert loop_now() >= deadline - MILLISECOND
