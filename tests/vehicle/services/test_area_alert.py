"""Area alert: what crosses which edge, when it is told, and what is no zone."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fleet.kernel.draws import Draws
from fleet.kernel.instants import HOUR, MINUTE, SECOND, Instant, from_datetime
from fleet.vehicle.geo import Path, distance_m, geodesic_m, offset, road_path
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.region import Place
from fleet.vehicle.services.area_alert import MARGIN_M, Watch, Watched
from fleet.vehicle.services.speed_alert import Limit
from fleet.vehicle.signals import DriveTo, ResetCar, SetPrivacy, SwitchOff
from fleet.wire.parameters import Zone
from tests.vehicle.car_lab import HOME, NOON_IN_JULY, SHOP, START, CarLab, drawn_driver, driver, equipment

CENTRE = (48.1, 11.5)
BERLIN = ZoneInfo("Europe/Berlin")


def circle(name: str = "zone", at: tuple[float, float] = CENTRE, radius_m: float = 1000.0, **others: Any) -> dict[str, Any]:
    return {"name": name, "latitude": at[0], "longitude": at[1], "radius_m": radius_m, **others}


def rectangle(name: str = "zone", at: tuple[float, float] = CENTRE, **others: Any) -> dict[str, Any]:
    return {"name": name, "latitude": at[0], "longitude": at[1], "width_m": 4000.0, "height_m": 1000.0, **others}


def watched(zone: dict[str, Any], here: tuple[float, float] = (48.0, 11.0)) -> Watched:
    return Watched(Zone(**zone), here)


def path(*points: tuple[float, float]) -> Path:
    """Return a path by metres east and north of CENTRE."""
    return Path([offset(*CENTRE, *point) for point in points])


# --- geometry


ROADS: list[tuple[dict[str, Any], list[tuple[float, float]], list[tuple[float, bool]]]] = [
    (circle(), [(-3000, 0), (3000, 0)], [(2025, True), (4025, False)]),  # enters at 975 m, leaves at 1025 m
    (circle(), [(-3000, 0), (0, 0)], [(2025, True)]),
    (circle(), [(-3000, 990), (3000, 990)], []),  # within the band only
    (circle(), [(-3000, 0), (-990, 0), (-3000, 0)], []),
    (circle(), [(-3000, 0), (-900, 0), (-1010, 0), (-900, 0), (-1100, 0)], [(2025, True), (2445, False)]),
    (circle(), [(-3000, 0), (-900, 0), (-1100, 0), (-900, 0)], [(2025, True), (2225, False), (2425, True)]),
    (rectangle(), [(-3000, 0), (3000, 0)], [(1025, True), (5025, False)]),
    (rectangle(), [(0, -2000), (0, 2000)], [(1525, True), (2525, False)]),
    (rectangle(), [(-3000, 490), (3000, 490)], []),
    (rectangle(), [(-3000, 2000), (3000, 2000)], []),
    (rectangle(), [(1900, -3000), (1900, 3000), (-1900, 3000), (-1900, -3000)],
     [(2525, True), (3525, False), (12325, True), (13325, False)]),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "points", "crossings"), ROADS)
def test_where_a_road_crosses_the_edge(
    zone: dict[str, Any], points: list[tuple[float, float]], crossings: list[tuple[float, bool]]
) -> None:
    """In only when well inside, out only when well outside; along the edge nothing happens."""
    found = watched(zone).crossings(path(*points), 0.0)
    assert [inward for _, inward in found] == [inward for _, inward in crossings]
    assert [at_m for at_m, _ in found] == pytest.approx([at_m for at_m, _ in crossings], abs=2.0)


def test_who_is_inside_leaves_first() -> None:
    zone = watched(circle(), offset(*CENTRE, 100, 0))
    assert zone.inside
    [(at_m, inward)] = zone.crossings(path((0, 0), (3000, 0)), 0.0)
    assert (round(at_m, -1), inward) == (1020, False)
    assert zone.crossings(path((0, 0), (3000, 0)), 2000.0) == [(2000.0, False)]


@pytest.mark.parametrize("number", range(40))
def test_crossings_are_those_that_one_sees_who_looks_every_metre(number: int) -> None:
    """Random roads through random circles and rectangles, held against the exact distance."""
    draws = Draws(number, "roads")
    end = offset(*CENTRE, draws.uniform(-8000, 8000), draws.uniform(-8000, 8000))
    road = road_path(draws, offset(*CENTRE, draws.uniform(-8000, 8000), -6000), end)
    radius = draws.uniform(100, 4000)
    zone = watched(circle(radius_m=radius), road.points[0])
    inside, seen = distance_m(*CENTRE, *road.points[0]) <= radius, []
    for metre in range(math.ceil(road.length_m)):
        away = distance_m(*CENTRE, *road.position_at(metre))
        if away >= radius + MARGIN_M if inside else away < radius - MARGIN_M:
            inside = not inside
            seen.append((metre, inside))
    found = zone.crossings(road, 0.0)
    assert [inward for _, inward in found] == [inward for _, inward in seen]
    for (at_m, _), (seen_m, _) in zip(found, seen, strict=True):
        # Where the road grazes the edge a centimetre across is metres along.
        assert distance_m(*CENTRE, *road.position_at(at_m)) == pytest.approx(
            distance_m(*CENTRE, *road.position_at(seen_m)), abs=2.0
        )


@pytest.mark.parametrize("latitude", [0.0, 36.0, 48.0, 60.0, 70.0])
@pytest.mark.parametrize("radius_m", [100.0, 5_000.0, 50_000.0])
def test_a_circle_is_round_on_the_earth(latitude: float, radius_m: float) -> None:
    """By the geodesic the edge is where it should be, to half a percent of the radius."""
    centre = (latitude, 11.5)
    zone = watched(circle(at=centre, radius_m=radius_m), (latitude + 2, 11.5))
    for bearing in range(0, 360, 30):
        east, north = math.sin(math.radians(bearing)), math.cos(math.radians(bearing))
        start = offset(*centre, east * radius_m * 1.5, north * radius_m * 1.5)
        road = Path([start, centre])
        [(at_m, inward)] = zone.crossings(road, 0.0)
        assert inward
        assert geodesic_m(*centre, *road.position_at(at_m)) == pytest.approx(radius_m - MARGIN_M, abs=1 + 0.005 * radius_m)


# --- time


def local(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=BERLIN))


@pytest.mark.parametrize(
    ("words", "at", "wanted"),
    [
        ({}, "2026-03-02T03:00", True),
        ({"days": "working_days"}, "2026-03-06T23:59:59", True),
        ({"days": "working_days"}, "2026-03-07T00:00", False),
        ({"days": "weekend"}, "2026-03-08T23:59:59", True),
        ({"days": "weekend"}, "2026-03-09T00:00", False),
        ({"begins": "18:00", "ends": "20:00"}, "2026-03-02T18:00", True),
        ({"begins": "18:00", "ends": "20:00"}, "2026-03-02T17:59:59", False),
        ({"begins": "18:00", "ends": "20:00"}, "2026-03-02T20:00", False),
        ({"begins": "22:00", "ends": "06:00"}, "2026-03-02T23:30", True),
        ({"begins": "22:00", "ends": "06:00"}, "2026-03-03T05:59", True),
        ({"begins": "22:00", "ends": "06:00"}, "2026-03-03T06:00", False),
        # A window over midnight belongs to the day on which it began: Friday night is no weekend, Sunday night is.
        ({"begins": "22:00", "ends": "06:00", "days": "weekend"}, "2026-03-07T01:00", False),
        ({"begins": "22:00", "ends": "06:00", "days": "weekend"}, "2026-03-09T01:00", True),
        ({"begins": "22:00", "ends": "06:00", "days": "working_days"}, "2026-03-07T01:00", True),
        # The clocks go forward at 2 h on 29 March, and back at 3 h on 25 October.
        ({"begins": "01:30", "ends": "03:30"}, "2026-03-29T03:15", True),
        ({"begins": "03:30", "ends": "05:00"}, "2026-03-29T03:15", False),
        ({"begins": "02:30", "ends": "04:00"}, "2026-10-25T03:30", True),
    ],
    ids=str,
)
def test_days_and_times(words: dict[str, Any], at: str, *, wanted: bool) -> None:
    """By the car's own clock, right across midnight and when the clocks change."""
    assert watched(circle(**words)).wants(entering=True, now=local(at), clock=BERLIN) == wanted


