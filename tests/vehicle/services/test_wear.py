"""Wear: faults that come with distance and time, AdBlue that runs out, services that come due, and the workshop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

import pytest

from fleet.kernel.draws import stream_key
from fleet.kernel.instants import DAY, HOUR, MINUTE
from fleet.vehicle.car import Car
from fleet.vehicle.hazards import HAZARDS, FaultName
from fleet.vehicle.region import Place
from fleet.vehicle.services import wear
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import DrainAdBlue, DriveTo, PowerOn, Repair, SetFault, SwitchOff, SwitchOn
from tests.vehicle.car_lab import BOOT, HOME, SEED, SHOP, START, WORK, CarLab, drawn_driver, driver, equipment

FAR = Place(48.60, 12.10, "Landshut", "errand")
"""Some 80 km from home by road."""


def lab_of(tune: Callable[[Car], None] | None = None, energy: str = "petrol", **fitted: Any) -> CarLab:
    return CarLab(equipment("Born" if energy == "electric" else "Leon", energy, **fitted), driver(), tune=tune)


def told(lab: CarLab, name: str) -> list[dict[str, Any]]:
    return [event.data for event in lab.events(name)]


# --- faults by distance and time


def test_the_table_is_whole() -> None:
    assert set(HAZARDS) == set(get_args(FaultName))
    assert {hazard.category for hazard in HAZARDS.values()} == {"lighting", "tyre", "engine", "assistance", "other"}
    for hazard in HAZARDS.values():
        assert (hazard.mean_km > 0) != (hazard.mean_days > 0)
        assert 1 <= hazard.priority <= 4


def test_a_fault_comes_at_its_odometer_reading() -> None:
    """In the middle of the drive, to the metre; then the light stands in every health report until it is mended."""
    lab = lab_of(lambda car: setattr(car.wear, "next_fault_m", car.powertrain.odometer_m + 3_000.0))
    begin_km = lab.car.powertrain.odometer_m / 1000
    lab.put(DriveTo(FAR))
    lab.arrive()
    [event] = lab.events("fault")
    assert event.data["mileage_km"] == pytest.approx(begin_km + 3, abs=0.06)
    assert event.data["category"] == HAZARDS[event.data["id"]].category
    health = lab.statuses("engine_off")[-1].health
    assert health is not None
    assert event.data["id"] in {light.id for light in health.warnings}
    assert lab.car.wear.next_fault_m > begin_km * 1000 + 3_000


def test_several_on_one_drive_and_none_twice() -> None:
    """What was drawn as the next fault can be near; a light that is on is not lit again."""
    lab = lab_of(lambda car: setattr(car.wear, "next_fault_m", car.powertrain.odometer_m + 1_000.0))
    lab.put(DriveTo(FAR))
    for _ in range(60):
        if not lab.events("fault"):
            lab.run_for(MINUTE)
    lab.car.wear.next_fault_m = lab.car.levels(lab.now).odometer_m  # as if the next draw were zero
    journey = lab.car.journey
    assert journey is not None
    wear._plan_fault(lab.car, journey, lab.now)
    lab.arrive()
    assert len(lab.events("fault")) == len({data["id"] for data in told(lab, "fault")}) >= 1


def test_a_drive_that_ends_before_it() -> None:
    """It comes on the next drive instead, and once."""
    lab = lab_of(lambda car: setattr(car.wear, "next_fault_m", car.powertrain.odometer_m + 2_500.0))
    lab.put(DriveTo(FAR))
    while (journey := lab.car.journey) is not None and journey.distance_at(lab.now) < 1_000:
        lab.run_for(5_000_000)
    lab.put(SwitchOff())
    lab.run_for(2 * HOUR)
    assert told(lab, "fault") == []
    lab.put(DriveTo(FAR))
    lab.arrive()
    assert len(told(lab, "fault")) == 1


def test_a_fault_by_time_is_noticed_when_the_engine_starts() -> None:
    lab = lab_of(lambda car: setattr(car.wear, "next_fault_at", START + DAY))
    lab.run_for(2 * DAY)
    assert told(lab, "fault") == []
    lab.put(SwitchOn())
    [fault] = told(lab, "fault")
    assert HAZARDS[fault["id"]].mean_days > 0
    assert lab.events()[-2].name == "engine_on"


@pytest.mark.parametrize(
    ("energy", "without"), [("petrol", "plug"), ("diesel", "plug"), ("electric", "engine"), ("e-hybrid", "")]
)
def test_no_car_has_a_fault_of_what_it_has_not(energy: str, without: str) -> None:
    lab = lab_of(energy=energy)
    names = {wear._draw_fault(lab.car, START + n, by_time=False) for n in range(3000)}
    assert names == {h.name for h in HAZARDS.values() if h.mean_km and h.needs != without}


def test_as_often_as_the_table_says() -> None:
    """Drawn on and on: the mean distance and each fault's share are those of the hazards, within four deviations."""
    car = lab_of().car
    count, start_m = 4000, car.wear.next_fault_m
    seen: Counter[str] = Counter()
    for n in range(count):
        wear._draw_by_distance(car, car.wear.next_fault_m)
        seen[wear._draw_fault(car, START + n, by_time=False)] += 1
    rates = {h.name: 1 / h.mean_km for h in HAZARDS.values() if h.mean_km and h.needs != "plug"}
    mean_km = (car.wear.next_fault_m - start_m) / count / 1000
    assert mean_km == pytest.approx(1 / sum(rates.values()), rel=4 / count**0.5)
    for name, rate in rates.items():
        share = rate / sum(rates.values())
        assert seen[name] / count == pytest.approx(share, abs=4 * (share * (1 - share) / count) ** 0.5)


