"""The parking heater: starts, heats or ventilates, and ends by time, by a stop, by the engine or for want of fuel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant
from fleet.vehicle.region import ambient_c
from fleet.vehicle.services.service import ACTUATION, Refusal, Service
from fleet.wire import commands

if TYPE_CHECKING:
    from fleet.vehicle.car import Car


class Heater(NamedTuple):
    """The parking heater at work. `reason` is why it will end at `ends_at`."""

    mode: Literal["heating", "ventilation"]
    started_at: Instant
    ends_at: Instant
    minutes: int
    reason: Literal["time", "fuel_low"]


def start(car: Car, minutes: int, now: Instant) -> None:
    """Run the parking heater, anew when it runs; it ends by itself, or when the fuel reaches the reserve."""
    stop(car, "restarted", now)
    warm = ambient_c(car.fix.latitude, now, car.driver.region.weather_key) >= 15.0
    mode: Literal["heating", "ventilation"] = "ventilation" if car.equipment.heater_chooses_mode and warm else "heating"
    car.powertrain.settle(now)
    car.low_voltage.settle(now)
    car.low_voltage.heater_on = True
    over_at = now + minutes * MINUTE
    reason: Literal["time", "fuel_low"] = "time"
    if mode == "heating":
        car.powertrain.heating_since = now
        reserve_at = car.powertrain.fuel_above_reserve_until(now)
        if reserve_at < over_at:
            over_at, reason = reserve_at, "fuel_low"
    car.heater = Heater(mode, now, over_at, minutes, reason)
    car.agenda.call(over_at, _over, over_at)
    car.watch_low_voltage(now)
    car.send_status("command", now, ("climate",))


def watch_fuel(car: Car, now: Instant) -> None:
    """Find anew when a heater that burns fuel has to stop for want of it; call when fuel has gone."""
    if car.heater is None or car.heater.mode != "heating":
        return
    reserve_at = max(now, car.powertrain.fuel_above_reserve_until(now))
    if reserve_at < car.heater.ends_at:
        car.heater = car.heater._replace(ends_at=reserve_at, reason="fuel_low")
        car.agenda.call(reserve_at, _over, reserve_at)


def _over(car: Car, ends_at: Instant, now: Instant) -> None:
    if car.heater is not None and car.heater.ends_at == ends_at:
        stop(car, car.heater.reason, now)


def stop(car: Car, reason: str, now: Instant) -> None:
    """End the heater when it runs: by time, by a stop, by the engine, or for want of fuel."""
    if car.heater is None:
        return
    heater, car.heater = car.heater, None
    car.powertrain.settle(now)
    car.powertrain.heating_since = None
    car.low_voltage.settle(now)
    car.low_voltage.heater_on = False
    car.watch_low_voltage(now)
    car.send_event(
        "heater_ended",
        now,
        {"reason": reason, "mode": heater.mode, "minutes": round((now - heater.started_at) / MINUTE, 2)},
    )
    car.send_status("heater", now, ("climate", "energy"))


# --- the command


def _refusal(car: Car, _parameters: commands.Heater, now: Instant) -> Refusal | None:
    """Fuel above the reserve (ours)."""
    fuel_l = car.powertrain.levels(now).fuel_l
    if fuel_l <= car.equipment.reserve_l:
        return Refusal("fuel_low", f"{fuel_l:.1f} l of fuel; the reserve is {car.equipment.reserve_l:g} l")
    return None


def _takes(parameters: commands.Heater) -> Duration:
    return 3 * SECOND if parameters.action == "start" else ACTUATION


def _carry_out(car: Car, parameters: commands.Heater, now: Instant) -> None:
    if parameters.action == "start":
        start(car, parameters.minutes, now)
    else:
        stop(car, "stopped", now)


HEATER: Final = Service(_carry_out, _refusal, _takes)
