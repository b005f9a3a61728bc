"""The embedded broker on real sockets: who does not read holds up nobody, and its end is as a broker's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import mqtt5
import pytest

from fleet.errors import BrokerError
from fleet.runtime.shard import wait_until
from fleet.transport.embedded_broker import EMBEDDED_LIMITS, EmbeddedBroker
from fleet.transport.embedded_connection import Listener
from fleet.transport.embedded_server import EmbeddedServer, Port
from fleet.transport.simulated_broker import SimulatedBroker

pytestmark = pytest.mark.live


def made(port: int = 0) -> EmbeddedServer:
    return EmbeddedServer(EmbeddedBroker(SimulatedBroker(limits=EMBEDDED_LIMITS)), [Port("127.0.0.1", port, Listener())])


@asynccontextmanager
async def serving() -> AsyncIterator[EmbeddedServer]:
    server = made()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def connected(
    server: EmbeddedServer, client_id: str, *filters: str, **options: object
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection with its CONNACK, and SUBACK where filters are given, read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports[0], limit=1 << 10)
    writer.write(mqtt5.ConnectPacket(client_id, **options).write())  # type: ignore[arg-type]
    assert (await packet_of(reader))[0] == 0x20
    if filters:
        writer.write(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(each) for each in filters]).write())
        assert (await packet_of(reader))[0] == 0x90
    return reader, writer


async def packet_of(reader: asyncio.StreamReader) -> bytes:
    """Read one packet."""
    async with asyncio.timeout(5):
        head = await reader.readexactly(2)
        length, shift, data = head[1] & 0x7F, 7, head
        while data[-1] > 0x7F:
            data += await reader.readexactly(1)
            length |= (data[-1] & 0x7F) << shift
            shift += 7
        return data + await reader.readexactly(length)


async def test_who_does_not_read_holds_up_nobody() -> None:
    """Megabytes for a client that does not read stay out of this process's buffers; others get theirs, and it is counted."""
    async with serving() as server:
        deaf, deaf_writer = await connected(server, "deaf", "a")
        good, good_writer = await connected(server, "good", "b")
        _, sender = await connected(server, "sender")
        big = mqtt5.PublishPacket("a", bytes(100_000)).write()
        for _ in range(200):
            sender.write(big)
            await sender.drain()
        sender.write(mqtt5.PublishPacket("b", b"served").write())
        assert (await packet_of(good)).endswith(b"served")
        assert server.machine.counts.held_up >= 1
        assert server.machine.broker.counts.withheld > 50
        assert await packet_of(deaf)
        for writer in (deaf_writer, good_writer, sender):
            writer.close()


async def test_a_stop_tells_clients_and_a_start_finds_their_sessions() -> None:
    server = made()
    await server.start()
    reader, writer = await connected(server, "one", "a", session_expiry_interval=100)
    port = server.ports[0]
    await server.stop()
    assert await packet_of(reader) == b"\xe0\x01\x8b"
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    await server.start()
    assert server.ports == [port]
    again, again_writer = await asyncio.open_connection("127.0.0.1", port)
    again_writer.write(mqtt5.ConnectPacket("one", session_expiry_interval=100).write())
    assert (await packet_of(again))[2] == 1
    again_writer.close()
    await server.stop()


async def test_a_kill_loses_what_came_since() -> None:
    server = made()
    await server.start()
    reader, writer = await connected(server, "one", "a", session_expiry_interval=100)
    server.kill()
    assert await reader.read() == b"", "the end, without a DISCONNECT"
    writer.close()
    await server.start()
    again, again_writer = await asyncio.open_connection("127.0.0.1", server.ports[0])
    again_writer.write(mqtt5.ConnectPacket("one").write())
    assert (await packet_of(again))[2] == 0
    again_writer.close()
    await server.stop()


async def test_paused_it_answers_later() -> None:
    async with serving() as server:
        reader, writer = await connected(server, "one")
        server.pause()
        writer.write(b"\xc0\x00")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        server.resume()
        assert await packet_of(reader) == b"\xd0\x00"
        writer.close()


async def test_a_socket_that_is_reset_leaves_nothing() -> None:
    async with serving() as server:
        _, writer = await connected(server, "one")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.close()
        assert await wait_until(lambda: server.machine.broker.connected == 0, 5)
        assert server.machine.deadline() is None


async def test_a_port_that_is_taken() -> None:
    async with serving() as server:
        with pytest.raises(BrokerError, match=r"cannot listen on 127\.0\.0\.1"):
            await made(server.ports[0]).start()
