"""The settings that count for charging a car, here or anywhere, how long it takes to the limit, and what it reports.

When it charges, `charging` decides.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple, Protocol

from fleet.kernel.instants import HOUR, MINUTE, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.charge_curve import PHASE_V, PHASES, ChargeCurve, charge_curve
from fleet.vehicle.geo import distance_m
from fleet.vehicle.kept import find
from fleet.vehicle.powertrain import Charge, Levels, Powertrain
from fleet.vehicle.services.reserve import reserve_of
from fleet.vehicle.timers import Window
from fleet.wire import messages

Hindrance = Literal["not_plugged_in", "charging_error", "charging_stopped"]
REVIEW: Final = "charging"
"""Key of the timer for the next instant at which time alone changes the charging."""
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


class ChargingPreferences(NamedTuple):
    """The preferences of the user, and whether the charge point works: a car that never heard of either has none.

    `override` is charging now, or not at all, whatever the night and departures say; it ends with the plug or at the limit.
    """

    general: Settings = Settings()
    locations: tuple[Location, ...] = ()
    override: Literal["start", "stop"] | None = None
    point_works: bool = True


NO_PREFERENCES: Final = ChargingPreferences()


class Ports(ports.Located, ports.Timed, ports.Keeper, Protocol):
    """The plug, the traction battery, and where the car stands."""

    equipment: Equipment
    powertrain: Powertrain

    def levels(self, now: Instant) -> Levels:
        """Return odometer, fuel, charge and AdBlue."""


# --- what counts


def preferences_of(car: Ports) -> ChargingPreferences:
    """Return the preferences of a car's user; the defaults when there are none."""
    return find(car, ChargingPreferences) or NO_PREFERENCES


def settings_here(car: Ports) -> Settings:
    """Return the settings that count where the car stands: those of the nearest location that holds it, or the general ones."""
    preferences = preferences_of(car)
    if not preferences.locations:
        return preferences.general
    here = car.fix.latitude, car.fix.longitude
    away = [(distance_m(*here, each.latitude, each.longitude), each) for each in preferences.locations]
    holding = [(away_m, each) for away_m, each in away if away_m <= each.radius_m]
    if not holding:
        return preferences.general
    return min(holding, key=lambda found: found[0])[1].settings(preferences.general)


def charge_at(car: Ports, here: Settings, now: Instant) -> Charge:
    """Return the charging that begins now."""
    return Charge(now, _curve(car, here), _target_kwh(car, here))


def _curve(car: Ports, here: Settings) -> ChargeCurve:
    e = car.equipment
    return charge_curve(e.energy, e.usable_kwh, e.charge_power_kw, here.max_current_a)


def _target_kwh(car: Ports, here: Settings) -> float:
    return car.equipment.usable_kwh * here.limit_percent / 100


def missing_from(car: Ports, here: Settings, levels: Levels) -> Duration:
    """Return how long charging takes from these levels to the limit; 0 when it is reached."""
    return _missing(car, here, levels, _target_kwh(car, here))


def missing_of_reserve(car: Ports, here: Settings, levels: Levels) -> Duration:
    """Return how long charging takes to the reserve that the driver has protected; 0 when there is none, or it is reached."""
    return _missing(car, here, levels, reserve_of(car) * car.equipment.usable_kwh)


def _missing(car: Ports, here: Settings, levels: Levels, target_kwh: float) -> Duration:
    if levels.charge_kwh >= target_kwh - _REACHED_KWH:
        return 0
    return math.ceil(_curve(car, here).hours_to(levels.charge_kwh, target_kwh) * HOUR) + 1


def missing(car: Ports, now: Instant) -> Duration:
    """Return how long charging takes from now to the limit that counts here; 0 when it is reached."""
    return missing_from(car, settings_here(car), car.levels(now))


def hindrance(car: Ports) -> Hindrance | None:
    """Return why a car below its limit will not be charged to it, whatever time it is given."""
    preferences = preferences_of(car)
    if not car.powertrain.plugged_in:
        return "not_plugged_in"
    if not preferences.point_works:
        return "charging_error"
    return "charging_stopped" if preferences.override == "stop" else None


def percent(car: Ports, now: Instant) -> float:
    """Return the state of charge in percent, to a tenth, as messages have it."""
    return round(car.levels(now).charge_kwh / car.equipment.usable_kwh * 100, 1)


# --- what is reported


def report(car: Ports, levels: Levels) -> messages.ChargingStatus | None:
    """Return the plug, what flows, and what counts here; None for a car without a socket."""
    e = car.equipment
    if not e.usable_kwh:
        return None
    here, preferences, charge = settings_here(car), preferences_of(car), car.powertrain.charging
    power_kw = charge.curve.power_at(levels.charge_kwh) if charge is not None else 0.0
    state = _state(car, here, levels)
    return messages.ChargingStatus(
        state=state,
        plugged_in=car.powertrain.plugged_in,
        remaining_min=-(-missing_from(car, here, levels) // MINUTE) if charge is not None else 0,
        max_current_a=here.max_current_a,
        power_kw=round(power_kw, 3),
        current_a=round(power_kw * 1000 / PHASE_V / PHASES[e.energy], 2),
        limit_percent=preferences.general.limit_percent,
        target_percent=here.limit_percent,
        starts_at=car.agenda.planned_at(REVIEW) if state == "plugged_in" else None,
    )


def charge_state(car: Ports, now: Instant) -> str | None:
    """Return the state that a status would tell; None for a car without a socket."""
    return _state(car, settings_here(car), car.levels(now)) if car.equipment.usable_kwh else None


def _state(car: Ports, here: Settings, levels: Levels) -> Literal["unplugged", "plugged_in", "charging", "complete", "error"]:
    if not car.powertrain.plugged_in:
        return "unplugged"
    if car.powertrain.charging is not None:
        return "charging"
    if not preferences_of(car).point_works:
        return "error"
    return "complete" if levels.charge_kwh >= _target_kwh(car, here) - _REACHED_KWH else "plugged_in"
