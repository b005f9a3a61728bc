"""Which cars `cars` means: the same words the same ones, whatever else there is in the scenario and in this shard."""

from __future__ import annotations

from fleet.runtime.car_selector import CarHandle, CarSelector
from fleet.scenario.actions import Numbers, Selection
from fleet.scenario.scalars import Share
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.vehicle.signals import CarInput
from tests.runtime.pure_lab import cars_of, scenario

FIRST = "  - {name: first, count: 20, models: {Leon: 1}}\n"
SECOND = "  - {name: second, count: 30, models: {Born: 1}}\n"
TWO = scenario(FIRST + SECOND)


class Held:
    """A car that nobody drives."""

    def __init__(self, car: Car) -> None:
        self.car = car

    def put(self, message: CarInput, at: int | None = None) -> None:
        raise AssertionError("nobody asked for that")


def selector(made: Scenario = TWO, index: int = 0, count: int = 1) -> CarSelector:
    return CarSelector(made, [Held(car) for car in cars_of(made, index=index, count=count)], index=index, count=count)


def vins(held: list[CarHandle]) -> list[str]:
    return [one.car.vin for one in held]


def test_all_or_one_fleet() -> None:
    """Without a word all cars are meant, with a fleet those of it."""
    all_vins = [car.vin for car in cars_of(TWO)]
    assert vins(selector().chosen(Selection())) == all_vins
    assert vins(selector().chosen(Selection(fleet="second"))) == all_vins[20:]
    assert {held.car.settings.fleet for held in selector().chosen(Selection(fleet="second"))} == {"second"}


def test_shares_and_counts_lie_within_larger_ones() -> None:
    """A share is exact, at least one car, and the same cars come again and again."""
    ten = selector().select(Selection(fleet="first", share=Share(0.5)))
    assert len(ten) == 10
    assert set(selector().select(Selection(fleet="first", count=4))) < set(ten)
    assert selector().select(Selection(fleet="first", share=Share(0.001))) == selector().select(Selection(fleet="first", count=1))
    assert len(selector().select(Selection(fleet="first", count=99))) == 20
    assert list(ten) != list(range(10))


def test_numbers_are_those_of_the_fleet() -> None:
    """From 0; those that a smaller fleet has not are left out."""
    assert selector().select(Selection(fleet="second", index=Numbers((0, 3, 30)))) == [20, 23]
    assert selector().select(Selection(index=Numbers((21,)))) == [21]


def test_another_fleet_changes_no_choice() -> None:
    """What is chosen among the cars of a fleet is a matter of that fleet."""
    chosen = Selection(fleet="second", share=Share(0.3))
    alone = scenario(SECOND)
    numbers = [place - 20 for place in selector().select(chosen)]
    assert selector(alone).select(chosen) == numbers


def test_another_seed_chooses_others() -> None:
    """Who belongs to a share is drawn."""
    chosen = Selection(share=Share(0.2))
    assert selector().select(chosen) != selector(scenario(FIRST + SECOND, seed=8)).select(chosen)


def test_shards_share_the_choice_among_them() -> None:
    """Each shard has its own of the chosen cars, and together they are all."""
    chosen = Selection(share=Share(0.4))
    whole = vins(selector().chosen(chosen))
    parts = [vins(selector(index=index, count=3).chosen(chosen)) for index in range(3)]
    assert sorted(vin for part in parts for vin in part) == sorted(whole)
    assert all(parts)


def test_turns_are_shuffled_by_purpose() -> None:
    """The order in which a load asks is one of chance, and a load's own."""
    made = selector()
    places = made.select(Selection())
    one, other = made.shuffled(places, "load a"), made.shuffled(places, "load b")
    assert sorted(one) == sorted(other) == list(places)
    assert one != other
    assert one == made.shuffled(places, "load a")
