"""The trips of a car: those of the day that are still to come, how many there were, and the record of them."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.kernel.instants import Instant
from fleet.vehicle.driver import PlannedTrip
from fleet.wire.messages import DrivingData


class Trips:
    """The rest of the day's plan, the next trip first. `stays`: no further trip starts. `count` numbers the drives from 1.

    `record` is the driving data that a status reports; None without any.
    """

    __slots__ = ("_planned", "count", "record", "stays")

    def __init__(self) -> None:
        self._planned: tuple[PlannedTrip, ...] = ()
        self.stays = False
        self.count = 0
        self.record: DrivingData | None = None

    def next(self) -> PlannedTrip | None:
        """Return the next trip; None when all are done."""
        return self._planned[0] if self._planned else None

    def plan_day(self, trips: Sequence[PlannedTrip], *, go_on: bool) -> None:
        """Take the trips of a new day; with `go_on` the next one of the day before comes first."""
        begun = self._planned[:1] if go_on else ()
        self._planned = (*begun, *trips)

    def put_first(self, trips: Sequence[PlannedTrip]) -> None:
        """Put trips before all others, in their order."""
        self._planned = (*trips, *self._planned)

    def strike(self) -> None:
        """Strike the next trip off: it starts now, or leads nowhere."""
        self._planned = self._planned[1:]

    def departure_after(self, not_before: Instant) -> Instant | None:
        """Return when the next trip starts: late ones as soon as possible; those before the scenario began are struck off."""
        while self._planned and not self.stays:
            departure = self._planned[0].departure
            if departure >= not_before or self.count:
                return max(departure, not_before)
            self.strike()
        return None
