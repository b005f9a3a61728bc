"""The swarm link: the conformance suite on both event loops, and what is particular to it."""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import mqtt5
import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from fleet.errors import ConnectionLost, Unreachable
from fleet.transport.client_connection import WAITING_MAX
from fleet.transport.dial import explain
from fleet.transport.link import Endpoint, Link, LinkFactory, LinkSettings
from fleet.transport.reasons import REFUSAL, name_of
from fleet.transport.remarks import Remarks
from fleet.transport.swarm_connection import SwarmConnection
from fleet.transport.swarm_link import Swarm, SwarmLink, swarm_links
from fleet.transport.swarm_turns import PUBLISHES_PER_TURN
from fleet.transport.swarm_wheel import KeepAliveWheel
from fleet.wire.frame import Frame
from tests.lab import Lab, MakeLinks, quick_back_off
from tests.recording_owner import RecordingOwner
from tests.transport import scripted_broker as scripted
from tests.transport.link_conformance import LinkConformance, lab, own_lab, self_signed
from tests.transport.scripted_broker import Script, ScriptedBroker

__all__ = ["lab", "own_lab", "self_signed"]
# What replaces this fixture is a hook that pytest-asyncio has only from 1.4 on.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Run everything here on both event loops."""
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


@pytest.fixture
def make_links() -> MakeLinks:
    """The implementation under test."""
    return swarm_links


class TestSwarmLink(LinkConformance):
    """The swarm link keeps every promise of a link."""


