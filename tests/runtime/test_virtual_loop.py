"""Asyncio on the time of a schedule: no waiting, one order."""

from __future__ import annotations

import asyncio
import time

import pytest

from fleet.kernel.instants import HOUR, SECOND, Instant
from fleet.kernel.schedule import Schedule
from fleet.runtime.virtual_loop import NothingToCome, run_virtually

START: Instant = 1_772_000_000_000_000


def test_a_day_of_waiting_takes_no_time() -> None:
    """Sleep, time-out and event work as live, and the schedule's time is where they ended."""
    schedule = Schedule(START)

    async def main() -> str:
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(3600, event.set)
        await event.wait()
        assert schedule.now == START + HOUR
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        await asyncio.sleep(23 * 3600 - 60)
        return "evening"

    began = time.monotonic()
    assert run_virtually(main(), schedule) == "evening"
    assert schedule.now == START + 24 * HOUR
    assert time.monotonic() - began < 1


def test_callbacks_tasks_and_the_schedule_share_one_order() -> None:
    """What is due at the same instant comes in the order in which it was asked for, whoever asked."""
    schedule = Schedule(START)
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, seen.append, "first, asked of the loop")
        schedule.call_at(START + SECOND, seen.append, "second, asked of the schedule")
        loop.call_later(1, seen.append, "third, asked of the loop")
        cancelled = loop.call_later(0.5, seen.append, "cancelled")
        cancelled.cancel()
        assert cancelled.cancelled()
        async with asyncio.TaskGroup() as group:
            for name in ("a", "b"):
                group.create_task(wait(name))

    async def wait(name: str) -> None:
        await asyncio.sleep(2)
        seen.append(name)

    run_virtually(main(), schedule)
    assert seen == [
        "first, asked of the loop", "second, asked of the schedule", "third, asked of the loop", "a", "b",
    ]  # fmt: skip


def test_work_for_threads_is_done_in_place() -> None:
    """A thread's work takes no time, and its error reaches who awaits it."""
    schedule = Schedule(START)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, sum, (1, 2)) == 3
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, divmod, 1, 0)

    run_virtually(main(), schedule)
    assert schedule.now == START


def test_waiting_for_ever_is_an_error() -> None:
    """When nothing is left that could end the waiting, the run says so; live it would hang."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingToCome):
        run_virtually(main(), Schedule(START))


def test_a_defect_in_a_callback_ends_the_run() -> None:
    """What asyncio would only have logged is raised."""

    async def main() -> None:
        asyncio.get_running_loop().call_later(1, divmod, 1, 0)
        await asyncio.sleep(2)

    with pytest.raises(ZeroDivisionError):
        run_virtually(main(), Schedule(START))


def test_what_is_left_behind_is_cancelled() -> None:
    """A task that outlives the main one is cancelled, and may still clean up."""
    cleaned: list[Instant] = []
    schedule = Schedule(START)

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(schedule.now)

    async def main() -> None:
        main.task = asyncio.create_task(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    run_virtually(main(), schedule)
    assert cleaned == [START + 2 * SECOND]
