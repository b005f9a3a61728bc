"""The cars' time in the hands of a test: it moves when it is asked to, and never by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import UsageError
from fleet.harness.steps import Steps, step
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant, format_instant
from fleet.scenario.scalars import Duration as ReadDuration
from fleet.scenario.scalars import Misread

if TYPE_CHECKING:
    from fleet.harness.world import World


def duration(value: str | float) -> Duration:
    """Read `"5 s"`, `"10 min"`, or a number of seconds. Raises UsageError."""
    if isinstance(value, int | float):
        return round(value * SECOND)
    try:
        return ReadDuration.parse(value)
    except Misread as error:
        raise UsageError(str(error), hint=error.hint or 'Such as "5 s", "10 min" or "2 h".') from None


class HarnessClock:
    """Moves the time of all cars of a world."""

    def __init__(self, world: World) -> None:
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
        by = round(days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND)
        if by <= 0:
            raise UsageError("time can only go on", hint="Such as advance(minutes=10).")
        await self._world.until(lambda: False, self.now + by)
        await self._world.settle()

    @step
    async def advance_to(self, instant: Instant) -> None:
        """Let time pass until an instant in µs since 1970 UTC."""
        if instant <= self.now:
            raise UsageError(f"it is {format_instant(self.now)} already", hint="Give a later instant.")
        await self._world.until(lambda: False, instant)
        await self._world.settle()
