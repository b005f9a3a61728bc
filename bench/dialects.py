"""What a status costs in a mapped dialect beside our own: `python bench/dialects.py [--seconds 5] [--runs 3] [--cars 500]`.

Each line is a fresh process with so many cars at a fresh private Mosquitto, saturated as in `bench/cars.py`: the whole path from
the car to the acknowledgement. The mapping is JSON with about fifty fields of all groups, one computed. `ahead` is our own
in MessagePack, which writes a status of a car at rest once; the reference is `json`.

Aim: a mapped dialect at 1.5 times the CPU of `json` a status.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from cars import ASK, KEEP_ALIVE_S, WARM_UP_S, Fleet
from lab import (
    Broker,
    Measured,
    Usage,
    about_the_broker,
    be_part,
    broker,
    in_fresh_process,
    medians,
    resident_bytes,
    surroundings,
)
from ruamel.yaml import YAML

from fleet.dialects.mapped import MappedDialect
from fleet.dialects.spec import read_mapping
from fleet.wire.dialect import Dialect
from fleet.wire.fleet_dialect import FleetDialect, json_codec

MAPPING = """\
mapping: bench
purpose: Each group of a status, in another system's words.
base: "acme/{vin}"
status:
  - topic: "{base}/state"
    expiry: 1 h
    fields:
      vehicle.vin: vin
      vehicle.type: {constant: car}
      time: {from: captured_at, unit: iso8601, digits: 3}
      reason: trigger
      ignition: {from: state, values: {driving: "ON", ignition_on: "ON", parked: "OFF", offline: "OFF"}}
      odometer_mi: {from: mileage_km, unit: mi, digits: 1}
      energy.fuel: {from: energy.fuel_level_percent, unit: fraction, digits: 3}
      energy.fuel_range: {from: energy.fuel_range_km, unit: mi, digits: 1}
      energy.soc: energy.charge_percent
      energy.range: {from: energy.electric_range_km, unit: mi, digits: 1}
      adblue.level: adblue.level_percent
      adblue.warning: adblue.warning
      service.in_km: service.inspection_km
      service.in_days: service.inspection_days
      locks.driver: {from: doors.front_left.locked, values: {"true": LOCKED, "false": UNLOCKED}}
      locks.passenger: {from: doors.front_right.locked, values: {"true": LOCKED, "false": UNLOCKED}}
      locks.rear_left: {from: doors.rear_left.locked, values: {"true": LOCKED, "false": UNLOCKED}}
      locks.rear_right: {from: doors.rear_right.locked, values: {"true": LOCKED, "false": UNLOCKED}}
      locks.all: {expression: doors.front_left.locked and doors.front_right.locked}
      doors.driver: doors.front_left.open
      doors.passenger: doors.front_right.open
      doors.boot: doors.boot.open
      doors.bonnet: doors.bonnet.open
      windows.driver: windows.front_left
      windows.passenger: windows.front_right
      windows.rear_left: windows.rear_left
      windows.rear_right: windows.rear_right
      lights.parking: lights.parking_lights_on
      gps.lat: position.latitude
      gps.lon: position.longitude
      gps.accuracy: position.accuracy_m
      gps.at: {from: position.fixed_at, unit: epoch_s}
      climate.mode: climate.state
      climate.left_s: {from: climate.remaining_min, unit: s}
      climate.target_f: {from: climate.target_c, unit: f, digits: 1}
      climate.outside_f: {from: climate.outside_c, unit: f, digits: 1}
      climate.inside_f: {from: climate.inside_c, unit: f, digits: 1}
      charge.state: charging.state
      charge.plugged: charging.plugged_in
      charge.power_w: {from: charging.power_kw, unit: w, digits: 0}
      charge.left_s: {from: charging.remaining_min, unit: s}
      trip.distance_mi: {from: driving.last_trip.distance_km, unit: mi, digits: 1}
      trip.minutes: driving.last_trip.duration_min
      warnings: health.warnings
      battery_12v.percent: low_voltage.charge_percent
      battery_12v.mv: {from: low_voltage.voltage_v, unit: mv, digits: 0}
      software: software.system
"""
KINDS = ("ahead", "json", "mapped")


def dialect_of(kind: str) -> Dialect:
    """Return one of the dialects that are compared."""
    if kind == "mapped":
        mapping: Any = YAML(typ="safe", pure=True).load(MAPPING)
        return MappedDialect(read_mapping(mapping), FleetDialect())
    return FleetDialect(codec=json_codec() if kind == "json" else None)


async def saturate(kind: str, cars: int, port: int, running: Broker, seconds: float) -> Measured:
    """Keep one message under way with every car."""
    fleet = Fleet(cars, port, dialect=dialect_of(kind))
    await fleet.connect()
    for car in fleet.cars.values():
        car.eager = True
        car.put(ASK)
    await asyncio.sleep(WARM_UP_S)
    before, usage = fleet.acknowledged, Usage(running.pid)
    await asyncio.sleep(seconds)
    (cpu_s, _, passed_s), count = usage.so_far(), fleet.acknowledged - before
    return {"rate": count / passed_s, "cpu_us": cpu_s * 1e6 / count, "kb": resident_bytes() / 1024 / cars}


async def measure(kind: str, cars: int, seconds: float) -> Measured:
    """Be the process of one line."""
    assert seconds < KEEP_ALIVE_S
    with broker() as running:
        return await saturate(kind, cars, running.port, running, seconds)


def main(cars: int, seconds: float, runs: int) -> None:
    print(surroundings(about_the_broker(), f"{cars:,} cars"))
    # One run of each in turn, so that a busy minute of the machine meets them all.
    found: dict[str, list[Measured]] = {kind: [] for kind in KINDS}
    for _ in range(runs):
        for kind in KINDS:
            found[kind].append(in_fresh_process(__file__, kind, cars, seconds))
    reference = medians(found["json"])["cpu_us"]
    print(f"\n{'dialect':9}{'publishes/s':>14}{'CPU µs':>10}{'of json':>10}{'KB/car, all':>14}")
    for kind in KINDS:
        median = medians(found[kind])
        print(
            f"{kind:9}{median['rate']:14,.0f}{median['cpu_us']:10.1f}{median['cpu_us'] / reference:10.2f}{median['kb']:14.1f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        wanted, number, length = sys.argv[2:]
        be_part(measure, wanted, int(number), float(length))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--cars", type=int, default=500, help="how many cars")
        arguments.add_argument("--seconds", type=float, default=5.0, help="how long each line publishes")
        arguments.add_argument("--runs", type=int, default=3, help="how often each line is measured; the median counts")
        given = arguments.parse_args()
        main(given.cars, given.seconds, given.runs)
