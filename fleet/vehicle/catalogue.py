"""The model catalogue: what each CUPRA model can have, what one car has, and its identification number.

The figures are data, in catalogue.toml; this module knows the rules between them. It knows no state of a car.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib import resources
from operator import attrgetter
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from fleet.errors import UnknownName, UsageError
from fleet.kernel.draws import Draws

Generation = Literal["G3", "G4"]
EnergyKind = Literal["petrol", "diesel", "e-hybrid", "electric"]
Media = Literal["media_system", "navi_system"]
ServiceInterval = Literal["fixed", "long_life"]

PLUGGED: Final = frozenset({"e-hybrid", "electric"})
"""The energies that have a traction battery with a plug."""
DOORS: Final = 5
"""Every model has four doors and a boot lid."""
HEATER_SET_AFTER_WEEK: Final = 202048
_VIN_MODEL_YEARS: Final = "ABCDEFGHJKLMNPRSTVWXY123456789"
"""Position 10 of a VIN, from 2010 on in a cycle of 30 years (ISO 3779)."""
_MODEL_YEAR_BEGINS_WEEK: Final = 22
"""Cars built from then on are of the next model year (usual at VW; the week is ours)."""


class Equipment(msgspec.Struct, frozen=True, kw_only=True):
    """The equipment of one car. A figure that does not apply to its energy is 0.

    `battery_kwh` is the battery as it is sold, `usable_kwh` what the driver can use of it. `heater_chooses_mode`: the
    parking heater chooses heating or ventilation by the temperatures (Leon, Formentor). `build_week` is ISO year × 100 +
    week. `fuel_l_per_100km` of an e-hybrid is that of its engine alone.
    """

    model: str
    generation: Generation
    energy: EnergyKind
    media: Media
    mib3: bool
    parking_heater: bool
    heater_chooses_mode: bool
    remote_ventilation: bool
    climatisation: bool
    window_heating: bool
    sunroof: bool
    battery_12v_ah: int
    battery_12v_a: int
    build_week: int
    doors: int
    service_interval: ServiceInterval
    tank_l: float
    reserve_l: float
    fuel_l_per_100km: float
    battery_kwh: float
    usable_kwh: float
    kwh_per_100km: float
    adblue_l: float
    adblue_l_per_1000km: float
    charge_power_kw: float

    @property
    def navi_system(self) -> bool:
        """Whether there is a navi system, and not the media system alone."""
        return self.media == "navi_system"

    @property
    def has_engine(self) -> bool:
        """Whether there is a combustion engine."""
        return self.energy != "electric"

    @property
    def heater_set_in_car(self) -> bool:
        """Whether run time and departure times of the heater are set in the car: Ateca; Leon, Formentor after week 48/2020."""
        return self.parking_heater and (self.model == "Ateca" or self.build_week > HEATER_SET_AFTER_WEEK)

    @property
    def can_charge(self) -> bool:
        """Whether there is a traction battery with a plug."""
        return self.energy in PLUGGED

    @property
    def charging_socket(self) -> bool:
        """As `can_charge`, by the name that a refusal calls it."""
        return self.can_charge


_EQUIPMENT_NAMES: Final = tuple(field.name for field in msgspec.structs.fields(Equipment))
_CONSUMPTIONS: Final = ("fuel_l_per_100km", "kwh_per_100km", "adblue_l_per_1000km")
_consumptions_of: Final = attrgetter(*_CONSUMPTIONS)
_FIXED: Final = (
    "generation", "mib3", "doors", "climatisation", "heater_chooses_mode", "tank_l", "reserve_l", "adblue_l", "charge_power_kw",
)  # fmt: skip
"""The facts that follow from model and energy alone."""
_fixed_of: Final = attrgetter(*_FIXED)


class Battery12V(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ah: int
    a: int
    share: float = 0.0


class TractionBattery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    battery_kwh: float
    usable_kwh: float
    share: float


class EnergyData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of one energy of a model; pairs are ranges."""

    share: float
    tank_l: float = 0.0
    reserve_l: float = 0.0
    fuel_l_per_100km: tuple[float, float] = (0.0, 0.0)
    kwh_per_100km: tuple[float, float] = (0.0, 0.0)
    adblue_l: float = 0.0
    adblue_l_per_1000km: tuple[float, float] = (0.0, 0.0)
    charge_power_kw: float = 0.0
    traction: tuple[TractionBattery, ...] = ()


