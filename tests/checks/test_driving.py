"""Drives on journals written by hand: odometer, tank, place and clock agree with the trips that are told, or a check says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import MINUTE, SECOND
from tests.checks.lab import CAR as MACHINE
from tests.checks.lab import VIN, Paper, broken, told
from tests.vehicle.car_lab import equipment

CAR = equipment("Leon", "petrol")
HOME = {"latitude": 48.1374, "longitude": 11.5755, "accuracy_m": 8.0, "fixed_at": 1, "parked_at": 1}
THERE = HOME | {"latitude": 48.1374 + 0.0898}
"""10.0 km north: 11.5 to 14.5 km of road."""


@pytest.fixture
def paper() -> Paper:
    return Paper()


def drive(
    paper: Paper, km: float = 13.0, *, shown_km: float = 13.0, used_l: float | None = None, by_hand: bool = False, **trip: Any
) -> None:
    """Let the car stand at home with half a tank, drive for 20 minutes, and stand 10 km north."""
    litres = CAR.fuel_l_per_100km * km / 100 if used_l is None else used_l
    left = 50.0 - litres / CAR.tank_l * 100
    paper.status("engine_off", mileage_km=1000.0, position=HOME, energy={"fuel_level_percent": 50.0})
    paper.event("engine_on")
    started_at = paper.now
    paper.pass_time(20)
    if by_hand:
        paper.write(MACHINE, "in", "SwitchOff", None)
    paper.event("engine_off")
    data = {"distance_km": km, "average_speed_kmh": round(km * 3, 1), "fuel_l": litres}
    minutes = (paper.now + SECOND - started_at) / MINUTE
    paper.event("trip", **({"started_at": started_at, **data, "duration_min": round(minutes, 2)} | trip))
    paper.status(
        "engine_off", mileage_km=1000 + shown_km, position=THERE, energy={"fuel_level_percent": left}, captured_at=paper.now
    )


def found(paper: Paper, folder: Path) -> list[str]:
    return told(paper.judge(folder, equipment={VIN: CAR}), "drives")


def test_a_drive_as_it_should_be(paper: Paper, tmp_path: Path) -> None:
    """Nothing is broken, and all is judged but the average of all roads."""
    drive(paper, average_speed_kmh=38.9)
    result = paper.judge(tmp_path, equipment={VIN: CAR})
    assert "drives" not in broken(result), told(result, "drives")
    counts = {each.rule: each.sides["judged"].judged for each in result.rules if each.check == "drives"}
    assert counts == {
        "odometer": 1,
        "trip": 1,
        "road": 1,
        "roads on average": 0,
        "taken": 1,
        "consumption": 1,
        "electric first": 0,
    }


@pytest.mark.parametrize(("how", "words"), [
    ({"shown_km": 12.74}, "the odometer shows 1012.74 km"),  # 2 % slow
    ({"km": 11.2, "shown_km": 11.2}, "m of road"),
    ({"km": 14.8, "shown_km": 14.8}, "m of road"),
    ({"duration_min": 19.0}, "a trip tells 19.0 min"),
    ({"average_speed_kmh": 60.0}, "a trip tells 60.0 km/h"),
    ({"used_l": CAR.fuel_l_per_100km * 13 / 100 * 1.5}, "has used"),
])  # fmt: skip
def test_a_drive_that_does_not_add_up(paper: Paper, tmp_path: Path, how: dict[str, Any], words: str) -> None:
    """The odometer, the way, the clock, the fuel."""
    drive(paper, **({"average_speed_kmh": round(how.get("km", 13) * 60 / 20.03, 1)} | how))
    assert any(words in each for each in found(paper, tmp_path)), found(paper, tmp_path)


def test_a_tank_that_loses_less_than_the_trip_says(paper: Paper, tmp_path: Path) -> None:
    """What a trip has used is gone."""
    drive(paper, average_speed_kmh=38.9)
    paper.event("engine_on")
    paper.event("engine_off")
    paper.event("trip", started_at=paper.now, distance_km=0.9, duration_min=0.02, average_speed_kmh=0.0, fuel_l=2.0)
    paper.status("engine_off", mileage_km=1013.9, energy={"fuel_level_percent": 48.3})
    assert any("2.000 l were used" in each for each in found(paper, tmp_path))


def test_a_drive_that_somebody_broke_off(paper: Paper, tmp_path: Path) -> None:
    """Where it led is not judged, and that is counted."""
    drive(paper, km=11.0, shown_km=11.0, average_speed_kmh=33.0, by_hand=True)
    result = paper.judge(tmp_path, equipment={VIN: CAR})
    road = next(each for each in result.rules if each.full_name == "drives: road")
    assert road.sides["judged"].undecided == {"somebody meddled with the drive": 1}


@pytest.mark.parametrize(("detours", "right"), [((1.2, 1.4), True), ((1.2, 1.35), False)])
def test_roads_are_as_long_as_they_should_be_on_average(
    paper: Paper, tmp_path: Path, detours: tuple[float, float], *, right: bool
) -> None:
    """Four hundred trips to and fro: each is possible, and those of one kind are too short together."""
    mileage_km = 1000.0
    paper.status("engine_off", mileage_km=mileage_km, position=HOME)
    for trip in range(400):
        km = round(9.985 * detours[trip % 2], 3)
        mileage_km = round(mileage_km + km, 3)
        paper.event("engine_on")
        started_at = paper.now
        paper.pass_time(20)
        paper.event("engine_off")
        minutes = round((paper.now + SECOND - started_at) / MINUTE, 2)
        speed = round(km / minutes * 60, 1)
        paper.event("trip", started_at=started_at, distance_km=km, duration_min=minutes, average_speed_kmh=speed)
        paper.status("engine_off", mileage_km=mileage_km, position=HOME if trip % 2 else THERE, captured_at=paper.now)
    assert [each.split(" times ")[-1][:7] for each in found(paper, tmp_path)] == ([] if right else ["as long"])
