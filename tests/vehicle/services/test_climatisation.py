"""Ventilation, climatisation and what heater and ventilation have to do with each other: rules, ends, and what they use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.kernel.instants import HOUR, MINUTE, SECOND, from_datetime
from fleet.vehicle.car import Car
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.kept import find
from fleet.vehicle.low_voltage import AWAKE_A, BLOWER_A, LOW_PERCENT
from fleet.vehicle.rules import WAKE_UPS_WITHOUT_DRIVE
from fleet.vehicle.services import cabin, climatisation, comfort
from fleet.vehicle.services.climatisation import COOLS_KW, HEATS_KW, LEAST_CHARGE, RUN, WINDOWS_KW
from fleet.vehicle.services.comfort import Programmes
from fleet.vehicle.services.heating import chosen_mode
from fleet.vehicle.signals import DriveTo, SetNetwork, SwitchOff, SwitchOn
from tests.vehicle.car_lab import NOON_IN_JULY, SHOP, START, CarLab, equipment

OK = ("succeeded", None)
FROST = from_datetime(datetime(2026, 1, 14, 4, 0, tzinfo=UTC))
SPRING_SUN = from_datetime(datetime(2026, 4, 16, 12, 0, tzinfo=UTC))


def airy(**overrides: Any) -> Equipment:
    return equipment("Leon", "petrol", remote_ventilation=True, **overrides)


def both() -> Equipment:
    """Return equipment with heater and ventilation."""
    return airy(parking_heater=True)


def electric(charge: float = 0.8, *, plugged_in: bool = False, start: int = FROST, **overrides: Any) -> CarLab:
    def tune(car: Car) -> None:
        car.powertrain.charge_kwh = charge * car.equipment.usable_kwh
        car.powertrain.plugged_in = plugged_in

    return CarLab(equipment("Born", "electric", **overrides), start=start, tune=tune)


def charge_kwh(lab: CarLab) -> float:
    return lab.car.levels(lab.now).charge_kwh


def weaken(lab: CarLab, percent: float = 45.0) -> None:
    lab.car.low_voltage.drain(percent / 100, lab.now)


def wear_out(lab: CarLab) -> None:
    lab.car.remote.wake_ups = WAKE_UPS_WITHOUT_DRIVE + 1


def settle(lab: CarLab) -> None:
    """Let the car say what was done to it by hand."""
    lab.put(SetNetwork(works=True))


def start_engine(lab: CarLab) -> None:
    lab.put(SwitchOn())


def drive(lab: CarLab) -> None:
    lab.put(DriveTo(SHOP))
    lab.run_for(MINUTE)


# --- what is refused, and why

TIMER = {"at": "06:30", "days": ["monday"]}
BAD_TIMERS: list[dict[str, Any]] = [
    {"at": "24:00"}, {"at": "6:30"}, {"at": "06:60"}, {"at": "06:30:00"}, {"at": ""}, {"minutes": 15}, {"minutes": 0},
    {"date": "2026-03-02"}, {"days": []}, {"days": [], "date": "2026-02-30"}, {"days": [], "date": "2.3.2026"},
]  # fmt: skip
Before = Callable[[CarLab], object] | None
Case = tuple[str, dict[str, Any], Before, str]
CASES: list[Case] = [
    *[("ventilation", {"minutes": minutes}, None, "argument_out_of_range") for minutes in (0, 5, 15, 70, -10)],
    *[
        ("ventilation", given, None, "malformed")
        for given in ({"minutes": "ten"}, {"minutes": 10.5}, {"hours": 1}, {"action": "go"})
    ],
    ("ventilation", {}, start_engine, "engine_running"),
    ("ventilation", {}, drive, "not_parked"),
    ("ventilation", {}, weaken, "battery_low"),
    ("ventilation", {}, wear_out, "power_budget"),
    ("ventilation", {}, lambda lab: lab.outcome("heater", minutes=60), "heater_running"),
    ("heater", {}, lambda lab: lab.outcome("ventilation", minutes=60), "ventilation_running"),
    ("ventilation_timers", {"timers": [TIMER] * 4}, None, "argument_out_of_range"),
    *[
        ("ventilation_timers", {"timers": [{**TIMER, **given}]}, None, "argument_out_of_range")
        for given in BAD_TIMERS
    ],
    *[
        ("ventilation_timers", given, None, "malformed")
        for given in ({}, {"timers": TIMER}, {"timers": [{"days": ["monday"]}]}, {"timers": [{**TIMER, "days": ["mon"]}]},
                      {"timers": [{**TIMER, "hour": 6}]}, {"timers": [{**TIMER, "enabled": "no"}]})
    ],
    ("ventilation_timers", {"timers": [TIMER]}, start_engine, "engine_running"),
    ("ventilation_timers", {"timers": [TIMER]}, wear_out, "power_budget"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "before", "reason"), CASES)
def test_air_is_refused(name: str, given: dict[str, Any], before: Before, reason: str) -> None:
    """Each with its reason, and it changes nothing."""
    lab = CarLab(both(), start=FROST)
    if before is not None:
        before(lab)
    running, programmes = lab.car.comfort, find(lab.car, Programmes)
    assert lab.outcome(name, **given) == ("rejected", reason)
    assert (lab.car.comfort, find(lab.car, Programmes)) == (running, programmes)


@pytest.mark.parametrize("name", ["ventilation", "ventilation_timers"])
@pytest.mark.parametrize(
    "fitted",
    [
        equipment("Leon", "petrol", remote_ventilation=False),
        equipment("Formentor", "petrol", battery_12v_ah=59, battery_12v_a=320),
        equipment("Leon", "e-hybrid"),
        equipment("Born", "electric"),
    ],
    ids=["without", "small battery", "e-hybrid", "electric"],
)
def test_no_ventilation_there(name: str, fitted: Equipment) -> None:
    """A Formentor has it with one of two batteries only; cars with climatisation have none."""
    given: dict[str, Any] = {"timers": []} if name == "ventilation_timers" else {}
    assert CarLab(fitted).outcome(name, **given) == ("rejected", "not_equipped")


CLIMATE_CASES: list[Case] = [
    *[
        ("climatisation", {"target_c": target_c}, None, "argument_out_of_range")
        for target_c in (15.5, 30, 21.3, -1, 1e9, float("nan"), float("inf"))
    ],
    *[
        ("climatisation", given, None, "malformed")
        for given in ({"target_c": "warm"}, {"window_heating": 1}, {"minutes": 10}, {"action": "off"}, {"target_c": None})
    ],
    ("climatisation", {}, start_engine, "engine_running"),
    ("climatisation", {}, drive, "not_parked"),
    ("climatisation", {}, weaken, "battery_low"),
    ("climatisation", {}, wear_out, "power_budget"),
    ("climatisation", {"window_heating": True}, None, "not_equipped"),
]


@pytest.mark.parametrize(("name", "given", "before", "reason"), CLIMATE_CASES)
def test_climatisation_is_refused(name: str, given: dict[str, Any], before: Before, reason: str) -> None:
    """Each with its reason, and it changes nothing."""
    lab = electric(window_heating=False)
    if before is not None:
        before(lab)
    assert lab.outcome(name, **given) == ("rejected", reason)
    assert lab.car.comfort is None
    assert lab.events("climatisation_ended") == []


@pytest.mark.parametrize(
    ("charge", "plugged_in", "outcome"),
    [(LEAST_CHARGE - 0.01, False, ("rejected", "battery_low")), (LEAST_CHARGE + 0.01, False, OK), (0.05, True, OK)],
)
def test_it_needs_charge_or_a_plug(charge: float, plugged_in: bool, outcome: tuple[str, str | None]) -> None:
    assert electric(charge, plugged_in=plugged_in).outcome("climatisation") == outcome


@pytest.mark.parametrize("fitted", [equipment("Leon", "petrol"), both()], ids=["plain", "with a heater"])
def test_climatisation_is_for_cars_with_a_plug(fitted: Equipment) -> None:
    assert CarLab(fitted).outcome("climatisation") == ("rejected", "not_equipped")


@pytest.mark.parametrize(("model", "energy"), [("Leon", "e-hybrid"), ("Formentor", "e-hybrid"), ("Tavascan", "electric")])
def test_every_car_with_a_plug_has_it(model: str, energy: str) -> None:
    lab = CarLab(equipment(model, energy), tune=lambda car: setattr(car.powertrain, "charge_kwh", 10.0))
    lab.car.powertrain.plugged_in = True
    assert lab.outcome("climatisation") == OK


# --- how they end


def running(name: str) -> CarLab:
    """Return a car in which the service was just started, for 30 min or, as climatisation, its own time."""
    lab = electric() if name == "climatisation" else CarLab(both(), start=FROST)
    assert lab.outcome(name) == OK
    assert comfort.runs(lab.car, name)  # type: ignore[arg-type]
    return lab


SERVICES = ("heater", "ventilation", "climatisation")


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("reason", ["time", "stopped", "restarted", "engine_start", "battery_low"])
def test_every_way_each_of_them_ends(name: str, reason: str) -> None:
    """Told once, with the minutes it ran; then nothing is used any more, and the status says off."""
    lab = running(name)
    began = lab.car.comfort.started_at  # type: ignore[union-attr]
    lab.run_until(began + 5 * MINUTE)
    match reason:
        case "stopped":
            lab.outcome(name, action="stop")
        case "restarted":
            lab.outcome(name)
        case "engine_start":
            lab.put(SwitchOn())
        case "battery_low":
            weaken(lab, LOW_PERCENT + 0.001)
            settle(lab)
            lab.run_for(10 * MINUTE)
            assert [event.name for event in lab.events()[-2:]] == ["low_voltage_low", f"{name}_ended"]
    lab.run_for(2 * HOUR)
    reasons = [event.data["reason"] for event in lab.events(f"{name}_ended")]
    assert reasons == [reason, "time"][: 1 + (reason == "restarted")]
    ended = lab.events(f"{name}_ended")[0]
    assert ended.data["minutes"] == pytest.approx((ended.captured_at - began) / MINUTE, abs=0.01)
    assert lab.statuses(name)[-1].climate.state == "off"  # type: ignore[union-attr]
    assert lab.car.comfort is None
    assert lab.car.low_voltage.comfort_a == 0
    before = lab.car.levels(lab.now)
    lab.run_for(HOUR)
    after = lab.car.levels(lab.now)
    assert (after.fuel_l, after.charge_kwh) == (before.fuel_l, before.charge_kwh)


@pytest.mark.parametrize("name", SERVICES)
def test_a_stop_is_always_possible(name: str) -> None:
    """With nothing to stop, and while driving."""
    lab = electric() if name == "climatisation" else CarLab(both())
    assert lab.outcome(name, action="stop") == OK
    lab.put(DriveTo(SHOP))
    lab.run_for(MINUTE)
    assert lab.outcome(name, action="stop", wait=2 * SECOND) == OK
    assert lab.events(f"{name}_ended") == []


def test_a_stop_leaves_the_other_service_alone() -> None:
    lab = running("ventilation")
    assert lab.outcome("heater", action="stop") == OK
    assert comfort.runs(lab.car, "ventilation")


def test_who_comes_second_while_both_start_has_failed() -> None:
    """A start that waits for its actuator while the other service gets there first."""
    lab = CarLab(both(), start=FROST)
    lab.wake()
    heater, air = lab.command("heater"), lab.command("ventilation")
    lab.run_for(10 * SECOND)
    assert lab.states(air)[-1] == "succeeded"
    assert (lab.responses(heater)[-1].state, lab.responses(heater)[-1].reason) == ("failed", "ventilation_running")
    assert comfort.runs(lab.car, "ventilation")


# --- what they do to the cabin and take


@pytest.mark.parametrize("start", [FROST, NOON_IN_JULY])
def test_ventilation_brings_outside_air_in(start: int) -> None:
    """Of a car in the sun, or one that was driven warm; it takes 12 V alone."""
    lab = CarLab(airy(), start=start)
    lab.put(SwitchOn())
    lab.put(SwitchOff(), lab.now + 30 * MINUTE)
    lab.run_for(10 * MINUTE)
    fuel_l = lab.car.levels(lab.now).fuel_l
    far_c = abs(cabin.inside_c(lab.car, lab.now) - cabin.outside_c(lab.car, lab.now))
    assert lab.outcome("ventilation", minutes=60) == OK
    lab.run_for(50 * MINUTE)
    assert abs(cabin.inside_c(lab.car, lab.now) - cabin.outside_c(lab.car, lab.now)) < min(2.0, far_c)
    assert lab.car.levels(lab.now).fuel_l == fuel_l


def test_ventilation_takes_from_the_12_v_battery() -> None:
    """The blower's amperes for as long as it runs, beside what the car needs awake and asleep."""
    lab = CarLab(airy(), start=FROST)
    lab.wake()
    lab.command("ventilation", minutes=60)
    lab.run_for(MINUTE)
    before_ah = lab.car.low_voltage.charge_at(lab.now)
    lab.run_for(30 * MINUTE)
    assert before_ah - lab.car.low_voltage.charge_at(lab.now) == pytest.approx(0.5 * BLOWER_A, abs=0.06 * AWAKE_A)


