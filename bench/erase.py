"""How long it takes to erase one person among many, while ingestion goes on: `python bench/erase.py [--runs 3]`.

A store of 10 000 cars and 1 000 000 statuses (every car 100, with positions, in turn, so that a car's rows lie all over the
file). A back end runs on it, on a link in this process that delivers 1 000 statuses a second of the other cars (an open loop)
and takes what is published. Then one car of a person is erased: from the request to the final answer, which comes when the rows
are gone, the log is empty and the file was searched for the names and positions of whoever it was. Columns:

erase s          from the request to its answer
pause ms         the longest time between two acknowledgements of a status during that; `before` is the same, as long, without it
stored/s         statuses stored a second meanwhile
traces           what a search afterwards finds of the VIN, once the car has obeyed (0)
of which MB      the size of the file that was searched

The reference is the column `before`: the same back end with the same load and no erasure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from fleet.backend.needles import found_in, text_needle
from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Arrival, Batch
from fleet.cloud.twin import origin_of
from fleet.kernel.draws import Draws
from fleet.runtime.backend_configs import live_backend
from fleet.runtime.clocks import wall_us
from fleet.transport.link import BackOff, Delivery, LinkOwner, LinkSettings
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Position, Response, ServiceRequest, Status

CARS, MESSAGES, RATE = 10_000, 1_000_000, 1_000
BATCH = 5_000
BOOT = 1_772_000_000_000_000
WATCHED_S = 5.0
DIALECT = FleetDialect()
ANSWERS = DIALECT.topics.desk_answer("bench")


def vin_of(number: int) -> str:
    return f"VSSZZZKMZPR{number:06d}"


def status(number: int, seq: int, at: int) -> Status:
    place = Position(latitude=41 + number / 1e5 + seq / 1e7, longitude=2 + seq / 1e7, accuracy_m=8.0, fixed_at=at)
    return Status(
        vin=vin_of(number),
        boot=BOOT,
        seq=seq,
        captured_at=at,
        trigger="load",
        state="parked",
        mileage_km=float(seq),
        position=place,
    )


def arrival(message: Status) -> Arrival:
    return Arrival(
        message.vin, message.boot, message.seq, "status", None, message.trigger, message.captured_at, None, None, BOOT,
        "application/vnd.msgpack", msgspec.msgpack.encode(message), origin_of(message),
    )  # fmt: skip


def fill(path: Path, messages: int, cars: int) -> None:
    store, draws = SqliteStore(path), Draws(1, "erase")
    seqs = [0] * cars
    for begin in range(0, messages, BATCH):
        batch = Batch()
        for index in range(begin, begin + BATCH):
            number = int(draws.uniform(0, cars)) if seqs[index % cars] else index % cars
            seqs[number] += 1
            batch.arrivals.append(arrival(status(number, seqs[number], BOOT + index)))
        store.commit(batch, BOOT + begin)
    store.close()


class Link:
    """Takes what the back end publishes and acknowledges, at once."""

    def __init__(self, owner: LinkOwner) -> None:
        self.owner = owner
        self.is_up = False
        self.published: list[Frame] = []
        self.acknowledged = 0
        self.last_s = 0.0
        self.longest_s = 0.0
        self.answered = asyncio.Event()

    def open(self) -> None:
        self.is_up = True
        self.owner.link_up(False)

    def publish(self, frame: Frame, token: int) -> None:
        self.published.append(frame)
        if frame.topic == ANSWERS:
            self.answered.set()
        asyncio.get_running_loop().call_soon(self.owner.link_acknowledged, token, None)

    def acknowledge(self, delivery: Delivery) -> None:  # noqa: ARG002
        now = time.perf_counter()
        self.longest_s = max(self.longest_s, now - self.last_s)
        self.last_s = now
        self.acknowledged += 1

    def watch(self) -> None:
        """Begin anew to look for the longest pause."""
        self.last_s, self.longest_s, self.acknowledged = time.perf_counter(), 0.0, 0

    def drop(self) -> None:
        self.is_up = False

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:  # noqa: ARG002
        self.is_up = False


async def load(link: Link, cars: int) -> None:
    """Deliver statuses of all cars but the first, so many a second, whatever becomes of them."""
    begun, sent, packet = time.perf_counter(), 0, 0
    while True:
        due = int((time.perf_counter() - begun) * RATE)
        while sent < due:
            sent += 1
            packet = packet % 65_535 + 1
            message = status(1 + sent % (cars - 1), 1_000_000 + sent, wall_us())
            link.owner.link_received(Delivery(DIALECT.from_car(message), packet, 1))
        await asyncio.sleep(0.002)


async def measure(path: Path, cars: int) -> dict[str, float]:
    links: list[Link] = []

    def connect(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:  # noqa: ARG001
        links.append(Link(owner))
        return links[0]

    backend = Backend(live_backend(path, connect, key=0, password=None))
    await backend.start()
    (link,) = links
    loading = asyncio.create_task(load(link, cars))
    await asyncio.sleep(1)
    link.watch()
    await asyncio.sleep(WATCHED_S)
    before = link.longest_s
    link.watch()
    begun = time.perf_counter()
    request = ServiceRequest(id="erase", service="erasure", action="erase", vin=vin_of(0))
    link.owner.link_received(Delivery(DIALECT.desk_request(request, answer_topic=ANSWERS), 1, 1))
    await link.answered.wait()
    took = time.perf_counter() - begun
    pause, stored = link.longest_s, link.acknowledged / took
    command = next(message for frame in link.published if isinstance(message := _command(frame), Command))
    done = Response(
        vin=command.vin, boot=BOOT, seq=2_000_000, captured_at=wall_us(), command_id=command.id, name="reset", state="succeeded",
        awake=True,
    )  # fmt: skip
    link.owner.link_received(Delivery(DIALECT.from_car(done), 2, 1))
    await asyncio.sleep(1)
    loading.cancel()
    await backend.stop()
    size = os.stat(path).st_size  # noqa: PTH116
    traces = found_in(path, [text_needle("VIN", vin_of(0))])
    return {
        "erase s": took, "pause ms": pause * 1e3, "before": before * 1e3, "stored/s": stored, "traces": len(traces),
        "of which MB": size / 1e6,
    }  # fmt: skip


def _command(frame: Frame) -> object:
    return DIALECT.read_to_car(frame) if "/command/" in frame.topic else None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--cars", type=int, default=CARS)
    options.add_argument("--messages", type=int, default=MESSAGES)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder) / "filled.sqlite"
        fill(filled, given.messages, given.cars)
        runs = []
        for number in range(given.runs):
            path = Path(folder) / f"{number}.sqlite"
            shutil.copy(filled, path)
            runs.append(asyncio.run(measure(path, given.cars)))
            print("  ".join(f"{name} {value:.2f}" for name, value in runs[-1].items()), file=sys.stderr)
            path.unlink()
    print("median: " + "  ".join(f"{name} {statistics.median(run[name] for run in runs):.2f}" for name in runs[0]))


if __name__ == "__main__":
    main()
