"""Our status in COVESA VSS 6.0: which signal of the catalogue says what, in its datatype, unit and values, and back again.

Paths are those of a car with the steering wheel on the left. The catalogue has no place for what `LOST` names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

from fleet.kernel.instants import Instant, format_instant, from_datetime
from fleet.vehicle.powertrain import ADBLUE_WARNINGS_KM
from fleet.wire.messages import STATUS_GROUPS, Header, Status, Trigger, VehicleState

Value = bool | int | float | str

VERSION: Final = (6, 0, 0)
"""The release of the catalogue."""

DAY_S: Final = 86_400

LOST: Final = {
    "service": "the catalogue knows what comes first, not which service: inspection and oil change cannot be told apart",
    "climate": "no signal for a parking heater, for ventilation, or for how long they still run",
    "charging": "no signal for a full battery or a charge point without power: only charging and unplugged can be told",
    "driving.today": "no signal for a day's trips",
    "driving.since_filled": "the fuel alone has a signal",
    "driving.last_trip.energy_kwh": "no signal for the energy of a trip",
    "health": "its trouble codes are those of OBD, not warning lights",
    "low_voltage.charge_percent": "the 12 V battery has a voltage and a current, no state of charge",
    "software": "no signal for the versions of a whole car",
    "position.parked_at": "a position has one timestamp, that of the fix",
    "energy.fuel_level_percent": "a whole number of percent",
    "adblue.level_percent": "a whole number of percent",
}
"""Fields and groups that a reader of the signals does not get, or not as they were, each with its reason."""


class Conversion(NamedTuple):
    """A value of ours as one of the catalogue, and back; no way back for `read` None."""

    write: Callable[[Any], Value]
    read: Callable[[Any], Any] | None = None


class Signal(NamedTuple):
    """A leaf of the catalogue, with the field of a status that it says, or a function of the whole status."""

    path: str
    kind: Literal["sensor", "actuator", "attribute"]
    datatype: str
    unit: str | None = None
    field: str | None = None
    conversion: Conversion | None = None
    of: Callable[[Status], Value | None] | None = None
    allowed: tuple[str, ...] = ()


def _read_instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text))


_SAME: Final = Conversion(lambda value: value, lambda value: value)
_KM_AS_M: Final = Conversion(lambda km: round(km * 1000), lambda m: m / 1000)
_WHOLE: Final = Conversion(round, float)
_MIN_AS_S: Final = Conversion(lambda minutes: minutes * 60, lambda s: s / 60)
_INSTANT: Final = Conversion(format_instant, _read_instant)
_ROOF: Final = Conversion(lambda is_open: 100 if is_open else 0, lambda position: position != 0)

_START_STOP: Final = ("START", "STOP")
_SYSTEM_STATES: Final = ("UNDEFINED", "LOCK", "OFF", "ACC", "ON", "START")
_SYSTEM_STATE: Final[dict[VehicleState, str]] = {
    "offline": "UNDEFINED",
    "parked": "OFF",
    "ignition_on": "ON",
    "driving": "ON",
}
_DOORS: Final = {
    "front_left": "Vehicle.Cabin.Door.Row1.DriverSide",
    "front_right": "Vehicle.Cabin.Door.Row1.PassengerSide",
    "rear_left": "Vehicle.Cabin.Door.Row2.DriverSide",
    "rear_right": "Vehicle.Cabin.Door.Row2.PassengerSide",
}
_BATTERY: Final = "Vehicle.Powertrain.TractionBattery"
_CHARGING: Final = _BATTERY + ".Charging"
_FUEL: Final = "Vehicle.Powertrain.FuelSystem"
_ADBLUE: Final = "Vehicle.Powertrain.CombustionEngine.DieselExhaustFluid"
_PLACE: Final = "Vehicle.CurrentLocation"
_CLIMATE: Final = "Vehicle.Cabin.HVAC"
PLUGGED_IN: Final = _CHARGING + ".ChargingPort.AnyPosition.IsChargingCableConnected"
_TARGET: Final = _CLIMATE + ".Station.Row1.Driver.Temperature"
POWERTRAINS: Final = ("COMBUSTION", "HYBRID", "ELECTRIC")


# --- signals that say more than one field


def _powertrain(status: Status) -> str | None:
    energy = status.energy
    if energy is None:
        return None
    if energy.charge_percent is None:
        return "COMBUSTION"
    return "ELECTRIC" if energy.fuel_level_percent is None else "HYBRID"


def _range_m(status: Status) -> int | None:
    energy = status.energy
    return None if energy is None else round(((energy.fuel_range_km or 0) + (energy.electric_range_km or 0)) * 1000)


def _service_km(status: Status) -> float | None:
    service = status.service
    if service is None:
        return None
    return service.inspection_km if service.oil_change_km is None else min(service.inspection_km, service.oil_change_km)


def _service_s(status: Status) -> int | None:
    service = status.service
    if service is None:
        return None
    days = service.inspection_days
    return DAY_S * (days if service.oil_change_days is None else min(days, service.oil_change_days))


def _is_service_due(status: Status) -> bool | None:
    km, left_s = _service_km(status), _service_s(status)
    return None if km is None or left_s is None else km <= 0 or left_s <= 0


def _is_adblue_low(status: Status) -> bool | None:
    return None if status.adblue is None else status.adblue.warning != "none"


def _is_charging(status: Status) -> bool | None:
    return None if status.charging is None else status.charging.state == "charging"


def _charging_switch(status: Status) -> str | None:
    is_charging = _is_charging(status)
    return None if is_charging is None else "START" if is_charging else "STOP"


def _charging_power_w(status: Status) -> float | None:
    """Return what flows into the battery; while it does not charge no field of a status says what flows."""
    charging = status.charging
    return round(charging.power_kw * 1000, 1) if charging is not None and charging.state == "charging" else None


def _charge_limit(status: Status) -> int | None:
    charging = status.charging
    if charging is None:
        return None
    return charging.limit_percent if charging.target_percent is None else charging.target_percent


def _timer_mode(status: Status) -> str | None:
    charging = status.charging
    return None if charging is None else "INACTIVE" if charging.starts_at is None else "START_TIME"


def _is_climatised(status: Status) -> bool | None:
    return None if status.climate is None else status.climate.state == "climatisation"


def _sensor(path: str, datatype: str, unit: str, field: str, how: Conversion = _SAME) -> Signal:
    return Signal(path, "sensor", datatype, unit, field, how)


def _switch(path: str, field: str, kind: Literal["sensor", "actuator"] = "actuator") -> Signal:
    return Signal(path, kind, "boolean", None, field, _SAME)


def _doors() -> list[Signal]:
    signals = []
    for door, path in _DOORS.items():
        signals.append(_switch(f"{path}.IsOpen", f"doors.{door}.open"))
        signals.append(_switch(f"{path}.IsLocked", f"doors.{door}.locked"))
        signals.append(_switch(f"{path}.Window.IsOpen", f"windows.{door}"))
    return signals


SIGNALS: Final = (
    Signal("Vehicle.IsMoving", "sensor", "boolean", of=lambda status: status.state == "driving"),
    Signal(
        "Vehicle.LowVoltageSystemState",
        "sensor",
        "string",
        of=lambda status: _SYSTEM_STATE[status.state],
        allowed=_SYSTEM_STATES,
    ),
    _sensor("Vehicle.TraveledDistance", "uint32", "m", "mileage_km", _KM_AS_M),
    Signal("Vehicle.Powertrain.Type", "attribute", "string", of=_powertrain, allowed=POWERTRAINS),
    Signal("Vehicle.Powertrain.Range", "sensor", "uint32", "m", of=_range_m),
    _sensor(f"{_FUEL}.RelativeLevel", "uint8", "percent", "energy.fuel_level_percent", _WHOLE),
    _sensor(f"{_FUEL}.Range", "uint32", "m", "energy.fuel_range_km", _KM_AS_M),
    _sensor(f"{_BATTERY}.StateOfCharge.Displayed", "float", "percent", "energy.charge_percent"),
    _sensor(f"{_BATTERY}.Range", "uint32", "m", "energy.electric_range_km", _KM_AS_M),
    _sensor(f"{_ADBLUE}.Level", "uint8", "percent", "adblue.level_percent", _WHOLE),
    _sensor(f"{_ADBLUE}.Range", "uint32", "m", "adblue.range_km", _KM_AS_M),
    Signal(f"{_ADBLUE}.IsLevelLow", "sensor", "boolean", of=_is_adblue_low),
    Signal("Vehicle.Service.DistanceToService", "sensor", "float", "km", of=_service_km),
    Signal("Vehicle.Service.TimeToService", "sensor", "int32", "s", of=_service_s),
    Signal("Vehicle.Service.IsServiceDue", "sensor", "boolean", of=_is_service_due),
    *_doors(),
    _switch("Vehicle.Body.Hood.IsOpen", "doors.bonnet.open"),
    _switch("Vehicle.Body.Trunk.Rear.IsOpen", "doors.boot.open"),
    _switch("Vehicle.Body.Trunk.Rear.IsLocked", "doors.boot.locked"),
    _sensor("Vehicle.Cabin.Sunroof.Position", "int8", "percent", "windows.sunroof", _ROOF),
    _switch("Vehicle.Body.Lights.Parking.IsOn", "lights.parking_lights_on"),
    _sensor(f"{_PLACE}.Latitude", "double", "degrees", "position.latitude"),
    _sensor(f"{_PLACE}.Longitude", "double", "degrees", "position.longitude"),
    _sensor(f"{_PLACE}.HorizontalAccuracy", "double", "m", "position.accuracy_m"),
    _sensor(f"{_PLACE}.Timestamp", "string", "iso8601", "position.fixed_at", _INSTANT),
    Signal(f"{_CLIMATE}.IsAirConditioningActive", "actuator", "boolean", of=_is_climatised),
    Signal(_TARGET, "actuator", "float", "Celsius", "climate.target_c", _SAME),
    _sensor(f"{_CLIMATE}.AmbientAirTemperature", "float", "Celsius", "climate.inside_c"),
    _switch(f"{_CLIMATE}.IsRearDefrosterActive", "climate.window_heating"),
    _sensor("Vehicle.Exterior.AirTemperature", "float", "Celsius", "climate.outside_c"),
    Signal(f"{_CHARGING}.IsCharging", "sensor", "boolean", of=_is_charging),
    Signal(f"{_CHARGING}.StartStopCharging", "actuator", "string", of=_charging_switch, allowed=_START_STOP),
    _switch(PLUGGED_IN, "charging.plugged_in", "sensor"),
    _sensor(f"{_CHARGING}.TimeToComplete", "uint32", "s", "charging.remaining_min", _MIN_AS_S),
    _sensor(f"{_CHARGING}.MaximumChargingCurrent.Phase1", "float", "A", "charging.max_current_a"),
    _sensor(f"{_CHARGING}.ChargeCurrent.Phase1", "float", "A", "charging.current_a"),
    Signal(f"{_CHARGING}.ChargeLimit", "actuator", "uint8", "percent", of=_charge_limit),
    Signal(f"{_CHARGING}.Timer.Mode", "actuator", "string", of=_timer_mode, allowed=("INACTIVE", "START_TIME", "END_TIME")),
    Signal(f"{_CHARGING}.Timer.Time", "actuator", "string", "iso8601", "charging.starts_at", _INSTANT),
    Signal(f"{_BATTERY}.CurrentPower", "sensor", "float", "W", of=_charging_power_w),
    _sensor("Vehicle.TraveledDistanceSinceStart", "uint32", "m", "driving.last_trip.distance_km", _KM_AS_M),
    _sensor("Vehicle.TripDuration", "float", "s", "driving.last_trip.duration_min", _MIN_AS_S),
    _sensor("Vehicle.AverageSpeed", "float", "km/h", "driving.last_trip.average_speed_kmh"),
    _sensor(f"{_FUEL}.ConsumptionSinceStart", "float", "l", "driving.last_trip.fuel_l"),
    _sensor(f"{_FUEL}.ConsumptionSinceLastRefuel", "float", "l", "driving.since_filled.fuel_l"),
    _sensor("Vehicle.LowVoltageBattery.CurrentVoltage", "float", "V", "low_voltage.voltage_v"),
)
"""All signals that a status can say."""

ATTRIBUTES: Final = (
    Signal("Vehicle.VehicleIdentification.VIN", "attribute", "string"),
    Signal("Vehicle.VehicleIdentification.Model", "attribute", "string"),
    Signal("Vehicle.Cabin.DriverPosition", "attribute", "string", allowed=("LEFT", "MIDDLE", "RIGHT")),
    Signal("Vehicle.VersionVSS.Major", "attribute", "uint32"),
    Signal("Vehicle.VersionVSS.Minor", "attribute", "uint32"),
    Signal("Vehicle.VersionVSS.Patch", "attribute", "uint32"),
    Signal("Vehicle.Connectivity.IsConnectivityAvailable", "sensor", "boolean"),
)
"""Signals about the car itself, and that of its presence."""

TREE: Final = {signal.path: signal for signal in (*ATTRIBUTES, *SIGNALS)}


def attributes_of(vin: str, model: str) -> dict[str, Value]:
    """Return the attributes of a car that is connected."""
    values: dict[str, Value] = {
        "Vehicle.VehicleIdentification.VIN": vin,
        "Vehicle.Cabin.DriverPosition": "LEFT",
        "Vehicle.Connectivity.IsConnectivityAvailable": True,
    }
    if model:
        values["Vehicle.VehicleIdentification.Model"] = model
    values.update(zip(("Vehicle.VersionVSS." + part for part in ("Major", "Minor", "Patch")), VERSION, strict=True))
    return values


def signals_of(status: Status) -> dict[str, Value]:
    """Return the signals that a status says, by path; none for what is not part of it."""
    values: dict[str, Value] = {}
    for signal in SIGNALS:
        value = _value(status, signal)
        if value is not None:
            values[signal.path] = value
    return values


def _value(status: Status, signal: Signal) -> Value | None:
    if signal.of is not None:
        return signal.of(status)
    assert signal.field is not None
    assert signal.conversion is not None
    found: Any = status
    for name in signal.field.split("."):
        found = getattr(found, name)
        if found is None:
            return None
    return signal.conversion.write(found)


# --- back again


def status_of(header: Header, trigger: Trigger, signals: Mapping[str, Value]) -> Status:
    """Return the status of these signals, without what is `LOST`. Raises msgspec.ValidationError, TypeError or ValueError."""
    fields: dict[str, Any] = {}
    for signal in SIGNALS:
        value = signals.get(signal.path)
        if value is not None and signal.field is not None and signal.conversion is not None and signal.conversion.read:
            _put(fields, signal.field, signal.conversion.read(value))
    _complete_doors(fields)
    _complete_adblue(fields)
    _complete_charging(fields, signals)
    for group in ("climate", "low_voltage"):
        fields.pop(group, None)
    if "last_trip" in fields.get("driving", {}):
        fields["driving"].pop("since_filled", None)
    else:
        fields.pop("driving", None)
    known = {name: value for name, value in fields.items() if name in STATUS_GROUPS}
    head = {name: value for name in Header.__struct_fields__ if (value := getattr(header, name)) is not None}
    return msgspec.convert({**head, "trigger": trigger, "state": _state_of(signals), **known}, Status, strict=False)


def _put(fields: dict[str, Any], field: str, value: Any) -> None:
    *groups, name = field.split(".")
    for group in groups:
        fields = fields.setdefault(group, {})
    fields[name] = value


def _state_of(signals: Mapping[str, Value]) -> VehicleState:
    if signals.get("Vehicle.IsMoving") is True:
        return "driving"
    return "ignition_on" if signals.get("Vehicle.LowVoltageSystemState") == "ON" else "parked"


def _complete_doors(fields: dict[str, Any]) -> None:
    """The bonnet has no lock in the catalogue: it is locked with the doors unless it is open."""
    doors = fields.get("doors")
    if doors and "bonnet" in doors and "boot" in doors:
        locked = any(door.get("locked", False) for door in doors.values())
        doors["bonnet"]["locked"] = locked and not doors["bonnet"]["open"]


def _complete_adblue(fields: dict[str, Any]) -> None:
    adblue = fields.get("adblue")
    if adblue and "range_km" in adblue:
        adblue["warning"] = next((name for km, name in ADBLUE_WARNINGS_KM if adblue["range_km"] > km), "empty")


def _complete_charging(fields: dict[str, Any], signals: Mapping[str, Value]) -> None:
    charging = fields.get("charging")
    if charging is None:
        return
    is_charging = signals.get(f"{_CHARGING}.IsCharging") is True
    if not is_charging and charging.get("plugged_in", True):
        del fields["charging"]  # waits, is full, or has no power: nothing tells which
        return
    charging["state"] = "charging" if is_charging else "unplugged"
    charging["remaining_min"] = round(charging.get("remaining_min", 0))
    charging["max_current_a"] = round(charging.get("max_current_a", 0))
    power_w = signals.get(f"{_BATTERY}.CurrentPower", 0.0)
    charging["power_kw"] = power_w / 1000 if isinstance(power_w, int | float) else 0.0
    limit = signals.get(f"{_CHARGING}.ChargeLimit")
    if limit is not None:
        charging["target_percent"] = limit
