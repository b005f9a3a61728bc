"""Frames and settings to MQTT 5 packets and back, by way of the `mqtt5` codec.

Knows no connection: bytes in, packets out, and the other way round.
"""

from __future__ import annotations

from typing import Final, cast

import mqtt5

from fleet.transport.client_connection import SUBSCRIBE_ID, UNSUBSCRIBE_ID
from fleet.transport.client_packets import (
    NO_PACKET_MAX,
    ConnackPacket,
    DisconnectPacket,
    Malformed,
    PingreqPacket,
    PingrespPacket,
    PubackPacket,
    PubcompPacket,
    PublishPacket,
    PubrecPacket,
    PubrelPacket,
    SubackPacket,
    SubscribePacket,
    ToBroker,
    ToClient,
    UnsubackPacket,
    UnsubscribePacket,
)
from fleet.transport.link import LinkSettings
from fleet.transport.reasons import MALFORMED_PACKET, PACKET_TOO_LARGE, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID
from fleet.transport.swarm_text import check_text
from fleet.wire.frame import Frame

RECEIVED_PACKET_MAX: Final = 16 << 20
"""The largest packet taken, in bytes; CONNECT says so, and the broker sends no larger one."""

_PINGREQ: Final = b"\xc0\x00"
_OF_CLIENTS: Final = {1: "CONNECT", 8: "SUBSCRIBE", 10: "UNSUBSCRIBE", 12: "PINGREQ"}
"""Packets that only clients send, by type."""
_PROTOCOL_ERRORS: Final = (
    "Duplicate value for unique property", "Invalid property type", "Receive maximum must be", "Subscription ID must be",
)  # fmt: skip
"""How the codec's words begin for what is well formed and still wrong."""
_PUBLISH: Final = 0x30
_ID_NOT_FOUND: Final = 0x92
_QOS: Final = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE, mqtt5.QoS.EXACTLY_ONCE)


def packet_length(data: bytes, start: int) -> int:
    """Return the length of the packet that begins at `start`, or 0 while its length is not all there."""
    if len(data) > start + 2 and data[start + 2] < 0x80 <= data[start + 1]:
        return 3 + (data[start + 1] & 0x7F | data[start + 2] << 7)  # 128 bytes to 16 KB, as most that carry something
    length = shift = 0
    for position in range(start + 1, min(start + 5, len(data))):
        byte = data[position]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            total = position + 1 - start + length
            if total > RECEIVED_PACKET_MAX:
                raise Malformed(f"a packet of {total} bytes, more than it was told to send", PACKET_TOO_LARGE)
            return total
        shift += 7
    if len(data) >= start + 5:
        raise Malformed("a packet length that never ends")
    return 0


def read_packet(packet: memoryview) -> mqtt5.Packet:
    """Read one whole packet. Raises Malformed."""
    try:
        check_text(packet)
        found = mqtt5.read(packet)[0]
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None
    except (ValueError, IndexError) as error:  # IndexError: the fields claim more than the packet holds
        words = str(error)
        raise Malformed(words, PROTOCOL_ERROR if words.startswith(_PROTOCOL_ERRORS) else MALFORMED_PACKET) from None
    if packet[0] & 0xF0 == _PUBLISH:
        _check_publish(cast("mqtt5.PublishPacket", found))
    return found


def _check_publish(packet: mqtt5.PublishPacket) -> None:
    """Raise Malformed for the rules of a PUBLISH that the codec lets pass."""
    topic, answers = packet.topic, packet.response_topic
    if packet.packet_id == 0:
        raise Malformed("PUBLISH with a packet identifier of 0", PROTOCOL_ERROR)
    if "+" in topic or "#" in topic or "\0" in topic:
        raise Malformed(f"PUBLISH to {topic!r}, a topic with a character that none may have")
    if answers is not None and ("+" in answers or "#" in answers or "\0" in answers):
        raise Malformed(f"PUBLISH with the response topic {answers!r}, which has a character that none may have", PROTOCOL_ERROR)
    if packet.payload_format_indicator > 1:
        raise Malformed("PUBLISH whose payload format indicator is neither 0 nor 1", PROTOCOL_ERROR)


def packet_from(data: memoryview) -> ToClient:
    """Read one whole packet of a broker. Raises Malformed, also for one that a broker does not send."""
    sender = _OF_CLIENTS.get(data[0] >> 4)
    if sender is not None:  # the codec need not look at them
        raise Malformed(f"{sender} out of place", PROTOCOL_ERROR)
    packet = read_packet(data)
    match packet:
        case mqtt5.PublishPacket():
            if packet.topic_alias is not None:
                raise Malformed("a topic alias, of which it may use none", TOPIC_ALIAS_INVALID)
            return PublishPacket(frame_from(packet), packet.packet_id or 0)
        case mqtt5.PubAckPacket():
            return PubackPacket(packet.packet_id, int(packet.reason_code))
        case mqtt5.PubRelPacket():
            return PubrelPacket(packet.packet_id)
        case mqtt5.PingRespPacket():
            return PingrespPacket()
        case mqtt5.ConnAckPacket():
            return _connack_from(packet)
        case mqtt5.SubAckPacket() if packet.packet_id == SUBSCRIBE_ID:
            return SubackPacket([int(code) for code in packet.reason_codes])
        case mqtt5.UnsubAckPacket() if packet.packet_id == UNSUBSCRIBE_ID:
            return UnsubackPacket([int(code) for code in packet.reason_codes])
        case mqtt5.DisconnectPacket():
            return DisconnectPacket(int(packet.reason_code))
        case mqtt5.SubAckPacket() | mqtt5.UnsubAckPacket():
            raise Malformed(f"{_kind(packet)} nobody asked for", PROTOCOL_ERROR)
        case _:
            raise Malformed(f"{_kind(packet)} out of place", PROTOCOL_ERROR)


