"""What counts for charging a car: what its user wants, here or anywhere, how long it takes to the limit, and what it reports.

When it charges, `charging` decides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from fleet.kernel.instants import HOUR, MINUTE, Duration, Instant
from fleet.vehicle.charge_curve import PHASE_V, PHASES, ChargeCurve, charge_curve
from fleet.vehicle.geo import distance_m
from fleet.vehicle.powertrain import Charge, Levels
from fleet.vehicle.timers import Window
from fleet.wire import messages

if TYPE_CHECKING:
    from fleet.vehicle.car import Car

Hindrance = Literal["not_plugged_in", "charging_error", "charging_stopped"]
_REACHED_KWH: Final = 1e-6


class Settings(NamedTuple):
    """How far, with which current for each phase, and (with a window) when."""

    limit_percent: int = 100
    max_current_a: int = 16
    window: Window | None = None


class Location(NamedTuple):
    """A place with settings of its own. None leaves it to the general ones; so does the window without `own_window`."""

    name: str
    latitude: float
    longitude: float
    radius_m: float
    limit_percent: int | None
    max_current_a: int | None
    own_window: bool
    window: Window | None

    def settings(self, general: Settings) -> Settings:
        """Return what counts at this place."""
        return Settings(
            self.limit_percent or general.limit_percent,
            self.max_current_a or general.max_current_a,
            self.window if self.own_window else general.window,
        )


class Wishes(NamedTuple):
    """What the user wants, and how it goes with the charge point: of a car that never heard of either there is none.

    `override` is charging now, or not at all, whatever the night and departures say; it ends with the plug or at the limit.
    """

    general: Settings = Settings()
    locations: tuple[Location, ...] = ()
    override: Literal["start", "stop"] | None = None
    point_works: bool = True


NO_WISHES: Final = Wishes()


# --- what counts


def settings_here(car: Car) -> Settings:
    """Return the settings that count where the car stands: those of the nearest location that holds it, or the general ones."""
    wishes = car.charging or NO_WISHES
    if not wishes.locations:
        return wishes.general
    here = car.fix.latitude, car.fix.longitude
    away = [(distance_m(*here, each.latitude, each.longitude), each) for each in wishes.locations]
    holding = [(away_m, each) for away_m, each in away if away_m <= each.radius_m]
    if not holding:
        return wishes.general
    return min(holding, key=lambda found: found[0])[1].settings(wishes.general)


def charge_at(car: Car, here: Settings, now: Instant) -> Charge:
    """Return the charging that begins now."""
    return Charge(now, _curve(car, here), _target_kwh(car, here))


def _curve(car: Car, here: Settings) -> ChargeCurve:
    e = car.equipment
    return charge_curve(e.energy, e.usable_kwh, e.charge_power_kw, here.max_current_a)


def _target_kwh(car: Car, here: Settings) -> float:
    return car.equipment.usable_kwh * here.limit_percent / 100


def missing_from(car: Car, here: Settings, levels: Levels) -> Duration:
    """Return how long charging takes from these levels to the limit; 0 when it is reached."""
    target_kwh = _target_kwh(car, here)
    if levels.charge_kwh >= target_kwh - _REACHED_KWH:
        return 0
    return math.ceil(_curve(car, here).hours_to(levels.charge_kwh, target_kwh) * HOUR) + 1


def missing(car: Car, now: Instant) -> Duration:
    """Return how long charging takes from now to the limit that counts here; 0 when it is reached."""
    return missing_from(car, settings_here(car), car.levels(now))


def hindrance(car: Car) -> Hindrance | None:
    """Return why a car below its limit will not be charged to it, whatever time it is given."""
    wishes = car.charging or NO_WISHES
    if not car.plugged_in:
        return "not_plugged_in"
    if not wishes.point_works:
        return "charging_error"
    return "charging_stopped" if wishes.override == "stop" else None


def percent(car: Car, now: Instant) -> float:
    """Return the state of charge, as it is told."""
    return round(car.levels(now).charge_kwh / car.equipment.usable_kwh * 100, 1)


# --- what is reported


def report(car: Car, levels: Levels) -> messages.Charging | None:
    """Return the plug, what flows, and what counts here; None for a car without a socket."""
    e = car.equipment
    if not e.usable_kwh:
        return None
    here, wishes, charge = settings_here(car), car.charging or NO_WISHES, car.powertrain.charging
    power_kw = charge.curve.power_at(levels.charge_kwh) if charge is not None else 0.0
    state = _state(car, here, levels)
    return messages.Charging(
        state=state,
        plugged_in=car.plugged_in,
        remaining_min=-(-missing_from(car, here, levels) // MINUTE) if charge is not None else 0,
        max_current_a=here.max_current_a,
        power_kw=round(power_kw, 3),
        current_a=round(power_kw * 1000 / PHASE_V / PHASES[e.energy], 2),
        limit_percent=wishes.general.limit_percent,
        target_percent=here.limit_percent,
        starts_at=car.charging_due if state == "plugged_in" else None,
    )


def charge_state(car: Car, now: Instant) -> str | None:
    """Return the state that a status would tell; None for a car without a socket."""
    return _state(car, settings_here(car), car.levels(now)) if car.equipment.usable_kwh else None


def _state(car: Car, here: Settings, levels: Levels) -> Literal["unplugged", "plugged_in", "charging", "complete", "error"]:
    if not car.plugged_in:
        return "unplugged"
    if car.powertrain.charging is not None:
        return "charging"
    if car.charging is not None and not car.charging.point_works:
        return "error"
    return "complete" if levels.charge_kwh >= _target_kwh(car, here) - _REACHED_KWH else "plugged_in"
