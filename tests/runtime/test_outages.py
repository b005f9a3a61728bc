"""Where and when there is no network by the scenario: dead zones on the way and outages of the day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.draws import Draws
from fleet.kernel.instants import MINUTE, SECOND
from fleet.runtime.outages import NetworkOutages
from fleet.vehicle.geo import Path, distance_m, offset, road_path
from tests.runtime.stage_lab import StageLab, staged

CENTRE = (48.137, 11.575)
FLEET = (
    "  - {{name: leons, count: 4, models: {{Leon: 1}}, profile: parked, coverage: {{{}}},"
    " places: {{parked_at: {{latitude: 48.16, longitude: 11.66, spread: 300 m}}}}}}\n"
)

TO_THE_ZONE = "timeline: [{at: 1 min, do: drive, to: {latitude: 48.137, longitude: 11.575}, cars: {index: 0}}]\n"


def lab(coverage: str, body: str = "") -> StageLab:
    return StageLab(staged(body, fleets=FLEET.format(coverage)))


@given(st.integers(0, 10**6), st.floats(-9_000, 9_000), st.floats(-9_000, 9_000), st.floats(50, 6_000))
def test_stretches_are_where_the_path_is_near(seed: int, east_m: float, north_m: float, radius_m: float) -> None:
    """Every point of a road is within the circle if and only if it lies in a stretch, but for a hair at the edge."""
    road = road_path(Draws(seed, "road"), CENTRE, offset(*CENTRE, 12_000, 3_000))
    centre = offset(*CENTRE, east_m, north_m)
    stretches = road.stretches_within(centre, radius_m)
    for step in range(200):
        at_m = road.length_m * step / 199
        away_m = distance_m(*centre, *road.position_at(at_m))
        if abs(away_m - radius_m) > 0.008 * radius_m + 5:
            assert any(begin <= at_m <= end for begin, end in stretches) is (away_m < radius_m)


def test_stretches_of_neighbouring_legs_meet() -> None:
    """A circle over a corner gives two stretches without a gap between them."""
    path = Path((CENTRE, offset(*CENTRE, 5_000, 0), offset(*CENTRE, 5_000, 5_000)))
    (_, end), (begin, _) = path.stretches_within(path.points[1], 800)
    assert begin == end
    assert path.stretches_within(offset(*CENTRE, -5_000, -5_000), 800) == []


def test_a_car_is_gone_while_it_is_in_a_dead_zone() -> None:
    """From where its road enters the zone to the end, which lies in it; and it comes back when it leaves."""
    zone = (
        "dead_zones: [{latitude: 48.137, longitude: 11.575, radius: 1.5 km}, {latitude: 48.140, longitude: 11.575, radius: 1 km}]"
    )
    made = lab(zone, TO_THE_ZONE.replace("}]", "}, {at: 50 min, do: drive, to: home, cars: {index: 0}}]"))
    car = made.cars[0]
    assert car.outbox.has_coverage
    was_gone = False
    for _ in range(1_400):
        made.pass_for(2 * SECOND)
        now = made.clock.now()
        away_m = min(
            distance_m(*centre, *car.true_position(now)) - radius
            for centre, radius in ((CENTRE, 1_500), ((48.140, 11.575), 1_000))
        )
        if abs(away_m) > 100:
            assert car.outbox.has_coverage is (away_m > 0)
        was_gone = was_gone or not car.outbox.has_coverage
    assert was_gone
    assert car.state(made.clock.now()) == "parked"
    made.pass_for(59 * MINUTE - (made.clock.now() - made.start))
    assert car.outbox.has_coverage is (distance_m(*CENTRE, *car.true_position(made.clock.now())) > 1_500)


def test_a_car_that_stands_in_a_dead_zone_is_not_there() -> None:
    """It never connects, whatever coverage its place has."""
    made = lab(
        "dead_zones: [{latitude: 48.1, longitude: 11.5, radius: 400 km}]", "timeline: [{at: 5 min, do: regain_coverage}]\n"
    )
    made.pass_for(10 * MINUTE)
    assert [car.connection(made.clock.now()) for car in made.cars] == ["offline"] * 4


def test_an_outage_takes_the_network_from_all_and_gives_it_back() -> None:
    """06:10 local time is ten minutes in; a garage stays one afterwards."""
    made = lab(
        "outages: [06:10-06:20]",
        "timeline: [{at: 15 min, do: lose_coverage, cars: {index: 1}}, {at: 16 min, do: regain_coverage}]\n",
    )
    seen = []
    for _ in range(5):
        made.pass_for(5 * MINUTE)
        seen.append([car.outbox.has_coverage for car in made.cars])
    assert seen == [[True] * 4, [False] * 4, [False] * 4, [True] * 4, [True] * 4]
    held = lab("outages: [06:10-06:20]", "timeline: [{at: 15 min, do: lose_coverage, cars: {index: 1}}]\n")
    held.pass_for(21 * MINUTE)
    assert [car.outbox.has_coverage for car in held.cars] == [True, False, True, True]


@pytest.mark.parametrize(
    ("spans", "changes"),
    [
        ([(1, 3), (5, 6)], [1, 3, 5, 6]),
        ([(5, 6), (1, 3)], [1, 3, 5, 6]),
        ([(1, 3), (2, 6)], [1, 6]),
        ([(1, 9), (2, 6), (9, 12)], [1, 12]),
        ([], []),
    ],
)
def test_overlapping_outages_are_one(spans: list[tuple[int, int]], changes: list[int]) -> None:
    """The network does not come back in the middle of one because another ends."""
    actor = NetworkOutages([], spans)
    found = []
    while (at := actor.deadline()) is not None:
        found.append(at)
        actor.wake(at)
    assert found == changes
