"""Where packets begin in a stream, and whose it is, however the bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.transport.link import LinkSettings, Will
from fleet.transport.mqtt_stream import NotMqtt, Tracker, read_client_id, read_head, read_topic, repeated
from fleet.transport.swarm_codec import connect_packet, publish_packet
from fleet.wire.frame import Frame

SIZES = st.lists(st.one_of(st.integers(0, 300), st.sampled_from([16_383, 16_384])), min_size=1, max_size=6)
CUTS = st.lists(st.integers(1, 5_000), min_size=1, max_size=8)
OLD_CONNECT = bytes.fromhex("10 10 0004 4d515454 04 02 003c 0004") + b"old1"
"""MQTT 3.1.1, which has no properties."""


def publish(payload: int) -> bytes:
    return publish_packet(Frame(topic="a/b", payload=bytes(payload)), 7)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the stream in pieces of these sizes, again and again."""
    found, at, turn = [], 0, 0
    while at < len(stream):
        found.append(stream[at : at + cuts[turn % len(cuts)]])
        at += cuts[turn % len(cuts)]
        turn += 1
    return found


@settings(deadline=None)
@given(SIZES, CUTS)
def test_it_is_known_where_packets_begin(sizes: list[int], cuts: list[int]) -> None:
    """At each cut: between two packets exactly when one has just ended."""
    packets = [publish(size) for size in sizes]
    ends = {sum(map(len, packets[:count])) for count in range(len(packets) + 1)}
    tracker, at = Tracker(), 0
    for piece in pieces(b"".join(packets), cuts):
        tracker.follow(piece)
        at += len(piece)
        assert tracker.between == (at in ends)
    assert not tracker.lost


@pytest.mark.parametrize("stream", [b"\x00\x00", b"\x30\xff\xff\xff\xff\xff", publish(5) + b"\x05"])
def test_what_is_no_mqtt_is_followed_no_further(stream: bytes) -> None:
    """Type 0, and a length that never ends."""
    tracker = Tracker()
    tracker.follow(stream)
    assert tracker.lost


@pytest.mark.parametrize(
    "connect",
    [
        connect_packet(LinkSettings(client_id="VSSZZZKMZTP000001", username="u", password="p")),
        connect_packet(LinkSettings(client_id="VSSZZZKMZTP000001", will=Will(Frame(topic="t", payload=b"x"), 5))),
    ],
)
def test_the_client_id_is_known_with_its_last_byte(connect: bytes) -> None:
    """Neither before nor later."""
    known = connect.index(b"VSSZZZKMZTP000001") + 17
    assert [read_client_id(connect[:end]) for end in range(1, known)] == [None] * (known - 1)
    assert [read_client_id(connect[:end]) for end in range(known, len(connect) + 1)] == ["VSSZZZKMZTP000001"] * (
        len(connect) + 1 - known
    )


def test_an_old_connect_has_no_properties() -> None:
    assert read_client_id(OLD_CONNECT) == "old1"


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"GET / HTTP", b"\x10\x10\x00\x04HTTP", b"\x10\x02\x00\x04MQTT\x05\x00\x00\x3c\x00\x00\x04"]
)
def test_other_protocols_are_none(data: bytes) -> None:
    """TLS, HTTP, another name, and a CONNECT too short for what it says."""
    with pytest.raises(NotMqtt):
        read_client_id(data)


def test_topics() -> None:
    """Known as soon as it is there; a length beyond the packet is no MQTT."""
    packet = publish(200)
    head = read_head(packet, 0)
    assert head is not None
    assert (head.packet, head.total, head.length) == ("PUBLISH", len(packet), 3)
    assert [read_topic(packet[:end], 0, head) for end in (3, 5, 7, 8, 20)] == [None, None, None, "a/b", "a/b"]
    broken = b"\x30\x03\x00\x09a"
    head = read_head(broken, 0)
    assert head is not None
    with pytest.raises(NotMqtt):
        read_topic(broken, 0, head)


def test_a_repeated_publish_has_its_flag() -> None:
    """Above QoS 0; all else is as it was."""
    packet = publish(3)
    assert repeated(packet) == bytes((packet[0] | 8,)) + packet[1:]
    for other in (b"\x40\x02\x00\x07", b"\x30\x03\x00\x01a"):
        assert repeated(other) == other
