"""Workshop mode: while the car is being worked on nobody commands it from afar."""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.journey import Journey
from fleet.vehicle.kept import drop, find, keep
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal
from fleet.wire.commands import CommandType

ENDS_AFTER_M: Final = 5_000.0
"""A drive of this length is no test drive in the yard: the mode ends with it, should somebody have forgotten it (ours)."""

TEST_DRIVE: Final = "test drive"
"""Key of the timer that ends the mode."""


class Workshop:
    """The mode; a car that has none of these is in no workshop."""

    __slots__ = ()


class Ports(ports.Sender, ports.Timed, ports.Keeper, Protocol):
    """A car that may be on a test drive."""

    journey: Journey | None


def is_on(car: Ports) -> bool:
    """Tell whether the car is in workshop mode."""
    return find(car, Workshop) is not None


def switch(car: Ports, now: Instant, *, on: bool) -> None:
    """Switch the mode by hand."""
    if on != is_on(car):
        if on:
            keep(car, Workshop())
        else:
            drop(car, Workshop)
        car.send_event("workshop_mode", now, {"on": on, "reason": "by_hand"})
        if not on:
            car.agenda.cancel(TEST_DRIVE)
        elif car.journey is not None:
            drive_planned(car, car.journey, now)


def refusal(car: Ports, command: CommandType) -> Refusal | None:
    """Judge a command: none is obeyed, but what the law requires (ours: a refresh neither)."""
    if is_on(car) and not (command.entry.legal or command.entry.enrols):
        return Refusal("workshop_mode", "the car is in workshop mode")
    return None


def drive_planned(car: Ports, journey: Journey, now: Instant) -> None:
    """Find when the drive will have been long enough to end the mode, which hardly a car is in."""
    if is_on(car) and journey.length_m > ENDS_AFTER_M and (at := journey.reached_at(ENDS_AFTER_M)) > now:
        car.agenda.replace(TEST_DRIVE, at, _driven)


def _driven(car: Ports, _data: None, now: Instant) -> None:
    drop(car, Workshop)
    car.send_event("workshop_mode", now, {"on": False, "reason": "driven"})


def engine_stopped(car: Ports, _now: Instant) -> None:
    """The drive was too short to end the mode."""
    car.agenda.cancel(TEST_DRIVE)


def _is_personal(_workshop: Workshop) -> bool:
    return False


LISTENER: Final = Listener(state=Workshop, is_personal=_is_personal, drive_planned=drive_planned, engine_stopped=engine_stopped)
