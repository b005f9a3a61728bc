"""What happens to a car, told to the services that care: one plain call for each, in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.kernel.instants import Instant
from fleet.vehicle.services import (
    area_alert,
    cabin,
    calls,
    charging,
    climatisation,
    comfort,
    departures,
    driving,
    health,
    heating,
    online,
    routes,
    speed_alert,
    updates,
    wear,
    workshop,
)
from fleet.wire.messages import Reply

if TYPE_CHECKING:
    from fleet.vehicle.car import Car
    from fleet.vehicle.journey import Journey


def engine_starts(car: Car, now: Instant) -> None:
    """Somebody starts the engine; levels are not settled yet, and what runs on them has to end."""
    comfort.end(car, "engine_start", now)


def engine_started(car: Car, now: Instant) -> None:
    """The engine runs, and the event is sent."""
    cabin.engine_started(car, now)
    departures.engine_started(car)
    routes.offer(car, now)
    updates.engine_started(car, now)
    wear.engine_started(car, now)


def drive_planned(car: Car, journey: Journey, now: Instant) -> None:
    """A drive begins: its path and its speeds are known, so what will happen on the way can go into the agenda."""
    workshop.drive_planned(car, journey, now)
    area_alert.plan(car, journey, now)
    speed_alert.plan(car, journey, now)
    wear.drive_planned(car, journey, now)


def engine_stopped(car: Car, journey: Journey | None, now: Instant) -> None:  # noqa: ARG001 (as all hooks)
    """The engine is off, the car stands, trip and status are sent."""
    cabin.leave_alone(car, now)
    workshop.engine_stopped(car)
    area_alert.end_drive(car)
    speed_alert.end_drive(car)
    routes.engine_stopped(car)
    updates.engine_stopped(car, now)


def driver_left(car: Car, now: Instant) -> None:
    """The driver has walked away; the car's openings and plug are as they stay."""
    updates.driver_left(car, now)


def network_found(car: Car, now: Instant) -> None:
    """There is coverage again."""
    routes.offer(car, now)
    updates.go_on(car, now)
    health.network_found(car, now)


def network_lost(car: Car, now: Instant) -> None:
    """There is no coverage any more."""
    routes.break_off(car)
    updates.pause(car, now)


def charge_changed(car: Car, now: Instant) -> None:
    """The plug is in or out, or charging has begun or ended."""
    climatisation.feed(car, now)
    driving.charge_changed(car)


def fuel_changed(car: Car, now: Instant) -> None:
    """Fuel or charge was taken out of the car, or filled in."""
    heating.watch_fuel(car, now)
    climatisation.feed(car, now)
    departures.drained(car)


def low_voltage_fell(car: Car, now: Instant) -> None:
    """The 12 V battery is low, and the event is sent: what takes from it for comfort alone ends."""
    comfort.end(car, "battery_low", now)


def replied(car: Car, reply: Reply, now: Instant) -> None:
    """The back end answers something that this car has sent."""
    calls.answered(car, reply, now)
    online.answered(car, reply, now)


def day_began(car: Car, now: Instant) -> None:  # noqa: ARG001 (as all hooks)
    """It is midnight by the car's own clock, or the car's computer has just started."""
    driving.midnight(car)


def reset(car: Car, now: Instant) -> None:
    """Everything personal is wiped: each service forgets what a user has set."""
    calls.forget(car)
    online.forget(car)
    comfort.forget(car)
    area_alert.reset(car)
    speed_alert.reset(car)
    routes.reset(car)
    updates.reset(car, now)
    departures.reset(car)
    charging.reset(car, now)
