"""Parameters that are lists of tables: what a file may say, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.kernel.draws import Draws
from fleet.runtime.places import placed
from fleet.scenario.drawn import Values
from fleet.scenario.words import check_values
from fleet.wire.services import Parameter
from tests.runtime.pure_lab import cars_of, scenario


class Stop(msgspec.Struct, frozen=True):
    latitude: float
    longitude: float
    name: str = ""


NUMBER = Parameter(type="number", required=True)
STOPS = Parameter(
    type="list", most=4, items={"latitude": NUMBER, "longitude": NUMBER, "name": Parameter(type="text", default="")}
)
TIMERS = Parameter(
    type="list",
    items={"at": Parameter(type="text", required=True), "days": Parameter(type="list", choices=("monday", "sunday"))},
)
TRIPS = Parameter(type="list", items={"title": Parameter(type="text"), "stops": STOPS})


def told(raw: Any, parameter: Parameter = STOPS) -> list[tuple[tuple[Any, ...], str]]:
    return [(problem.at, problem.message) for problem in check_values(("p",), Values.parse(raw), tuple[Stop, ...], parameter)]


@pytest.mark.parametrize(
    "raw",
    [
        [],
        [{"latitude": 48.1, "longitude": 11}],
        [{"at": "home", "name": "home"}, {"at": {"from": "1 km", "to": "3 km"}}],
    ],
)
def test_right_ones(raw: Any) -> None:
    assert told(raw) == []


def test_at_is_a_time_where_there_is_no_position() -> None:
    """It stays what it is, and days are judged one by one."""
    row = {"at": "06:30", "days": ["monday"]}
    assert told([row], TIMERS) == []
    [(at, text)] = told([{"at": "06:30", "days": ["mondy"]}], TIMERS)
    assert at == ("p", 0, "days", 0)
    assert "mondy" in text
    car = cars_of(scenario())[0]
    assert placed([row], TIMERS.items, car, 0, Draws(1, "test")) == [row]
    [stop] = placed([{"at": "home"}], STOPS.items, car, 0, Draws(1, "test"))
    assert stop == {"latitude": car.driver.home.latitude, "longitude": car.driver.home.longitude}


def test_lists_in_lists() -> None:
    assert told([{"title": "to the sea", "stops": [{"at": "5 km"}]}], TRIPS) == []
    assert told([{"title": "to the sea", "stops": [{"att": "5 km"}]}], TRIPS)[0] == (
        ("p", 0, "stops", 0, "att"),
        "there is no 'att' here",
    )


@pytest.mark.parametrize(
    ("raw", "at", "text"),
    [
        ([{"latitude": 48.1}], ("p", 0), "it lacks 'longitude'"),
        ([{"at": "hom"}], ("p", 0, "at"), "home, work"),
        ([{"at": "home", "nam": "x"}], ("p", 0, "nam"), "there is no 'nam' here"),
        ([{"at": "home", "name": 7}], ("p", 0, "name"), "expected, not 7"),
        ([{"latitude": "north", "longitude": 11}], ("p", 0, "latitude"), "a number is expected, not 'north'"),
        ("home", ("p",), "a list of tables is expected, not 'home'"),
        ({"from": 1, "to": 2}, ("p",), "a list of tables is expected, not 1"),
    ],
)
def test_wrong_ones(raw: Any, at: tuple[Any, ...], text: str) -> None:
    found = told(raw)
    assert found[0][0] == at
    assert text in found[0][1]


def test_a_list_is_no_single_value() -> None:
    problems = list(check_values(("p",), Values.parse([]), int, Parameter(type="integer")))
    assert problems[0].message == "a value of type integer is expected, not an empty list"
