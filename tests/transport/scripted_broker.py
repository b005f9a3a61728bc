"""A peer that speaks just enough MQTT 5 to say what no real broker can be made to say: chosen codes, silence, an abrupt end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from fleet.transport.link import Endpoint

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
PINGREQ: Final = 12
DISCONNECT: Final = 14
_CONNECT_FLAGS: Final = 7
_WILL_RETAIN: Final = 0x20


Message = tuple[str, bytes, int]
"""Topic, payload and packet id (0 at QoS 0)."""


@dataclass(slots=True)
class Script:
    """The answers of the peer; None for a packet is silence."""

    connack: int | None = 0
    session_present: bool = False
    receive_maximum: int | None = None
    suback: tuple[int, ...] | None = (1,)
    before_suback: tuple[Message, ...] = ()
    puback: int | None = 0
    hang_up_on_connect: bool = False
    offers: bytes = b""
    """Further properties of the CONNACK."""
    retains_wills: bool = True


class ScriptedPeer(Protocol):
    """A scripted peer, with or without a socket; all counts are over all connections."""

    script: Script
    connects: int
    subscribes: int
    disconnects: int
    ends: int
    """How many connections have ended."""
    published: list[Message]
    acknowledged: list[int]

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...

    def endpoint(self) -> Endpoint: ...

    def deliver(self, *messages: Message) -> None:
        """Publish on the newest connection."""
        ...

    def acknowledge(self, packet_id: int) -> None:
        """Send a PUBACK on the newest connection."""
        ...

    def end(self, code: int) -> None:
        """Send a DISCONNECT of that reason on the newest connection."""
        ...

    async def wait_for(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        """Return as soon as the condition holds."""
        ...


@dataclass(slots=True)
class ScriptedBroker:
    """Listens on a free port; `packets` holds (type, body) of all that came in, over all connections."""

    script: Script = field(default_factory=Script)
    tls: ssl.SSLContext | None = None
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    published: list[Message] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    retained: int = 0
    connects: int = 0
    subscribes: int = 0
    disconnects: int = 0
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
        await self.wait_for(lambda: len(self.of_type(kind)) >= count, within_s)
        return self.of_type(kind)

    async def wait_for(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        """Return as soon as the condition holds."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def send(self, packet: bytes) -> None:
        """Send on the newest connection."""
        self._writers[-1].write(packet)

    def deliver(self, *messages: Message) -> None:
        """Publish on the newest connection."""
        self.send(b"".join(publish_packet(*message) for message in messages))

    def acknowledge(self, packet_id: int) -> None:
        """Send a PUBACK on the newest connection."""
        self.send(packet(0x40, packet_id.to_bytes(2, "big")))

    def end(self, code: int) -> None:
        """Send a DISCONNECT of that reason on the newest connection."""
        self.send(packet(0xE0, bytes((code,))))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while True:
                    first, body = await _read_packet(reader)
                    kind = first >> 4
                    self._note(first, body)
                    if kind == CONNECT and self.script.hang_up_on_connect:
                        break
                    writer.write(self._answer(kind, body))
        finally:
            self.ends += 1
            self._changed.set()
            writer.close()

    def _note(self, first: int, body: bytes) -> None:
        kind = first >> 4
        self.packets.append((kind, body))
        self.connects += kind == CONNECT
        self.subscribes += kind == SUBSCRIBE
        self.disconnects += kind == DISCONNECT
        if kind == PUBLISH:
            self.retained += first & 0x01
            self.published.append(_message(body, has_id=bool(first & 0x06)))
        elif kind == PUBACK:
            self.acknowledged.append(int.from_bytes(body[:2], "big"))
        self._changed.set()

    def _answer(self, kind: int, body: bytes) -> bytes:
        script = self.script
        if kind == CONNECT and script.connack is not None:
            properties = b"" if script.receive_maximum is None else b"\x21" + script.receive_maximum.to_bytes(2, "big")
            properties += script.offers
            code = 0x9A if body[_CONNECT_FLAGS] & _WILL_RETAIN and not script.retains_wills else script.connack
            return packet(0x20, bytes((script.session_present, code, len(properties))) + properties)
        if kind == SUBSCRIBE and script.suback is not None:
            early = b"".join(publish_packet(*message) for message in script.before_suback)
            return early + packet(0x90, body[:2] + b"\0" + bytes(script.suback))
        if kind == PUBLISH and script.puback is not None:
            packet_id = self.published[-1][2]
            return packet(0x40, packet_id.to_bytes(2, "big") + bytes((script.puback,))) if packet_id else b""
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


def _message(body: bytes, *, has_id: bool) -> Message:
    """Read the body of a PUBLISH whose properties are short."""
    position = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:position].decode()
    packet_id = int.from_bytes(body[position : position + 2], "big") if has_id else 0
    position += 2 * has_id
    return topic, body[position + 1 + body[position] :], packet_id


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the first byte and the body."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first, await reader.readexactly(length)
