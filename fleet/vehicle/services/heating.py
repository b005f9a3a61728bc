"""The parking heater: heats, or ventilates where the model chooses; from afar, or by times that somebody has set in the car."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.low_voltage import BLOWER_A, HEATER_A
from fleet.vehicle.services import cabin, comfort
from fleet.vehicle.services.comfort import ComfortRun, Departure, Mode, Starter
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import ACTUATION, Refusal, Service
from fleet.vehicle.timers import read_timer
from fleet.wire.parameters import Heater

if TYPE_CHECKING:
    from fleet.vehicle.signals import HeaterTimer

RUN_TIMES: Final = range(10, 61, 10)
"""Minutes that can be set in the car, as from afar."""
TIMERS_MOST: Final = 3
"""Departure times that the menu in the car has room for (ours)."""
WARM_OUTSIDE_C: Final = 15.0
"""From here on a model that chooses does not heat (ours)."""
HEATS_BY_C: Final = 40.0
"""How much warmer than outside it makes the inside in the end (ours)."""
HEATS_IN: Final[Duration] = 25 * MINUTE
"""Time constant of that (ours)."""


class Ports(comfort.Ports, Protocol):
    """A car whose heater burns its fuel."""

    equipment: Equipment


def chosen_mode(car: Ports, now: Instant) -> Mode:
    """Return what the heater would do: Leon and Formentor ventilate when it is warm outside or inside; others heat."""
    if not car.equipment.heater_chooses_mode:
        return "heating"
    warm = cabin.outside_c(car, now) >= WARM_OUTSIDE_C or cabin.inside_c(car, now) >= cabin.COMFORT_C
    return "ventilation" if warm else "heating"


def start(car: Ports, minutes: int, now: Instant, by: Starter = "command") -> None:
    """Run the heater, anew when it runs; it ends by itself, or when the fuel reaches the reserve."""
    comfort.end(car, "restarted", now)
    mode = chosen_mode(car, now)
    run = ComfortRun("heater", mode, now, now + minutes * MINUTE)
    if mode == "ventilation":
        cabin.let_air_in(car, now)
        comfort.begin(car, run, current_a=BLOWER_A, by=by, now=now)
        return
    warm_c = max(cabin.COMFORT_C, cabin.inside_c(car, now))
    cabin.move_to(car, cabin.left_alone_c(car, now) + HEATS_BY_C, HEATS_IN, now, goal_c=warm_c)
    car.powertrain.heat(now)
    comfort.begin(car, run, current_a=HEATER_A, by=by, now=now)
    watch_fuel(car, now)


def watch_fuel(car: Ports, now: Instant) -> None:
    """Find anew when a heater that burns fuel has to stop for want of it; call when fuel has gone."""
    if car.comfort is None or car.powertrain.heating_since is None:
        return
    reserve_at = max(now, car.powertrain.fuel_above_reserve_until(now))
    if reserve_at < car.comfort.ends_at:
        comfort.end_at(car, reserve_at, "fuel_low")


# --- the command


def hindrance(car: Ports, now: Instant) -> Refusal | None:
    """Return why it cannot start: ventilation runs, or the fuel is not above the reserve (ours)."""
    fuel_l = car.powertrain.levels(now).fuel_l
    if fuel_l <= car.equipment.reserve_l:
        return Refusal("fuel_low", f"{fuel_l:.1f} l of fuel; the reserve is {car.equipment.reserve_l:g} l")
    if comfort.runs(car, "ventilation"):
        return Refusal("ventilation_running", "the ventilation runs: stop it first")
    return None


def _refusal(car: Ports, _parameters: Heater, now: Instant) -> Refusal | None:
    return hindrance(car, now)


def _takes(parameters: Heater) -> Duration:
    return 3 * SECOND if parameters.action == "start" else ACTUATION


def _carry_out(car: Ports, parameters: Heater, now: Instant) -> None:
    if parameters.action == "start":
        start(car, parameters.minutes, now)
    else:
        comfort.stop(car, "heater", now)


HEATER: Final = Service(_carry_out, _refusal, _takes)


# --- in the car


def set_in_car(car: Ports, minutes: int, timers: tuple[HeaterTimer, ...], now: Instant) -> None:
    """Keep the run time and the departure times that somebody sets in the car; does nothing where the menu has them not."""
    if not car.equipment.heater_set_in_car or minutes not in RUN_TIMES or len(timers) > TIMERS_MOST:
        return
    try:
        read = [read_timer(timer.at, days=timer.days, on_date=timer.date, enabled=timer.enabled) for timer in timers]
    except ValueError:
        return
    comfort.keep(car, "heater", [Departure(timer, minutes) for timer in read], _start_by_timer, now)


def _start_by_timer(car: Ports, minutes: int, now: Instant) -> Refusal | None:
    refused = hindrance(car, now)
    if refused is None:
        start(car, minutes, now, by="timer")
    return refused


LISTENER: Final = Listener(fuel_changed=watch_fuel)
