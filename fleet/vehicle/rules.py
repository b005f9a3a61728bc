"""The rules a car applies to a command at the moment of execution: None, or the reason and what lies behind it.

Sources: the manufacturer's public service descriptions as gathered for this project; "(ours)" marks our decisions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from fleet.kernel.instants import Instant
from fleet.vehicle.geo import geodesic_m
from fleet.vehicle.low_voltage import LOW_PERCENT
from fleet.wire.commands import Heater, HonkAndFlash, Lock, Parameters, Refresh, Unlock

if TYPE_CHECKING:
    from fleet.vehicle.car import Car

HONK_WITHIN_M: Final = 500.0
"""The user may be as far away as this, itself included."""
HONK_S: Final = 10
HEATER_MINUTES: Final = (10, 20, 30, 40, 50, 60)
WAKE_UPS_WITHOUT_DRIVE: Final = 40
"""Comfort and location commands that may wake the car until the engine is started again (ours)."""


class Refusal(NamedTuple):
    """Why a command is rejected: the reason for machines, the detail for people."""

    reason: str
    detail: str


def refusal(car: Car, parameters: Parameters, now: Instant) -> Refusal | None:
    """Judge one command of a car that is awake; the order is arguments, equipment, state, then the rest."""
    match parameters:
        case HonkAndFlash():
            return _honk(car, parameters, now)
        case Lock():
            return _standing(car, now) or _all_closed(car)
        case Unlock():
            return _standing(car, now)
        case Heater():
            return _heater(car, parameters, now)
        case Refresh():
            return None


def _standing(car: Car, now: Instant) -> Refusal | None:
    """Parked, ignition off."""
    match car.state(now):
        case "driving":
            return Refusal("not_parked", "the car is being driven")
        case "ignition_on":
            return Refusal("engine_running", "the ignition is on")
        case _:
            return None


def _all_closed(car: Car) -> Refusal | None:
    """Doors are closed before a lock succeeds (ours)."""
    if car.body.open_doors:
        return Refusal("door_open", f"open: {', '.join(sorted(car.body.open_doors))}")
    return None


def _honk(car: Car, parameters: HonkAndFlash, now: Instant) -> Refusal | None:
    latitude, longitude = parameters.latitude, parameters.longitude
    if not (math.isfinite(latitude) and abs(latitude) <= 90 and math.isfinite(longitude) and abs(longitude) <= 180):
        return Refusal("argument_out_of_range", "latitude is -90 to 90 and longitude -180 to 180 degrees")
    if parameters.duration_s != HONK_S:
        return Refusal("argument_out_of_range", f"the duration is {HONK_S} s")
    standing = _standing(car, now)
    if standing is not None:
        return standing
    away_m = geodesic_m(car.fix.latitude, car.fix.longitude, latitude, longitude)
    if away_m > HONK_WITHIN_M:
        return Refusal("too_far", f"the user is {away_m:.3f} m away; the limit is {HONK_WITHIN_M:.0f} m")
    return _within_power_budget(car)


def _heater(car: Car, parameters: Heater, now: Instant) -> Refusal | None:
    if not car.equipment.parking_heater:
        return Refusal("not_equipped", "the car has no parking heater")
    if parameters.action == "stop":
        return None
    if parameters.minutes not in HEATER_MINUTES:
        return Refusal("argument_out_of_range", "minutes are 10 to 60 in steps of 10")
    standing = _standing(car, now)
    if standing is not None:
        return standing
    fuel_l = car.powertrain.levels(now).fuel_l
    if fuel_l <= car.equipment.reserve_l:
        return Refusal("fuel_low", f"{fuel_l:.1f} l of fuel; the reserve is {car.equipment.reserve_l:g} l")
    if car.low_voltage.percent(now) < LOW_PERCENT:
        return Refusal("battery_low", f"the 12 V battery is below {LOW_PERCENT:.0f} %")
    return _within_power_budget(car)


def _within_power_budget(car: Car) -> Refusal | None:
    if car.remote.wake_ups > WAKE_UPS_WITHOUT_DRIVE:
        return Refusal("power_budget", f"woken {car.remote.wake_ups} times without a drive; start the engine once")
    return None
