"""Packets of MQTT 5 as objects, as far as client machines and the simulated broker have to do with them.

A swarm link writes and reads them as bytes; simulated links and their broker hand them over as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from fleet.transport.faults import PacketName
from fleet.transport.link import LinkSettings
from fleet.transport.reasons import MALFORMED_PACKET
from fleet.wire.frame import Frame

NO_PACKET_MAX: Final = 0xFFFF_FFFF


class Malformed(Exception):
    """Bytes that are no MQTT 5, or a packet out of place; says in words what is wrong with them, and by which reason code."""

    def __init__(self, words: str, code: int = MALFORMED_PACKET) -> None:
        """Take the words and the reason code."""
        super().__init__(words)
        self.code = code


class ForwardedFrame(Frame, frozen=True, kw_only=True, gc=False):
    """A message as a broker passes it on: the properties that it need not read stay bytes, as their sender wrote them.

    `properties` lacks the expiry, which runs down, and the topic alias, which ends with its connection. `subscription_ids` are
    those of the subscription by which the message goes out.
    """

    properties: bytes = b""
    subscription_ids: tuple[int, ...] = ()


class _Packet(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Its name as in the specification; None is the end of the TCP connection, which reaches the other side as a packet does."""

    name: ClassVar[PacketName | None]


class ConnectPacket(_Packet, frozen=True):
    """The client asks to be taken, as its settings say; the listener may have Mosquitto's option `username_as_client_id`."""

    name: ClassVar[PacketName | None] = "CONNECT"
    settings: LinkSettings
    username_as_client_id: bool = False


class ConnackPacket(_Packet, frozen=True):
    """The broker takes the client, within these limits, or (from 0x80 on) refuses it. `said` is what it adds in words."""

    name: ClassVar[PacketName | None] = "CONNACK"
    code: int
    session_present: bool = False
    receive_maximum: int = 0xFFFF
    packet_max: int = NO_PACKET_MAX
    takes_qos_1: bool = True
    retains: bool = True
    keep_alive_s: int | None = None
    session_expiry_s: int | None = None
    assigned_client_id: str | None = None
    said: tuple[str | None, ...] = ()


class SubscribePacket(_Packet, frozen=True):
    """The filters with the QoS asked for."""

    name: ClassVar[PacketName | None] = "SUBSCRIBE"
    filters: Sequence[tuple[str, int]]


class SubackPacket(_Packet, frozen=True):
    """A reason code for each filter. A client of ours has one SUBSCRIBE under way at most, and needs no packet id."""

    name: ClassVar[PacketName | None] = "SUBACK"
    codes: Sequence[int]
    packet_id: int = 0


class UnsubscribePacket(_Packet, frozen=True):
    name: ClassVar[PacketName | None] = "UNSUBSCRIBE"
    filters: Sequence[str]


class UnsubackPacket(_Packet, frozen=True):
    """A reason code for each filter."""

    name: ClassVar[PacketName | None] = "UNSUBACK"
    codes: Sequence[int]
    packet_id: int = 0


class PublishPacket(_Packet, frozen=True):
    """A message, either way; `packet_id` is 0 at QoS 0."""

    name: ClassVar[PacketName | None] = "PUBLISH"
    frame: Frame
    packet_id: int


class PubackPacket(_Packet, frozen=True):
    name: ClassVar[PacketName | None] = "PUBACK"
    packet_id: int
    code: int = 0


class PubrecPacket(_Packet, frozen=True):
    """The receiver has the message at QoS 2; with a code from 0x80 on it has refused it."""

    name: ClassVar[PacketName | None] = "PUBREC"
    packet_id: int
    code: int = 0


class PubrelPacket(_Packet, frozen=True):
    """The sender will not send that message at QoS 2 again."""

    name: ClassVar[PacketName | None] = "PUBREL"
    packet_id: int
    known: bool = True
    """Whether there was such a message."""


class PubcompPacket(_Packet, frozen=True):
    name: ClassVar[PacketName | None] = "PUBCOMP"
    packet_id: int
    known: bool
    """Whether there was such a message."""


class PingreqPacket(_Packet, frozen=True):
    name: ClassVar[PacketName | None] = "PINGREQ"


class PingrespPacket(_Packet, frozen=True):
    name: ClassVar[PacketName | None] = "PINGRESP"


class DisconnectPacket(_Packet, frozen=True):
    """The sender ends the connection in good order; `end_session` (of a client) ends the session with it."""

    name: ClassVar[PacketName | None] = "DISCONNECT"
    code: int = 0
    end_session: bool = False


class ConnectionClosed(_Packet, frozen=True):
    """The sender has ended the connection without a DISCONNECT."""

    name: ClassVar[PacketName | None] = None


class NobodyListens(_Packet, frozen=True):
    """The answer to a CONNECT where no broker runs."""

    name: ClassVar[PacketName | None] = None


ToBroker = (
    ConnectPacket
    | SubscribePacket
    | UnsubscribePacket
    | PublishPacket
    | PubackPacket
    | PubrecPacket
    | PubcompPacket
    | PingreqPacket
    | DisconnectPacket
    | ConnectionClosed
)
ToClient = (
    ConnackPacket
    | SubackPacket
    | UnsubackPacket
    | PublishPacket
    | PubackPacket
    | PubrecPacket
    | PubrelPacket
    | PubcompPacket
    | PingrespPacket
    | DisconnectPacket
    | ConnectionClosed
    | NobodyListens
)
