"""Locking and unlocking from afar."""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.body import Body
from fleet.vehicle.services.service import Refusal, Service
from fleet.wire.parameters import Lock, Unlock


class Ports(ports.Sender, Protocol):
    """The doors."""

    body: Body


def _all_closed(car: Ports, _parameters: Lock, _now: Instant) -> Refusal | None:
    """Doors are closed before a lock succeeds (ours)."""
    if car.body.open_doors:
        return Refusal("door_open", f"open: {', '.join(sorted(car.body.open_doors))}")
    return None


def _lock(car: Ports, _parameters: Lock, now: Instant) -> None:
    car.body.locked = True
    car.send_status("command", now, ("doors",))


def _unlock(car: Ports, _parameters: Unlock, now: Instant) -> None:
    car.body.locked = False
    car.send_status("command", now, ("doors",))


LOCK: Final = Service(_lock, _all_closed)
UNLOCK: Final = Service(_unlock)
