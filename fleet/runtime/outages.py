"""Times of day at which a fleet's cars have no network, wherever they are; one actor for each fleet."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.kernel.instants import Instant
from fleet.runtime.car_selector import CarHandle, CarSelector
from fleet.scenario.actions import Selection
from fleet.scenario.schema import Scenario
from fleet.vehicle.signals import SetNetwork


class NetworkOutages:
    """Takes the network from its cars at the beginning of each outage and gives it back at the end; an actor of the heap."""

    def __init__(self, cars: Sequence[CarHandle], spans: Sequence[tuple[Instant, Instant]]) -> None:
        """Take the outages as [begin, end), in any order; where they overlap they are one."""
        self._cars = cars
        self._changes: list[tuple[Instant, bool]] = []
        for begin, end in sorted(spans):
            if self._changes and begin <= self._changes[-1][0]:
                self._changes[-1] = (max(end, self._changes[-1][0]), True)
            else:
                self._changes += [(begin, False), (end, True)]
        self._next = 0

    def deadline(self) -> Instant | None:
        """Return when the network next fails or works again."""
        return self._changes[self._next][0] if self._next < len(self._changes) else None

    def wake(self, at: Instant) -> None:
        """Change it for all cars, as of its instant."""
        while (due := self.deadline()) is not None and due <= at:
            for handle in self._cars:
                handle.put(SetNetwork(self._changes[self._next][1]), due)
            self._next += 1


def make_outages(scenario: Scenario, *, start: Instant, zone: str, selector: CarSelector) -> list[NetworkOutages]:
    """Return the actors of the fleets that have outages."""
    return [
        NetworkOutages(
            selector.chosen(Selection(fleet=fleet.name)),
            [span for window in fleet.coverage.outages for span in window.intervals(start, scenario.duration, zone)],
        )
        for fleet in scenario.fleets
        if fleet.coverage.outages
    ]
