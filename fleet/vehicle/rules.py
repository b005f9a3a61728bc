"""The rules that all commands have in common, judged from the catalogue at the moment of execution: None, or why not.

Sources: the manufacturer's public service descriptions as gathered for this project; "(ours)" marks our decisions.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.low_voltage import LOW_PERCENT
from fleet.vehicle.services import calls, privacy, workshop
from fleet.vehicle.services.registry import SERVICES
from fleet.vehicle.services.service import Refusal
from fleet.wire.commands import CommandType, is_stop
from fleet.wire.parameters import Parameters
from fleet.wire.services import misfit

WAKE_UPS_WITHOUT_DRIVE: Final = 40
"""Comfort and location commands that may wake the car until the engine is started again (ours)."""


class Ports(calls.Ports, workshop.Ports, ports.Commanded, Protocol):
    """All that the common rules judge by."""

    def state(self, now: Instant) -> Literal["parked", "ignition_on", "driving"]:
        """Return the vehicle state."""


def refusal(car: Ports, command: CommandType, parameters: Parameters, now: Instant) -> Refusal | None:
    """Judge one command of a car that is awake and not silent.

    The order is arguments, equipment, what is switched off in the car, state, the service's own rule, energy.
    """
    found = _arguments(command, parameters) or not_equipped(car, command)
    if found is not None or is_stop(parameters):
        return found
    return (
        privacy.refusal(car, command)
        or workshop.refusal(car, command)
        or calls.refusal(car, command)
        or _state(car, command, now)
        or SERVICES[type(parameters)].refusal(car, parameters, now)
        or _low_voltage(car, command, now)
        or _power_budget(car, command)
    )


def _arguments(command: CommandType, parameters: Parameters) -> Refusal | None:
    found = misfit(command.entry.parameters, parameters)
    return None if found is None else Refusal("argument_out_of_range", found)


def not_equipped(car: Ports, command: CommandType) -> Refusal | None:
    """Return what a car lacks for a command; None for one that it can be asked for, now or at another time."""
    for name in command.entry.equipment:
        if not getattr(car.equipment, name):
            return Refusal("not_equipped", f"the car has no {name.replace('_', ' ')}")
    built_from = command.entry.built_from
    if built_from is not None and car.equipment.build_week < built_from:
        week = car.equipment.build_week
        return Refusal("not_equipped", f"the car was built in week {week}; {command.name} needs {built_from} or later")
    return None


def _state(car: Ports, command: CommandType, now: Instant) -> Refusal | None:
    """Parked, ignition off, where the catalogue asks for it."""
    if command.entry.state == "any":
        return None
    match car.state(now):
        case "driving":
            return Refusal("not_parked", "the car is being driven")
        case "ignition_on":
            return Refusal("engine_running", "the ignition is on")
        case _:
            return None


def _low_voltage(car: Ports, command: CommandType, now: Instant) -> Refusal | None:
    if command.entry.needs_12v and car.low_voltage.percent(now) < LOW_PERCENT:
        return Refusal("battery_low", f"the 12 V battery is below {LOW_PERCENT:.0f} %")
    return None


def _power_budget(car: Ports, command: CommandType) -> Refusal | None:
    if command.entry.budget and car.remote.wake_ups > WAKE_UPS_WITHOUT_DRIVE:
        return Refusal("power_budget", f"woken {car.remote.wake_ups} times without a drive; start the engine once")
    return None
