"""The settings that all cars of a fleet share besides equipment: dead zones, how they deliver, what is set at the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fleet.kernel.instants import Duration
from fleet.vehicle.geo import distance_m
from fleet.vehicle.outbox import OUTBOX_LIMIT
from fleet.wire.dialect import NO_INTERVALS, StatusIntervals
from fleet.wire.messages import Status, Written
from fleet.wire.privacy import OPEN, PrivacyMode


class PlacedDeadZone(NamedTuple):
    """Everything within `radius_m` of a point, in degrees: there is no network."""

    latitude: float
    longitude: float
    radius_m: float

    def holds(self, latitude: float, longitude: float) -> bool:
        return distance_m(self.latitude, self.longitude, latitude, longitude) <= self.radius_m


@dataclass(frozen=True, slots=True)
class CarSettings:
    """The settings that all cars of a fleet share besides equipment.

    `fleet` is their fleet's name. `hole_share` is the share (0 to 1) of drives that pass a hole in the network;
    garages belong to the places. In a dead zone there is no network at all. `registered_in` is the country where they are
    registered, None for the one they live in. `privacy` is what their switch is set to at the start. `reply_time` is what a
    reply to a request may take at least: at a fast clock the way there and back takes longer than people would wait.
    With `remembers` they have it written down which commands they execute. With `write_status` a status that a load stage wants
    again is sent as it was written. `status_intervals` are how often they report while they drive or charge. A car in which
    nobody is `at_home` waits for its first user.
    """

    fleet: str = ""
    hole_share: float = 0.08
    dead_zones: tuple[PlacedDeadZone, ...] = ()
    outbox_limit: int = OUTBOX_LIMIT
    until_stored: bool = False
    registered_in: str | None = None
    privacy: PrivacyMode = OPEN
    at_home: bool = True
    reply_time: Duration = 0
    remembers: bool = False
    write_status: Callable[[Status], Written] | None = None
    status_intervals: StatusIntervals = NO_INTERVALS
