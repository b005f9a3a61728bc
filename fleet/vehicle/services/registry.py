"""Which service does what with which parameters: one line for each command of the catalogue."""

from __future__ import annotations

from typing import Final

from fleet.vehicle.services import heating, horn, locking, refreshing
from fleet.vehicle.services.service import Service
from fleet.wire.commands import Heater, HonkAndFlash, Lock, Parameters, Refresh, Unlock

SERVICES: Final[dict[type[Parameters], Service]] = {
    HonkAndFlash: horn.HONK,
    Lock: locking.LOCK,
    Unlock: locking.UNLOCK,
    Heater: heating.HEATER,
    Refresh: refreshing.REFRESH,
}
