"""The status, when somebody asks for it."""

from __future__ import annotations

from typing import Final

from fleet.kernel.instants import Instant
from fleet.vehicle.services import health
from fleet.vehicle.services.service import Service
from fleet.wire.parameters import Refresh


def _refresh(car: health.Ports, _parameters: Refresh, now: Instant) -> None:
    health.refreshed(car, now)
    car.send_status("refresh", now)


REFRESH: Final = Service(_refresh, takes=None)
