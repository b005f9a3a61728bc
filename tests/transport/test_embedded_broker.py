"""The embedded broker's time: connections that are silent end, at the instant at which it wants to be woken."""

from __future__ import annotations

import mqtt5

from fleet.transport.simulated_sessions import BrokerLimits
from tests.transport.embedded_rig import EmbeddedRig


def test_a_publish_moves_no_deadline() -> None:
    """Who drives it need not look at its clock for each message."""
    rig = EmbeddedRig()
    client = rig.client(keep_alive=10)
    before = rig.machine.deadline()
    rig.now += 1_000_000
    assert not rig.machine.feed(client.connection, b"\x30\x05\x00\x01a\x00x", rig.now)
    assert rig.machine.deadline() == before


class TestKeepAlive:
    """Silence."""

    def test_one_and_a_half_keep_alives(self) -> None:
        rig = EmbeddedRig()
        client = rig.client(keep_alive=10)
        rig.wait(14)
        client.send(b"\xc0\x00")
        rig.wait(14)
        assert rig.machine.counts.timed_out == 0
        del client.wire.written[:]
        rig.wait(1.1)
        assert client.is_closed
        assert bytes(client.wire.written) == b"\xe0\x01\x8d"

    def test_none_at_all(self) -> None:
        rig = EmbeddedRig()
        client = rig.client(keep_alive=0)
        rig.wait(100_000)
        assert not client.is_closed

    def test_the_broker_sets_it(self) -> None:
        rig = EmbeddedRig(limits=BrokerLimits(keep_alive_max_s=60))
        client = rig.open()
        [connack] = client.ask(mqtt5.ConnectPacket("one", keep_alive=0).write())
        assert isinstance(connack, mqtt5.ConnAckPacket)
        assert connack.server_keep_alive == 60
        rig.wait(91)
        assert client.is_closed
