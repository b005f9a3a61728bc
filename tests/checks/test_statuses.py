"""Statuses as a journal has them: the fix of an instant in which a car is parked."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.checks.statuses import FixesAgree
from fleet.kernel.draws import Draws
from fleet.observe.journal import Begin, Output
from fleet.vehicle.catalogue import draw_equipment, load_catalogue
from tests.checks.lab import CAR, START, VIN

FIX = {"latitude": 48.1, "longitude": 11.5, "accuracy_m": 7.3, "fixed_at": START}
PARKED = {**FIX, "parked_at": START}


def status(position: dict[str, Any], state: str) -> Output:
    message = {
        "vin": VIN,
        "boot": 1,
        "seq": 1,
        "captured_at": START,
        "state": state,
        "mileage_km": 5.0,
        "position": position,
        "trigger": "interval" if state == "driving" else "left",
    }
    return Output(START, CAR, "out", "Transmit", "Status", {"message": message, "due_at": START, "again": False})


@pytest.mark.parametrize(
    ("second", "broken"),
    [(PARKED, False), (FIX, True), ({**PARKED, "latitude": 48.2}, True), ({**PARKED, "parked_at": START - 1}, True)],
)
def test_one_instant_has_one_fix(second: dict[str, Any], broken: bool) -> None:
    """A status may be sent in the instant in which the car is parked, before and after: only that it is parked may differ."""
    fitted = draw_equipment(load_catalogue(), Draws(1, "equipment"), model="Leon")
    check = FixesAgree(Begin(START, "run", "begin", scenario={}), {VIN: fitted})
    take = check.handlers()[("out", "Transmit", "Status")]
    take(status(FIX, "driving"), 1)
    take(status(second, "parked"), 2)
    assert bool(check.broken) is broken
