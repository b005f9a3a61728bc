"""Plays Mosquitto's vectors for brokers: a client that sends what they say and holds each answer against theirs.

Two things are a broker's own choice and so not held against a vector: the properties of a CONNACK or DISCONNECT of MQTT 5
(limits, and reasons in words), and whether a DISCONNECT or a CONNACK that refuses says why before the connection ends, where the
vector asks for the end alone.
"""

from __future__ import annotations

from fleet.transport.link import Endpoint
from fleet.transport.reasons import REFUSAL
from tests.conformance.outcome import Outcome
from tests.conformance.vectors import Step, Vector
from tests.conformance.wire import CLOSED, PINGREQ, PINGRESP, Wire, connect, publish, wire_to, words

_CONNACK = 0x20
_DISCONNECT = 0xE0


class _Failed(Exception):
    """The broker did not do what the vector says."""

    def __init__(self, wanted: bytes | str, seen: bytes | str) -> None:
        super().__init__()
        self.wanted = words(wanted)
        self.seen = words(seen)


async def play(vector: Vector, endpoint: Endpoint) -> Outcome:
    """Play one vector on a connection of its own."""
    async with wire_to(endpoint) as wire:
        try:
            await _play(vector, endpoint, wire)
        except _Failed as failed:
            return Outcome(vector.name, "failed", failed.wanted, failed.seen, tuple(wire.transcript))
        return Outcome(vector.name, "passed", transcript=tuple(wire.transcript))


async def _play(vector: Vector, endpoint: Endpoint, wire: Wire) -> None:
    if vector.connects:
        wire.send(connect(vector.name[:60], vector.version))
        came = await wire.read()
        if not (isinstance(came, bytes) and came[0] == _CONNACK and came[3] == 0):
            raise _Failed("a CONNACK of success", came)
    for step in vector.steps:
        if step.action == "send":
            wire.send(step.packet.data())
        elif step.action == "recv":
            await _hold(wire, step.packet.data(), vector.version)
        else:
            await _publish_elsewhere(step, endpoint)
    if vector.ends:
        await _hold_end(wire, vector.version)
    else:
        wire.send(PINGREQ)
        await _hold(wire, PINGRESP, vector.version)


async def _hold(wire: Wire, wanted: bytes, version: int) -> None:
    came = await wire.read()
    if isinstance(came, bytes):
        came, wanted = _bare(came, version), _bare(wanted, version)
    if came != wanted:
        raise _Failed(wanted, came)


def _bare(packet: bytes, version: int) -> bytes:
    """Return a CONNACK or DISCONNECT of MQTT 5 without its properties, any other packet as it is."""
    if version == 5 and packet[0] == _CONNACK and len(packet) > 4:
        return b"\x20\x03" + packet[2:4] + b"\0"
    if version == 5 and packet[0] == _DISCONNECT and len(packet) > 2:
        return b"\xe0\x01" + packet[2:3]
    return packet


async def _hold_end(wire: Wire, version: int) -> None:
    came = await wire.read()
    said = came
    if isinstance(came, bytes) and version == 5 and (came[0] == _DISCONNECT or (came[0] == _CONNACK and came[3] >= REFUSAL)):
        came = await wire.read()
    if came != CLOSED:
        raise _Failed(CLOSED, said if isinstance(said, str) else _bare(said, version))


async def _publish_elsewhere(step: Step, endpoint: Endpoint) -> None:
    """Let a client of MQTT 3.1.1 publish, and wait until the broker has the message."""
    async with wire_to(endpoint) as helper:
        helper.send(connect("helper", 4))
        await helper.read()
        helper.send(publish(step.topic, step.payload.encode(), step.qos, retain=step.retain))
        if step.qos:
            await helper.read()
        if step.qos == 2:
            helper.send(b"\x62\x02\x00\x01")
            await helper.read()
        if not step.qos:
            helper.send(PINGREQ)
            await helper.read()
