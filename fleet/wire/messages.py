"""The messages of the contract as msgspec Structs: maps with readable names on the wire, units last in the names.

A field that is None is left out; any other value is written, so that no reader has to know our defaults. Readers ignore
fields they do not know, so new ones may be added.

Nothing derives from those that cars send: `type(message) is Event` takes a tenth of the time in which `isinstance` says no of
a Struct. None holds a reference that could lead back to it, so the garbage collector need not know them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, final

import msgspec

SCHEMA_VERSION: Final = "1"
"""Goes with every message as the user property `schema`."""

Int63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number or an instant that fits into a database's signed 64 bits; what does not is no message of ours."""
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999_999)]
"""Microseconds since 1970 UTC, up to the end of the year 9999: what every calendar can show."""

# A float with bounds is finite, too. The bounds are wide: what lies beyond is no measurement of any car.
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Distance = Annotated[float, msgspec.Meta(ge=0, le=10_000_000)]
"""Kilometres a car can have driven or can still drive, metres a receiver can be wrong."""
Left = Annotated[float, msgspec.Meta(ge=-10_000_000, le=10_000_000)]
"""Kilometres until something is due; negative when overdue."""
Temperature = Annotated[float, msgspec.Meta(ge=-273.15, le=1_000)]
Amount = Annotated[float, msgspec.Meta(ge=-10_000_000, le=10_000_000)]
"""kW, kWh, litres, amperes, volts, minutes, km/h: signed, as energy flows both ways."""
Count = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""Part of a topic, a header or a key of the store."""
Words = Annotated[str, msgspec.Meta(max_length=1_000)]


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Part of a message; None means not reported or not there."""


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The fields with which every message of a car starts.

    `boot` is one run of the car's computer, `seq` counts its messages from 1 without a gap (presence is not
    counted and has 0), `captured_at` is the scenario time of measuring in µs. `due_wall_us` and `sent_wall_us`
    exist only live: when the message should have gone out, and when it first did.
    """

    vin: str
    boot: Int63
    seq: Int63
    captured_at: Moment
    due_wall_us: Moment | None = None
    sent_wall_us: Moment | None = None


# --- status -------------------------------------------------------------------------------------------------

Trigger = Literal[
    "engine_off", "left", "refresh", "command", "load", "charging", "heater", "ventilation", "climatisation", "update",
    "health", "interval",
]  # fmt: skip
"""Why a status was sent: `left` is the driver walking away, `load` a load stage that asked, `interval` that it was time again."""

VehicleState = Literal["offline", "parked", "ignition_on", "driving"]


class Energy(Group, frozen=True, kw_only=True):
    fuel_level_percent: Percent | None = None
    fuel_range_km: Distance | None = None
    charge_percent: Percent | None = None
    electric_range_km: Distance | None = None


class AdBlue(Group, frozen=True, kw_only=True):
    level_percent: Percent
    range_km: Distance
    warning: Literal["none", "low", "very_low", "critical", "empty"]


class ServiceDue(Group, frozen=True, kw_only=True):
    """Distance and time that are left; negative when overdue."""

    inspection_km: Left
    inspection_days: Count
    oil_change_km: Left | None = None
    oil_change_days: Count | None = None


class Door(Group, frozen=True, kw_only=True):
    open: bool
    locked: bool


class Doors(Group, frozen=True, kw_only=True):
    """Each door, the bonnet and the boot lid."""

    front_left: Door
    front_right: Door
    rear_left: Door
    rear_right: Door
    bonnet: Door
    boot: Door


class Windows(Group, frozen=True, kw_only=True):
    """True where open; `sunroof` is None for a car without one."""

    front_left: bool
    front_right: bool
    rear_left: bool
    rear_right: bool
    sunroof: bool | None = None


class Lights(Group, frozen=True, kw_only=True):
    parking_lights_on: bool


class Position(Group, frozen=True, kw_only=True):
    """WGS 84 degrees as the car's receiver saw them; `parked_at` is None while it is not parked."""

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    accuracy_m: Distance
    fixed_at: Moment
    parked_at: Moment | None = None


class Climate(Group, frozen=True, kw_only=True):
    """`state` tells what runs; temperatures are measured, `target_c` is None where nobody chose one.

    `window_heating` is None for a car without it.
    """

    state: Literal["off", "heating", "ventilation", "climatisation"]
    remaining_min: Count
    target_c: Temperature | None = None
    outside_c: Temperature | None = None
    inside_c: Temperature | None = None
    window_heating: bool | None = None


class ChargingStatus(Group, frozen=True, kw_only=True):
    """`plugged_in` as a state waits: until `starts_at` when it knows. `error` is a charge point without power.

    `power_kw` and, on each phase, `current_a` flow now. `target_percent` and `max_current_a` count where the car stands;
    `limit_percent` is what its user has set for anywhere.
    """

    state: Literal["unplugged", "plugged_in", "charging", "complete", "error"]
    plugged_in: bool
    remaining_min: Count
    max_current_a: Count
    power_kw: Amount
    current_a: Amount | None = None
    limit_percent: Count | None = None
    target_percent: Count | None = None
    starts_at: Moment | None = None


