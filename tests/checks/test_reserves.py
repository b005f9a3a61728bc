"""The reserve of a traction battery as the checks know it: by what was set, and when; and climatisation held against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.checks.reserves import Reserves
from fleet.observe.journal import Input
from tests.checks.lab import CAR, VIN, Paper, broken
from tests.checks.test_comfort import plug
from tests.vehicle.car_lab import equipment

BORN = {VIN: equipment("Born", None)}


def test_a_reserve_holds_from_its_instant_on() -> None:
    reserves = Reserves()
    assert (reserves.at(CAR, 5), reserves.lowest(CAR, 0, 100)) == (20.0, 20.0)
    sets = reserves.handlers()["in", "SetBatteryProtection"]
    for at, on, share in ((10, True, 0.4), (20, True, 0.9), (30, True, 0.3), (40, False, 0.2)):
        sets(Input(t=at, m=CAR, k="in", type="SetBatteryProtection", data={"on": on, "reserve": share}), 1)
    assert [reserves.at(CAR, at) for at in (9, 10, 11, 21, 31, 41)] == [20.0, None, 40.0, 40.0, 30.0, 20.0]
    assert reserves.lowest(CAR, 11, 29) == 40.0
    assert reserves.lowest(CAR, 11, 30) == 30.0
    assert reserves.lowest(CAR, 5, 29) == 20.0


def protect(paper: Paper, *, on: bool = True, reserve: float = 0.4) -> None:
    paper.write(CAR, "in", "SetBatteryProtection", {"on": on, "reserve": reserve})


@pytest.mark.parametrize(
    ("charge", "state", "right"),
    [(45, "succeeded", True), (35, "succeeded", False), (35, "rejected", True), (45, "rejected", False)],
)
def test_climatisation_starts_above_the_reserve_alone(tmp_path: Path, charge: float, state: str, *, right: bool) -> None:
    paper = Paper()
    paper.status(energy={"charge_percent": float(charge)}, charging=plug(plugged_in=False))
    protect(paper)
    paper.get("c1", "climatisation")
    if state == "succeeded":
        paper.answer("c1", "climatisation", "accepted", "succeeded")
        paper.status("command", climate={"state": "climatisation", "remaining_min": 30, "target_c": 21.0})
    else:
        paper.answer("c1", "climatisation", "rejected", reason="battery_low", detail="the traction battery")
    assert ("climatisation rule" in broken(paper.judge(tmp_path, equipment=BORN))) == (not right)
