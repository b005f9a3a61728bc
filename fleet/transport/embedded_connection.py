"""One client's connection to the embedded broker, as a pure machine: bytes in, calls of the broker, bytes out.

Ends with a reason whatever is no MQTT, and holds no more bytes than one packet may have. Knows no socket: its driver writes,
closes, and says when the client does not read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

import msgspec

from fleet.kernel.instants import SECOND, Instant
from fleet.transport.client_packets import (
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    ForwardedFrame,
    PubackPacket,
    PublishPacket,
    ToClient,
)
from fleet.transport.embedded_reading import (
    MALFORMED_PACKET,
    MQTT_5,
    PROTOCOL_ERROR,
    UNSUPPORTED_VERSION,
    BadPacket,
    read_acknowledgement,
    read_connect,
    read_disconnect,
    read_publish,
    read_subscribe,
    read_unsubscribe,
)
from fleet.transport.embedded_writing import PINGRESP, packet_bytes, publish_bytes
from fleet.transport.simulated_broker import CLIENT_ID_NOT_VALID, PACKET_TOO_LARGE, SimulatedBroker
from fleet.transport.simulated_sessions import PATIENCE

CONNECT_WITHIN_S: Final = 10
"""How long a connection may be without its CONNECT."""
CONNECT_MAX: Final = 1 << 18
"""Bytes of a CONNECT: more is not kept of somebody who is not known."""
TOPIC_ALIAS_MAX: Final = 10
_CONNACK_MAX: Final = 16
"""Bytes of a CONNACK that takes a client, without an assigned client id."""
_LEAST_FIRST: Final = 0x10
_TOPIC_ALIAS_INVALID: Final = 0x94
_CONNECT, _PUBLISH, _PUBACK, _PUBREC, _PUBREL, _PUBCOMP = 1, 3, 4, 5, 6, 7
_SUBSCRIBE, _UNSUBSCRIBE, _PINGREQ, _DISCONNECT = 8, 10, 12, 14
_FLAGS: Final = dict.fromkeys(range(16), 0) | {_PUBREL: 2, _SUBSCRIBE: 2, _UNSUBSCRIBE: 2}
_WITH_WILL: Final = 0x04


class Wire(Protocol):
    """The socket of a connection."""

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        ...

    def close(self) -> None:
        """End the connection once all is sent."""
        ...


class Listener(NamedTuple):
    """The rules of a listener: Mosquitto's options `use_username_as_clientid` and `use_identity_as_username`."""

    username_as_client_id: bool = False
    identity_as_username: bool = False


@dataclass(slots=True)
class ConnectionCounts:
    """Counts of connections, over all of them."""

    opened: int = 0
    refused_version: int = 0
    bad_packets: int = 0
    """Ended for bytes that were no MQTT, or had no place there."""
    timed_out: int = 0
    """Ended because nothing came for one and a half keep-alives, or no CONNECT."""
    held_up: int = 0
    """Times that a client did not read what it was sent."""


