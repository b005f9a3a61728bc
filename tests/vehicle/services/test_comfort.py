"""Departure times of ventilation and heater: by the car's own clock, also when the clocks change; and why one is skipped."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, from_datetime, to_datetime
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.services import heating
from fleet.vehicle.services.comfort import Programmes
from fleet.vehicle.signals import HeaterTimer, SetHeater, SwitchOff, SwitchOn
from tests.vehicle.car_lab import START, CarLab, equipment

OK = ("succeeded", None)
EVERY_DAY = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SATURDAY_NIGHT = from_datetime(datetime(2026, 3, 28, 22, 0, tzinfo=UTC))
"""23 h in Munich, before the clocks are put forward."""
OCTOBER = from_datetime(datetime(2026, 10, 24, 21, 0, tzinfo=UTC))
"""23 h in Munich, before the clocks are put back."""


def airy() -> Equipment:
    return equipment("Leon", "petrol", remote_ventilation=True, parking_heater=True, build_week=202301)


def timed(*timers: dict[str, Any], start: int = START) -> CarLab:
    """Return a car that ventilates before these departures."""
    lab = CarLab(airy(), start=start)
    assert lab.outcome("ventilation_timers", timers=list(timers)) == OK
    return lab


def starts(lab: CarLab, name: str = "ventilation_started") -> list[str]:
    """Return when it was started, in Munich's time."""
    zone = lab.car.driver.region.zone
    return [f"{to_datetime(event.captured_at).astimezone(zone):%Y-%m-%d %H:%M}" for event in lab.events(name)]


def test_it_runs_before_the_departure_and_is_over_when_it_comes() -> None:
    """On its days alone; it says who started it, and for how long."""
    lab = timed({"at": "07:30", "days": ["monday", "wednesday"], "minutes": 20})
    lab.run_for(7 * DAY - 2 * HOUR)
    assert starts(lab) == ["2026-03-02 07:10", "2026-03-04 07:10"]
    assert lab.events("ventilation_started")[0].data == {"by": "timer", "mode": "ventilation", "minutes": 20}
    assert [event.data["reason"] for event in lab.events("ventilation_ended")] == ["time", "time"]
    assert lab.events("ventilation_ended")[0].captured_at == from_datetime(datetime(2026, 3, 2, 6, 30, tzinfo=UTC))


def test_a_date_is_for_once() -> None:
    lab = timed({"at": "07:30", "date": "2026-03-03"})
    lab.run_for(20 * DAY)
    assert starts(lab) == ["2026-03-03 07:00"]


def test_a_departure_just_after_midnight_starts_the_day_before() -> None:
    lab = timed({"at": "00:10", "days": ["tuesday"], "minutes": 60})
    lab.run_for(3 * DAY)
    assert starts(lab) == ["2026-03-02 23:10"]


def test_when_the_clocks_are_put_forward() -> None:
    """Sunday 2:30 does not exist and is due at the jump, 3:00; minutes before it are real ones; a day later it is on time."""
    lab = timed({"at": "02:30", "days": EVERY_DAY, "minutes": 30}, start=SATURDAY_NIGHT)
    lab.run_for(2 * DAY)
    assert starts(lab) == ["2026-03-29 01:30", "2026-03-30 02:00"]
    jump = from_datetime(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
    assert lab.events("ventilation_ended")[0].captured_at == jump


def test_when_the_clocks_are_put_back() -> None:
    """Sunday 2:30 comes twice and is due the first time, once."""
    lab = timed({"at": "02:30", "days": EVERY_DAY, "minutes": 30}, start=OCTOBER)
    lab.run_for(2 * DAY)
    assert len(starts(lab)) == 2
    assert lab.events("ventilation_ended")[0].captured_at == from_datetime(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))


def test_three_departures_and_a_timer_that_is_off() -> None:
    lab = timed(
        {"at": "07:00", "days": ["tuesday"]},
        {"at": "12:00", "days": ["tuesday"], "enabled": False},
        {"at": "18:00", "days": ["tuesday"], "minutes": 10},
    )
    lab.run_for(2 * DAY)
    assert starts(lab) == ["2026-03-03 06:30", "2026-03-03 17:50"]


def test_two_departures_that_start_together_are_one() -> None:
    """The longer one counts."""
    lab = timed({"at": "07:00", "days": ["tuesday"], "minutes": 20}, {"at": "07:20", "days": ["tuesday"], "minutes": 40})
    lab.run_for(2 * DAY)
    assert [event.data["minutes"] for event in lab.events("ventilation_started")] == [40]


def test_a_new_list_replaces_the_old_one() -> None:
    """What was planned by the old one does not happen; an empty list ends it all."""
    lab = timed({"at": "12:00", "days": EVERY_DAY})
    assert lab.outcome("ventilation_timers", timers=[{"at": "15:00", "days": EVERY_DAY}]) == OK
    lab.run_for(12 * HOUR)
    assert starts(lab) == ["2026-03-02 14:30"]
    assert lab.outcome("ventilation_timers", timers=[]) == OK
    assert find(lab.car, Programmes) is None
    lab.run_for(3 * DAY)
    assert len(starts(lab)) == 1


