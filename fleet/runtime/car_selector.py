"""The cars of a scenario by their place in it: who `{fleet: heated, share: 20 %}` are. The same words mean the same cars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from fleet.kernel.draws import stream_key
from fleet.kernel.instants import Instant
from fleet.scenario.actions import Selection
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.vehicle.signals import CarInput


class CarHandle(Protocol):
    """A car and whoever carries inputs to it and performs its outputs."""

    @property
    def car(self) -> Car: ...
    def put(self, message: CarInput, at: Instant | None = None) -> None: ...


class CarSelector:
    """All cars of a scenario are counted, in the order of its fleets; those of this shard can be reached.

    Who is chosen is a matter of seed, fleet and number alone: a fleet more, or another shard, changes no choice.
    """

    def __init__(self, scenario: Scenario, cars: Iterable[CarHandle], *, index: int = 0, count: int = 1) -> None:
        """Take the cars of shard `index` of `count`, in the order in which they were built."""
        self._seed = scenario.seed
        self._here = list(cars)
        self._index = index
        self._count = count
        self._fleets: dict[str, range] = {}
        first = 0
        for fleet in scenario.fleets:
            self._fleets[fleet.name] = range(first, first + fleet.count)
            first += fleet.count
        self._all = range(first)

    def select(self, cars: Selection) -> Sequence[int]:
        """Return the places of the chosen cars; of a share or a count the same ones each time, a smaller one within a larger."""
        numbered = self._all if cars.fleet is None else self._fleets[cars.fleet]
        if cars.index is not None:
            return [numbered[number] for number in cars.index.numbers if number < len(numbered)]
        if cars.share is None and cars.count is None:
            return numbered
        return sorted(self.shuffled(numbered, "cast")[: cars.size(len(numbered))])

    def shuffled(self, places: Sequence[int], purpose: str) -> list[int]:
        """Return the places in an order of chance, which is the same for the same purpose."""
        names = [""] * len(self._all)
        for fleet, numbered in self._fleets.items():
            for place in numbered:
                names[place] = f"{fleet}/{place - numbered.start}"
        return sorted(places, key=lambda place: stream_key(self._seed, purpose, names[place]))

    def handle(self, place: int) -> CarHandle | None:
        """Return the car at a place, or None when it lives in another shard."""
        number, shard = divmod(place, self._count)
        return self._here[number] if shard == self._index else None

    def chosen(self, cars: Selection) -> list[CarHandle]:
        """Return those of the chosen cars that live here."""
        return [handle for place in self.select(cars) if (handle := self.handle(place)) is not None]
