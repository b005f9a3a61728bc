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
import importlib.metadata
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from fleet.errors import LinkError, PublishRefused
from fleet.runtime.mosquitto import find_mosquitto, free_port
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import BackOff, Delivery, Endpoint, Link, LinkFactory, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame

PAYLOAD = bytes(250)
WARM_UP_S = 1.0
PROBE_S = 0.005
SOURCES = tuple(f"127.0.1.{number}" for number in range(1, 17))
ONE_SOURCE_CLIENTS = 5_000
"""Beyond it several source addresses are used: each costs the kernel a little, but ports get scarce."""
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 4000
max_queued_messages 100000
log_type error
"""


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
        self.lags_s: list[float] = []
        self._due = 0.0

    def probe(self) -> None:
        """Note how late the timer came, and set it again."""
        now = time.perf_counter()
        if self._due:
            self.lags_s.append(max(0.0, now - self._due))
        self._due = now + PROBE_S
        if self.running:
            asyncio.get_running_loop().call_later(PROBE_S, self.probe)


async def measure(part: Part, port: int, broker_pid: int, seconds: float) -> dict[str, Any]:
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
    result: dict[str, Any] = {"connect_s": time.perf_counter() - began}
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


async def saturate(load: Load, clients: list[Client], broker_pid: int, seconds: float) -> dict[str, Any]:
    """Publish from all clients and measure after warming up."""
    for client in clients:
        client.link.publish(client.frame, 1)
    await asyncio.sleep(WARM_UP_S)
    load.probe()
    acknowledged, cpu_s, broker_s, began = load.acknowledged, time.process_time(), cpu_of(broker_pid), time.perf_counter()
    await asyncio.sleep(seconds)
    passed_s = time.perf_counter() - began
    done = load.acknowledged - acknowledged
    cpu_s, broker_s = time.process_time() - cpu_s, cpu_of(broker_pid) - broker_s
    lags = sorted(load.lags_s)
    return {
        "rate": done / passed_s,
        "cpu_us": cpu_s * 1e6 / done,
        "client": 100 * cpu_s / passed_s,
        "broker": 100 * broker_s / passed_s,
        "lag_p99_ms": 1e3 * lags[int(len(lags) * 0.99)],
        "lag_max_ms": 1e3 * lags[-1],
    }


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_of(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_part(part: Part, seconds: float) -> dict[str, Any]:
    """Measure one line in a process of its own at a broker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port("127.0.0.1")
        configuration = Path(folder) / "mosquitto.conf"
        configuration.write_text(CONFIGURATION.format(port=port), encoding="utf-8")
        Path(folder).chmod(0o755)  # started by root, Mosquitto drops its rights
        broker = subprocess.Popen([find_mosquitto(), "-c", configuration], stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            own = [part.link, part.loop, str(part.clients), str(int(part.publishes))]
            command = [sys.executable, __file__, "--part", *own, str(port), str(broker.pid), str(seconds)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=400)
        finally:
            broker.terminate()
            broker.wait()
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def child(arguments: list[str]) -> None:
    """Be the process of one line."""
    link, loop, clients, publishes, port, broker_pid, seconds = arguments
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    part = Part(link, loop, int(clients), bool(int(publishes)))
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measure(part, int(port), int(broker_pid), float(seconds)))))


def surroundings() -> str:
    """Say on what and with what this was measured."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in about if line.startswith("model name")), "?")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("aiomqtt", "paho-mqtt", "mqtt5", "uvloop"))
    said = subprocess.run([find_mosquitto(), "-h"], capture_output=True, text=True, check=False).stdout
    return (
        f"{os.cpu_count()} cores ({model}) for client and broker together, {platform.system()} {platform.release()}\n"
        f"Python {platform.python_version()}, {versions}; {said.splitlines()[0]}\n"
        f"Mosquitto: {', '.join(CONFIGURATION.splitlines()[1:-1])}\n"
        f"90 handshakes under way; {len(SOURCES)} source addresses beyond {ONE_SOURCE_CLIENTS:,} clients"
    )


def main(seconds: float, runs: int) -> None:
    print(surroundings())
    names = ("connect_s", "kb", "rate", "cpu_us", "lag_p99_ms", "client", "broker")
    print(f"{'link':8} {'loop':8} {'clients':>8}{'connect s':>11}{'KB/client':>11}{'publishes/s':>13}", end="")
    print(f"{'CPU µs':>8}{'lag p99 ms':>12}{'client %':>10}{'broker %':>10}")
    for part in PARTS:
        found = [run_part(part, seconds) for _ in range(runs)]
        median = {name: statistics.median(one[name] for one in found) for name in names if name in found[0]}
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
