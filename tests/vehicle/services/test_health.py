"""The health report: when the first one comes, that only the newest is kept, and what a refresh does."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import HOUR, MINUTE
from fleet.vehicle.car import Car
from fleet.vehicle.region import Place
from fleet.vehicle.signals import DriveTo, SetCoverage, SetFault, SwitchOff, SwitchOn
from fleet.wire.messages import Health
from tests.vehicle.car_lab import GARAGE, SHOP, CarLab, driver, equipment

FAR = Place(48.60, 12.10, "Landshut", "errand")
FAR_GARAGE = Place(48.60, 12.10, "Landshut", "errand", garage=True)


def newest(lab: CarLab) -> Health | None:
    """Return what the twin holds: the group of the newest status that has it."""
    found = [status.health for status in lab.statuses() if status.health is not None]
    return found[-1] if found else None


def test_none_before_20_km() -> None:
    """A short drive brings none; the drive that makes it 20 km does, with the status of its engine off."""
    lab = CarLab()
    lab.drive(SHOP)
    assert newest(lab) is None
    lab.drive(FAR)
    report = newest(lab)
    assert report is not None
    assert report.reported_at == lab.events("engine_off")[-1].captured_at
    assert report.mileage_km == pytest.approx(lab.car.powertrain.odometer_m / 1000, abs=0.06)


def test_never_while_driving_and_not_by_time() -> None:
    lab = CarLab()
    lab.put(DriveTo(FAR))
    while (journey := lab.car.journey) is not None and journey.distance_at(lab.now) < 30_000:
        lab.run_for(MINUTE)
    assert lab.car.wear.report is None
    lab.arrive()
    assert lab.car.wear.report is not None


@pytest.mark.parametrize("wait", [10 * MINUTE, 20 * HOUR])
def test_the_first_one_waits_for_coverage(wait: int) -> None:
    """Parked without network after 60 km: none; it is made and sent when the network comes, and once."""
    lab = CarLab()
    lab.drive(FAR_GARAGE)
    assert lab.car.wear.report is None
    lab.run_for(wait)
    lab.put(SetCoverage(True))
    [status] = lab.statuses("health")
    assert status.health is not None
    assert status.health.reported_at == lab.now
    assert status.mileage_km is None
    lab.put(SetCoverage(False))
    lab.put(SetCoverage(True))
    assert len(lab.statuses("health")) == 1


def test_network_before_20_km_or_with_the_engine_on_brings_none() -> None:
    lab = CarLab()
    lab.drive(GARAGE)
    lab.put(SetCoverage(True))
    assert newest(lab) is None
    lab.drive(FAR_GARAGE)
    lab.put(SwitchOn())
    lab.put(SetCoverage(True))
    assert newest(lab) is None
    lab.put(SwitchOff())
    assert newest(lab) is not None
    assert lab.statuses("health") == []


def test_a_later_one_without_coverage_keeps_the_old() -> None:
    lab = CarLab()
    lab.drive(FAR)
    first = lab.car.wear.report
    lab.drive(GARAGE)
    assert lab.car.wear.report is first
    lab.put(SetCoverage(True))
    assert lab.car.wear.report is first


@pytest.mark.parametrize("km", [0.0, 50.0])
def test_a_refresh_with_the_engine_running_always_renews(km: float) -> None:
    """However far it has been driven; with the engine off it repeats the newest."""
    lab = CarLab(tune=lambda car: setattr(car.powertrain, "start_m", car.powertrain.odometer_m - km * 1000))
    lab.put(SwitchOn())
    lab.command("refresh")
    first = newest(lab)
    assert first is not None
    assert first.reported_at == lab.now
    lab.run_for(10 * MINUTE)
    lab.command("refresh")
    second = newest(lab)
    assert second is not None
    assert second.reported_at == lab.now > first.reported_at
    lab.put(SwitchOff())
    kept = lab.car.wear.report
    lab.run_for(10 * MINUTE)
    lab.command("refresh")
    lab.run_for(2 * MINUTE)
    assert newest(lab) == kept


def test_what_it_warns_of_most_urgent_first() -> None:
    """Faults, AdBlue, services, fuel and the 12 V battery, each with its category."""

    def tune(car: Car) -> None:
        p = car.powertrain
        p.adblue_l = 0.5 * car.equipment.adblue_l_per_1000km
        p.next_service_at, p.next_oil_m = car._now - 1, p.odometer_m - 1_000
        p.fuel_l = 1.0
        car.low_voltage.charge_ah = 0.45 * car.low_voltage.capacity_ah

    lab = CarLab(equipment("Leon", "diesel"), driver(), tune=tune)
    lab.put(SetFault("headlight"))
    lab.put(SetFault("front_camera"))
    lab.put(SwitchOn())
    lab.command("refresh")
    report = newest(lab)
    assert report is not None
    lights: dict[str, Any] = {light.id: (light.category, light.priority) for light in report.warnings}
    assert lights == {
        "adblue_critical": ("engine", 1),
        "fuel_reserve": ("engine", 2),
        "low_voltage_low": ("other", 2),
        "headlight": ("lighting", 3),
        "inspection_due": ("other", 3),
        "oil_change_due": ("engine", 3),
        "front_camera": ("assistance", 4),
    }
    priorities = [light.priority for light in report.warnings]
    assert priorities == sorted(priorities)