class TestTogether:
    """Links of one factory."""

    async def test_two_thousand_up_and_down_leave_nothing(self, lab: Lab) -> None:
        """An idle link has no task; after all have gone no task, file, timer or connection object is left."""
        await lab.user_up("tool", "first")  # uvloop opens a file of its own with its first connection
        await lab.close()
        await settled()
        gc.collect()  # what earlier tests have left
        before = (asyncio.all_tasks(), open_files())
        factory = swarm_links(lab.broker.mosquitto.tools)
        password = lab.broker.secret.password_for("tool")
        owners = []
        for number in range(2000):
            settings = LinkSettings(
                client_id=f"many-{number}", username="tool", password=password, session_expiry_s=0, clean_start=True
            )
            owners.append(owner := RecordingOwner())
            owner.link = factory(settings, owner, quick_back_off())
            owner.link.open()
        for owner in owners:
            await owner.wait_for("link_up", lambda owner=owner: bool(owner.ups), 30)  # type: ignore[misc]
        await settled()
        assert asyncio.all_tasks() == before[0]
        half = [owner.link for owner in owners[:1000] if owner.link is not None]
        rest = [owner.link for owner in owners[1000:] if owner.link is not None]
        await asyncio.gather(*(link.close(end_session=True) for link in half))
        for link in rest:
            link.drop()
        await settled()
        assert all(owner.calls == ["up", "down"] for owner in owners)
        del owner, owners, half, rest, link
        gc.collect()
        assert (asyncio.all_tasks(), open_files()) == before
        assert not [thing for thing in gc.get_objects() if isinstance(thing, SwarmConnection)]
        shared = factory.__closure__[0].cell_contents  # type: ignore[attr-defined]
        assert (shared.wheel._slots, shared.wheel._handle, shared.connects._handle) == ({}, None, None)

    async def test_handshakes_are_limited(self) -> None:
        """With one handshake allowed the second link waits until the first has failed."""
        async with ScriptedBroker(Script(connack=None)) as broker:
            factory = swarm_links(broker.endpoint(), handshakes=1)
            one = opened(factory, LinkSettings(client_id="one", connect_timeout_s=0.3))
            two = opened(factory, LinkSettings(client_id="two"))
            await broker.wait_for_packets(scripted.CONNECT, 1)
            assert isinstance(await one.wait_for_down(), Unreachable)
            one.link.drop()
            bodies = await broker.wait_for_packets(scripted.CONNECT, 2)
            assert [body[-3:] for body in bodies] == [b"one", b"two"]
            two.link.drop()
            await two.wait_for_down()

    async def test_connects_are_paced(self) -> None:
        """At 50 connects a second eleven links take at least a fifth of a second, less what a late timer makes up for."""
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint(), connects_per_s=50)
            loop = asyncio.get_running_loop()
            began = loop.time()
            owners = [opened(factory, LinkSettings(client_id=f"{number}")) for number in range(11)]
            for owner in owners:
                await owner.wait_for_up()
            assert 0.14 < loop.time() - began < 2
            for owner in owners:
                await owner.link.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 without configuration")
    async def test_source_addresses_take_turns(self) -> None:
        """Each connect comes from the next address, unless the settings of the link name one."""
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint(), source_addresses=("127.0.1.1", "127.0.1.2"), handshakes=1)
            owners = [opened(factory, LinkSettings(client_id=f"{number}")) for number in range(4)]
            owners.append(opened(factory, LinkSettings(client_id="own", source_address="127.0.1.9")))
            for owner in owners:
                await owner.wait_for_up()
            peers = [writer.get_extra_info("peername")[0] for writer in broker._writers]
            assert peers == ["127.0.1.1", "127.0.1.2", "127.0.1.1", "127.0.1.2", "127.0.1.9"]
            for owner in owners:
                await owner.link.close()

    async def test_an_owner_that_raises_harms_only_its_own_link(self) -> None:
        """Its link goes down and tries again; the defect is shown; a second link goes on as if nothing were."""
        shown: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context["exception"]))
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint())
            bad, good = (opened(factory, LinkSettings(client_id=name)) for name in ("bad", "good"))
            await bad.wait_for_up()
            await good.wait_for_up()
            bad.react = raise_on("acknowledged")
            for qos in (0, 1):
                bad.link.publish(Frame(topic="a", payload=b"", qos=qos), qos)
                good.link.publish(Frame(topic="a", payload=b"", qos=qos), qos)
                assert "broke" in str(await bad.wait_for_down(qos + 1))
                await bad.wait_for_up(qos + 2)
            assert await good.wait_for_outcome(0) is await good.wait_for_outcome(1) is None
            bad.react = raise_on("down")
            bad.link.drop()
            await bad.wait_for_down(3)
            assert [str(error) for error in shown] == ["acknowledged", "acknowledged", "down"]
            assert good.calls == ["up", "acknowledged", "acknowledged"]
            await good.link.close()

    async def test_a_broker_may_answer_before_the_dialling_has_returned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The attempt is over then, and is not cut off: that would close the socket of a connection that is up."""
        returned: list[bool] = []

        async def dial(endpoint: Endpoint, source: str, protocol: asyncio.Protocol, user: str | None) -> None:
            protocol.connection_made(FakeTransport())
            protocol.data_received(CONNACK)
            await asyncio.sleep(0)
            returned.append(True)

        monkeypatch.setattr("fleet.transport.swarm_link.dial_protocol", dial)
        owner = opened(swarm_links(Endpoint("127.0.0.1", 1)), QUIET)
        await owner.wait_for_up()
        await settled()
        assert returned == [True]
        assert owner.calls == ["up"]
        owner.link.drop()
        await settled()

    async def test_file_limit_is_told_with_its_remedy(self) -> None:
        """When no file can be opened, the error names the limit and what to do."""
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint())
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            in_use = max(int(name) for name in open_files()) + 1
            fillers = [os.dup(0) for _ in range(in_use - len(open_files()))]
            resource.setrlimit(resource.RLIMIT_NOFILE, (in_use, hard))
            try:
                owner = opened(factory, LinkSettings(client_id="one"))
                error = await owner.wait_for_down()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for number in fillers:
                    os.close(number)
            assert isinstance(error, Unreachable)
            assert f"more than {in_use} files" in error.cause
            assert "ulimit -n" in error.hint
            await owner.link.close()

    async def test_foreign_source_address_is_told(self) -> None:
        """An address this machine does not have is named."""
        factory = swarm_links(Endpoint("127.0.0.1", 1), source_addresses=("192.0.2.1",))
        owner = opened(factory, LinkSettings(client_id="one"))
        error = await owner.wait_for_down()
        assert isinstance(error, Unreachable)
        assert error.cause == "this machine has no address 192.0.2.1"
        owner.link.drop()

    def test_no_port_left_is_told_with_its_remedy(self) -> None:
        """An address that cannot be assigned, as the kernel says, is a lack of ports."""
        cause, hint = explain(OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"))
        assert "no local port" in cause
        assert "--source" in hint


class SilentBroker(ScriptedBroker):
    """Answers no ping; may set the keep-alive itself."""

    __slots__ = ("server_keep_alive_s",)
    server_keep_alive_s: int | None

    def _answer(self, kind: int, body: bytes) -> bytes:
        if kind == scripted.CONNECT and self.server_keep_alive_s is not None:
            return scripted.packet(0x20, b"\0\0\3\x13" + self.server_keep_alive_s.to_bytes(2, "big"))
        return b"" if kind == scripted.PINGREQ else super()._answer(kind, body)


class TestKeepAlive:
    """The shared wheel."""

    @pytest.mark.parametrize("set_by", ["client", "server"])
    async def test_silence_is_noticed_within_one_and_a_half_keep_alives(self, set_by: str) -> None:
        """Whichever side set the keep-alive; a link beside it that hears something stays up."""
        broker = SilentBroker()
        broker.server_keep_alive_s = 1 if set_by == "server" else None
        async with broker, ScriptedBroker() as lively:
            keep_alive_s = 1 if set_by == "client" else 60
            owner = opened(swarm_links(broker.endpoint()), LinkSettings(client_id="one", keep_alive_s=keep_alive_s))
            other = opened(swarm_links(lively.endpoint()), LinkSettings(client_id="two", keep_alive_s=1))
            await owner.wait_for_up()
            began = asyncio.get_running_loop().time()
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectionLost)
            assert "silent" in str(error)
            assert 0.6 < asyncio.get_running_loop().time() - began < 1.9  # 1.5, and what a busy machine adds
            await lively.wait_for_packets(scripted.PINGREQ, 2)
            assert other.calls == ["up"]
            owner.link.drop()
            await other.link.close()

    async def test_after_a_stall_nobody_is_judged(self) -> None:
        """Members of slots that are long over are pinged, not given up; one removed meanwhile is not visited."""
        wheel = KeepAliveWheel()
        beats: list[tuple[str, bool]] = []

        class Pulse:
            wheel_slot = wheel_period = 0

            def __init__(self, name: str) -> None:
                self.name = name

            def beat(self, *, late: bool) -> None:
                beats.append((self.name, late))
                for other in pulses:
                    if other is not self:
                        wheel.remove(other)

        pulses = [Pulse("one"), Pulse("two")]
        for pulse in pulses:
            wheel.add(pulse, 60)
            wheel._slots.clear()
        long_ago = wheel._now() - 1000
        wheel._slots[long_ago] = set(pulses)
        for pulse in pulses:
            pulse.wheel_slot = long_ago
        wheel._turn()
        assert len(beats) == 1
        assert beats[0][1]
        for pulse in pulses:
            wheel.remove(pulse)
        assert wheel._handle is None


CONNACK = scripted.packet(0x20, b"\0\0\0")
QUIET = LinkSettings(client_id="quiet", keep_alive_s=0)


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
        ("packet", "words"),
        [
            (b"\xf0\x00", "property length"),
            (b"\x00\x00", "PacketType"),
            (b"\x40\xff\xff\xff\xff\xff", "never ends"),
            (b"\x30\xff\xff\xff\x7f", "more than it was told"),
            (b"\x40\x01\x00", "no MQTT 5"),
            (b"\x36\x05\0\1a\0\1\0", "QoS"),
            (b"\x30\x06\0\0\3\x23\0\1", "topic alias"),
            (CONNACK, "CONNACK out of place"),
            (b"\x90\x04\0\7\0\0", "SUBACK"),
            (b"\x30\4\0\1\xff\0", "UTF-8"),
            (b"\x30\x0d\0\1a\x09\x0b\1\x26\0\1a\0\1\xff", "UTF-8"),
            (b"\xe0\6\x8b\4\x1f\0\1\xff", "UTF-8"),
            (b"\x40\x08\0\1\x87\4\x1f\0\1\xff", "UTF-8"),
            (b"\x82\x06\0\1\0\0\1a\0", "no MQTT 5"),
        ],
    )
    async def test_malformed_packets_end_it_in_words(
        self, packet: bytes, words: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Link_down tells what is wrong, nothing is logged, and the link tries again."""
        rig = Rig(QUIET)
        rig.up(CONNACK)
        rig.connection.data_received(packet)
        [error] = rig.owner.downs
        assert isinstance(error, ConnectionLost)
        assert words in str(error)
        assert rig.transport.aborted
        assert not caplog.records
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


