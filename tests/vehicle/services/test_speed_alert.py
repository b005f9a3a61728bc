"""Speed alert: one alert for one overspeeding, computed beforehand from how the drive will be driven."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from fleet.kernel.draws import Draws
from fleet.kernel.instants import MILLISECOND, MINUTE, SECOND
from fleet.vehicle.kept import find
from fleet.vehicle.kinematics import SpeedPiece, speed_plan
from fleet.vehicle.region import Place
from fleet.vehicle.services.speed_alert import AGAIN_BELOW_KMH, LASTS, Limit, alerts
from fleet.vehicle.signals import DriveTo
from fleet.vehicle.track import TrackProfile
from tests.vehicle.car_lab import CarLab, driver, equipment

FAR = Place(48.60, 12.10, "Landshut", "errand")
"""Some 60 km from home: town, country road and motorway."""


def pieces(*speeds: float, each_s: float = 10.0) -> list[SpeedPiece]:
    """Return pieces of ten seconds from one of these speeds (km/h) to the next."""
    us = each_s * SECOND
    return [SpeedPiece(number * us, (number + 1) * us, begin, end) for number, (begin, end) in enumerate(pairwise(speeds))]


@pytest.mark.parametrize(
    ("speeds", "at_s"),
    [
        ((0, 100, 100, 0), []),
        ((0, 99, 100.0, 0), []),
        ((0, 200, 0), [8]),  # faster than 100 from second 5 on, told 3 s later
        ((0, 200, 200, 200, 0), [8]),
        ((0, 200, 96, 200, 0), [8]),  # not slow enough between for a second one
        ((0, 200, 94, 200, 0), [8, pytest.approx(20 + 6 / 10.6 + 3)]),
        ((0, 200, 0, 200, 0), [8, 28]),
        ((0, 101, 0), []),  # faster for 0.2 s only
        ((200, 200), [3]),
        ((104, 104), [3]),
    ],
    ids=str,
)
def test_one_overspeeding_is_one_alert(speeds: tuple[float, ...], at_s: list[Any]) -> None:
    assert [at / SECOND for at in alerts(pieces(*speeds), 100.0)] == at_s


def test_what_was_driven_before_does_not_count() -> None:
    """Somebody who sets the limit while the car is too fast is told after three seconds."""
    assert alerts(pieces(0, 200, 200, 0), 100.0, 12 * SECOND) == [15 * SECOND]
    assert alerts(pieces(0, 200, 200, 0), 100.0, 6 * SECOND) == [9 * SECOND]
    assert alerts(pieces(0, 200, 0, 0), 100.0, 14 * SECOND) == []


def test_a_track_jumps_from_speed_to_speed() -> None:
    profile = TrackProfile([0, 10 * SECOND, 20 * SECOND, 20 * SECOND, 30 * SECOND], [0.0, 100.0, 500.0, 500.0, 600.0])
    assert [piece.begin_kmh for piece in profile.pieces()] == pytest.approx([36, 144, 36])
    assert alerts(profile.pieces(), 100.0) == [13 * SECOND]


@pytest.mark.parametrize("number", range(20))
def test_pieces_are_the_speeds_of_the_profile(number: int) -> None:
    """Without a hole, and the alerts are those that one sees who looks every 10 ms."""
    profile = speed_plan(Draws(number, "test"), 60_000.0)
    held = list(profile.pieces())
    assert held[0].begin_us == 0
    assert held[-1].end_us == profile.duration_us
    for before, after in pairwise(held):
        assert before.end_us == after.begin_us
    for piece in held:
        middle_us = (piece.begin_us + piece.end_us) / 2
        assert profile.speed_at(round(middle_us)) == pytest.approx((piece.begin_kmh + piece.end_kmh) / 2, abs=0.001)
    limit = 80.0 + 2 * number
    step = 10 * MILLISECOND
    seen, since, armed = [], None, True
    for at in range(0, profile.duration_us, step):
        speed = profile.speed_at(at)
        since = None if speed <= limit else at if since is None else since
        armed = armed or speed < limit - AGAIN_BELOW_KMH
        if armed and since is not None and at - since >= LASTS:
            seen.append(at)
            armed = False
    assert alerts(held, limit) == pytest.approx(seen, abs=3 * step)


# --- in the car


def drive(lab: CarLab, place: Place = FAR) -> None:
    lab.put(DriveTo(place))
    lab.arrive()


def test_a_drive_on_the_motorway() -> None:
    """The event says how fast, what was allowed, and where; each alert is of another overspeeding."""
    lab = CarLab(equipment(build_week=202225))
    assert lab.outcome("speed_alert", limit_kmh=80) == ("succeeded", None)
    lab.put(DriveTo(FAR))
    journey = lab.car.journey
    assert journey is not None
    lab.arrive()
    found = lab.events("speed_alert")
    assert found
    expected = [journey.move_at + at for at in alerts(journey.profile.pieces(), 80.0)]
    assert [event.captured_at for event in found] == expected
    for event in found:
        assert event.data["limit_kmh"] == 80
        assert event.data["speed_kmh"] == round(journey.profile.speed_at(event.captured_at - journey.move_at), 1) > 80
        latitude, longitude = journey.path.position_at(journey.profile.distance_at(event.captured_at - journey.move_at))
        assert event.data["latitude"] == pytest.approx(latitude, abs=0.0005)
        assert event.data["longitude"] == pytest.approx(longitude, abs=0.0005)


def test_stop_and_a_limit_that_nobody_reaches() -> None:
    lab = CarLab(equipment(build_week=202225))
    lab.outcome("speed_alert", limit_kmh=250)
    drive(lab)
    lab.run_for(5 * MINUTE)
    lab.outcome("speed_alert", limit_kmh=50)
    assert lab.outcome("speed_alert", action="stop") == ("succeeded", None)
    drive(lab, Place(48.137, 11.575, "München", "home"))
    assert lab.events("speed_alert") == []


def test_set_and_stopped_on_the_way() -> None:
    """A limit set on the motorway counts from there; one that was taken back, or replaced, is silent."""
    lab = CarLab(equipment(build_week=202225))
    lab.put(DriveTo(FAR))
    lab.run_for(20 * MINUTE)
    assert lab.car.state(lab.now) == "driving"
    lab.outcome("speed_alert", limit_kmh=50)
    lab.outcome("speed_alert", action="stop", wait=SECOND)
    told = len(lab.events("speed_alert"))
    lab.run_for(3 * MINUTE)
    assert len(lab.events("speed_alert")) == told
    lab.outcome("speed_alert", limit_kmh=40)
    lab.outcome("speed_alert", limit_kmh=60)
    lab.arrive()
    assert {event.data["limit_kmh"] for event in lab.events("speed_alert")[told:]} <= {60, 40}
    assert [event.data["limit_kmh"] for event in lab.events("speed_alert")][-1] == 60


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"limit_kmh": 20}, "argument_out_of_range"),
        ({"limit_kmh": 260}, "argument_out_of_range"),
        ({"limit_kmh": 95}, "argument_out_of_range"),
        ({"limit_kmh": -100}, "argument_out_of_range"),
        ({"limit_kmh": 120.5}, "malformed"),
        ({"limit_kmh": "120"}, "malformed"),
        ({"action": "pause"}, "malformed"),
        ({"limit_kmh": 120, "limit_mph": 75}, "malformed"),
    ],
    ids=str,
)
def test_what_is_wrong_changes_nothing(parameters: dict[str, Any], reason: str) -> None:
    lab = CarLab(equipment(build_week=202225))
    lab.outcome("speed_alert", limit_kmh=100)
    before = find(lab.car, Limit)
    assert before is not None
    assert lab.outcome("speed_alert", **parameters) == ("rejected", reason)
    assert find(lab.car, Limit) is before


@pytest.mark.parametrize(("week", "reason"), [(202224, "not_equipped"), (202225, None), (202301, None)])
def test_only_cars_built_since(week: int, reason: str | None) -> None:
    """Area and speed alert came in week 25 of 2022."""
    lab = CarLab(equipment(build_week=week))
    for name, parameters in (("speed_alert", {"limit_kmh": 120}), ("area_alert", {"zones": []})):
        assert lab.outcome(name, **parameters)[1] == reason


def test_while_driving_and_asleep() -> None:
    """In any state; a sleeping car wakes for it."""
    lab = CarLab(equipment(build_week=202225), driver())
    assert not lab.car.is_awake(lab.now)
    assert lab.outcome("speed_alert", limit_kmh=30) == ("succeeded", None)
    lab.put(DriveTo(FAR))
    lab.run_for(5 * MINUTE)
    assert lab.outcome("speed_alert", limit_kmh=50) == ("succeeded", None)
