"""From a scenario to its fleet: the same seed gives the same cars, and one car more changes no other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from fleet.errors import UsageError
from fleet.kernel.instants import DAY
from fleet.runtime import assembly
from fleet.runtime.assembly import build_cars, vins, vocabulary
from fleet.scenario.loader import Overrides, load
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.vehicle.geo import distance_m
from fleet.wire.vin import is_vin
from tests.runtime.pure_lab import cars_of, scenario
from tests.shipped import FILES

MIXED = """\
  - {name: mixed, count: %d, models: {Leon: 3, Formentor: 2, Born: 1}, coverage: {garages: 10 %%, holes: 10 %%}}
  - {name: others, count: 12, models: {Tavascan: 1, Ateca: 1}, profile: errands}
"""


def mixed(count: int = 30, **changes: Any) -> Scenario:
    return scenario(MIXED % count, **changes)


def describe(car: Car) -> tuple[object, ...]:
    """What makes this car itself, its first day included."""
    home = car.driver.home
    day = car.driver.plan_day(car.driver.local_date(car.fix.fixed_at + DAY))
    return car.vin, car.equipment, home, car.driver.work, car.driver.profile, day, car.powertrain.odometer_m, car.fix.latitude


def test_the_same_seed_gives_the_same_fleet() -> None:
    """Equipment, places, drivers and their plans are the same in every run of a seed."""
    assert [describe(car) for car in cars_of(mixed())] == [describe(car) for car in cars_of(mixed())]


def test_another_seed_gives_another_fleet() -> None:
    """Hardly a car has its home in the same place."""
    first = {describe(car)[2] for car in cars_of(mixed())}
    second = {describe(car)[2] for car in cars_of(mixed(seed=8))}
    assert len(first & second) < 5


def test_one_car_more_changes_no_other() -> None:
    """All cars of a fleet are in the fleet that is one larger, the same to the last detail; the other fleet, too."""
    fewer = {car.vin: describe(car) for car in cars_of(mixed(30))}
    more = {car.vin: describe(car) for car in cars_of(mixed(31))}
    assert len(more) == len(fewer) + 1
    assert fewer.items() <= more.items()


def test_vins_are_valid_unique_and_known_beforehand() -> None:
    """The broker's password file is written from `vins` before any car exists, in the same order."""
    made = mixed(300)
    names = vins(made)
    assert names == [car.vin for car in cars_of(made)]
    assert len(set(names)) == len(names) == 312
    assert all(is_vin(vin) for vin in names)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_shards_partition_the_fleet(count: int) -> None:
    """Each car is in exactly one shard, and is the same car there; with more shards than cars some are empty."""
    made = mixed()
    whole = {car.vin: describe(car) for car in cars_of(made)}
    shards = [cars_of(made, index=index, count=count) for index in range(count)]
    parts = [describe(car) for cars in shards for car in cars]
    assert len(parts) == len(whole)
    assert {part[0]: part for part in parts} == whole
    sizes = [len(cars) for cars in shards]
    assert max(sizes) - min(sizes) <= 1


def test_cars_are_what_their_fleet_says() -> None:
    """Models only from the fleet's mix, energies and equipment as overridden, and the fleet's name on the car."""
    made = scenario(
        "  - {name: heated, count: 60, models: {Leon: 2, Ateca: 1}, energies: {Leon: {diesel: 1}},"
        " equipment: {parking_heater: true}}\n"
        "  - {name: electric, count: 5, models: {Born: 1}}\n"
    )
    by_fleet: dict[str, list[Car]] = {}
    for car in cars_of(made):
        by_fleet.setdefault(car.settings.fleet, []).append(car)
    heated = by_fleet["heated"]
    assert Counter(car.equipment.model for car in by_fleet["electric"]) == {"Born": 5}
    assert {car.equipment.model for car in heated} == {"Leon", "Ateca"}
    assert {car.equipment.energy for car in heated if car.equipment.model == "Leon"} == {"diesel"}
    assert all(car.equipment.parking_heater for car in heated)


def test_fixed_places_are_kept_within_their_spread() -> None:
    """Cars parked at a place stand within the spread of it, east and north, and not all on one spot."""
    made = scenario(
        "  - {name: parked, count: 40, models: {Born: 1}, profile: parked,"
        " places: {parked_at: {latitude: 48.1374, longitude: 11.5755, spread: 300 m}}}\n"
    )
    away = [distance_m(48.1374, 11.5755, *car.true_position(car.fix.fixed_at)) for car in cars_of(made)]
    assert max(away) <= 300 * 2**0.5 + 1
    assert max(away) - min(away) > 50


def test_the_vocabulary_is_the_vehicles_own() -> None:
    """What a scenario may name is what the catalogue, the regions and the drivers have."""
    words = vocabulary()
    assert set(words.models) == {"Ateca", "Leon", "Formentor", "Born", "Tavascan"}
    assert set(words.models["Leon"]) == {"petrol", "diesel", "e-hybrid"}
    assert words.regions["munich"] == "Europe/Berlin"
    assert {"commuter", "errands", "courier", "parked"} <= set(words.profiles)
    assert words.equipment["parking_heater"] is bool


def test_all_shipped_scenarios_can_be_built() -> None:
    """Each shipped file gives its cars, at another number of them as well."""
    for path in FILES:
        made = load(path, vocabulary(), Overrides(cars=25))
        assert len(build_cars(made, start=vocabulary().start_of(made), boot=1)) == 25


def test_more_cars_than_serial_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """VINs would not be unique any more; the error says so, and which fleet."""
    monkeypatch.setattr(assembly, "LAST_SERIAL", 9)
    with pytest.raises(UsageError, match=r"'parked' has more cars than there are serial numbers"):
        vins(scenario("  - {name: parked, count: 11, models: {Leon: 1}}\n"))


def test_scaled_fleets_keep_every_fleet() -> None:
    """`--cars` reaches every fleet: none becomes empty."""
    made = mixed()
    smaller = msgspec.structs.replace(made, fleets=tuple(msgspec.structs.replace(f, count=1) for f in made.fleets))
    assert [car.settings.fleet for car in cars_of(smaller)] == ["mixed", "others"]
