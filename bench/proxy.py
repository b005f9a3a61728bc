"""What the fault proxy costs while no fault is set: `python bench/proxy.py [--seconds 10] [--runs 3]`.

Each line is a fresh process with 500 clients at a fresh private Mosquitto: MQTT 5, QoS 1, 250 bytes, paced open loop, once
straight to the broker and once through a `fleet proxy` in a process of its own, in turn. Columns:

publishes/s          acknowledged, over the measured seconds, after one second of warming up
p50, p99 ms          from the due time of a publish to its PUBACK, as all latencies here count
bare p50, p99 ms     from the call of `publish` on, without the wait for the pacing's tick of a millisecond
late p99 ms          how long after its due time a publish was called: of the generator, not of the way
client, broker, proxy   CPU of each in percent of a core

Aim: at 5 000 publishes a second the p50 through the proxy is at most 20 % more than without. The median of the runs counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import Measured, Usage, about_the_broker, be_part, broker, cpu_of, in_fresh_process, medians, surroundings

from fleet.errors import LinkError, PublishRefused
from fleet.transport.link import BackOff, Delivery, Endpoint, Link, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame

PAYLOAD = bytes(250)
CLIENTS = 500
RATE = 5_000
TICK_S = 0.001
WARM_UP_S = 1.0
AIM_PERCENT = 20


@dataclass(frozen=True)
class Part:
    """One line of the table."""

    name: str
    proxied: bool


PARTS = (Part("direct", proxied=False), Part("proxy", proxied=True))


class Client:
    """Notes when it published what, and how long each acknowledgement took; the owner of a link."""

    __slots__ = ("frame", "link", "load", "under_way")

    def __init__(self, load: Load, number: int) -> None:
        self.load = load
        self.frame = Frame(topic=f"bench/{number}/status", payload=PAYLOAD)
        self.under_way: dict[int, tuple[float, float]] = {}  # when it was due, and called
        settings = LinkSettings(client_id=f"client-{number}", clean_start=True, session_expiry_s=0, connect_timeout_s=60)
        self.link: Link = load.make(settings, self, BackOff(random.random))  # noqa: TID251  a back-off needs no seed here

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        self.load.up += 1
        if self.load.up == CLIENTS:
            self.load.all_up.set()

    def link_down(self, error: LinkError | None) -> None:
        assert error is None, error

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        assert error is None
        due, called = self.under_way.pop(token)
        now = time.perf_counter()
        self.load.latencies_s.append(now - due)
        self.load.bare_s.append(now - called)

    def link_received(self, delivery: Delivery) -> None:
        self.link.acknowledge(delivery)


class Load:
    """All clients, their pace, and what they measured."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.make = swarm_links(endpoint)
        self.up = 0
        self.all_up = asyncio.Event()
        self.latencies_s: list[float] = []
        self.bare_s: list[float] = []
        self.number = 0
        self.late_s: list[float] = []
        self.clients = [Client(self, number) for number in range(CLIENTS)]

    async def publish(self, seconds: float) -> None:
        """Publish at the rate, from the clients in turn; each publish has its due time before it begins."""
        began = time.perf_counter()
        for turn in range(int(RATE * seconds)):
            due = began + turn / RATE
            while (now := time.perf_counter()) < due:  # noqa: ASYNC110  the time is all that is waited for
                await asyncio.sleep(TICK_S)
            self.late_s.append(now - due)
            self.number += 1
            client = self.clients[self.number % CLIENTS]
            client.under_way[self.number] = due, now
            client.link.publish(client.frame, self.number)

    def forget(self) -> None:
        """Begin to measure now."""
        self.latencies_s.clear()
        self.bare_s.clear()
        self.late_s.clear()