@pytest.mark.parametrize(
    ("model", "start", "mode"),
    [("Leon", FROST, "heating"), ("Leon", SPRING_SUN, "ventilation"), ("Formentor", SPRING_SUN, "ventilation"),
     ("Ateca", SPRING_SUN, "heating"), ("Leon", NOON_IN_JULY, "ventilation")],
)  # fmt: skip
def test_the_heater_chooses_by_outside_and_inside(model: str, start: int, mode: str) -> None:
    """In spring it is cool outside and warm in the car: there is nothing to heat."""
    lab = CarLab(equipment(model, "petrol", parking_heater=True), start=start)
    if start == SPRING_SUN:
        assert cabin.outside_c(lab.car, start) < 15
        assert cabin.inside_c(lab.car, start) > cabin.COMFORT_C
    assert chosen_mode(lab.car, start) == mode


def test_the_heater_warms_to_comfort_and_no_further() -> None:
    lab = running("heater")
    cold_c = cabin.inside_c(lab.car, lab.car.comfort.started_at)  # type: ignore[union-attr]
    lab.outcome("heater", minutes=60)
    lab.run_for(10 * MINUTE)
    assert cold_c + 5 < cabin.inside_c(lab.car, lab.now) < cabin.COMFORT_C
    lab.run_for(40 * MINUTE)
    assert cabin.inside_c(lab.car, lab.now) == pytest.approx(cabin.COMFORT_C)


