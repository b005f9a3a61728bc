"""The newest known state of a car, from its statuses and presence. Knows no store and no clock.

Messages arrive late and out of order, so each group remembers the (boot, seq) it came from and only a newer one
replaces it. Presence is not numbered: within a boot the order of arrival decides, an earlier boot never does.

`Twin` holds the state itself. `Newest` holds from which messages it comes, which is all that a writer has to keep.
"""

from __future__ import annotations

from itertools import compress
from operator import attrgetter
from typing import Final, Literal, NamedTuple

import msgspec

from fleet.kernel.instants import HOUR, SECOND, Duration
from fleet.wire.messages import (
    STATUS_GROUPS,
    AdBlue,
    ChargingStatus,
    Climate,
    Distance,
    Doors,
    DrivingData,
    Energy,
    Health,
    Lights,
    LowVoltage,
    Position,
    Presence,
    ServiceDue,
    Software,
    Status,
    VehicleState,
    Windows,
)

_MILEAGE: Final = "mileage_km"
_MILEAGE_BIT: Final = 1
_STRUCT_BITS: Final = tuple(2 << place for place in range(len(STATUS_GROUPS) - 1))
_structs_of: Final = attrgetter(*[group for group in STATUS_GROUPS if group != _MILEAGE])
"""All groups but the mileage, which is a number; a struct that is there is always true."""


def ahead_at(factor: float) -> Duration:
    """Return how far a car's clock may be ahead of the back end's at this factor: beyond it one of them is wrong."""
    return max(HOUR, int(10 * SECOND * factor))


class GroupOrigin(NamedTuple):
    """The message that a group came from, and the scenario time at which the car measured it."""

    boot: int
    seq: int
    captured_at: int


class Twin(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of a car as far as it is known; the groups are those of `Status`. A group that is None was never reported.

    `stamps` names the origin of each group, and of `state`. `connection` is None until the first presence.
    `captured_at` is when the newest status was measured, the newest by its number: a clock that was wrong holds up nothing.
    """

    vin: str
    state: VehicleState | None = None
    captured_at: int = 0
    connection: Literal["online", "offline"] | None = None
    connection_reason: Literal["lost", "shutdown", "deep_sleep"] | None = None
    connection_boot: int = 0
    connection_at: int = 0
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
    stamps: dict[str, GroupOrigin] = {}


def merge_status(twin: Twin, status: Status) -> bool:
    """Take over what `status` knows newer than `twin`; tell whether that was anything."""
    if status.vin != twin.vin:
        raise ValueError("a twin merges messages of its own car only")
    stamp = GroupOrigin(status.boot, status.seq, status.captured_at)
    stamps = twin.stamps
    changed = False
    held = stamps.get("state")
    if held is None or stamp[:2] > held[:2]:
        stamps["state"] = stamp
        twin.state = status.state
        twin.captured_at = status.captured_at
        changed = True
    for group in STATUS_GROUPS:
        value = getattr(status, group)
        if value is None:
            continue
        held = stamps.get(group)
        if held is None or stamp[:2] > held[:2]:
            stamps[group] = stamp
            setattr(twin, group, value)
            changed = True
    return changed


class Origin(msgspec.Struct, frozen=True, order=True, gc=False):
    """A status, as far as a twin's overview needs it: its number, by which it is compared, and its groups as a bit for each."""

    boot: int
    seq: int
    groups: int
    captured_at: int
    state: VehicleState
    latitude: float | None
    longitude: float | None
    mileage_km: float | None


def origin_of(status: Status) -> Origin:
    """Return the part of a status that an overview needs."""
    mileage_km = status.mileage_km
    groups = sum(compress(_STRUCT_BITS, _structs_of(status)))
    if mileage_km is not None:
        groups += _MILEAGE_BIT
    position = status.position
    latitude, longitude = (None, None) if position is None else (position.latitude, position.longitude)
    return Origin(status.boot, status.seq, groups, status.captured_at, status.state, latitude, longitude, mileage_km)


class Newest:
    """The statuses that a car's twin comes from, the newest first and each with its place in the store, and the newest presence.

    The twin that `merge_status` makes of the statuses in `origins` is the one it makes of all that were taken.
    """

    __slots__ = ("origins", "presence")

    def __init__(self) -> None:
        self.origins: list[tuple[Origin, int]] = []
        self.presence: Presence | None = None

    def take(self, origin: Origin, key: int) -> None:
        """Take a status that was not taken before, in any order; those of which nothing is left are dropped."""
        held = self.origins
        if len(held) == 1 and held[0][0] < origin and not held[0][0].groups & ~origin.groups:
            self.origins = [(origin, key)]  # nearly always: it tells all that the one before told
            return
        ordered = [(origin, key), *held]
        if held and origin < held[0][0]:
            ordered.sort(reverse=True)
        told = 0
        kept: list[tuple[Origin, int]] = []
        for one in ordered:
            groups = one[0].groups
            if groups & ~told or not kept:  # the state is always the newest one's
                kept.append(one)
                told |= groups
        self.origins = kept

    def take_presence(self, presence: Presence) -> None:
        """Take a presence unless it belongs to an earlier boot."""
        if self.presence is None or presence.boot >= self.presence.boot:
            self.presence = presence

    @property
    def captured_at(self) -> int:
        """When the newest status was measured; 0 before any."""
        return self.origins[0][0].captured_at if self.origins else 0

    @property
    def state(self) -> VehicleState | None:
        """The newest state."""
        return self.origins[0][0].state if self.origins else None

    @property
    def position(self) -> tuple[float | None, float | None]:
        """The newest latitude and longitude."""
        for one, _ in self.origins:
            if one.latitude is not None:
                return one.latitude, one.longitude
        return None, None

    @property
    def mileage_km(self) -> float | None:
        """The newest mileage."""
        for one, _ in self.origins:
            if one.mileage_km is not None:
                return one.mileage_km
        return None