def test_reason_names_are_those_of_the_reference_link() -> None:
    """One refusal has one name, whichever link met it."""
    names = ReasonCode(PacketTypes.CONNACK).names
    assert {code: name_of(code) for code in names if code >= REFUSAL} == {
        code: next(iter(found)) for code, found in names.items() if code >= REFUSAL
    }


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def sent(self) -> bytes:
        """Return what was written since the last call."""
        written, self.writes = self.writes, []
        return b"".join(written)

    def packets(self) -> list[bytes]:
        """Return the packets written so far; all are short."""
        stream, found = b"".join(self.writes), []
        while stream:
            end = 2 + stream[1]
            found.append(stream[:end])
            stream = stream[end:]
        return found


class Rig:
    """A swarm link whose connections are on transports of the test."""

    def __init__(self, settings: LinkSettings) -> None:
        self.owner = RecordingOwner()
        self.link = SwarmLink(Swarm(Endpoint("127.0.0.1", 1), 1, (), None, Remarks()), settings, self.owner, quick_back_off())
        self.owner.link = self.link
        self._connect()

    def _connect(self) -> None:
        self.link.machine.attempt()
        assert self.link._connection is not None
        self.connection = self.link._connection
        self.connection.opening = b"CONNECT"
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        assert self.transport.sent() == b"CONNECT"

    def up(self, *answers: bytes) -> None:
        """Let the peer answer until the link is up."""
        for answer in answers:
            self.connection.data_received(answer)
        assert self.link.is_up
        self.transport.sent()

    def reconnect(self, *answers: bytes) -> None:
        """Lose the connection and make another."""
        self.connection.connection_lost(None)
        self._connect()
        self.up(*answers)

    async def end(self) -> None:
        """Stop the link, which may be trying again by now."""
        self.link.drop()
        await settled()


async def settled() -> None:
    """Return after some turns of the loop, enough for everything that waits for nothing outside."""
    for _ in range(100):
        await asyncio.sleep(0)


def opened(factory: LinkFactory, settings: LinkSettings) -> LinkedOwner:
    """Return the owner of a link that was opened."""
    owner = LinkedOwner()
    owner.link = factory(settings, owner, quick_back_off())
    owner.link.open()
    return owner


class LinkedOwner(RecordingOwner):
    """One that has its link."""

    link: Link


def raise_on(moment: str) -> Callable[[str], None]:
    """Return a reaction that raises at that call, each time."""

    def react(call: str) -> None:
        if call == moment:
            raise RuntimeError(moment)

    return react


def open_files() -> list[str]:
    """Return the numbers of this process's open files."""
    return sorted(path.name for path in Path("/dev/fd").iterdir() if path.exists())