@pytest.mark.parametrize(("start", "target_c", "full_kw"), [(FROST, 24.0, HEATS_KW), (NOON_IN_JULY, 27.0, COOLS_KW)])
def test_climatisation_reaches_its_target_and_holds_it(start: int, target_c: float, full_kw: float) -> None:
    """It says when; until then it takes all it can, afterwards less; what it took is what the battery lost."""
    lab = electric(start=start)
    lab.wake()
    before_kwh = charge_kwh(lab)
    lab.command("climatisation", target_c=target_c)
    lab.run_for(SECOND)
    status = lab.statuses("command")[-1]
    assert status.climate is not None
    assert (status.climate.state, status.climate.target_c, status.climate.remaining_min) == ("climatisation", target_c, 30)
    began = lab.car.comfort.started_at  # type: ignore[union-attr]
    lab.run_until(began + 5 * MINUTE)
    assert before_kwh - charge_kwh(lab) == pytest.approx(full_kw * 5 / 60)
    lab.run_until(began + RUN - SECOND)
    [reached] = lab.events("target_reached")
    assert reached.data["target_c"] == target_c
    assert cabin.inside_c(lab.car, reached.captured_at) == pytest.approx(target_c, abs=1e-6)
    assert abs(cabin.inside_c(lab.car, reached.captured_at - MINUTE) - target_c) > 0.1
    assert cabin.inside_c(lab.car, lab.now) == target_c
    lab.run_for(MINUTE)
    [ended] = lab.events("climatisation_ended")
    used_kwh = before_kwh - charge_kwh(lab)
    assert ended.data["energy_kwh"] == pytest.approx(used_kwh, abs=0.001)
    assert full_kw * reached.data["minutes"] / 60 < used_kwh < full_kw * 0.5
    shown = [each.energy.charge_percent or 0.0 for each in lab.statuses() if each.energy is not None]
    assert shown[-1] < shown[0]


