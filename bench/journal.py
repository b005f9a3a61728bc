"""What a journal costs, beside the same without one: `python bench/journal.py [--seconds 10] [--runs 3] [PART …]`.

Each line is a fresh process with so many real cars on the swarm link: QoS 1, the whole car, every group of the status. Parts:

paced      20 000 statuses a second are asked for, whatever becomes of them, the whole way: cars, Mosquitto as shipped and
           `fleet backend`, each a process of its own; with the journal both cars and back end write theirs
saturate   every car is asked again as soon as its last message is acknowledged, at a plain broker: the limit of the cars' process

Columns: created/s and stored/s (or publishes/s); lost, from the store itself; CPU µs a message of the cars' process and of the
back end's; p99 from due to stored; MB/s that the two journals grow. Aim: at 20 000 messages a second at most a tenth of the
throughput. The median of the runs counts.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cars import WARM_UP_S, Fleet
from lab import Broker, LagProbe, Measured, Usage, be_part, broker, in_fresh_process, medians, surroundings
from stored import SCENARIO, come_to_rest, put_load
from stored import Part as Load
from whole import ABOUT, settled, whole

from fleet.observe.histogram import Histogram
from fleet.observe.journal import Begin, JournalWriter
from fleet.runtime.shard import wait_until
from fleet.vehicle.signals import AskStatus

RATE = 20_000.0
DRAIN_S = 120.0
BEGIN = Begin(t=0, m="run", k="begin")


@dataclass(frozen=True)
class Part:
    """One line of the table."""

    name: str
    journal: str
    cars: int


PARTS = (
    Part("paced", "without", 5_000),
    Part("paced", "with", 5_000),
    Part("saturate", "without", 1_000),
    Part("saturate", "with", 1_000),
    Part("saturate", "without", 5_000),
    Part("saturate", "with", 5_000),
)


def journal_in(folder: Path, part: Part) -> JournalWriter | None:
    """Return where the cars' journal goes."""
    return JournalWriter(folder / "journal.jsonl", BEGIN) if part.journal == "with" else None


def megabytes(folder: Path) -> float:
    """Return how large the journals are."""
    return sum(file.stat().st_size for file in folder.glob("*.jsonl")) / 1e6


async def paced(part: Part, folder: Path, seconds: float) -> Measured:
    """Ask at a fixed rate, and hold the store against the cars' account."""
    journal = journal_in(folder, part)
    beside = folder / "journal-backend.jsonl" if journal else None
    async with whole(SCENARIO.format(cars=part.cars), journal=journal) as (parts, scratch):
        file = scratch / "store.sqlite"
        async with parts.backend(file, journal=beside) as backend:
            used, load = await put_load(parts, backend, Load("", RATE, part.cars, "puback"), seconds)
            at_end, grown = parts.account(file), megabytes(folder)
            await come_to_rest(parts, load)
            await wait_until(lambda: settled(parts, file), DRAIN_S, every_s=0.25)
        account = parts.account(file)
    wall_s = used["wall_s"]
    return {
        "rate": used["created_s"],
        "stored_s": at_end.stored / wall_s,
        "lost": account.lost,
        "cars_us": used["cars"] * wall_s * 1e4 / used["created"],
        "backend_us": used["taker"] * wall_s * 1e4 / at_end.stored,
        "p99_ms": Histogram.from_dict(backend.seen["result"]["publish_to_stored"]).summary_ms()["p99"],
        "mb_s": grown / wall_s,
    }


async def saturate(part: Part, folder: Path, seconds: float) -> Measured:
    """Keep one message under way with every car."""
    with broker() as running:
        return await saturate_at(running, part, folder, seconds)


async def saturate_at(running: Broker, part: Part, folder: Path, seconds: float) -> Measured:
    """Do so at this broker."""
    fleet = Fleet(part.cars, running.port, journal_in(folder, part))
    await fleet.connect()
    for car in fleet.cars.values():
        car.eager = True
        car.put(AskStatus())
    await asyncio.sleep(WARM_UP_S)
    probe = LagProbe()
    probe.start()
    before, at_first, usage = fleet.acknowledged, megabytes(folder), Usage(running.pid)
    await asyncio.sleep(seconds)
    (cpu_s, _, passed_s), count = usage.so_far(), fleet.acknowledged - before
    probe.stop()
    return {
        "rate": count / passed_s,
        "cars_us": cpu_s * 1e6 / count,
        "lag_p99_ms": probe.percentile_ms(0.99),
        "mb_s": (megabytes(folder) - at_first) / passed_s,
    }


COLUMNS = {
    "rate": ("created/s", ",.0f"),
    "stored_s": ("stored/s", ",.0f"),
    "lost": ("lost", ".0f"),
    "cars_us": ("cars µs", ".1f"),
    "backend_us": ("back end µs", ".1f"),
    "p99_ms": ("stored p99 ms", ".1f"),
    "lag_p99_ms": ("lag p99 ms", ".1f"),
    "mb_s": ("MB/s", ".1f"),
}


async def measure(part: Part, seconds: float) -> Measured:
    """Be the process of one line."""
    with tempfile.TemporaryDirectory() as folder:
        return await {"paced": paced, "saturate": saturate}[part.name](part, Path(folder), seconds)


def main(parts: list[str], seconds: float, runs: int) -> None:
    print(surroundings(f"paced: {ABOUT}"))
    last = ""
    for part in PARTS:
        if parts and part.name not in parts:
            continue
        found = [in_fresh_process(__file__, part.name, part.journal, part.cars, seconds) for _ in range(runs)]
        median = medians(found)
        shown = [(title, format(median[name], form)) for name, (title, form) in COLUMNS.items() if name in median]
        if part.name != last:
            print(f"\n{part.name:9} {'journal':8}{'cars':>7}" + "".join(f"{title:>14}" for title, _ in shown))
        last = part.name
        print(f"{'':9} {part.journal:8}{part.cars:7,}" + "".join(f"{value:>14}" for _, value in shown), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        name, journal, cars, seconds = sys.argv[2:]
        be_part(measure, Part(name, journal, int(cars)), float(seconds))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("parts", nargs="*", choices=["paced", "saturate", []], help="which parts; all when none is named")
        arguments.add_argument("--seconds", type=float, default=10.0, help="how long each line publishes")
        arguments.add_argument("--runs", type=int, default=1, help="how often each line is measured; the median counts")
        given = arguments.parse_args()
        main(given.parts, given.seconds, given.runs)
