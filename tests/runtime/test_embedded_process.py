"""The embedded broker as a run has it, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleet.errors import BrokerError, ConnectRefused
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded_process import EmbeddedProcess
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.lab import TOPICS, VINS, Lab, LiveBroker

SECRET = FleetSecret("a secret of some length")


@pytest.fixture
async def process() -> AsyncIterator[EmbeddedProcess]:
    async with EmbeddedProcess(secret=SECRET, vins=VINS[:3]) as broker:
        yield broker


@pytest.fixture
async def lab(process: EmbeddedProcess) -> AsyncIterator[Lab]:
    made = Lab(LiveBroker(process, SECRET), swarm_links)
    yield made
    await made.close()


@pytest.mark.live
class TestProcess:
    """The broker of `fleet run --broker embedded`."""

    async def test_restart_keeps_ports_and_what_persists(self, lab: Lab, process: EmbeddedProcess) -> None:
        """After stop and start the ports are the same, and retained messages and a car's waiting command are there."""
        vin, before = VINS[0], (process.cars, process.tools)
        car, owner = await lab.car_up(vin)
        car.publish(Frame(topic=TOPICS.presence(vin), payload=b"kept", retain=True), 1)
        await owner.wait_for_outcome(1)
        car.drop()
        backend, said = await lab.user_up("backend", "back end")
        backend.publish(Frame(topic=f"fleet/v1/{vin}/command/honk", payload=b"waits"), 1)
        assert await said.wait_for_outcome(1) is None
        await backend.close()
        await process.stop()
        assert process.pid is None
        await process.stop()
        await process.start()
        assert (process.cars, process.tools) == before
        _, watcher = await lab.user_up("tool", "watch", subscriptions=((TOPICS.presence(vin), 1),))
        await watcher.wait_for_payload(b"kept")
        car.open()
        await owner.wait_for_payload(b"waits")

    async def test_kill_and_pause(self, lab: Lab, process: EmbeddedProcess) -> None:
        """Killed it is gone at once; paused it still stops in good order, and leaves nothing behind."""
        _, owner = await lab.car_up(VINS[0])
        process.kill()
        await owner.wait_for_down()
        with pytest.raises(BrokerError, match="does not run"):
            process.pause()
        await process.start()
        process.pause()
        folder = process.log_path.parent
        await process.stop()
        process.discard()
        assert not folder.exists()

    async def test_only_who_is_known_gets_in(self, lab: Lab) -> None:
        link, owner = lab.car(VINS[9])
        link.open()
        assert isinstance(await owner.wait_for_down(), ConnectRefused)
