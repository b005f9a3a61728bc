"""Conditions of the timeline: read with their figures checked, and held against a car or the run."""

from __future__ import annotations

import pytest

from fleet.scenario.conditions import CAR_NUMBERS, CAR_WORDS, FIGURES, Condition
from fleet.scenario.scalars import Misread

CAR: dict[str, float | str | None] = {
    "state": "parked",
    "connection": "offline",
    "fuel_percent": 14.0,
    "charge_percent": None,
    "trips": 2,
}
RUN: dict[str, float] = {"connected": 30, "cars": 40, "offline": 0, "commands.rejected": 3}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("car.state == parked", True),
        ("car.state != parked", False),
        ("car.state == driving", False),
        ("car.connection != online", True),
        ("car.fuel_percent < 15", True),
        ("car.fuel_percent < 14 %", False),
        ("car.fuel_percent<=14%", True),
        ("car.charge_percent < 50", False),
        ("car.charge_percent >= 0", False),
        ("car.trips == 2 and car.state == parked", True),
        ("car.trips == 2 and car.state == driving", False),
    ],
)
def test_a_condition_on_a_car(text: str, holds: bool) -> None:
    """All parts must hold; what a car has not holds for nothing."""
    condition = Condition.parse(text)
    assert condition.of_run == ()
    assert all(part.holds(CAR) for part in condition.of_car) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("connected / cars < 80 %", True),
        ("connected / cars < 0.75", False),
        ("connected >= 30", True),
        ("commands.rejected > 2", True),
        ("cars / offline > 0", False),
        ("published > 0", False),
    ],
)
def test_a_condition_on_the_run(text: str, holds: bool) -> None:
    """Counts and their ratios; nothing divides by 0, and what is not known does not hold."""
    condition = Condition.parse(text)
    assert condition.of_car == ()
    assert all(part.holds(RUN) for part in condition.of_run) is holds


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("conected < 5", "there is no figure 'conected'", "Did you mean 'connected'?"),
        ("car.fuel < 5", "there is no figure 'car.fuel'", "Did you mean 'car.fuel_percent'?"),
        ("state == parked", "there is no figure 'state'", "Did you mean 'car.state'?"),
        ("car.state == parkd", "'parkd' is not one of parked, ignition_on, driving", "Did you mean 'parked'?"),
        ("car.state > 5", "car.state is one of parked, ignition_on, driving: it cannot be compared with that", ""),
        ("car.trips == parked", "car.trips is a number: it cannot be compared with that", ""),
        ("car.trips < 5 %", "'%' is not a unit of car.trips: no unit is expected", ""),
        ("car.trips / car.in_outbox < 5", "a figure of a car is not divided: only counts of the run are", ""),
        ("connected < 5 %", "'%' is not a unit of connected: divide it, as in 'connected / cars < 50 %'", ""),
        ("connected = 5", f"{Condition.expected} is expected, not 'connected = 5'", ""),
        ("connected < 5 or cars > 2", f"{Condition.expected} is expected, not 'connected < 5 or cars > 2'", ""),
        (5, f"{Condition.expected} is expected, not 5", ""),
    ],
)
def test_a_wrong_condition_is_refused_when_it_is_read(text: object, message: str, hint: str) -> None:
    """A misspelt figure cannot fail to come true by being absent."""
    with pytest.raises(Misread) as caught:
        Condition.parse(text)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_every_figure_can_be_named() -> None:
    """What is offered is read."""
    for name in FIGURES:
        assert Condition.parse(f"{name} >= 1").of_run[0].path == name
    for name in CAR_NUMBERS:
        assert Condition.parse(f"car.{name} >= 1").of_car[0].path == name
    for name, words in CAR_WORDS.items():
        assert Condition.parse(f"car.{name} == {words[0]}").of_car[0].word == words[0]
