"""Packets of MQTT 5 and 3.1.1 as a broker writes them. Knows no connection and no session."""

from __future__ import annotations

from typing import Final

from fleet.transport.client_packets import (
    NO_PACKET_MAX,
    ConnackPacket,
    DisconnectPacket,
    ForwardedFrame,
    PubackPacket,
    PubcompPacket,
    PublishPacket,
    PubrecPacket,
    PubrelPacket,
    SubackPacket,
    ToClient,
    UnsubackPacket,
)
from fleet.transport.embedded_reading import MQTT_5
from fleet.transport.reasons import REFUSAL
from fleet.wire.frame import Frame

PINGRESP: Final = b"\xd0\x00"
_NOT_FOUND: Final = 0x92
_LEGACY_REFUSALS: Final = {0x84: 1, 0x85: 2, 0x89: 3, 0x88: 3, 0x86: 4, 0x87: 5}
"""Return codes of MQTT 3.1.1 for reason codes; what it has no word for is "server unavailable"."""
_UNAVAILABLE: Final = 3


def length_bytes(length: int) -> bytes:
    """Return a length as MQTT writes it, in one to four bytes."""
    if length < 0x80:
        return length.to_bytes(1, "big")
    if length < 0x4000:
        return bytes((length & 0x7F | 0x80, length >> 7))
    if length < 0x20_0000:
        return bytes((length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14))
    return bytes((length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14 & 0x7F | 0x80, length >> 21))


def publish_bytes(frame: Frame, packet_id: int, version: int) -> bytes:
    """Write a PUBLISH; of a message that did not come as bytes go topic, payload, flags and expiry."""
    topic = frame.topic.encode()
    first = 0x30 | frame.qos << 1 | (0x08 if frame.duplicate else 0) | (0x01 if frame.retain else 0)
    number = packet_id.to_bytes(2, "big") if packet_id else b""
    payload = frame.payload
    if version != MQTT_5:
        length = 2 + len(topic) + len(number) + len(payload)
        return b"".join((bytes((first,)), length_bytes(length), len(topic).to_bytes(2, "big"), topic, number, payload))
    properties = _publish_properties(frame)
    size = length_bytes(len(properties))
    length = 2 + len(topic) + len(number) + len(size) + len(properties) + len(payload)
    head = (bytes((first,)), length_bytes(length), len(topic).to_bytes(2, "big"))
    return b"".join((*head, topic, number, size, properties, payload))


def _publish_properties(frame: Frame) -> bytes:
    if type(frame) is not ForwardedFrame:
        return b"" if frame.expiry_s is None else b"\x02" + frame.expiry_s.to_bytes(4, "big")
    properties = frame.properties
    if frame.expiry_s is not None:
        properties += b"\x02" + frame.expiry_s.to_bytes(4, "big")
    for identifier in frame.subscription_ids:
        properties += b"\x0b" + length_bytes(identifier)
    return properties


def packet_bytes(packet: ToClient, version: int, *, topic_alias_max: int = 0, max_qos: int = 2) -> bytes:
    """Write any packet but a PINGRESP; empty for one that this version does not have."""
    written = b""
    match packet:
        case PublishPacket():
            written = publish_bytes(packet.frame, packet.packet_id, version)
        case PubackPacket():
            written = _acknowledgement(0x40, packet.packet_id, packet.code, version)
        case PubrecPacket():
            written = _acknowledgement(0x50, packet.packet_id, packet.code, version)
        case PubrelPacket():
            written = _acknowledgement(0x62, packet.packet_id, 0 if packet.known else _NOT_FOUND, version)
        case PubcompPacket():
            written = _acknowledgement(0x70, packet.packet_id, 0 if packet.known else _NOT_FOUND, version)
        case ConnackPacket():
            written = _connack(packet, version, topic_alias_max, max_qos)
        case SubackPacket():
            codes = bytes(packet.codes) if version == MQTT_5 else bytes(min(code, REFUSAL) for code in packet.codes)
            written = _answer(0x90, packet.packet_id, codes, version)
        case UnsubackPacket():
            written = _answer(0xB0, packet.packet_id, bytes(packet.codes) if version == MQTT_5 else b"", version)
        case DisconnectPacket() if version == MQTT_5:
            written = bytes((0xE0, 1, packet.code)) if packet.code else b"\xe0\x00"
        case _:
            pass  # MQTT 3.1.1 has no DISCONNECT of a broker, and the end of a connection is no packet
    return written


def _acknowledgement(first: int, packet_id: int, code: int, version: int) -> bytes:
    if code and version == MQTT_5:
        return bytes((first, 3, packet_id >> 8, packet_id & 0xFF, code))
    return bytes((first, 2, packet_id >> 8, packet_id & 0xFF))


def _answer(first: int, packet_id: int, codes: bytes, version: int) -> bytes:
    body = packet_id.to_bytes(2, "big") + (b"\0" if version == MQTT_5 else b"") + codes
    return bytes((first,)) + length_bytes(len(body)) + body


def _connack(packet: ConnackPacket, version: int, topic_alias_max: int, max_qos: int) -> bytes:
    if version != MQTT_5:
        code = _LEGACY_REFUSALS.get(packet.code, _UNAVAILABLE) if packet.code else 0
        return bytes((0x20, 2, packet.session_present, code))
    properties = b""
    if packet.code < REFUSAL:
        properties += b"\x21" + packet.receive_maximum.to_bytes(2, "big")
        if packet.packet_max != NO_PACKET_MAX:
            properties += b"\x27" + packet.packet_max.to_bytes(4, "big")
        if topic_alias_max:
            properties += b"\x22" + topic_alias_max.to_bytes(2, "big")
        if max_qos < 2:
            properties += bytes((0x24, max_qos))
        if packet.assigned_client_id is not None:
            client_id = packet.assigned_client_id.encode()
            properties += b"\x12" + len(client_id).to_bytes(2, "big") + client_id
        if packet.keep_alive_s is not None:
            properties += b"\x13" + packet.keep_alive_s.to_bytes(2, "big")
    for said in packet.said:
        if said:
            words = said.encode()
            properties += b"\x1f" + len(words).to_bytes(2, "big") + words
    body = bytes((packet.session_present, packet.code)) + length_bytes(len(properties)) + properties
    return b"\x20" + length_bytes(len(body)) + body
