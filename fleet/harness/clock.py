"""The cars' time in the hands of a test: it moves when it is asked to, and never by itself."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from fleet.errors import UsageError
from fleet.harness.steps import Steps, step
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant, format_instant
from fleet.scenario.scalars import Duration as ReadDuration
from fleet.scenario.scalars import Misread, is_number

if TYPE_CHECKING:
    from fleet.harness.world import World


LONGEST: Final = 36_525 * DAY
"""A hundred years: no test needs more, and a slip of the unit ends at once."""


def duration(value: str | float) -> Duration:
    """Read `"5 s"`, `"10 min"`, or a number of seconds. Raises UsageError, also for less than nothing and over 100 years."""
    try:
        found = value * SECOND if isinstance(value, int | float) and is_number(value) else ReadDuration.parse(value)
    except Misread as error:
        raise UsageError(str(error), hint=error.hint or 'Such as "5 s", "10 min" or "2 h".') from None
    if not 0 <= found <= LONGEST:
        raise UsageError(f"{value!r} is out of range", hint="From 0 to 100 years.")
    return round(found)


def wall_s(within_s: float) -> float:
    """Return a number of seconds of real time as it is. Raises UsageError for anything else."""
    if not (is_number(within_s) and 0 <= within_s < inf):
        raise UsageError(f"within_s is {within_s!r}", hint="It is a number of seconds of real time, such as within_s=5.")
    return within_s


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
