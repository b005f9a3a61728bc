"""The aiomqtt link: the conformance suite, and what is particular to it."""

from __future__ import annotations

import asyncio

import pytest

from fleet.errors import Unreachable
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import LinkSettings
from fleet.wire.frame import Frame
from tests.lab import ANYONE, Lab, MakeLinks
from tests.transport import scripted_broker as scripted
from tests.transport.link_conformance import LinkConformance, lab, own_lab, self_signed
from tests.transport.scripted_broker import Script, ScriptedBroker

__all__ = ["lab", "own_lab", "self_signed"]
pytestmark = pytest.mark.live


@pytest.fixture
def make_links() -> MakeLinks:
    """The implementation under test."""
    return aiomqtt_links


class TestAiomqttLink(LinkConformance):
    """aiomqtt keeps every promise of a link."""


class TestParticulars:
    """Mistakes that only this implementation could make."""

    async def test_one_task_and_no_thread_per_link(self, lab: Lab) -> None:
        """A link that is up has one named task; aiomqtt's own is not started."""
        before = asyncio.all_tasks()
        async with ScriptedBroker() as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            names = [task.get_name() for task in asyncio.all_tasks() - before]
            assert [name for name in names if name.startswith("link")] == ["link anyone"]
            assert len(names) == 2  # the other serves the connection in the scripted broker
            await link.close()
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("link")]

    async def test_packet_ids_in_use_are_not_given_again(self, lab: Lab) -> None:
        """After 65 535 packet ids a frame still under way keeps its id and its outcome."""
        async with ScriptedBroker(Script(puback=None)) as broker:
            link, owner = lab.link(broker.endpoint(), LinkSettings(client_id="anyone"))
            link.open()
            await owner.wait_for_up()
            link.publish(Frame(topic="a", payload=b"stays"), -1)
            for turn in range(4):
                for token in range(turn * 16_400, (turn + 1) * 16_400):
                    link.publish(Frame(topic="a", payload=b"", qos=0), token)
                written = (turn + 1) * 16_400
                await owner.wait_for("outcome of all", lambda written=written: len(owner.outcomes) == written)  # type: ignore[misc]
            assert [token for token, _ in owner.outcomes] == list(range(65_600))
            [body] = [body for body in broker.of_type(scripted.PUBLISH) if body.endswith(b"stays")]
            broker.send(scripted.packet(0x40, body[3:5]))
            assert await owner.wait_for_outcome(-1) is None
            link.drop()  # a goodbye would wait until the peer has read it all
            await link.close()

    async def test_handshakes_are_limited(self, lab: Lab) -> None:
        """With one handshake allowed the second link waits until the first has failed."""
        async with ScriptedBroker(Script(connack=None)) as broker:
            factory = aiomqtt_links(broker.endpoint(), handshakes=1)
            lab.make_links = lambda _: factory
            settings = LinkSettings(client_id="one", connect_timeout_s=0.3)
            first, owner = lab.link(broker.endpoint(), settings)
            second, _ = lab.link(broker.endpoint(), LinkSettings(client_id="two"))
            first.open()
            second.open()
            await broker.wait_for_packets(scripted.CONNECT, 1)
            assert isinstance(await owner.wait_for_down(), Unreachable)
            first.drop()
            bodies = await broker.wait_for_packets(scripted.CONNECT, 2)
            assert [body[-3:] for body in bodies] == [b"one", b"two"]
            assert broker.ends >= 1
            await second.close()

    async def test_garbage_ends_the_connection(self, lab: Lab) -> None:
        """A packet that is no MQTT ends the connection, and the link tries again."""
        async with ScriptedBroker() as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            broker.send(b"\xf0\x00")
            await owner.wait_for_up(2)
            assert owner.calls == ["up", "down", "up"]
            await link.close()
