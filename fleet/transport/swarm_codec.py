"""Frames and settings to MQTT 5 packets and back, by way of the `mqtt5` codec.

Knows no connection: bytes in, packets out, and the other way round.
"""

from __future__ import annotations

from typing import Final

import mqtt5

from fleet.transport.link import LinkSettings
from fleet.transport.swarm_text import check_text
from fleet.wire.frame import Frame

PINGREQ: Final = b"\xc0\x00"
RECEIVED_PACKET_MAX: Final = 16 << 20
"""The largest packet taken, in bytes; told to the broker, which then sends no larger one."""

_QOS: Final = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE, mqtt5.QoS.EXACTLY_ONCE)


class Malformed(Exception):
    """Bytes that are no MQTT 5; says in words what is wrong with them."""


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
                raise Malformed(f"a packet of {total} bytes, more than it was told to send")
            return total
        shift += 7
    if len(data) >= start + 5:
        raise Malformed("a packet length that never ends")
    return 0


def read_packet(packet: memoryview) -> mqtt5.Packet:
    """Read one whole packet. Raises Malformed."""
    try:
        check_text(packet)
        return mqtt5.read(packet)[0]
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None
    except (ValueError, IndexError) as error:  # IndexError: the fields claim more than the packet holds
        raise Malformed(str(error)) from None


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


def subscribe_packet(settings: LinkSettings, packet_id: int) -> bytes:
    """Write one SUBSCRIBE for all filters; the retain flag stays clear on what comes live."""
    filters = [
        mqtt5.TopicFilter(pattern, max_qos=_QOS[qos], retain_as_published=False) for pattern, qos in settings.subscriptions
    ]
    return mqtt5.SubscribePacket(packet_id, filters).write()


def unsubscribe_packet(filters: list[str], packet_id: int) -> bytes:
    """Write one UNSUBSCRIBE for all filters."""
    return mqtt5.UnsubscribePacket(packet_id, filters).write()


def disconnect_packet(end_session: bool) -> bytes:
    """Write a DISCONNECT that takes the will back; with `end_session` the broker forgets the session too."""
    return mqtt5.DisconnectPacket(session_expiry_interval=0 if end_session else None).write()
