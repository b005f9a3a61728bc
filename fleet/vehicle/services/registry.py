"""Which service does what with which parameters: one line for each command of the catalogue."""

from __future__ import annotations

from typing import Final

from fleet.vehicle.services import (
    area_alert,
    charging,
    climatisation,
    departures,
    heating,
    horn,
    locking,
    refreshing,
    reset,
    routes,
    speed_alert,
    updates,
    ventilation,
)
from fleet.vehicle.services.service import Service
from fleet.wire.commands import (
    AreaAlert,
    Charging,
    ChargingLocations,
    ChargingSettings,
    Climatisation,
    DepartureTimers,
    Heater,
    HonkAndFlash,
    Lock,
    Parameters,
    Refresh,
    Reset,
    RouteImport,
    SpeedAlert,
    SystemUpdate,
    Unlock,
    Ventilation,
    VentilationTimers,
)

SERVICES: Final[dict[type[Parameters], Service]] = {
    HonkAndFlash: horn.HONK,
    Lock: locking.LOCK,
    Unlock: locking.UNLOCK,
    Heater: heating.HEATER,
    Refresh: refreshing.REFRESH,
    Reset: reset.RESET,
    AreaAlert: area_alert.AREA_ALERT,
    SpeedAlert: speed_alert.SPEED_ALERT,
    RouteImport: routes.ROUTE_IMPORT,
    SystemUpdate: updates.SYSTEM_UPDATE,
    Ventilation: ventilation.VENTILATION,
    VentilationTimers: ventilation.VENTILATION_TIMERS,
    Climatisation: climatisation.CLIMATISATION,
    Charging: charging.CHARGING,
    ChargingSettings: charging.SETTINGS,
    ChargingLocations: charging.LOCATIONS,
    DepartureTimers: departures.DEPARTURES,
}
