"""Packets of MQTT 5 and 3.1.1 as a broker reads them: bytes of one whole packet in, a value out, or the reason why it is none.

Strict where the specification says MUST. Knows no connection and no session.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final, NamedTuple, cast

from fleet.transport.client_packets import NO_PACKET_MAX, ForwardedFrame
from fleet.transport.link import LinkSettings, Will
from fleet.transport.simulated_sessions import NEVER_EXPIRES_S
from fleet.transport.simulated_topics import NO_LOCAL, SHARED_PREFIX, SUBSCRIPTION_ID, Options

MQTT_5: Final = 5
MQTT_3_1_1: Final = 4
MALFORMED_PACKET: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
UNSUPPORTED_VERSION: Final = 0x84
BAD_AUTHENTICATION_METHOD: Final = 0x8C
CLIENT_ID_NOT_VALID: Final = 0x85

EXPIRY: Final = 0x02
SESSION_EXPIRY: Final = 0x11
TOPIC_ALIAS: Final = 0x23
_SUBSCRIPTION_ID: Final = 0x0B
_AUTHENTICATION_METHOD: Final = 0x15
_AUTHENTICATION_DATA: Final = 0x16
_REQUEST_PROBLEM: Final = 0x17
_WILL_DELAY: Final = 0x18
_REQUEST_RESPONSE: Final = 0x19
_RECEIVE_MAXIMUM: Final = 0x21
_TOPIC_ALIAS_MAXIMUM: Final = 0x22
_PACKET_MAX: Final = 0x27
_PAIR: Final = 0x26
_CONTENT_TYPE: Final = 0x03
_FORMAT: Final = 0x01
_RESPONSE_TOPIC: Final = 0x08
_TEXT: Final = frozenset({0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F})
_BINARY: Final = frozenset({0x09, 0x16})
_SIZES: Final = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_FLAGS: Final = frozenset({0x01, 0x17, 0x19})
"""Properties that are 0 or 1."""
_NEVER_ZERO: Final = frozenset({0x0B, 0x21, 0x27})
_OF_PUBLISH: Final = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26})
_OF_WILL: Final = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26})
_OF_CONNECT: Final = frozenset({0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27})
_OF_ACKNOWLEDGEMENT: Final = frozenset({0x1F, 0x26})
_OF_SUBSCRIBE: Final = frozenset({0x0B, 0x26})
_OF_UNSUBSCRIBE: Final = frozenset({0x26})
_OF_DISCONNECT: Final = frozenset({0x11, 0x1C, 0x1F, 0x26})
_LEGACY_EXPIRY_S: Final = 14 * 86_400
"""How long the session of a client of MQTT 3.1.1 is kept that wants one, as `persistent_client_expiration` in broker/ says."""
_ACKNOWLEDGE_CODES: Final = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
_RELEASE_CODES: Final = frozenset({0x00, 0x92})
_DISCONNECT_CODES: Final = frozenset({0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99})


_UNWANTED: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


class BadPacket(Exception):
    """A packet that is no MQTT, or has no place here: the reason code, and the reason in words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class Connect(NamedTuple):
    """A CONNECT, in the client's words."""

    version: int
    settings: LinkSettings
    packet_max: int


class Subscribe(NamedTuple):
    packet_id: int
    filters: list[tuple[str, Options]]


class Acknowledgement(NamedTuple):
    """A PUBACK, PUBREC, PUBREL or PUBCOMP."""

    packet_id: int
    code: int


class Disconnect(NamedTuple):
    """A DISCONNECT; the session expiry is None where it stays as it was."""

    code: int
    expiry_s: int | None


class Properties(NamedTuple):
    """Properties of a packet: values by identifier, and the bytes of those that a receiver is to get as they are."""

    values: dict[int, int | str]
    forwarded: bytes


_NONE: Final = Properties({}, b"")


