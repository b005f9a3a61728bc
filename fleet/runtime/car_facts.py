"""Facts about a car that conditions can name, each by its name in the language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fleet.kernel.instants import Instant
from fleet.scenario.conditions import CarFacts, Condition
from fleet.vehicle.car import Car
from fleet.vehicle.kept import find
from fleet.vehicle.services.charge_settings import charge_state
from fleet.vehicle.services.routes import Routes
from fleet.vehicle.services.updates import Updates


def holds(when: Condition, car: Car, at: Instant) -> bool:
    """Tell whether all that a condition says of a car is true."""
    return all(part.holds({part.path: _FACTS[part.path](car, at)}) for part in when.of_car)


def car_facts(car: Car, at: Instant) -> CarFacts:
    """Return what conditions can ask of a car; None for what it has not, such as fuel in an electric one."""
    return {name: fact(car, at) for name, fact in _FACTS.items()}


def _fuel_percent(car: Car, at: Instant) -> float | None:
    tank_l = car.equipment.tank_l
    return car.levels(at).fuel_l / tank_l * 100 if tank_l else None


def _charge_percent(car: Car, at: Instant) -> float | None:
    usable_kwh = car.equipment.usable_kwh
    return car.levels(at).charge_kwh / usable_kwh * 100 if usable_kwh else None


def _ota(car: Car, _: Instant) -> str:
    updates = find(car, Updates)
    update = updates.under_way if updates is not None else None
    return "none" if update is None else update.step


def _listed_routes(car: Car, _: Instant) -> int:
    routes = find(car, Routes)
    return len(routes.held) if routes is not None else 0


_FACTS: Final[Mapping[str, Callable[[Car, Instant], float | str | None]]] = {
    "state": Car.state,
    "connection": Car.connection,
    "heater": lambda car, _: "on" if car.comfort is not None and car.comfort.service == "heater" else "off",
    "climate": lambda car, _: "off" if car.comfort is None else car.comfort.mode,
    "charging": charge_state,
    "locked": lambda car, _: "yes" if car.body.locked else "no",
    "ota": _ota,
    "place": lambda car, _: car.place.kind if car.journey is None else None,
    "fuel_percent": _fuel_percent,
    "charge_percent": _charge_percent,
    "low_voltage_percent": lambda car, at: car.low_voltage.percent(at),
    "odometer_km": lambda car, at: car.levels(at).odometer_m / 1000,
    "trip_km": lambda car, at: car.journey.distance_at(at) / 1000 if car.journey is not None else None,
    "trips": lambda car, _: car.trips.count,
    "listed_routes": _listed_routes,
    "in_outbox": lambda car, _: car.outbox.in_outbox,
}
