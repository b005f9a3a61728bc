"""12 V battery, charging, tanks and what is left open: the parts by themselves and in the car."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fleet.kernel.draws import Draws
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND
from fleet.vehicle.body import OPENINGS, Body
from fleet.vehicle.car import Car
from fleet.vehicle.leaving import leaving_habits
from fleet.vehicle.low_voltage import ASLEEP_A, DEEP_SLEEP_PERCENT, LOW_PERCENT, LowVoltageBattery
from fleet.vehicle.powertrain import Levels, Powertrain
from fleet.vehicle.services import charge_settings
from fleet.vehicle.signals import Disconnect, DrainLowVoltage, DriveTo, SwitchOff, SwitchOn
from fleet.wire.messages import ChargingStatus
from tests.vehicle.car_lab import HOME, SEED, SHOP, START, CarLab, driver, equipment, heater_car

# --- the 12 V battery


def test_sleeping_takes_weeks_and_lights_a_day() -> None:
    """Both limits are met to the microsecond: above before it, below at it."""
    for lights, days in ((False, 59 * 0.4 / ASLEEP_A / 24), (True, 59 * 0.4 / 0.925 / 24)):
        battery = LowVoltageBattery(59, 90, START)
        battery.lights_on = lights
        at = battery.falls_below_at(LOW_PERCENT, START)
        assert at is not None
        assert (at - START) / DAY == pytest.approx(days)
        assert battery.percent(at - 2) >= LOW_PERCENT - 1e-9
        assert battery.percent(at) < LOW_PERCENT


def test_where_the_limit_comes_out_even_it_is_passed_all_the_same() -> None:
    """A charge that reaches the limit at a whole microsecond, where rounding decides, is below it when the car looks."""
    for millionths in range(1, 200):
        battery = LowVoltageBattery(51, LOW_PERCENT + millionths * 1e-3, START)
        at = battery.falls_below_at(LOW_PERCENT, START)
        assert at is not None
        assert battery.percent(at) < LOW_PERCENT


def test_waking_is_counted_once() -> None:
    """The closed form is the same however often it is settled."""
    once, often = LowVoltageBattery(59, 90, START), LowVoltageBattery(59, 90, START)
    for battery in (once, often):
        battery.stay_awake(START + HOUR, START + HOUR + 10 * MINUTE)
    for step in range(100):
        often.light(START + HOUR + step * MINUTE, on=False)
    assert often.charge_at(START + DAY) == pytest.approx(once.charge_at(START + DAY))
    assert once.charge_ah - once.charge_at(START + HOUR + 10 * MINUTE) == pytest.approx(0.1)


def _leave_lights_on(car: Car) -> None:
    car.body.lights_on = car.low_voltage.lights_on = True


def test_low_then_deep_sleep_then_the_engine() -> None:
    """One event below 50 %, offline with its reason below 40 %, and back with the engine; nothing is lost."""
    lab = CarLab(tune=_leave_lights_on)
    lab.run_for(4 * DAY)
    assert len(lab.events("low_voltage_low")) == 1
    last = lab.outputs[-1][1]
    assert isinstance(last, Disconnect)
    assert (last.last.connection, last.last.reason) == ("offline", "deep_sleep")
    assert lab.car.low_voltage.percent(lab.now) < DEEP_SLEEP_PERCENT
    was_wanted = lab.wanted
    assert not was_wanted
    lab.run_for(DAY)
    lab.put(SwitchOn())
    assert lab.wanted
    assert lab.events()[-1].name == "engine_on"
    lab.run_for(2 * HOUR)
    assert lab.car.low_voltage.percent(lab.now) > 80


def test_a_consumer_switched_off_in_time_is_no_second_warning() -> None:
    """Told at 50 %; a heater that would have brought it to 40 % is stopped: no event is sent again meanwhile."""

    def tune(car: Car) -> None:
        car.low_voltage.charge_ah = car.low_voltage.capacity_ah * 0.515

    lab = CarLab(heater_car(), tune=tune)
    lab.outcome("heater", minutes=60)
    lab.run_for(40 * MINUTE)
    assert len(lab.events("low_voltage_low")) == 1
    lab.outcome("heater", action="stop")
    lab.run_for(20 * DAY)
    assert len(lab.events("low_voltage_low")) == 1
    assert lab.car.low_voltage.in_deep_sleep


def test_many_refreshes_leave_no_traces() -> None:
    """A thousand wake-ups later the agenda is as short as before."""
    lab = CarLab()
    for _ in range(1000):
        lab.command("refresh")
        lab.run_for(30 * SECOND)
    assert len(lab.car.agenda) < 5


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


# --- the body


def test_cars_are_left_badly_at_the_stated_shares() -> None:
    """97 % of those without an open boot locked, 2 % with a window open, 0.4 % the boot, 0.4 % the lights."""
    bodies = []
    for n in range(20_000):
        body = Body(has_sunroof=False)
        body.leave(leaving_habits(Draws(SEED, "leaving", n)))
        assert not (body.locked and body.open_doors)
        bodies.append(body)
    shares = [sum(map(bool, values)) / len(bodies) for values in zip(
        *((not b.locked, b.open_windows, b.open_doors, b.lights_on) for b in bodies), strict=True)]  # fmt: skip
    assert shares == pytest.approx([0.034, 0.02, 0.004, 0.004], abs=0.004), f"seed {SEED}"


@pytest.mark.parametrize("name", OPENINGS)
def test_opening_unlocks(name: Any) -> None:
    """An open door is open and unlocked; closed, it is shut and still unlocked; getting in closes everything."""
    body = Body(has_sunroof=True)
    body.set_opening(name, opened=True)
    door = getattr(body.doors(), name)
    assert (door.open, door.locked) == (True, False)
    assert not body.doors().front_left.locked
    body.set_opening(name, opened=False)
    assert not getattr(body.doors(), name).open
    assert not body.locked
    body.set_opening(name, opened=True)
    body.get_in()
    assert body.open_doors == frozenset()
    assert body.windows().sunroof is False


def test_no_such_door() -> None:
    """The error names those there are."""
    with pytest.raises(ValueError, match="boot"):
        Body(has_sunroof=False).set_opening("roof", opened=True)


def test_home_is_where_the_driver_lives() -> None:
    """A car begins there, parked and locked."""
    lab = CarLab(car_driver=driver())
    assert lab.car.true_position(lab.now) == HOME.position
    assert lab.car.state(lab.now) == "parked"
    assert lab.car.body.locked


def test_the_running_engine_leaves_nothing_to_watch_for() -> None:
    """While the battery is charged no fall of it is planned; parked again, one is."""
    lab = CarLab()
    watched = [lab.car.low_voltage.due_at is not None]
    for message in (SwitchOn(), SwitchOff()):
        lab.put(message)
        watched.append(lab.car.low_voltage.due_at is not None)
    assert watched == [True, False, True]


def test_a_12_v_battery_that_is_drawn_down_is_told_low_and_then_sleeps() -> None:
    """Both limits are passed one after the other, whatever is left; up it never goes, and a fed one is not drawn down."""
    lab = CarLab()
    lab.put(DrainLowVoltage(1.0))
    before = lab.car.low_voltage.percent(lab.now)
    assert before > LOW_PERCENT
    lab.put(DrainLowVoltage(0.505))
    assert not lab.events("low_voltage_low")
    lab.put(DrainLowVoltage(0.3))
    assert len(lab.events("low_voltage_low")) == 1
    asleep = [lab.car.low_voltage.in_deep_sleep]
    lab.put(SwitchOn())
    asleep.append(lab.car.low_voltage.in_deep_sleep)
    assert asleep == [True, False]
    fed = lab.car.low_voltage.percent(lab.now)
    lab.put(DrainLowVoltage(0.1))
    assert lab.car.low_voltage.percent(lab.now) == fed
