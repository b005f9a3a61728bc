"""Whether odometer, tank, charge and clock agree with the drives that a car tells, and these with where it was before and after.

Source: what a car reports, in the domain description. Figures marked ours there are in the words of the checks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.checks.cars import ROUNDED_PERCENT, Cars, LatLon, Level
from fleet.checks.check import Check, CheckedRule, Handlers, is_first
from fleet.checks.geodesy import vincenty_m
from fleet.checks.rules import HEATER_L_PER_HOUR
from fleet.kernel.instants import MINUTE, Instant
from fleet.observe.journal import Begin, End, Input, Output
from fleet.vehicle.catalogue import Equipment

DETOUR: Final = (1.15, 1.45)
"""A road is that many times as long as the straight line (ours), each as likely as any between."""
DETOUR_SIGMA: Final = (DETOUR[1] - DETOUR[0]) / math.sqrt(12)
FIXES_M: Final = 70.0
"""How far two fixes together may be off."""
SHORTEST_M: Final = 500.0
LONG_M: Final = 3_000.0
"""From here on the fixes hardly matter to how long a road is."""
ENOUGH: Final = 400
SIGMAS: Final = 5.0
ROUNDED_KM: Final = 0.0011
ROUNDED_MIN: Final = 0.011
ROUNDED_KMH: Final = 0.06
ROUNDED_L: Final = 0.002
STYLES: Final = (0.9, 1.35)
"""The consumption of a drive, as a share of the car's ordinary one (ours)."""
HYBRID_KEEPS_PERCENT: Final = 12.0
"""The charge that an e-Hybrid keeps for hybrid driving (ours)."""
CLIMATISATION_KW: Final = 8.0
"""An upper bound of the power that climatisation takes out of a parked car."""
HANDS_KEPT: Final = 64
ON_A_TRACK: Final = "cars follow tracks"


class _Known:
    """The drives that a car has reported: the mileage of its last status, and distance and consumption since."""

    __slots__ = (
        "charge_kwh", "driven_km", "from_", "fuel_l", "last_trip", "mileage_km", "started_at", "trips", "used_fuel_l", "used_kwh",
    )  # fmt: skip

    def __init__(self) -> None:
        self.mileage_km: float | None = None
        self.trips = 0
        self.driven_km = 0.0
        self.started_at: Instant | None = None
        self.from_: LatLon | None = None
        self.fuel_l: tuple[float, float] | None = None
        self.charge_kwh: tuple[float, float] | None = None
        self.last_trip: dict[str, Any] | None = None
        self.used_fuel_l = self.used_kwh = 0.0


