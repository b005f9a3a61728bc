"""Departure times: charged late enough to use the night and early enough to be ready, warm, and told either way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, Instant, from_datetime
from fleet.vehicle.car import Car
from fleet.vehicle.kept import find
from fleet.vehicle.regions import region
from fleet.vehicle.services import cabin, charge_settings
from fleet.vehicle.services.charging import READY_AHEAD
from fleet.vehicle.services.departure_times import Departures
from fleet.vehicle.services.departures import LEAD
from fleet.vehicle.signals import SetChargePoint, SetPlug, SwitchOff, SwitchOn
from fleet.wire.messages import Event
from tests.vehicle.car_lab import WORK, CarLab, driver, equipment, heater_car

MUNICH = region("munich").zone
EVERY_DAY = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def local(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=MUNICH))


def lab(charge: float = 0.5, *, plugged_in: bool = True, model: str = "Born", start: str = "2026-03-04T15:00") -> CarLab:
    """Return a car with 77 kWh, or an e-Hybrid, that has stood at home for hours."""

    def tune(car: Car) -> None:
        car.powertrain.charge_kwh = charge * car.equipment.usable_kwh
        car.powertrain.plugged_in = plugged_in

    fitted = equipment("Leon", "e-hybrid") if model == "Leon" else equipment("Born", "electric", battery_kwh=77, usable_kwh=77)
    return CarLab(fitted, tune=tune, start=local(start))


def depart(car_lab: CarLab, *times: str, **more: Any) -> None:
    timers = [{"at": at, **(more or {"days": EVERY_DAY})} for at in times]
    assert car_lab.outcome("departure_timers", timers=timers) == ("succeeded", None)


def night(car_lab: CarLab, begins: str, ends: str) -> None:
    assert car_lab.outcome("charging_settings", begins=begins, ends=ends) == ("succeeded", None)


def told(car_lab: CarLab) -> list[tuple[str, Any]]:
    """Return what was told of departures, and the reason or the charge."""
    names = {"departure_ready": "charge_percent", "departure_not_ready": "reason"}
    return [(event.name, event.data[names[event.name]]) for event in car_lab.events() if event.name in names]


def last(car_lab: CarLab, name: str) -> Event:
    return car_lab.events(name)[-1]


def climatised(car_lab: CarLab) -> bool:
    return car_lab.car.comfort is not None and car_lab.car.comfort.service == "climatisation"


def charging_spells(car_lab: CarLab) -> list[tuple[Instant, str]]:
    return [(status.captured_at, status.charging.state) for status in car_lab.statuses("charging") if status.charging]


# --- when it charges


def test_the_night_is_used_when_it_is_long_enough() -> None:
    born = lab(0.8)
    night(born, "23:00", "05:00")
    depart(born, "07:30")
    born.run_until(local("2026-03-05T07:30"))
    assert charging_spells(born)[0] == (local("2026-03-04T23:00"), "charging")
    assert told(born) == [("departure_ready", 100.0)]
    ready = last(born, "departure_ready")
    assert ready.captured_at == ready.data["departs_at"] == local("2026-03-05T07:30")


def test_what_the_night_is_too_short_for_is_charged_as_late_as_it_may_be() -> None:
    """In the night all that goes in, then the rest just before the departure: ready by a margin, at the limit."""
    born = lab(0.2)
    night(born, "00:00", "03:00")
    depart(born, "09:00")
    born.run_until(local("2026-03-05T09:00"))
    (first, on), (second, off), (third, again), (fourth, complete) = charging_spells(born)
    assert (on, off, again, complete) == ("charging", "plugged_in", "charging", "complete")
    assert (first, second) == (local("2026-03-05T00:00"), local("2026-03-05T03:00"))
    assert fourth == pytest.approx(local("2026-03-05T09:00") - READY_AHEAD, abs=MINUTE)
    assert second < third < fourth
    assert told(born) == [("departure_ready", 100.0)]


def test_charging_begins_before_the_night_when_the_whole_night_is_not_enough() -> None:
    born = lab(0.1)
    night(born, "04:00", "06:00")
    depart(born, "06:00")
    waits_until = charge_settings.report(born.car, born.car.levels(born.now))
    assert waits_until is not None
    assert waits_until.starts_at is not None
    assert waits_until.starts_at < local("2026-03-05T00:00")
    born.run_until(local("2026-03-05T06:00"))
    assert charging_spells(born)[0] == (waits_until.starts_at, "charging")
    assert len(charging_spells(born)) == 2
    assert told(born) == [("departure_ready", 100.0)]


def test_without_a_night_window_it_charges_at_once() -> None:
    born = lab(0.5)
    depart(born, "07:00")
    assert born.car.powertrain.charging is not None


def test_the_limit_is_enough() -> None:
    born = lab(0.2)
    assert born.outcome("charging_settings", limit_percent=60, begins="01:00", ends="01:10") == ("succeeded", None)
    depart(born, "08:00")
    born.run_until(local("2026-03-05T08:00"))
    assert told(born) == [("departure_ready", 60.0)]


def test_an_e_hybrid_does_as_well() -> None:
    leon = lab(0.3, model="Leon")
    night(leon, "02:00", "04:00")
    depart(leon, "06:30")
    leon.run_until(local("2026-03-05T06:30"))
    assert told(leon) == [("departure_ready", 100.0)]


# --- the cabin


def test_the_cabin_is_warm_when_one_sets_off_and_not_before_the_lead() -> None:
    born = lab(1.0)
    depart(born, "07:00")
    born.run_until(local("2026-03-05T07:00") - LEAD - 1)
    assert not climatised(born)
    born.run_for(1)
    assert climatised(born)
    assert born.car.is_awake(born.now)
    cold_c = cabin.inside_c(born.car, born.now)
    born.run_until(local("2026-03-05T07:00"))
    assert cold_c < 10
    assert cabin.inside_c(born.car, born.now) == pytest.approx(21, abs=1)


def test_a_full_car_without_a_plug_is_ready_although_warming_it_takes_charge() -> None:
    born = lab(1.0, plugged_in=False)
    depart(born, "07:00")
    born.run_until(local("2026-03-05T07:00"))
    [(name, charge)] = told(born)
    assert name == "departure_ready"
    assert 97 < charge < 100


# --- what keeps it from being ready


def test_not_plugged_in_is_told_ahead() -> None:
    """Early enough to do something about it, and once."""
    born = lab(0.5, plugged_in=False)
    depart(born, "07:00")
    born.run_until(local("2026-03-05T07:00"))
    assert told(born) == [("departure_not_ready", "not_plugged_in")]
    event = last(born, "departure_not_ready")
    assert event.captured_at == local("2026-03-05T07:00") - LEAD
    assert (event.data["departs_at"], event.data["charge_percent"]) == (local("2026-03-05T07:00"), 50.0)


def test_a_charge_point_without_power_is_the_reason() -> None:
    born = lab(0.5)
    depart(born, "23:00")
    born.put(SetChargePoint(False))
    born.run_until(local("2026-03-05T00:00"))
    assert told(born) == [("departure_not_ready", "charging_error")]


def test_charging_that_was_stopped_is_the_reason() -> None:
    born = lab(0.5)
    depart(born, "23:00")
    assert born.outcome("charging", action="stop") == ("succeeded", None)
    born.run_until(local("2026-03-05T00:00"))
    assert told(born) == [("departure_not_ready", "charging_stopped")]


def test_too_little_time_is_the_reason() -> None:
    born = lab(0.1)
    depart(born, "17:00")
    born.run_until(local("2026-03-04T17:00"))
    assert told(born) == [("departure_not_ready", "too_late")]
    assert last(born, "departure_not_ready").captured_at == local("2026-03-04T17:00") - LEAD


def test_who_pulls_the_plug_in_the_last_minutes_is_told_at_the_departure() -> None:
    born = lab(0.5)
    assert born.outcome("charging_settings", limit_percent=60) == ("succeeded", None)
    depart(born, "16:00")
    born.run_until(local("2026-03-04T15:41"))
    born.put(SetPlug(False))
    born.run_until(local("2026-03-04T16:30"))
    assert told(born) == [("departure_not_ready", "not_plugged_in")]


def test_an_empty_battery_without_a_plug_cannot_warm_the_cabin_either() -> None:
    """Charged to its limit of 50 % is ready; what keeps it from being warm is the 12 V battery here."""
    born = lab(1.0, plugged_in=False)
    depart(born, "07:00")
    born.run_until(local("2026-03-05T06:00"))
    born.car.low_voltage.drain(0.45, born.now)
    born.run_until(local("2026-03-05T07:00"))
    assert told(born) == [("departure_not_ready", "battery_low")]


def test_who_has_driven_off_is_told_nothing() -> None:
    """Before the car wakes, or between that and the departure."""
    for at in ("06:30", "06:50"):
        born = lab(1.0)
        depart(born, "07:00")
        born.run_until(local(f"2026-03-05T{at}"))
        born.put(SwitchOn())
        born.run_until(local("2026-03-05T07:30"))
        born.put(SwitchOff())
        assert told(born) == []


# --- the timers


def test_the_next_of_three_timers_counts_day_after_day() -> None:
    born = lab(1.0)
    timers = [
        {"at": "06:00", "days": ["thursday", "saturday"]},
        {"at": "08:30", "date": "2026-03-05"},
        {"at": "07:00", "days": EVERY_DAY, "enabled": False},
    ]
    assert born.outcome("departure_timers", timers=timers) == ("succeeded", None)
    born.run_for(4 * DAY)
    times = [event.data["departs_at"] for event in born.events("departure_ready")]
    assert times == [local("2026-03-05T06:00"), local("2026-03-05T08:30"), local("2026-03-07T06:00")]


def test_the_local_time_holds_when_the_clocks_change() -> None:
    born = lab(1.0, start="2026-03-28T12:00")
    depart(born, "02:30", "07:00")
    born.run_until(local("2026-03-29T12:00"))
    times = [event.data["departs_at"] for event in born.events("departure_ready")]
    assert times == [local("2026-03-29T03:00"), local("2026-03-29T07:00")]
    assert times[1] - times[0] == 4 * HOUR


def test_new_timers_take_the_place_of_old_ones() -> None:
    born = lab(1.0)
    depart(born, "06:00")
    depart(born, "09:00")
    born.run_until(local("2026-03-05T12:00"))
    assert [event.data["departs_at"] for event in born.events("departure_ready")] == [local("2026-03-05T09:00")]
    assert born.outcome("departure_timers", timers=[]) == ("succeeded", None)
    born.run_for(2 * DAY)
    assert len(told(born)) == 1


def test_the_driver_comes_and_goes_and_the_timer_stays() -> None:
    """A commuter's car that is away when the time comes says nothing; at home it does."""

    def tune(car: Car) -> None:
        car.powertrain.plugged_in = True

    commuter = CarLab(equipment("Born", "electric"), driver("commuter", work=WORK), tune=tune)
    depart(commuter, "05:30")
    commuter.run_for(5 * DAY)
    assert len(told(commuter)) == 5


