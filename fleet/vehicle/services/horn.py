"""Horn and lights, for a user who looks for the car and is near it."""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.geo import geodesic_m
from fleet.vehicle.services.service import Refusal, Service
from fleet.wire.parameters import HonkAndFlash

HONK_WITHIN_M: Final = 500.0
"""The user may be as far away as this, itself included."""


class Ports(ports.Located, ports.Engine, Protocol):
    """The place of the car, and its engine."""


def _refusal(car: Ports, parameters: HonkAndFlash, _now: Instant) -> Refusal | None:
    away_m = geodesic_m(car.fix.latitude, car.fix.longitude, parameters.latitude, parameters.longitude)
    if away_m > HONK_WITHIN_M:
        return Refusal("too_far", f"the user is {away_m:.3f} m away; the limit is {HONK_WITHIN_M:.0f} m")
    return None


def _changed(car: Ports, _parameters: HonkAndFlash, _now: Instant) -> Refusal | None:
    return Refusal("engine_running", "somebody started the engine") if car.engine_is_on else None


def _takes(parameters: HonkAndFlash) -> Duration:
    return int(parameters.duration_s * SECOND)


def _carry_out(_car: Ports, _parameters: HonkAndFlash, _now: Instant) -> None:
    """Leave nothing behind: once it is over, it was heard."""


HONK: Final = Service(_carry_out, _refusal, _takes, _changed)
