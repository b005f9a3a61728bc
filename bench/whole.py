"""What benchmarks of the whole way share: real cars here, a private broker as shipped, and `fleet backend` beside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab import ONE_SOURCE_CLIENTS, SOURCES, cpu_of

from fleet.backend.reader import StoreReader
from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.observe.journal import JournalWriter
from fleet.observe.report import Account
from fleet.runtime.assembly import build_cars, vins, vocabulary
from fleet.runtime.car_codec import status_writer_of
from fleet.runtime.car_selector import CarHandle
from fleet.runtime.children import Child
from fleet.runtime.clocks import ScaledClock, wall_us
from fleet.runtime.credentials import SECRET_VARIABLE, FleetSecret
from fleet.runtime.limits import look_for_garbage_rarely
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.load import OpenLoop
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.shard import Shard, wait_until
from fleet.scenario.loader import parse
from fleet.scenario.schema import Scenario
from fleet.transport.swarm_link import swarm_links
from fleet.vehicle.signals import AskStatus
from fleet.wire.fleet_dialect import FleetDialect

PATIENCE_S = 60.0
ABOUT = "Mosquitto as shipped (broker/mosquitto.conf: passwords, ACL, persistence), back end and cars a process each"


class Taker(Protocol):
    """The process that takes what cars send: a back end, or a reference in its place."""

    @property
    def pid(self) -> int: ...


@dataclass(frozen=True)
class Whole:
    """The parts of a fleet: the cars of `shard` are of this process."""

    scenario: Scenario
    broker: PrivateMosquitto
    secret: FleetSecret
    clock: ScaledClock
    shard: Shard

    async def start(self) -> None:
        """Connect all cars and let their time run."""
        self.shard.connect()
        assert await wait_until(lambda: not self.shard.waiting_to_connect, PATIENCE_S), "not all cars came up"
        self.clock.begin()
        self.shard.run()

    @asynccontextmanager
    async def backend(self, store: Path, *, delivery: str = "puback", journal: Path | None = None) -> AsyncIterator[Child]:
        """Run `fleet backend`; its last word is in `seen["result"]` afterwards."""
        arguments = ["--broker", str(self.broker.tools), "--store", str(store), "--delivery", delivery, "--json", "--until-eof"]
        arguments += [] if journal is None else ["--journal", str(journal)]
        environment = {SECRET_VARIABLE: self.secret.reveal(), "FLEET_SECRET_FILE": ""}
        child = await Child.start("backend", ["backend", *arguments], environment=environment, listen=_listen)
        try:
            await child.wait_for("ready", PATIENCE_S)
            yield child
        finally:
            await child.end()

    def account(self, store: Path) -> Account:
        """Return the account: the cars' word beside the store's."""
        said = self.shard.account()
        with StoreReader(store) as reader:
            kept = reader.account()
        told = {name: said[name] for name in ("created", "published", "acknowledged", "in_outbox", "dropped", "refused")}
        return Account(**told, stored=kept.stored, quarantined=kept.quarantined, duplicates=kept.duplicates)


def _listen(message: dict[str, Any]) -> None:
    if message["type"] == "log":
        print("  back end:", message["text"])


class StatusLoad(OpenLoop):
    """Asks cars in turn for their status, `per_s` times a scenario second in all."""

    def __init__(self, cars: Sequence[CarHandle], *, per_s: float, start: Instant, duration: Duration) -> None:
        """Take the cars in the order in which they are asked."""
        step = SECOND / per_s
        arrivals = (start + int(number * step) for number in range(int(duration / step)))
        super().__init__(arrivals, lambda n, at: cars[n % len(cars)].put(AskStatus(), at))


@asynccontextmanager
async def whole(
    scenario_text: str, *, until_stored: bool = False, journal: JournalWriter | None = None
) -> AsyncIterator[tuple[Whole, Path]]:
    """Give broker and cars, nothing connected yet, and a folder for the store."""
    scenario = parse(scenario_text, "bench", vocabulary())
    secret = FleetSecret.new()
    clock = ScaledClock(vocabulary().start_of(scenario), factor=float(scenario.clock), held=True)
    dialect = FleetDialect()
    cars = build_cars(
        scenario,
        start=clock.start,
        boot=wall_us(),
        until_stored=until_stored,
        write_status=status_writer_of(dialect, recorded=journal is not None),
    )
    look_for_garbage_rarely()  # as `fleet simulate` does
    with tempfile.TemporaryDirectory() as folder:
        async with PrivateMosquitto(secret=secret, vins=vins(scenario)) as broker:
            sources = SOURCES if scenario.cars > ONE_SOURCE_CLIENTS else ()
            plan = LinkPlan(password_for=secret.password_for, until_stored=until_stored, end_session=True)
            links = swarm_links(broker.cars, source_addresses=sources)
            record = None if journal is None else journal.write
            shard = Shard(clock=clock, cars=cars, links=links, dialect=dialect, plan=plan, record=record)
            try:
                yield Whole(scenario, broker, secret, clock, shard), Path(folder)
            finally:
                await shard.stop()


def settled(parts: Whole, file: Path) -> bool:
    """Tell whether all that the cars made is stored."""
    account = parts.account(file)
    return account.in_outbox == 0 and account.stored >= account.created - account.dropped - account.refused


class Usage:
    """CPU of generator, broker and taker, and of whatever else runs on this machine, from here on."""

    def __init__(self, broker: PrivateMosquitto, taker: Taker) -> None:
        assert broker.pid is not None
        self._pids = (broker.pid, taker.pid)
        self._before = self._now()

    def _now(self) -> tuple[float, ...]:
        own = time.process_time()
        broker_s, taker_s = (cpu_of(pid) for pid in self._pids)
        return time.perf_counter(), own, broker_s, taker_s, _machine_s() - own - broker_s - taker_s

    def so_far(self) -> dict[str, float]:
        """Return the wall seconds, and the shares of a core in percent."""
        wall_s, *used = (now - before for now, before in zip(self._now(), self._before, strict=True))
        shares = {name: 100 * one / wall_s for name, one in zip(("cars", "broker", "taker", "others"), used, strict=True)}
        return {"wall_s": wall_s, **shares}


def _machine_s() -> float:
    """Return the CPU seconds that all processes and the kernel have used."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / 100
