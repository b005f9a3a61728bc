"""Packets as the embedded broker writes them: the codec of the links reads them as they were meant."""

from __future__ import annotations

import mqtt5
import pytest

from fleet.transport.client_packets import ConnackPacket, DisconnectPacket, ForwardedFrame, PubcompPacket, SubackPacket
from fleet.transport.embedded_writing import length_bytes, packet_bytes, publish_bytes
from fleet.transport.mqtt_stream import packet_size
from fleet.wire.frame import Frame


def read(data: bytes) -> mqtt5.Packet:
    packet, length = mqtt5.read(memoryview(data))
    assert length == len(data)
    return packet


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_payloads_of_any_size(size: int) -> None:
    """The length has one to four bytes, and the size of a packet is known before it is written."""
    frame = ForwardedFrame(topic="a/ü", payload=bytes(size), qos=1, expiry_s=7, properties=b"\x03\x00\x01t")
    data = publish_bytes(frame, 5, 5)
    packet = read(data)
    assert isinstance(packet, mqtt5.PublishPacket)
    assert (packet.topic, len(packet.payload), packet.packet_id) == ("a/ü", size, 5)
    assert (packet.message_expiry_interval, packet.content_type) == (7, "t")
    assert packet_size(frame) == len(data)


def test_lengths() -> None:
    assert [length_bytes(length) for length in (127, 128, 16_384, 268_435_455)] == [
        b"\x7f", b"\x80\x01", b"\x80\x80\x01", b"\xff\xff\xff\x7f",
    ]  # fmt: skip


def test_a_message_that_did_not_come_as_bytes() -> None:
    packet = read(publish_bytes(Frame(topic="a", payload=b"x", qos=0, expiry_s=3), 0, 5))
    assert isinstance(packet, mqtt5.PublishPacket)
    assert (packet.message_expiry_interval, packet.packet_id) == (3, None)


@pytest.mark.parametrize(("code", "legacy"), [(0, 0), (0x84, 1), (0x85, 2), (0x86, 4), (0x87, 5), (0x97, 3)])
def test_connack_of_an_older_client(code: int, legacy: int) -> None:
    assert packet_bytes(ConnackPacket(code), 4) == bytes((0x20, 2, 0, legacy))


def test_connack_in_words() -> None:
    packet = read(packet_bytes(ConnackPacket(0x81, said=("too short",)), 5))
    assert isinstance(packet, mqtt5.ConnAckPacket)
    assert packet.reason_str == "too short"


def test_refusals_of_filters_in_both_versions() -> None:
    suback = SubackPacket((1, 0x8F), packet_id=7)
    assert packet_bytes(suback, 5) == b"\x90\x05\x00\x07\x00\x01\x8f"
    assert packet_bytes(suback, 4) == b"\x90\x04\x00\x07\x01\x80"


def test_only_mqtt_5_has_reasons() -> None:
    assert packet_bytes(DisconnectPacket(0x8B), 5) == b"\xe0\x01\x8b"
    assert packet_bytes(DisconnectPacket(0x8B), 4) == b""
    assert packet_bytes(PubcompPacket(1, known=False), 4) == b"\x70\x02\x00\x01"