class DrivesAgree(Check):
    """A car has driven what its trips say: the odometer shows it, tank and charge have lost it, and it stands elsewhere by it.

    A road is 1.15 to 1.45 times as long as the straight line, and 1.3 times on average (ours). That is not judged where somebody
    broke a drive off, nor of cars that follow tracks or routes. An e-Hybrid drives on its charge first, but for 12 % (ours).
    """

    name = "drives"
    rule = "mileage, tank, charge and place have changed by the trips that are told"
    looks_at = "trips, and statuses of parked cars"
    ODOMETER: Final = CheckedRule(
        "odometer", "between two statuses of a parked car the mileage grows by the trips told in between"
    )
    TRIP: Final = CheckedRule("trip", "a trip begins with its engine_on, and distance, duration and average speed agree")
    ROAD: Final = CheckedRule(
        "road", "a trip is 1.15 to 1.45 times as long as the straight line between the fixes before and after"
    )
    AVERAGE: Final = CheckedRule(
        "roads on average", "trips are 1.3 times as long as the straight line, on average of at least 400"
    )
    TAKEN: Final = CheckedRule("taken", "the tank, and the charge, have lost what the trip says that it used")
    CONSUMPTION: Final = CheckedRule("consumption", "a trip uses 0.9 to 1.35 times the car's ordinary consumption")
    ELECTRIC: Final = CheckedRule(
        "electric first", "an e-Hybrid burns fuel only once its charge is down to 12 %, and drives on electricity no further"
    )
    rules = (ODOMETER, TRIP, ROAD, AVERAGE, TAKEN, CONSUMPTION, ELECTRIC)

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin)
        self._cars = cars
        self._equipment = equipment
        self._known: dict[str, _Known] = {}
        self._by_hand: dict[str, deque[tuple[Instant, bool]]] = {}
        self._on_tracks = any(fleet.get("tracks") for fleet in (begin.scenario or {}).get("fleets", ()))
        self._roads = 0
        self._detours = 0.0

    def handlers(self) -> Handlers:
        hands = ("SwitchOff", "DriveTo", "FollowRoute", "Crash", "DrainTo")
        return {
            ("out", "Transmit", "Event"): self._event,
            ("out", "Transmit", "Status"): self._status,
            **{("in", name): self._meddles for name in hands},
        }

    def forget(self, machine: str) -> None:
        """Forget distance and consumption, which a silent car does not report; the actions of people are known."""
        self._known.pop(machine, None)

    def _meddles(self, record: Input, _line: int) -> None:
        self._by_hand.setdefault(record.m, deque(maxlen=HANDS_KEPT)).append((record.t, record.type == "DrainTo"))

    def _untouched(self, machine: str, since: Instant, until: Instant) -> bool:
        """Tell whether nobody has meddled with a drive; who starts one does so at its first instant, and may drain it there."""
        by_hand = self._by_hand.get(machine, ())
        return not any(since < at <= until or (at == since and drained) for at, drained in by_hand)

    # --- a drive

    def _event(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if not is_first(record):
            return
        match event["name"]:
            case "engine_on":
                self._starts(record.m, event)
            case "trip":
                self.looked_at += 1
                self._ends(record.m, event, line)
            case "refuelled" if (known := self._known.get(record.m)) is not None:
                known.fuel_l = known.charge_kwh = None

    def _starts(self, machine: str, event: dict[str, Any]) -> None:
        known, car, at = self._known.setdefault(machine, _Known()), self._cars.of(machine), event["captured_at"]
        known.started_at, known.from_ = at, car.position
        known.fuel_l = known.charge_kwh = None
        known.used_fuel_l = known.used_kwh = 0.0
        fitted = self._equipment.get(event["vin"])
        if fitted is not None:
            known.fuel_l = _held(car.fuel, at, fitted.tank_l, HEATER_L_PER_HOUR)
            if car.plugged_in is False:
                is_drained = not fitted.tank_l  # else the fuel is
                known.charge_kwh = _held(car.charge, at, fitted.usable_kwh, CLIMATISATION_KW, drains=is_drained)

    def _ends(self, machine: str, event: dict[str, Any], line: int) -> None:
        known, trip = self._known.setdefault(machine, _Known()), event["data"]
        known.trips += 1
        known.driven_km += trip["distance_km"]
        known.used_fuel_l += trip.get("fuel_l") or 0.0
        known.used_kwh += trip.get("energy_kwh") or 0.0
        self.judged(self.TRIP.name)
        for told in _adds_up(trip, event["captured_at"], known.started_at):
            self.breach(line, machine, told)
        fitted = self._equipment.get(event["vin"])
        if fitted is None:
            self.undecided(self.CONSUMPTION.name, "judged", "the equipment of the car is not known")
        elif trip["distance_km"] > 1 and not trip.keys().isdisjoint({"fuel_l", "energy_kwh"}):
            known.last_trip = trip

    def _consumption(self, trip: dict[str, Any], energy: dict[str, Any], fitted: Equipment, machine: str, line: int) -> None:
        """Compare the distance with how far the ordinary car goes with what was used, where there was enough of that."""
        if not energy.get("fuel_level_percent" if fitted.tank_l else "charge_percent"):
            self.undecided(self.CONSUMPTION.name, "judged", "the car has nothing left to use")
            return
        goes_km = 0.0
        for used, per_100km in (
            (trip.get("fuel_l"), fitted.fuel_l_per_100km),
            (trip.get("energy_kwh"), fitted.kwh_per_100km),
        ):
            goes_km += used / per_100km * 100 if used and per_100km else 0.0
        least, most = STYLES
        self.judged(self.CONSUMPTION.name)
        if not least <= goes_km / trip["distance_km"] <= most:
            used = f"what is ordinarily used in {goes_km:.2f} km"
            self.breach(
                line, machine, f"a trip of {trip['distance_km']} km has used {used}, expected {least} to {most} times as much"
            )

    def _electric_first(self, trip: dict[str, Any], percent: float, machine: str, line: int) -> None:
        """Judge the charge at the end of the trip of an e-Hybrid."""
        self.judged(self.ELECTRIC.name)
        if trip.get("fuel_l", 0.0) > ROUNDED_L and percent > HYBRID_KEEPS_PERCENT + 2 * ROUNDED_PERCENT:
            self.breach(line, machine, f"an e-Hybrid has burnt {trip['fuel_l']} l, and {percent} % of charge are left")
        if trip.get("energy_kwh", 0.0) > ROUNDED_L and percent < HYBRID_KEEPS_PERCENT - 2 * ROUNDED_PERCENT:
            told = f"an e-Hybrid has used {trip['energy_kwh']} kWh, and {percent} % of charge are left"
            self.breach(line, machine, f"{told}, expected {HYBRID_KEEPS_PERCENT:g}")

    # --- and what came of it

    def _status(self, record: Output, line: int) -> None:
        status = record.data["message"]
        mileage_km = status.get("mileage_km")
        if mileage_km is None or status["state"] != "parked" or not is_first(record):
            return
        self.looked_at += 1
        machine = record.m
        known = self._known.get(machine)
        if known is None:
            known = self._known[machine] = _Known()
        elif known.mileage_km is not None:
            self.judged(self.ODOMETER.name)
            expected_km = known.mileage_km + known.driven_km
            if abs(mileage_km - expected_km) > ROUNDED_KM * (known.trips + 1):
                told = f"expected {expected_km:.3f} km after {known.trips} trips, but the odometer shows {mileage_km} km"
                self.breach(line, machine, told)
        if known.trips and status["trigger"] == "engine_off":
            self._arrived(known, status, machine, line)
        known.mileage_km, known.driven_km, known.trips = mileage_km, 0.0, 0

    def _arrived(self, known: _Known, status: dict[str, Any], machine: str, line: int) -> None:
        until, since = status["captured_at"], known.started_at
        trip, fitted, known.last_trip = known.last_trip, self._equipment.get(status["vin"]), None
        if trip is not None and fitted is not None and "energy" in status:
            self._consumption(trip, status["energy"], fitted, machine, line)
            if fitted.energy == "e-hybrid" and "charge_percent" in status["energy"]:
                self._electric_first(trip, status["energy"]["charge_percent"], machine, line)
        if since is None or not self._untouched(machine, since, until):
            self.undecided(self.ROAD.name, "judged", "somebody meddled with the drive")
            return
        position = status.get("position")
        if self._on_tracks:
            self.undecided(self.ROAD.name, "judged", ON_A_TRACK)
        elif known.trips > 1 or known.from_ is None or position is None:
            self.undecided(self.ROAD.name, "judged", "no position is known before or after")
        else:
            self._road(known.from_, (position["latitude"], position["longitude"]), known.driven_km * 1000, machine, line)
        self._taken(known, status, machine, line)

    def _road(self, here: LatLon, there: LatLon, driven_m: float, machine: str, line: int) -> None:
        straight_m = vincenty_m(here, there)
        if straight_m < SHORTEST_M:
            self.undecided(self.ROAD.name, "judged", "the way is too short")
            return
        self.judged(self.ROAD.name)
        least_m, most_m = (straight_m - FIXES_M) * DETOUR[0], (straight_m + FIXES_M) * DETOUR[1]
        if not least_m <= driven_m <= most_m:
            told = f"a trip of {driven_m:.0f} m has led {straight_m:.0f} m far, expected {least_m:.0f} to {most_m:.0f} m of road"
            self.breach(line, machine, told)
        if straight_m > LONG_M:
            self._roads += 1
            self._detours += driven_m / straight_m

    def _taken(self, known: _Known, status: dict[str, Any], machine: str, line: int) -> None:
        fitted, energy = self._equipment.get(status["vin"]), status.get("energy", {})
        if fitted is None:
            return
        for what, before, used, percent, full in (
            ("l", known.fuel_l, known.used_fuel_l, energy.get("fuel_level_percent"), fitted.tank_l),
            ("kWh", known.charge_kwh, known.used_kwh, energy.get("charge_percent"), fitted.usable_kwh),
        ):
            if not full or percent is None:
                continue
            if before is None:
                self.undecided(self.TAKEN.name, "judged", "what there was before the drive is not known")
                continue
            self.judged(self.TAKEN.name)
            left, rounded = percent / 100 * full, ROUNDED_PERCENT / 100 * full + ROUNDED_L
            least, most = max(0.0, before[0] - used), before[1] - used
            if not least - rounded <= left <= most + rounded:
                told = f"{used:.3f} {what} were used, but {left:.2f} {what} are left, expected {least:.2f} to {most:.2f}"
                self.breach(line, machine, told)

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (of what there is)
        """Judge all trips together: on average a road is longer than the straight line by a known factor."""
        if not self._roads:
            return
        if self._roads < ENOUGH:
            self.undecided(self.AVERAGE.name, "judged", f"fewer than {ENOUGH} trips of more than {LONG_M / 1000:g} km")
            return
        self.judged(self.AVERAGE.name)
        mean, expected = self._detours / self._roads, sum(DETOUR) / 2
        slack = SIGMAS * DETOUR_SIGMA / math.sqrt(self._roads)
        if abs(mean - expected) > slack:
            told = (
                f"{self._roads} trips were {mean:.4f} times as long as the straight line, expected {expected:.2f} ± {slack:.4f}"
            )
            self.breach(line, "run", told, subject="all cars")


def _held(level: Level, at: Instant, full: float, per_hour: float, *, drains: bool = True) -> tuple[float, float] | None:
    """Return the least and the most that a car had at an instant; None when no message says, or it was driven before."""
    return None if level.percent is None or level.driven else level.within(at, full, per_hour=per_hour, drains=drains)


def _adds_up(trip: Mapping[str, Any], at: Instant, engine_on_at: Instant | None) -> Iterator[str]:
    """Yield what does not fit together in one trip."""
    started_at, km, minutes, kmh = trip["started_at"], trip["distance_km"], trip["duration_min"], trip["average_speed_kmh"]
    if engine_on_at is not None and started_at < engine_on_at:
        yield "a trip began before the engine was started"
    if abs((at - started_at) / MINUTE - minutes) > ROUNDED_MIN:
        yield f"a trip tells {minutes} min, but lasted {(at - started_at) / MINUTE:.2f} min"
    if minutes > 1:
        expected, slack = km / minutes * 60, ROUNDED_KMH + (km / minutes * ROUNDED_MIN + ROUNDED_KM) / minutes * 60
        if abs(kmh - expected) > slack:
            yield f"a trip tells {kmh} km/h, but {km} km in {minutes} min are {expected:.1f} km/h"
