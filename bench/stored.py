"""How many statuses a second get from cars into SQLite, the whole way: `python bench/stored.py [--seconds 60] [--runs 3]`.

Each line is a fresh process with so many real cars (the whole model, every group of the status, trigger `load`) on the
swarm link, a private Mosquitto as shipped and a consumer in a process of its own. Cars are asked at a fixed rate
whatever becomes of the answers (an open loop), QoS 1 both ways. The consumer is `fleet backend`: decode, store, commit,
acknowledge. The line `counts only` is the reference: a consumer on the same link that acknowledges and does nothing else,
so what is left is the cars, the broker and the two sockets. Columns:

asked/s          statuses that cars were asked for
created, stored  made by the cars and committed in the store, a second, within the measured time
lost             created - stored - in outbox - dropped - quarantined - refused at the end, from the store itself
cars, broker, consumer, others   CPU in percent of a core; `others` is whatever else ran on the machine
µs               CPU of the consumer a message it took
p50, p99 ms      from the due time of the status to its commit
batch            messages a transaction, mean
backlog          created and not yet stored at the end of the measured time; what is left is stored before the account is made
plain µs         the reference for SQLite: the same rows, executemany into the message table alone, batches of 1 000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
from lab import Measured, be_part, in_fresh_process, medians, surroundings
from whole import ABOUT, StatusLoad, Taker, Usage, Whole, settled, whole

from fleet.backend.consumer import RECEIVE_MAXIMUM
from fleet.backend.schema import open_for_writing
from fleet.errors import LinkError, PublishRefused
from fleet.kernel.instants import SECOND
from fleet.observe.histogram import Histogram
from fleet.runtime.credentials import SECRET_VARIABLE
from fleet.runtime.shard import wait_until
from fleet.transport.link import BackOff, Delivery, Endpoint, Link, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.topics import Topics

SCENARIO = """\
scenario: stored
purpose: Cars in the open that are asked for their status.
seed: 1
start: 2026-03-07T10:00
duration: 1 h
clock: real
region: munich
fleets:
  - {{name: asked, count: {cars}, models: {{Leon: 1, Born: 1}}, profile: parked, coverage: {{garages: 0 %}}}}
