"""How fast virtual time runs: `python bench/virtual.py [--cars 10000] [--days 1] [--runs 1]`.

Commuters with about eleven messages a day, and everything that is in a run: driver and car, encoding, simulated broker, back end,
desk and store, report. Each line is a fresh process. Columns:

car-days/s   simulated days of one car in a second of CPU (one thread: CPU and wall differ by what others use)
µs           CPU a message, from the car to its row in the store
MB           resident memory at the end

The reference is the cars alone: the same days lived on a heap, their messages encoded and acknowledged at once, with no broker
and no back end. `one command` is one car and one command, from the start of the run to its report.
Aims: 3 000 car-days/s, 1 500 with journal; one command in 10 ms.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog
from lab import Measured, in_fresh_process, medians, resident_bytes, surroundings

from fleet.kernel.timers import TimerHeap
from fleet.runtime.assembly import build_cars, vocabulary
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import parse
from fleet.scenario.schema import Scenario
from fleet.vehicle.car import Car
from fleet.vehicle.signals import Acknowledged, Connect, LinkUp, PowerOn, Transmit
from fleet.wire.fleet_dialect import FleetDialect

DAYS = """\
scenario: bench
purpose: Commuters.
seed: 1
start: 2026-03-02T00:00
duration: {hours} h
clock: virtual
region: munich
fleets:
  - {{name: commuters, count: {cars}, models: {{Leon: 3, Formentor: 3, Ateca: 1, Born: 2}}, profile: commuter,
     coverage: {{garages: 6 %, holes: 2 %}}}}
"""
COMMAND = """\
scenario: bench
purpose: One car and one command.
seed: 1
start: 2026-03-07T10:00
duration: 1 min
clock: virtual
region: munich
fleets:
  - {name: one, count: 1, models: {Leon: 1}, profile: parked}
commands:
  - {name: refresh, count: 1}
"""


class Nobody:
    """A view that shows nothing."""

    def __enter__(self) -> Nobody:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None: ...
    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None: ...
    def waits(self, what: str, detail: str = "") -> None: ...


def whole_run(scenario: Scenario, *, journal: bool) -> int:
    """Run it all; return how many messages the cars made."""
    with tempfile.TemporaryDirectory() as folder:
        report = virtual_run(RunConfig(scenario=scenario, out=Path(folder), journal=journal), Nobody()).execute()
    assert report["lost"] == 0
    assert report["created"] == report["stored"] + report["in_outbox"]
    return int(report["created"])


def cars_alone(scenario: Scenario) -> int:
    """Let the cars live on a heap."""
    start = vocabulary().start_of(scenario)
    end, dialect = start + scenario.duration, FleetDialect()
    heap: TimerHeap[str] = TimerHeap()
    cars = {car.vin: car for car in build_cars(scenario, start=start, boot=1)}
    gc.freeze()

    def perform(car: Car, outputs: Any, now: int) -> None:
        for output in outputs:
            if isinstance(output, Transmit):
                dialect.from_car(output.message)
                perform(car, car.receive(Acknowledged(output.message.seq), now), now)
            elif isinstance(output, Connect):
                perform(car, car.receive(LinkUp(False), now), now)

    for vin, car in cars.items():
        perform(car, car.receive(PowerOn(), start), start)
        heap.set(vin, car.deadline())
    for at, vin in heap.pop_due(end, sys.maxsize):
        perform(cars[vin], cars[vin].wake(at), at)
        heap.set(vin, cars[vin].deadline())
    return sum(car.outbox.created for car in cars.values())


def measure(what: str, cars: int, days: int) -> Measured:
    """Be the process of one line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if what == "one command":
        scenario = parse(COMMAND, "bench.yaml", vocabulary())
        whole_run(scenario, journal=True)  # the first one loads what all others share
        began = time.perf_counter()
        for _ in range(20):
            whole_run(scenario, journal=True)
        return {"ms": (time.perf_counter() - began) / 20 * 1e3}
    scenario = parse(DAYS.format(cars=cars, hours=24 * days), "bench.yaml", vocabulary())
    began = time.process_time()
    messages = cars_alone(scenario) if what == "cars alone" else whole_run(scenario, journal=what == "with journal")
    passed_s = time.process_time() - began
    return {"rate": cars * days / passed_s, "us": passed_s / messages * 1e6, "mb": resident_bytes() / 1e6}


def main(cars: int, days: int, runs: int) -> None:
    print(surroundings(f"{cars:,} commuters, {days} day(s)"))
    print(f"\n{'':14}{'car-days/s':>12}{'µs':>8}{'MB':>8}")
    for what in ("cars alone", "no journal", "with journal"):
        found = medians([in_fresh_process(__file__, what, cars, days) for _ in range(runs)])
        print(f"{what:14}{found['rate']:12,.0f}{found['us']:8.1f}{found['mb']:8.0f}", flush=True)
    found = medians([in_fresh_process(__file__, "one command", 1, 1) for _ in range(runs)])
    print(f"one command   {found['ms']:9.1f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        what, cars, days = sys.argv[2:]
        print(json.dumps(measure(what, int(cars), int(days))))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--cars", type=int, default=10_000)
        arguments.add_argument("--days", type=int, default=1)
        arguments.add_argument("--runs", type=int, default=1, help="how often each line is measured; the median counts")
        given = arguments.parse_args()
        main(given.cars, given.days, given.runs)
