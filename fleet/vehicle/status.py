"""Builds a status, whole or some of its groups, from what the car is at one instant."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, NamedTuple, Protocol

from msgspec.structs import replace

from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.vehicle.journey import Journey
from fleet.vehicle.low_voltage import LowVoltageBattery
from fleet.vehicle.powertrain import Levels
from fleet.vehicle.services import cabin, charge_settings, health, privacy, updates
from fleet.vehicle.services.comfort import ComfortRun
from fleet.vehicle.trips import Trips
from fleet.wire.messages import (
    STATUS_GROUPS,
    Climate,
    Status,
    Trigger,
    Written,
    WrittenStatus,
)

_ALL: Final = frozenset(STATUS_GROUPS)


class AtRest(NamedTuple):
    """The whole status of a parked car, which holds `until` its sensors are read again, its charge `charge_until`.

    It is kept as it was built, and, once it is sent again and nothing waits before it, as it is `written`: one object, where
    the status has a hundred, scattered over the memory. Only a car that charges keeps both.
    """

    until: Instant
    charge_until: Instant
    status: Status | None
    written: Written | None = None


class Ports(charge_settings.Ports, cabin.Ports, updates.Ports, health.Ports, privacy.Ports, Protocol):
    """The parts of a car that a status reports."""

    at_rest: AtRest | None
    comfort: ComfortRun | None
    journey: Journey | None
    low_voltage: LowVoltageBattery
    trips: Trips

    def state(self, now: Instant) -> Literal["parked", "ignition_on", "driving"]:
        """Return the vehicle state."""


def asked_status(car: Ports, now: Instant) -> Status | WrittenStatus:
    """Return the whole status that a load stage asks for; in a parked car without heating it is built once a minute."""
    at_rest = car.at_rest
    if at_rest is None or now >= at_rest.until:
        status = build_status(car, "load", now)
        if status.state == "parked" and car.journey is None and car.comfort is None:
            until = now - now % MINUTE + MINUTE
            car.at_rest = AtRest(until, until if car.powertrain.charging is None else _next_charge(now), status)
        return status
    if now >= at_rest.charge_until:
        at_rest = car.at_rest = _charged_on(car, at_rest, now)
    outbox, write = car.outbox, car.settings.write_status
    if write is not None and outbox.is_free:  # what has to wait is not written: the car's privacy may still change it
        written = at_rest.written
        if written is None:
            assert at_rest.status is not None
            written = write(at_rest.status)
            car.at_rest = at_rest._replace(status=None if car.powertrain.charging is None else at_rest.status, written=written)
        return WrittenStatus(vin=car.vin, boot=outbox.boot, seq=outbox.next_seq(), captured_at=now, written=written)
    if at_rest.status is None:
        status = build_status(car, "load", now)
        car.at_rest = at_rest._replace(status=status)
        return status
    return replace(at_rest.status, seq=outbox.next_seq(), captured_at=now)


def _charged_on(car: Ports, at_rest: AtRest, now: Instant) -> AtRest:
    """Return the same with the charge that is read now."""
    assert at_rest.status is not None, "what charges keeps it"
    levels = _measured(car, now)
    changed = replace(at_rest.status, energy=car.powertrain.energy(levels), charging=charge_settings.report(car, levels))
    return AtRest(at_rest.until, _next_charge(now), changed)


def _next_charge(now: Instant) -> Instant:
    return now - now % SECOND + SECOND


def build_status(
    car: Ports, trigger: Trigger, now: Instant, groups: Collection[str] | None = None, *, seq: int | None = None
) -> Status:
    """Return the status with the named groups, all of them when None. Without `seq` it numbers it: it must be sent or dropped."""
    groups = _ALL if groups is None else groups
    power, body, levels = car.powertrain, car.body, _measured(car, now)
    return Status(
        vin=car.vin,
        boot=car.outbox.boot,
        seq=car.outbox.next_seq() if seq is None else seq,
        captured_at=now,
        trigger=trigger,
        state=car.state(now),
        mileage_km=round(levels.odometer_m / 1000, 3) if "mileage_km" in groups else None,
        energy=power.energy(levels) if "energy" in groups else None,
        adblue=power.adblue(levels) if "adblue" in groups else None,
        service=power.service(levels, _read_at(now)) if "service" in groups else None,
        doors=body.doors() if "doors" in groups else None,
        windows=body.windows() if "windows" in groups else None,
        lights=body.lights() if "lights" in groups else None,
        position=car.position(now) if "position" in groups and privacy.may_locate(car) else None,
        climate=_climate(car, now) if "climate" in groups else None,
        charging=charge_settings.report(car, levels) if "charging" in groups else None,
        driving=car.trips.record if "driving" in groups else None,
        health=car.wear.report if "health" in groups else None,
        low_voltage=car.low_voltage.report(_read_at(now)) if "low_voltage" in groups else None,
        software=updates.versions(car) if "software" in groups else None,
    )


def _read_at(now: Instant) -> Instant:
    """Return when the slow sensors were last read: once a minute (ours)."""
    return now - now % MINUTE


def _measured(car: Ports, now: Instant) -> Levels:
    """Return the levels as they were measured last: those of a car that stands and charges are read once a second (ours)."""
    charge = car.powertrain.charging
    if charge is None or car.comfort is not None:
        return car.levels(now)
    return car.levels(max(now - now % SECOND, charge.since))


def _climate(car: Ports, now: Instant) -> Climate:
    """Return the climate; the inside is read anew when its cause changes."""
    read_at = _read_at(now)
    run = car.comfort
    return Climate(
        state="off" if run is None else run.mode,
        remaining_min=0 if run is None else -(-(run.ends_at - now) // MINUTE),
        target_c=None if run is None else run.target_c,
        outside_c=round(cabin.outside_c(car, read_at), 1),
        inside_c=round(cabin.inside_c(car, read_at if car.cabin is None else max(read_at, car.cabin.since)), 1),
        window_heating=(run is not None and run.window_heating) if car.equipment.window_heating else None,
    )
