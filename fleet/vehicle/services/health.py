"""The health report: mileage, services due and warning lights. Only the newest is kept.

The first one comes after 20 km, with the engine off and coverage; then one with every engine off in coverage, and one with every
refresh while the engine runs.
"""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.low_voltage import LOW_PERCENT
from fleet.vehicle.services import wear
from fleet.vehicle.services.listener import Listener
from fleet.wire.messages import AdBlue, Health, ServiceDue, WarningLight

FIRST_REPORT_M: Final = 20_000.0
"""The first report needs this distance, counted from the beginning of the scenario."""
_ADBLUE_PRIORITY: Final = {"low": 3, "very_low": 2, "critical": 1, "empty": 1}


class Ports(
    wear.Ports, ports.Located, ports.Sender, ports.Timed, ports.Chance, ports.Powered, ports.Engine, ports.Connected, Protocol
):
    """All that a report tells of."""


def report(car: Ports, now: Instant) -> Health:
    """Return a health report of this moment: mileage, and what the car would warn of, most urgent first."""
    levels = car.levels(now)
    lights = [
        *wear.warnings(car),
        *_adblue_warning(car.powertrain.adblue(levels)),
        *_service_warnings(car.powertrain.service(levels, now)),
    ]
    e = car.equipment
    if e.tank_l and levels.fuel_l <= e.reserve_l:
        lights.append(WarningLight(id="fuel_reserve", text="Fuel reserve reached", category="engine", priority=2))
    if car.low_voltage.percent(now) < LOW_PERCENT:
        lights.append(WarningLight(id="low_voltage_low", text="12 V battery is low", category="other", priority=2))
    lights.sort(key=lambda light: (light.priority, light.id))
    return Health(reported_at=now, mileage_km=round(levels.odometer_m / 1000, 1), warnings=tuple(lights))


def _adblue_warning(adblue: AdBlue | None) -> list[WarningLight]:
    if adblue is None or adblue.warning == "none":
        return []
    text = f"AdBlue: refill, {adblue.range_km:.0f} km left"
    return [WarningLight(id=f"adblue_{adblue.warning}", text=text, category="engine", priority=_ADBLUE_PRIORITY[adblue.warning])]


def _service_warnings(service: ServiceDue) -> list[WarningLight]:
    lights = []
    if service.inspection_km < 0 or service.inspection_days < 0:
        lights.append(WarningLight(id="inspection_due", text="Inspection is due", category="other", priority=3))
    if (service.oil_change_km or 0) < 0 or (service.oil_change_days or 0) < 0:
        lights.append(WarningLight(id="oil_change_due", text="Oil change is due", category="engine", priority=3))
    return lights


def engine_off(car: Ports, now: Instant) -> None:
    """Make a report for the status that is sent next, when there is coverage to send it."""
    if car.outbox.has_coverage and _has_driven(car):
        car.wear.report = report(car, now)


def network_found(car: Ports, now: Instant) -> None:
    """Make up for a first report that found no coverage where the car was parked.

    Coverage that comes with the parking place itself is `engine_off`'s.
    """
    parked_at = car.fix.parked_at
    if car.wear.report is None and parked_at is not None and parked_at < now and not car.engine_is_on and _has_driven(car):
        car.wear.report = report(car, now)
        car.send_status("health", now, ("health",))


def refreshed(car: Ports, now: Instant) -> None:
    """Renew the report for a refresh while the engine runs, however far the car has been driven."""
    if car.engine_is_on:
        car.wear.report = report(car, now)


def forget(car: Ports, _now: Instant) -> None:
    """Forget the newest report."""
    car.wear.report = None


def _has_driven(car: Ports) -> bool:
    """Tell whether a parked car has been driven far enough."""
    return car.powertrain.odometer_m - car.powertrain.start_m >= FIRST_REPORT_M


LISTENER: Final = Listener(state="wear.report", engine_stops=engine_off, network_found=network_found, forget=forget)
