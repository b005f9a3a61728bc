"""Computed fields: what they may do, and how they fail."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.dialects.expressions import LONGEST, Expression
from fleet.errors import Unwritable, UsageError
from fleet.wire.messages import Energy, Event, Status
from tests.wire.test_dialect import HEADER

STATUS = Status(**HEADER, trigger="load", state="parked", mileage_km=2.0, energy=Energy(charge_percent=40.0))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mileage_km * 2", 4.0),
        ("round(mileage_km / 3, 2)", 0.67),
        ("'low' if energy.charge_percent < 50 else 'high'", "low"),
        ("state == 'parked' and mileage_km > 1", True),
        ("energy.fuel_level_percent * 2", None),
        ("climate.remaining_min + 1", None),
        ("max(energy.charge_percent, 50)", 50),
        ("vin[-3:]", "001"),
        ("energy", {"charge_percent": 40.0}),
    ],
)
def test_a_value_of_a_message(text: str, value: Any) -> None:
    """None where something that it names is not there."""
    assert Expression(text).evaluate(STATUS) == value


def test_free_data_of_an_event() -> None:
    event = Event(**HEADER, name="trip", data={"distance_km": 3.0})
    assert Expression("data.distance_km * 1000").evaluate(event) == 3000.0
    assert Expression("data.fuel_l + 1").evaluate(event) is None


def test_the_fields_that_it_names() -> None:
    found = Expression("round(energy.charge_percent) + mileage_km")
    assert found.paths == {"energy.charge_percent", "mileage_km"}
    assert found.roots == {"energy", "mileage_km"}


@pytest.mark.parametrize("text", ["mileage_km - 1e308 * 10", "1e308 * 10 - 1e308 * 10"])
def test_what_is_not_finite_is_unwritable(text: str) -> None:
    """JSON would make null of it, unseen."""
    with pytest.raises(Unwritable, match="which no payload has"):
        Expression(text).evaluate(STATUS)


@pytest.mark.parametrize("text", ["mileage_km / 0", "mileage_km + vin", "9 ** 9 ** 9", "'a' * 10000000"])
def test_a_failure_is_unwritable(text: str) -> None:
    with pytest.raises(Unwritable, match="failed") as caught:
        Expression(text).evaluate(STATUS)
    assert caught.value.reason == "expression"


@pytest.mark.parametrize(
    "text",
    [
        "", "1 +", "a; b", "import os", "open('x')", "__import__('os')", "lambda: 1", "[x for x in vin]", "x := 1", "eval('1')",
        "1" * (LONGEST + 1),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_said_before_anything_is_sent(text: str) -> None:
    with pytest.raises(UsageError):
        Expression(text)


@pytest.mark.parametrize("text", ["vin.__class__", "state.__class__.__mro__", "vin.format", "'{0.__class__}'.format(vin)"])
def test_nothing_leads_out_of_the_message(text: str) -> None:
    with pytest.raises((Unwritable, UsageError)):
        Expression(text).evaluate(STATUS)