class TripData(Group, frozen=True, kw_only=True):
    """One trip, or a day's trips together. Litres and kWh are totals, not per 100 km."""

    distance_km: Distance
    duration_min: Amount
    average_speed_kmh: Amount
    fuel_l: Amount | None = None
    energy_kwh: Amount | None = None


class DayData(TripData, frozen=True, kw_only=True):
    """The trips that began on `day`, a date YYYY-MM-DD by the driver's clock."""

    day: Name


class DrivingData(Group, frozen=True, kw_only=True):
    """`since_filled`: since the tank was filled, or the battery of an electric car was charged."""

    last_trip: TripData | None = None
    today: DayData | None = None
    since_filled: TripData | None = None


class WarningLight(Group, frozen=True, kw_only=True):
    id: Name
    text: Words
    category: Literal["lighting", "tyre", "engine", "assistance", "other"]
    priority: Count


class Health(Group, frozen=True, kw_only=True):
    """The newest health report; the first comes after 20 km with the engine off and coverage."""

    reported_at: Moment
    mileage_km: Distance
    warnings: tuple[WarningLight, ...]


class LowVoltage(Group, frozen=True, kw_only=True):
    """The 12 V battery."""

    charge_percent: Percent
    voltage_v: Amount


class Software(Group, frozen=True, kw_only=True):
    """Versions that came over the air; None is what the car was built with. The group is part of a status once there is one."""

    system: Words | None = None
    infotainment: Words | None = None


@final
class Status(Header, frozen=True, kw_only=True, omit_defaults=True):
    """The car's status, whole or some groups of it. A group that is None is not part of this message."""

    trigger: Trigger
    state: VehicleState
    mileage_km: Distance | None = None
    energy: Energy | None = None
    adblue: AdBlue | None = None
    service: ServiceDue | None = None
    doors: Doors | None = None
    windows: Windows | None = None
    lights: Lights | None = None
    position: Position | None = None
    climate: Climate | None = None
    charging: ChargingStatus | None = None
    driving: DrivingData | None = None
    health: Health | None = None
    low_voltage: LowVoltage | None = None
    software: Software | None = None


_NO_GROUPS: Final = {*Header.__struct_fields__, "trigger", "state"}
STATUS_GROUPS: Final = tuple(name for name in Status.__struct_fields__ if name not in _NO_GROUPS)
"""The parts of a status that are sent, merged and shown as units."""


class Written(msgspec.Struct, frozen=True, gc=False):
    """The bytes of a status but for number and times, to be sent again: `fields` of them, `head` before and `body` behind.

    `topic` and `trace`, the car's part of the trace id, go with it. `text` is the body as a journal has it, empty without one.
    """

    fields: int
    head: bytes
    body: bytes
    topic: str
    trace: str
    text: bytes = b""


@final
class WrittenStatus(Header, frozen=True, kw_only=True, gc=False):
    """A status that says what one before it said, under its own number and times.

    A dialect sends it as the `Status` that it stands for; none comes out of one that reads.
    """

    written: Written


# --- other messages of a car ------------------------------------------------------------------------------------


