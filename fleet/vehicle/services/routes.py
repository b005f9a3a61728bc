"""Routes that a user plans elsewhere: the car is sent them, offers and downloads them when the ignition is on, and keeps a list.

The list is the driver's: only he clears it. That a navi system of an older car holds a single route is ours.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from fleet.kernel.instants import DAY, SECOND, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.driver import Driver, PlannedTrip
from fleet.vehicle.kept import drop, find, obtain
from fleet.vehicle.region import Place
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal, Service
from fleet.wire.parameters import ImportedTrip, RouteImport, Waypoint

ROUTES_MOST: Final = 5
WAITING_TIME: Final[Duration] = 7 * DAY
"""How long a route waits for the ignition: as long as its command lives."""
SEVERAL_ROUTES_FROM: Final = 202225
"""Cars of the third generation built before this week hold one route, and a new one takes its place (ours)."""
DOWNLOAD_S: Final = (4.0, 20.0)
"""How long the driver takes to say yes, and the navi system to load (ours)."""

DOWNLOAD: Final = "route download"
"""Key of the timer of a download."""


class Waiting(NamedTuple):
    """Routes that one command brought and the driver has not been offered, or not long enough; until then they wait."""

    trips: tuple[ImportedTrip, ...]
    until: Instant


class Routes:
    """The routes that wait for the ignition, and the list in the navi system. `told`: they were offered at this ignition."""

    __slots__ = ("held", "told", "waiting")

    def __init__(self) -> None:
        self.waiting: tuple[Waiting, ...] = ()
        self.held: tuple[ImportedTrip, ...] = ()
        self.told = False

    @property
    def count(self) -> int:
        """How many routes there are, those included that still wait."""
        return len(self.held) + sum(len(each.trips) for each in self.waiting)


class Ports(ports.Sender, ports.Timed, ports.Chance, ports.Engine, ports.Connected, ports.Keeper, Protocol):
    """A car with a navi system, its ignition and its network."""

    driver: Driver
    equipment: Equipment


def holds_one(car: Ports) -> bool:
    """Tell whether this is the older variant, with one route."""
    return car.equipment.generation == "G3" and car.equipment.build_week < SEVERAL_ROUTES_FROM


# --- the command


def _refusal(car: Ports, parameters: RouteImport, _now: Instant) -> Refusal | None:
    trips = parameters.trips
    if holds_one(car):
        if len(trips) > 1:
            return Refusal("argument_out_of_range", f"this car holds one route; {len(trips)} were sent")
    else:
        routes = find(car, Routes)
        count = routes.count if routes is not None else 0
        if count + len(trips) > ROUTES_MOST:
            detail = (
                f"{count} of {ROUTES_MOST} routes are in the car, and {len(trips)} more were sent: the driver must clear the list"
            )
            return Refusal("list_full", detail)
    region = car.driver.region
    for trip in trips:
        for point in trip.waypoints:
            if not region.has_map(point.latitude, point.longitude):
                return Refusal("no_map_data", f"the maps of this car end before {point.latitude:g}, {point.longitude:g}")
    return None


def _import(car: Ports, parameters: RouteImport, now: Instant) -> None:
    """Keep the routes for the next ignition."""
    routes = obtain(car, Routes)
    if holds_one(car):
        routes.waiting = routes.held = ()
    routes.waiting += (Waiting(parameters.trips, now + WAITING_TIME),)
    car.agenda.call(now + WAITING_TIME + 1, _lapse)


ROUTE_IMPORT: Final = Service(_import, _refusal, takes=None)


# --- the ignition


def _lapse(car: Ports, _data: object, now: Instant) -> None:
    """Forget what has waited too long, and tell it."""
    routes = find(car, Routes)
    if routes is None:
        return
    lapsed = [each for each in routes.waiting if each.until < now]
    if lapsed:
        routes.waiting = tuple(each for each in routes.waiting if each.until >= now)
        car.send_event("route_lapsed", now, {"count": sum(len(each.trips) for each in lapsed)})


def offer(car: Ports, now: Instant) -> None:
    """Tell the driver what has arrived, and begin to download it; call when the ignition is on and the network is found."""
    routes = find(car, Routes)
    if routes is None or not routes.waiting or not car.engine_is_on or not car.outbox.has_coverage:
        return
    if not routes.told:
        routes.told = True
        car.send_event("route_offered", now, {"count": sum(len(each.trips) for each in routes.waiting)})
    seconds = car.draws("route", now).uniform(*DOWNLOAD_S)
    car.agenda.replace(DOWNLOAD, now + int(seconds * SECOND), _downloaded)


def break_off(car: Ports, _now: Instant) -> None:
    """A download ends with the network; it begins anew when that is back."""
    car.agenda.cancel(DOWNLOAD)


def engine_stopped(car: Ports, _now: Instant) -> None:
    """Offer again the next time the routes that were not downloaded."""
    routes = find(car, Routes)
    if routes is not None:
        routes.told = False
        car.agenda.cancel(DOWNLOAD)


def _downloaded(car: Ports, _data: None, now: Instant) -> None:
    routes = find(car, Routes)
    assert routes is not None
    trips = tuple(trip for each in routes.waiting for trip in each.trips)
    routes.waiting = ()
    routes.held += trips
    car.send_event("route_downloaded", now, {"count": len(trips), "listed": len(routes.held)})


# --- the driver


def forget(car: Ports, _now: Instant) -> None:
    """Forget all routes."""
    drop(car, Routes)
    car.agenda.cancel(DOWNLOAD)


def clear(car: Ports) -> None:
    """The driver empties the list in the car; what still waits is not in it."""
    routes = find(car, Routes)
    if routes is not None:
        routes.held = ()


def follow(car: Ports, now: Instant) -> list[PlannedTrip]:
    """Return the drives of the route that came last, one to each waypoint, where the driver stops (ours)."""
    routes = find(car, Routes)
    if routes is None or not routes.held:
        return []
    trip = routes.held[-1]
    car.send_event("route_started", now, {"waypoints": len(trip.waypoints)})
    return [PlannedTrip(now, _place(point), "errand") for point in trip.waypoints]


def _place(point: Waypoint) -> Place:
    return Place(point.latitude, point.longitude, point.name or "a waypoint", "errand")


LISTENER: Final = Listener(
    state=Routes, engine_started=offer, engine_stopped=engine_stopped, network_found=offer, network_lost=break_off, forget=forget
)