def test_a_target_that_is_there_already_is_reached_at_once() -> None:
    lab = electric()
    lab.put(SwitchOn())
    lab.put(SwitchOff(), lab.now + HOUR)
    lab.outcome("climatisation", target_c=22)
    assert [event.data["minutes"] < 1 for event in lab.events("target_reached")] == [True]


def test_a_target_out_of_reach_is_not_said_to_be_reached() -> None:
    """A frosty night of 45 °C less than the target cannot be; the car says so by silence, and ends by time."""
    lab = electric()
    climatisation.start(lab.car, cabin.inside_c(lab.car, lab.now) + climatisation.HEATS_BY_C + 1, lab.now)
    settle(lab)
    lab.run_for(HOUR)
    assert lab.events("target_reached") == []
    assert lab.events("climatisation_ended")[0].data["reason"] == "time"


def test_window_heating_is_shown_and_costs() -> None:
    used = []
    for wanted in (False, True):
        lab = electric(window_heating=True)
        assert lab.outcome("climatisation", window_heating=wanted) == OK
        climate = lab.statuses("command")[-1].climate
        assert climate is not None
        assert climate.window_heating is wanted
        lab.run_for(HOUR)
        used.append(lab.events("climatisation_ended")[0].data["energy_kwh"])
        assert lab.statuses("climatisation")[-1].climate.window_heating is False  # type: ignore[union-attr]
    assert used[1] - used[0] == pytest.approx(WINDOWS_KW / 2, abs=0.002)