@pytest.mark.parametrize(("on", "entering", "leaving"), [("enter", True, False), ("leave", False, True), ("both", True, True)])
def test_which_way(on: str, *, entering: bool, leaving: bool) -> None:
    zone = watched(circle(on=on))
    assert zone.wants(entering=True, now=START, clock=BERLIN) == entering
    assert zone.wants(entering=False, now=START, clock=BERLIN) == leaving


# --- in the car


def lab(start: Instant = START) -> CarLab:
    return CarLab(equipment(build_week=202225), driver(), start=start)


def about(place: Place, name: str = "zone", radius_m: float = 500.0, **others: Any) -> dict[str, Any]:
    return circle(name, place.position, radius_m, **others)


def told(car: CarLab) -> list[tuple[str, str]]:
    return [(event.data["zone"], event.data["direction"]) for event in car.events("area_alert")]


def test_from_home_to_the_shop() -> None:
    """Leaving one zone and entering the other, each at its place and time; who is inside when a zone is set gives no alert."""
    car = lab()
    assert car.outcome("area_alert", zones=[about(HOME, "home"), about(SHOP, "shop")]) == ("succeeded", None)
    assert told(car) == []
    car.put(DriveTo(SHOP))
    journey = car.car.journey
    assert journey is not None
    car.arrive()
    assert told(car) == [("home", "leave"), ("shop", "enter")]
    for event, place, edge_m in zip(car.events("area_alert"), (HOME, SHOP), (525.0, 475.0), strict=True):
        true = journey.path.position_at(journey.profile.distance_at(event.captured_at - journey.move_at))
        assert distance_m(*place.position, *true) == pytest.approx(edge_m, abs=1.0)
        fix = (event.data["latitude"], event.data["longitude"])
        assert 0 < distance_m(*true, *fix) < 30
        assert 4 < event.data["accuracy_m"] < 12
    car.run_for(5 * MINUTE)
    car.drive(HOME)
    assert told(car)[2:] == [("shop", "leave"), ("home", "enter")]


