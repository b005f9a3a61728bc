"""Driving data: of the last trip, of the day, and since the car was filled up or charged.

A trip belongs to the day, by the driver's clock, on which it began, as in a logbook (ours): after midnight it still counts for
the day before, and the day it belongs to stands beside the figures.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from msgspec.structs import replace

from fleet.kernel.instants import MINUTE, Instant
from fleet.vehicle import ports
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.driver import Driver
from fleet.vehicle.journey import Journey
from fleet.vehicle.powertrain import Levels, Powertrain
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.trips import Trips
from fleet.wire.messages import DayData, DrivingData, TripData


class Ports(ports.Sender, Protocol):
    """The record of drives, and what it is taken from."""

    driver: Driver
    equipment: Equipment
    journey: Journey | None
    powertrain: Powertrain
    trips: Trips


def record(car: Ports, journey: Journey, before: Levels, after: Levels, now: Instant) -> None:
    """Keep the data of a trip that is over, add them to the longer records, and send them as an event."""
    e = car.equipment
    known = car.trips.record
    trip = _data(
        journey.length_m / 1000,
        (now - journey.started_at) / MINUTE,
        round(before.fuel_l - after.fuel_l, 3) if e.tank_l else None,
        round(before.charge_kwh - after.charge_kwh, 3) if e.usable_kwh else None,
    )
    day = car.driver.local_date(journey.started_at).isoformat()
    before_it = known.today if known is not None and known.today is not None and known.today.day == day else None
    today = _sum(before_it, trip)
    that_day = DayData(
        day=day,
        distance_km=today.distance_km,
        duration_min=today.duration_min,
        average_speed_kmh=today.average_speed_kmh,
        fuel_l=today.fuel_l,
        energy_kwh=today.energy_kwh,
    )
    since_filled = _sum(None if known is None else known.since_filled, trip)
    car.trips.record = DrivingData(last_trip=trip, today=that_day, since_filled=since_filled)
    told: dict[str, Any] = {
        "started_at": journey.started_at,
        "distance_km": trip.distance_km,
        "duration_min": trip.duration_min,
        "average_speed_kmh": trip.average_speed_kmh,
    }
    if trip.fuel_l is not None:
        told["fuel_l"] = trip.fuel_l
    if trip.energy_kwh is not None:
        told["energy_kwh"] = trip.energy_kwh
    car.send_event("trip", now, told)


def _sum(so_far: TripData | None, trip: TripData) -> TripData:
    if so_far is None:
        return _data(trip.distance_km, trip.duration_min, trip.fuel_l, trip.energy_kwh)
    return _data(
        so_far.distance_km + trip.distance_km,
        so_far.duration_min + trip.duration_min,
        None if trip.fuel_l is None else round((so_far.fuel_l or 0.0) + trip.fuel_l, 3),
        None if trip.energy_kwh is None else round((so_far.energy_kwh or 0.0) + trip.energy_kwh, 3),
    )


def _data(distance_km: float, duration_min: float, fuel_l: float | None, energy_kwh: float | None) -> TripData:
    return TripData(
        distance_km=round(distance_km, 3),
        duration_min=round(duration_min, 2),
        average_speed_kmh=round(distance_km / duration_min * 60, 1) if duration_min else 0.0,
        fuel_l=fuel_l,
        energy_kwh=energy_kwh,
    )


def midnight(car: Ports, _now: Instant) -> None:
    """Close the day's record, unless a trip that belongs to it is under way."""
    if car.journey is None and car.trips.record is not None:
        car.trips.record = replace(car.trips.record, today=None)


def filled(car: Ports, _now: Instant) -> None:
    """Begin the long record anew: fuel was filled in, or an electric car was charged."""
    if car.trips.record is not None:
        car.trips.record = replace(car.trips.record, since_filled=None)


def charge_changed(car: Ports, now: Instant) -> None:
    """Begin the long record of an electric car anew; that of an e-Hybrid goes from one filling to the next (ours)."""
    if car.equipment.energy == "electric" and car.powertrain.charging is not None:
        filled(car, now)


def forget(car: Ports, _now: Instant) -> None:
    """Forget all trips."""
    car.trips.record = None


LISTENER: Final = Listener(
    state="trips.record", trip_ended=record, day_began=midnight, refilled=filled, charge_changed=charge_changed, forget=forget
)
