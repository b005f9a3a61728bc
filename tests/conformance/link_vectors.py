"""Plays Mosquitto's vectors for clients: a broker that says what they say, and the swarm link as the client.

The link is held to what a vector is about, not to the bytes of libmosquitto: its own CONNECT and PUBLISH may carry other
properties, and packet identifiers are its own. Whether it has ended the connection shows in a message that it would acknowledge.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import mqtt5

from fleet.transport.link import Endpoint, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.conformance.outcome import Outcome
from tests.conformance.vectors import Vector
from tests.conformance.wire import CLOSED, Wire, packet, publish, words
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

_CONNACK: Final = b"\x20\x06\x00\x00\x03\x21\x00\x14"
_CONNACK_OF_A_SESSION: Final = b"\x20\x06\x01\x00\x03\x21\x00\x14"
_CONNECT: Final = 0x10
_PUBLISH: Final = 0x30
_UNSUBSCRIBE: Final = 0xA2
_DISCONNECT: Final = 0xE0
_ALIVE_ID: Final = 65_535
_ALIVE: Final = publish("alive check", b"payload", 1, packet_id=_ALIVE_ID, version=5)
_ACKNOWLEDGED: Final = packet(0x40, _ALIVE_ID.to_bytes(2, "big"))
_ALIVE_WORDS: Final = "alive"


def skipped(vector: Vector) -> str:
    """Return why a vector is nothing for the swarm link; nothing when it is one."""
    if vector.version != 5:
        return "MQTT 3.1 or 3.1.1: the swarm link speaks MQTT 5 alone"
    if vector.command == "publish-2":
        return "the swarm link publishes at QoS 0 and 1"
    return ""


async def play(vector: Vector) -> Outcome:
    """Play one vector with a link of its own."""
    if reason := skipped(vector):
        return Outcome(vector.name, "skipped", seen=reason)
    async with _link_and_wire(vector.command) as (owner, wire):
        found = await _play(vector, owner, wire)
    if found is None:
        return Outcome(vector.name, "passed", transcript=tuple(wire.transcript))
    return Outcome(vector.name, "failed", *found, transcript=tuple(wire.transcript))


@contextlib.asynccontextmanager
async def _link_and_wire(command: str) -> AsyncIterator[tuple[RecordingOwner, Wire]]:
    """Open a link, and give out its owner with the broker's side of its first connection."""
    came: asyncio.Queue[Wire] = asyncio.Queue()
    wires: list[Wire] = []

    def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wires.append(Wire(reader, writer))
        came.put_nowait(wires[-1])

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    endpoint = Endpoint(*server.sockets[0].getsockname())
    owner = RecordingOwner()
    settings = LinkSettings(client_id="vectors", receive_maximum=20, clean_start=command != "unsubscribe")
    owner.link = link = swarm_links(endpoint)(settings, owner, quick_back_off())
    link.open()
    try:
        yield owner, await came.get()
    finally:
        link.drop()
        server.close()
        for wire in wires:
            await wire.close()


async def _play(vector: Vector, owner: RecordingOwner, wire: Wire) -> tuple[str, str] | None:
    """Return what was wanted and what was seen, when they differ."""
    ids: dict[int, int] = {}
    if vector.connects:
        await wire.read()
    if vector.connacks:
        wire.send(_CONNACK_OF_A_SESSION if vector.command == "unsubscribe" else _CONNACK)
        await _command(vector.command, owner, wire)
    for step in vector.steps:
        if step.action == "send":
            wire.send(step.packet.data(ids))
            continue
        wanted, seen = step.packet.data(ids), await _answer(wire)
        if isinstance(seen, bytes) and seen[0] & 0xF0 in {_PUBLISH, _UNSUBSCRIBE & 0xF0} and seen[0] == wanted[0]:
            ids[1] = _packet_id(seen)
        elif wanted != seen:
            return words(wanted), words(seen)
    wire.send(_ALIVE)
    seen = await _answer(wire)
    if vector.ends and isinstance(seen, bytes) and seen[0] == _DISCONNECT:
        seen = await _answer(wire)
    state = _ALIVE_WORDS if seen == _ACKNOWLEDGED else words(seen)
    wanted_state = CLOSED if vector.ends else _ALIVE_WORDS
    return None if state == wanted_state else (wanted_state, state)


async def _answer(wire: Wire) -> bytes | str:
    """Return what the link says next; its CONNECT is no answer."""
    seen = await wire.read()
    return await wire.read() if isinstance(seen, bytes) and seen[0] == _CONNECT else seen


async def _command(command: str, owner: RecordingOwner, wire: Wire) -> None:
    """Have the link do it, which is up as soon as it has read the CONNACK."""
    if command == "unsubscribe":  # it does so by itself, when a session brings what it has not subscribed
        wire.send(publish("test/subscribe", b"", version=5))
    elif command:
        await owner.wait_for_up()
        assert owner.link is not None
        owner.link.publish(Frame(topic="test/publish", payload=b"message", qos=int(command[-1])), 1)


def _packet_id(data: bytes) -> int:
    """Return the packet identifier that the link has chosen."""
    read, _ = mqtt5.read(memoryview(data))
    assert isinstance(read, mqtt5.PublishPacket | mqtt5.UnsubscribePacket)
    assert read.packet_id is not None
    return read.packet_id