def test_a_list_that_is_refused_leaves_the_old_one() -> None:
    lab = timed({"at": "12:00", "days": EVERY_DAY})
    before = find(lab.car, Programmes)
    assert lab.outcome("ventilation_timers", timers=[{"at": "25:00", "days": EVERY_DAY}]) == ("rejected", "argument_out_of_range")
    assert find(lab.car, Programmes) is before


@pytest.mark.parametrize("why", ["engine_running", "battery_low", "heater_running"])
def test_what_cannot_be_is_skipped_and_told(why: str) -> None:
    """With the reason that a user would get; the next day it is tried again."""
    lab = timed({"at": "12:00", "days": EVERY_DAY})
    match why:
        case "engine_running":
            lab.put(SwitchOn())
        case "battery_low":
            lab.car.low_voltage.charge_ah = 0.49 * lab.car.low_voltage.capacity_ah
        case _:
            lab.run_until(from_datetime(datetime(2026, 3, 2, 10, 15, tzinfo=UTC)))
            assert lab.outcome("heater", minutes=60) == OK
    lab.run_until(from_datetime(datetime(2026, 3, 2, 11, 0, tzinfo=UTC)))
    assert [event.data for event in lab.events("timer_skipped")] == [{"service": "ventilation", "reason": why}]
    lab.put(SwitchOff())
    lab.run_for(DAY)
    assert len(starts(lab)) == (why != "battery_low")


def test_they_do_not_count_as_waking() -> None:
    """The car's own clock wakes it: the power budget is for those who wake it from afar."""
    lab = timed({"at": "12:00", "days": EVERY_DAY, "minutes": 10})
    wake_ups = lab.car.remote.wake_ups
    lab.run_for(10 * DAY)
    assert len(starts(lab)) == 10
    assert lab.car.remote.wake_ups == wake_ups


# --- the heater, set in the car

AT_SEVEN = (HeaterTimer(at="07:00", days=("tuesday",)),)


@pytest.mark.parametrize(
    ("model", "week", "possible"),
    [
        ("Ateca", 202040, True),
        ("Leon", 202048, False),
        ("Leon", 202049, True),
        ("Formentor", 202048, False),
        ("Formentor", 202101, True),
    ],
)
def test_who_can_set_the_heater_in_the_car(model: str, week: int, *, possible: bool) -> None:
    """Ateca; Leon and Formentor built after week 48/2020."""
    lab = CarLab(equipment(model, "petrol", parking_heater=True, build_week=week))
    lab.put(SetHeater(minutes=40, timers=AT_SEVEN))
    lab.run_for(2 * DAY)
    assert starts(lab, "heater_started") == ["2026-03-03 06:20"] * possible
    assert [event.data["minutes"] for event in lab.events("heater_ended")] == [40.0] * possible


def test_without_a_heater_there_is_nothing_to_set() -> None:
    for fitted in (equipment("Ateca", "petrol", parking_heater=False), equipment("Born", "electric")):
        lab = CarLab(fitted)
        lab.put(SetHeater(minutes=40, timers=AT_SEVEN))
        assert find(lab.car, Programmes) is None


@pytest.mark.parametrize(
    "wrong",
    [
        SetHeater(minutes=35, timers=AT_SEVEN),
        SetHeater(minutes=70, timers=AT_SEVEN),
        SetHeater(minutes=30, timers=AT_SEVEN * 4),
        SetHeater(minutes=30, timers=(HeaterTimer(at="7 h", days=("tuesday",)),)),
        SetHeater(minutes=30, timers=(HeaterTimer(at="07:00"),)),
    ],
)
def test_what_the_menu_does_not_offer_changes_nothing(wrong: SetHeater) -> None:
    lab = CarLab(airy())
    lab.put(SetHeater(minutes=20, timers=AT_SEVEN))
    before = find(lab.car, Programmes)
    lab.put(wrong)
    assert find(lab.car, Programmes) is before


def test_heater_and_ventilation_keep_their_own_timers() -> None:
    """Where both are due, the first keeps the other out; fuel at the reserve skips the heater."""
    lab = timed({"at": "07:10", "days": ["tuesday"], "minutes": 60})
    lab.put(SetHeater(minutes=30, timers=(*AT_SEVEN, HeaterTimer(at="09:00", days=("tuesday",)))))
    lab.run_until(from_datetime(datetime(2026, 3, 3, 7, 0, tzinfo=UTC)))
    lab.car.powertrain.fuel_l = lab.car.equipment.reserve_l
    lab.run_for(DAY)
    assert [event.data for event in lab.events("timer_skipped")] == [
        {"service": "heater", "reason": "ventilation_running"},
        {"service": "heater", "reason": "fuel_low"},
    ]
    assert starts(lab) == ["2026-03-03 06:10"]


def test_a_date_in_the_car() -> None:
    lab = CarLab(airy())
    lab.put(SetHeater(minutes=30, timers=(HeaterTimer(at="07:00", date="2026-03-03"),)))
    assert find(lab.car, Programmes) is not None
    [departure] = obtain(lab.car, Programmes)["heater"].departures
    assert departure.timer.on_date == date(2026, 3, 3)
    assert departure.minutes == 30
    assert heating.hindrance(lab.car, lab.now) is None
    lab.run_for(3 * DAY)
    [ended] = lab.events("heater_ended")
    assert (ended.data["mode"], ended.data["fuel_l"]) == ("heating", 0.2)
    assert ended.captured_at - lab.events("heater_started")[0].captured_at == 30 * MINUTE
