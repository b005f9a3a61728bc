"""Remote ventilation: the blower changes the air of a parked car, at once or before departure times."""

from __future__ import annotations

from typing import Final

from fleet.kernel.instants import MINUTE, Instant
from fleet.vehicle.low_voltage import BLOWER_A
from fleet.vehicle.services import cabin, comfort
from fleet.vehicle.services.comfort import ComfortRun, Departure, Starter
from fleet.vehicle.services.service import Refusal, Service
from fleet.vehicle.timers import read_timer
from fleet.wire.parameters import Ventilation, VentilationTimer, VentilationTimers


def start(car: comfort.Ports, minutes: int, now: Instant, by: Starter = "command") -> None:
    """Ventilate, anew when it runs already; it ends by itself."""
    comfort.end(car, "restarted", now)
    cabin.let_air_in(car, now)
    run = ComfortRun("ventilation", "ventilation", now, now + minutes * MINUTE)
    comfort.begin(car, run, current_a=BLOWER_A, by=by, now=now)


# --- the commands


def hindrance(car: comfort.Ports) -> Refusal | None:
    """Return why it cannot start: it and the heater exclude each other."""
    if comfort.runs(car, "heater"):
        return Refusal("heater_running", "the heater runs: stop it first")
    return None


def _refusal(car: comfort.Ports, _parameters: Ventilation, _now: Instant) -> Refusal | None:
    return hindrance(car)


def _carry_out(car: comfort.Ports, parameters: Ventilation, now: Instant) -> None:
    if parameters.action == "start":
        start(car, parameters.minutes, now)
    else:
        comfort.stop(car, "ventilation", now)


def _departure(timer: VentilationTimer) -> Departure:
    clock = read_timer(timer.at, days=timer.days, on_date=timer.date, enabled=timer.enabled)
    return Departure(clock, timer.minutes)


def _unreadable(_car: comfort.Ports, parameters: VentilationTimers, _now: Instant) -> Refusal | None:
    """Times, days and dates exist, and a timer has either days or a date."""
    for number, timer in enumerate(parameters.timers, start=1):
        try:
            _departure(timer)
        except ValueError as error:
            return Refusal("argument_out_of_range", f"timers, item {number}: {error}")
    return None


def _keep(car: comfort.Ports, parameters: VentilationTimers, now: Instant) -> None:
    comfort.keep(car, "ventilation", map(_departure, parameters.timers), _start_by_timer, now)


def _start_by_timer(car: comfort.Ports, minutes: int, now: Instant) -> Refusal | None:
    refused = hindrance(car)
    if refused is None:
        start(car, minutes, now, by="timer")
    return refused


VENTILATION: Final = Service(_carry_out, _refusal)
VENTILATION_TIMERS: Final = Service(_keep, _unreadable)
