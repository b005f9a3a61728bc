"""What each command does to the car, and the rules of it: honk and flash, lock, heater, refresh."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pyproj import Geod

from fleet.kernel.draws import Draws
from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.services.heating import start as start_heater
from fleet.vehicle.signals import DriveTo, SetOpening, SwitchOff, SwitchOn
from tests.vehicle.car_lab import NOON_IN_JULY, SEED, SHOP, START, CarLab, equipment, heater_car

WGS84 = Geod(ellps="WGS84")
OK = ("succeeded", None)
OUT_OF_RANGE = ("rejected", "argument_out_of_range")


def honk(lab: CarLab, away_m: float, bearing: float = 0.0, **changed: Any) -> tuple[str, str | None]:
    longitude, latitude, _ = WGS84.fwd(lab.car.fix.longitude, lab.car.fix.latitude, bearing, away_m)
    return lab.outcome("honk", **{"latitude": latitude, "longitude": longitude, **changed})


# --- honk and flash


@pytest.mark.parametrize(
    ("away_m", "outcome"),
    [(0.0, OK), (499.99, OK), (500.0, OK), (500.0004, OK), (500.01, ("rejected", "too_far")), (900.0, ("rejected", "too_far"))],
)
def test_500_m_is_inside(away_m: float, outcome: tuple[str, str | None]) -> None:
    """In any direction, placed by another geodesic library from the car's own last fix: 500 m is inside, 500.01 m is not."""
    draws = Draws(SEED, "bearing")
    lab = CarLab()
    lab.wake()
    for _ in range(20):
        assert honk(lab, away_m, draws.uniform(0, 360)) == outcome, f"seed {SEED}"


def test_the_distance_counts_from_the_fix_and_not_from_the_truth() -> None:
    """Also after a drive: the car can know nothing else."""
    lab = CarLab()
    lab.drive(SHOP)
    lab.wake()
    assert (lab.car.fix.latitude, lab.car.fix.longitude) != lab.car.true_position(lab.now)
    assert [honk(lab, 500.0, 77), honk(lab, 500.01, 77)] == [OK, ("rejected", "too_far")]


@pytest.mark.parametrize("name", ["latitude", "longitude"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 181.0, -180.5])
def test_coordinates_that_are_none(name: str, value: float) -> None:
    """NaN and infinity are out of range, never inside."""
    assert honk(CarLab(), 0, **{name: value}) == OUT_OF_RANGE


@pytest.mark.parametrize("duration_s", [0, 9.999, 11, -10, math.nan, math.inf, 1e300])
def test_the_duration_is_10_s(duration_s: float) -> None:
    """Any other is out of range."""
    assert honk(CarLab(), 0, duration_s=duration_s) == OUT_OF_RANGE


@pytest.mark.parametrize(("mode", "outcome"), [("flash", OK), ("honk_and_flash", OK), ("honk", ("rejected", "malformed"))])
def test_modes(mode: str, outcome: tuple[str, str | None]) -> None:
    """Two; the horn alone is none of them."""
    assert honk(CarLab(), 10, mode=mode) == outcome


def test_the_horn_takes_10_s() -> None:
    """Accepted and in progress at once, succeeded 10 s later."""
    lab = CarLab()
    lab.wake()
    honk(lab, 0)
    first, _, last = lab.responses()[-3:]
    assert last.captured_at - first.captured_at == 10 * SECOND


def test_no_horn_while_the_ignition_is_on() -> None:
    """Nor while driving."""
    lab = CarLab()
    lab.put(SwitchOn())
    assert honk(lab, 0, wait=SECOND) == ("rejected", "engine_running")
    lab.put(DriveTo(SHOP))
    lab.run_for(30 * SECOND)
    assert honk(lab, 0, wait=SECOND) == ("rejected", "not_parked")


# --- lock and unlock


def test_lock_and_unlock_do_it_and_tell() -> None:
    """The doors follow, and a status with the doors comes after the success."""
    lab = CarLab()
    for name, locked in (("unlock", False), ("lock", True)):
        assert lab.outcome(name) == OK
        doors = lab.statuses("command")[-1].doors
        assert doors is not None
        assert {doors.front_left.locked, doors.boot.locked, doors.bonnet.locked} == {locked}


@pytest.mark.parametrize("name", ["front_left", "rear_right", "boot", "bonnet"])
def test_an_open_door_is_not_locked(name: Any) -> None:
    """Rejected with the door in the detail; closed again, it succeeds. Unlocking minds no door."""
    lab = CarLab()
    lab.put(SetOpening(name, opened=True))
    assert lab.outcome("lock") == ("rejected", "door_open")
    assert name in (lab.responses()[-1].detail or "")
    assert lab.outcome("unlock") == OK
    lab.put(SetOpening(name, opened=False))
    assert lab.outcome("lock") == OK


@pytest.mark.parametrize("name", ["lock", "unlock"])
def test_never_while_driving(name: str) -> None:
    """`not_parked` while it moves, `engine_running` before and after."""
    lab = CarLab()
    lab.put(DriveTo(SHOP))
    assert lab.outcome(name, wait=0) == ("rejected", "engine_running")
    lab.run_for(40 * SECOND)
    assert lab.outcome(name, wait=0) == ("rejected", "not_parked")
    assert lab.car.journey is not None
    lab.run_until(lab.car.journey.arrive_at)
    assert lab.outcome(name, wait=0) == ("rejected", "engine_running")
    lab.arrive()
    assert lab.outcome(name, wait=2 * SECOND) == OK


# --- the heater


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


# --- refresh


def test_refresh_sends_the_whole_status() -> None:
    """At any time: parked, with the engine on, and driving; after the success that announces it."""
    lab = CarLab()
    for state in ("parked", "ignition_on", "driving"):
        if state == "ignition_on":
            lab.put(SwitchOn())
        elif state == "driving":
            lab.put(DriveTo(SHOP))
            lab.run_for(MINUTE)
        assert lab.outcome("refresh", wait=MINUTE if state == "parked" else 0) == OK
        status = lab.statuses("refresh")[-1]
        assert status.state == state
        assert status.energy is not None
        assert status.position is not None
        assert (status.position.parked_at is None) == (state != "parked")


def test_refresh_with_the_engine_running_renews_the_health_report() -> None:
    """Always, before the first 20 km too; with the engine off it leaves it as it is."""
    lab = CarLab()
    lab.outcome("refresh")
    assert lab.statuses("refresh")[-1].health is None
    lab.put(SwitchOn())
    lab.outcome("refresh", wait=0)
    health = lab.statuses("refresh")[-1].health
    assert health is not None
    assert health.reported_at == lab.now
    lab.put(SwitchOff(), lab.now + MINUTE)
    lab.outcome("refresh")
    assert lab.statuses("refresh")[-1].health == health
