"""Mutants of MQTT packets: the n-th session of a seed is always the same, whatever came before it.

Packets of mqtt_fuzz are seeds where they are there; packets of ours, of all kinds and both versions, always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import mqtt5

from fleet.kernel.draws import Draws, stream_key
from tests.conformance.wire import connect, publish, text_field

T = TypeVar("T")

MOST_CHANGES: Final = 4
MOST_PACKETS: Final = 8
LARGEST: Final = 1 << 16
"""Bytes of a mutant; one that grows beyond is cut."""
_CONNECT: Final = 0x10
_EDGES: Final = bytes((0x00, 0x01, 0x7F, 0x80, 0xFF))
_EXACTLY_ONCE: Final = mqtt5.QoS.EXACTLY_ONCE


@dataclass(frozen=True, slots=True)
class Session:
    """The bytes of one connection, in the pieces in which they are written, and how many of their packets are mutants."""

    pieces: tuple[bytes, ...]
    mutants: int


@dataclass(frozen=True, slots=True)
class Seeds:
    """Valid packets of clients of one version of MQTT: CONNECTs, and all others."""

    connects: tuple[bytes, ...]
    others: tuple[bytes, ...]

    @staticmethod
    def of(packets: Sequence[bytes]) -> Seeds:
        """Tell them apart."""
        connects = tuple(packet for packet in packets if packet[0] == _CONNECT)
        return Seeds(connects, tuple(packet for packet in packets if packet[0] != _CONNECT))


def own_seeds() -> tuple[list[bytes], list[bytes]]:
    """Return valid packets of a client of MQTT 3.1.1, and of one of MQTT 5."""
    user = [("name", "value")]
    old = [
        connect("old", 4), publish("a/b", b"x"), publish("a/b", b"x", 1), publish("a/b", b"x", 2, retain=True),
        b"\x82\x08\0\1\0\3a/+\1", b"\xa2\x07\0\1\0\3a/+", b"\x40\2\0\1", b"\x50\2\0\1", b"\x62\2\0\1", b"\x70\2\0\1", b"\xc0\0",
        b"\xe0\0",
    ]  # fmt: skip
    will = mqtt5.Will(
        "a/will", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True, will_delay_interval=1, user_properties=user
    )
    new: list[mqtt5.Packet] = [
        mqtt5.ConnectPacket("new", clean_start=True, keep_alive=60),
        mqtt5.ConnectPacket(
            "newer", username="u", password=b"p", will=will, session_expiry_interval=5, receive_max=3, max_packet_size=512,
            user_properties=user,
        ),
        mqtt5.PublishPacket(
            "a/b", b"payload", qos=_EXACTLY_ONCE, packet_id=1, message_expiry_interval=2, content_type="text",
            response_topic="a/r", correlation_data=b"\0\1", user_properties=user,
        ),
        mqtt5.PublishPacket("a/b", b"payload", retain=True, topic_alias=1),
        mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a/#", max_qos=_EXACTLY_ONCE), mqtt5.TopicFilter("$share/g/a/+")]),
        mqtt5.UnsubscribePacket(1, ["a/#", "b"]),
        mqtt5.PubAckPacket(1), mqtt5.PubRecPacket(1), mqtt5.PubRelPacket(1), mqtt5.PubCompPacket(1), mqtt5.PingReqPacket(),
        mqtt5.DisconnectPacket(session_expiry_interval=0), mqtt5.AuthPacket(),
    ]  # fmt: skip
    return old, [packet.write() for packet in new]


def broker_seeds() -> list[bytes]:
    """Return valid packets of a broker of MQTT 5, with all that they may hold."""
    said: Any = {"reason_str": "because", "user_properties": [("name", "value")]}
    packets: list[mqtt5.Packet] = [
        mqtt5.ConnAckPacket(
            session_present=True, receive_max=5, max_packet_size=1000, server_keep_alive=9, assigned_client_id="x",
            response_info="i", server_reference="s", **said,
        ),
        mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE], **said),
        mqtt5.UnsubAckPacket(65_535, [mqtt5.UnsubAckReasonCode.SUCCESS], **said),
        mqtt5.PublishPacket(
            "a/b", b"payload", qos=_EXACTLY_ONCE, packet_id=3, message_expiry_interval=2, content_type="text", response_topic="r",
            correlation_data=b"12", user_properties=[("name", "value")], subscription_ids=[300, 2],
        ),
        *(kind(1, **said) for kind in (mqtt5.PubAckPacket, mqtt5.PubRecPacket, mqtt5.PubRelPacket, mqtt5.PubCompPacket)),
        mqtt5.PingRespPacket(),
        mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SERVER_BUSY, server_reference="s", **said),
        mqtt5.AuthPacket(authentication_method="m", authentication_data=b"d", **said),
    ]  # fmt: skip
    return [packet.write() for packet in packets]


def all_seeds(folder: Path | None) -> list[Seeds]:
    """Return the seeds of each version; the folder is that of mqtt_fuzz, which has packets of MQTT 3.1.1."""
    old, new = own_seeds()
    return [Seeds.of([*old, *(() if folder is None else read_seeds(folder))]), Seeds.of(new)]


def read_seeds(folder: Path) -> list[bytes]:
    """Return the seed packets of mqtt_fuzz, in the order of their names."""
    return [file.read_bytes() for file in sorted((folder / "valid-cases").rglob("*.raw"))]


class Mutator:
    """Draws sessions of valid and mutated packets."""

    def __init__(self, seeds: Sequence[Seeds], seed: int) -> None:
        """Take the packets to begin with, by version, and the seed of all draws."""
        self._seeds = list(seeds)
        self._key = stream_key(seed, "mutants")

    def session(self, number: int) -> Session:
        """Return a CONNECT that mostly is valid, and packets of which half are mutants; in one piece or two."""
        draws = Draws(self._key, "session", number)
        seeds = _one_of(draws, self._seeds)
        packets = [self._perhaps(_one_of(draws, seeds.connects), 8, draws)]
        mutants = int(packets[0] not in seeds.connects)
        for _ in range(1 + _below(draws, MOST_PACKETS)):
            strange = not _below(draws, 16)  # of another version, or a CONNECT again
            other = _one_of(draws, self._seeds)
            packet = _one_of(draws, (*other.others, *other.connects) if strange else seeds.others)
            packets.append(self._perhaps(packet, 2, draws))
            mutants += packets[-1] != packet
        return Session(_cut(b"".join(packets), draws), mutants)

    def _perhaps(self, packet: bytes, one_in: int, draws: Draws) -> bytes:
        return packet if _below(draws, one_in) else self.mutant(packet, draws)

    def mutant(self, packet: bytes, draws: Draws) -> bytes:
        """Return the packet with some changes, in half of all cases with a length that is right again."""
        data = bytearray(packet)
        for _ in range(1 + _below(draws, MOST_CHANGES)):
            _one_of(draws, _CHANGES)(data, draws)
        if not _below(draws, 8):  # the tail of another packet
            data += _one_of(draws, _one_of(draws, self._seeds).others)[_below(draws, 8) :]
        if not _below(draws, 2):  # a length that is right again lets the change come further
            data = _right_length(data)
        return bytes(data[:LARGEST])


def _below(draws: Draws, count: int) -> int:
    return draws.bits() % count


def _one_of(draws: Draws, items: Sequence[T]) -> T:
    return items[_below(draws, len(items))]


def _place(data: bytearray, draws: Draws) -> int:
    return _below(draws, len(data)) if data else 0


def _flip(data: bytearray, draws: Draws) -> None:
    if data:
        data[_place(data, draws)] ^= 1 << _below(draws, 8)


def _edge(data: bytearray, draws: Draws) -> None:
    if data:
        data[_place(data, draws)] = _one_of(draws, _EDGES)


def _any_byte(data: bytearray, draws: Draws) -> None:
    if data:
        data[_place(data, draws)] = _below(draws, 256)


def _remove(data: bytearray, draws: Draws) -> None:
    at = _place(data, draws)
    del data[at : at + 1 + _below(draws, 8)]


def _insert(data: bytearray, draws: Draws) -> None:
    at = _place(data, draws)
    data[at:at] = draws.bits().to_bytes(8, "big")[: 1 + _below(draws, 8)]


def _repeat(data: bytearray, draws: Draws) -> None:
    at = _place(data, draws)
    piece = bytes(data[at : at + 1 + _below(draws, 16)])
    data[at:at] = piece * (1 + _below(draws, 1 << _below(draws, 11)))


def _length(data: bytearray, draws: Draws) -> None:
    """Claim another remaining length, up to one of five bytes."""
    if len(data) > 1:
        data[1:2] = _one_of(
            draws, (b"\0", b"\x7f", b"\x80\x01", b"\xff\x7f", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x01", b"\x80\0")
        )


def _text(data: bytearray, draws: Draws) -> None:
    """Insert text that is none, or that means something in a topic."""
    at = _place(data, draws)
    data[at:at] = _one_of(draws, (b"\xed\xa0\x80", b"\xff", b"\0", b"#", b"+", b"/", b"$share/g/", "é".encode(), text_field("x")))


_CHANGES: Final[tuple[Callable[[bytearray, Draws], None], ...]] = (
    _flip, _flip, _edge, _any_byte, _remove, _insert, _repeat, _length, _text,
)  # fmt: skip


def _right_length(data: bytearray) -> bytearray:
    """Return the packet with a remaining length that is true, when one byte of it was the length."""
    if len(data) < 2 or data[1] > 0x7F:
        return data
    body, length = len(data) - 2, bytearray()
    while True:
        body, low = body >> 7, body & 0x7F
        length.append(low | 0x80 if body else low)
        if not body:
            return data[:1] + length + data[2:]


def _cut(data: bytes, draws: Draws) -> tuple[bytes, ...]:
    if _below(draws, 4):
        return (data,)
    at = _below(draws, len(data) + 1)
    return data[:at], data[at:]