def test_ordinary_weeks_are_mostly_without() -> None:
    """Thirty cars drive for a week: a few faults at most, and what is told is mended within ten days."""
    events = 0
    for number in range(30):
        lab = CarLab(equipment(number=number), drawn_driver(number, "commuter"), number=number)
        lab.run_for(7 * DAY)
        events += len(lab.events("fault"))
    assert events <= 6


# --- set by hand, and the workshop


def test_set_and_repaired() -> None:
    lab = lab_of()
    lab.put(SetFault("brake_pads"))
    lab.put(SetFault("brake_pads"))
    lab.put(SetFault("tail_light"))
    assert [fault["id"] for fault in told(lab, "fault")] == ["brake_pads", "tail_light"]
    assert told(lab, "fault")[0]["text"] == "Brake pads are worn"
    lab.run_for(30 * DAY)
    assert lab.car.wear.faults == ("brake_pads", "tail_light")
    lab.put(Repair())
    assert told(lab, "serviced") == [{"faults": ["brake_pads", "tail_light"], "services": []}]
    lab.put(Repair())
    assert len(told(lab, "serviced")) == 1
    lab.put(SetFault("brake_pads"))
    assert len(told(lab, "fault")) == 3


def test_what_failed_by_itself_is_mended_by_itself() -> None:
    """Within ten days, and not while the car is driven."""
    lab = lab_of(lambda car: setattr(car.wear, "next_fault_m", car.powertrain.odometer_m + 1_000.0))
    lab.drive(SHOP)
    assert len(told(lab, "fault")) == 1
    lab.run_for(11 * DAY)
    [serviced] = lab.events("serviced")
    assert serviced.data["faults"] == [told(lab, "fault")[0]["id"]]
    assert DAY <= serviced.captured_at - lab.events("fault")[0].captured_at <= 10 * DAY + HOUR
    assert lab.car.wear.faults == ()


