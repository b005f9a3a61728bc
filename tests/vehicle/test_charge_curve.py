"""The charge curve: what has gone in is power times time, however the time is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.vehicle.charge_curve import ChargeCurve, charge_curve

CARS = [("e-hybrid", 10.4, 3.6), ("electric", 45.0, 11.0), ("electric", 77.0, 11.0)]
curves = st.builds(lambda car, current_a: (charge_curve(*car, current_a), car[1]), st.sampled_from(CARS), st.integers(6, 16))
shares = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("car", "current_a", "power_kw"),
    [
        (CARS[0], 16, 3.6),  # 3.68 kW at the plug, but its charger takes 3.6
        (CARS[0], 10, 2.3),
        (CARS[0], 6, 1.38),
        (CARS[2], 16, 11.0),
        (CARS[2], 10, 6.9),
        (CARS[2], 6, 4.14),
    ],
)
def test_current_and_phases_bound_the_power(car: tuple[str, float, float], current_a: int, power_kw: float) -> None:
    assert charge_curve(*car, current_a).power_at(0.5 * car[1]) == pytest.approx(power_kw)


def test_power_falls_in_a_line_above_80_percent_to_a_fifth() -> None:
    curve = charge_curve("electric", 77.0, 11.0, 16)
    assert [curve.power_at(share * 77.0) for share in (0.8, 0.9, 1.0)] == pytest.approx([11.0, 6.6, 2.2])


def test_a_weak_plug_is_felt_later_than_the_battery() -> None:
    """At 6 A the battery takes all there is until it takes no more than that itself, and then as much as at 16 A."""
    weak, strong = charge_curve("electric", 77.0, 11.0, 6), charge_curve("electric", 77.0, 11.0, 16)
    assert weak.power_at(0.9 * 77) == pytest.approx(4.14)
    assert weak.power_at(0.97 * 77) == pytest.approx(strong.power_at(0.97 * 77))


@given(curve=curves, share=shares, hours=st.floats(0, 20))
def test_the_charge_is_the_sum_of_power_over_time(curve: tuple[ChargeCurve, float], share: float, hours: float) -> None:
    """Held against a thousand steps, each between the power at its two ends."""
    each, usable_kwh = curve
    charge = share * usable_kwh
    least = most = charge
    for step in range(1000):
        before, after = (each.charge_after(charge, hours * part / 1000) for part in (step, step + 1))
        least += each.power_at(after) * hours / 1000
        most += each.power_at(before) * hours / 1000
    assert least - 1e-6 <= each.charge_after(charge, hours) <= most + 1e-6


@given(curve=curves, share=shares, first=st.floats(0, 5), second=st.floats(0, 5))
def test_time_may_be_cut_anywhere(curve: tuple[ChargeCurve, float], share: float, first: float, second: float) -> None:
    each, usable_kwh = curve
    at_once = each.charge_after(share * usable_kwh, first + second)
    assert each.charge_after(each.charge_after(share * usable_kwh, first), second) == pytest.approx(at_once, abs=1e-9)


@given(curve=curves, share=shares, target=shares)
def test_the_time_to_a_charge_is_when_it_is_reached(curve: tuple[ChargeCurve, float], share: float, target: float) -> None:
    each, usable_kwh = curve
    hours = each.hours_to(share * usable_kwh, target * usable_kwh)
    assert each.charge_after(share * usable_kwh, hours) == pytest.approx(max(share, target) * usable_kwh, abs=1e-9)
    assert hours == 0 or target > share
