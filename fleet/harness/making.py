"""Makes the cars of a test: what the test says of them, and the rest drawn from its seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fleet.errors import UnknownName, UsageError
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import Instant
from fleet.vehicle.car import Car
from fleet.vehicle.catalogue import Equipment, draw_equipment, load_catalogue, make_vin
from fleet.vehicle.driver import PROFILES, Driver, Profile
from fleet.vehicle.geo import LatLon
from fleet.vehicle.region import Place, Region
from fleet.vehicle.settings import CarSettings
from fleet.wire.dialect import StatusIntervals

MOST_KM: Final = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCar:
    """A car to be made; `equipment` are fields of `Equipment`.

    None leaves a property to the draw, and has `at` be the middle of the region.
    """

    model: str
    energy: str | None = None
    at: tuple[float, float] | None = None
    fuel_percent: float | None = None
    charge_percent: float | None = None
    odometer_km: float | None = None
    plugged_in: bool = False
    profile: Profile = "parked"
    settings: CarSettings | None = None
    equipment: Mapping[str, object] = field(default_factory=dict)

    def make(
        self, number: int, *, seed: int, boot: int, now: Instant, region: Region, until_stored: bool, intervals: StatusIntervals
    ) -> Car:
        """Make the car of that number, which reports at `intervals`. Raises UsageError for what no such car can be or hold."""
        catalogue = load_catalogue()
        first = next(iter(catalogue.model(self.model).energies))
        if self.profile not in PROFILES:
            raise UnknownName("profile of a driver", self.profile, PROFILES)
        at = position(region.centre if self.at is None else self.at)
        draws = Draws(stream_key(seed, "car", str(number)), "equipment")
        fitted = draw_equipment(catalogue, draws, model=self.model, energy=self.energy or first, overrides=self.equipment)
        home, work = Place(*at, "home", "home"), Place(at[0] + 0.1, at[1], "work", "work")
        car = Car(
            vin=make_vin(fitted, number), key=stream_key(seed, "car", str(number)), equipment=fitted, boot=boot, now=now,
            driver=Driver(stream_key(seed, "driver", str(number)), region, home=home, work=work, profile=self.profile),
            settings=self.settings or CarSettings(hole_share=0.0, until_stored=until_stored, status_intervals=intervals),
        )  # fmt: skip
        self._set_levels(car, fitted)
        return car

    def _set_levels(self, car: Car, e: Equipment) -> None:
        """Set what the tanks hold before the car starts."""
        powertrain = car.powertrain
        if self.fuel_percent is not None:
            powertrain.fuel_l = e.tank_l * _share("fuel_percent", self.fuel_percent, e.tank_l, e)
        if self.charge_percent is not None:
            powertrain.charge_kwh = e.usable_kwh * _share("charge_percent", self.charge_percent, e.usable_kwh, e)
        if self.odometer_km is not None:
            if not 0 <= self.odometer_km <= MOST_KM:
                raise UsageError(f"odometer_km is {self.odometer_km:g}", hint=f"0 to {MOST_KM} are possible.")
            powertrain.odometer_m = powertrain.start_m = self.odometer_km * 1000
        if self.plugged_in and not e.can_charge:
            raise UsageError(f"a {e.energy} {e.model} has no plug", hint="Leave plugged_in out, or choose an electric car.")
        car.powertrain.plugged_in = self.plugged_in


def _share(name: str, percent: float, holds: float, e: Equipment) -> float:
    if not holds:
        raise UsageError(f"{name} means nothing to a {e.energy} {e.model}", hint="Leave it out, or choose another energy.")
    if not 0 <= percent <= 100:
        raise UsageError(f"{name} is {percent:g}", hint="0 to 100 are possible.")
    return percent / 100


def position(at: object) -> LatLon:
    """Return latitude and longitude in degrees. Raises UsageError for what is no place on earth."""
    match at:
        case (int() | float() as latitude, int() | float() as longitude) if abs(latitude) <= 90 and abs(longitude) <= 180:
            return latitude, longitude
        case _:
            raise UsageError(f"{at!r} is no place", hint="Give latitude and longitude in degrees, such as (48.2, 11.6).")
