"""One connection of a swarm link, byte by byte, on a transport of the test's own, on both event loops."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import mqtt5
import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.errors import ConnectionLost, Unreachable
from fleet.transport.client_connection import WAITING_MAX
from fleet.transport.link import LinkSettings
from fleet.transport.swarm_turns import PUBLISHES_PER_TURN
from fleet.wire.frame import Frame
from tests.transport import scripted_broker as scripted
from tests.transport.swarm_rig import CONNACK, QUIET, Rig, settled

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Run everything here on both event loops."""
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


class TestConnection:
    """One connection on a transport of the test's own."""

    @given(cuts=st.lists(st.integers(1, 700), max_size=30))
    @example(cuts=[])
    @example(cuts=list(range(1, 700)))
    async def test_any_cutting_of_the_stream_reads_the_same(self, cuts: list[int]) -> None:
        """Packets may come one byte at a time, many at once, or cut anywhere."""
        rig = Rig(LinkSettings(client_id="quiet", keep_alive_s=0, subscriptions=(("a/+", 1),)))
        rig.up(CONNACK, scripted.packet(0x90, b"\0\1\0\1"))
        for token in range(3):
            rig.link.publish(Frame(topic="a/b", payload=b"x"), token)
        big = mqtt5.PublishPacket("a/b", bytes(500), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9, content_type="t").write()
        stream = (
            scripted.packet(0x40, b"\0\2")
            + scripted.publish_packet("a/b", b"0")
            + scripted.packet(0x40, b"\0\3\x10")
            + big
            + b"\xd0\0"
            + scripted.packet(0x40, b"\0\4\x87\0")
            + scripted.publish_packet("a/b", b"2", 10)
        )
        edges = [0, *sorted({cut for cut in cuts if cut < len(stream)}), len(stream)]
        for start, end in itertools.pairwise(edges):
            rig.connection.data_received(stream[start:end])
        assert rig.owner.payloads == [b"0", bytes(500), b"2"]
        assert [(token, error and error.code) for token, error in rig.owner.outcomes] == [(0, None), (1, None), (2, 0x87)]
        assert rig.owner.calls == ["up", *rig.owner.calls[1:]]
        assert rig.connection._tail is None
        await rig.end()

    @pytest.mark.parametrize(
        ("packet", "words", "code"),
        [
            (b"\xf0\x00", "property length", 0x81),
            (b"\x00\x00", "PacketType", 0x81),
            (b"\x40\xff\xff\xff\xff\xff", "never ends", 0x81),
            (b"\x30\xff\xff\xff\x7f", "more than it was told", 0x95),
            (b"\x40\x01\x00", "no MQTT 5", 0x81),
            (b"\x40\x02\0\0", "PUBACK with a packet identifier of 0", 0x81),
            (b"\x36\x05\0\1a\0\1\0", "QoS", 0x81),
            (b"\x32\x06\0\1a\0\0\0", "PUBLISH with a packet identifier of 0", 0x82),
            (b"\x30\x06\0\0\3\x23\0\1", "topic alias", 0x94),
            (b"\x30\x06\0\3a/+\0", "'a/+'", 0x81),
            (b"\x30\x06\0\3a/#\0", "'a/#'", 0x81),
            (b"\x30\x06\0\3a\0b\0", r"'a\x00b'", 0x81),
            (b"\x30\x08\0\1a\4\x08\0\1#", "response topic '#'", 0x82),
            (b"\x30\x06\0\1a\2\1\2", "payload format indicator", 0x82),
            (b"\x30\x06\0\1a\1\1\0", "runs past the end", 0x81),
            (b"\x30\x08\0\1a\4\1\0\1\0", "Duplicate", 0x82),
            (b"\x30\x06\0\1a\2\x17\0", "Invalid property type", 0x82),
            (b"\x30\x06\0\1a\2\x0b\0", "Subscription ID", 0x82),
            (CONNACK, "CONNACK out of place", 0x82),
            (b"\x90\x04\0\7\0\0", "SUBACK", 0x82),
            (b"\x30\4\0\1\xff\0", "UTF-8", 0x81),
            (b"\x30\x0d\0\1a\x09\x0b\1\x26\0\1a\0\1\xff", "UTF-8", 0x81),
            (b"\xe0\6\x8b\4\x1f\0\1\xff", "UTF-8", 0x81),
            (b"\x40\x08\0\1\x87\4\x1f\0\1\xff", "UTF-8", 0x81),
            (b"\x82\x07\0\1\0\0\1\xff\0", "SUBSCRIBE out of place", 0x82),
            (b"\xa2\x06\0\1\0\0\1\xff", "UNSUBSCRIBE out of place", 0x82),
            (b"\x10\x0e\0\4MQTT\5\2\0\0\0\0\1\xff", "CONNECT out of place", 0x82),
        ],
    )
    async def test_malformed_packets_end_it_in_words(
        self, packet: bytes, words: str, code: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Link_down tells what is wrong, the broker hears its reason code, nothing is logged, and the link tries again."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        rig.connection.data_received(packet)
        [error] = rig.owner.downs
        assert isinstance(error, ConnectionLost)
        assert words in str(error)
        assert rig.transport.sent() == bytes((0xE0, 1, code))
        assert rig.transport.closed
        assert not caplog.records
        assert not capfd.readouterr().err
        await rig.end()

    async def test_a_session_after_a_clean_start_is_no_answer(self) -> None:
        """The broker must have thrown the session away."""
        rig = Rig(replace(QUIET, clean_start=True))
        rig.connection.data_received(scripted.packet(0x20, b"\1\0\0"))
        [error] = rig.owner.downs
        assert "a clean start was asked for" in str(error)
        assert rig.transport.aborted
        await rig.end()

    async def test_a_broker_that_takes_nothing_is_left_without_a_word(self) -> None:
        """A DISCONNECT would hold the socket open until the broker reads again."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        rig.transport.held = 1
        rig.connection.data_received(b"\x00\x00")
        assert rig.transport.sent() == b""
        assert rig.transport.aborted
        await rig.end()

    async def test_anything_before_the_connack_is_not_a_broker(self) -> None:
        """A peer that begins otherwise is told apart from a broken connection."""
        rig = Rig(QUIET)
        rig.connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
        [error] = rig.owner.downs
        assert isinstance(error, Unreachable)
        assert "web server" in error.cause
        await rig.end()

    async def test_a_packet_id_of_qos_2_that_another_client_freed_is_not_taken_for_a_repeat(self) -> None:
        """Only what is marked as a duplicate can be the message that the owner has: the session may have had another holder."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        publish = mqtt5.PublishPacket("a", b"once", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=7).write()
        rig.connection.data_received(publish)
        rig.reconnect(scripted.packet(0x20, b"\1\0\0"))
        rig.connection.data_received(publish)
        await settled()
        assert [delivery.frame.payload for delivery in rig.owner.deliveries] == [b"once", b"once"]
        await rig.end()

    async def test_qos_2_is_answered_rightly(self) -> None:
        """PUBREC when the owner acknowledges, PUBCOMP for PUBREL; a repeat after a reconnect is not delivered again."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        publish = mqtt5.PublishPacket("a", b"once", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=7).write()
        rig.connection.data_received(publish)
        await settled()
        assert rig.transport.sent() == b"\x50\2\0\7"
        rig.reconnect(scripted.packet(0x20, b"\1\0\0"))  # the PUBREC was lost
        rig.connection.data_received(bytes((publish[0] | 8,)) + publish[1:])
        await settled()
        assert rig.transport.sent() == b"\x50\2\0\7"
        rig.connection.data_received(b"\x62\2\0\7\x62\2\0\7")
        await settled()
        assert rig.transport.sent() == b"\x70\2\0\7\x70\3\0\7\x92"
        assert rig.owner.payloads == [b"once"]
        rig.connection.data_received(publish)  # the id is free: another message
        assert rig.owner.payloads == [b"once", b"once"]
        await rig.end()

    async def test_waiting_is_bounded_and_refused_beyond(self) -> None:
        """With one under way the rest waits in order; beyond the bound a publish is refused, and told so later."""
        rig = Rig(QUIET)
        rig.up(scripted.packet(0x20, b"\0\0\3\x21\0\1"))
        for token in range(WAITING_MAX + 3):
            rig.link.publish(Frame(topic="a", payload=b""), token)
        assert rig.owner.outcomes == []
        await settled()
        assert [(token, error and error.name) for token, error in rig.owner.outcomes] == [
            (WAITING_MAX + 1, "Quota exceeded"),
            (WAITING_MAX + 2, "Quota exceeded"),
        ]
        assert len(rig.transport.packets()) == 1
        rig.connection.data_received(b"\x40\2\0\2")
        await settled()
        assert len(rig.transport.packets()) == 2
        await rig.end()

    async def test_what_cannot_be_sent_is_refused_here(self) -> None:
        """Larger than the broker takes, QoS 2, or not expressible: refused with the code a broker would use."""
        rig = Rig(QUIET)
        rig.up(scripted.packet(0x20, b"\0\0\5\x27\0\0\0\x20"))
        frames = [
            Frame(topic="a", payload=bytes(40)),
            Frame(topic="a", payload=b"", qos=2),
            Frame(topic="a", payload=b"", correlation=bytes(70_000)),
            Frame(topic="a", payload=b"fits"),
        ]
        for token, frame in enumerate(frames):
            rig.link.publish(frame, token)
        await settled()
        assert [(token, error and error.code) for token, error in rig.owner.outcomes] == [(0, 0x95), (1, 0x9B), (2, 0x81)]
        assert [packet[-4:] for packet in rig.transport.packets()] == [b"fits"]
        await rig.end()

    async def test_packet_ids_under_way_are_not_given_again_and_stale_acknowledgements_do_nothing(self) -> None:
        """After the highest id the count goes on from 1, past what is under way."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        rig.link.publish(Frame(topic="a", payload=b""), 0)  # takes id 2
        rig.connection.machine._last_id = 65_533
        for token in (1, 2, 3):
            rig.link.publish(Frame(topic="a", payload=b""), token)
        await settled()
        assert [int.from_bytes(packet[5:7], "big") for packet in rig.transport.packets()] == [2, 65_534, 1, 3]
        rig.connection.data_received(b"\x40\2\x11\x11" * 2 + b"\x40\2\0\1" * 2)
        assert rig.owner.outcomes == [(2, None)]
        await rig.end()

    async def test_a_full_transport_holds_everything_back_in_order(self) -> None:
        """Between pause_writing and resume_writing nothing is published, and afterwards all of it, in order."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        rig.connection.pause_writing()
        for token in range(6):
            rig.link.publish(Frame(topic="a", payload=b"%d" % token, qos=token % 2), token)
        await settled()
        assert (rig.transport.writes, rig.owner.outcomes) == ([], [])
        rig.connection.resume_writing()
        await settled()
        assert [packet[-1:] for packet in rig.transport.packets()] == [b"%d" % token for token in range(6)]
        assert rig.owner.outcomes == [(0, None), (2, None), (4, None)]
        await rig.end()

    async def test_writes_of_a_turn_are_joined(self) -> None:
        """All go out in one write at the end of the turn, so that a broker that sleeps is woken once."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        await settled()
        for token in range(5):
            rig.link.publish(Frame(topic="a", payload=b"%d" % token), token)
        assert rig.transport.writes == []
        await settled()
        assert len(rig.transport.writes) == 1
        assert len(rig.transport.packets()) == 5
        await rig.end()

    async def test_a_turn_of_the_loop_has_room_for_so_many_publishes(self) -> None:
        """Whatever the owner wants to publish, the loop gets to its timers in between."""
        rig = Rig(QUIET)
        rig.up(scripted.packet(0x20, b"\0\0\0"))
        for token in range(PUBLISHES_PER_TURN * 2 + 1):
            rig.link.publish(Frame(topic="a", payload=b""), token)
        counts = [len(rig.transport.packets())]
        for _ in range(4):
            await asyncio.sleep(0)
            counts.append(len(rig.transport.packets()))
        assert max(later - earlier for earlier, later in itertools.pairwise(counts)) <= PUBLISHES_PER_TURN
        await settled()
        assert len(rig.transport.packets()) == PUBLISHES_PER_TURN * 2 + 1
        await rig.end()
