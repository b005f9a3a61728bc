"""Delivery until stored, beside delivery to the broker, when the broker loses what it has acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend, BackendConfig
from fleet.backend.spin import SpinCost
from fleet.runtime import shard as shard_module
from fleet.runtime.assembly import vins
from fleet.runtime.clocks import ScaledClock, wall_us
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.shard import wait_until
from fleet.runtime.simulation import Progress, Simulation, SimulationConfig
from fleet.scenario.scalars import ClockFactor
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.vehicle.signals import AskStatus
from fleet.wire.dialect import FleetDialect
from tests.runtime.pure_lab import scenario

pytestmark = pytest.mark.live

CARS = 10
BURST = 3
WITHIN_S = 30.0
Fault = Literal["the broker is killed and its files are gone", "the session of the back end is gone"]


@pytest.fixture(autouse=True)
def repeat_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat what is not stored after a second and not after a quarter of a minute."""
    monkeypatch.setattr(shard_module, "REPEAT_UNSTORED_S", 1.0)
    monkeypatch.setattr(shard_module, "UNSTORED_LOOK_S", 0.2)


@dataclass
class Outcome:
    """What is known at the end: the cars' account, and the store's."""

    account: dict[str, int]
    stored: int
    lost: int


class Lossy:
    """Ten parked cars that are asked for statuses, a broker that can lose everything, and one back end after another."""

    def __init__(self, store: Path, *, until_stored: bool) -> None:
        self.store = store
        self.until_stored = until_stored
        self.secret = FleetSecret.new()
        self.made = scenario(
            f"  - {{name: parked, count: {CARS}, models: {{Born: 1}}, profile: parked}}\n", clock=ClockFactor.parse("real")
        )
        self.broker = PrivateMosquitto(secret=self.secret, vins=vins(self.made))

    def backend(self) -> Backend:
        return Backend(
            BackendConfig(
                store=self.store, links=aiomqtt_links(self.broker.tools), pepper=b"a pepper for the tests",
                make_clock=ScaledClock, wall_us=wall_us, draw=lambda: 0.1, spin_cost=SpinCost(n=2, r=1, p=1),
                username="backend", password=self.secret.password_for("backend"), announce_stored=self.until_stored,
            )
        )  # fmt: skip

    async def started_backend(self) -> Backend:
        backend = self.backend()
        await backend.start()
        assert await wait_until(lambda: backend.connected, WITHIN_S)
        return backend

    async def run(self, fault: Fault) -> Outcome:
        async with self.broker:
            backend = await self.started_backend()
            simulation = Simulation(
                SimulationConfig(
                    scenario=self.made, cars=aiomqtt_links(self.broker.cars), tools=None,
                    password_for=self.secret.password_for, dialect=FleetDialect(), until_stored=self.until_stored,
                ),
                lambda _: None,
            )  # fmt: skip
            living = asyncio.create_task(simulation.run())
            await self.ask_all(simulation)
            assert await wait_until(lambda: backend.snapshot().stored == CARS * BURST, WITHIN_S)
            backend = await self.strike(fault, backend, simulation)
            await self.ask_all(simulation)
            arrives = 3 if self.until_stored else 2
            assert await wait_until(lambda: backend.snapshot().stored >= CARS * BURST * (arrives - 1), WITHIN_S)
            assert await wait_until(lambda: simulation.shard.account()["in_outbox"] == 0, WITHIN_S)
            simulation.stop()
            result = await living
            await backend.stop()
        return self.outcome(result)

    async def ask_all(self, simulation: Simulation) -> None:
        """Ask each car for three statuses, and wait until the broker has all of them."""
        cars = simulation.shard.cars.values()
        assert await wait_until(lambda: all(held.car.telematics.is_up for held in cars), WITHIN_S)
        wanted = simulation.shard.account()["acknowledged"] + CARS * BURST
        for held in cars:
            for _ in range(BURST):
                held.put(AskStatus())
        assert await wait_until(lambda: simulation.shard.account()["acknowledged"] >= wanted, WITHIN_S)

    async def strike(self, fault: Fault, backend: Backend, simulation: Simulation) -> Backend:
        """Have the broker acknowledge a burst that nobody will ever get from it; return the next back end."""
        if fault == "the session of the back end is gone":
            await backend.stop(end_session=True)
            await self.ask_all(simulation)
            return await self.started_backend()
        await backend.stop()
        await self.ask_all(simulation)
        self.broker.kill()
        for file in self.broker.folder.rglob("mosquitto.db*"):
            file.unlink()
        assert await wait_until(lambda: bool(simulation.shard.counts.outages), WITHIN_S)
        await self.broker.start()
        return await self.started_backend()

    def outcome(self, result: Progress) -> Outcome:
        account = result["account"]
        with sqlite3.connect(self.store) as connection:
            rows = connection.execute("SELECT vin, boot, seq FROM message").fetchall()
        connection.close()
        assert len(rows) == len(set(rows)), "nothing is stored twice"
        with StoreReader(self.store) as reader:
            stored = reader.account({result["boot"]}).stored
        assert stored == len(rows)
        lost = account["created"] - stored - account["in_outbox"] - account["dropped"] - account["refused"]
        return Outcome(account, stored, lost)


@pytest.mark.parametrize("fault", ["the broker is killed and its files are gone", "the session of the back end is gone"])
async def test_what_the_broker_loses(tmp_path: Path, fault: Fault) -> None:
    """Until stored nothing is lost and nothing stored twice; to the broker each loss is counted, to the message."""
    stored, puback = await asyncio.gather(
        Lossy(tmp_path / "stored.sqlite", until_stored=True).run(fault),
        Lossy(tmp_path / "puback.sqlite", until_stored=False).run(fault),
    )
    assert (stored.lost, stored.stored, stored.account["created"]) == (0, CARS * BURST * 3, CARS * BURST * 3)
    assert stored.account["published"] == CARS * BURST * 3
    assert stored.account["repeated"] >= CARS * BURST
    assert (puback.lost, puback.stored) == (CARS * BURST, CARS * BURST * 2)
    assert puback.account["acknowledged"] == CARS * BURST * 3