def test_only_the_way_and_the_time_that_were_asked_for() -> None:
    car = lab()  # 6 h on a Monday in Munich
    zones = [
        about(HOME, "in", on="enter"),
        about(HOME, "out", on="leave"),
        about(HOME, "early", begins="05:00", ends="06:10"),
        about(HOME, "weekend", days="weekend"),
    ]
    car.outcome("area_alert", zones=zones)
    car.put(DriveTo(SHOP))
    car.arrive()
    assert told(car) == [("out", "leave"), ("early", "leave")]
    car.run_for(20 * MINUTE)
    car.drive(HOME)
    assert told(car)[2:] == [("in", "enter")]


def test_a_new_list_replaces_the_old_one() -> None:
    car = lab()
    car.outcome("area_alert", zones=[about(HOME, "old"), about(SHOP, "older")])
    car.outcome("area_alert", zones=[about(SHOP, "new")])
    car.drive(SHOP)
    assert told(car) == [("new", "enter")]
    car.outcome("area_alert", zones=[])
    car.drive(HOME)
    assert told(car) == [("new", "enter")]
    assert find(car.car, Watch) is None


def test_set_on_the_way() -> None:
    """What lies behind the car is left; what is ahead is entered; what it is in is told when it leaves."""
    car = lab()
    car.put(DriveTo(SHOP))
    car.run_for(4 * MINUTE)
    here = car.car.true_position(car.now)
    behind = distance_m(*HOME.position, *here)
    car.outcome(
        "area_alert",
        wait=SECOND,
        zones=[
            about(HOME, "behind", radius_m=max(100.0, behind - 200)),
            circle("here", here, 400.0),
            about(SHOP, "ahead", radius_m=300.0),
        ],
    )
    car.arrive()
    assert told(car) == [("here", "leave"), ("ahead", "enter")]