"""
RATES = (25_000, 40_000)
DRAIN_S = 120.0
PLAIN_ROWS = 100_000


@dataclass(frozen=True)
class Part:
    """One line of the table."""

    consumer: str
    rate: float
    cars: int
    delivery: str


class Counter:
    """The reference consumer: acknowledges at once and keeps nothing; the owner of its link."""

    def __init__(self, endpoint: Endpoint, password: str) -> None:
        self.taken = 0
        settings = LinkSettings(
            client_id="backend",
            username="backend",
            password=password,
            receive_maximum=RECEIVE_MAXIMUM,
            subscriptions=Topics().backend_subscriptions(),
        )
        self.link: Link = swarm_links(endpoint)(settings, self, BackOff(random.random))  # noqa: TID251  it needs no seed

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        print("ready", flush=True)

    def link_down(self, error: LinkError | None) -> None:
        assert error is None, error

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None: ...

    def link_received(self, delivery: Delivery) -> None:
        self.taken += 1
        self.link.acknowledge(delivery)


async def count(host: str, port: str) -> None:
    """Be the reference consumer until standard input ends; prints how much it took."""
    counter = Counter(Endpoint(host, int(port)), os.environ[SECRET_VARIABLE])
    counter.link.open()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    await counter.link.close(end_session=True)
    print(counter.taken)


@contextlib.asynccontextmanager
async def counting(parts: Whole) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run the reference consumer in a process of its own."""
    endpoint = parts.broker.tools
    child = subprocess.Popen(  # noqa: ASYNC220  it does not wait
        [sys.executable, __file__, "--count", endpoint.host, str(endpoint.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, SECRET_VARIABLE: parts.secret.password_for("backend")},
    )
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == b"ready\n"
    try:
        yield child
    finally:
        child.kill()
        child.wait()


async def measure(part: Part, seconds: float) -> Measured:
    """Measure one line."""
    scenario = SCENARIO.format(cars=part.cars)
    async with whole(scenario, until_stored=part.delivery == "stored") as (parts, folder):
        if part.consumer == "counts only":
            async with counting(parts) as child:
                return await count_only(parts, child, part, seconds)
        return await store(parts, folder / "store.sqlite", part, seconds)


async def put_load(parts: Whole, taker: Taker, part: Part, seconds: float) -> tuple[Measured, StatusLoad]:
    """Ask the cars for so many seconds, and return what that took."""
    await parts.start()
    await asyncio.sleep(1.0)
    clock, cars = parts.clock, list(parts.shard.cars.values())
    load = StatusLoad(cars, per_s=part.rate, start=clock.now(), duration=int(seconds * SECOND))
    usage = Usage(parts.broker, taker)
    parts.shard.add(load)
    await asyncio.sleep(seconds)
    used = usage.so_far()
    created = parts.shard.account()["created"]
    lag_ms = parts.shard.counts.lag.percentile(0.99) / 1e3
    return {**used, "created": created, "created_s": created / used["wall_s"], "cars_ms": lag_ms}, load


async def come_to_rest(parts: Whole, load: StatusLoad) -> None:
    """Let what is late be asked, and the cars say good-bye: what one made later would be stored by nobody."""
    await wait_until(lambda: load.deadline() is None, DRAIN_S)
    await parts.shard.stop()


async def count_only(parts: Whole, child: subprocess.Popen[bytes], part: Part, seconds: float) -> Measured:
    """Measure the reference: all that is not the back end's."""
    used, load = await put_load(parts, child, part, seconds)
    await come_to_rest(parts, load)
    assert parts.shard.account()["in_outbox"] == 0
    await asyncio.sleep(1.0)
    presences = 2 * len(parts.shard.cars)  # on-line and off-line
    taken = int((await asyncio.to_thread(child.communicate))[0])
    stored = taken - presences
    account = parts.shard.account()
    assert account["dropped"] == account["refused"] == 0
    rate = used["created_s"]
    return used | {"stored_s": rate, "lost": account["created"] - stored, "us": used["taker"] * 1e4 / rate, "backlog": 0}


async def store(parts: Whole, file: Path, part: Part, seconds: float) -> Measured:
    """Measure the back end, and hold its store against the cars' account."""
    async with parts.backend(file, delivery=part.delivery) as backend:
        used, load = await put_load(parts, backend, part, seconds)
        at_end = parts.account(file)
        began = time.perf_counter()
        await come_to_rest(parts, load)
        await wait_until(lambda: settled(parts, file), DRAIN_S, every_s=0.25)
        drained_s = time.perf_counter() - began
    account = parts.account(file)
    word = backend.seen["result"]
    waited = Histogram.from_dict(word["publish_to_stored"]).summary_ms()
    return used | {
        "stored_s": at_end.stored / used["wall_s"],
        "lost": account.lost,
        "left": account.in_outbox + account.dropped + account.quarantined + account.refused,
        "us": used["taker"] * used["wall_s"] * 1e4 / at_end.stored,
        "p50_ms": waited["p50"],
        "p99_ms": waited["p99"],
        "batch": Histogram.from_dict(word["batch_messages"]).mean,
        "commit_ms": Histogram.from_dict(word["commit_us"]).mean / 1e3,
        "backlog": used["created"] - at_end.stored,
        "drained_s": drained_s,
        "duplicates": account.duplicates,
        "plain_us": plain(file, file.with_name("plain.sqlite")),
    }


def plain(file: Path, fresh: Path) -> float:
    """Insert rows of the store into an empty one, as simply as can be; return the µs a row."""
    with sqlite3.connect(file) as source:
        rows = source.execute("SELECT * FROM message ORDER BY id LIMIT ?", (PLAIN_ROWS,)).fetchall()
    target = open_for_writing(fresh, created_by="bench")
    insert = f"INSERT INTO message VALUES ({','.join('?' * len(rows[0]))})"
    began = time.perf_counter()
    for first in range(0, len(rows), 1_000):
        target.execute("BEGIN IMMEDIATE")
        target.executemany(insert, rows[first : first + 1_000])
        target.execute("COMMIT")
    took_s = time.perf_counter() - began
    target.close()
    return took_s * 1e6 / len(rows)


def child(arguments: list[str]) -> None:
    """Be the process of one line."""
    consumer, rate, cars, delivery, seconds = arguments
    be_part(measure, Part(consumer, float(rate), int(cars), delivery), float(seconds))


def line(part: Part, found: list[Measured]) -> str:
    """Write a line of the table."""
    median = medians(found)
    text = f"{part.consumer:12}{part.rate:9,.0f}{median['created_s']:11,.0f}{median['stored_s']:11,.0f}"
    text += f"{max(one['lost'] for one in found):6}"
    text += "".join(f"{median[name]:8.0f}" for name in ("cars", "broker", "taker", "others"))
    text += f"{median['us']:9.1f}"
    if part.consumer == "counts only":
        return text
    text += f"{median['p50_ms']:9.1f}{median['p99_ms']:9.1f}{median['batch']:8,.0f}{median['backlog']:10,.0f}"
    return text + f"{median['plain_us']:10.1f}"


def main(given: argparse.Namespace) -> None:
    batch = "batches of 1 000 messages or 20 ms, SQLite WAL, synchronous=NORMAL"
    print(surroundings(ABOUT, f"{given.cars:,} cars, {given.seconds:g} s, delivery {given.delivery}; {batch}"))
    print(f"{'consumer':12}{'asked/s':>9}{'created/s':>11}{'stored/s':>11}{'lost':>6}", end="")
    print(f"{'cars':>8}{'broker':>8}{'cons. %':>8}{'others':>8}{'µs':>9}", end="")
    print(f"{'p50 ms':>9}{'p99 ms':>9}{'batch':>8}{'backlog':>10}{'plain µs':>10}")
    for rate in given.rate or RATES:
        for consumer in ("counts only", "fleet backend"):
            if given.only and given.only not in consumer:
                continue
            part = Part(consumer, rate, given.cars, given.delivery)
            own = (part.consumer, part.rate, part.cars, part.delivery, given.seconds)
            found = [in_fresh_process(__file__, *own) for _ in range(given.runs)]
            print(line(part, found), flush=True)
            if given.verbose:
                print(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        child(sys.argv[2:])
    elif sys.argv[1:2] == ["--count"]:
        uvloop.run(count(*sys.argv[2:]))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--seconds", type=float, default=60.0, help="how long each line asks")
        arguments.add_argument("--runs", type=int, default=1, help="how often each line is measured; the median counts")
        arguments.add_argument("--cars", type=int, default=5_000)
        arguments.add_argument("--rate", type=float, action="append", help="statuses a second; may be given again")
        arguments.add_argument("--delivery", choices=("puback", "stored"), default="puback")
        arguments.add_argument("--only", choices=("counts", "backend"), help="one kind of line only")
        arguments.add_argument("--verbose", action="store_true")
        main(arguments.parse_args())
