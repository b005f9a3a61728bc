"""The effect of driving, heating and charging on odometer, fuel, charge and AdBlue; all closed forms of distance and time."""

# ruff: noqa: FURB136 (levels are worked out seven times for each drive, and min() and max() cost more than all the rest)

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from fleet.kernel.draws import Draws
from fleet.kernel.instants import DAY, HOUR, Instant
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.charge_curve import ChargeCurve
from fleet.wire.messages import AdBlue, Energy, ServiceDue

HEATER_L_PER_HOUR: Final = 0.4
"""0.2 l in half an hour, as owners' manuals of fuel-fired parking heaters state."""
ADBLUE_WARNINGS_KM: Final = ((2400.0, "none"), (1750.0, "low"), (900.0, "very_low"), (0.0, "critical"))
"""Above the first range there is no warning; at 0 km the engine does not restart (owners' manuals)."""
LOW_LEVEL_PERCENT: Final = 12.0
"""A driver looks for a station below this (ours)."""
REACH_MARGIN: Final = 0.75
"""Share of the shown range that a driver trusts: even the thirstiest drive (see `begin_drive`) does not use it up (ours)."""
CHARGE_GROUPS: Final = ("energy", "charging")
"""The groups of the status that charging changes."""
HYBRID_RESERVE: Final = 0.12
"""Share of the usable charge that an e-Hybrid keeps for hybrid driving (ours)."""

_SERVICE: Final = {"fixed": (15_000_000.0, 365), "long_life": (30_000_000.0, 730)}
"""Metres and days between services: 15 000 km or a year, LongLife 30 000 km or two."""


class Levels(msgspec.Struct, frozen=True, gc=False):
    """The contents of the tanks and the reading of the odometer at one instant."""

    odometer_m: float
    fuel_l: float
    charge_kwh: float
    adblue_l: float


class Charge(msgspec.Struct, frozen=True, gc=False):
    """Charging under way: by its curve, up to a target."""

    since: Instant
    curve: ChargeCurve
    target_kwh: float

    def charge_at(self, charge_kwh: float, now: Instant) -> float:
        """Return what the charge at `since` has become; a target below it takes nothing out."""
        return max(charge_kwh, min(self.target_kwh, self.curve.charge_after(charge_kwh, (now - self.since) / HOUR)))


class Consumption(msgspec.Struct, frozen=True, gc=False):
    """The consumption of one drive per metre."""

    fuel_l: float
    charge_kwh: float
    adblue_l: float


class Draw(msgspec.Struct, frozen=True, gc=False):
    """The power that climatisation takes out of the traction battery: `power_kw` from `since` on, after `used_kwh` before it."""

    power_kw: float
    since: Instant
    used_kwh: float

    def taken_kwh(self, now: Instant) -> float:
        """Return what it has taken since the base."""
        return self.power_kw * (now - self.since) / HOUR