@final
class Event(Header, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened: engine_on, engine_off, trip, heater_ended, refuelled, low_voltage_low …"""

    name: Name
    data: dict[str, Any] = {}


@final
class Request(Header, frozen=True, kw_only=True, omit_defaults=True):
    """The car asks an online service; the answer comes as a reply with the same name and id.

    From `expires_at` (scenario µs) on nobody waits for it.
    """

    id: Name
    name: Name
    data: dict[str, Any] = {}
    expires_at: Moment | None = None


@final
class Presence(Header, frozen=True, kw_only=True, omit_defaults=True):
    """Retained: whether the car is connected. As a will it says `offline` with reason `lost`."""

    connection: Literal["online", "offline"]
    reason: Literal["lost", "shutdown", "deep_sleep"] | None = None


EMERGENCIES: Final = frozenset({"ecall"})
"""Events that are passed on whatever is written in them."""

CommandState = Literal["queued", "sent", "accepted", "in_progress", "succeeded", "rejected", "failed", "expired", "unknown"]
TERMINAL_STATES: Final = frozenset({"succeeded", "rejected", "failed", "expired", "unknown"})


@final
class Response(Header, frozen=True, kw_only=True, omit_defaults=True):
    """A command's progress or end, as the car sees it.

    `awake` is False when the command had to wait for the car to wake or to connect; latency figures keep the two
    apart. `detail` says more for people, such as the distance that was too far.
    """

    command_id: Name
    name: Name
    state: CommandState
    reason: str | None = None
    detail: str | None = None
    awake: bool


# --- to the car -------------------------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command of the desk to a car. The S-PIN is never part of it.

    `issued_at` and `expires_at` are scenario µs; the car alone decides that it is too late. `parameters` is
    judged by the car, so that one it cannot read is answered `malformed` and not lost.
    """

    id: Name
    vin: str
    name: Name
    issued_at: Moment
    expires_at: Moment
    parameters: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of an online service."""

    id: Name
    name: Name
    data: dict[str, Any] = {}
    error: Words | None = None


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything of `boot` through this sequence number is committed, and what is beyond it up to `high` but for `gaps`.

    Gaps (first and last number) are what never arrived: what the car dropped, what was refused, or what was lost.
    """

    boot: Int63
    through: Int63
    high: Int63 | None = None
    gaps: tuple[tuple[Int63, Int63], ...] = ()

    def covers(self, seq: int) -> bool:
        """Tell whether the message of this number is committed."""
        if seq <= self.through:
            return True
        return self.high is not None and seq <= self.high and not any(first <= seq <= last for first, last in self.gaps)


CarMessage = Status | WrittenStatus | Event | Response | Request
"""The messages that a car numbers, keeps in its outbox and accounts for."""
FromCar = Status | Event | Response | Request | Presence
ToCar = Command | Reply | Stored


# --- tools and the desk -----------------------------------------------------------------------------------------


class CommandRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="command"):
    """A user asks the desk for a command. The same id asked again is answered again and sent once.

    `user` is None for the car's primary user; a trusted tool names any person. An app does not: its `session` says whose it is.
    `spin` or a still valid `token` goes with what needs the S-PIN. `ttl_s` is in scenario seconds; None takes the command's own.
    `due_wall_us` is when the user meant to ask.
    """

    id: str
    vin: str
    name: str
    parameters: dict[str, Any] = {}
    user: str | None = None
    spin: str | None = None
    token: str | None = None
    ttl_s: float | None = None
    due_wall_us: Moment | None = None
    session: str | None = None

    def __repr__(self) -> str:
        """Leave S-PIN, token and session out: what is logged or raised must not show them."""
        return f"CommandRequest(id={self.id!r}, vin={self.vin!r}, name={self.name!r}, parameters={self.parameters!r})"


class SetSpin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="set_spin"):
    """Set (and so unlock) the S-PIN of a car's user; None is the primary user."""

    id: str
    vin: str
    spin: str
    user: str | None = None

    def __repr__(self) -> str:
        """Leave the S-PIN out."""
        return f"SetSpin(id={self.id!r}, vin={self.vin!r}, user={self.user!r})"


class EnrolCar(msgspec.Struct, frozen=True, kw_only=True, tag="enrol_car"):
    """A car has a primary user, who may command it before it was ever heard of."""

    id: str
    vin: str


class AnnounceClock(msgspec.Struct, frozen=True, kw_only=True, tag="announce_clock"):
    """The simulator tells the back end which scenario time it is: `start` was at `epoch_wall_us`, and runs at `factor`.

    The desk judges the three together, so that whoever announces a clock that cannot be learns why.
    """

    id: str
    start: Int64
    epoch_wall_us: Int64
    factor: float


class ServiceRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="service"):
    """Ask the service centre: `service` names the rule, `action` is a word of its own, `vin` the car if it is about one.

    `user` is None for the car's primary user; a trusted tool names any person by account, e-mail, user name or mobile number. An
    app does not: its `session` says whose it is. `secrets` are passwords, S-PINs, codes and links, by their names: the driver of
    the centre proves them, and no rule gets one. `origin` tells apart who asks, where tries are counted.
    The same asked again under its id, by the same session or name, is answered again and done once.
    """

    id: str
    service: str
    action: str
    vin: str | None = None
    data: dict[str, Any] = {}
    user: str | None = None
    session: str | None = None
    secrets: dict[str, str] = {}
    origin: str | None = None

    def __repr__(self) -> str:
        """Leave out what is secret, and what may hold something personal."""
        return f"ServiceRequest(id={self.id!r}, service={self.service!r}, action={self.action!r}, vin={self.vin!r})"


DeskRequest = CommandRequest | SetSpin | EnrolCar | AnnounceClock | ServiceRequest


class DeskAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of what was asked of the desk; the last one is `final`.

    For a command each transition is an answer. `token` comes once with a right S-PIN and spares it for a while. `data` is what
    a service was asked for; `secrets`, such as a session, come once, with the first answer.
    """

    id: str
    state: CommandState
    reason: str | None = None
    detail: str | None = None
    final: bool = False
    at: int = 0
    awake: bool | None = None
    token: str | None = None
    by: Literal["desk", "car"] = "desk"
    data: dict[str, Any] | None = None
    secrets: dict[str, str] | None = None

    def __repr__(self) -> str:
        """Leave out token, data and secrets."""
        return f"DeskAnswer(id={self.id!r}, state={self.state!r}, reason={self.reason!r}, final={self.final!r})"
