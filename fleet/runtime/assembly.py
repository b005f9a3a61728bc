"""Turns a scenario into cars: which models, where they live, who drives them. The same seed gives the same fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from fleet.checks.cars import Beginning
from fleet.cloud.countries import load_countries
from fleet.errors import UsageError
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import SECOND, Instant
from fleet.runtime.dialects import open_dialect
from fleet.runtime.people.cast import Cast
from fleet.runtime.people.casting import cast_of
from fleet.scenario.following import tracks_begin
from fleet.scenario.schema import Fleet, Scenario, Vocabulary
from fleet.scenario.tracks import read_track
from fleet.vehicle.car import Car
from fleet.vehicle.catalogue import Catalogue, Equipment, draw_equipment, load_catalogue, make_vin
from fleet.vehicle.driver import PROFILES, Driver, draw_driver
from fleet.vehicle.geo import offset
from fleet.vehicle.region import Place, Region
from fleet.vehicle.regions import load_regions, region_of
from fleet.vehicle.settings import CarSettings, PlacedDeadZone
from fleet.vehicle.track import TrackDriver, TrackTrip
from fleet.wire.dialect import NO_INTERVALS, StatusIntervals, intervals_of
from fleet.wire.messages import Status, Written
from fleet.wire.privacy import MODES, OPEN, PrivacyMode
from fleet.wire.services import load_services

LAST_SERIAL = 999_999
REPLY_WALL_S = 5.0
"""The shortest time that a car waits for a reply, in wall seconds: the broker keeps nothing for less."""


@cache
def vocabulary() -> Vocabulary:
    """Return the names that scenario files may use, from the vehicle's own data."""
    catalogue, known = load_catalogue(), load_services()
    return Vocabulary(
        models={name: tuple(model.energies) for name, model in catalogue.models.items()},
        regions={name: region.timezone for name, region in load_regions().items()},
        profiles=PROFILES,
        equipment={field.name: field.type for field in msgspec.structs.fields(Equipment)},
        privacy={name: MODES[model.generation] for name, model in catalogue.models.items()},
        switchable=(*(name for name, entry in known.commands.items() if not entry.legal and entry.is_of_users), *known.requests),
        countries=tuple(load_countries()),
        open_dialect=open_dialect,
    )


def vins(scenario: Scenario) -> list[str]:
    """Return the VINs of all cars, in the order of `build_cars`; needs no time and no boot."""
    return [vin for _, _, vin, _ in _drawn(scenario)]


def equipment_of(scenario: Scenario) -> dict[str, Equipment]:
    """Return what each car is and has, by VIN."""
    return {vin: equipment for _, _, vin, equipment in _drawn(scenario)}


def people_of(scenario: Scenario, *, index: int = 0, count: int = 1) -> Cast | None:
    """Return the people of the cars of shard `index` of `count`; None in a scenario without people."""
    return cast_of(scenario, _drawn(scenario), index=index, count=count)


def privacy_of(scenario: Scenario) -> dict[str, PrivacyMode]:
    """Return what each car's privacy switch is set to at the start, by VIN."""
    return {vin: _privacy(scenario, fleet, vin) for fleet, _, vin, _ in _drawn(scenario)}


def build_cars(
    scenario: Scenario,
    *,
    start: Instant,
    boot: int,
    index: int = 0,
    count: int = 1,
    until_stored: bool = False,
    remembers: bool = False,
    write_status: Callable[[Status], Written] | None = None,
) -> list[Car]:
    """Make the cars of shard `index` of `count`; which car is in which shard depends on its number alone.

    With `until_stored` they keep a message until the back end has said that it is stored; with `remembers` they want to have
    written down which commands they execute. `write_status` writes a status ahead, see `status_writer_of`.
    """
    common = CarSettings(until_stored=until_stored, remembers=remembers, write_status=write_status)
    maker = _Maker(scenario, start=start, boot=boot, common=common)
    return [maker.make(*drawn) for place, drawn in enumerate(_drawn(scenario)) if place % count == index]


def beginnings_of(scenario: Scenario, start: Instant) -> Callable[[str], Beginning | None]:
    """Return what tells how the car of a VIN is at the start; each car is made when it is asked for. None: there is no such car.

    That raises FleetError and OSError where its track cannot be read.
    """
    drawn = {vin: (fleet, number, vin, equipment) for fleet, number, vin, equipment in _drawn(scenario)}
    make = _Maker(scenario, start=start).make

    def begin(vin: str) -> Beginning | None:
        return _beginning(make(*drawn[vin]), start) if vin in drawn else None

    return begin


def _beginning(car: Car, start: Instant) -> Beginning:
    levels, fitted = car.levels(start), car.equipment
    return Beginning(
        at=start,
        position=(car.fix.latitude, car.fix.longitude),
        fuel_percent=levels.fuel_l / fitted.tank_l * 100 if fitted.tank_l else None,
        charge_percent=levels.charge_kwh / fitted.usable_kwh * 100 if fitted.usable_kwh else None,
        low_voltage_percent=car.low_voltage.percent(start),
        plugged_in=car.powertrain.plugged_in,
    )


