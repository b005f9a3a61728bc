"""Regular reports: a status again and again while the engine is on or the car charges, where its settings ask for that.

The first one comes an interval after the engine was started, or charging has begun: that had a status of its own.
"""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.powertrain import Powertrain
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.settings import CarSettings

REPORT: Final = "regular report"
"""Key of the timer of the next report."""


class Ports(ports.Sender, ports.Timed, ports.Engine, Protocol):
    """A car that drives and charges."""

    settings: CarSettings
    powertrain: Powertrain


def begin(car: Ports, now: Instant) -> None:
    """Plan the next report anew: the engine or the charge point has been switched on or off."""
    every = interval(car)
    if every is None:
        car.agenda.cancel(REPORT)
    else:
        car.agenda.replace(REPORT, now + every, _report)


def interval(car: Ports) -> Duration | None:
    """Return how often the car reports as it is, None for never."""
    intervals = car.settings.status_intervals
    if car.engine_is_on:
        return intervals.driving
    return intervals.charging if car.powertrain.charging is not None else None


def _report(car: Ports, _data: None, now: Instant) -> None:
    car.send_status("interval", now)
    begin(car, now)


LISTENER: Final = Listener(powered_on=begin, engine_started=begin, engine_stopped=begin, charge_changed=begin)
