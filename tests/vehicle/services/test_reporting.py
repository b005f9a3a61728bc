"""Regular reports: while the car drives and while it charges, as often as its settings say, and never otherwise."""

from __future__ import annotations

from itertools import pairwise

from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.vehicle.car import Car
from fleet.vehicle.services.reporting import REPORT
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import DriveTo
from fleet.wire.dialect import StatusIntervals
from fleet.wire.messages import Status
from tests.vehicle.car_lab import SHOP, CarLab, equipment


def car_lab(driving: int | None = None, charging: int | None = None, *, plugged_in: bool = False) -> CarLab:
    def plug_in(car: Car) -> None:
        car.powertrain.charge_kwh = 0.5 * car.equipment.usable_kwh
        car.powertrain.plugged_in = plugged_in

    settings = CarSettings(hole_share=0.0, status_intervals=StatusIntervals(driving, charging))
    return CarLab(equipment("Born", "electric"), settings=settings, tune=plug_in)


def reports(lab: CarLab) -> list[Instant]:
    return [each.captured_at for each in lab.sent if isinstance(each, Status) and each.trigger == "interval"]


def test_a_car_that_drives_reports_until_the_engine_is_off() -> None:
    lab = car_lab(driving=10 * SECOND)
    lab.put(DriveTo(SHOP))
    lab.arrive()
    found = reports(lab)
    assert len(found) > 20
    assert {later - earlier for earlier, later in pairwise(found)} == {10 * SECOND}
    assert all(
        each.state in {"driving", "ignition_on"} for each in lab.sent if isinstance(each, Status) and each.trigger == "interval"
    )
    lab.run_for(30 * MINUTE)
    assert reports(lab) == found
    assert lab.car.agenda.planned_at(REPORT) is None


def test_a_car_that_charges_reports_until_it_is_full() -> None:
    lab = car_lab(charging=5 * MINUTE, plugged_in=True)
    begun = lab.now
    lab.run_for(20 * MINUTE)
    assert reports(lab) == [begun + number * 5 * MINUTE for number in (1, 2, 3, 4)]
    lab.run_for(24 * 60 * MINUTE)
    assert lab.car.powertrain.charging is None
    ended = reports(lab)
    lab.run_for(60 * MINUTE)
    assert reports(lab) == ended


def test_each_way_of_being_has_its_own_interval() -> None:
    """A car that only wants to be heard of while it charges is silent on the road."""
    lab = car_lab(charging=5 * MINUTE)
    lab.drive()
    assert reports(lab) == []


def test_without_intervals_nothing_is_planned() -> None:
    lab = car_lab(plugged_in=True)
    lab.run_for(60 * MINUTE)
    assert reports(lab) == []
    assert lab.car.agenda.planned_at(REPORT) is None
