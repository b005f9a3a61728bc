"""A peer that speaks just enough MQTT 5 to say what no real broker can be made to say: chosen codes, silence, an abrupt end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Final, Self

from fleet.transport.link import Endpoint

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
PINGREQ: Final = 12
DISCONNECT: Final = 14


@dataclass(slots=True)
class Script:
    """What the peer answers; None for a packet is silence."""

    connack: int | None = 0
    session_present: bool = False
    receive_maximum: int | None = None
    suback: tuple[int, ...] | None = (1,)
    before_suback: bytes = b""
    puback: int | None = 0
    hang_up_on_connect: bool = False


@dataclass(slots=True)
class ScriptedBroker:
    """Listens on a free port; `packets` holds (type, body) of all that came in, over all connections."""

    script: Script = field(default_factory=Script)
    tls: ssl.SSLContext | None = None
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    ends: int = 0
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def endpoint(self, tls: ssl.SSLContext | None = None) -> Endpoint:
        assert self._server is not None
        return Endpoint("127.0.0.1", self._server.sockets[0].getsockname()[1], tls)

    def of_type(self, kind: int) -> list[bytes]:
        return [body for found, body in self.packets if found == kind]

    async def wait_for_packets(self, kind: int, count: int, within_s: float = 5.0) -> list[bytes]:
        """Return the bodies of all packets of the kind once there are `count`."""
        async with asyncio.timeout(within_s):
            while len(self.of_type(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of_type(kind)

    async def wait_for_end(self, count: int = 1, within_s: float = 5.0) -> None:
        """Return once `count` connections have ended."""
        async with asyncio.timeout(within_s):
            while self.ends < count:
                self._changed.clear()
                await self._changed.wait()

    def send(self, packet: bytes) -> None:
        """Send on the newest connection."""
        self._writers[-1].write(packet)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while True:
                    kind, body = await _read_packet(reader)
                    self.packets.append((kind, body))
                    self._changed.set()
                    if kind == CONNECT and self.script.hang_up_on_connect:
                        break
                    writer.write(self._answer(kind, body))
        finally:
            self.ends += 1
            self._changed.set()
            writer.close()

    def _answer(self, kind: int, body: bytes) -> bytes:
        script = self.script
        if kind == CONNECT and script.connack is not None:
            properties = b"" if script.receive_maximum is None else b"\x21" + script.receive_maximum.to_bytes(2, "big")
            return packet(0x20, bytes((script.session_present, script.connack, len(properties))) + properties)
        if kind == SUBSCRIBE and script.suback is not None:
            return script.before_suback + packet(0x90, body[:2] + b"\0" + bytes(script.suback))
        if kind == PUBLISH and script.puback is not None:
            after_topic = 2 + int.from_bytes(body[:2], "big")
            return packet(0x40, body[after_topic : after_topic + 2] + bytes((script.puback,)))
        return b"\xd0\0" if kind == PINGREQ else b""


def packet(first: int, body: bytes) -> bytes:
    """Return an MQTT packet; the body is short."""
    assert len(body) < 128
    return bytes((first, len(body))) + body


def publish_packet(topic: str, payload: bytes, packet_id: int = 0) -> bytes:
    """Return a PUBLISH, at QoS 1 when it has a packet id."""
    name = topic.encode()
    number = packet_id.to_bytes(2, "big") if packet_id else b""
    return packet(0x32 if packet_id else 0x30, len(name).to_bytes(2, "big") + name + number + b"\0" + payload)


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first >> 4, await reader.readexactly(length)