BAD: list[tuple[dict[str, Any], str]] = [
    ({"timers": [{"at": "07:00", "days": EVERY_DAY}] * 4}, "argument_out_of_range"),
    ({"timers": [{"at": "24:00", "days": EVERY_DAY}]}, "argument_out_of_range"),
    ({"timers": [{"at": "7:00", "days": EVERY_DAY}]}, "argument_out_of_range"),
    ({"timers": [{"at": "07:00"}]}, "argument_out_of_range"),
    ({"timers": [{"at": "07:00", "days": ["monday"], "date": "2026-03-09"}]}, "argument_out_of_range"),
    ({"timers": [{"at": "07:00", "date": "2026-02-29"}]}, "argument_out_of_range"),
    ({"timers": [{"at": "07:00", "date": "tomorrow"}]}, "argument_out_of_range"),
    ({"timers": [{"at": "07:00", "days": ["monday"] * 8}]}, "argument_out_of_range"),
    ({"timers": [{"at": "07:00", "days": ["holiday"]}]}, "malformed"),
    ({"timers": [{"at": 700, "days": EVERY_DAY}]}, "malformed"),
    ({"timers": [{"days": EVERY_DAY}]}, "malformed"),
    ({"timers": [{"at": "07:00", "days": EVERY_DAY, "target_c": 22}]}, "malformed"),
    ({"timers": "07:00"}, "malformed"),
    ({}, "malformed"),
]


@pytest.mark.parametrize(("parameters", "reason"), BAD)
def test_bad_timers_change_nothing(parameters: dict[str, Any], reason: str) -> None:
    born = lab(1.0)
    depart(born, "06:00")
    before = find(born.car, Departures)
    assert born.outcome("departure_timers", **parameters) == ("rejected", reason)
    assert find(born.car, Departures) is before


def test_a_car_without_a_socket_has_no_departure_times() -> None:
    petrol = CarLab(heater_car())
    assert petrol.outcome("departure_timers", timers=[]) == ("rejected", "not_equipped")
