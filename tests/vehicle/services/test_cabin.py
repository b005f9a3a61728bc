"""The inside temperature: continuous, right in its limits, and the same however often it is asked."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, from_datetime
from fleet.vehicle.services import cabin
from fleet.vehicle.services.cabin import COMFORT_C, COOLS_IN, SUN_C, Cabin
from fleet.vehicle.signals import SwitchOff, SwitchOn
from tests.vehicle.car_lab import NOON_IN_JULY, START, CarLab, equipment

MIDNIGHT = from_datetime(datetime(2026, 1, 14, 0, 0, tzinfo=UTC))
degrees = st.floats(-40, 60)


@given(gap_c=degrees, end_c=degrees, minutes=st.integers(0, 2000))
def test_it_nears_its_end_and_never_passes_it(gap_c: float, end_c: float, minutes: int) -> None:
    """The gap dies away by its time constant, from whichever side."""
    box = Cabin(START, gap_c, 10 * MINUTE, end_c)
    inside_c = box.inside_c(START + minutes * MINUTE, left_alone_c=99.0)
    assert inside_c - end_c == pytest.approx(gap_c * math.exp(-minutes / 10), abs=1e-9)
    assert min(end_c, end_c + gap_c) - 1e-9 <= inside_c <= max(end_c, end_c + gap_c) + 1e-9
    assert box.reached_at() is None


@given(inside_c=degrees, end_c=degrees, share=st.floats(0.001, 0.999))
def test_a_goal_on_the_way_is_reached_when_it_says_and_held(inside_c: float, end_c: float, share: float) -> None:
    """To the second; before it the goal is not reached, after it the inside stays there."""
    goal_c = inside_c + share * (end_c - inside_c)
    box = Cabin(START, inside_c - end_c, 10 * MINUTE, end_c, goal_c)
    reached_at = box.reached_at()
    if abs(inside_c - end_c) < 1e-3:
        return  # nothing to speak of
    assert reached_at is not None
    assert box.inside_c(reached_at + SECOND, 0.0) == goal_c
    assert box.inside_c(reached_at + 5 * HOUR, 0.0) == goal_c
    if reached_at > START + SECOND:
        assert abs(box.inside_c(reached_at - SECOND, 0.0) - inside_c) < abs(goal_c - inside_c)


@pytest.mark.parametrize(("inside_c", "end_c", "goal_c"), [(-20, 15, 22), (40, 30, 22)])
def test_a_goal_beyond_the_end_is_never_reached(inside_c: float, end_c: float, goal_c: float) -> None:
    box = Cabin(START, inside_c - end_c, 10 * MINUTE, end_c, goal_c)
    assert box.reached_at() is None
    assert box.inside_c(START + DAY, 0.0) == pytest.approx(end_c)


def test_where_it_is_already_it_is_reached_at_once() -> None:
    assert Cabin(START, 8.0, 10 * MINUTE, 14.0, 22.0).reached_at() == START


@pytest.mark.parametrize(
    ("latitude", "longitude", "moment", "sine"),
    [
        (48.1, 11.6, datetime(2026, 6, 21, 11, 14, tzinfo=UTC), math.sin(math.radians(90 - 48.1 + 23.44))),
        (48.1, 11.6, datetime(2026, 12, 21, 11, 14, tzinfo=UTC), math.sin(math.radians(90 - 48.1 - 23.44))),
        (0.0, 0.0, datetime(2026, 3, 20, 12, 7, tzinfo=UTC), 1.0),
        (0.0, 0.0, datetime(2026, 3, 20, 18, 7, tzinfo=UTC), 0.0),
        (0.0, 90.0, datetime(2026, 3, 20, 6, 7, tzinfo=UTC), 1.0),
        (48.1, 11.6, datetime(2026, 6, 21, 23, 14, tzinfo=UTC), -math.sin(math.radians(90 - 48.1 - 23.44))),
    ],
)
def test_the_sun_stands_where_the_almanac_says(latitude: float, longitude: float, moment: datetime, sine: float) -> None:
    assert cabin.sine_of_sun(latitude, longitude, from_datetime(moment)) == pytest.approx(sine, abs=0.04)


def test_a_car_that_nobody_uses_is_as_warm_as_outside_and_warmer_in_the_sun() -> None:
    lab = CarLab()
    assert cabin.inside_c(lab.car, MIDNIGHT) == cabin.outside_c(lab.car, MIDNIGHT)
    sun_c = cabin.inside_c(lab.car, NOON_IN_JULY) - cabin.outside_c(lab.car, NOON_IN_JULY)
    assert 0.8 * SUN_C < sun_c < SUN_C


def test_a_drive_makes_it_comfortable_and_it_cools_down_again() -> None:
    """Without a jump at either end; after hours it is as if nobody had driven."""
    lab = CarLab(start=MIDNIGHT)
    cold_c = cabin.inside_c(lab.car, lab.now)
    lab.put(SwitchOn())
    assert cabin.inside_c(lab.car, lab.now) == pytest.approx(cold_c)
    lab.put(SwitchOff(), lab.now + 40 * MINUTE)
    warm_c = cabin.inside_c(lab.car, lab.now)
    assert warm_c == pytest.approx(COMFORT_C, abs=0.1)
    lab.run_for(COOLS_IN)
    outside_c = cabin.outside_c(lab.car, lab.now)
    at_start_c = cabin.outside_c(lab.car, lab.now - COOLS_IN)
    assert cabin.inside_c(lab.car, lab.now) - outside_c == pytest.approx((warm_c - at_start_c) / math.e, abs=0.01)
    lab.run_for(5 * HOUR)
    assert cabin.inside_c(lab.car, lab.now) == pytest.approx(cabin.left_alone_c(lab.car, lab.now), abs=0.1)


def test_the_status_tells_both_temperatures() -> None:
    """The sensors are read once a minute; window heating is told by cars that have it."""
    lab = CarLab(equipment("Born", "electric", window_heating=True), start=MIDNIGHT + 30 * SECOND)
    lab.outcome("refresh")
    climate = lab.statuses("refresh")[-1].climate
    assert climate is not None
    read_at = lab.statuses("refresh")[-1].captured_at // MINUTE * MINUTE
    assert climate.inside_c == climate.outside_c == round(cabin.outside_c(lab.car, read_at), 1)
    assert (climate.state, climate.target_c, climate.window_heating) == ("off", None, False)
    plain = CarLab(equipment("Leon", "petrol"))
    plain.outcome("refresh")
    assert plain.statuses("refresh")[-1].climate.window_heating is None  # type: ignore[union-attr]
