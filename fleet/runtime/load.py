"""Open-loop load: asks cars for their status at a fixed rate of scenario time, whatever becomes of the answers."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.runtime.shard import CarOnLink, Shard
from fleet.vehicle.signals import AskStatus


class StatusLoad:
    """Asks the cars in turn, `per_s` times a scenario second in all; an actor of the shard's heap.

    Each request has its intended instant, start + n / per_s, and is made as of then even when it comes late: a generator
    that stalls does not ask less, and latencies count from the intended time.
    """

    def __init__(self, shard: Shard, cars: Sequence[CarOnLink], *, per_s: float, start: Instant, duration: Duration) -> None:
        """Take the cars in the order in which they are asked."""
        self.asked = 0
        self._shard = shard
        self._cars = cars
        self._step = SECOND / per_s
        self._start = start
        self._count = int(duration / self._step)

    def _due_at(self, number: int) -> Instant:
        return self._start + int(number * self._step)

    def deadline(self) -> Instant | None:
        """Return when the next car is to be asked; None when all have been."""
        return self._due_at(self.asked) if self.asked < self._count else None

    def wake(self, at: Instant) -> None:  # noqa: ARG002  what came due while this was on its way is due too
        """Ask all cars whose turn it is."""
        now = self._shard.clock.now()
        while self.asked < self._count and (due_at := self._due_at(self.asked)) <= now:
            self._cars[self.asked % len(self._cars)].put(AskStatus(), due_at)
            self.asked += 1
