"""Charging: start and stop, settings, night window, locations, the plug and the charge point, each rule and what is no rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Instant, from_datetime
from fleet.vehicle.car import Car
from fleet.vehicle.geo import offset
from fleet.vehicle.kept import find
from fleet.vehicle.regions import region
from fleet.vehicle.services import charge_settings, hooks
from fleet.vehicle.services.charge_settings import ChargingPreferences
from fleet.vehicle.services.departure_times import Departures
from fleet.vehicle.signals import DrainTo, SetChargePoint, SetPlug, SwitchOff, SwitchOn
from fleet.wire.messages import ChargingStatus
from tests.vehicle.car_lab import HOME, SHOP, CarLab, equipment, heater_car

MUNICH = region("munich").zone
AFTERNOON = "2026-03-04T15:00"
NIGHT: dict[str, Any] = {"begins": "22:00", "ends": "06:00"}


def local(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=MUNICH))


def lab(
    charge: float = 0.5, *, plugged_in: bool = True, model: str = "Born", energy: str = "electric", start: str = AFTERNOON
) -> CarLab:
    """Return a car that has stood at home for hours, with a share of its charge."""

    def tune(car: Car) -> None:
        car.powertrain.charge_kwh = charge * car.equipment.usable_kwh
        car.powertrain.plugged_in = plugged_in

    return CarLab(equipment(model, energy), tune=tune, start=local(start))


def report(car_lab: CarLab) -> ChargingStatus:
    found = charge_settings.report(car_lab.car, car_lab.car.levels(car_lab.now))
    assert found is not None
    return found


def percent(car_lab: CarLab) -> float:
    return car_lab.car.levels(car_lab.now).charge_kwh / car_lab.car.equipment.usable_kwh * 100


def state(car_lab: CarLab) -> str:
    return report(car_lab).state


def set_ok(car_lab: CarLab, name: str = "charging_settings", **parameters: Any) -> None:
    assert car_lab.outcome(name, **parameters) == ("succeeded", None)


# --- start and stop


def test_a_stop_ends_charging_until_a_start() -> None:
    """And the status after each tells what flows."""
    born = lab()
    assert state(born) == "charging"
    set_ok(born, "charging", action="stop")
    stopped_at = percent(born)
    assert (state(born), report(born).power_kw, report(born).remaining_min) == ("plugged_in", 0.0, 0)
    born.run_for(12 * HOUR)
    assert percent(born) == stopped_at
    set_ok(born, "charging")
    assert state(born) == "charging"
    last = born.statuses("command")[-1]
    assert last.charging is not None
    assert (last.charging.state, last.charging.power_kw) == ("charging", 11.0)
    assert last.energy is not None


def test_a_start_charges_at_once_outside_the_night_window() -> None:
    born = lab()
    set_ok(born, **NIGHT)
    assert state(born) == "plugged_in"
    set_ok(born, "charging", action="start")
    born.run_for(HOUR)
    assert percent(born) > 60
    born.run_for(12 * HOUR)
    assert percent(born) == 100


def test_what_was_said_for_this_charging_goes_with_the_plug() -> None:
    born = lab()
    set_ok(born, "charging", action="stop")
    born.put(SetPlug(False))
    born.put(SetPlug(True))
    assert state(born) == "charging"


def test_a_start_lasts_to_the_limit_only() -> None:
    """Once it is there, a higher limit waits for the night again."""
    born = lab(0.75)
    set_ok(born, limit_percent=80, **NIGHT)
    set_ok(born, "charging")
    born.run_for(3 * HOUR)
    assert state(born) == "complete"
    set_ok(born, limit_percent=100)
    assert state(born) == "plugged_in"


START_REFUSALS: dict[str, tuple[Callable[[], CarLab], str]] = {
    "not plugged in": (lambda: lab(plugged_in=False), "not_plugged_in"),
    "at the limit": (lambda: lab(1.0), "limit_reached"),
    "no socket": (lambda: CarLab(heater_car()), "not_equipped"),
}


@pytest.mark.parametrize("case", START_REFUSALS)
def test_a_start_is_refused(case: str) -> None:
    make, reason = START_REFUSALS[case]
    assert make().outcome("charging", action="start") == ("rejected", reason)


def test_a_start_at_a_charge_point_without_power_is_refused() -> None:
    born = lab()
    born.put(SetChargePoint(False))
    assert born.outcome("charging") == ("rejected", "charging_error")


def test_a_stop_without_a_plug_does_no_harm() -> None:
    """A stop is never refused for the state of things; what it stops is this charging, and there is none."""
    born = lab(plugged_in=False)
    set_ok(born, "charging", action="stop")
    born.put(SetPlug(True))
    assert state(born) == "charging"


def test_a_second_start_is_busy_and_a_stop_is_not() -> None:
    born = lab()
    born.wake()
    set_ok(born, "charging", action="stop")
    born.command("charging", command_id="first")
    born.command("charging", command_id="second")
    assert [born.responses(each)[-1].state for each in ("first", "second")] == ["in_progress", "rejected"]
    assert born.responses("second")[-1].reason == "busy"
    born.command("charging", command_id="third", action="stop")
    born.run_for(5 * SECOND)
    assert born.responses("third")[-1].state == "succeeded"


# --- settings


@pytest.mark.parametrize("limit", [50, 60, 70, 80, 90, 100])
def test_charging_ends_at_the_limit(limit: int) -> None:
    born = lab(0.4)
    set_ok(born, limit_percent=limit)
    born.run_for(DAY)
    assert percent(born) == pytest.approx(limit)
    assert state(born) == "complete"
    [status] = born.statuses("charging")
    assert status.charging is not None
    assert (status.charging.state, status.charging.limit_percent, status.charging.target_percent) == ("complete", limit, limit)


def test_a_limit_below_the_charge_takes_nothing_out() -> None:
    born = lab(0.75)
    set_ok(born, limit_percent=60)
    charged = percent(born)
    born.run_for(DAY)
    assert percent(born) == charged
    assert state(born) == "complete"


def test_a_higher_limit_goes_on_charging() -> None:
    born = lab(0.75)
    set_ok(born, limit_percent=60)
    set_ok(born, limit_percent=90)
    assert state(born) == "charging"


@pytest.mark.parametrize(
    ("model", "energy", "current_a", "power_kw"),
    [("Leon", "e-hybrid", 6, 1.38), ("Leon", "e-hybrid", 16, 3.6), ("Born", "electric", 6, 4.14), ("Born", "electric", 16, 11.0)],
)
def test_the_current_bounds_the_power(model: str, energy: str, current_a: int, power_kw: float) -> None:
    """By one phase or three; a quarter of the charge takes as long as that power needs."""
    car_lab = lab(0.3, model=model, energy=energy)
    car_lab.wake()
    set_ok(car_lab, max_current_a=current_a)
    told = report(car_lab)
    assert told.max_current_a == current_a
    assert told.power_kw == pytest.approx(power_kw)
    assert told.current_a == pytest.approx(power_kw * 1000 / 230 / (1 if energy == "e-hybrid" else 3), abs=0.01)
    before = car_lab.car.levels(car_lab.now).charge_kwh
    car_lab.run_for(HOUR)
    assert car_lab.car.levels(car_lab.now).charge_kwh - before == pytest.approx(power_kw)


def test_what_is_not_given_stays() -> None:
    born = lab()
    set_ok(born, limit_percent=70, max_current_a=10, **NIGHT)
    set_ok(born, limit_percent=80)
    told = report(born)
    assert (told.limit_percent, told.max_current_a, told.state) == (80, 10, "plugged_in")
    set_ok(born, night_window=False)
    assert state(born) == "charging"


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({}, "argument_out_of_range"),
    ({"limit_percent": 40}, "argument_out_of_range"),
    ({"limit_percent": 110}, "argument_out_of_range"),
    ({"limit_percent": 75}, "argument_out_of_range"),
    ({"max_current_a": 5}, "argument_out_of_range"),
    ({"max_current_a": 17}, "argument_out_of_range"),
    ({"max_current_a": 0}, "argument_out_of_range"),
    ({"night_window": True}, "argument_out_of_range"),
    ({"begins": "22:00"}, "argument_out_of_range"),
    ({"ends": "06:00"}, "argument_out_of_range"),
    ({"begins": "22:00", "ends": "22:00"}, "argument_out_of_range"),
    ({"begins": "24:00", "ends": "06:00"}, "argument_out_of_range"),
    ({"begins": "22:00", "ends": "6:00"}, "argument_out_of_range"),
    ({"begins": "22:00", "ends": "06:00:00"}, "argument_out_of_range"),
    ({"night_window": False, **NIGHT}, "argument_out_of_range"),
    ({"limit_percent": "80"}, "malformed"),
    ({"limit_percent": 80.5}, "malformed"),
    ({"max_current_a": True}, "malformed"),
    ({"night_window": "yes"}, "malformed"),
    ({"begins": 2200, "ends": 600}, "malformed"),
    ({"limit_percent": 80, "power_kw": 3}, "malformed"),
]


@pytest.mark.parametrize(("parameters", "reason"), BAD_SETTINGS)
def test_bad_settings_change_nothing(parameters: dict[str, Any], reason: str) -> None:
    born = lab()
    before = report(born)
    assert born.outcome("charging_settings", **parameters) == ("rejected", reason)
    assert find(born.car, ChargingPreferences) is None
    assert (report(born).target_percent, report(born).state) == (before.target_percent, "charging")


def test_settings_need_a_socket() -> None:
    petrol = CarLab(heater_car())
    assert petrol.outcome("charging_settings", limit_percent=80) == ("rejected", "not_equipped")
    assert petrol.outcome("charging_locations", locations=[]) == ("rejected", "not_equipped")
    assert charge_settings.report(petrol.car, petrol.car.levels(petrol.now)) is None


# --- the night window


def test_charging_waits_for_the_night_and_pauses_at_its_end() -> None:
    """Across midnight; each change is told, and the waiting says until when."""
    tavascan = lab(0.05, model="Tavascan")
    set_ok(tavascan, max_current_a=6, **NIGHT)
    waiting = report(tavascan)
    assert (waiting.state, waiting.starts_at) == ("plugged_in", local("2026-03-04T22:00"))
    charged = percent(tavascan)
    tavascan.run_until(local("2026-03-04T21:59:59"))
    assert percent(tavascan) == charged
    tavascan.run_until(local("2026-03-05T06:00"))
    assert percent(tavascan) == pytest.approx(charged + 8 * 4.14 / 77 * 100, abs=0.01)
    tavascan.run_until(local("2026-03-05T21:59:59"))
    assert percent(tavascan) == pytest.approx(charged + 8 * 4.14 / 77 * 100, abs=0.01)
    told = [(status.captured_at, status.charging.state) for status in tavascan.statuses("charging") if status.charging]
    assert told == [(local("2026-03-04T22:00"), "charging"), (local("2026-03-05T06:00"), "plugged_in")]


def test_the_night_in_which_the_clocks_go_forward_is_an_hour_shorter() -> None:
    tavascan = lab(0.05, model="Tavascan", start="2026-03-28T15:00")
    set_ok(tavascan, max_current_a=6, **NIGHT)
    charged = percent(tavascan)
    tavascan.run_until(local("2026-03-29T12:00"))
    assert percent(tavascan) == pytest.approx(charged + 7 * 4.14 / 77 * 100, abs=0.01)


def test_a_window_set_inside_it_charges_at_once_and_one_set_outside_stops() -> None:
    born = lab(start="2026-03-04T23:30")
    set_ok(born, **NIGHT)
    assert state(born) == "charging"
    set_ok(born, begins="01:00", ends="05:00")
    assert (state(born), report(born).starts_at) == ("plugged_in", local("2026-03-05T01:00"))


# --- locations


def location(name: str = "home", east_m: float = 0.0, **more: Any) -> dict[str, Any]:
    latitude, longitude = offset(*HOME.position, east_m, 0.0)
    return {"name": name, "latitude": latitude, "longitude": longitude, **more}


def test_at_a_location_its_own_settings_count_and_the_general_ones_elsewhere() -> None:
    born = lab(0.5)
    set_ok(born, limit_percent=90)
    set_ok(born, "charging_locations", locations=[location(limit_percent=60, max_current_a=10, **NIGHT)])
    told = report(born)
    assert (told.state, told.target_percent, told.limit_percent, told.max_current_a) == ("plugged_in", 60, 90, 10)
    born.drive(SHOP)
    born.put(SetPlug(True))
    told = report(born)
    assert (told.state, told.target_percent, told.max_current_a) == ("charging", 90, 16)


def test_what_a_location_leaves_open_is_as_anywhere() -> None:
    born = lab(0.5)
    set_ok(born, limit_percent=70, **NIGHT)
    set_ok(born, "charging_locations", locations=[location(max_current_a=8)])
    told = report(born)
    assert (told.state, told.target_percent, told.max_current_a) == ("plugged_in", 70, 8)
    set_ok(born, "charging_locations", locations=[location(night_window=False)])
    assert state(born) == "charging"


def test_the_nearest_of_two_locations_counts_and_one_out_of_reach_does_not() -> None:
    born = lab(0.4)
    near, far = location("near", 40, limit_percent=80), location("far", 90, limit_percent=60)
    set_ok(born, "charging_locations", locations=[far, near])
    assert report(born).target_percent == 80
    set_ok(born, "charging_locations", locations=[location("far", 200, limit_percent=60)])
    assert report(born).target_percent == 100


BAD_LOCATIONS: list[tuple[Any, str]] = [
    ([location(str(n)) for n in range(5)], "argument_out_of_range"),
    ([location(), location()], "argument_out_of_range"),
    ([location(" ")], "argument_out_of_range"),
    ([location("x" * 41)], "argument_out_of_range"),
    ([location(radius_m=0)], "argument_out_of_range"),
    ([location(radius_m=1001)], "argument_out_of_range"),
    ([location() | {"latitude": 91}], "argument_out_of_range"),
    ([location() | {"longitude": math.inf}], "argument_out_of_range"),
    ([location(limit_percent=55)], "argument_out_of_range"),
    ([location(max_current_a=32)], "argument_out_of_range"),
    ([location(begins="22:00")], "argument_out_of_range"),
    ([location(night_window=True)], "argument_out_of_range"),
    ([{"name": "home", "latitude": 48.1}], "malformed"),
    ([location() | {"latitude": "48.1"}], "malformed"),
    ([location(colour="red")], "malformed"),
    ("home", "malformed"),
    (None, "malformed"),
]


@pytest.mark.parametrize(("locations", "reason"), BAD_LOCATIONS)
def test_bad_locations_change_nothing(locations: Any, reason: str) -> None:
    born = lab()
    set_ok(born, "charging_locations", locations=[location(limit_percent=80)])
    assert born.outcome("charging_locations", locations=locations) == ("rejected", reason)
    assert report(born).target_percent == 80


def test_locations_have_to_be_named() -> None:
    assert lab().outcome("charging_locations") == ("rejected", "malformed")


# --- the plug and the charge point


def test_plugging_in_and_out_is_told_and_does_nothing_twice() -> None:
    born = lab(plugged_in=False)
    for plugged_in in (True, True, False, False):
        born.put(SetPlug(plugged_in))
        born.run_for(10 * MINUTE)
    told = [status.charging.state for status in born.statuses("charging") if status.charging]
    assert told == ["charging", "unplugged"]


def test_nobody_plugs_in_a_car_that_runs_or_has_no_socket() -> None:
    born, petrol = lab(plugged_in=False), CarLab(heater_car())
    born.put(SwitchOn())
    for each in (born, petrol):
        each.put(SetPlug(True))
        assert not each.car.powertrain.plugged_in
    born.put(SwitchOff())
    born.put(SetPlug(True))
    assert state(born) == "charging"


def test_a_charge_point_that_fails_is_told_and_goes_on_when_it_works_again() -> None:
    born = lab()
    born.run_for(HOUR)
    charged = percent(born)
    born.put(SetChargePoint(False))
    born.run_for(HOUR)
    assert (state(born), percent(born)) == ("error", charged)
    assert len(born.events("charging_error")) == 1
    born.put(SetChargePoint(True))
    assert state(born) == "charging"
    born.put(SetChargePoint(False))
    born.put(SetPlug(False))
    assert state(born) == "unplugged"
    born.put(SetPlug(True))
    assert state(born) == "charging"


def test_a_full_car_from_which_charge_is_taken_charges_again() -> None:
    born = lab(1.0)
    assert state(born) == "complete"
    born.put(DrainTo(0.6))
    assert state(born) == "charging"


def test_a_reset_forgets_what_a_user_has_set() -> None:
    born = lab()
    set_ok(born, limit_percent=60, **NIGHT)
    set_ok(born, "charging_locations", locations=[location(limit_percent=80)])
    set_ok(born, "departure_timers", timers=[{"at": "07:00", "days": ["thursday"]}])
    hooks.forget(born.car, born.now)
    told = report(born)
    assert (told.state, told.limit_percent, told.target_percent, find(born.car, Departures)) == ("charging", 100, 100, None)


# --- what always holds

DEEDS: list[tuple[str, Any]] = [
    ("put", SetPlug(True)),
    ("put", SetPlug(False)),
    ("put", SetChargePoint(False)),
    ("put", SetChargePoint(True)),
    ("put", DrainTo(0.3)),
    ("charging", {"action": "start"}),
    ("charging", {"action": "stop"}),
    ("charging_settings", {"limit_percent": 60}),
    ("charging_settings", {"limit_percent": 100, "max_current_a": 6}),
    ("charging_settings", {"max_current_a": 16}),
    ("charging_settings", NIGHT),
    ("charging_settings", {"night_window": False}),
    ("charging_locations", {"locations": [location(limit_percent=80)]}),
    ("departure_timers", {"timers": [{"at": "07:00", "days": ["thursday", "friday"]}]}),
    ("departure_timers", {"timers": []}),
]


@given(
    charge=st.floats(0.1, 1.0), story=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(1, 400)), min_size=1, max_size=10)
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_done_charge_comes_by_the_plug_alone_and_by_its_power(
    charge: float, story: list[tuple[tuple[str, Any], int]]
) -> None:
    """Between two events it grows by the power of begin and end times the time, and no higher than the limit."""
    born = lab(charge)
    for (kind, what), minutes in story:
        if kind == "put":
            born.put(what)
        else:
            born.command(kind, ttl=HOUR, **what)
        end = born.now + minutes * MINUTE
        while born.now < end:
            at = born.car.deadline()
            until = min(end, born.now + 7 * MINUTE) if at is None or at > end else max(born.now + 2, at)
            watch_until(born, until - 1)
            born.run_until(until)


def watch_until(born: CarLab, instant: Instant) -> None:
    """Let time pass in which the car does nothing by itself, and hold what its charge becomes against what it tells."""
    begin, begun_at, held_kwh = report(born), born.now, born.car.levels(born.now).charge_kwh
    born.run_until(instant)
    grown_kwh = born.car.levels(instant).charge_kwh - held_kwh
    if begin.state != "charging":
        assert grown_kwh <= 0
        return
    hours = (instant - begun_at) / HOUR
    assert begin.plugged_in
    assert report(born).power_kw * hours - 1e-3 <= grown_kwh <= begin.power_kw * hours + 1e-3
    assert begin.target_percent is not None
    assert percent(born) <= begin.target_percent + 1e-9


# --- the 12 V battery


def test_the_plug_keeps_the_12_v_battery_charged() -> None:
    """A plugged-in car stands for half a year with its 12 V battery full; out of the plug it is as empty as any."""
    standing = lab(1.0)
    standing.run_for(180 * DAY)
    assert standing.car.low_voltage.percent(standing.now) == 100
    assert not standing.events("low_voltage_low")
    standing.put(SetPlug(False))
    standing.run_for(60 * DAY)
    assert len(standing.events("low_voltage_low")) == 1


def test_the_plug_wakes_a_car_from_deep_sleep() -> None:
    """What slept for want of 12 V connects as soon as somebody plugs it in."""
    standing = lab(1.0, plugged_in=False)
    standing.run_for(90 * DAY)
    assert (standing.car.low_voltage.in_deep_sleep, standing.wanted) == (True, False)
    standing.put(SetPlug(True))
    assert (standing.car.low_voltage.in_deep_sleep, standing.wanted) == (False, True)
    standing.run_for(4 * HOUR)
    assert standing.car.low_voltage.percent(standing.now) == 100
