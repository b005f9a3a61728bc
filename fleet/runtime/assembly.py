"""Turns a scenario into cars: which models, where they live, who drives them. The same seed gives the same fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from fleet.errors import UsageError
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import Instant
from fleet.scenario.schema import Fleet, Scenario, Vocabulary
from fleet.vehicle.car import Car, CarSettings, DeadZone
from fleet.vehicle.catalogue import Catalogue, Equipment, draw_equipment, load_catalogue, make_vin
from fleet.vehicle.driver import PROFILES, Driver, draw_driver
from fleet.vehicle.geo import offset
from fleet.vehicle.region import Place, load_regions
from fleet.vehicle.region import region as region_named

LAST_SERIAL = 999_999


def vocabulary() -> Vocabulary:
    """Return the names that scenario files may use, from the vehicle's own data."""
    catalogue = load_catalogue()
    return Vocabulary(
        models={name: tuple(model.energies) for name, model in catalogue.models.items()},
        regions={name: region.timezone for name, region in load_regions().items()},
        profiles=PROFILES,
        equipment={field.name: field.type for field in msgspec.structs.fields(Equipment)},
    )


def vins(scenario: Scenario) -> list[str]:
    """Return the VINs of all cars, in the order of `build_cars`; needs no time and no boot."""
    return [vin for _, vin, _ in _drawn(scenario)]


def build_cars(
    scenario: Scenario,
    *,
    start: Instant,
    boot: int,
    index: int = 0,
    count: int = 1,
    until_stored: bool = False,
    make_car: Callable[..., Car] = Car,
) -> list[Car]:
    """Make the cars of shard `index` of `count`; which car is in which shard depends on its number alone.

    With `until_stored` they keep a message until the back end has said that it is stored. `make_car` is another kind of Car.
    """
    return [
        _build_car(scenario, fleet, vin, equipment, start=start, boot=boot, until_stored=until_stored, make_car=make_car)
        for number, (fleet, vin, equipment) in enumerate(_drawn(scenario))
        if number % count == index
    ]


def _drawn(scenario: Scenario) -> Iterator[tuple[Fleet, str, Equipment]]:
    """Yield fleet, VIN and equipment of each car; a car more in one fleet changes no other car."""
    catalogue = load_catalogue()
    for place, fleet in enumerate(scenario.fleets):
        for number in range(fleet.count):
            serial = number * len(scenario.fleets) + place
            if serial > LAST_SERIAL:
                raise UsageError(
                    f"fleet {fleet.name!r} has more cars than there are serial numbers", hint="Use fewer cars or fewer fleets."
                )
            equipment = _draw_equipment(catalogue, scenario.seed, fleet, number)
            yield fleet, make_vin(equipment, serial), equipment


def _draw_equipment(catalogue: Catalogue, seed: int, fleet: Fleet, number: int) -> Equipment:
    draws = Draws(stream_key(seed, fleet.name, str(number)), "equipment")
    model = _weighted(draws, fleet.models)
    energies = fleet.energies.get(model)
    energy = _weighted(draws, energies) if energies else None
    return draw_equipment(catalogue, draws, model=model, energy=energy, overrides=fleet.equipment)


def _weighted(draws: Draws, weights: Mapping[str, float]) -> str:
    names = list(weights)
    return names[draws.weighted([weights[name] for name in names])]


def _build_car(
    scenario: Scenario,
    fleet: Fleet,
    vin: str,
    equipment: Equipment,
    *,
    start: Instant,
    boot: int,
    until_stored: bool,
    make_car: Callable[..., Car],
) -> Car:
    key = stream_key(scenario.seed, vin)
    driver = draw_driver(key, region_named(scenario.region_of(fleet)), fleet.profile, garage_share=float(fleet.coverage.garages))
    if fleet.places is not None:
        driver = _living_at(driver, fleet, key)
    settings = CarSettings(
        fleet=fleet.name,
        hole_share=float(fleet.coverage.holes),
        dead_zones=tuple(DeadZone(z.latitude, z.longitude, float(z.radius)) for z in fleet.coverage.dead_zones),
        until_stored=until_stored,
    )
    return make_car(vin=vin, key=key, equipment=equipment, driver=driver, boot=boot, now=start, settings=settings)


def _living_at(driver: Driver, fleet: Fleet, key: int) -> Driver:
    """Return the driver with a home at the fleet's fixed place, evenly within its spread."""
    assert fleet.places is not None
    at = fleet.places.parked_at
    draws = Draws(key, "parked-at")
    spread_m = float(at.spread)
    latitude, longitude = offset(
        at.latitude, at.longitude, draws.uniform(-spread_m, spread_m), draws.uniform(-spread_m, spread_m)
    )
    home = Place(latitude, longitude, "fixed place", "home")
    return Driver(key, driver.region, home=home, work=driver.work, profile=driver.profile, garage_share=driver.garage_share)