class _Maker:
    """Makes the cars of a scenario; what those of a fleet have in common, once."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        start: Instant,
        boot: int = 0,
        common: CarSettings | None = None,
    ) -> None:
        """Take what all cars have in common, whatever their fleet."""
        self._scenario = scenario
        self._start = start
        self._boot = boot
        choices = scenario.dialects()
        intervals = {choice: _intervals(choice) for choice in choices.values()}
        self._settings = {
            fleet.name: replace(
                _settings(scenario, fleet, common or CarSettings()), status_intervals=intervals[choices[fleet.name]]
            )
            for fleet in scenario.fleets
        }
        cast = people_of(scenario)
        self._empty = frozenset(car.vin for car in cast.cars.values() if not car.enrolled) if cast is not None else frozenset()
        """Cars in which nobody is at home as yet."""
        self._regions = {fleet.name: region_of(scenario.region_of(fleet)) for fleet in scenario.fleets}
        self._tracks = {fleet.name: _trips(scenario, fleet) for fleet in scenario.fleets if fleet.tracks is not None}

    def make(self, fleet: Fleet, number: int, vin: str, equipment: Equipment) -> Car:
        """Make the car of that number in its fleet, with the driver that its VIN draws."""
        followed = self._tracks.get(fleet.name)
        trips = followed[number % len(followed)] if followed else None
        driver = _make_driver(fleet, self._regions[fleet.name], stream_key(self._scenario.seed, vin), trips)
        settings = self._settings[fleet.name]
        if fleet.privacy is not None:
            settings = replace(settings, privacy=_privacy(self._scenario, fleet, vin))
        if vin in self._empty:
            settings = replace(settings, at_home=False)
        return Car(
            vin=vin, key=driver.key, equipment=equipment, driver=driver, boot=self._boot, now=self._start, settings=settings
        )


def _intervals(choice: str | None) -> StatusIntervals:
    """Return how often cars report in the dialect of a name."""
    return NO_INTERVALS if choice is None else intervals_of(open_dialect(choice))


def _privacy(scenario: Scenario, fleet: Fleet, vin: str) -> PrivacyMode:
    return OPEN if fleet.privacy is None else fleet.privacy.draw(Draws(stream_key(scenario.seed, vin), "privacy"))


def _settings(scenario: Scenario, fleet: Fleet, common: CarSettings) -> CarSettings:
    """Return what the cars of a fleet have in common, with what all cars have."""
    return replace(
        common,
        fleet=fleet.name,
        hole_share=float(fleet.coverage.holes),
        dead_zones=tuple(PlacedDeadZone(z.latitude, z.longitude, float(z.radius)) for z in fleet.coverage.dead_zones),
        registered_in=fleet.registered_in,
        reply_time=0 if scenario.clock.is_virtual else int(REPLY_WALL_S * scenario.clock * SECOND),
    )


def _drawn(scenario: Scenario) -> Iterator[tuple[Fleet, int, str, Equipment]]:
    """Yield fleet, number in it, VIN and equipment of each car; a car more in one fleet changes no other car."""
    catalogue = load_catalogue()
    for place, fleet in enumerate(scenario.fleets):
        for number in range(fleet.count):
            serial = number * len(scenario.fleets) + place
            if serial > LAST_SERIAL:
                raise UsageError(
                    f"fleet {fleet.name!r} has more cars than there are serial numbers", hint="Use fewer cars or fewer fleets."
                )
            equipment = _draw_equipment(catalogue, scenario.seed, fleet, number)
            yield fleet, number, make_vin(equipment, serial), equipment


def _draw_equipment(catalogue: Catalogue, seed: int, fleet: Fleet, number: int) -> Equipment:
    draws = Draws(stream_key(seed, fleet.name, str(number)), "equipment")
    model = _weighted(draws, fleet.models)
    energies = fleet.energies.get(model)
    energy = _weighted(draws, energies) if energies else None
    return draw_equipment(catalogue, draws, model=model, energy=energy, overrides=fleet.equipment)


def _weighted(draws: Draws, weights: Mapping[str, float]) -> str:
    names = list(weights)
    return names[draws.weighted([weights[name] for name in names])]


def _trips(scenario: Scenario, fleet: Fleet) -> list[list[TrackTrip]]:
    """Return the drives of each of the fleet's tracks."""
    assert fleet.tracks is not None, "it follows tracks"
    begin = tracks_begin(scenario, fleet, vocabulary())
    return [read_track(Path(file)).trips(begin) for file in fleet.tracks.files]


def _make_driver(fleet: Fleet, region: Region, key: int, trips: Sequence[TrackTrip] | None) -> Driver:
    """Draw who drives a car; one that follows a track has its `trips` and no plan of its own."""
    if trips is not None:
        return TrackDriver(key, region, home=Place(*trips[0].path.points[0], "on its track", "home"), trips=trips)
    driver = draw_driver(key, region, fleet.profile, garage_share=float(fleet.coverage.garages))
    return driver if fleet.places is None else _living_at(driver, fleet, key)


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
