"""What real cars cost on the swarm link: `python bench/cars.py [--seconds 5] [--runs 1] [PART …]`.

Each line is a fresh process with so many cars at a fresh private Mosquitto: MQTT 5, QoS 1, the whole car (driver, energy, body,
12 V battery), a will and three subscriptions each. The first line of a part is its reference in the same run.
All lines are without a journal, which `fleet run` keeps by default: `bench/journal.py saturate` measures the
same cars with one. A status takes the same path in both. Parts:

connect    from the first `open` until all are up, and the memory of the whole process then (KB/car, everything counted)
saturate   every car is asked for its whole status again as soon as the last one is acknowledged: one under way a car. It finds
           the limit, not the latency. The lag is that of a timer of 5 ms meanwhile. Reference: a bare asyncio.Protocol
           that sends the same number of bytes.
idle       the cars are parked and connected, the simulation runs: CPU over ten seconds. Reference: the bare links, idle
recover    the broker is killed with all connected and started again: time until all are back, and the busiest second's connects

Aims (2 cores for all): 10 000 in 3 s; 12 KB a car; 50 000 publishes/s at 18 µs with 5 000 cars and lag p99 50 ms; 3 % of a core
idle; all back in 60 s at 500 connects/s at most. The median of the runs counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from bare import connect_bare
from lab import (
    ONE_SOURCE_CLIENTS,
    SOURCES,
    Broker,
    LagProbe,
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

from fleet.errors import PublishRefused
from fleet.kernel.instants import HOUR
from fleet.observe.journal import JournalWriter
from fleet.runtime.assembly import build_cars, vocabulary
from fleet.runtime.car_codec import status_writer_of
from fleet.runtime.clocks import ScaledClock, wall_us
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.shard import CarOnLink, Shard, wait_until
from fleet.runtime.simulation import CARS_PER_CONNECT_SECOND
from fleet.scenario.loader import parse
from fleet.transport.link import Endpoint
from fleet.transport.swarm_link import swarm_links
from fleet.vehicle.signals import AskStatus
from fleet.vehicle.status import build_status
from fleet.wire.dialect import Dialect
from fleet.wire.fleet_dialect import FleetDialect

SCENARIO = """\
scenario: bench
purpose: Parked cars in the open.
seed: 1
start: 2026-03-07T10:00
duration: 2 h
clock: real
region: munich
fleets:
  - {{name: parked, count: {cars}, models: {{Leon: 3, Formentor: 3, Ateca: 1, Born: 2}}, profile: parked}}
