"""The embedded broker as a run has it, in a process of its own, and the file in which its sessions outlive a stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.errors import BrokerError, ConnectRefused
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded_process import EmbeddedProcess
from fleet.runtime.embedded_state import read_state, write_state
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.lab import TOPICS, VINS, Lab, LiveBroker
from tests.transport.embedded_rig import EmbeddedRig

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


class TestState:
    """The file."""

    def test_a_damaged_one_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "sessions").write_bytes(b"no state")
        with pytest.raises(BrokerError, match="cannot be read") as caught:
            read_state(tmp_path / "sessions", SimulatedBroker(), 0)
        assert "Remove the file" in caught.value.hint

    def test_sessions_come_back_as_they_were(self, tmp_path: Path) -> None:
        """Subscriptions with options, what waits and what is under way, at QoS 2 too."""
        rig, file = EmbeddedRig(), tmp_path / "sessions"
        rig.client("reader", "a", session_expiry_interval=100).send(b"\xe0\x00")
        sender = rig.client("sender")
        sender.send(b"\x34\x07\x00\x01a\x00\x05\x00x", b"\x33\x07\x00\x01a\x00\x06\x00y")
        rig.machine.broker.stop(rig.now)
        write_state(file, rig.machine.broker)
        assert file.stat().st_mode & 0o777 == 0o600
        other = EmbeddedRig()
        read_state(file, other.machine.broker, rig.now)
        session = other.machine.broker.session("reader")
        assert session is not None
        assert (session.waiting, session.subscriptions) == (2, {"a": 2})
        assert session.ends_at == rig.now + 100_000_000
