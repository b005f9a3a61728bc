"""The parking heater: minutes, fuel, how it ends, and ventilation in its place when it is warm."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.services.heating import start as start_heater
from fleet.vehicle.signals import DriveTo, SwitchOn
from tests.vehicle.car_lab import NOON_IN_JULY, OK, OUT_OF_RANGE, SHOP, START, CarLab, equipment, heater_car


@pytest.mark.parametrize("minutes", [*range(-10, 75, 5), 1000, 2**70])
def test_heater_minutes(minutes: int) -> None:
    """10 to 60 in steps of 10, and nothing else."""
    assert CarLab(heater_car()).outcome("heater", minutes=minutes) == (OK if minutes in range(10, 61, 10) else OUT_OF_RANGE)


def heating(start: int = START, **tuned: float) -> CarLab:
    def tune(car: Car) -> None:
        for name, value in tuned.items():
            setattr(car.powertrain, name, value)

    lab = CarLab(heater_car(), start=start, tune=tune)
    assert lab.outcome("heater", minutes=30, wait=MINUTE) == OK
    return lab


def test_the_heater_ends_by_time_and_burns_a_fifth_of_a_litre() -> None:
    """0.2 l in 30 min; its end is an event, and the remaining minutes count down to it."""
    lab = CarLab(heater_car())
    before = lab.car.levels(lab.now).fuel_l
    lab.outcome("heater", minutes=30)
    climate = lab.statuses("command")[-1].climate
    assert climate is not None
    assert (climate.state, climate.remaining_min) == ("heating", 30)
    lab.run_for(HOUR)
    assert before - lab.car.levels(lab.now).fuel_l == pytest.approx(0.2, abs=1e-6)
    [ended] = lab.events("heater_ended")
    assert ended.data == {"reason": "time", "mode": "heating", "minutes": 30.0, "fuel_l": 0.2}
    assert lab.statuses("heater")[-1].climate.state == "off"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("reason", "fuel_l"), [("stopped", 30.0), ("engine_start", 30.0), ("fuel_low", 7.1), ("restarted", 30.0)]
)
def test_every_way_the_heater_ends(reason: str, fuel_l: float) -> None:
    """By a stop, by the engine, at the reserve, and by a new start, which counts anew; each end is told once."""
    lab = heating(fuel_l=fuel_l)
    lab.run_for(5 * MINUTE)
    match reason:
        case "stopped":
            assert lab.outcome("heater", action="stop") == OK
        case "engine_start":
            lab.put(SwitchOn())
            assert lab.car.comfort is None
        case "restarted":
            assert lab.outcome("heater", minutes=10) == OK
        case _:
            lab.run_for(20 * MINUTE)
            assert lab.car.levels(lab.now).fuel_l == pytest.approx(7.0, abs=1e-6)
    assert lab.events("heater_ended")[0].data["reason"] == reason
    lab.run_for(2 * HOUR)
    assert [event.data["reason"] for event in lab.events("heater_ended")] == [reason, "time"][: 1 + (reason == "restarted")]
    fuel_l = lab.car.levels(lab.now).fuel_l
    lab.run_for(HOUR)
    assert lab.car.levels(lab.now).fuel_l == fuel_l


@pytest.mark.parametrize(
    ("model", "start", "mode"),
    [
        ("Leon", START, "heating"),
        ("Leon", NOON_IN_JULY, "ventilation"),
        ("Formentor", NOON_IN_JULY, "ventilation"),
        ("Ateca", NOON_IN_JULY, "heating"),
    ],
)
def test_leon_and_formentor_ventilate_when_it_is_warm(model: str, start: int, mode: str) -> None:
    """They choose by the temperature; an Ateca heats. Ventilation takes no fuel."""
    lab = CarLab(equipment(model, "petrol", parking_heater=True), start=start)
    before = lab.car.levels(lab.now).fuel_l
    assert lab.outcome("heater", minutes=10) == OK
    assert lab.car.comfort is not None
    assert lab.car.comfort.mode == mode
    lab.run_for(HOUR)
    assert (lab.car.levels(lab.now).fuel_l == before) == (mode == "ventilation")


def test_a_heater_started_again_when_it_has_become_warm_burns_nothing_more() -> None:
    """Heating that is replaced by ventilation stops to take fuel."""
    lab = heating()
    start_heater(lab.car, 30, NOON_IN_JULY)
    assert lab.car.comfort is not None
    assert lab.car.comfort.mode == "ventilation"
    assert lab.car.powertrain.heating_since is None


def test_a_stop_is_always_possible() -> None:
    """Without anything to stop, and while driving; but not without a heater."""
    lab = CarLab(heater_car())
    assert lab.outcome("heater", action="stop") == OK
    lab.put(DriveTo(SHOP))
    lab.run_for(MINUTE)
    assert lab.outcome("heater", action="stop", wait=2 * SECOND) == OK
    for model, energy in (("Born", "electric"), ("Leon", "e-hybrid")):
        assert CarLab(equipment(model, energy)).outcome("heater", action="stop") == ("rejected", "not_equipped")


def test_a_heater_of_before_does_not_end_the_next_one() -> None:
    """Stopped and started again, it runs its whole time."""
    lab = heating()
    lab.outcome("heater", action="stop")
    lab.outcome("heater", minutes=60)
    lab.run_for(50 * MINUTE)
    assert lab.car.comfort is not None
    lab.run_for(10 * MINUTE)
    assert [event.data["minutes"] for event in lab.events("heater_ended")][1:] == [60.0]
