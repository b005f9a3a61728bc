"""The newest known state of a car, merged from its statuses and presence. Knows no store and no clock.

Messages arrive late and out of order, so each group remembers the (boot, seq) it came from and only a newer one
replaces it. Presence is not numbered: within a boot the order of arrival decides, an earlier boot never does.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from fleet.wire.messages import (
    STATUS_GROUPS,
    AdBlue,
    Charging,
    Climate,
    Doors,
    DrivingData,
    Energy,
    Health,
    Lights,
    LowVoltage,
    Position,
    Presence,
    Service,
    Status,
    VehicleState,
    Windows,
)


class Stamp(NamedTuple):
    """Which message a group came from, and the scenario time at which the car measured it."""

    boot: int
    seq: int
    captured_at: int


class Twin(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a car. A group that is None was never reported.

    `stamps` names the origin of each group, and of `state`. `connection` is None until the first presence.
    `captured_at` is the newest measuring time of all.
    """

    vin: str
    state: VehicleState | None = None
    captured_at: int = 0
    connection: Literal["online", "offline"] | None = None
    connection_reason: Literal["lost", "shutdown", "deep_sleep"] | None = None
    connection_boot: int = 0
    connection_at: int = 0
    mileage_km: float | None = None
    energy: Energy | None = None
    adblue: AdBlue | None = None
    service: Service | None = None
    doors: Doors | None = None
    windows: Windows | None = None
    lights: Lights | None = None
    position: Position | None = None
    climate: Climate | None = None
    charging: Charging | None = None
    driving: DrivingData | None = None
    health: Health | None = None
    low_voltage: LowVoltage | None = None
    stamps: dict[str, Stamp] = {}


def merge_status(twin: Twin, status: Status) -> bool:
    """Take over what `status` knows newer than `twin`; tell whether that was anything."""
    if status.vin != twin.vin:
        raise ValueError("a twin merges messages of its own car only")
    stamp = Stamp(status.boot, status.seq, status.captured_at)
    stamps = twin.stamps
    changed = False
    held = stamps.get("state")
    if held is None or stamp[:2] > held[:2]:
        stamps["state"] = stamp
        twin.state = status.state
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
    if changed and status.captured_at > twin.captured_at:
        twin.captured_at = status.captured_at
    return changed


def merge_presence(twin: Twin, presence: Presence) -> bool:
    """Take over the connection unless it belongs to an earlier boot; tell whether that changed anything."""
    if presence.vin != twin.vin:
        raise ValueError("a twin merges messages of its own car only")
    if presence.boot < twin.connection_boot:
        return False
    before = (twin.connection, twin.connection_reason, twin.connection_boot)
    twin.connection = presence.connection
    twin.connection_reason = presence.reason
    twin.connection_boot = presence.boot
    twin.connection_at = presence.captured_at
    return before != (twin.connection, twin.connection_reason, twin.connection_boot)
