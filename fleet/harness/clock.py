"""The cars' time in the hands of a test: it moves when it is asked to, and never by itself."""

from __future__ import annotations

from fleet.errors import UsageError
from fleet.harness.durations import LONGEST
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import Surroundings
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Instant, format_instant


class HarnessClock:
    """Moves the time of all cars of a world."""

    def __init__(self, world: Surroundings) -> None:
        self._world = world

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def now(self) -> Instant:
        """The scenario time in µs since 1970 UTC."""
        return self._world.now

    @step
    async def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let that much time pass for the cars; returns when all that it caused is acknowledged."""
        by = days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND
        if not 1 <= by <= LONGEST:
            raise UsageError(
                f"time cannot be moved by {by / SECOND:g} s", hint="It goes on by up to 100 years: advance(minutes=10)."
            )
        await self._world.until(lambda: False, self.now + round(by))
        await self._world.settle()

    @step
    async def advance_to(self, instant: Instant) -> None:
        """Let time pass until an instant in µs since 1970 UTC."""
        if instant <= self.now:
            raise UsageError(f"it is {format_instant(self.now)} already", hint="Give a later instant.")
        if not instant <= self.now + LONGEST:
            raise UsageError(
                f"{instant!r} is out of range", hint="Instants are in µs since 1970 UTC; 100 years at most lie between."
            )
        await self._world.until(lambda: False, instant)
        await self._world.settle()
