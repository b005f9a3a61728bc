"""A status that a load stage asks for says what one built anew would say, whatever happened since the last one."""

from __future__ import annotations

import msgspec
import pytest

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.signals import AskStatus, SetOpening
from fleet.vehicle.status import build_status
from fleet.wire.messages import Status
from tests.vehicle.car_lab import CarLab, driver, equipment


def asked(lab: CarLab) -> Status:
    """Ask for a status."""
    lab.put(AskStatus())
    status = lab.sent[-1]
    assert isinstance(status, Status)
    assert (status.seq, status.captured_at, status.trigger) == (lab.car.telematics.created, lab.now, "load")
    return status


def built(lab: CarLab, seq: int) -> Status:
    """Build one anew, under a number that is used already."""
    lab.car.telematics.created -= 1
    status = build_status(lab.car, "load", lab.now)
    assert status.seq == seq
    return status


def plugged_in_and_low(car: Car) -> None:
    car.plugged_in = True
    car.powertrain.charge_kwh = 5.0


LIVES = {
    "commuter": lambda: CarLab(equipment("Leon", "petrol", parking_heater=True), driver("commuter")),
    "charging": lambda: CarLab(equipment("Born", "electric"), driver("commuter"), tune=plugged_in_and_low),
    "courier": lambda: CarLab(equipment("Leon", "diesel"), driver("courier")),
}


@pytest.mark.parametrize("life", LIVES)
def test_says_what_one_built_anew_says(life: str) -> None:
    """Asked at any moment of a day with drives, commands, charging and open doors."""
    lab = LIVES[life]()
    draws = Draws(stream_key(11, life), "moments")
    end = lab.now + 20 * HOUR
    doors_open = False
    while lab.now < end:
        lab.run_for(draws.integer(1, 40) * SECOND if draws.chance(0.5) else draws.integer(1, 40) * MINUTE)
        if draws.chance(0.1):
            doors_open = not doors_open
            lab.put(SetOpening("boot", doors_open))
        elif draws.chance(0.1):
            lab.command("heater", action="start", minutes=10)
        status = asked(lab)
        assert status == built(lab, status.seq)


def test_is_kept_while_nothing_moves() -> None:
    """Within a minute a parked car does not build its groups again, and in the next minute it does."""
    lab = CarLab()
    lab.run_until(lab.now - lab.now % MINUTE + MINUTE)
    first, again = asked(lab), asked(lab)
    assert again.doors is first.doors
    assert again.climate is first.climate
    lab.run_for(MINUTE)
    assert asked(lab).climate is not first.climate


def test_the_slow_sensors_are_read_once_a_minute() -> None:
    """The same minute gives the same outside temperature and 12 V charge, asked for or not."""
    lab = CarLab()
    lab.run_until(lab.now - lab.now % HOUR + HOUR)
    at_start = build_status(lab.car, "refresh", lab.now)
    lab.run_for(MINUTE - 1)
    at_end = build_status(lab.car, "refresh", lab.now)
    same = msgspec.structs.replace(at_end, seq=at_start.seq, captured_at=at_start.captured_at)
    assert same == at_start