def test_a_drive_that_is_broken_off() -> None:
    """What lies beyond the point where it ends is not told; the drive on from there is planned anew."""
    car = lab()
    car.outcome("area_alert", zones=[about(SHOP, "shop")])
    car.put(DriveTo(SHOP))
    car.run_for(3 * MINUTE)
    car.put(SwitchOff())
    car.run_for(2 * HOUR)
    assert told(car) == []
    car.drive(SHOP)
    assert told(car) == [("shop", "enter")]


def test_a_position_that_must_not_leave() -> None:
    """In a privacy mode without position no alert leaves the car and no zone can be set; the zones are watched on."""
    car = CarLab(equipment("Born", "electric", build_week=202301), driver())
    car.outcome("area_alert", zones=[about(HOME)])
    car.put(SetPrivacy("online"))
    car.drive(SHOP)
    assert told(car) == []
    assert car.outcome("area_alert", zones=[]) == ("rejected", "privacy_location")
    car.put(SetPrivacy("online_with_location"))
    car.drive(HOME)
    assert told(car) == [("zone", "enter")]


def test_a_reset_forgets_the_zones_and_the_limit() -> None:
    car = lab()
    car.outcome("area_alert", zones=[about(HOME)])
    car.outcome("speed_alert", limit_kmh=30)
    car.put(ResetCar())
    car.drive(SHOP)
    assert (find(car.car, Watch), find(car.car, Limit)) == (None, None)
    assert told(car) == []


def test_setting_zones_leaves_nothing_behind() -> None:
    """However often they are set."""
    car = lab(NOON_IN_JULY)
    for number in range(50):
        car.outcome("area_alert", zones=[about(SHOP, f"zone {number}")], wait=2 * MINUTE)
    assert len(car.car.agenda) < 8
    assert find(car.car, Watch) is not None
    assert len(obtain(car.car, Watch).watched) == 1


