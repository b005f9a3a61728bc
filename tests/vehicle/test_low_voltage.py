"""The 12 V battery: weeks asleep, a day of lights, and what a car does when it is low."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.low_voltage import ASLEEP_A, DEEP_SLEEP_PERCENT, LOW_PERCENT, LowVoltageBattery
from fleet.vehicle.signals import Disconnect, DrainLowVoltage, SwitchOff, SwitchOn
from tests.vehicle.car_lab import START, CarLab, heater_car


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
