"""A raw TCP connection that reads MQTT packet by packet, and the few packets that players of vectors write themselves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from fleet.transport.link import Endpoint
from tests.conformance.vectors import variable_length

PINGREQ: Final = b"\xc0\x00"
PINGRESP: Final = b"\xd0\x00"
CLOSED: Final = "closed"
SILENT: Final = "silent"
WAIT_S: Final = 2.0
"""How long the other side has to answer or to end the connection."""
_MOST_SHOWN: Final = 40


class Wire:
    """One side of a connection. `transcript` is all that came in, packet by packet, and how it ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait_s: float = WAIT_S) -> None:
        """Take an open connection, and how long to wait for whatever comes."""
        self.transcript: list[str] = []
        self._reader = reader
        self._writer = writer
        self._wait_s = wait_s

    def send(self, data: bytes) -> None:
        """Write the bytes; whether the other side is still there shows when something is read."""
        self._writer.write(data)

    async def read(self) -> bytes | str:
        """Return the next packet whole, or CLOSED, or SILENT when nothing comes in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                came: bytes | str = await self._packet()
        except TimeoutError:
            came = SILENT
        except (asyncio.IncompleteReadError, ConnectionError):
            came = CLOSED
        self.transcript.append(words(came))
        return came

    async def _packet(self) -> bytes:
        head = await self._reader.readexactly(1)
        length = shift = 0
        while True:
            byte = await self._reader.readexactly(1)
            head += byte
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                return head + await self._reader.readexactly(length)

    async def close(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def wire_to(endpoint: Endpoint, wait_s: float = WAIT_S) -> AsyncIterator[Wire]:
    """Connect, and cut the connection at the end."""
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    wire = Wire(reader, writer, wait_s)
    try:
        yield wire
    finally:
        await wire.close()


def words(came: bytes | str) -> str:
    """Write what came as text: bytes in hexadecimal digits, long ones with their length."""
    if isinstance(came, str):
        return came
    text = came.hex(" ").upper()
    return text if len(came) <= _MOST_SHOWN else f"{text[: 3 * _MOST_SHOWN]}… ({len(came)} B)"


def text_field(text: str) -> bytes:
    """Return a text with its length before it."""
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes) -> bytes:
    """Return a packet."""
    return bytes((first,)) + variable_length(len(body)) + body


def connect(client_id: str, version: int) -> bytes:
    """Return a CONNECT for a clean session with a keep-alive of a minute; in MQTT 5 with a Receive Maximum of 20."""
    name = text_field("MQIsdp" if version == 3 else "MQTT")
    properties = b"\x03\x21\x00\x14" if version == 5 else b""
    return packet(0x10, name + bytes((version, 0x02)) + b"\x00\x3c" + properties + text_field(client_id))


def publish(topic: str, payload: bytes, qos: int = 0, *, retain: bool = False, packet_id: int = 1, version: int = 4) -> bytes:
    """Return a PUBLISH; in MQTT 5 without properties."""
    number = packet_id.to_bytes(2, "big") if qos else b""
    properties = b"\0" if version == 5 else b""
    return packet(0x30 | qos << 1 | retain, text_field(topic) + number + properties + payload)
