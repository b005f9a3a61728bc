"""Workshop mode: while the car is being worked on nobody commands it from afar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet.kernel.instants import Instant
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal
from fleet.wire.commands import CommandType

if TYPE_CHECKING:
    from fleet.vehicle.car import Car
    from fleet.vehicle.journey import Journey

ENDS_AFTER_M: Final = 5_000.0
"""A drive of this length is no test drive in the yard: the mode ends with it, should somebody have forgotten it (ours)."""

TEST_DRIVE: Final = "test drive"
"""Key of the timer that ends the mode."""


def switch(car: Car, now: Instant, *, on: bool) -> None:
    """Switch the mode by hand."""
    if on != car.in_workshop:
        car.in_workshop = on
        car.send_event("workshop_mode", now, {"on": on, "reason": "by_hand"})
        if not on:
            car.agenda.cancel(TEST_DRIVE)
        elif car.journey is not None:
            drive_planned(car, car.journey, now)


def refusal(car: Car, command: CommandType) -> Refusal | None:
    """Judge a command: none is obeyed, but what the law requires (ours: a refresh neither)."""
    if car.in_workshop and not command.entry.legal:
        return Refusal("workshop_mode", "the car is in workshop mode")
    return None


def drive_planned(car: Car, journey: Journey, now: Instant) -> None:
    """Find when the drive will have been long enough to end the mode, which hardly a car is in."""
    if car.in_workshop and journey.length_m > ENDS_AFTER_M and (at := journey.reached_at(ENDS_AFTER_M)) > now:
        car.agenda.replace(TEST_DRIVE, at, _driven)


def _driven(car: Car, _data: None, now: Instant) -> None:
    car.in_workshop = False
    car.send_event("workshop_mode", now, {"on": False, "reason": "driven"})


def engine_stopped(car: Car, _now: Instant) -> None:
    """The drive was too short to end the mode."""
    car.agenda.cancel(TEST_DRIVE)


LISTENER: Final = Listener(drive_planned=drive_planned, engine_stopped=engine_stopped)
