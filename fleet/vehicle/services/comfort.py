"""What heater, ventilation and climatisation have in common: one of them runs at a time, for a while, and tells its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.vehicle.low_voltage import LOW_PERCENT
from fleet.vehicle.services import cabin
from fleet.vehicle.services.service import Refusal

if TYPE_CHECKING:
    from fleet.vehicle.car import Car

Name = Literal["heater", "ventilation", "climatisation"]
Mode = Literal["heating", "ventilation", "climatisation"]
EndReason = Literal["time", "stopped", "restarted", "engine_start", "fuel_low", "battery_low"]
Starter = Literal["command", "timer", "departure"]
"""Who started it: a user from afar, a timer of the car, or a departure time."""

AIR_IN: Final[Duration] = 8 * MINUTE
"""Time constant of a cabin whose air the blower exchanges (ours)."""
HEATER_A: Final = 2.5
"""The parking heater's pump, burner and blower (ours)."""
BLOWER_A: Final = 6.0
"""The blower alone, at the speed that changes the air (ours)."""


class Run(NamedTuple):
    """A comfort service at work. `reason` is why it will end at `ends_at`; `target_c` is None where nobody chose one."""

    service: Name
    mode: Mode
    started_at: Instant
    ends_at: Instant
    reason: EndReason
    target_c: float | None = None
    window_heating: bool = False


def is_running(car: Car, service: Name) -> bool:
    """Tell whether this service runs now."""
    return car.comfort is not None and car.comfort.service == service


def unless_other(car: Car, service: Name) -> Refusal | None:
    """Heater and ventilation exclude each other; each may be started anew."""
    run = car.comfort
    if run is None or run.service == service:
        return None
    return Refusal(f"{run.service}_running", f"the {run.service} runs; stop it first")


def hindrance(car: Car) -> Refusal | None:
    """Return why the car cannot do by itself, for a timer, what the catalogue's rules would refuse a user."""
    if car.engine_is_on:
        return Refusal("engine_running", "the engine is on")
    if car.low_voltage.percent(car.low_voltage.since) < LOW_PERCENT:
        return Refusal("battery_low", f"the 12 V battery is below {LOW_PERCENT:.0f} %")
    return None
