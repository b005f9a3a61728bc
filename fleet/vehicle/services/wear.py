"""Wear: what fails as a car is driven and grows older, AdBlue that runs out, services that come due; each told once.

The next fault is drawn ahead as an odometer reading and as an instant, so a drive on which nothing happens costs a comparison.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import to_builtins

from fleet.kernel.instants import DAY, HOUR, Instant
from fleet.vehicle import ports
from fleet.vehicle.catalogue import PLUGGED, EnergyKind, Equipment
from fleet.vehicle.hazards import HAZARDS, FaultName
from fleet.vehicle.journey import DRIVE, Journey
from fleet.vehicle.powertrain import ADBLUE_WARNINGS_KM, Levels, Powertrain
from fleet.vehicle.services.listener import Listener
from fleet.wire.messages import Health, WarningLight

_ADBLUE_WARNINGS: Final = ("low", "very_low", "critical", "empty")
"""The warnings of a status below each of ADBLUE_WARNINGS_KM."""
VISIT_DAYS: Final = (1.0, 10.0)
"""So long after a fault, or after a service has come due, the driver has been to a workshop (ours)."""
_REFILLED_L: Final = 0.1
"""More AdBlue than at a warning by so much was filled in: the warning can come again."""
_INSPECTION, _OIL, _ADBLUE = 1, 2, 4
"""All that was reported stands in one small number: a bit for each service, and above them how many AdBlue warnings."""


class Wear(msgspec.Struct, gc=False):
    """The faults there are, the next ones by odometer and by time, in `told` the warnings that were sent; the newest report."""

    next_fault_m: float = 0.0
    next_fault_at: Instant = 0
    told: int = 0
    faults: tuple[FaultName, ...] = ()
    report: Health | None = None


class Ports(ports.Sender, ports.Timed, ports.Chance, ports.Engine, Protocol):
    """The drive of the car, as it wears."""

    wear: Wear
    equipment: Equipment
    powertrain: Powertrain

    def levels(self, now: Instant) -> Levels:
        """Return odometer, fuel, charge and AdBlue."""


def begin(car: Ports, now: Instant) -> None:
    """Draw the first faults; what came due before the scenario began was reported then."""
    p = car.powertrain
    car.wear = Wear()
    _draw_by_distance(car, p.odometer_m)
    _draw_by_time(car, now)
    if p.odometer_m >= p.next_service_m or now >= p.next_service_at:
        car.wear.told += _INSPECTION
    if car.equipment.has_engine and (p.odometer_m >= p.next_oil_m or now >= p.next_oil_at):
        car.wear.told += _OIL
    if car.equipment.adblue_l:
        car.wear.told += _ADBLUE * sum(p.adblue_l <= level_l for level_l in _warning_levels_l(car))


# --- faults


class _Hazards(NamedTuple):
    """The hazards that compete to be the next fault, and how long that takes on average: metres, or microseconds."""

    names: tuple[FaultName, ...]
    rates: tuple[float, ...]
    mean: float


@cache
def _hazards(energy: EnergyKind, by_time: bool) -> _Hazards:
    has = {"any": True, "engine": energy != "electric", "plug": energy in PLUGGED}
    held = [hazard for hazard in HAZARDS.values() if has[hazard.needs] and (hazard.mean_km == 0.0) == by_time]
    rates = tuple(1.0 / (hazard.mean_days * DAY if by_time else hazard.mean_km * 1000.0) for hazard in held)
    return _Hazards(tuple(hazard.name for hazard in held), rates, 1.0 / sum(rates))


def _draw_by_distance(car: Ports, from_m: float) -> None:
    draws = car.draws("fault by distance", int(from_m))
    car.wear.next_fault_m = from_m + draws.exponential(_hazards(car.equipment.energy, False).mean)


def _draw_by_time(car: Ports, since: Instant) -> None:
    draws = car.draws("fault by time", since)
    car.wear.next_fault_at = since + int(draws.exponential(_hazards(car.equipment.energy, True).mean)) + 1


def _draw_fault(car: Ports, now: Instant, *, by_time: bool) -> FaultName:
    """Draw which of the competing hazards it is that has come."""
    hazards = _hazards(car.equipment.energy, by_time)
    return hazards.names[car.draws("fault", now).weighted(hazards.rates)]


def arise(car: Ports, name: FaultName, now: Instant) -> None:
    """Light a warning and tell it; nothing when it is on already."""
    if name in car.wear.faults:
        return
    car.wear.faults = (*car.wear.faults, name)
    mileage_km = round(car.levels(now).odometer_m / 1000, 1)
    car.send_event("fault", now, {**to_builtins(HAZARDS[name].light), "mileage_km": mileage_km})


def warnings(car: Ports) -> list[WarningLight]:
    """Return the warning lights of the faults there are."""
    return [HAZARDS[name].light for name in car.wear.faults]


def _worn_out(car: Ports, journey: Journey, now: Instant) -> None:
    """The odometer has come to the next fault; there may be another one on the same drive."""
    arise(car, _draw_fault(car, now, by_time=False), now)
    _expect_visit(car, now)
    _draw_by_distance(car, car.wear.next_fault_m)
    _plan_fault(car, journey, now)


def _plan_fault(car: Ports, journey: Journey, now: Instant) -> None:
    ahead_m = car.wear.next_fault_m - car.powertrain.odometer_m
    if ahead_m <= journey.length_m:
        car.agenda.call(max(now, journey.reached_at(ahead_m)), _worn_out, journey, key=DRIVE)


# --- what comes due


def _warning_levels_l(car: Ports) -> list[float]:
    """Return how much AdBlue is left at each warning, the first one first."""
    return [range_km / 1000.0 * car.equipment.adblue_l_per_1000km for range_km, _ in ADBLUE_WARNINGS_KM]


def _plan_adblue(car: Ports, journey: Journey, now: Instant) -> None:
    p = car.powertrain
    assert p.drive is not None
    used_l_per_m, told = p.drive.adblue_l, car.wear.told // _ADBLUE
    first_l = ADBLUE_WARNINGS_KM[0][0] / 1000.0 * car.equipment.adblue_l_per_1000km
    if not told and p.adblue_l - journey.length_m * used_l_per_m > first_l:
        return  # as nearly always
    levels_l = _warning_levels_l(car)
    while told and p.adblue_l > levels_l[told - 1] + _REFILLED_L:
        told -= 1
        car.wear.told -= _ADBLUE
    for number in range(told, len(levels_l)):
        ahead_m = max(0.0, p.adblue_l - levels_l[number]) / used_l_per_m
        if ahead_m <= journey.length_m:
            car.agenda.call(max(now, journey.reached_at(ahead_m)), _adblue_low, number, key=DRIVE)


def _adblue_low(car: Ports, number: int, now: Instant) -> None:
    car.wear.told += _ADBLUE
    warning = _ADBLUE_WARNINGS[number]
    car.send_event("adblue_warning", now, {"warning": warning, "range_km": ADBLUE_WARNINGS_KM[number][0]})


def _services(car: Ports) -> list[tuple[int, float, Instant]]:
    """Return (bit, odometer reading, instant) of each service the car needs: of the two limits the first counts."""
    p = car.powertrain
    oil = [(_OIL, p.next_oil_m, p.next_oil_at)] if car.equipment.has_engine else []
    return [(_INSPECTION, p.next_service_m, p.next_service_at), *oil]


def _plan_services(car: Ports, journey: Journey, now: Instant) -> None:
    for service, due_m, _ in _services(car):
        ahead_m = due_m - car.powertrain.odometer_m
        if not car.wear.told & service and ahead_m <= journey.length_m:
            car.agenda.call(max(now, journey.reached_at(ahead_m)), _tell_due, service, key=DRIVE)


def _tell_due(car: Ports, service: int, now: Instant) -> None:
    if car.wear.told & service:
        return
    car.wear.told |= service
    left = car.powertrain.service(car.levels(now), now)
    data: dict[str, Any]
    if service == _INSPECTION:
        data = {"service": "inspection", "left_km": left.inspection_km, "left_days": left.inspection_days}
    else:
        data = {"service": "oil_change", "left_km": left.oil_change_km, "left_days": left.oil_change_days}
    car.send_event("service_due", now, data)
    _expect_visit(car, now)


def _forbids_start(car: Ports, now: Instant) -> str | None:
    return "adblue_empty" if car.equipment.adblue_l and car.levels(now).adblue_l <= 0 else None


# --- the workshop


def _expect_visit(car: Ports, now: Instant) -> None:
    car.agenda.call(now + int(car.draws("visit", now).uniform(*VISIT_DAYS) * DAY), _visit)


def _visit(car: Ports, _data: None, now: Instant) -> None:
    """Somebody has been to a workshop meanwhile; not while the car is driven."""
    if car.engine_is_on:
        car.agenda.call(now + HOUR, _visit)
    else:
        repair(car, now)


def repair(car: Ports, now: Instant) -> None:
    """Mend all faults and do the services that are due; nothing without any."""
    due = car.wear.told & (_INSPECTION | _OIL)
    if not car.wear.faults and not due:
        return
    car.powertrain.service_done(now, inspection=bool(due & _INSPECTION), oil_change=bool(due & _OIL))
    services = [name for bit, name in ((_INSPECTION, "inspection"), (_OIL, "oil_change")) if due & bit]
    car.send_event("serviced", now, {"faults": list(car.wear.faults), "services": services})
    car.wear.faults = ()
    car.wear.told -= due


# --- hooks


def engine_started(car: Ports, now: Instant) -> None:
    """Notice, when the car's electronics wake, all that comes by time: faults, and services that have come due."""
    while now >= car.wear.next_fault_at:
        arise(car, _draw_fault(car, car.wear.next_fault_at, by_time=True), now)
        _expect_visit(car, now)
        _draw_by_time(car, car.wear.next_fault_at)
    p = car.powertrain
    if now >= p.next_service_at or now >= p.next_oil_at:
        for service, _, due_at in _services(car):
            if now >= due_at:
                _tell_due(car, service, now)


def drive_planned(car: Ports, journey: Journey, now: Instant) -> None:
    """Put into the agenda what will come on this drive: mostly nothing."""
    p = car.powertrain
    ends_m = p.odometer_m + journey.length_m
    if ends_m >= car.wear.next_fault_m:
        _plan_fault(car, journey, now)
    if ends_m >= p.next_service_m or ends_m >= p.next_oil_m:
        _plan_services(car, journey, now)
    if car.equipment.adblue_l:
        _plan_adblue(car, journey, now)


LISTENER: Final = Listener(made=begin, engine_started=engine_started, drive_planned=drive_planned)
ADBLUE: Final = Listener(forbids_start=_forbids_start)