class Reader:
    """Reads fields of a packet from `at` on; a field that ends beyond `end` makes it malformed."""

    __slots__ = ("_data", "at", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self.at = at
        self.end = end

    def number(self, size: int) -> int:
        """Read an integer of so many bytes."""
        return int.from_bytes(self._take(size), "big")

    def binary(self) -> bytes:
        """Read bytes with their length before them."""
        return self._take(self.number(2))

    def text(self) -> str:
        """Read text with its length before it."""
        return read_text(self.binary())

    def variable(self) -> int:
        """Read a variable byte integer, which has to be as short as it can."""
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if shift and not byte:
                    raise BadPacket(MALFORMED_PACKET, "a variable byte integer that is longer than need be")
                return value
            shift += 7
            if shift > 21:
                raise BadPacket(MALFORMED_PACKET, "a variable byte integer that never ends")

    def packet_id(self, code: int = PROTOCOL_ERROR) -> int:
        """Read a packet identifier, which is never 0: that ends with `code`."""
        value = self.number(2)
        if not value:
            raise BadPacket(code, "a packet identifier of 0")
        return value

    def properties(self, allowed: Container[int], dropped: Container[int] = (), code: int = PROTOCOL_ERROR) -> Properties:
        """Read the properties; `dropped` are not among those that are forwarded. One that is not `allowed` ends with `code`."""
        length = self.variable()
        if not length:
            return _NONE
        inner = Reader(self._data, self.at, self.at + length)
        if inner.end > self.end:
            raise BadPacket(MALFORMED_PACKET, "properties that are longer than their packet")
        self.at = inner.end
        values: dict[int, int | str] = {}
        forwarded = []
        while inner.at < inner.end:
            begin = inner.at
            identifier = inner.number(1)
            value = inner.property_value(identifier)
            if identifier not in allowed:
                raise BadPacket(code, f"the property 0x{identifier:02X}, which this packet does not have")
            if identifier in values and identifier != _PAIR:
                raise BadPacket(PROTOCOL_ERROR, f"the property 0x{identifier:02X} twice")
            values[identifier] = value
            if identifier not in dropped:
                forwarded.append(self._data[begin : inner.at])
        return Properties(values, b"".join(forwarded))

    def property_value(self, identifier: int) -> int | str:
        """Read the value of a property; of one that is binary or a pair it is empty."""
        size = _SIZES.get(identifier)
        if size is not None:
            value = self.number(size)
            if (identifier in _FLAGS and value > 1) or (identifier in _NEVER_ZERO and not value):
                raise BadPacket(PROTOCOL_ERROR, f"the property 0x{identifier:02X} with the value {value}")
            return value
        if identifier in _TEXT:
            text = self.text()
            if identifier == _RESPONSE_TOPIC and ("+" in text or "#" in text or not text):
                raise BadPacket(PROTOCOL_ERROR, "a response topic that is no topic name")
            return text
        if identifier == _PAIR:
            self.text()
            self.text()
        elif identifier in _BINARY:
            self.binary()
        elif identifier == _SUBSCRIPTION_ID:
            value = self.variable()
            if not value:
                raise BadPacket(PROTOCOL_ERROR, "a subscription identifier of 0")
            return value
        else:
            raise BadPacket(MALFORMED_PACKET, f"the property 0x{identifier:02X}, which does not exist")
        return ""

    def finish(self) -> None:
        """Raise BadPacket when the packet goes on."""
        if self.at != self.end:
            raise BadPacket(MALFORMED_PACKET, "a packet that is longer than its fields")

    def _take(self, size: int) -> bytes:
        begin, self.at = self.at, self.at + size
        if self.at > self.end:
            raise BadPacket(MALFORMED_PACKET, "a packet that ends within a field")
        return self._data[begin : self.at]


def read_text(data: bytes) -> str:
    """Return bytes as the text they are. Raises BadPacket for what is not UTF-8, and for characters that MQTT lets none need.

    Those are NUL, and as Mosquitto has it control characters and what Unicode calls no characters.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadPacket(MALFORMED_PACKET, "text that is not UTF-8") from None
    if not (text.isascii() and text.isprintable()) and _UNWANTED.search(text):
        raise BadPacket(MALFORMED_PACKET, "text with a control character in it")
    return text


def read_connect(data: bytes, at: int, end: int) -> Connect:
    """Read a CONNECT from behind its fixed header. Raises BadPacket."""
    reader = Reader(data, at, end)
    name = reader.binary()
    version = reader.number(1)
    if name != b"MQTT" or version not in {MQTT_5, MQTT_3_1_1}:
        if name not in {b"MQTT", b"MQIsdp"}:
            raise BadPacket(MALFORMED_PACKET, "the name of another protocol")
        raise BadPacket(UNSUPPORTED_VERSION, f"version {version} of MQTT; 5 and 3.1.1 (4) are spoken here")
    flags = reader.number(1)
    _check_connect_flags(flags, version)
    keep_alive_s = reader.number(2)
    properties = reader.properties(_OF_CONNECT) if version == MQTT_5 else _NONE
    values = cast("dict[int, int]", properties.values)
    if _AUTHENTICATION_METHOD in values or _AUTHENTICATION_DATA in values:
        if _AUTHENTICATION_METHOD not in values:
            raise BadPacket(PROTOCOL_ERROR, "authentication data without a method")
        raise BadPacket(BAD_AUTHENTICATION_METHOD, "an authentication method; only user name and password are known")
    client_id = _read_client_id(reader)
    will = _read_will(reader, flags, version) if flags & 0x04 else None
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.finish()
    clean = bool(flags & 0x02)
    expiry_s = values.get(SESSION_EXPIRY, 0)
    if version != MQTT_5:
        expiry_s = 0 if clean else _LEGACY_EXPIRY_S
    settings = LinkSettings(
        client_id=client_id,
        username=username,
        password=None if password is None else password.decode(errors="replace"),
        keep_alive_s=keep_alive_s,
        clean_start=clean,
        session_expiry_s=min(expiry_s, NEVER_EXPIRES_S),
        receive_maximum=values.get(_RECEIVE_MAXIMUM, 0xFFFF),
        will=will,
    )
    return Connect(version, settings, values.get(_PACKET_MAX, NO_PACKET_MAX))


def _read_client_id(reader: Reader) -> str:
    data = reader.binary()
    try:
        return read_text(data)
    except BadPacket as bad:
        raise BadPacket(CLIENT_ID_NOT_VALID, f"a client id that is {bad}") from None


def _check_connect_flags(flags: int, version: int) -> None:
    if flags & 0x01:
        raise BadPacket(MALFORMED_PACKET, "a CONNECT with its reserved flag")
    if flags & 0x18 == 0x18:
        raise BadPacket(MALFORMED_PACKET, "a will at QoS 3")
    if not flags & 0x04 and flags & 0x38:
        raise BadPacket(MALFORMED_PACKET, "flags of a will where there is none")
    if version != MQTT_5 and flags & 0xC0 == 0x40:
        raise BadPacket(MALFORMED_PACKET, "a password without a user name")


def _read_will(reader: Reader, flags: int, version: int) -> Will:
    properties = reader.properties(_OF_WILL, {EXPIRY, _WILL_DELAY}) if version == MQTT_5 else _NONE
    values = cast("dict[int, int]", properties.values)
    topic = reader.text()
    frame = ForwardedFrame(
        topic=topic,
        payload=reader.binary(),
        qos=flags >> 3 & 0x03,
        retain=bool(flags & 0x20),
        expiry_s=_expiry_of(values),
        properties=properties.forwarded,
    )
    return Will(frame, values.get(_WILL_DELAY, 0))


def _expiry_of(values: dict[int, int]) -> int | None:
    """Return the expiry of a message; one of 0 s would read as none further on, and is one of 1 s."""
    expiry_s = values.get(EXPIRY)
    return None if expiry_s is None else max(1, expiry_s)


def read_publish(first: int, data: bytes, at: int, end: int, version: int) -> tuple[ForwardedFrame, int, int]:
    """Read a PUBLISH from behind its fixed header: the message, its packet id (0 at QoS 0), its topic alias (0: none).

    The topic is empty where the alias stands for it. Raises BadPacket.
    """
    qos = first >> 1 & 0x03
    begin = at + 2
    at = begin + (data[at] << 8 | data[at + 1]) if begin <= end else end + 1
    if at > end or qos == 3 or (first & 0x08 and not qos):
        raise BadPacket(MALFORMED_PACKET, "a PUBLISH with flags or lengths that cannot be")
    topic = read_text(data[begin:at])
    packet_id = 0
    if qos:
        reader = Reader(data, at, end)
        packet_id = reader.packet_id()
        at += 2
    expiry_s, alias, properties = None, 0, b""
    if version == MQTT_5:
        if at < end and not data[at]:
            at += 1
        elif (plain := _end_of_plain(data, at, end)) > 0:
            at, properties = plain, data[at + 1 : plain]
        else:
            reader = Reader(data, at, end)
            found = reader.properties(_OF_PUBLISH, {EXPIRY, TOPIC_ALIAS})
            values = cast("dict[int, int]", found.values)
            expiry_s, alias, properties, at = _expiry_of(values), values.get(TOPIC_ALIAS, -1), found.forwarded, reader.at
            if not alias:
                raise BadPacket(0x94, "a topic alias of 0")
            alias = max(alias, 0)
    if "+" in topic or "#" in topic:
        raise BadPacket(MALFORMED_PACKET, "a wildcard in the topic of a PUBLISH")
    if not topic and not alias:
        raise BadPacket(PROTOCOL_ERROR if version == MQTT_5 else MALFORMED_PACKET, "a PUBLISH without a topic")
    frame = ForwardedFrame(
        topic=topic,
        payload=data[at:end],
        qos=qos,
        retain=bool(first & 0x01),
        expiry_s=expiry_s,
        duplicate=bool(first & 0x08),
        properties=properties,
    )
    return frame, packet_id, alias


def _end_of_plain(data: bytes, at: int, end: int) -> int:
    """Return where the properties that begin at `at` end if they are a content type and user properties in plain ASCII, else 0.

    Nearly all messages have such, and this takes half the time of reading each value.
    """
    if at >= end or data[at] > 0x7F:
        return 0
    stop = at + 1 + data[at]
    if stop > end:
        return 0
    at += 1
    has_type = False
    try:
        while at < stop:
            identifier = data[at]
            begin = at + 3
            at = begin + (data[at + 1] << 8 | data[at + 2])
            if not _is_plain(data[begin:at]):
                return 0
            if identifier == _PAIR:
                begin = at + 2
                at = begin + (data[at] << 8 | data[at + 1])
                if not _is_plain(data[begin:at]):
                    return 0
            elif identifier == _CONTENT_TYPE and not has_type:
                has_type = True
            else:
                return 0
    except IndexError:
        return 0
    return stop if at == stop else 0


def _is_plain(text: bytes) -> bool:
    return text.isascii() and str(text, "ascii").isprintable()


def read_acknowledgement(data: bytes, at: int, end: int, version: int, *, of_release: bool) -> Acknowledgement:
    """Read a PUBACK, PUBREC, or (`of_release`) PUBREL, PUBCOMP from behind its fixed header. Raises BadPacket."""
    reader = Reader(data, at, end)
    packet_id = reader.packet_id()
    code = 0
    if version == MQTT_5 and reader.at < end:
        code = reader.number(1)
        if code not in (_RELEASE_CODES if of_release else _ACKNOWLEDGE_CODES):
            raise BadPacket(PROTOCOL_ERROR, f"the reason code 0x{code:02X}, which an acknowledgement does not have")
        if reader.at < end:
            reader.properties(_OF_ACKNOWLEDGEMENT)
    reader.finish()
    return Acknowledgement(packet_id, code)


def read_subscribe(data: bytes, at: int, end: int, version: int) -> Subscribe:
    """Read a SUBSCRIBE from behind its fixed header. Raises BadPacket."""
    reader = Reader(data, at, end)
    packet_id = reader.packet_id(MALFORMED_PACKET)
    identifier = 0
    if version == MQTT_5:
        properties = reader.properties(_OF_SUBSCRIBE, code=MALFORMED_PACKET)
        identifier = int(properties.values.get(_SUBSCRIPTION_ID, 0)) << SUBSCRIPTION_ID
    filters = []
    while reader.at < end:
        topic_filter = _read_filter(reader)
        options = reader.number(1)
        if options & 0x03 == 0x03 or options & 0xC0 or options & 0x30 == 0x30 or (version != MQTT_5 and options > 2):
            raise BadPacket(MALFORMED_PACKET, f"the subscription options 0x{options:02X}, which cannot be")
        if options & NO_LOCAL and topic_filter.startswith(SHARED_PREFIX):
            raise BadPacket(PROTOCOL_ERROR, "a shared subscription with the option No Local")
        filters.append((topic_filter, options | identifier))
    if not filters:
        raise BadPacket(PROTOCOL_ERROR, "a SUBSCRIBE without a filter")
    return Subscribe(packet_id, filters)


def _read_filter(reader: Reader) -> str:
    topic_filter = reader.text()
    if not topic_filter:
        raise BadPacket(MALFORMED_PACKET, "a topic filter without a character")
    return topic_filter


def read_unsubscribe(data: bytes, at: int, end: int, version: int) -> tuple[int, list[str]]:
    """Read an UNSUBSCRIBE from behind its fixed header: packet id and filters. Raises BadPacket."""
    reader = Reader(data, at, end)
    packet_id = reader.packet_id(MALFORMED_PACKET)
    if version == MQTT_5:
        reader.properties(_OF_UNSUBSCRIBE, code=MALFORMED_PACKET)
    filters = []
    while reader.at < end:
        filters.append(_read_filter(reader))
    if not filters:
        raise BadPacket(PROTOCOL_ERROR, "an UNSUBSCRIBE without a filter")
    return packet_id, filters


def read_disconnect(data: bytes, at: int, end: int, version: int) -> Disconnect:
    """Read a DISCONNECT from behind its fixed header. Raises BadPacket."""
    reader = Reader(data, at, end)
    code, expiry_s = 0, None
    if version == MQTT_5 and at < end:
        code = reader.number(1)
        if code not in _DISCONNECT_CODES:
            raise BadPacket(PROTOCOL_ERROR, f"the reason code 0x{code:02X}, which no client's DISCONNECT has")
        if reader.at < end:
            value = reader.properties(_OF_DISCONNECT).values.get(SESSION_EXPIRY)
            expiry_s = None if value is None else int(value)
    reader.finish()
    return Disconnect(code, expiry_s)
