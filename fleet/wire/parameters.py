"""The parameters of the remote commands: names, types and defaults. The catalogue adds their ranges and words.

Ranges are not checked here: the car does at the moment of execution, so that its reasons are the car's own.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec


class _Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameters: an unknown one is malformed, not ignored."""


class HonkAndFlash(_Parameters, frozen=True, kw_only=True):
    """`latitude`, `longitude`: the user's own position in WGS 84 degrees."""

    latitude: float
    longitude: float
    mode: Literal["flash", "honk_and_flash"] = "honk_and_flash"
    duration_s: float = 10


class Lock(_Parameters, frozen=True, kw_only=True):
    pass


class Unlock(_Parameters, frozen=True, kw_only=True):
    pass


class Heater(_Parameters, frozen=True, kw_only=True):
    """`minutes` counts for a start only: 10 to 60 in steps of 10."""

    action: Literal["start", "stop"] = "start"
    minutes: int = 30


class Refresh(_Parameters, frozen=True, kw_only=True):
    pass


Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Ventilation(_Parameters, frozen=True, kw_only=True):
    """`minutes` counts for a start only."""

    action: Literal["start", "stop"] = "start"
    minutes: int = 30


class VentilationTimer(_Parameters, frozen=True, kw_only=True):
    """A departure at `at` (HH:MM by the car's own clock) on days of the week or one date; it starts `minutes` before it."""

    at: str
    days: tuple[Day, ...] = ()
    date: str | None = None
    minutes: int = 30
    enabled: bool = True


class VentilationTimers(_Parameters, frozen=True, kw_only=True):
    """The departure times from now on, in place of all before."""

    timers: tuple[VentilationTimer, ...]


class Climatisation(_Parameters, frozen=True, kw_only=True):
    """`target_c` and `window_heating` count for a start only."""

    action: Literal["start", "stop"] = "start"
    target_c: float = 21.0
    window_heating: bool = False


class Charging(_Parameters, frozen=True, kw_only=True):
    """Now, or not at all, until the plug is taken out."""

    action: Literal["start", "stop"] = "start"


class ChargingSettings(_Parameters, frozen=True, kw_only=True):
    """A setting that is not given stays as it is."""

    limit_percent: int | None = None
    max_current_a: int | None = None
    night_window: bool | None = None
    begins: str | None = None
    ends: str | None = None


class ChargingLocation(_Parameters, frozen=True, kw_only=True):
    """A circle with settings of its own; what is not given is as it is anywhere."""

    name: str
    latitude: float
    longitude: float
    radius_m: float = 100
    limit_percent: int | None = None
    max_current_a: int | None = None
    night_window: bool | None = None
    begins: str | None = None
    ends: str | None = None


class ChargingLocations(_Parameters, frozen=True, kw_only=True):
    """The places from now on, in place of all before."""

    locations: tuple[ChargingLocation, ...]


class DepartureTimer(_Parameters, frozen=True, kw_only=True):
    """A time of day by the car's own clock, on days of the week or on one date."""

    at: str
    days: tuple[Day, ...] = ()
    date: str | None = None
    enabled: bool = True


class DepartureTimers(_Parameters, frozen=True, kw_only=True):
    """The departure times from now on, in place of all before."""

    timers: tuple[DepartureTimer, ...]


class Zone(_Parameters, frozen=True, kw_only=True):
    """A circle by its radius, or a rectangle by its sides, about a point; times of day and days by the car's own clock."""

    name: str
    latitude: float
    longitude: float
    radius_m: float | None = None
    width_m: float | None = None
    height_m: float | None = None
    on: Literal["enter", "leave", "both"] = "both"
    days: Literal["every_day", "working_days", "weekend"] = "every_day"
    begins: str | None = None
    ends: str | None = None


class AreaAlert(_Parameters, frozen=True, kw_only=True):
    """The zones from now on, in place of all before."""

    zones: tuple[Zone, ...]


class Reset(_Parameters, frozen=True, kw_only=True):
    """`user` is deleted; None resets the whole car."""

    user: str | None = None


class SpeedAlert(_Parameters, frozen=True, kw_only=True):
    """`limit_kmh` counts for a start only."""

    action: Literal["start", "stop"] = "start"
    limit_kmh: int = 130


class Waypoint(_Parameters, frozen=True, kw_only=True):
    """A stop of a route, in WGS 84 degrees; the last one is the destination."""

    latitude: float
    longitude: float
    name: str = ""


class ImportedTrip(_Parameters, frozen=True, kw_only=True):
    waypoints: tuple[Waypoint, ...]
    name: str = ""


class RouteImport(_Parameters, frozen=True, kw_only=True):
    trips: tuple[ImportedTrip, ...]


class SystemUpdate(_Parameters, frozen=True, kw_only=True):
    """`consent`: the user has agreed by app; without it the driver must have agreed in the car."""

    campaign: str
    version: str
    size_mb: int
    target: Literal["system", "infotainment"] = "system"
    consent: bool = False


Role = Literal["primary", "additional", "guest"]
"""Roles of a car's users."""


class EnrolUser(_Parameters, frozen=True, kw_only=True):
    """`user` is the id of an account: a car knows no e-mail. `takes_over`: in place of another primary user."""

    user: str
    role: Role = "primary"
    takes_over: bool = False


class ShowNotice(_Parameters, frozen=True, kw_only=True):
    """`activation`: the services are active; `licence_ended`: a licence is not any more."""

    kind: Literal["activation", "licence_ended"]
    text: str = ""


Parameters = (
    HonkAndFlash
    | Lock
    | Unlock
    | Heater
    | Refresh
    | Reset
    | AreaAlert
    | SpeedAlert
    | Ventilation
    | VentilationTimers
    | Climatisation
    | RouteImport
    | SystemUpdate
    | Charging
    | ChargingSettings
    | ChargingLocations
    | DepartureTimers
    | EnrolUser
    | ShowNotice
)


PARAMETERS: Final[dict[str, type[Parameters]]] = {
    "honk": HonkAndFlash,
    "lock": Lock,
    "unlock": Unlock,
    "heater": Heater,
    "refresh": Refresh,
    "reset": Reset,
    "area_alert": AreaAlert,
    "speed_alert": SpeedAlert,
    "route_import": RouteImport,
    "system_update": SystemUpdate,
    "ventilation": Ventilation,
    "ventilation_timers": VentilationTimers,
    "climatisation": Climatisation,
    "charging": Charging,
    "charging_settings": ChargingSettings,
    "charging_locations": ChargingLocations,
    "departure_timers": DepartureTimers,
    "enrol_user": EnrolUser,
    "show_notice": ShowNotice,
}