def test_a_plug_feeds_it() -> None:
    """The battery loses nothing, and charges on."""
    lab = electric(0.5, plugged_in=True)
    lab.outcome("climatisation")
    before_kwh = charge_kwh(lab)
    lab.run_for(20 * MINUTE)
    assert charge_kwh(lab) > before_kwh
    lab.run_for(HOUR)
    assert lab.events("climatisation_ended")[0].data["energy_kwh"] == 0


def test_it_ends_when_the_charge_runs_low() -> None:
    """At the limit, and the deadline moves when less is taken from the target on."""
    lab = electric(LEAST_CHARGE + 0.01)
    lab.outcome("climatisation", target_c=29.5)
    spare_kwh = 0.01 * lab.car.equipment.usable_kwh
    lab.run_for(HOUR)
    [ended] = lab.events("climatisation_ended")
    assert ended.data["reason"] == "battery_low"
    assert ended.data["energy_kwh"] == pytest.approx(spare_kwh, abs=0.001)
    assert charge_kwh(lab) == pytest.approx(LEAST_CHARGE * lab.car.equipment.usable_kwh)
    assert lab.outcome("climatisation") == ("rejected", "battery_low")


def test_what_was_planned_at_full_power_does_not_end_it_early() -> None:
    """Charge that would not last at full power does with what it takes to hold the target: the car is warm already."""
    lab = electric()
    lab.put(SwitchOn())
    lab.put(SwitchOff(), lab.now + HOUR)
    lab.run_for(8 * MINUTE)
    e = lab.car.equipment
    lab.car.powertrain.charge_kwh = LEAST_CHARGE * e.usable_kwh + 0.45 * HEATS_KW
    assert lab.outcome("climatisation", target_c=21) == OK
    lab.run_for(2 * MINUTE)
    assert lab.events("target_reached")
    lab.run_for(HOUR)
    assert lab.events("climatisation_ended")[0].data["reason"] == "time"


def test_another_target_starts_it_anew() -> None:
    """What was to be told of the first is not told of the second."""
    lab = electric()
    lab.outcome("climatisation", target_c=18)
    lab.outcome("climatisation", target_c=26)
    lab.run_for(HOUR)
    assert [event.data["target_c"] for event in lab.events("target_reached")] == [26]
    assert [event.data["reason"] for event in lab.events("climatisation_ended")] == ["restarted", "time"]


def test_the_temperature_never_jumps() -> None:
    """Asked every second through start, target, end and the time after it, by less than heater and blower can do."""
    lab = electric()
    before_c = cabin.inside_c(lab.car, lab.now)
    lab.command("climatisation", target_c=20)
    for _ in range(3600):
        lab.run_for(SECOND)
        now_c = cabin.inside_c(lab.car, lab.now)
        assert abs(now_c - before_c) < 0.06
        before_c = now_c


# --- for a departure


def test_a_departure_conditions() -> None:
    """By the plug or the battery; it says that it was the departure, and lasts beyond it."""
    lab = electric()
    assert climatisation.condition(lab.car, lab.now + 20 * MINUTE, lab.now) is None
    settle(lab)
    [started] = lab.events("climatisation_started")
    assert started.data == {"by": "departure", "mode": "climatisation", "minutes": 30}
    run = lab.car.comfort
    assert climatisation.condition(lab.car, lab.now + 20 * MINUTE, lab.now) is None
    assert lab.car.comfort is run


@pytest.mark.parametrize(
    ("charge", "before", "reason"),
    [(0.1, None, "battery_low"), (0.8, weaken, "battery_low"), (0.8, start_engine, "engine_running")],
)
def test_a_departure_that_cannot_be_prepared(charge: float, before: Before, reason: str) -> None:
    lab = electric(charge)
    if before is not None:
        before(lab)
    refused = climatisation.condition(lab.car, lab.now + 20 * MINUTE, lab.now)
    assert refused is not None
    assert refused.reason == reason
    assert lab.car.comfort is None


def test_starts_are_where_the_tests_think() -> None:
    """The instants of this module: frost, and a spring noon."""
    lab = CarLab()
    assert cabin.outside_c(lab.car, FROST) < 3
    assert cabin.outside_c(lab.car, NOON_IN_JULY) > 20
    assert lab.now == START
