"""The departure times of e-Hybrid and electric cars: their timers, and the next departure.

`departures` prepares the car for each, `charging` has it charged by then.
"""

from __future__ import annotations

from typing import Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.driver import Driver
from fleet.vehicle.kept import find
from fleet.vehicle.timers import Timer


class Ports(ports.Keeper, Protocol):
    """A car with a clock of its own."""

    driver: Driver


class Departures:
    """The timers of a car.

    `preparing` is the departure for which the car has woken, until somebody drives off or it reports that it is not ready;
    `charged` whether the car had its charge then.
    """

    __slots__ = ("charged", "preparing", "timers")

    def __init__(self, timers: tuple[Timer, ...]) -> None:
        self.timers = timers
        self.preparing: Instant | None = None
        self.charged = False


def next_departure(car: Ports, now: Instant) -> Instant | None:
    """Return the next departure, later than `now`; None without one."""
    departures = find(car, Departures)
    if departures is None:
        return None
    found = [at for timer in departures.timers if (at := timer.next_after(now, car.driver.region.zone)) is not None]
    return min(found, default=None)