"""
ASK = AskStatus()
WARM_UP_S = 1.0
IDLE_S = 10.0
KEEP_ALIVE_S = 60


@dataclass(frozen=True)
class Part:
    """One line of the table."""

    name: str
    kind: str
    cars: int


PARTS = (
    Part("connect", "bare", 10_000),
    Part("connect", "cars", 10_000),
    Part("connect", "cars", 19_000),
    Part("saturate", "bare", 1_000),
    Part("saturate", "cars", 1_000),
    Part("saturate", "bare", 5_000),
    Part("saturate", "cars", 5_000),
    Part("idle", "bare", 10_000),
    Part("idle", "cars", 10_000),
    Part("recover", "cars", 10_000),
)


class EagerCar(CarOnLink):
    """A car that is asked again as soon as its message is acknowledged."""

    __slots__ = ("_ups_s", "eager")

    def __init__(self, shard: Shard, held: CarOnLink, ups_s: list[float]) -> None:
        super().__init__(shard, held.car)
        self._ups_s = ups_s
        self.eager = False

    def link_up(self, session_present: bool) -> None:
        super().link_up(session_present)
        self._ups_s.append(time.perf_counter())

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        CarOnLink.link_acknowledged(self, token, error)
        if self.eager and not self.car.outbox.in_outbox:
            self.put(ASK)


class Fleet:
    """So many connected cars."""

    def __init__(self, cars: int, port: int, journal: JournalWriter | None = None, dialect: Dialect | None = None) -> None:
        made = parse(SCENARIO.format(cars=cars), "bench.yaml", vocabulary())
        start = vocabulary().start_of(made)
        self.clock = ScaledClock(start, factor=1.0, held=True)
        self.size = cars
        plan = LinkPlan(
            password_for=lambda _: None, keep_alive_s=KEEP_ALIVE_S, first_back_off_s=max(1.0, cars / CARS_PER_CONNECT_SECOND)
        )
        dialect = dialect or FleetDialect()
        self.shard = Shard(
            clock=self.clock,
            cars=build_cars(
                made,
                start=start,
                boot=wall_us(),
                write_status=status_writer_of(dialect, recorded=journal is not None),
            ),
            links=swarm_links(Endpoint("127.0.0.1", port), source_addresses=sources(cars)),
            dialect=dialect,
            plan=plan,
            record=None if journal is None else journal.write,
        )
        self.ups_s: list[float] = []
        self.cars = {vin: EagerCar(self.shard, held, self.ups_s) for vin, held in self.shard.cars.items()}
        self.shard.cars = dict(self.cars)

    async def connect(self) -> float:
        """Connect all; return the seconds it took."""
        began = time.perf_counter()
        self.shard.connect()
        await wait_until(lambda: self.connects >= self.size, 300)
        took_s = time.perf_counter() - began
        assert not self.shard.waiting_to_connect, self.shard.counts.link_errors
        self.clock.begin()
        self.shard.run()
        return took_s

    @property
    def connects(self) -> int:
        return self.shard.counts.connects

    @property
    def acknowledged(self) -> int:
        return self.shard.counts.publish_to_ack.count


def sources(clients: int) -> tuple[str, ...]:
    """Return the source addresses for so many clients."""
    return SOURCES if clients > ONE_SOURCE_CLIENTS else ()


def payload_like_a_status() -> bytes:
    """Return the bytes of a whole status of such a car, for the reference."""
    (car,) = build_cars(parse(SCENARIO.format(cars=1), "bench.yaml", vocabulary()), start=10 * HOUR, boot=wall_us())
    status = build_status(car, "load", 10 * HOUR)
    stamped = msgspec.structs.replace(status, due_wall_us=wall_us(), sent_wall_us=wall_us())
    return bytes(len(FleetDialect().from_car(stamped).payload))


async def connect(kind: str, cars: int, port: int, _broker: Broker, _seconds: float) -> Measured:
    """Connect all and see what they weigh."""
    before = resident_bytes()
    if kind == "bare":
        began = time.perf_counter()
        held: object = await connect_bare(port, cars, b"", sources(cars))
        took_s = time.perf_counter() - began
    else:
        held = fleet = Fleet(cars, port)
        took_s = await fleet.connect()
    await asyncio.sleep(0.5)
    gc.collect()
    weight = {"kb": resident_bytes() / 1024 / cars, "kb_more": (resident_bytes() - before) / 1024 / cars}
    del held
    return {"connect_s": took_s} | weight


async def saturate(kind: str, cars: int, port: int, running: Broker, seconds: float) -> Measured:
    """Keep one message under way with every car."""
    done: Callable[[], int]
    if kind == "bare":
        clients = await connect_bare(port, cars, payload_like_a_status(), sources(cars))
        done = lambda: sum(client.acknowledged for client in clients)  # noqa: E731
        for client in clients:
            client.publishing = True
            client.publish()
    else:
        fleet = Fleet(cars, port)
        await fleet.connect()
        done = lambda: fleet.acknowledged  # noqa: E731
        for car in fleet.cars.values():
            car.eager = True
            car.put(AskStatus())
    await asyncio.sleep(WARM_UP_S)
    probe = LagProbe()
    probe.start()
    before, usage = done(), Usage(running.pid)
    await asyncio.sleep(seconds)
    (cpu_s, broker_s, passed_s), count = usage.so_far(), done() - before
    probe.stop()
    return {
        "rate": count / passed_s,
        "cpu_us": cpu_s * 1e6 / count,
        "lag_p99_ms": probe.percentile_ms(0.99),
        "client": 100 * cpu_s / passed_s,
        "broker": 100 * broker_s / passed_s,
    }


async def idle(kind: str, cars: int, port: int, running: Broker, _seconds: float) -> Measured:
    """Let them be, and see what that costs."""
    held: object
    if kind == "bare":
        held = await connect_bare(port, cars, b"", sources(cars))
    else:
        held = fleet = Fleet(cars, port)
        await fleet.connect()
    await asyncio.sleep(WARM_UP_S)
    gc.collect()
    usage = Usage(running.pid)
    await asyncio.sleep(IDLE_S)
    cpu_s, broker_s, passed_s = usage.so_far()
    del held
    return {"client": 100 * cpu_s / passed_s, "broker": 100 * broker_s / passed_s}


async def recover(_kind: str, cars: int, port: int, running: Broker, _seconds: float) -> Measured:
    """Kill the broker, start it again, and see how the cars come back."""
    fleet = Fleet(cars, port)
    await fleet.connect()
    running.kill()
    await wait_until(lambda: fleet.shard.waiting_to_connect == cars, 30)
    fleet.ups_s.clear()
    began = time.perf_counter()
    await asyncio.to_thread(running.start)
    await wait_until(lambda: len(fleet.ups_s) == cars, 200)
    assert not fleet.shard.waiting_to_connect
    per_second = Counter(int(up_s - began) for up_s in fleet.ups_s)
    return {"back_s": max(fleet.ups_s) - began, "busiest": float(max(per_second.values()))}


MEASURE = {"connect": connect, "saturate": saturate, "idle": idle, "recover": recover}
COLUMNS = {
    "connect_s": ("connect s", ".2f"),
    "kb": ("KB/car, all", ".1f"),
    "kb_more": ("KB/car, more", ".1f"),
    "rate": ("publishes/s", ",.0f"),
    "cpu_us": ("CPU µs", ".1f"),
    "lag_p99_ms": ("lag p99 ms", ".1f"),
    "client": ("client %", ".1f"),
    "broker": ("broker %", ".1f"),
    "back_s": ("all back s", ".1f"),
    "busiest": ("connects/s", ",.0f"),
}


async def measure(part: Part, seconds: float) -> Measured:
    """Be the process of one line."""
    with broker() as running:
        return await MEASURE[part.name](part.kind, part.cars, running.port, running, seconds)


def main(parts: list[str], seconds: float, runs: int) -> None:
    print(surroundings(about_the_broker(), f"{len(SOURCES)} source addresses beyond {ONE_SOURCE_CLIENTS:,} cars"))
    last = ""
    for part in PARTS:
        if parts and part.name not in parts:
            continue
        found = [in_fresh_process(__file__, part.name, part.kind, part.cars, seconds) for _ in range(runs)]
        median = medians(found)
        shown = [(title, format(median[name], form)) for name, (title, form) in COLUMNS.items() if name in median]
        if part.name != last:
            print(f"\n{part.name:9} {'':5} {'cars':>7}" + "".join(f"{title:>14}" for title, _ in shown))
        last = part.name
        print(f"{'':9} {part.kind:5} {part.cars:7,}" + "".join(f"{value:>14}" for _, value in shown), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        name, kind, cars, seconds = sys.argv[2:]
        be_part(measure, Part(name, kind, int(cars)), float(seconds))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("parts", nargs="*", choices=[*MEASURE, []], help="which parts; all when none is named")
        arguments.add_argument("--seconds", type=float, default=5.0, help="how long each line of `saturate` publishes")
        arguments.add_argument("--runs", type=int, default=1, help="how often each line is measured; the median counts")
        given = arguments.parse_args()
        main(given.parts, given.seconds, given.runs)
