"""Passes the events of a car on to the services that hear it, in the order of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle.journey import Journey
from fleet.vehicle.powertrain import Levels
from fleet.vehicle.services import (
    area_alert,
    calls,
    departures,
    driving,
    heating,
    online,
    routes,
    speed_alert,
    updates,
    workshop,
)
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.registry import LISTENERS
from fleet.wire.messages import Reply


class Ports(
    calls.Ports,
    online.Ports,
    departures.Ports,
    heating.Ports,
    area_alert.Ports,
    speed_alert.Ports,
    routes.Ports,
    updates.Ports,
    workshop.Ports,
    driving.Ports,
    Protocol,
):
    """All that the services that hear of a car use of it; those that are not named are within these."""


HEARD: Final[dict[str, tuple[Any, ...]]] = {
    event.name: tuple(hear for listener in LISTENERS if (hear := getattr(listener, event.name)) is not None)
    for event in fields(Listener)
    if event.name not in {"state", "is_personal"}
}
"""The functions of all services that hear an event, by its name."""


def made(car: Ports, now: Instant) -> None:
    """The car is made, and not switched on yet."""
    for hear in HEARD["made"]:
        hear(car, now)


def powered_on(car: Ports, now: Instant) -> None:
    """The car's computer starts."""
    for hear in HEARD["powered_on"]:
        hear(car, now)


def day_began(car: Ports, now: Instant) -> None:
    """It is midnight by the driver's clock, or the car's computer has just started."""
    for hear in HEARD["day_began"]:
        hear(car, now)


def driver_gets_in(car: Ports, now: Instant) -> None:
    """Somebody gets into the car to start the engine."""
    for hear in HEARD["driver_gets_in"]:
        hear(car, now)


def engine_starts(car: Ports, now: Instant) -> None:
    """Somebody starts the engine; levels are not settled yet, and what runs on them has to end."""
    for hear in HEARD["engine_starts"]:
        hear(car, now)


def engine_started(car: Ports, now: Instant) -> None:
    """The engine runs, and the event is sent."""
    for hear in HEARD["engine_started"]:
        hear(car, now)


def engine_stops(car: Ports, now: Instant) -> None:
    """The car stands with its engine off, and no event is sent yet."""
    for hear in HEARD["engine_stops"]:
        hear(car, now)


def engine_stopped(car: Ports, now: Instant) -> None:
    """The engine is off, trip and status are sent."""
    for hear in HEARD["engine_stopped"]:
        hear(car, now)


def driver_left(car: Ports, now: Instant) -> None:
    """The driver has walked away; the car's openings and plug are as they stay."""
    for hear in HEARD["driver_left"]:
        hear(car, now)


def driver_plugs_in(car: Ports, now: Instant) -> None:
    """The driver plugs the car in."""
    for hear in HEARD["driver_plugs_in"]:
        hear(car, now)


def refilled(car: Ports, now: Instant) -> None:
    """The tank is full, and the event is sent."""
    for hear in HEARD["refilled"]:
        hear(car, now)


def fuel_changed(car: Ports, now: Instant) -> None:
    """Fuel or charge was taken out of the car."""
    for hear in HEARD["fuel_changed"]:
        hear(car, now)


def charge_changed(car: Ports, now: Instant) -> None:
    """The plug is in or out, or charging has begun or ended."""
    for hear in HEARD["charge_changed"]:
        hear(car, now)


def low_voltage_fell(car: Ports, now: Instant) -> None:
    """The 12 V battery is low, and the event is sent."""
    for hear in HEARD["low_voltage_fell"]:
        hear(car, now)


def network_found(car: Ports, now: Instant) -> None:
    """There is coverage again."""
    for hear in HEARD["network_found"]:
        hear(car, now)


def network_lost(car: Ports, now: Instant) -> None:
    """There is no coverage any more."""
    for hear in HEARD["network_lost"]:
        hear(car, now)


def forget(car: Ports, now: Instant) -> None:
    """Everything personal is wiped: each service forgets what people have left."""
    for hear in HEARD["forget"]:
        hear(car, now)


def drive_planned(car: Ports, journey: Journey, now: Instant) -> None:
    """A drive begins: its path and its speeds are known, so its events can go into the agenda."""
    for hear in HEARD["drive_planned"]:
        hear(car, journey, now)


def trip_ended(car: Ports, journey: Journey, before: Levels, after: Levels, now: Instant) -> None:
    """A drive is over, and the event of the engine is sent."""
    for hear in HEARD["trip_ended"]:
        hear(car, journey, before, after, now)


def replied(car: Ports, reply: Reply, now: Instant) -> None:
    """The back end answers something that this car has sent."""
    for hear in HEARD["replied"]:
        hear(car, reply, now)


# --- questions, in loops: a generator costs more than what it asks


def forbids_start(car: Ports, now: Instant) -> str | None:
    """Return the first reason why the engine does not start; None when it does."""
    for ask in HEARD["forbids_start"]:
        reason: str | None = ask(car, now)
        if reason is not None:
            return reason
    return None


def locked_until(car: Ports) -> Instant | None:
    """Return until when nobody can start the car; None when it can be started."""
    for ask in HEARD["locked_until"]:
        until: Instant | None = ask(car)
        if until is not None:
            return until
    return None


def strands(car: Ports) -> bool:
    """Tell whether the car has to stay where it is, as it is."""
    return any(ask(car) for ask in HEARD["strands"])


def forbids_event(car: Ports, name: str) -> bool:
    """Tell whether the event of this name may not leave the car now."""
    for forbids in HEARD["forbids_event"]:  # noqa: SIM110 (see above)
        if forbids(car, name):
            return True
    return False


def forbids_detail(car: Ports, reason: str | None) -> bool:
    """Tell whether the detail of an answer with this reason may not leave the car."""
    for forbids in HEARD["forbids_detail"]:  # noqa: SIM110 (see above)
        if forbids(car, reason):
            return True
    return False


# --- after a reset


def not_forgotten(car: Ports, listeners: Sequence[Listener] = LISTENERS) -> list[str]:
    """Return the names of all states that still have what people have left in the car, or that no listener owns."""
    held = {listener.state: attrgetter(listener.state)(car) for listener in listeners if isinstance(listener.state, str)}
    states: dict[Any, Any] = {name: state for name, state in held.items() if state is not None} | (car.kept or {})
    forgets = {listener.state: listener.is_personal for listener in listeners}
    return [str(getattr(of, "__name__", of)) for of, state in states.items() if of not in forgets or forgets[of](state)]
