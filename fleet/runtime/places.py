"""Where a scenario's words lead: home, to work, a distance away, to a point; seen from one car."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.kernel.draws import Draws
from fleet.kernel.instants import Instant
from fleet.scenario.actions import Destination, draw_destination_m
from fleet.vehicle.car import Car
from fleet.vehicle.driver import Purpose
from fleet.vehicle.geo import offset
from fleet.vehicle.region import Place
from fleet.wire.services import Parameter


def place_of(to: Destination, car: Car, at: Instant, draws: Draws) -> tuple[Place, Purpose]:
    """Return the place, and what one drives there for; what the words leave open is drawn."""
    if to.name is not None:
        return (car.driver.home, "home") if to.name == "home" else (car.driver.work, "work")
    if to.distance is not None:
        latitude, longitude = offset(*car.true_position(at), *draw_destination_m(to.distance, draws))
    else:
        assert to.place is not None
        spread_m = float(to.place.spread)
        away = draws.uniform(-spread_m, spread_m), draws.uniform(-spread_m, spread_m)
        latitude, longitude = offset(to.place.latitude, to.place.longitude, *away)
    return Place(latitude, longitude, "as the scenario says", "errand"), "errand"


def placed(value: Any, known: Mapping[str, Parameter], car: Car, at: Instant, draws: Draws) -> Any:
    """Return a parameter's value with the positions of what stands `at` a destination, in items of items, too.

    `known` are the parameters of its tables: `at` is a destination only where there is a position to take its place.
    """
    if isinstance(value, list):
        return [placed(item, known, car, at, draws) for item in value]
    if not isinstance(value, dict):
        return value
    item = {key: placed(inner, known[key].items if key in known else {}, car, at, draws) for key, inner in value.items()}
    if "at" in item and "latitude" in known:
        place, _ = place_of(Destination.parse(item.pop("at")), car, at, draws)
        item |= {"latitude": place.latitude, "longitude": place.longitude}
    return item