class EmbeddedConnection:
    """A peer of the broker. Its driver hands it what comes in, and asks it now and then whether it is overdue."""

    __slots__ = (
        "_aliases", "_broker", "_counts", "_identity", "_listener", "_needed", "_packet_max", "_rest", "_version", "_wire",
        "heard_at", "is_over", "patience",
    )  # fmt: skip

    def __init__(
        self,
        broker: SimulatedBroker,
        counts: ConnectionCounts,
        wire: Wire,
        *,
        listener: Listener,
        identity: str | None,
        now: Instant,
    ) -> None:
        """Take the broker, where to write, the listener's rules, and the name in the client's certificate if it has one."""
        self._broker = broker
        self._counts = counts
        self._wire = wire
        self._listener = listener
        self._identity = identity
        self._version = 0  # until its CONNECT
        self._packet_max = CONNECT_MAX
        self._rest = bytearray()
        self._needed = 0
        self._aliases: dict[int, str] | None = None
        self.is_over = False
        """The client is not listened to any more."""
        self.heard_at = now
        self.patience: int | None = CONNECT_WITHIN_S * SECOND
        """How long the client may be silent; None for as long as it wants."""
        counts.opened += 1

    # --- from the client

    def feed(self, data: bytes, now: Instant) -> None:
        """Take bytes as they come."""
        if self.is_over:
            return
        self.heard_at = now
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest = bytearray()
        try:
            at = self._take_all(data, now)
        except BadPacket as bad:
            self._end_for(bad, now)
            return
        if at < len(data) and not self.is_over:
            self._rest = bytearray(data[at:])

    def _take_all(self, data: bytes, now: Instant) -> int:
        """Take all whole packets, and return where the first one begins that is not all there. Raises BadPacket."""
        at, count = 0, len(data)
        while at < count:
            first = data[at]
            if not self._version and first != _CONNECT << 4:
                raise BadPacket(PROTOCOL_ERROR, "something else than a CONNECT first")
            if first < _LEAST_FIRST:  # before its length, which may never come
                raise BadPacket(PROTOCOL_ERROR, "a packet of type 0, which does not exist")
            body = at + 2
            if body > count:
                self._needed = 2
                return at
            length = data[at + 1]
            if length > 0x7F:
                length, body = _read_length(data, at + 1)
                if not body:
                    self._needed = count - at + 1
                    return at
            end = body + length
            if end - at > self._packet_max:
                raise BadPacket(PACKET_TOO_LARGE, f"a packet of {end - at} bytes")
            if end > count:
                self._needed = end - at
                return at
            if first >> 4 == _PUBLISH:
                self._publish(first, data, body, end, now)
            else:
                self._take(first, data, body, end, now)
            if self.is_over:
                return count
            at = end
        return at

    def _publish(self, first: int, data: bytes, at: int, end: int, now: Instant) -> None:
        frame, packet_id, alias = read_publish(first, data, at, end, self._version)
        if alias:
            frame = self._by_alias(frame, alias)
        self._broker.publish(self, frame, packet_id, now)

    def _by_alias(self, frame: ForwardedFrame, alias: int) -> ForwardedFrame:
        """Note what the alias stands for from now on, or put that in its place."""
        if alias > TOPIC_ALIAS_MAX:
            raise BadPacket(_TOPIC_ALIAS_INVALID, f"the topic alias {alias}; they end with {TOPIC_ALIAS_MAX}")
        if self._aliases is None:
            self._aliases = {}
        if frame.topic:
            self._aliases[alias] = frame.topic
            return frame
        topic = self._aliases.get(alias)
        if topic is None:
            raise BadPacket(PROTOCOL_ERROR, f"the topic alias {alias}, which stands for nothing")
        return msgspec.structs.replace(frame, topic=topic)

    def _take(self, first: int, data: bytes, at: int, end: int, now: Instant) -> None:
        """Take any packet but a PUBLISH."""
        kind, version, broker = first >> 4, self._version, self._broker
        if _FLAGS[kind] != first & 0x0F:
            raise BadPacket(MALFORMED_PACKET, "a packet with flags that it does not have")
        if kind == _PUBACK:
            taken = read_acknowledgement(data, at, end, version, of_release=False)
            broker.acknowledge(self, taken.packet_id, now)
        elif kind == _PINGREQ:
            if at != end:
                raise BadPacket(MALFORMED_PACKET, "a PINGREQ with something in it")
            self._wire.write(PINGRESP)
        elif kind == _SUBSCRIBE:
            wanted = read_subscribe(data, at, end, version)
            broker.subscribe(self, wanted.filters, now, packet_id=wanted.packet_id)
        elif kind == _UNSUBSCRIBE:
            packet_id, filters = read_unsubscribe(data, at, end, version)
            broker.unsubscribe(self, filters, packet_id=packet_id)
        elif kind == _PUBREC:
            taken = read_acknowledgement(data, at, end, version, of_release=False)
            broker.has_received(self, taken.packet_id, taken.code, now)
        elif kind == _PUBREL:
            taken = read_acknowledgement(data, at, end, version, of_release=True)
            broker.release(self, taken.packet_id)
        elif kind == _PUBCOMP:
            taken = read_acknowledgement(data, at, end, version, of_release=True)
            broker.complete(self, taken.packet_id, now)
        elif kind == _DISCONNECT:
            self._disconnect(data, at, end, now)
        elif kind == _CONNECT:
            self._connect(data, at, end, now)
        else:
            raise BadPacket(PROTOCOL_ERROR, "a packet that no client sends here")

    def _connect(self, data: bytes, at: int, end: int, now: Instant) -> None:
        if self._version:
            raise BadPacket(PROTOCOL_ERROR, "a second CONNECT")
        if data[at : at + 7] == b"\x00\x04MQTT\x05":  # so a refusal can say why
            self._version = MQTT_5
        found = read_connect(data, at, end)
        settings = found.settings
        if found.packet_max < _CONNACK_MAX:
            self._version = 0  # no refusal either
            raise BadPacket(PACKET_TOO_LARGE, "packets that are smaller than a CONNACK")
        self._version = found.version
        if not settings.client_id and not settings.clean_start and found.version != MQTT_5:
            raise BadPacket(CLIENT_ID_NOT_VALID, "a session that nobody could find again, without a client id")
        if settings.keep_alive_s:
            self.patience = round(PATIENCE * settings.keep_alive_s * SECOND)
        else:
            self.patience = None
        self._packet_max = self._broker.limits.max_packet_size
        if self._listener.identity_as_username:
            settings = replace(settings, username=self._identity, password=None)
        self._broker.connect(
            self,
            settings,
            now,
            username_as_client_id=self._listener.username_as_client_id,
            is_proven=self._listener.identity_as_username and self._identity is not None,
            packet_max=found.packet_max,
        )

    def _disconnect(self, data: bytes, at: int, end: int, now: Instant) -> None:
        parting = read_disconnect(data, at, end, self._version)
        session_expiry_s = self._broker.expiry_of(self)
        if parting.expiry_s and not session_expiry_s:
            raise BadPacket(PROTOCOL_ERROR, "a session that was to end with its connection, and now is not to")
        self._broker.disconnect(self, now, with_will=parting.code >= _WITH_WILL, expiry_s=parting.expiry_s)
        self._finish()

    def _end_for(self, bad: BadPacket, now: Instant) -> None:
        """End the connection because of what came; the client is told as far as its version can say it."""
        if bad.code == UNSUPPORTED_VERSION:
            self._counts.refused_version += 1
            self._wire.write(b"\x20\x02\x00\x01")  # clients of any version can read it
        else:
            self._counts.bad_packets += 1
            if self._broker.knows(self):
                self._broker.expel(self, bad.code, now)
                return
            if self._version:
                self._wire.write(packet_bytes(ConnackPacket(bad.code, said=(str(bad),)), self._version))
        self._finish()

    def end(self, now: Instant, code: int) -> None:
        """End the connection, as the client was silent for too long or does not read."""
        if self._broker.knows(self):
            self._broker.expel(self, code, now)
        else:
            self._finish()

    def lost(self, now: Instant) -> None:
        """The socket has ended."""
        if not self.is_over:
            self.is_over = True
            self._rest = bytearray()
            self._broker.lost(self, now)

    def hold_up(self) -> None:
        """The client does not read what it was sent: what is for it waits, as far as the broker's limits go."""
        self._counts.held_up += 1
        self._broker.hold_up(self)

    def go_on(self, now: Instant) -> None:
        """The client reads again."""
        if not self.is_over:
            self._broker.go_on(self, now)

    def _finish(self) -> None:
        self.is_over = True
        self._rest = bytearray()
        self._wire.close()

    # --- from the broker

    def receive(self, packet: ToClient) -> None:
        """Be sent a packet by the broker."""
        if self.is_over:
            return
        if type(packet) is PublishPacket:
            self._wire.write(publish_bytes(packet.frame, packet.packet_id, self._version))
        elif type(packet) is PubackPacket and not packet.code:
            self._wire.write(b"\x40\x02" + packet.packet_id.to_bytes(2, "big"))
        else:
            self._send_other(packet)

    def _send_other(self, packet: ToClient) -> None:
        if isinstance(packet, ConnackPacket) and packet.keep_alive_s is not None:
            self.patience = round(PATIENCE * packet.keep_alive_s * SECOND)
        limits = self._broker.limits
        data = packet_bytes(packet, self._version, topic_alias_max=TOPIC_ALIAS_MAX, max_qos=limits.max_qos)
        if data:
            self._wire.write(data)
        if isinstance(packet, DisconnectPacket | ConnectionClosed):
            self._finish()


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length that begins at `at` and where it ends, or 0 for the end while it is not all there. Raises BadPacket."""
    length = 0
    for position in range(at, min(at + 4, len(data))):
        byte = data[position]
        length |= (byte & 0x7F) << 7 * (position - at)
        if byte < 0x80:
            return length, position + 1
    if len(data) >= at + 4:
        raise BadPacket(MALFORMED_PACKET, "a packet length that never ends")
    return 0, 0
