"""The scenario time of a back end: the wall's until it is announced, then the announced one, which the store keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from fleet.backend.schema import CLOCK
from fleet.cloud.twin import ahead_at
from fleet.errors import StoreError
from fleet.kernel.instants import LATEST, SECOND, Clock, Instant, format_instant
from fleet.wire.messages import AnnounceClock

_SLOWEST: Final = 0.001
_FASTEST: Final = 1_000_000.0
_SOON_S: Final = 3600
"""Wall seconds for which an announced clock has to stay within what an instant holds."""


class ClockFactory(Protocol):
    """Makes scenario clocks; `runtime.clocks.ScaledClock` is one."""

    def __call__(self, start: Instant, *, factor: float, epoch_wall_us: int | None) -> Clock: ...


class AnnouncedClock:
    """The clock of the last announcement. `meta` is what the store keeps of it."""

    def __init__(
        self, make_clock: ClockFactory, wall_us: Callable[[], int], meta: Mapping[str, str], *, is_known: bool = False
    ) -> None:
        """Take up the announcement in `meta`. With `is_known` what `make_clock` makes tells scenario time before any.

        Raises StoreError where the announcement cannot be read.
        """
        self._make_clock = make_clock
        self._wall_us = wall_us
        self._is_known_without = is_known
        self._announced = meta.get(CLOCK)
        self._clock = self._clock_of(self._announced)

    @property
    def clock(self) -> Clock:
        """The clock in force."""
        return self._clock

    @property
    def is_known(self) -> bool:
        """False while scenario time has not been announced and the wall's stands in for it."""
        return self._is_known_without or self._announced is not None

    def now(self) -> Instant:
        """Return the scenario time; a clock that has run out of what an instant holds stands at its end."""
        now = self._clock.now()
        return now if 0 <= now <= LATEST else min(max(now, 0), LATEST)  # as a rule without the cost of two calls

    def known_now(self) -> Instant | None:
        """Return the scenario time, None before it is known."""
        return self.now() if self._announced is not None or self._is_known_without else None

    def latest_plausible(self) -> Instant:
        """Return the latest time at which a car can have measured anything by now: any, before a clock was announced."""
        return self.now() + ahead_at(self._clock.factor) if self.is_known else 2 * LATEST

    def wall_s_until(self, until: Instant) -> int:
        """Return the whole wall seconds from now to a scenario time, rounded up; negative when it is over."""
        return math.ceil((until - self.now()) / (SECOND * self._clock.factor))

    def announce(self, request: AnnounceClock) -> str:
        """Follow this clock from now on; return the announcement for the store's `meta`."""
        self._clock = self._make_clock(request.start, factor=request.factor, epoch_wall_us=request.epoch_wall_us)
        self._announced = msgspec.json.encode(request).decode()
        return self._announced

    def begin_anew(self, meta: Mapping[str, str]) -> None:
        """Go back to the announcement in `meta`, unless it is the present one."""
        announced = meta.get(CLOCK)
        if announced != self._announced:
            self._announced = announced
            self._clock = self._clock_of(announced)

    def _clock_of(self, announced: str | None) -> Clock:
        if announced is None:
            now = self._wall_us()
            return self._make_clock(now, factor=1.0, epoch_wall_us=now)
        try:
            kept = msgspec.json.decode(announced, type=AnnounceClock)
        except msgspec.DecodeError as error:
            raise StoreError(f"the clock kept in the store cannot be read: {error}") from None
        return self._make_clock(kept.start, factor=kept.factor, epoch_wall_us=kept.epoch_wall_us)


def objection_to(request: AnnounceClock, wall_us: int) -> str | None:
    """Return the reason for which a clock cannot be followed, None when it can."""
    if not _SLOWEST <= request.factor <= _FASTEST:  # refuses NaN, too
        return f"a clock runs at a factor of {_SLOWEST:g} to {_FASTEST:g}, not {request.factor:g}"
    present = request.start + int((wall_us - request.epoch_wall_us) * request.factor)
    if not 0 <= present <= LATEST - int(_SOON_S * SECOND * request.factor):
        where = format_instant(present)
        return (
            f"this clock shows {where}; it has to be between 1970 and {format_instant(LATEST)[:4]}, and still in an hour"
            " at its factor: are start and epoch_wall_us microseconds since 1970?"
        )
    return None
