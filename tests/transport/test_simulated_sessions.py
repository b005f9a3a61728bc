"""Queues and repetitions of a session of the simulated broker."""

from __future__ import annotations

import pytest

from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_sessions import BrokerLimits
from tests.transport.simulated_rig import Rig

CAR, OTHER = "VSSZZZKMZTP000001", "VSSZZZKMZTP000002"


class TestQueues:
    """The window to a client, and what waits for it."""

    def test_receive_maximum(self) -> None:
        """No more is under way than the client takes; each acknowledgement lets one more through, in order; QoS 0 passes."""
        rig = Rig()
        peer = rig.client(receive_maximum=2)
        peer.subscribe("a")
        sender = rig.client("sender")
        for number in range(4):
            sender.publish("a", b"%d" % number)
        sender.publish("a", b"zero", qos=0)
        assert peer.payloads == [b"0", b"1", b"zero"]
        peer.acknowledge(peer.deliveries[1][1])
        assert peer.payloads[3:] == [b"2"]
        peer.acknowledge(99, peer.deliveries[1][1])
        assert peer.payloads[4:] == []
        peer.acknowledge_all()
        assert peer.payloads[4:] == [b"3"]
        assert len({packet_id for _, packet_id in peer.deliveries if packet_id}) == 4

    def test_repeated_after_resuming(self) -> None:
        """Messages without acknowledgement come again first, under their packet ids and marked; then those that waited."""
        rig = Rig()
        peer = rig.client(receive_maximum=3)
        peer.subscribe("a")
        sender = rig.client("sender")
        for number in range(5):
            sender.publish("a", b"%d" % number)
        peer.acknowledge(peer.deliveries[0][1])
        peer.lose()
        sender.publish("a", b"5")
        sender.publish("a", b"missed", qos=0)
        again = rig.client(receive_maximum=10)
        assert again.payloads == [b"1", b"2", b"3", b"4", b"5"]
        assert [frame.duplicate for frame, _ in again.deliveries] == [True] * 3 + [False] * 2
        assert [packet_id for _, packet_id in again.deliveries[:3]] == [packet_id for _, packet_id in peer.deliveries[1:]]
        assert len({packet_id for _, packet_id in again.deliveries}) == 5
        again.acknowledge_all()
        again.lose()
        assert rig.client().deliveries == []
        assert rig.broker.counts.missed == 1

    def test_resuming_with_a_smaller_window(self) -> None:
        """A client that takes fewer at once than before gets all of it, in order, as it acknowledges."""
        rig = Rig()
        peer = rig.client(receive_maximum=4)
        peer.subscribe("a")
        sender = rig.client("sender")
        for number in range(6):
            sender.publish("a", b"%d" % number)
        peer.lose()
        again = rig.client(receive_maximum=1)
        for number in range(6):
            assert again.payloads == [b"%d" % earlier for earlier in range(number + 1)]
            again.acknowledge(again.deliveries[-1][1])
        assert [packet_id for _, packet_id in again.deliveries[:4]] == [packet_id for _, packet_id in peer.deliveries]
        assert [frame.duplicate for frame, _ in again.deliveries] == [True] * 4 + [False] * 2

    @pytest.mark.parametrize(("online", "kept"), [(False, 3), (True, 5)])
    def test_full_queue(self, online: bool, kept: int) -> None:
        """Beyond the limit what comes is dropped and counted, though its sender hears that it was taken; so in Mosquitto."""
        rig = Rig(SimulatedBroker(limits=BrokerLimits(max_queued_messages=3)))
        peer = rig.client(receive_maximum=2)
        peer.subscribe("a")
        if not online:
            peer.lose()
        sender = rig.client("sender")
        assert [sender.publish("a", b"%d" % number) for number in range(10)] == [0] * 10
        session = rig.broker.session("one")
        assert session is not None
        assert session.waiting == 3
        assert rig.broker.counts.dropped == 10 - kept
        if not online:
            peer = rig.client()
        for _ in range(10):
            peer.acknowledge_all()
        assert peer.payloads == [b"%d" % number for number in range(kept)]

    def test_packet_ids_in_use_are_not_given_again(self) -> None:
        """When the packet ids come round again, one that is still under way is left out."""
        rig = Rig()
        peer = rig.client(receive_maximum=2)
        peer.subscribe("a")
        sender = rig.client("sender")
        sender.publish("a", b"stays")
        for _ in range(65_534):
            sender.publish("a", b"goes")
            peer.acknowledge(peer.deliveries.pop()[1])
        sender.publish("a", b"last")
        assert [packet_id for _, packet_id in peer.deliveries] == [1, 2]

    @pytest.mark.parametrize(("waited_s", "left"), [(0.9, 5), (1, 4), (4.9, 1), (5, None)])
    def test_expiry(self, waited_s: float, left: int | None) -> None:
        """A message that waited has its expiry reduced; one whose time is over is dropped and counted."""
        rig = Rig()
        peer = rig.client(receive_maximum=1)
        peer.subscribe("a")
        sender = rig.client("sender")
        for payload in (b"under way", b"waits"):
            sender.publish("a", payload, expiry_s=5)
        peer.lose()
        rig.wait(waited_s)
        again = rig.client(receive_maximum=9)
        assert [(frame.payload, frame.expiry_s) for frame, _ in again.deliveries] == (
            [(b"under way", left), (b"waits", left)] if left else []
        )
        assert rig.broker.counts.expired == (0 if left else 2)
