"""MQTT in a stream of bytes that others read and write: where its packets begin, what they are, and whose stream it is.

Reads fixed headers and no more than it is asked for; knows no connection. Any version of MQTT.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fleet.transport.client_packets import ForwardedFrame
from fleet.transport.faults import PACKETS, PacketName
from fleet.wire.frame import Frame

_CONNECT: Final = 0x10
_PUBLISH: Final = 3
_NAMES: Final = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")
_CONNECT_MAX: Final = 1 << 17
"""Bytes of a CONNECT that are looked through for the client id."""
_DUP: Final = 0x08
_QOS: Final = 0x06


class NotMqtt(Exception):
    """These bytes are no MQTT."""


class Head(NamedTuple):
    """The fixed header of a packet: its first byte, and the length of the whole packet and of this header."""

    first: int
    total: int
    length: int

    @property
    def packet(self) -> PacketName:
        return PACKETS[(self.first >> 4) - 1]


def read_head(data: bytes | bytearray, at: int) -> Head | None:
    """Read the fixed header that begins at `at`; None while it is not all there. Raises NotMqtt."""
    if at >= len(data):
        return None
    first = data[at]
    if first < _CONNECT:
        raise NotMqtt
    length = 0
    for position in range(at + 1, min(at + 5, len(data))):
        byte = data[position]
        length |= (byte & 0x7F) << 7 * (position - at - 1)
        if byte < 0x80:
            read = position + 1 - at
            return Head(first, read + length, read)
    if len(data) >= at + 5:
        raise NotMqtt
    return None


def read_topic(data: bytes | bytearray, at: int, head: Head) -> str | None:
    """Return the topic of the PUBLISH that begins at `at`, or None while it is not all there.

    Of one that names its topic by an alias it is empty. Raises NotMqtt.
    """
    begin = at + head.length + 2
    if begin > at + head.total:
        raise NotMqtt
    if begin > len(data):
        return None
    end = begin + int.from_bytes(data[begin - 2 : begin], "big")
    if end > at + head.total:
        raise NotMqtt
    return bytes(data[begin:end]).decode(errors="replace") if len(data) >= end else None


def repeated(packet: bytes) -> bytes:
    """Return the packet as its sender would repeat it: a PUBLISH above QoS 0 with its DUP flag."""
    if packet[0] >> 4 == _PUBLISH and packet[0] & _QOS:
        return bytes((packet[0] | _DUP,)) + packet[1:]
    return packet


def read_client_id(data: bytes | bytearray) -> str | None:
    """Return the client id of the CONNECT that the stream begins with; None while it is not all there. Raises NotMqtt."""
    if data[0] != _CONNECT or len(data) > _CONNECT_MAX:
        raise NotMqtt
    head = read_head(data, 0)
    if head is None:
        return None
    at = head.length
    name = next((name for name in _NAMES if name.startswith(bytes(data[at : at + len(name)]))), None)
    if name is None:
        raise NotMqtt
    at += len(name) + 4  # version, flags, keep-alive
    if len(data) < at + 2:
        return None
    if data[at - 4] == 5:
        at = _after_properties(data, at)
    if not at or len(data) < at + 2:
        return None
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    if end > head.total:
        raise NotMqtt
    return bytes(data[at + 2 : end]).decode(errors="replace") if len(data) >= end else None


def _after_properties(data: bytes | bytearray, at: int) -> int:
    """Return where the properties that begin at `at` end, or 0 while their length is not all there."""
    length = 0
    for position in range(at, min(at + 4, len(data))):
        length |= (data[position] & 0x7F) << 7 * (position - at)
        if data[position] < 0x80:
            return position + 1 + length
    return 0


class Tracker:
    """Follows a stream from its first byte, so that it is known at any time where the next packet begins.

    `lost` once the bytes were no MQTT: then nothing is known any more, and nothing is lost by that.
    """

    __slots__ = ("_begun", "left", "lost")

    def __init__(self) -> None:
        self.left = 0
        """Bytes of the packet under way that are still to come."""
        self.lost = False
        self._begun = b""  # of a fixed header that is not all there

    @property
    def between(self) -> bool:
        """Whether the next byte begins a packet."""
        return not self.left and not self._begun

    def follow(self, data: bytes) -> None:
        """Go over the bytes."""
        if not self.left and not self._begun and len(data) > 2:  # mostly there is one whole packet
            length = data[1]
            if length < 0x80:
                if len(data) == length + 2 and data[0] >= _CONNECT:
                    return
            elif data[2] < 0x80 and len(data) == (length & 0x7F | data[2] << 7) + 3 and data[0] >= _CONNECT:
                return
        at = self.skip(data)
        while at < len(data) and not self.lost:
            at = self._begin(data, at)

    def skip(self, data: bytes) -> int:
        """Go over the rest of the packet under way, and return where the next one begins."""
        at = 0
        if self._begun:
            begun, self._begun = self._begun, b""
            at = self._begin(begun + data, 0) - len(begun)
        elif self.left:
            at = min(self.left, len(data))
            self.left -= at
        return at

    def _begin(self, data: bytes, at: int) -> int:
        """Go over the packet that begins at `at`, as far as it is there, and return where that is."""
        try:
            head = read_head(data, at)
        except NotMqtt:
            self.lost = True
            return len(data)
        if head is None:
            self._begun = data[at:]
            return len(data)
        end = at + head.total
        self.left = max(0, end - len(data))
        return min(end, len(data))


def packet_size(frame: Frame) -> int:
    """Return the bytes of the frame as a PUBLISH of MQTT 5. Raises UnicodeEncodeError for text that cannot be sent."""
    properties = 0 if frame.expiry_s is None else 5
    text = ""
    if frame.content_type is not None:
        text = frame.content_type
        properties += 3
    if frame.response_topic is not None:
        text += frame.response_topic
        properties += 3
    if frame.correlation is not None:
        properties += 3 + len(frame.correlation)
    for name, value in frame.user_properties:
        text += name + value
        properties += 5
    properties += len(text) if text.isascii() else len(text.encode())
    if type(frame) is ForwardedFrame:
        properties += len(frame.properties)
    text = frame.topic
    size = (4 if frame.qos else 2) + (len(text) if text.isascii() else len(text.encode())) + len(frame.payload) + properties
    size += 1 if properties < 0x80 else _length_of_length(properties)
    return 1 + (2 if 0x7F < size < 0x4000 else _length_of_length(size)) + size


def _length_of_length(length: int) -> int:
    return 1 + (length > 0x7F) + (length > 0x3FFF) + (length > 0x1F_FFFF)
