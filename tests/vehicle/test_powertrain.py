"""Charging and tanks: by themselves and in the car."""

from __future__ import annotations

import math

import pytest

from fleet.kernel.draws import Draws
from fleet.kernel.instants import DAY, HOUR, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.powertrain import Levels, Powertrain
from fleet.vehicle.services import charge_settings
from fleet.vehicle.signals import DriveTo, SwitchOn
from fleet.wire.messages import ChargingStatus
from tests.vehicle.car_lab import HOME, SEED, SHOP, START, CarLab, driver, equipment

# --- charging


def born(charge: float, *, plugged_in: bool = True) -> CarLab:
    def tune(car: Car) -> None:
        car.powertrain.charge_kwh = charge * car.equipment.usable_kwh
        car.powertrain.plugged_in = plugged_in

    return CarLab(equipment("Born", "electric"), tune=tune)


def reported(lab: CarLab) -> ChargingStatus:
    found = charge_settings.report(lab.car, lab.car.levels(lab.now))
    assert found is not None
    return found


def test_charging_runs_to_the_limit_and_says_so() -> None:
    """By its power, no further, and a status at its end; the remaining minutes fit."""
    lab = born(0.5)
    e = lab.car.equipment
    charging = reported(lab)
    assert charging.state == "charging"
    hours = (0.3 + 0.2 * math.log(5) / 0.8) * e.usable_kwh / e.charge_power_kw  # above 80 % down to a fifth of the power
    assert charging.remaining_min == pytest.approx(hours * 60, abs=1)
    lab.run_for(int(hours * HOUR) - 10 * SECOND)
    late = reported(lab)
    assert (late.state, late.remaining_min) == ("charging", 1)
    assert late.power_kw == pytest.approx(e.charge_power_kw / 5, abs=0.01)
    lab.run_for(DAY)
    [status] = lab.statuses("charging")
    assert status.charging is not None
    assert (status.charging.state, status.charging.plugged_in, status.charging.remaining_min) == ("complete", True, 0)
    assert lab.car.levels(lab.now).charge_kwh == e.usable_kwh


def test_driving_off_pulls_the_plug() -> None:
    """Charging ends where it was, and its planned end does nothing later."""
    lab = born(0.3)
    lab.run_for(HOUR)
    lab.put(SwitchOn())
    level = lab.car.levels(lab.now).charge_kwh
    assert level == pytest.approx(0.3 * lab.car.equipment.usable_kwh + lab.car.equipment.charge_power_kw)
    lab.run_for(DAY)
    assert lab.statuses("charging") == []
    assert lab.car.levels(lab.now).charge_kwh == level
    assert not lab.car.powertrain.plugged_in


@pytest.mark.parametrize(("charge", "plugged_in", "state"), [(0.5, False, "unplugged"), (1.0, True, "complete")])
def test_states_of_the_plug(charge: float, plugged_in: bool, state: str) -> None:
    """Unplugged, or full."""
    lab = born(charge, plugged_in=plugged_in)
    charging = reported(lab)
    assert (charging.state, charging.plugged_in, charging.power_kw) == (state, plugged_in, 0.0)


def test_plugged_in_at_home_mostly_and_nowhere_else() -> None:
    """Four of five arrivals at home (ours)."""
    plugged = 0
    for number in range(60):
        lab = CarLab(equipment("Born", "electric"), number=number)
        lab.drive(SHOP)
        assert not lab.car.powertrain.plugged_in
        lab.drive(HOME)
        plugged += lab.car.powertrain.plugged_in
    assert plugged / 60 == pytest.approx(0.8, abs=0.15), f"seed {SEED}"


# --- tanks


def test_an_e_hybrid_drives_on_charge_first_and_keeps_its_reserve() -> None:
    """Fuel falls only once the charge is at the reserve."""
    power = Powertrain(equipment("Leon", "e-hybrid"), Draws(SEED, "x"), START)
    power.fuel_l, power.charge_kwh = 30.0, 5.0
    power.begin_drive(Draws(SEED, "drive"), 50)
    near, far = power.levels(START, 5_000), power.levels(START, 100_000)
    assert near.fuel_l == 30.0
    assert near.charge_kwh < 5.0
    assert far.fuel_l < 30.0
    assert far.charge_kwh == pytest.approx(0.12 * power.equipment.usable_kwh)


@pytest.mark.parametrize(
    ("range_km", "warning"),
    [
        (2400.5, "none"),
        (2399.5, "low"),
        (1750.5, "low"),
        (1749.5, "very_low"),
        (900.5, "very_low"),
        (899.5, "critical"),
        (0.5, "critical"),
        (0, "empty"),
    ],
)
def test_adblue_warnings(range_km: float, warning: str) -> None:
    """At 2400, 1750, 900 and 0 km."""
    power = Powertrain(equipment("Leon", "diesel"), Draws(SEED, "x"), START)
    litres = range_km * power.equipment.adblue_l_per_1000km / 1000
    found = power.adblue(Levels(0, 10, 0, litres))
    assert found is not None
    assert (found.warning, found.range_km) == (warning, range_km)


def test_without_adblue_the_engine_does_not_restart() -> None:
    """It is told, and the car is left as it was: locked, off, and where it stood."""

    def tune(car: Car) -> None:
        car.powertrain.adblue_l = 0.0

    lab = CarLab(equipment("Leon", "diesel"), tune=tune)
    for message in (SwitchOn(), DriveTo(SHOP)):
        lab.put(message)
        assert lab.events()[-1].data == {"reason": "adblue_empty"}
    assert not lab.car.engine_is_on
    assert lab.car.body.locked
    assert lab.car.trips.count == 0


def test_refilling_fills_up() -> None:
    """Fuel to the brim, AdBlue when its warning is on; an electric car to 90 % or what it has."""
    power = Powertrain(equipment("Leon", "diesel"), Draws(SEED, "x"), START)
    power.fuel_l, power.adblue_l = 5.0, 1.0
    taken = power.refill(START)
    assert taken == {"fuel_l": round(power.equipment.tank_l - 5, 2), "adblue_l": round(power.equipment.adblue_l - 1, 2)}
    assert "adblue_l" not in power.refill(START)
    electric = Powertrain(equipment("Born", "electric"), Draws(SEED, "x"), START)
    electric.charge_kwh = 5.0
    assert electric.refill(START) == {"energy_kwh": round(0.9 * electric.equipment.usable_kwh - 5, 2)}
    assert electric.refill(START) == {"energy_kwh": 0.0}


def test_home_is_where_the_driver_lives() -> None:
    """A car begins there, parked and locked."""
    lab = CarLab(car_driver=driver())
    assert lab.car.true_position(lab.now) == HOME.position
    assert lab.car.state(lab.now) == "parked"
    assert lab.car.body.locked
