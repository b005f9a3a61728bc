"""Routes: sent by a user, offered at the ignition, downloaded, kept, followed; and each reason why not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.geo import distance_m
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.services.routes import ROUTES_MOST, SEVERAL_ROUTES_FROM, WAITING_TIME, Routes
from fleet.vehicle.signals import ClearRoutes, FollowRoute, ResetCar, SetCoverage, SwitchOff, SwitchOn
from tests.vehicle.car_lab import HOME, SHOP, WORK, CarLab, equipment

OK = ("succeeded", None)
OUT_OF_RANGE = ("rejected", "argument_out_of_range")
HERE: dict[str, Any] = {"latitude": SHOP.latitude, "longitude": SHOP.longitude}
THERE: dict[str, Any] = {"latitude": WORK.latitude, "longitude": WORK.longitude, "name": "work"}
ONE = {"waypoints": [THERE]}


def navi(model: str = "Leon", energy: str = "petrol", week: int = 202310) -> Equipment:
    return equipment(model, energy, media="navi_system", build_week=week)


def lab_with(*trips: dict[str, Any], week: int = 202310) -> CarLab:
    """Return a car that was sent these trips."""
    lab = CarLab(navi(week=week))
    lab.wake()
    for trip in trips:
        assert lab.outcome("route_import", trips=[trip], wait=0) == OK
    return lab


def told(lab: CarLab) -> list[tuple[str, int]]:
    return [(event.name, event.data["count"]) for event in lab.events() if event.name.startswith("route_")]


# --- arguments


def test_a_trip_is_taken_and_waits_for_the_ignition() -> None:
    """Succeeded means that the car has it; the driver hears of it when the ignition is on."""
    lab = lab_with(ONE)
    lab.run_for(10 * HOUR)
    assert told(lab) == []


@pytest.mark.parametrize("count", range(7))
def test_a_trip_has_1_to_4_waypoints(count: int) -> None:
    """The destination included; 0, 5 and 6 are refused and change nothing."""
    lab = CarLab(navi())
    outcome = lab.outcome("route_import", trips=[{"waypoints": [HERE] * count}])
    assert outcome == (OK if 1 <= count <= 4 else OUT_OF_RANGE)
    assert (find(lab.car, Routes) is None) == (outcome != OK)


@pytest.mark.parametrize("count", range(8))
def test_a_command_brings_1_to_5_trips(count: int) -> None:
    lab = CarLab(navi())
    assert lab.outcome("route_import", trips=[ONE] * count) == (OK if 1 <= count <= ROUTES_MOST else OUT_OF_RANGE)


@pytest.mark.parametrize("name", ["latitude", "longitude"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 180.5, -180.5])
def test_waypoints_that_are_none(name: str, value: float) -> None:
    """Also as the last of four, in the last of five trips: nothing of the command is taken."""
    lab = CarLab(navi())
    trips = [*[ONE] * 4, {"waypoints": [HERE, HERE, HERE, {**HERE, name: value}]}]
    assert lab.outcome("route_import", trips=trips) == OUT_OF_RANGE
    assert find(lab.car, Routes) is None


@pytest.mark.parametrize(
    "trips",
    [
        None,
        "home",
        [HERE],
        [{"waypoints": HERE}],
        [{"waypoints": [{"latitude": 48.1}]}],
        [{"waypoints": [{**HERE, "latitude": "48"}]}],
        [{"waypoints": [{**HERE, "altitude": 500}]}],
        [{"waypoints": [HERE], "colour": "red"}],
    ],
)
def test_malformed(trips: Any) -> None:
    """Wrong types, missing and extra fields, at any depth."""
    lab = CarLab(navi())
    assert lab.outcome("route_import", trips=trips) == ("rejected", "malformed")
    assert find(lab.car, Routes) is None


def test_without_trips_or_with_more_than_trips() -> None:
    assert CarLab(navi()).outcome("route_import") == ("rejected", "malformed")
    assert CarLab(navi()).outcome("route_import", trips=[ONE], where="home") == ("rejected", "malformed")


def test_names_are_short() -> None:
    lab = CarLab(navi())
    assert lab.outcome("route_import", trips=[{**ONE, "name": "x" * 41}]) == OUT_OF_RANGE
    assert lab.outcome("route_import", trips=[{"waypoints": [{**HERE, "name": "x" * 40}], "name": "x" * 40}]) == OK


# --- equipment, maps, the list


def test_it_needs_the_navi_system() -> None:
    lab = CarLab(equipment("Leon", "petrol", media="media_system"))
    assert lab.outcome("route_import", trips=[ONE]) == ("rejected", "not_equipped")


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(42.9, 11.5), (55.6, 11.5), (48.1, 1.9), (48.1, 19.6), (0.0, 0.0), (48.1, -180.0), (90.0, 0.0)]
)
def test_there_must_be_map_data(latitude: float, longitude: float) -> None:
    """Of a car from Munich it ends in all four directions; one waypoint beyond is enough."""
    lab = CarLab(navi())
    beyond = {"latitude": latitude, "longitude": longitude}
    assert lab.outcome("route_import", trips=[ONE, {"waypoints": [HERE, beyond]}]) == ("rejected", "no_map_data")
    assert find(lab.car, Routes) is None


def test_every_region_has_maps_of_itself() -> None:
    """Wherever a driver lives or goes."""
    from fleet.vehicle.place_region import PlaceRegion
    from fleet.vehicle.regions import load_regions
    from fleet.vehicle.town_region import TownRegion

    for region in load_regions().values():
        assert isinstance(region, TownRegion | PlaceRegion)
        places = region.towns if isinstance(region, TownRegion) else region.places
        assert all(region.has_map(place.latitude, place.longitude) for place in places)


@pytest.mark.parametrize(("held", "sent", "fits"), [(4, 1, True), (5, 1, False), (0, 5, True), (3, 3, False), (1, 4, True)])
def test_the_list_holds_5(held: int, sent: int, fits: bool) -> None:
    """Those that wait for the ignition and those in the list count together; what does not fit is not taken in part."""
    lab = lab_with(*[ONE] * held)
    assert lab.outcome("route_import", trips=[ONE] * sent, wait=0) == (OK if fits else ("rejected", "list_full"))
    assert find(lab.car, Routes) is None or obtain(lab.car, Routes).count == held + (sent if fits else 0)


def test_a_full_list_is_cleared_by_the_driver() -> None:
    """What still waits is not in it, and stays."""
    lab = lab_with(*[ONE] * 5)
    lab.put(ClearRoutes())
    assert lab.outcome("route_import", trips=[ONE], wait=0) == ("rejected", "list_full")
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    assert lab.outcome("route_import", trips=[ONE], wait=0) == ("rejected", "list_full")
    lab.put(ClearRoutes())
    assert lab.outcome("route_import", trips=[ONE], wait=0) == OK


def test_clearing_no_list() -> None:
    lab = CarLab(navi())
    lab.put(ClearRoutes())
    lab.put(FollowRoute())
    assert find(lab.car, Routes) is None
    assert lab.car.journey is None


# --- the older variant


@pytest.mark.parametrize(
    ("model", "energy", "week", "holds_one"),
    [
        ("Leon", "petrol", SEVERAL_ROUTES_FROM - 1, True),
        ("Leon", "petrol", SEVERAL_ROUTES_FROM, False),
        ("Born", "electric", SEVERAL_ROUTES_FROM - 1, False),
    ],
)
def test_an_older_car_holds_one_route(model: str, energy: str, week: int, holds_one: bool) -> None:
    """Of the third generation only; two at once are out of its range."""
    lab = CarLab(navi(model, energy, week))
    assert lab.outcome("route_import", trips=[ONE, ONE]) == (OUT_OF_RANGE if holds_one else OK)
    assert lab.outcome("route_import", trips=[ONE]) == OK


def test_there_a_new_route_takes_the_place_of_the_old() -> None:
    """Downloaded or not; the list is never full."""
    lab = lab_with(ONE, ONE, week=202101)
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 1), ("route_downloaded", 1)]
    assert lab.outcome("route_import", trips=[{"waypoints": [HERE]}], wait=0) == OK
    lab.put(SwitchOff())
    lab.put(SwitchOn(), lab.now + MINUTE)
    lab.run_for(MINUTE)
    [route] = obtain(lab.car, Routes).held
    assert route.waypoints[0].latitude == SHOP.latitude


# --- at the ignition


def test_offered_and_downloaded_at_the_next_ignition() -> None:
    """All that has arrived at once, within seconds, and once only."""
    lab = lab_with(ONE, ONE)
    on = lab.now
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 2), ("route_downloaded", 2)]
    offered, downloaded = lab.events("route_offered")[0], lab.events("route_downloaded")[0]
    assert offered.captured_at == on
    assert 4 * SECOND <= downloaded.captured_at - on <= 20 * SECOND
    assert downloaded.data["listed"] == 2
    lab.put(SwitchOff())
    lab.put(SwitchOn(), lab.now + MINUTE)
    lab.run_for(MINUTE)
    assert len(told(lab)) == 2


def test_one_that_comes_while_the_engine_runs_waits_for_the_next_ignition() -> None:
    lab = CarLab(navi())
    lab.put(SwitchOn())
    assert lab.outcome("route_import", trips=[ONE]) == OK
    lab.run_for(10 * MINUTE)
    assert told(lab) == []
    lab.put(SwitchOff())
    lab.put(SwitchOn(), lab.now + MINUTE)
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 1), ("route_downloaded", 1)]


def test_the_driver_is_told_once_there_is_coverage() -> None:
    """Without it nothing is offered; with it at once, though the engine has run for long."""
    lab = lab_with(ONE)
    lab.put(SetCoverage(False))
    lab.put(SwitchOn())
    lab.run_for(10 * MINUTE)
    assert told(lab) == []
    lab.put(SetCoverage(True))
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 1), ("route_downloaded", 1)]


@pytest.mark.parametrize("seconds", [0, 1, 3])
def test_a_download_that_is_cut_off_begins_anew(seconds: int) -> None:
    """By a hole in the network without another offer, by the ignition with one."""
    lab = lab_with(ONE)
    lab.put(SwitchOn())
    lab.put(SetCoverage(False), lab.now + seconds * SECOND)
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 1)]
    lab.put(SetCoverage(True))
    lab.put(SwitchOff(), lab.now + SECOND)
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 1)]
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    assert told(lab) == [("route_offered", 1)] * 2 + [("route_downloaded", 1)]


def test_a_route_waits_for_7_days() -> None:
    """At the last microsecond it is offered, a microsecond later it has lapsed; one that came later waits on."""
    for late, expected in ((0, [("route_offered", 2)]), (1, [("route_lapsed", 1), ("route_offered", 1)])):
        lab = lab_with(ONE)
        due = lab.now + WAITING_TIME
        lab.run_for(DAY)
        lab.wake()
        assert lab.outcome("route_import", trips=[ONE], wait=0) == OK
        lab.put(SwitchOn(), due + late)
        assert told(lab) == expected


def test_a_route_delivered_again_after_many_commands_is_taken_once() -> None:
    """A week is long: the id is remembered until the command has expired."""
    lab = CarLab(navi())
    lab.wake()
    for _ in range(2):
        assert lab.outcome("route_import", trips=[ONE], command_id="r", ttl=7 * DAY, wait=0) == OK
        for _ in range(300):
            lab.command("refresh", ttl=SECOND)
            lab.run_for(2 * SECOND)
    assert find(lab.car, Routes) is not None
    assert obtain(lab.car, Routes).count == 1


def test_a_reset_forgets_the_routes() -> None:
    lab = lab_with(ONE)
    lab.put(ResetCar())
    assert find(lab.car, Routes) is None
    lab.put(SwitchOn())
    lab.run_for(8 * DAY)
    assert told(lab) == []


# --- followed


def test_the_driver_follows_the_route_that_came_last() -> None:
    """From waypoint to waypoint, with a stop at each, and then lives on."""
    lab = lab_with({"waypoints": [HERE]}, {"waypoints": [HERE, THERE]})
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    lab.put(FollowRoute())
    stops = []
    for _ in range(2):
        lab.arrive()
        stops.append(lab.car.true_position(lab.now))
        lab.run_for(10 * MINUTE)
    assert [round(distance_m(*stop, *place.position)) for stop, place in zip(stops, (SHOP, WORK), strict=True)] == [0, 0]
    assert [event.data for event in lab.events("route_started")] == [{"waypoints": 2}]
    assert len(lab.events("trip")) == 2
    assert not lab.car.engine_is_on


def test_it_stays_in_the_list_and_can_be_followed_again() -> None:
    lab = lab_with(ONE)
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    for home in (True, False):
        lab.put(FollowRoute())
        lab.arrive()
        lab.run_for(10 * MINUTE)
        assert round(distance_m(*lab.car.true_position(lab.now), *WORK.position)) == 0
        if home:
            lab.drive(HOME)


def test_nothing_to_follow() -> None:
    """While it waits for the ignition, after it was cleared, and during another drive."""
    lab = lab_with(ONE)
    lab.put(FollowRoute())
    assert not lab.car.engine_is_on
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    lab.put(FollowRoute())
    journey = lab.car.journey
    assert journey is not None
    lab.put(FollowRoute(), lab.now + MINUTE)
    assert lab.car.journey is journey
    lab.arrive()
    lab.put(ClearRoutes())
    lab.put(FollowRoute())
    assert len(lab.events("route_started")) == 1