class Powertrain:
    """Levels at a base, and what has changed them since: a drive (by distance), heater, climatisation and charging (by time)."""

    __slots__ = (
        "adblue_l", "charge_kwh", "charging", "climate", "drive", "equipment", "fuel_l",
        "heating_since", "next_oil_at", "next_oil_m", "next_service_at", "next_service_m", "odometer_m", "plugged_in",
        "start_m",
    )  # fmt: skip

    def __init__(self, equipment: Equipment, draws: Draws, now: Instant) -> None:
        """Draw the levels with which the car enters the scenario: driven for a while, serviced in time or nearly."""
        self.equipment = equipment
        self.start_m = self.odometer_m = draws.uniform(2_000_000, 120_000_000)
        self.fuel_l = equipment.tank_l * draws.uniform(0.25, 1.0)
        self.charge_kwh = equipment.usable_kwh * draws.uniform(0.4, 1.0)
        self.adblue_l = equipment.adblue_l * draws.uniform(0.3, 1.0)
        self.drive: Consumption | None = None
        self.heating_since: Instant | None = None
        self.climate: Draw | None = None
        self.charging: Charge | None = None
        self.plugged_in = False
        metres, days = _SERVICE[equipment.service_interval]
        self.next_service_m = self.odometer_m + metres * draws.uniform(-0.02, 1.0)
        self.next_service_at = now + int(days * DAY * draws.uniform(-0.02, 1.0))
        self.next_oil_m = self.odometer_m + metres * draws.uniform(-0.02, 1.0)
        self.next_oil_at = now + int(days * DAY * draws.uniform(-0.02, 1.0))

    # --- closed forms

    def levels(self, now: Instant, driven_m: float = 0.0) -> Levels:
        """Return the levels at `now`, `driven_m` metres into the drive under way."""
        fuel_l, charge_kwh, adblue_l = self.fuel_l, self.charge_kwh, self.adblue_l
        drive = self.drive
        if drive is not None:
            reach_m = self._electric_reach_m(drive)
            electric_m = driven_m if driven_m < reach_m else reach_m
            charge_kwh -= electric_m * drive.charge_kwh
            fuel_l -= (driven_m - electric_m) * drive.fuel_l
            adblue_l -= driven_m * drive.adblue_l
        if self.heating_since is not None:
            fuel_l -= HEATER_L_PER_HOUR * (now - self.heating_since) / HOUR
        if self.climate is not None:
            charge_kwh -= self.climate.taken_kwh(now)
        if self.charging is not None:
            charge_kwh = self.charging.charge_at(charge_kwh, now)
        return Levels(
            self.odometer_m + driven_m,
            fuel_l if fuel_l > 0.0 else 0.0,
            charge_kwh if charge_kwh > 0.0 else 0.0,
            adblue_l if adblue_l > 0.0 else 0.0,
        )

    def _electric_reach_m(self, drive: Consumption) -> float:
        if drive.charge_kwh <= 0:
            return 0.0
        kept_kwh: float = HYBRID_RESERVE * self.equipment.usable_kwh if self.equipment.energy == "e-hybrid" else 0.0
        return max(0.0, self.charge_kwh - kept_kwh) / drive.charge_kwh

    def range_m(self, levels: Levels) -> tuple[float, float]:
        """Return the range on fuel and the range on charge, at the car's ordinary consumption."""
        e = self.equipment
        fuel_m = levels.fuel_l / e.fuel_l_per_100km * 100_000 if e.fuel_l_per_100km else 0.0
        electric_m = levels.charge_kwh / e.kwh_per_100km * 100_000 if e.kwh_per_100km else 0.0
        return fuel_m, electric_m

    def adblue_range_km(self, levels: Levels) -> float:
        """Return the distance the AdBlue still lasts."""
        return levels.adblue_l / self.equipment.adblue_l_per_1000km * 1000.0

    def fuel_above_reserve_until(self, now: Instant) -> Instant:
        """Return until when a heater that starts now finds fuel above the reserve."""
        spare_l = self.levels(now).fuel_l - self.equipment.reserve_l
        return now + int(spare_l / HEATER_L_PER_HOUR * HOUR)

    def must_stop_for_energy(self, now: Instant, distance_m: float) -> bool:
        """Tell whether a driver would look for a station before, or on, a drive of this length."""
        levels = self.levels(now)
        fuel_m, electric_m = self.range_m(levels)
        e = self.equipment
        low = levels.fuel_l < e.tank_l * LOW_LEVEL_PERCENT / 100 if e.tank_l else levels.charge_kwh < e.usable_kwh * 0.15
        out_of_adblue = bool(e.adblue_l) and self.adblue_range_km(levels) < distance_m / 1000 + 50
        return low or out_of_adblue or distance_m > REACH_MARGIN * (fuel_m + electric_m)

    # --- changes

    def begin_drive(self, draws: Draws, average_kmh: float) -> None:
        """Fix what the coming drive uses per metre: more in town and with a heavy foot (ours)."""
        e = self.equipment
        style = draws.uniform(0.92, 1.12) * (1.18 if average_kmh < 30 else 1.0 if average_kmh < 70 else 1.08)
        self.drive = Consumption(
            e.fuel_l_per_100km * style / 100_000,
            e.kwh_per_100km * style / 100_000,
            e.adblue_l_per_1000km * style / 1_000_000,
        )

    def settle(self, now: Instant, driven_m: float = 0.0) -> Levels:
        """Make the levels at `now` the new base; ends the drive, and keeps heater, climatisation and charging going."""
        levels = self.levels(now, driven_m)
        self.odometer_m = levels.odometer_m
        self.fuel_l = levels.fuel_l
        self.charge_kwh = levels.charge_kwh
        self.adblue_l = levels.adblue_l
        self.drive = None
        if self.heating_since is not None:
            self.heating_since = now
        if self.climate is not None:
            self.climate = replace(self.climate, since=now, used_kwh=self.climate.used_kwh + self.climate.taken_kwh(now))
        if self.charging is not None:
            self.charging = replace(self.charging, since=now)
        return levels

    def condition(self, power_kw: float, now: Instant) -> None:
        """From now on climatisation takes this out of the traction battery."""
        self.settle(now)
        self.climate = Draw(power_kw, now, self.climate.used_kwh if self.climate is not None else 0.0)

    def heat(self, now: Instant) -> None:
        """Let the heater burn fuel from now on."""
        self.settle(now)
        self.heating_since = now

    def end_comfort(self, now: Instant) -> Draw | None:
        """End heater and climatisation; return what climatisation has drawn."""
        self.settle(now)
        drawn = self.climate
        self.heating_since = self.climate = None
        return drawn

    def end_charging(self, now: Instant) -> None:
        """Charge no more."""
        self.settle(now)
        self.charging = None

    def drain(self, share: float, levels: Levels) -> None:
        """Draw fuel down to a share of the tank, or charge where there is no tank; `levels` are those of now."""
        e = self.equipment
        if e.tank_l:
            self.fuel_l -= max(0.0, levels.fuel_l - share * e.tank_l)
        else:
            self.charge_kwh -= max(0.0, levels.charge_kwh - share * e.usable_kwh)

    def service_done(self, now: Instant, *, inspection: bool, oil_change: bool) -> None:
        """Count distance and time to the next services anew; the odometer is as at the last settling."""
        metres, days = _SERVICE[self.equipment.service_interval]
        if inspection:
            self.next_service_m, self.next_service_at = self.odometer_m + metres, now + days * DAY
        if oil_change:
            self.next_oil_m, self.next_oil_at = self.odometer_m + metres, now + days * DAY

    def drain_adblue(self, share: float) -> None:
        """Draw AdBlue down to a share of its tank, in a parked car; never up."""
        self.adblue_l = min(self.adblue_l, share * self.equipment.adblue_l)

    def refill(self, now: Instant) -> dict[str, float]:
        """Fill up at a station; AdBlue when its first warning is on. Returns what was taken, by unit."""
        self.settle(now)
        e = self.equipment
        taken: dict[str, float] = {}
        if e.tank_l:
            taken["fuel_l"] = round(e.tank_l - self.fuel_l, 2)
            self.fuel_l = e.tank_l
        else:
            charged_kwh = max(self.charge_kwh, 0.9 * e.usable_kwh)
            taken["energy_kwh"] = round(charged_kwh - self.charge_kwh, 2)
            self.charge_kwh = charged_kwh
        if e.adblue_l and self.adblue_range_km(self.levels(now)) < ADBLUE_WARNINGS_KM[0][0]:
            taken["adblue_l"] = round(e.adblue_l - self.adblue_l, 2)
            self.adblue_l = e.adblue_l
        return taken

    # --- what is reported

    def energy(self, levels: Levels) -> Energy:
        """Return levels and ranges of what the car runs on; None for what it has not."""
        tank_l, usable_kwh = self.equipment.tank_l, self.equipment.usable_kwh
        fuel_m, electric_m = self.range_m(levels)
        return Energy(
            fuel_level_percent=round(levels.fuel_l / tank_l * 100, 1) if tank_l else None,
            fuel_range_km=round(fuel_m / 1000, 1) if tank_l else None,
            charge_percent=round(levels.charge_kwh / usable_kwh * 100, 1) if usable_kwh else None,
            electric_range_km=round(electric_m / 1000, 1) if usable_kwh else None,
        )

    def adblue(self, levels: Levels) -> AdBlue | None:
        """Return level, range and warning; None but for a diesel."""
        if not self.equipment.adblue_l:
            return None
        range_km = self.adblue_range_km(levels)
        warning = next((name for above_km, name in ADBLUE_WARNINGS_KM if range_km > above_km), "empty")
        return AdBlue(
            level_percent=round(levels.adblue_l / self.equipment.adblue_l * 100, 1),
            range_km=round(range_km, 1),
            warning=warning,  # type: ignore[arg-type]
        )

    def service(self, levels: Levels, now: Instant) -> ServiceDue:
        """Return what is left until inspection and oil change, negative when overdue; no oil in an electric car."""
        inspection_km = round((self.next_service_m - levels.odometer_m) / 1000, 1) or 0.0  # and never -0.0
        inspection_days = (self.next_service_at - now) // DAY
        if not self.equipment.tank_l:
            return ServiceDue(inspection_km=inspection_km, inspection_days=inspection_days)
        return ServiceDue(
            inspection_km=inspection_km,
            inspection_days=inspection_days,
            oil_change_km=round((self.next_oil_m - levels.odometer_m) / 1000, 1) or 0.0,
            oil_change_days=(self.next_oil_at - now) // DAY,
        )
