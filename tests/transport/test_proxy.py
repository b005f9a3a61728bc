"""The proxy on real sockets, on both event loops: bytes, half-closes and resets pass, faults strike, nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import uvloop

from fleet.errors import UnknownName, UsageError
from fleet.runtime.shard import wait_until
from fleet.transport.faults import DropPackets, Duplicate, HalfOpen, Latency, Refuse, ResetConnections, Slicing, Stall, Truncate
from fleet.transport.link import Endpoint, LinkSettings
from fleet.transport.proxy import HELD_MAX, FaultProxy
from fleet.transport.swarm_codec import connect_packet, publish_packet
from fleet.wire.frame import Frame

# What replaces this fixture is a hook that pytest-asyncio has only from 1.4 on.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")

PUBACKS = [b"\x40\x02" + number.to_bytes(2, "big") for number in range(10)]
LARGE = bytes(range(256)) * (1 << 15)
"""8 MiB: more than all buffers on the way."""


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


@dataclass
class Rig:
    """A proxy, and a target whose connections the test holds."""

    proxy: FaultProxy
    taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, client_id: str = "one", *, says: bytes | None = None) -> Ends:
        """Return both ends of a connection through the proxy, after the client's first words."""
        near = await asyncio.open_connection(self.proxy.endpoint.host, self.proxy.endpoint.port)
        self.writers.append(near[1])
        connect = connect_packet(LinkSettings(client_id=client_id)) if says is None else says
        near[1].write(connect)
        far = await asyncio.wait_for(self.taken.get(), 5)
        self.writers.append(far[1])
        assert await asyncio.wait_for(far[0].readexactly(len(connect)), 5) == connect
        return Ends(*near, *far)

    async def gone(self) -> None:
        """Return when the proxy has no connection any more."""
        assert await wait_until(lambda: not self.proxy.pairs, 5)


@dataclass
class Ends:
    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    broker: asyncio.StreamReader
    to_broker: asyncio.StreamWriter

    def say(self, *data: bytes) -> None:
        """The client says this."""
        self.to_client.write(b"".join(data))

    def answer(self, *data: bytes) -> None:
        """The broker says this."""
        self.to_broker.write(b"".join(data))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    target = await asyncio.start_server(lambda *ends: taken.put_nowait(ends), "127.0.0.1", 0)
    async with FaultProxy(Endpoint(*target.sockets[0].getsockname()), seed=7) as proxy:
        made = Rig(proxy, taken)
        yield made
    for writer in made.writers:
        writer.transport.abort()
    target.close()
    await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def heard(reader: asyncio.StreamReader, count: int) -> bytes:
    return await asyncio.wait_for(reader.readexactly(count), 5)


async def ends(reader: asyncio.StreamReader) -> bytes:
    """Return what still came before the end."""
    return await asyncio.wait_for(reader.read(), 5)


