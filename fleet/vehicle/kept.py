"""The state of services: one object of a class of the service's own, made when it is first needed.

A car that never used a service keeps nothing of it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from fleet.vehicle.ports import Keeper

StateT = TypeVar("StateT")


def find(car: Keeper, kind: type[StateT]) -> StateT | None:
    """Return the state of that class; None when the car has none."""
    kept = car.kept
    return None if kept is None else kept.get(kind)


def obtain(car: Keeper, kind: type[StateT]) -> StateT:
    """Return the state of that class, made when the car has none."""
    state = find(car, kind)
    if state is None:
        keep(car, state := kind())
    return state


def keep(car: Keeper, state: object) -> None:
    """Keep a state in place of the one of the same class."""
    if car.kept is None:
        car.kept = dict[type[Any], Any]()
    car.kept[type(state)] = state


def drop(car: Keeper, kind: type[Any]) -> None:
    """Forget the state of that class; does nothing when the car has none."""
    if car.kept is not None:
        car.kept.pop(kind, None)
        car.kept = car.kept or None
