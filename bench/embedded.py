"""The embedded broker beside Mosquitto: `python bench/embedded.py [--clients 1000] [--seconds 5] [--runs 3]`.

The bare reference (`bare.py`: no link, no car) publishes at QoS 1, one message of 250 bytes in flight a client, to each broker in
turn, from a fresh process each time. Both brokers are processes of their own, without access control and persistence. Columns:

publishes/s    acknowledged, over the measured seconds, after one second of warming up
broker µs      the broker's CPU time a message
broker, client CPU of each in percent of a core: the one at 100 is the limit

Aim: a quarter of Mosquitto's publishes/s, which is 15 000 where the reference does 60 000. The median of the runs counts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from bare import connect_bare
from lab import (
    ONE_SOURCE_CLIENTS,
    SOURCES,
    Measured,
    Usage,
    about_the_broker,
    be_part,
    broker,
    in_fresh_process,
    medians,
    surroundings,
)

from fleet.runtime.mosquitto import free_port

PAYLOAD = bytes(250)
WARM_UP_S = 1.0
KINDS = ("mosquitto", "embedded")


@contextmanager
def _running(kind: str) -> Iterator[tuple[int, int]]:
    """Run a broker of that kind; gives its port and its process id."""
    if kind == "mosquitto":
        with broker() as made:
            yield made.port, made.pid
        return
    port, tools_port = free_port("127.0.0.1"), free_port("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        words = ["broker", "--embedded", "--anonymous", "--port", str(port), "--tools-port", str(tools_port), "--dir", folder]
        process = subprocess.Popen([sys.executable, "-m", "fleet", *words], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.communicate()


async def _measure(kind: str, count: int, seconds: float) -> Measured:
    with _running(kind) as (port, pid):
        clients = await connect_bare(port, count, PAYLOAD, SOURCES if count > ONE_SOURCE_CLIENTS else ())
        for client in clients:
            client.publishing = True
            client.publish()
        await asyncio.sleep(WARM_UP_S)
        before, usage = sum(client.acknowledged for client in clients), Usage(pid)
        await asyncio.sleep(seconds)
        own, theirs, wall = usage.so_far()
        taken = sum(client.acknowledged for client in clients) - before
        return {
            "per_s": taken / wall,
            "broker_us": 1e6 * theirs / taken,
            "client_us": 1e6 * own / taken,
            "broker": 100 * theirs / wall,
            "client": 100 * own / wall,
        }


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--part", nargs=3, metavar=("KIND", "CLIENTS", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        kind, clients, seconds = options.part
        be_part(_measure, kind, int(clients), float(seconds))
    print(surroundings(about_the_broker()))
    found: dict[str, list[Measured]] = {kind: [] for kind in KINDS}
    for _ in range(options.runs):
        for kind in KINDS:  # in turn, so that a busy minute strikes both
            found[kind].append(in_fresh_process(__file__, kind, options.clients, options.seconds))
    print(f"{'':10}  publishes/s  broker µs  client µs  broker  client")
    for kind in KINDS:
        line = medians(found[kind])
        cpu = f"{line['broker_us']:9.1f}  {line['client_us']:9.1f}  {line['broker']:4.0f} %  {line['client']:4.0f} %"
        print(f"{kind:10}  {line['per_s']:11,.0f}  {cpu}")
    print(f"ratio {medians(found['embedded'])['per_s'] / medians(found['mosquitto'])['per_s']:.2f}")


if __name__ == "__main__":
    _main()
