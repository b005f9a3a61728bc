"""The services of a car: one line for each command of the catalogue, and one for each service that hears what happens."""

from __future__ import annotations

from typing import Final

from fleet.vehicle.services import (
    area_alert,
    cabin,
    calls,
    charging,
    climatisation,
    comfort,
    departures,
    driving,
    health,
    heating,
    horn,
    locking,
    online,
    privacy,
    refreshing,
    reporting,
    reset,
    routes,
    speed_alert,
    updates,
    ventilation,
    wear,
    workshop,
)
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Service
from fleet.wire.parameters import (
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

LISTENERS: Final[tuple[Listener, ...]] = (
    cabin.LISTENER,
    calls.LISTENER,
    online.LISTENER,
    comfort.LISTENER,
    heating.LISTENER,
    climatisation.LISTENER,
    workshop.LISTENER,
    area_alert.LISTENER,
    speed_alert.LISTENER,
    departures.LISTENER,
    routes.LISTENER,
    wear.ADBLUE,
    updates.LISTENER,
    wear.LISTENER,
    health.LISTENER,
    driving.LISTENER,
    privacy.LISTENER,
    charging.LISTENER,
    reporting.LISTENER,
)
"""In the order in which they hear of an event: messages that two of them send of it leave the car in this order."""
