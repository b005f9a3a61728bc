"""What the links alone cost, aiomqtt and swarm side by side: `python bench/links.py [--seconds 5] [--runs 1]`.

Each line is a fresh process with so many clients at a fresh private Mosquitto: MQTT 5, QoS 1, 250 bytes, one
subscription a client, one publish in flight a client, the next one as soon as the acknowledgement is there (a closed
loop: it finds the limit, not the latency). No car model, no store. Columns:

connect s      from the first `open` until all links are up, subscription included
KB/client      growth of the client's resident memory by the connections, idle
publishes/s    acknowledged, over the measured seconds, after one second of warming up
CPU µs         client CPU time a message
lag p99 ms     how late a timer of 5 ms came, while saturated
client, broker CPU of each in percent of a core: the one at 100 is the limit

Aim for swarm on uvloop at 1 000 to 5 000 clients: 50 000 publishes/s at 10 µs or less. The median of the runs counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import time
from dataclasses import dataclass

from lab import (
    ONE_SOURCE_CLIENTS,
    SOURCES,
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

from fleet.errors import LinkError, PublishRefused
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import BackOff, Delivery, Endpoint, Link, LinkFactory, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame

PAYLOAD = bytes(250)
WARM_UP_S = 1.0


@dataclass(frozen=True)
class Part:
    """One line of the table; with `publishes` False only connecting is measured."""

    link: str
    loop: str
    clients: int
    publishes: bool = True


PARTS = (
    Part("aiomqtt", "asyncio", 100),
    Part("aiomqtt", "asyncio", 1_000),
    Part("swarm", "asyncio", 1_000),
    Part("swarm", "uvloop", 100),
    Part("swarm", "uvloop", 1_000),
    Part("swarm", "uvloop", 5_000),
    Part("swarm", "uvloop", 10_000, publishes=False),
)


class Client:
    """Publishes again as soon as it may; the owner of a link."""

    __slots__ = ("frame", "link", "load")

    def __init__(self, load: Load, number: int, make: LinkFactory) -> None:
        self.load = load
        self.frame = Frame(topic=f"bench/{number}/status", payload=PAYLOAD)
        settings = LinkSettings(
            client_id=f"client-{number}",
            clean_start=True,
            session_expiry_s=0,
            subscriptions=((f"bench/{number}/command/+", 1),),
            connect_timeout_s=60,
        )
        self.link: Link = make(settings, self, BackOff(random.random))  # noqa: TID251  a back-off needs no seed here

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        self.load.up += 1
        if self.load.up == self.load.clients:
            self.load.all_up.set()

    def link_down(self, error: LinkError | None) -> None:
        self.load.up -= 1
        if error is not None:
            self.load.errors[str(error)] = self.load.errors.get(str(error), 0) + 1

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        assert error is None
        self.load.acknowledged += 1
        if self.load.running:
            self.link.publish(self.frame, token)

    def link_received(self, delivery: Delivery) -> None:
        self.link.acknowledge(delivery)


class Load:
    """All clients of a part, and what they count together."""

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self.up = 0
        self.all_up = asyncio.Event()
        self.acknowledged = 0
        self.running = True
        self.errors: dict[str, int] = {}


async def measure(part: Part, port: int, broker_pid: int, seconds: float) -> Measured:
    """Connect the clients and let them publish."""
    load = Load(part.clients)
    endpoint = Endpoint("127.0.0.1", port)
    sources = SOURCES if part.clients > ONE_SOURCE_CLIENTS else ()
    make = swarm_links(endpoint, source_addresses=sources) if part.link == "swarm" else aiomqtt_links(endpoint)
    gc.collect()
    memory = resident_bytes()
    began = time.perf_counter()
    clients = [Client(load, number, make) for number in range(part.clients)]
    for client in clients:
        client.link.open()
    await asyncio.wait_for(load.all_up.wait(), 300)
    result: Measured = {"connect_s": time.perf_counter() - began}
    await asyncio.sleep(0.5)
    gc.collect()
    result["kb"] = (resident_bytes() - memory) / 1024 / part.clients
    if part.publishes:
        result |= await saturate(load, clients, broker_pid, seconds)
    load.running = False
    for client in clients:
        client.link.drop()
    await asyncio.sleep(0.5)
    return result | {"errors": load.errors}


async def saturate(load: Load, clients: list[Client], broker_pid: int, seconds: float) -> Measured:
    """Publish from all clients and measure after warming up."""
    for client in clients:
        client.link.publish(client.frame, 1)
    await asyncio.sleep(WARM_UP_S)
    probe = LagProbe()
    probe.start()
    acknowledged, usage = load.acknowledged, Usage(broker_pid)
    await asyncio.sleep(seconds)
    cpu_s, broker_s, passed_s = usage.so_far()
    done = load.acknowledged - acknowledged
    probe.stop()
    return {
        "rate": done / passed_s,
        "cpu_us": cpu_s * 1e6 / done,
        "client": 100 * cpu_s / passed_s,
        "broker": 100 * broker_s / passed_s,
        "lag_p99_ms": probe.percentile_ms(0.99),
        "lag_max_ms": probe.percentile_ms(1),
    }


def run_part(part: Part, seconds: float) -> Measured:
    """Measure one line in a process of its own at a broker of its own."""
    with broker() as running:
        own = (part.link, part.loop, part.clients, int(part.publishes))
        return in_fresh_process(__file__, *own, running.port, running.pid, seconds)


def child(arguments: list[str]) -> None:
    """Be the process of one line."""
    link, loop, clients, publishes, port, broker_pid, seconds = arguments
    part = Part(link, loop, int(clients), bool(int(publishes)))
    be_part(measure, part, int(port), int(broker_pid), float(seconds), loop=loop)


def main(seconds: float, runs: int) -> None:
    sources = f"90 handshakes under way; {len(SOURCES)} source addresses beyond {ONE_SOURCE_CLIENTS:,} clients"
    print(surroundings(about_the_broker(), sources))
    print(f"{'link':8} {'loop':8} {'clients':>8}{'connect s':>11}{'KB/client':>11}{'publishes/s':>13}", end="")
    print(f"{'CPU µs':>8}{'lag p99 ms':>12}{'client %':>10}{'broker %':>10}")
    for part in PARTS:
        found = [run_part(part, seconds) for _ in range(runs)]
        median = medians(found)
        line = f"{part.link:8} {part.loop:8} {part.clients:8,}{median['connect_s']:11.2f}{median['kb']:11.1f}"
        if part.publishes:
            line += f"{median['rate']:13,.0f}{median['cpu_us']:8.1f}{median['lag_p99_ms']:12.1f}"
            line += f"{median['client']:10.0f}{median['broker']:10.0f}"
        print(line, flush=True)
        for one in found:
            for error, count in one["errors"].items():
                print(f"  {count} × {error}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        child(sys.argv[2:])
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--seconds", type=float, default=5.0, help="how long each line publishes")
        arguments.add_argument("--runs", type=int, default=1, help="how often each line is measured; the median counts")
        given = arguments.parse_args()
        main(given.seconds, given.runs)
