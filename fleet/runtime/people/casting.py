"""Casts a scenario: which of its cars, as far as they live in this process, have which people."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.runtime.car_selector import CarSelector
from fleet.runtime.people.cast import Cast, CastCar
from fleet.scenario.actions import Selection
from fleet.scenario.schema import Fleet, Scenario
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.regions import region_of


def cast_of(
    scenario: Scenario, drawn: Iterable[tuple[Fleet, int, str, Equipment]], *, index: int = 0, count: int = 1
) -> Cast | None:
    """Return the people of the cars of shard `index` of `count`, and everybody with a name; None without the element.

    `drawn` are fleet, number, VIN and equipment of all cars.
    """
    if scenario.people is None:
        return None
    cars = [
        CastCar(place, vin, equipment, fleet.registered_in or region_of(scenario.region_of(fleet)).country)
        for place, (fleet, _, vin, equipment) in enumerate(drawn)
    ]
    selector = CarSelector(scenario, ())

    def chosen(cars_of: Selection) -> list[CastCar]:
        return [cars[place] for place in selector.select(cars_of) if place % count == index]

    cast = Cast(scenario.seed)
    for household in scenario.people.drawn:
        cast.add_household(household, chosen(household.cars))
    for number, person in enumerate(scenario.people.persons):
        cast.add_named(number, person, region_of(scenario.region).country, [] if person.cars is None else chosen(person.cars))
    return cast
