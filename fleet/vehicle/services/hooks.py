"""What happens to a car, passed on to the services that hear it, in the order of the registry."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from fleet.kernel.instants import Instant
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.registry import LISTENERS
from fleet.wire.messages import Reply

if TYPE_CHECKING:
    from fleet.vehicle.car import Car
    from fleet.vehicle.journey import Journey
    from fleet.vehicle.powertrain import Levels


HEARD: Final[dict[str, tuple[Any, ...]]] = {
    event.name: tuple(hear for listener in LISTENERS if (hear := getattr(listener, event.name)) is not None)
    for event in fields(Listener)
}
"""The functions of all services that hear an event, by its name."""


def made(car: Car, now: Instant) -> None:
    """The car is made, and not switched on yet."""
    for hear in HEARD["made"]:
        hear(car, now)


def powered_on(car: Car, now: Instant) -> None:
    """The car's computer starts."""
    for hear in HEARD["powered_on"]:
        hear(car, now)


def day_began(car: Car, now: Instant) -> None:
    """It is midnight by the driver's clock, or the car's computer has just started."""
    for hear in HEARD["day_began"]:
        hear(car, now)


def driver_gets_in(car: Car, now: Instant) -> None:
    """Somebody gets into the car to start the engine."""
    for hear in HEARD["driver_gets_in"]:
        hear(car, now)


def engine_starts(car: Car, now: Instant) -> None:
    """Somebody starts the engine; levels are not settled yet, and what runs on them has to end."""
    for hear in HEARD["engine_starts"]:
        hear(car, now)


def engine_started(car: Car, now: Instant) -> None:
    """The engine runs, and the event is sent."""
    for hear in HEARD["engine_started"]:
        hear(car, now)


def engine_stops(car: Car, now: Instant) -> None:
    """The car stands with its engine off, and no event is sent yet."""
    for hear in HEARD["engine_stops"]:
        hear(car, now)


def engine_stopped(car: Car, now: Instant) -> None:
    """The engine is off, trip and status are sent."""
    for hear in HEARD["engine_stopped"]:
        hear(car, now)


def driver_left(car: Car, now: Instant) -> None:
    """The driver has walked away; the car's openings and plug are as they stay."""
    for hear in HEARD["driver_left"]:
        hear(car, now)


def driver_plugs_in(car: Car, now: Instant) -> None:
    """The driver plugs the car in."""
    for hear in HEARD["driver_plugs_in"]:
        hear(car, now)


def refilled(car: Car, now: Instant) -> None:
    """The tank is full, and the event is sent."""
    for hear in HEARD["refilled"]:
        hear(car, now)


def fuel_changed(car: Car, now: Instant) -> None:
    """Fuel or charge was taken out of the car."""
    for hear in HEARD["fuel_changed"]:
        hear(car, now)


def charge_changed(car: Car, now: Instant) -> None:
    """The plug is in or out, or charging has begun or ended."""
    for hear in HEARD["charge_changed"]:
        hear(car, now)


def low_voltage_fell(car: Car, now: Instant) -> None:
    """The 12 V battery is low, and the event is sent."""
    for hear in HEARD["low_voltage_fell"]:
        hear(car, now)


def network_found(car: Car, now: Instant) -> None:
    """There is coverage again."""
    for hear in HEARD["network_found"]:
        hear(car, now)


def network_lost(car: Car, now: Instant) -> None:
    """There is no coverage any more."""
    for hear in HEARD["network_lost"]:
        hear(car, now)


def forget(car: Car, now: Instant) -> None:
    """Everything personal is wiped: each service forgets what people have left."""
    for hear in HEARD["forget"]:
        hear(car, now)


def drive_planned(car: Car, journey: Journey, now: Instant) -> None:
    """A drive begins: its path and its speeds are known, so its events can go into the agenda."""
    for hear in HEARD["drive_planned"]:
        hear(car, journey, now)


def trip_ended(car: Car, journey: Journey, before: Levels, after: Levels, now: Instant) -> None:
    """A drive is over, and the event of the engine is sent."""
    for hear in HEARD["trip_ended"]:
        hear(car, journey, before, after, now)


def replied(car: Car, reply: Reply, now: Instant) -> None:
    """The back end answers something that this car has sent."""
    for hear in HEARD["replied"]:
        hear(car, reply, now)


# --- questions


def forbids_start(car: Car, now: Instant) -> str | None:
    """Return the first reason why the engine does not start; None when it does."""
    return next((reason for ask in HEARD["forbids_start"] if (reason := ask(car, now)) is not None), None)


def locked_until(car: Car) -> Instant | None:
    """Return until when nobody can start the car; None when it can be started."""
    return next((until for ask in HEARD["locked_until"] if (until := ask(car)) is not None), None)


def strands(car: Car) -> bool:
    """Tell whether the car has to stay where it is, as it is."""
    return any(ask(car) for ask in HEARD["strands"])