def _connack_from(packet: mqtt5.ConnAckPacket) -> ConnackPacket:
    # The codec's enumerations convert to int, but are none at run time.
    return ConnackPacket(
        int(packet.reason_code),
        packet.session_present,
        receive_maximum=packet.receive_max,
        packet_max=NO_PACKET_MAX if packet.max_packet_size is None else packet.max_packet_size,
        takes_qos_1=int(packet.max_qos) > 0,
        retains=packet.retain_available,
        keep_alive_s=packet.server_keep_alive,
        session_expiry_s=packet.session_expiry_interval,
        said=(packet.reason_str, packet.server_reference),
    )


def _kind(packet: mqtt5.Packet) -> str:
    return type(packet).__name__.removesuffix("Packet").upper()


def frame_from(packet: mqtt5.PublishPacket) -> Frame:
    """Return what was received. An expiry that ran down to 0 would read as none."""
    expiry_s = packet.message_expiry_interval
    return Frame(
        topic=packet.topic,
        payload=packet.payload,
        qos=int(packet.qos),
        retain=packet.retain,
        expiry_s=None if expiry_s is None else max(1, expiry_s),
        response_topic=packet.response_topic,
        correlation=packet.correlation_data,
        content_type=packet.content_type,
        user_properties=tuple(packet.user_properties),
        duplicate=packet.duplicate,
    )


def publish_packet(frame: Frame, packet_id: int | None) -> bytes:
    """Write a PUBLISH. Raises ValueError or OverflowError for what no packet can hold."""
    return mqtt5.PublishPacket(
        frame.topic,
        frame.payload,
        qos=_QOS[frame.qos],
        retain=frame.retain,
        packet_id=packet_id,
        content_type=frame.content_type,
        message_expiry_interval=frame.expiry_s,
        response_topic=frame.response_topic,
        correlation_data=frame.correlation,
        user_properties=list(frame.user_properties) if frame.user_properties else None,
    ).write()


def connect_packet(settings: LinkSettings) -> bytes:
    """Write the CONNECT. Raises ValueError or OverflowError for what no packet can hold."""
    will = None
    if settings.will is not None:
        frame = settings.will.frame
        will = mqtt5.Will(
            frame.topic,
            payload=frame.payload,
            qos=_QOS[frame.qos],
            retain=frame.retain,
            message_expiry_interval=frame.expiry_s,
            content_type=frame.content_type,
            response_topic=frame.response_topic,
            correlation_data=frame.correlation,
            will_delay_interval=settings.will.delay_s,
            user_properties=list(frame.user_properties),
        )
    return mqtt5.ConnectPacket(
        settings.client_id,
        username=settings.username,
        password=None if settings.password is None else settings.password.encode(),
        clean_start=settings.clean_start,
        will=will,
        keep_alive=settings.keep_alive_s,
        session_expiry_interval=settings.session_expiry_s,
        receive_max=settings.receive_maximum,
        max_packet_size=RECEIVED_PACKET_MAX,
    ).write()


def packet_bytes(packet: ToBroker) -> bytes:
    """Write a packet that a client seldom sends."""
    match packet:
        case PingreqPacket():
            return _PINGREQ
        case SubscribePacket():  # the retain flag stays clear on what comes live
            filters = [
                mqtt5.TopicFilter(pattern, max_qos=_QOS[qos], retain_as_published=False) for pattern, qos in packet.filters
            ]
            return mqtt5.SubscribePacket(SUBSCRIBE_ID, filters).write()
        case UnsubscribePacket():
            return mqtt5.UnsubscribePacket(UNSUBSCRIBE_ID, list(packet.filters)).write()
        case PubrecPacket():
            return b"\x50\x02" + packet.packet_id.to_bytes(2, "big")
        case PubcompPacket():
            number = packet.packet_id.to_bytes(2, "big")
            return b"\x70\x02" + number if packet.known else b"\x70\x03" + number + bytes((_ID_NOT_FOUND,))
        case _:
            raise TypeError(f"{packet.name} is written by a function of its own")


def disconnect_packet(end_session: bool) -> bytes:
    """Write a DISCONNECT that takes the will back; with `end_session` the broker forgets the session too."""
    return mqtt5.DisconnectPacket(session_expiry_interval=0 if end_session else None).write()