def test_the_workshop_waits_for_the_engine() -> None:
    lab = lab_of()
    lab.put(SetFault("coolant"))
    lab.put(SwitchOn())
    wear._visit(lab.car, None, lab.now)
    lab.run_for(30 * MINUTE)
    lab.put(SwitchOff())
    assert told(lab, "serviced") == []
    lab.run_for(HOUR)
    assert len(told(lab, "serviced")) == 1


# --- services


@pytest.mark.parametrize(("which", "service"), [("next_service_m", "inspection"), ("next_oil_m", "oil_change")])
def test_due_by_distance(which: str, service: str) -> None:
    """Told once, when the odometer passes it; after the workshop it counts anew."""
    lab = lab_of(lambda car: setattr(car.powertrain, which, car.powertrain.odometer_m + 2_000.0))
    lab.drive(SHOP)
    [due] = told(lab, "service_due")
    assert due["service"] == service
    assert due["left_km"] == pytest.approx(0, abs=0.1)
    lab.drive(HOME)
    assert len(told(lab, "service_due")) == 1
    lab.put(Repair())
    assert told(lab, "serviced") == [{"faults": [], "services": [service]}]
    left = lab.car.powertrain.service(lab.car.levels(lab.now), lab.now)
    assert (left.inspection_km if service == "inspection" else left.oil_change_km) in {15_000, 30_000}
    lab.drive(SHOP)
    assert len(told(lab, "service_due")) == 1


@pytest.mark.parametrize("which", ["next_service_m", "next_oil_m"])
@pytest.mark.parametrize("ahead_m", [2_000.0, 2_000.1, 2_033.3, 2_100.7])
def test_nothing_left_is_zero(which: str, ahead_m: float) -> None:
    """Without a sign: a millimetre too late is no other word than a millimetre too early."""
    lab = lab_of(lambda car: setattr(car.powertrain, which, car.powertrain.odometer_m + ahead_m))
    lab.drive(SHOP)
    [due] = told(lab, "service_due")
    assert str(due["left_km"]) == "0.0"


@pytest.mark.parametrize(("which", "service"), [("next_service_at", "inspection"), ("next_oil_at", "oil_change")])
def test_due_by_time(which: str, service: str) -> None:
    """Noticed when the engine starts, once."""
    lab = lab_of(lambda car: setattr(car.powertrain, which, START + DAY))
    lab.put(SwitchOn())
    lab.put(SwitchOff())
    assert told(lab, "service_due") == []
    lab.run_for(3 * DAY)
    for _ in range(2):
        lab.put(SwitchOn())
        lab.put(SwitchOff())
    assert [due["service"] for due in told(lab, "service_due")] == [service]
    assert told(lab, "service_due")[0]["left_days"] == -2


def test_what_was_overdue_before_is_not_told() -> None:
    """A car that enters the scenario overdue was told so before; an electric one has no oil."""

    def overdue(energy: str) -> CarLab:
        fitted = equipment("Born" if energy == "electric" else "Leon", energy)
        lab = CarLab(fitted, driver(), power=False)
        lab.car.powertrain.next_service_m = lab.car.powertrain.odometer_m - 1
        lab.car.powertrain.next_oil_at = lab.now - 1
        wear.begin(lab.car, lab.now)
        return lab

    for energy, told_then in (("petrol", 3), ("electric", 1)):
        lab = overdue(energy)
        assert lab.car.wear.told == told_then
    lab = overdue("petrol")
    lab.put(PowerOn())
    lab.drive(SHOP)
    assert told(lab, "service_due") == []


def test_no_oil_change_for_an_electric_car() -> None:
    def tune(car: Car) -> None:
        car.powertrain.next_oil_m = car.powertrain.odometer_m + 1_000.0
        car.powertrain.next_oil_at = START + 1

    lab = lab_of(tune, "electric")
    lab.drive(SHOP)
    assert told(lab, "service_due") == []


# --- AdBlue


def range_km(car: Car, km: float) -> None:
    """Leave AdBlue for that distance."""
    car.powertrain.adblue_l = km / 1000 * car.equipment.adblue_l_per_1000km
    wear.begin(car, START)


