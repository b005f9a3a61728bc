"""Units of other systems, there and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.dialects.units import UNITS, conversion, iso_with_digits, unit_of


@pytest.mark.parametrize(
    ("path", "unit", "ours", "theirs"),
    [
        ("mileage_km", "mi", 160.9344, 100.0),
        ("mileage_km", "m", 1.5, 1500.0),
        ("climate.target_c", "f", 21.0, 69.8),
        ("climate.target_c", "k", 0.0, 273.15),
        ("energy.charge_percent", "fraction", 55.0, 0.55),
        ("charging.power_kw", "w", 11.0, 11_000.0),
        ("driving.last_trip.fuel_l", "gal_us", 3.785411784, 1.0),
        ("driving.last_trip.energy_kwh", "mj", 10.0, 36.0),
        ("climate.remaining_min", "s", 3, 180),
        ("minutes", "s", 30, 1800),
        ("limit_kmh", "mph", 160.9344, 100.0),
        ("service.inspection_days", "h", 2, 48),
        ("captured_at", "epoch_s", 1_700_000_000_000_000, 1_700_000_000),
        ("captured_at", "epoch_s", 1_700_000_000_500_000, 1_700_000_000.5),
        ("position.fixed_at", "epoch_ms", 1_700_000_000_123_000, 1_700_000_000_123),
        ("health.reported_at", "iso8601", 1_700_000_000_000_000, "2023-11-14T22:13:20Z"),
    ],
)
def test_a_value_in_their_unit(path: str, unit: str, ours: Any, theirs: Any) -> None:
    found = conversion(path, unit)
    assert found is not None
    assert found.to_theirs(ours) == (pytest.approx(theirs) if isinstance(theirs, float) else theirs)
    assert type(found.to_theirs(ours)) is type(theirs)
    assert found.to_ours(found.to_theirs(ours)) == ours


@pytest.mark.parametrize(("path", "unit"), [("vin", "km"), ("mileage_km", "f"), ("doors.boot.open", "percent"), ("km", "mi")])
def test_no_unit_where_there_is_none(path: str, unit: str) -> None:
    assert conversion(path, unit) is None


def test_our_unit_is_in_the_name() -> None:
    assert [unit_of(path) for path in ("mileage_km", "captured_at", "due_wall_us", "state", "doors.boot", "minutes")] == [
        "km", "instant", "instant", None, None, "min",
    ]  # fmt: skip


@given(
    pair=st.sampled_from([(ours, theirs) for ours, units in UNITS.items() if ours != "instant" for theirs in units]),
    value=st.integers(-(10**8), 10**8).map(lambda number: number / 1000),
)
def test_any_number_comes_back_as_it_was(pair: tuple[str, str], value: float) -> None:
    to_theirs, to_ours = UNITS[pair[0]][pair[1]]
    assert to_ours(to_theirs(value)) == pytest.approx(value, abs=1e-9)


@given(unit=st.sampled_from(sorted(UNITS["instant"])), instant=st.integers(0, 4_102_444_800_000_000))
def test_any_instant_comes_back_as_it_was(unit: str, instant: int) -> None:
    """To the microsecond until the year 2100."""
    to_theirs, to_ours = UNITS["instant"][unit]
    assert to_ours(to_theirs(instant)) == instant


@pytest.mark.parametrize(("digits", "text"), [(0, "2023-11-14T22:13:20Z"), (3, "2023-11-14T22:13:20.123Z")])
def test_an_instant_with_digits(digits: int, text: str) -> None:
    assert iso_with_digits(digits)(1_700_000_000_123_456) == text
