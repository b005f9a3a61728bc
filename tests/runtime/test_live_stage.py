"""Cars, broker, back end and store together: the account holds, whatever the broker does in between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend
from fleet.errors import ConnectRefused, Unreachable
from fleet.kernel.instants import MINUTE
from fleet.runtime import simulation as simulation_module
from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.backend_configs import live_backend
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.shard import wait_until
from fleet.runtime.simulation import Progress, Simulation, SimulationConfig
from fleet.runtime.users import Users
from fleet.scenario.scalars import ClockFactor, Duration
from fleet.scenario.schema import Scenario
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import Endpoint
from fleet.vehicle.signals import AskStatus
from fleet.wire.fleet_dialect import MESSAGEPACK, FleetDialect
from tests.lab import Lab, LiveBroker
from tests.recording_owner import RecordingOwner
from tests.runtime.pure_lab import scenario

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no longer than this for the outcomes of commands whose answers an outage has taken."""
    monkeypatch.setattr(simulation_module, "LAST_OUTCOMES_S", 4.0)


DIALECT = FleetDialect()
STREET = """\
  - {name: street, count: 12, models: {Leon: 1, Born: 1}, profile: courier}
"""
COMMANDS = "  - {name: refresh, count: 150, time_to_live: 2 h}\n"
WITHIN_S = 40.0


class World:
    """One scenario against one broker: the simulator and a back end in this process, and a tool that listens."""

    def __init__(self, broker: PrivateMosquitto, secret: FleetSecret, made: Scenario, store: Path) -> None:
        self.broker = broker
        self.store = store
        self.secret = secret
        self.progress: list[Progress] = []
        self.backend = Backend(live_backend(store, aiomqtt_links(broker.tools), key=0, password=secret.password_for("backend")))
        self.simulation = simulation(made, secret, cars=broker.cars, tools=broker.tools, emit=self.progress.append)

    @property
    def account(self) -> dict[str, int]:
        return self.simulation.shard.account()

    async def live(self) -> Progress:
        """Let the cars live to the end, and the back end store what is left; return the simulator's result."""
        result = await self.simulation.run()
        await wait_until(lambda: self.backend.snapshot().stored >= result["account"]["acknowledged"], 5)
        return result

    async def fill_outboxes(self) -> None:
        """Wait until no car has a connection, and have each of them tell its status three times."""
        assert await wait_until(lambda: bool(self.simulation.shard.counts.outages), WITHIN_S)
        for held in self.simulation.shard.cars.values():
            for _ in range(3):
                held.put(AskStatus())

    def rows(self) -> set[tuple[str, int, int]]:
        with sqlite3.connect(self.store) as connection:
            found = connection.execute("SELECT vin, boot, seq FROM message").fetchall()
        connection.close()
        assert len(found) == len(set(found))
        return set(found)

    def lost(self, result: Progress) -> int:
        """What the cars made, and neither store nor cars have."""
        account = result["account"]
        with StoreReader(self.store) as reader:
            seen = reader.account({result["boot"]})
        still_out = sum(
            1
            for vin, outbox in result["outboxes"].items()
            for seq in outbox["seqs"]
            if (known := seen.boots.get((vin, outbox["boot"]))) is None or not known.has(seq)
        )
        assert seen.stored == len(self.rows())
        return int(account["created"] - seen.stored - still_out - account["dropped"] - account["refused"])


def simulation(
    made: Scenario, secret: FleetSecret, *, cars: Endpoint, tools: Endpoint | None, emit: Callable[[Progress], None]
) -> Simulation:
    return Simulation(
        SimulationConfig(
            scenario=made, cars=aiomqtt_links(cars), tools=aiomqtt_links(tools) if tools else None,
            password_for=secret.password_for, dialect=DIALECT,
        ),
        emit,
    )  # fmt: skip


@asynccontextmanager
async def world(store: Path, made: Scenario) -> AsyncIterator[World]:
    """Run broker and back end, with everything ready for `World.live`."""
    secret = FleetSecret.new()
    async with PrivateMosquitto(secret=secret, vins=vins(made)) as broker:
        here = World(broker, secret, made, store)
        async with here.backend:
            assert await wait_until(lambda: here.backend.connected, WITHIN_S)
            yield here


def street(clock: str, **changes: Any) -> Scenario:
    return scenario(STREET, COMMANDS, clock=ClockFactor.parse(clock), **changes)