@pytest.mark.parametrize(
    ("above_km", "warning", "threshold_km"),
    [(2405, "low", 2400), (1755, "very_low", 1750), (905, "critical", 900)],
)
def test_each_adblue_warning_once(above_km: float, warning: str, threshold_km: float) -> None:
    """At its range, on the way, and never again before AdBlue was filled in."""
    lab = lab_of(lambda car: range_km(car, above_km), "diesel")
    lab.put(DriveTo(FAR))
    journey = lab.car.journey
    assert journey is not None
    lab.arrive()
    [event] = lab.events("adblue_warning")
    assert event.data == {"warning": warning, "range_km": threshold_km}
    used = journey.distance_at(event.captured_at) / 1000
    assert 5 / 1.4 < used < 5 / 0.85  # styles of driving
    status = lab.statuses("engine_off")[-1].adblue
    assert status is not None
    assert status.warning == warning
    lab.run_for(5 * MINUTE)
    lab.drive(HOME)
    lab.drive(WORK)
    assert len(told(lab, "adblue_warning")) == 1


def test_told_again_after_filling_in() -> None:
    lab = lab_of(lambda car: range_km(car, 2401), "diesel")
    lab.drive(SHOP)
    lab.car.powertrain.refill(lab.now)
    lab.drive(HOME)
    assert len(told(lab, "adblue_warning")) == 1
    lab.car.powertrain.adblue_l = 2.401 * lab.car.equipment.adblue_l_per_1000km
    lab.drive(SHOP)
    assert [warning["warning"] for warning in told(lab, "adblue_warning")] == ["low", "low"]


def test_it_runs_out_and_the_engine_does_not_restart() -> None:
    """The car goes on to the end of its drive; then only AdBlue helps."""
    lab = lab_of(lambda car: range_km(car, 2), "diesel")
    lab.put(SwitchOn())
    lab.put(DriveTo(SHOP))
    journey = lab.car.journey
    assert journey is not None
    if journey.station:  # the driver would fill up first: have it run out on the way there
        lab.car.powertrain.adblue_l = 0.0001
        wear.drive_planned(lab.car, journey, lab.now)
    lab.arrive()
    assert told(lab, "adblue_warning")[-1] == {"warning": "empty", "range_km": 0.0}
    lab.put(SwitchOn())
    assert told(lab, "engine_not_started") == [{"reason": "adblue_empty"}]
    assert not lab.car.engine_is_on


def test_drained_by_hand() -> None:
    """Never up, not in a car without, and not while it runs; all warnings it passes are told on the next drive."""
    lab = lab_of(lambda car: range_km(car, 3000), "diesel")
    full = lab.car.powertrain.adblue_l
    lab.put(DrainAdBlue(1.0))
    assert lab.car.powertrain.adblue_l == full
    lab.put(SwitchOn())
    lab.put(DrainAdBlue(0.0))
    assert lab.car.powertrain.adblue_l == full
    lab.put(SwitchOff())
    lab.put(DrainAdBlue(0.05))
    lab.put(DriveTo(SHOP))
    lab.arrive()
    assert [warning["warning"] for warning in told(lab, "adblue_warning")] == ["low", "very_low", "critical"]
    petrol = lab_of()
    petrol.put(DrainAdBlue(0.0))
    petrol.drive(SHOP)
    assert told(petrol, "adblue_warning") == []


# --- cost


def test_what_it_costs() -> None:
    """A car without a fault near keeps two numbers, and nothing in its agenda."""
    fitted = equipment()
    car = Car(
        vin="VSSZZZKLZTR000000",
        key=stream_key(SEED, "car", "x"),
        equipment=fitted,
        driver=driver(),
        boot=BOOT,
        now=START,
        settings=CarSettings(hole_share=0.0),
    )
    assert car.wear.faults == ()
    assert len(car.agenda) == 0