class ModelData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model; numbers without a unit are shares of its cars."""

    share: float
    generation: Generation
    vin_code: str
    plant: str
    first_week: int
    last_week: int
    mib3: bool
    navi_system: float
    heater_chooses_mode: bool
    parking_heater: float
    remote_ventilation: float
    window_heating: float
    sunroof: float
    long_life: float
    batteries_12v: tuple[Battery12V, ...]
    energies: dict[EnergyKind, EnergyData]
    remote_ventilation_needs: tuple[Battery12V, ...] = ()


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models by name."""

    models: dict[str, ModelData]

    def model(self, name: str) -> ModelData:
        """Return a model's data; raises UnknownName with the nearest one."""
        if name not in self.models:
            raise _unknown("model", name, self.models)
        return self.models[name]


def _unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Return the error with the nearest name, upper case or not: models are written with a capital."""
    names = sorted(known)
    error = UnknownName(kind, name, names)
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in names], n=1)
    if near:
        right = next(each for each in names if each.lower() == near[0])
        error.hint = f"Did you mean {right!r}?"
    return error


@cache
def load_catalogue() -> Catalogue:
    """Return the catalogue from the package's own file."""
    text = resources.files("fleet.vehicle").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=Catalogue)


def draw_equipment(
    catalogue: Catalogue,
    draws: Draws,
    *,
    model: str,
    energy: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Equipment:
    """Draw one car's equipment; `overrides` (fields of Equipment) take the place of what was drawn.

    An override shifts no other draw; what depends on it follows where it can: remote ventilation asked of a Formentor
    brings one of the batteries it needs. Raises UnknownName for a model, energy or field that does not exist, and
    UsageError for an override the model cannot have.
    """
    data = catalogue.model(model)
    wanted = dict(overrides or {})
    for name in wanted:
        if name not in _EQUIPMENT_NAMES:
            raise _unknown("equipment", name, _EQUIPMENT_NAMES)
    asked = energy if energy is not None else wanted.get("energy")
    kinds = list(data.energies)
    kind = kinds[draws.weighted([data.energies[each].share for each in kinds])]
    if asked is not None:
        kind = _named_energy(model, kinds, str(asked))
    fields = _draw_fields(draws, model, data, kind, wanted)
    fields.update(wanted)
    try:
        equipment = msgspec.convert(fields, Equipment)
    except msgspec.ValidationError as error:
        raise UsageError(f"equipment of a {model}: {error}") from error
    for problem in problems(catalogue, equipment):
        raise UsageError(f"no {model} ({kind}) is built like that: {problem}")
    return equipment


def _named_energy(model: str, kinds: list[EnergyKind], asked: str) -> EnergyKind:
    for kind in kinds:
        if kind == asked:
            return kind
    if asked in get_args(EnergyKind):
        raise UsageError(f"there is no {asked} {model}", hint=f"{model}: {', '.join(kinds)}.")
    raise _unknown("energy", asked, get_args(EnergyKind))


def _draw_fields(draws: Draws, model: str, data: ModelData, kind: EnergyKind, wanted: Mapping[str, object]) -> dict[str, Any]:
    """Draw every field, always with the same number of draws in the same order."""
    figures = data.energies[kind]
    plugged = kind in PLUGGED
    navi, heater, ventilation, window, sunroof, long_life = [draws.unit() for _ in range(6)]
    battery = _pick(draws.unit(), _possible_12v(data, wanted))
    traction = _pick(draws.unit(), [each for each in figures.traction if _matches(each, wanted)] or figures.traction)
    week = _draw_week(draws.unit(), data)
    parking_heater = not plugged and heater < data.parking_heater
    return {
        "model": model,
        "generation": data.generation,
        "energy": kind,
        "media": "navi_system" if navi < data.navi_system else "media_system",
        "mib3": data.mib3,
        "parking_heater": parking_heater,
        "heater_chooses_mode": data.heater_chooses_mode and bool(wanted.get("parking_heater", parking_heater)),
        "remote_ventilation": not plugged
        and ventilation < data.remote_ventilation
        and battery is not None
        and _allows_ventilation(data, battery.ah, battery.a),
        "climatisation": plugged,
        "window_heating": plugged and window < data.window_heating,
        "sunroof": sunroof < data.sunroof,
        "battery_12v_ah": battery.ah if battery else 0,
        "battery_12v_a": battery.a if battery else 0,
        "build_week": week,
        "doors": DOORS,
        "service_interval": "long_life" if long_life < data.long_life else "fixed",
        "tank_l": figures.tank_l,
        "reserve_l": figures.reserve_l,
        "battery_kwh": traction.battery_kwh if traction else 0.0,
        "usable_kwh": traction.usable_kwh if traction else 0.0,
        "adblue_l": figures.adblue_l,
        "charge_power_kw": figures.charge_power_kw,
        "fuel_l_per_100km": round(draws.uniform(*figures.fuel_l_per_100km), 2),
        "kwh_per_100km": round(draws.uniform(*figures.kwh_per_100km), 2),
        "adblue_l_per_1000km": round(draws.uniform(*figures.adblue_l_per_1000km), 2),
    }


SharedT = TypeVar("SharedT", Battery12V, TractionBattery)


def _pick(point: float, items: Sequence[SharedT]) -> SharedT | None:
    """Return the item at `point` (0 to 1) of the shares of `items`, or None when there are none."""
    point *= sum([item.share for item in items])
    for item in items:
        point -= item.share
        if point < 0.0:
            return item
    return items[-1] if items else None


def _possible_12v(data: ModelData, wanted: Mapping[str, object]) -> Sequence[Battery12V]:
    """Return the 12 V batteries that go with the overrides; without one, leave the complaint to `problems`."""
    if not wanted:
        return data.batteries_12v
    named = [
        battery
        for battery in data.batteries_12v
        if wanted.get("battery_12v_ah", battery.ah) == battery.ah and wanted.get("battery_12v_a", battery.a) == battery.a
    ] or data.batteries_12v
    if wanted.get("remote_ventilation") is not True:
        return named
    return [battery for battery in named if _allows_ventilation(data, battery.ah, battery.a)] or named


def _matches(battery: TractionBattery, wanted: Mapping[str, object]) -> bool:
    return (
        wanted.get("battery_kwh", battery.battery_kwh) == battery.battery_kwh
        and wanted.get("usable_kwh", battery.usable_kwh) == battery.usable_kwh
    )


def _allows_ventilation(data: ModelData, ah: int, a: int) -> bool:
    needs = data.remote_ventilation_needs
    return not needs or any((each.ah, each.a) == (ah, a) for each in needs)


def _draw_week(point: float, data: ModelData) -> int:
    weeks = _weeks(data.first_week, data.last_week)
    return weeks[int(point * len(weeks))]


@cache
def _weeks(first: int, last: int) -> list[int]:
    """Return all weeks from the first one to the last one that a model was built."""
    monday, end, found = _monday(first), _monday(last), []
    while monday <= end:
        year, week, _ = monday.isocalendar()
        found.append(year * 100 + week)
        monday += timedelta(weeks=1)
    return found


@lru_cache(maxsize=4096)
def _monday(build_week: int) -> date:
    """Return the week's Monday; raises ValueError for a week that does not exist."""
    return date.fromisocalendar(build_week // 100, build_week % 100, 1)


def problems(catalogue: Catalogue, equipment: Equipment) -> list[str]:
    """Return what a car of that model and energy cannot have; empty when all goes together.

    Climatisation instead of a parking heater for e-hybrid and electric cars, AdBlue only with diesel, the Formentor's
    remote ventilation only with the 420 A (70 Ah) or 380 A (68 Ah) battery: from the public FAQ; the rest is ours.
    """
    data = catalogue.model(equipment.model)
    e = equipment
    if e.energy not in data.energies:
        return [f"there is no {e.energy} {e.model}"]
    figures = data.energies[e.energy]
    plugged = e.energy in PLUGGED
    found = []
    fixed = (
        data.generation,
        data.mib3,
        DOORS,
        plugged,
        data.heater_chooses_mode and e.parking_heater,
        figures.tank_l,
        figures.reserve_l,
        figures.adblue_l,
        figures.charge_power_kw,
    )
    built = _fixed_of(e)
    if built != fixed:
        named = zip(_FIXED, built, fixed, strict=True)
        found += [f"{name} can only be {value}" for name, is_built, value in named if is_built != value]
    if e.parking_heater and (plugged or not data.parking_heater):
        found.append("parking_heater: e-hybrid and electric cars have climatisation instead")
    if e.window_heating and not plugged:
        found.append("window_heating is part of climatisation, which only e-hybrid and electric cars have")
    if (e.battery_12v_ah, e.battery_12v_a) not in [(each.ah, each.a) for each in data.batteries_12v]:
        found.append(f"there is no 12 V battery of {e.battery_12v_ah} Ah and {e.battery_12v_a} A")
    if e.remote_ventilation and (plugged or not data.remote_ventilation):
        found.append("remote_ventilation exists for petrol and diesel cars of the third generation")
    elif e.remote_ventilation and not _allows_ventilation(data, e.battery_12v_ah, e.battery_12v_a):
        found.append("remote_ventilation needs the 420 A (70 Ah) or the 380 A (68 Ah) battery")
    sold = [(each.battery_kwh, each.usable_kwh) for each in figures.traction] or [(0.0, 0.0)]
    if (e.battery_kwh, e.usable_kwh) not in sold:
        found.append(f"battery_kwh (and usable_kwh) can be {', '.join(f'{kwh:g} ({use:g})' for kwh, use in sorted(set(sold)))}")
    return found + _figure_problems(data, figures, e)


def _figure_problems(data: ModelData, figures: EnergyData, equipment: Equipment) -> list[str]:
    """Check the figures that are free within limits."""
    found = []
    for name, (low, high), value in zip(_CONSUMPTIONS, _consumptions_of(figures), _consumptions_of(equipment), strict=True):
        if not 0.5 * low <= value <= 2.0 * high:
            found.append(f"{name} can be {0.5 * low:g} to {2.0 * high:g}" if high else f"{name} can only be 0")
    try:
        built = _monday(equipment.build_week)
    except ValueError:
        found.append(f"build_week {equipment.build_week} is no ISO week: write the year and two digits, such as 202225")
    else:
        if built < _monday(data.first_week):
            found.append(f"build_week: it was first built in week {data.first_week}")
    return found


def make_vin(equipment: Equipment, serial: int) -> str:
    """Return the VIN of the car with that serial number, different for each 0 to 999 999 of a model.

    VSS (SEAT), ZZZ, model, Z, model year, plant, serial; the letters for model and plant are those of real cars where
    they are known. Raises UsageError for a serial number out of range.
    """
    if not 0 <= serial <= 999_999:
        raise UsageError(f"the serial number {serial} does not fit into a VIN", hint="It has six digits: 0 to 999999.")
    data = load_catalogue().model(equipment.model)
    year, week = divmod(equipment.build_week, 100)
    model_year = year + (week >= _MODEL_YEAR_BEGINS_WEEK)
    letter = _VIN_MODEL_YEARS[(model_year - 2010) % len(_VIN_MODEL_YEARS)]
    return f"VSSZZZ{data.vin_code}Z{letter}{data.plant}{serial:06d}"