def percentile_ms(values_s: list[float], share: float) -> float:
    """Return what so many of the values did not exceed, in milliseconds."""
    ordered = sorted(values_s)
    return 1e3 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(port: int, broker_pid: int, proxy_pid: int, seconds: float) -> Measured:
    """Connect, warm up, publish and measure."""
    load = Load(Endpoint("127.0.0.1", port))
    for client in load.clients:
        client.link.open()
    await asyncio.wait_for(load.all_up.wait(), 60)
    await load.publish(WARM_UP_S)
    load.forget()
    usage, proxy_s = Usage(broker_pid), cpu_of(proxy_pid) if proxy_pid else 0.0
    await load.publish(seconds)
    cpu_s, broker_s, passed_s = usage.so_far()
    proxy_s = cpu_of(proxy_pid) - proxy_s if proxy_pid else 0.0
    await asyncio.sleep(0.2)
    return {
        "rate": len(load.latencies_s) / passed_s,
        "p50": percentile_ms(load.latencies_s, 0.5),
        "p99": percentile_ms(load.latencies_s, 0.99),
        "bare_p50": percentile_ms(load.bare_s, 0.5),
        "bare_p99": percentile_ms(load.bare_s, 0.99),
        "late": percentile_ms(load.late_s, 0.99),
        "client": 100 * cpu_s / passed_s,
        "broker": 100 * broker_s / passed_s,
        "proxy": 100 * proxy_s / passed_s,
    }


@contextmanager
def proxy(port: int) -> Iterator[tuple[int, int]]:
    """Run a `fleet proxy` in front of a port; gives its own port and its process."""
    command = [sys.executable, "-m", "fleet", "proxy", "--listen", "127.0.0.1:0", "--to", f"127.0.0.1:{port}", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        try:
            yield int(ready["listen"].rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def run_part(part: Part, seconds: float) -> Measured:
    """Measure one line in a process of its own at a broker of its own."""
    with broker() as running:
        if not part.proxied:
            return in_fresh_process(__file__, running.port, running.pid, 0, seconds)
        with proxy(running.port) as (port, pid):
            return in_fresh_process(__file__, port, running.pid, pid, seconds)


def main(seconds: float, runs: int) -> None:
    print(surroundings(about_the_broker(), f"{CLIENTS} clients, {RATE:,} publishes/s of {len(PAYLOAD)} bytes, QoS 1, uvloop"))
    print(
        f"{'way':8}{'publishes/s':>13}{'p50 ms':>9}{'p99 ms':>9}{'bare p50 ms':>13}{'bare p99 ms':>13}{'late p99 ms':>13}", end=""
    )
    print(f"{'client %':>10}{'broker %':>10}{'proxy %':>9}")
    found: dict[str, list[Measured]] = {part.name: [] for part in PARTS}
    for _ in range(runs):
        for part in PARTS:
            found[part.name].append(run_part(part, seconds))
    middle = {name: medians(several) for name, several in found.items()}
    for name, line in middle.items():
        print(f"{name:8}{line['rate']:13,.0f}{line['p50']:9.3f}{line['p99']:9.3f}{line['bare_p50']:13.3f}", end="")
        print(f"{line['bare_p99']:13.3f}{line['late']:13.2f}{line['client']:10.0f}{line['broker']:10.0f}{line['proxy']:9.0f}")
    for name, several in found.items():
        print(f"p50 of each run, {name}: {', '.join(format(one['p50'], '.3f') for one in several)}")
    for figure, aim in (("p50", f" (aim: at most {AIM_PERCENT} %)"), ("bare_p50", "")):
        more = 100 * (middle["proxy"][figure] / middle["direct"][figure] - 1)
        print(f"{figure.replace('_', ' ')} through the proxy: {more:+.0f} %{aim}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        be_part(measure, *(int(word) for word in sys.argv[2:5]), float(sys.argv[5]))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--seconds", type=float, default=10.0, help="how long each line publishes")
        arguments.add_argument("--runs", type=int, default=3, help="how often each line is measured; the median counts")
        given = arguments.parse_args()
        main(given.seconds, given.runs)
