"""Departure times of e-Hybrid and electric cars: woken ahead of each, the car is charged and warm by then, or says why not.

When charging has to begin for it, `charging` finds by `next_after`; here the cabin is conditioned, and the outcome told.
"""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.vehicle.kept import drop, find, keep
from fleet.vehicle.powertrain import CHARGE_GROUPS
from fleet.vehicle.services import charge_settings, charging, climatisation
from fleet.vehicle.services.departure_times import Departures, next_departure
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal, Service
from fleet.vehicle.timers import Timer, read_timer
from fleet.wire.parameters import DepartureTimer, DepartureTimers

LEAD: Final[Duration] = 20 * MINUTE
"""So long before a departure the car wakes, conditions the cabin, and sees whether it will be ready (ours)."""

DEPARTURE: Final = "departure"
"""Key of the timers of the next departure."""


class Ports(charging.Ports, climatisation.Ports, Protocol):
    """A car that charges and conditions itself."""


# --- the command


def _refusal(_car: Ports, parameters: DepartureTimers, _now: Instant) -> Refusal | None:
    for number, each in enumerate(parameters.timers, start=1):
        try:
            _read(each)
        except ValueError as error:
            return Refusal("argument_out_of_range", f"timers, item {number}: {error}")
    return None


def _read(each: DepartureTimer) -> Timer:
    return read_timer(each.at, days=each.days, on_date=each.date, enabled=each.enabled)


def _carry_out(car: Ports, parameters: DepartureTimers, now: Instant) -> None:
    """Keep these timers in place of those before; none at all ends them."""
    timers = tuple(_read(each) for each in parameters.timers)
    if timers:
        keep(car, Departures(timers))
    else:
        drop(car, Departures)
    _plan(car, now)
    charging.review(car, now)
    car.send_status("command", now, CHARGE_GROUPS)


# --- before a departure


def _plan(car: Ports, now: Instant) -> None:
    """Put the next departure into the agenda."""
    car.agenda.cancel(DEPARTURE)
    departures, leaves_at = find(car, Departures), next_departure(car, now)
    if leaves_at is not None:
        car.agenda.call(max(now, leaves_at - LEAD), _wake, (departures, leaves_at), key=DEPARTURE)
        car.agenda.call(leaves_at, _leave, (departures, leaves_at), key=DEPARTURE)


def _wake(car: Ports, planned: tuple[Departures, Instant], now: Instant) -> None:
    """Condition the cabin, and tell at once when the car cannot be ready. Who drives already is left alone."""
    departures, leaves_at = planned
    if car.engine_is_on:
        return
    car.stay_awake(now)
    departures.preparing = leaves_at
    missing = charge_settings.missing(car, now)
    departures.charged = not missing
    reason: str | None = charge_settings.hindrance(car) if missing else None
    if reason is None and now + missing > leaves_at:
        reason = "too_late"
    refused = climatisation.condition(car, leaves_at, now)
    if reason is None and refused is not None:
        reason = refused.reason
    if reason is not None:
        _tell_not_ready(car, departures, reason, now)


def _leave(car: Ports, planned: tuple[Departures, Instant], now: Instant) -> None:
    """Report that the car is ready, unless it is away or has reported otherwise; then plan the next departure."""
    departures, leaves_at = planned
    if departures.preparing == leaves_at:
        if not departures.charged and charge_settings.missing(car, now):
            _tell_not_ready(car, departures, charge_settings.hindrance(car) or "too_late", now)
        else:
            departures.preparing = None
            car.send_event("departure_ready", now, {"departs_at": leaves_at, "charge_percent": charge_settings.percent(car, now)})
    _plan(car, now)
    charging.review_and_tell(car, now)


def _tell_not_ready(car: Ports, departures: Departures, reason: str, now: Instant) -> None:
    told = {"departs_at": departures.preparing, "reason": reason, "charge_percent": charge_settings.percent(car, now)}
    departures.preparing = None
    car.send_event("departure_not_ready", now, told)


# --- what happens to the car


def engine_started(car: Ports, _now: Instant) -> None:
    """Somebody drives off: nobody waits for the departure any more."""
    departures = find(car, Departures)
    if departures is not None:
        departures.preparing = None


def drained(car: Ports, _now: Instant) -> None:
    """Charge was taken out of the car: what it had when it woke for a departure counts no more."""
    departures = find(car, Departures)
    if departures is not None:
        departures.charged = False


def forget(car: Ports, _now: Instant) -> None:
    """Forget the timers."""
    drop(car, Departures)
    car.agenda.cancel(DEPARTURE)


DEPARTURES: Final = Service(_carry_out, _refusal, takes=None)


LISTENER: Final = Listener(state=Departures, engine_started=engine_started, fuel_changed=drained, forget=forget)