NAN = math.nan
BAD: list[tuple[Any, str, str]] = [
    ([about(HOME, radius_m=0.0)], "argument_out_of_range", "radius_m is 0"),
    ([about(HOME, radius_m=-500.0)], "argument_out_of_range", "radius_m is -500"),
    ([about(HOME, radius_m=99.9)], "argument_out_of_range", "radius_m"),
    ([about(HOME, radius_m=50_001.0)], "argument_out_of_range", "radius_m"),
    ([about(HOME, radius_m=NAN)], "argument_out_of_range", "radius_m is nan"),
    ([about(HOME, radius_m=math.inf)], "argument_out_of_range", "radius_m is inf"),
    ([circle(at=(NAN, 11.0))], "argument_out_of_range", "latitude is nan"),
    ([circle(at=(48.0, NAN))], "argument_out_of_range", "longitude is nan"),
    ([circle(at=(91.0, 11.0))], "argument_out_of_range", "latitude is 91"),
    ([circle(at=(48.0, 180.5))], "argument_out_of_range", "longitude is 180.5"),
    ([circle(at=(48.0, 179.99))], "argument_out_of_range", "date line"),
    ([circle(at=(48.0, -179.99))], "argument_out_of_range", "date line"),
    ([circle(at=(90.0, 0.0))], "argument_out_of_range", "85 degrees"),
    ([circle(at=(-90.0, 0.0))], "argument_out_of_range", "85 degrees"),
    ([circle(at=(84.995, 0.0))], "argument_out_of_range", "85 degrees"),
    ([rectangle(at=(0.0, 179.985))], "argument_out_of_range", "date line"),
    ([rectangle(width_m=0.0)], "argument_out_of_range", "width_m is 0"),
    ([rectangle(height_m=199.0)], "argument_out_of_range", "height_m is 199"),
    ([rectangle(radius_m=500.0)], "argument_out_of_range", "either radius_m"),
    ([{"name": "a", "latitude": 48.0, "longitude": 11.0}], "argument_out_of_range", "either radius_m"),
    ([{"name": "a", "latitude": 48.0, "longitude": 11.0, "width_m": 500.0}], "argument_out_of_range", "either radius_m"),
    ([circle(name="")], "argument_out_of_range", "no name"),
    ([circle(name="  ")], "argument_out_of_range", "no name"),
    ([circle(name="x" * 41)], "argument_out_of_range", "41 characters"),
    ([circle("same"), circle("same")], "argument_out_of_range", "item 2: another zone is named 'same'"),
    ([circle(str(number)) for number in range(5)], "argument_out_of_range", "5 items"),
    ([circle(begins="25:00", ends="06:00")], "argument_out_of_range", "25:00"),
    ([circle(begins="6:00", ends="07:00")], "argument_out_of_range", "6:00"),
    ([circle(begins="06:00")], "argument_out_of_range", "go together"),
    ([circle(days="monday")], "malformed", "days"),
    ([circle(on="pass")], "malformed", "on"),
    ([circle(colour="red")], "malformed", "colour"),
    ([{**circle(), "radius_m": "500"}], "malformed", "radius_m"),
    ([{"latitude": 48.0, "longitude": 11.0, "radius_m": 500.0}], "malformed", "name"),
    ([[48.0, 11.0]], "malformed", "zones"),
    ("home", "malformed", "zones"),
    (None, "malformed", "zones"),
]


@pytest.mark.parametrize(("zones", "reason", "words"), BAD, ids=[f"{n}-{each[2]}" for n, each in enumerate(BAD)])
def test_what_is_no_zone_changes_nothing(zones: Any, reason: str, words: str) -> None:
    """One bad zone and the whole list is refused, with its reason; the zones of before are watched on."""
    car = lab()
    car.outcome("area_alert", zones=[about(SHOP, "kept")])
    before = find(car.car, Watch)
    assert before is not None
    command = car.command("area_alert", zones=zones)
    car.run_for(80 * SECOND)
    answer = car.responses(command)[-1]
    assert (answer.state, answer.reason) == ("rejected", reason)
    assert words in (answer.detail or "")
    assert find(car.car, Watch) is before


def test_extra_and_missing_words() -> None:
    car = lab()
    assert car.outcome("area_alert") == ("rejected", "malformed")
    assert car.outcome("area_alert", zones=[], more=1) == ("rejected", "malformed")


def test_a_car_of_an_earlier_week() -> None:
    """Built before week 25 of 2022: refused whatever the zones are, and nothing is watched."""
    car = CarLab(equipment(build_week=202224), driver())
    assert car.outcome("area_alert", zones=[about(SHOP)]) == ("rejected", "not_equipped")
    assert find(car.car, Watch) is None


@pytest.mark.parametrize("number", range(12))
def test_enter_and_leave_take_turns(number: int) -> None:
    """Over days of anybody's driving every zone is entered and left in turn, and entered only where it is."""
    person = drawn_driver(number, "commuter")
    car = CarLab(equipment(build_week=202225, number=number), person, number=number)
    zones = [about(person.home, "home"), about(person.work, "work", radius_m=1500.0), circle("town", (48.137, 11.575), 5000.0)]
    car.outcome("area_alert", zones=zones)
    car.run_until(from_datetime(datetime(2026, 3, 7, tzinfo=UTC)))
    assert ("home", "leave") in told(car)
    for name in ("home", "work", "town"):
        ways = [way for zone, way in told(car) if zone == name]
        assert all(one != other for one, other in pairwise(ways))
