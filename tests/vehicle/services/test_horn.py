"""Honk and flash: within 500 m of the car's last fix, for 10 s, with the engine off."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pyproj import Geod

from fleet.kernel.draws import Draws
from fleet.kernel.instants import SECOND
from fleet.vehicle.signals import DriveTo, SwitchOn
from tests.vehicle.car_lab import OK, OUT_OF_RANGE, SEED, SHOP, CarLab

WGS84 = Geod(ellps="WGS84")


def honk(lab: CarLab, away_m: float, bearing: float = 0.0, **changed: Any) -> tuple[str, str | None]:
    longitude, latitude, _ = WGS84.fwd(lab.car.fix.longitude, lab.car.fix.latitude, bearing, away_m)
    return lab.outcome("honk", **{"latitude": latitude, "longitude": longitude, **changed})


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
