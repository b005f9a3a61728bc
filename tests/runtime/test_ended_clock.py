"""A virtual clock that has ended: who is due a moment later is not asked for ever."""

from __future__ import annotations

import asyncio

from fleet.kernel.instants import MILLISECOND, SECOND, Instant
from fleet.kernel.schedule import Schedule
from fleet.runtime.clocks import VirtualClock
from fleet.runtime.virtual_loop import run_virtually

START: Instant = 1_772_427_600_000_000


def test_who_comes_back_at_once_lets_the_schedule_go_on() -> None:
    """A timer that finds nothing due, as the clock stands, and asks again, leaves the good-bye of others its time."""
    schedule = Schedule(START)
    clock = VirtualClock(schedule, START)
    looks: list[Instant] = []

    def look() -> None:
        looks.append(schedule.now)
        assert len(looks) <= 100, f"{len(looks)} looks until {schedule.now - START} µs"
        clock.call_at(START + SECOND, look, 0.001)

    async def good_bye() -> None:
        await asyncio.sleep(0.9995)
        clock.end()
        clock.call_at(START + SECOND, look)
        await asyncio.sleep(0.010)

    run_virtually(good_bye(), schedule)
    assert clock.now() == START + 999_500
    assert looks == [START + SECOND + n * MILLISECOND for n in range(10)]
