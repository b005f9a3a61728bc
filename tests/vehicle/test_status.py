"""A status that a load stage asks for says what one built anew would say, whatever happened since the last one."""

from __future__ import annotations

import msgspec
import pytest

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import AskStatus, SetCoverage, SetOpening
from fleet.vehicle.status import build_status
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.messages import STATUS_GROUPS, Status, WrittenStatus
from tests.vehicle.car_lab import CarLab, driver, equipment

DIALECT = FleetDialect()
SETTINGS = {
    "whole": CarSettings(hole_share=0.0),
    "written": CarSettings(hole_share=0.0, write_status=DIALECT.status_writer),
}


def asked(lab: CarLab) -> Status:
    """Ask for a status; one that is written already is read as the back end reads it."""
    lab.put(AskStatus())
    status = lab.sent[-1]
    if isinstance(status, WrittenStatus):
        status = DIALECT.read_from_car(DIALECT.from_car(status))  # type: ignore[assignment]
    assert isinstance(status, Status)
    assert (status.seq, status.captured_at, status.trigger) == (lab.car.outbox.created, lab.now, "load")
    return status


def built(lab: CarLab, seq: int) -> Status:
    """Build one anew, under a number that is used already."""
    lab.car.outbox.created -= 1
    status = build_status(lab.car, "load", lab.now)
    assert status.seq == seq
    return status


def plugged_in_and_low(car: Car) -> None:
    car.powertrain.plugged_in = True
    car.powertrain.charge_kwh = 5.0


LIVES = {
    "commuter": lambda way: CarLab(equipment("Leon", "petrol", parking_heater=True), driver("commuter"), settings=SETTINGS[way]),
    "charging": lambda way: CarLab(
        equipment("Born", "electric"), driver("commuter"), settings=SETTINGS[way], tune=plugged_in_and_low
    ),
    "courier": lambda way: CarLab(equipment("Leon", "diesel"), driver("courier"), settings=SETTINGS[way]),
}


@pytest.mark.parametrize("way", SETTINGS)
@pytest.mark.parametrize("life", LIVES)
def test_says_what_one_built_anew_says(life: str, way: str) -> None:
    """Asked at any moment of a day with drives, commands, charging and open doors, three times in a row."""
    lab = LIVES[life](way)
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
        for _ in range(3):
            status = asked(lab)
            assert status == built(lab, status.seq)
            lab.run_for(draws.integer(0, 400_000))
    assert any(isinstance(message, WrittenStatus) for message in lab.sent) == (way == "written")


def test_what_has_to_wait_is_not_written() -> None:
    """It may still change: a car that ceases to tell its position takes it out of what waits."""
    lab = CarLab(settings=SETTINGS["written"])
    asked(lab)
    asked(lab)
    assert isinstance(lab.sent[-1], WrittenStatus)
    lab.put(SetCoverage(covered=False))
    sent = len(lab.sent)
    for _ in range(3):
        lab.put(AskStatus())
    lab.put(SetCoverage(covered=True))
    waited = lab.sent[sent:]
    assert [type(message) for message in waited if message.seq > 2] == [Status] * 3


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


def test_a_charge_is_read_once_a_second() -> None:
    """The same second gives the same charge, asked for or not; it begins with the charging."""
    lab = CarLab(equipment("Born", "electric"), tune=plugged_in_and_low)
    lab.run_until(lab.now - lab.now % MINUTE + MINUTE)
    at_start = build_status(lab.car, "refresh", lab.now)
    lab.run_for(SECOND - 1)
    assert (asked(lab).energy, asked(lab).charging) == (at_start.energy, at_start.charging)
    kwh = lab.car.levels(lab.now).charge_kwh
    lab.run_for(MINUTE)
    assert lab.car.levels(lab.now).charge_kwh > kwh
    later = asked(lab).energy
    assert later is not None
    assert at_start.energy is not None
    assert later.charge_percent > at_start.energy.charge_percent  # type: ignore[operator]


@pytest.mark.parametrize("life", LIVES)
def test_each_group_alone_says_what_the_whole_says(life: str) -> None:
    """At any moment of a day, with a drive behind it or under way."""
    lab = LIVES[life]("whole")
    for _ in range(40):
        lab.run_for(31 * MINUTE + 7 * SECOND)
        whole = build_status(lab.car, "load", lab.now)
        for name in STATUS_GROUPS:
            alone = build_status(lab.car, "load", lab.now, (name,))
            assert getattr(alone, name) == getattr(whole, name)
            assert msgspec.convert(msgspec.to_builtins(alone), Status) == alone, "each group has the type of its field"
            assert all(getattr(alone, other) is None for other in STATUS_GROUPS if other != name)
        lab.car.outbox.created -= 1 + len(STATUS_GROUPS)  # nobody has sent them