class TestAccount:
    async def test_cars_store_and_an_independent_listener_agree(self, tmp_path: Path) -> None:
        """What cars say they sent is what the store holds, and what a tool with its own rights heard, one by one."""
        async with world(tmp_path / "store.sqlite", street("x1200")) as here:
            lab = Lab(LiveBroker(here.broker, here.secret), aiomqtt_links)
            topics = tuple((f"fleet/v1/+/{kind}", 1) for kind in ("status", "event/+", "response/+", "request/+"))
            _, listener = await lab.user_up("tool", "listener", subscriptions=topics, receive_maximum=1000)
            result = await here.live()
            account = result["account"]
            await listener.wait_for("all messages", lambda: len(listener.deliveries) >= account["acknowledged"])
            await lab.close()
        heard = [self.read(listener, index) for index in range(len(listener.deliveries))]
        numbers = [(message["vin"], message["boot"], message["seq"]) for message in heard]
        assert set(numbers) == here.rows()
        assert len(numbers) == len(set(numbers)) == account["acknowledged"] == account["published"] > 300
        assert here.lost(result) == 0
        assert account["refused"] == account["dropped"] == 0
        assert result["outages"] == []
        assert (result["cars"], result["stopped_early"]) == (12, False)
        self.statuses_are_whole(heard)

    @staticmethod
    def read(listener: RecordingOwner, index: int) -> dict[str, Any]:
        """Read a payload with the msgpack package, which knows nothing of ours."""
        frame = listener.deliveries[index].frame
        assert frame.content_type == MESSAGEPACK
        message: dict[str, Any] = msgpack.unpackb(frame.payload)
        assert frame.topic.split("/")[2] == message["vin"]
        return message

    @staticmethod
    def statuses_are_whole(heard: list[dict[str, Any]]) -> None:
        """The statuses that were asked for name their groups in plain words, with the wall times of the header."""
        statuses = [message for message in heard if message.get("trigger") == "refresh"]
        assert len(statuses) > 50
        groups = {"state", "mileage_km", "doors", "windows", "position", "energy"}
        for status in statuses:
            assert groups | {"captured_at", "due_wall_us", "sent_wall_us"} <= set(status)

    async def test_progress_is_told_while_it_runs(self, tmp_path: Path) -> None:
        """Twice a second: the cars by state and connection add up, and the share never passes the whole."""
        async with world(tmp_path / "store.sqlite", street("x3600")) as here:
            await here.live()
        told_of_cars = [told for told in here.progress if told["type"] == "progress"]
        assert len(told_of_cars) >= 3
        for told in told_of_cars:
            assert sum(told["states"].values()) == sum(told["connections"].values()) == 12
            assert told["elapsed_share"] <= 1


async def test_a_broker_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Cars back off, come back and deliver what they kept; the gap is told. Stopped in order the broker loses nothing.

    Killed with -9 it may lose what it had acknowledged and not yet written down: then the account says how much.
    """
    await asyncio.gather(
        go_and_come_back(tmp_path / "stopped.sqlite", clean=True), go_and_come_back(tmp_path / "killed.sqlite", clean=False)
    )


async def go_and_come_back(store: Path, *, clean: bool) -> None:
    async with world(store, street("x600")) as here:
        living = asyncio.create_task(here.live())
        assert await wait_until(lambda: here.account["acknowledged"] > 60, WITHIN_S)
        if clean:
            await here.broker.stop()
        else:
            here.broker.kill()
        await here.fill_outboxes()
        kept = here.account["in_outbox"]
        assert kept >= 36
        await here.broker.start()
        result = await living
        (outage,) = result["outages"]
        assert outage["to_wall_us"] > outage["from_wall_us"]
        assert result["connects"] >= 24
        assert result["link_errors"]["ConnectionLost"] >= 12
        account = result["account"]
        assert account["in_outbox"] < kept
        assert account["created"] == account["acknowledged"] + account["in_outbox"]
        lost = here.lost(result)
        assert lost == 0 if clean else 0 <= lost < account["created"] / 2


class TestStopping:
    async def test_no_driver_sets_off_after_the_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the last commands are waited for, time goes on; drives are ended, and none is begun."""
        monkeypatch.setattr(Users, "waiting", property(lambda _: 1))
        made = street("x1800", written_duration=Duration(scenario().duration * 2))
        async with world(tmp_path / "store.sqlite", made) as here:
            await here.live()
        ends = vocabulary().start_of(made) + made.duration
        with sqlite3.connect(here.store) as connection:
            (last,) = connection.execute("SELECT max(captured_at) FROM message WHERE name = 'engine_on'").fetchone()
        connection.close()
        assert here.simulation.clock.now() > ends + 20 * MINUTE
        assert last <= ends + 5 * MINUTE  # a loop that turns late by a sixth of a second

    async def test_while_the_broker_is_down(self, tmp_path: Path) -> None:
        """It takes a bounded time, and the result says what the cars still hold and since when nobody is connected."""
        async with world(tmp_path / "store.sqlite", street("x600")) as here:
            living = asyncio.create_task(here.simulation.run())
            assert await wait_until(lambda: here.account["acknowledged"] > 20, WITHIN_S)
            await here.broker.stop()
            await here.fill_outboxes()
            here.simulation.stop()
            async with asyncio.timeout(5):
                result = await living
        assert result["stopped_early"]
        assert result["account"]["in_outbox"] == sum(len(outbox["seqs"]) for outbox in result["outboxes"].values()) > 0
        assert result["outages"][-1]["to_wall_us"] is None

    async def test_no_car_lives_on_while_it_says_good_bye(self, tmp_path: Path) -> None:
        """At a hundred thousand times real time the end is still an end: all that was made is delivered."""
        made = street("x100000", written_duration=Duration(scenario().duration * 12))
        async with world(tmp_path / "store.sqlite", made) as here:
            result = await here.live()
            assert here.lost(result) == 0
            assert here.simulation.clock.now() == here.simulation.clock.now()


class TestNoConnection:
    async def test_wrong_passwords_and_nobody_there(self) -> None:
        """Nobody can connect: the reason is raised, in seconds, and not after a day without cars."""
        secret = FleetSecret.new()
        made = street("x600")
        async with PrivateMosquitto(secret=secret, vins=vins(made)) as broker:
            wrong = simulation(made, FleetSecret.new(), cars=broker.cars, tools=None, emit=lambda _: None)
            async with asyncio.timeout(10):
                with pytest.raises(ConnectRefused, match="Not authorized"):
                    await wrong.run()
            endpoint = broker.cars
        nobody = simulation(made, secret, cars=endpoint, tools=None, emit=lambda _: None)
        async with asyncio.timeout(20):
            with pytest.raises(Unreachable, match="Connection refused"):
                await nobody.run()
