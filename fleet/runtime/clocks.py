"""The clocks that read the machine's time. Scenario time = start + (wall - epoch) · factor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf

from fleet.kernel.instants import SECOND, Cancellable, Instant
from fleet.kernel.schedule import Schedule


def wall_us() -> int:
    """Return the wall time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def local_time() -> str:
    """Return the local time for the name of a folder: 20261120-180900."""
    return time.strftime("%Y%m%d-%H%M%S")


class ScaledClock:
    """Scenario time that runs `factor` times as fast as the wall; with factor 1 and start = epoch it is the wall's.

    The wall time is read once and then carried on by the monotonic clock, so that a corrected system clock moves no car.
    A clock that is `held` stands at its start until `begin`, so that cars can connect before their day starts, and it
    stands again from `end` on, so that they can say good-bye.
    """

    def __init__(self, start: Instant, *, factor: float = 1.0, epoch_wall_us: int | None = None, held: bool = False) -> None:
        """Let the scenario be at `start` when the wall is at `epoch_wall_us` (now when None)."""
        anchor_wall_us = wall_us()
        self._offset_ns = anchor_wall_us * 1000 - time.monotonic_ns()
        self.start = start
        self.epoch_wall_us = anchor_wall_us if epoch_wall_us is None else epoch_wall_us
        self._factor = factor
        self._held = held
        self._ended_at: Instant | None = None

    @property
    def factor(self) -> float:
        """Scenario seconds per wall second."""
        return self._factor

    def begin(self) -> None:
        """Let a held clock run: the scenario is at its start now."""
        self.epoch_wall_us = self.wall_us()
        self._held = False

    def end(self) -> None:
        """Let scenario time pass no more; wall time goes on."""
        self._ended_at = self.now()

    def wall_us(self) -> int:
        """Return the wall time, never running back."""
        return (time.monotonic_ns() + self._offset_ns) // 1000

    def now(self) -> Instant:
        """Return the scenario time."""
        return self.at_wall_us(self.wall_us())

    def at_wall_us(self, wall_us: int) -> Instant:
        """Return the scenario time at a wall time that was read from this clock; a clock that stands says where it stands."""
        if self._held:
            return self.start
        if self._ended_at is not None:
            return self._ended_at
        return self.start + int((wall_us - self.epoch_wall_us) * self._factor)

    def wall_us_at(self, instant: Instant) -> int:
        """Return the wall time at which the scenario reaches `instant`; as if a held clock began now."""
        epoch_wall_us = self.wall_us() if self._held else self.epoch_wall_us
        return epoch_wall_us + int((instant - self.start) / self._factor)

    def call_at(
        self, instant: Instant, callback: Callable[[], object], not_before_s: float = 0.0, not_after_s: float = inf
    ) -> Cancellable:
        """Have the running event loop call when the scenario reaches `instant`, within these bounds of wall seconds."""
        wait_s = (self.wall_us_at(instant) - self.wall_us()) / 1e6
        return asyncio.get_running_loop().call_later(min(max(not_before_s, wait_s), not_after_s), callback)


class SteppedClock(ScaledClock):
    """Scenario time that stands still until somebody moves it, while the wall's goes on."""

    def __init__(self, start: Instant) -> None:
        """Stand at `start`."""
        super().__init__(start, held=True)
        self._at = start
        self._moved_wall_us = self.wall_us()

    def move_to(self, instant: Instant) -> None:
        """Let it be `instant`; time never runs back."""
        self._at = max(self._at, instant)
        self._moved_wall_us = self.wall_us()

    def at_wall_us(self, wall_us: int) -> Instant:  # noqa: ARG002  the time stands, whatever the wall's
        """Return where the time stands."""
        return self._at

    def wall_us_at(self, instant: Instant) -> int:
        """Return when the time was moved here; what is still to come has no wall time, and counts from now."""
        return self._moved_wall_us if instant <= self._at else self.wall_us() + (instant - self._at)


class VirtualClock(ScaledClock):
    """The same clock on a schedule's time, which jumps: scenario time runs as fast as that, and no clock is read."""

    def __init__(
        self, schedule: Schedule, start: Instant, *, factor: float = 1.0, epoch_wall_us: int | None = None, held: bool = False
    ) -> None:
        """Let the scenario be at `start` when the schedule is at `epoch_wall_us` (now when None)."""
        epoch = schedule.now if epoch_wall_us is None else epoch_wall_us
        super().__init__(start, factor=factor, epoch_wall_us=epoch, held=held)
        self._schedule = schedule

    def wall_us(self) -> int:
        """Return the schedule's time, which is what there is of a wall's."""
        return self._schedule.now

    def now(self) -> Instant:
        """Return the scenario time."""
        return self.at_wall_us(self._schedule.now)

    def call_at(
        self, instant: Instant, callback: Callable[[], object], not_before_s: float = 0.0, not_after_s: float = inf
    ) -> Cancellable:
        """Have the schedule call then; once the clock has ended that is too early, and again and again at one instant."""
        at = self.wall_us_at(instant)
        if not_before_s:
            at = max(at, self._schedule.now + round(not_before_s * SECOND))
        if not_after_s < inf:
            at = min(at, self._schedule.now + round(not_after_s * SECOND))
        return self._schedule.call_at(at, callback)