class TestTransparent:
    async def test_bytes_pass_both_ways_whatever_their_number(self, rig: Rig) -> None:
        """Megabytes, MQTT or not, at a reader that takes its time."""
        for says in (None, b"\x16\x03\x01"):
            wire = await rig.connect(says=says)
            wire.say(LARGE)
            wire.answer(LARGE[:-1])
            await asyncio.sleep(0.02)
            assert await heard(wire.broker, len(LARGE)) == LARGE
            assert await heard(wire.client, len(LARGE) - 1) == LARGE[:-1]

    async def test_nothing_is_kept_back_to_be_joined(self, rig: Rig) -> None:
        """Both connections send at once, whoever has made the listener: else a packet waits 40 ms for an acknowledgement."""
        taken = socket.create_server(("127.0.0.1", 0))
        async with FaultProxy(rig.proxy.target, listener=taken) as proxy:
            _, writer = await asyncio.open_connection(*taken.getsockname())
            assert await wait_until(lambda: any(pair.broker._transport is not None for pair in proxy.pairs), 5)
            (pair,) = proxy.pairs
            for side in (pair.client, pair.broker):
                assert side._transport is not None
                sock = side._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()

    async def test_a_reader_that_does_not_read_holds_up_its_writer(self, rig: Rig) -> None:
        """Bytes held on the way are bounded, with and without a fault."""
        for fault in (None, Latency(1)):
            if fault is not None:
                rig.proxy.set("slow", fault)
            wire = await rig.connect()
            wire.broker._transport.pause_reading()  # type: ignore[attr-defined]
            sent = 64 << 20
            wire.say(bytes(sent))
            left = wire.to_client.transport.get_write_buffer_size
            seen = [-1, left()]
            while seen[-1] != seen[-2]:
                await asyncio.sleep(0.1)
                seen.append(left())
            assert left() > sent // 2, "most of it waits where it was written"
            assert all(pair.client.stream.held_bytes <= HELD_MAX + (1 << 18) for pair in rig.proxy.pairs)
            reset(wire.to_client)

    async def test_a_half_close_passes(self, rig: Rig) -> None:
        """The other direction goes on, and ends by itself."""
        wire = await rig.connect()
        wire.say(PUBACKS[0])
        wire.to_client.write_eof()
        assert await ends(wire.broker) == PUBACKS[0]
        wire.answer(LARGE)
        wire.to_broker.write_eof()
        assert await ends(wire.client) == LARGE
        await rig.gone()

    async def test_a_reset_passes(self, rig: Rig) -> None:
        """Either way, as a reset and not as an end."""
        for near in (True, False):
            wire = await rig.connect()
            reset(wire.to_client if near else wire.to_broker)
            with pytest.raises(ConnectionResetError):
                await ends(wire.broker if near else wire.client)
        await rig.gone()

    async def test_a_connection_nobody_answers_is_reset(self) -> None:
        """The target is not there."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            nobody = Endpoint(*unused.getsockname())
        async with FaultProxy(nobody) as proxy:
            reader, writer = await asyncio.open_connection(proxy.endpoint.host, proxy.endpoint.port)
            with pytest.raises(ConnectionResetError):
                await ends(reader)
            writer.transport.abort()
            assert (proxy.connections, proxy.failed, proxy.pairs) == (1, 1, set())

    async def test_an_address_in_use_is_told(self, rig: Rig) -> None:
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1"):
            async with FaultProxy(rig.proxy.target, port=rig.proxy.endpoint.port):
                pass

    async def test_nothing_is_left(self, rig: Rig) -> None:
        """When it is over no task and no connection."""
        before = asyncio.all_tasks()
        async with FaultProxy(rig.proxy.target) as proxy:
            rig.proxy, own = proxy, rig.proxy
            wire = await rig.connect()
            rig.proxy = own
        with contextlib.suppress(ConnectionResetError):
            await ends(wire.broker)
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() <= before
        assert proxy.pairs == set()


class TestFaults:
    async def test_latency_while_it_lasts(self, rig: Rig) -> None:
        """There and back takes twice as long; afterwards it does not."""
        wire = await rig.connect()
        rig.proxy.set("slow", Latency(60))
        assert round(await self.round_trip(wire), 3) >= 0.12  # uvloop counts milliseconds
        rig.proxy.clear("slow")
        await self.round_trip(wire)
        assert rig.proxy.counts() == {"slow": {"delayed": 2}}, "the way back and forth afterwards is not delayed"
        with pytest.raises(UnknownName):
            rig.proxy.clear("slow")

    async def round_trip(self, wire: Ends) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        wire.say(PUBACKS[0])
        wire.answer(await heard(wire.broker, 4))
        await heard(wire.client, 4)
        return loop.time() - began

    async def test_pieces_arrive_as_pieces(self, rig: Rig) -> None:
        """A reader that is ready gets each piece by itself."""
        wire = await rig.connect()
        rig.proxy.set("pieces", Slicing(3))
        wire.say(b"123456789")
        sizes: list[int] = []
        while sum(sizes) < 9:
            sizes.append(len(await asyncio.wait_for(wire.broker.read(100), 5)))
        assert max(sizes) <= 6
        assert len(sizes) >= 2
        assert rig.proxy.counts() == {"pieces": {"pieces": 3}}

    async def test_reset(self, rig: Rig) -> None:
        """The connections there are, of one client or of all; a later one works."""
        one, two = await rig.connect("one"), await rig.connect("two")
        rig.proxy.strike(ResetConnections(), ["one"])
        for reader in (one.client, one.broker):
            with pytest.raises(ConnectionResetError):
                await ends(reader)
        two.say(PUBACKS[0])
        assert await heard(two.broker, 4) == PUBACKS[0]
        rig.proxy.strike(ResetConnections())
        with pytest.raises(ConnectionResetError):
            await ends(two.client)
        assert await self.round_trip(await rig.connect("one")) < 1
        assert rig.proxy.counts() == {"reset once": {"connections": 2}}

    async def test_half_open(self, rig: Rig) -> None:
        """Bytes vanish; one side's end is not told to the other, and its own connection is given up."""
        wire = await rig.connect()
        rig.proxy.strike(HalfOpen())
        wire.say(PUBACKS[0])
        wire.answer(PUBACKS[1])
        wire.to_client.close()
        later = await rig.connect()
        later.say(PUBACKS[2])
        assert await heard(later.broker, 4) == PUBACKS[2]
        for reader in (wire.broker, wire.client):
            assert not reader._buffer  # type: ignore[attr-defined]
        assert not wire.broker.at_eof()
        assert rig.proxy.counts() == {"half_open once": {"connections": 1, "bytes": 8}}
        assert len(rig.proxy.pairs) == 2

    async def test_stall(self, rig: Rig) -> None:
        """Nothing comes, however much is said, and then all of it."""
        wire = await rig.connect()
        rig.proxy.set("stall", Stall("to_broker"))
        wire.say(LARGE)
        wire.answer(PUBACKS[0])
        assert await heard(wire.client, 4) == PUBACKS[0]
        assert not wire.broker._buffer  # type: ignore[attr-defined]
        rig.proxy.clear("stall")
        assert await heard(wire.broker, len(LARGE)) == LARGE

    async def test_refuse(self, rig: Rig) -> None:
        """New connections are reset: all, or those of a client once it has said who it is; the others go on."""
        old = await rig.connect("one")
        rig.proxy.set("refuse", Refuse(), ["one"])
        assert await self.round_trip(await rig.connect("two")) < 1
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await rig.connect("one")
        assert await self.round_trip(old) < 1
        rig.proxy.set("refuse", Refuse())
        reader, writer = await asyncio.open_connection(rig.proxy.endpoint.host, rig.proxy.endpoint.port)
        with pytest.raises(ConnectionResetError):
            await ends(reader)
        writer.transport.abort()
        rig.proxy.clear("refuse")
        assert rig.proxy.counts() == {"refuse": {"connections": 2}}

    async def test_truncate(self, rig: Rig) -> None:
        """So many bytes and the end, to both sides; what is said afterwards goes nowhere."""
        wire = await rig.connect()
        rig.proxy.set("cut", Truncate(6, "to_client"))
        wire.answer(*PUBACKS)
        assert await ends(wire.client) == PUBACKS[0] + PUBACKS[1][:2]
        wire.to_client.close()
        with contextlib.suppress(ConnectionResetError):
            assert await ends(wire.broker) == b""
        await rig.gone()

    async def test_packets(self, rig: Rig) -> None:
        """Rules that are set while a connection is under way find its packets, those of one client."""
        one, two = await rig.connect("one"), await rig.connect("two")
        publish = publish_packet(Frame(topic="a/b", payload=bytes(3000)), 1)
        one.say(publish[:1000])
        await heard(one.broker, 1000)
        rig.proxy.set("twice", Duplicate("PUBLISH"), ["one"])
        rig.proxy.set("lost", DropPackets("PUBACK", first=1), ["one"])
        for wire in (one, two):
            wire.say(publish[1000:] if wire is one else publish, PUBACKS[1], PUBACKS[2], publish, b"\xc0\x00")
        assert await heard(two.broker, 2 * len(publish) + 10) == publish + PUBACKS[1] + PUBACKS[2] + publish + b"\xc0\x00"
        again = bytes((publish[0] | 8,)) + publish[1:]
        whole = publish[1000:] + PUBACKS[2] + publish + again + b"\xc0\x00"
        assert await heard(one.broker, len(whole)) == whole
        assert rig.proxy.counts() == {"twice": {"packets": 1}, "lost": {"packets": 1}}
