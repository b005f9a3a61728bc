"""Packets as the embedded broker reads them, without a connection."""

from __future__ import annotations

import mqtt5
import pytest

from fleet.transport.embedded_reading import BadPacket, read_connect, read_disconnect, read_publish, read_subscribe
from fleet.transport.simulated_sessions import NEVER_EXPIRES_S


def body(packet: bytes) -> tuple[bytes, int, int]:
    """Return the bytes of a short packet, and where it begins and ends behind its fixed header."""
    return packet, 2, len(packet)


def test_a_connect_with_all_that_there_is() -> None:
    will = mqtt5.Will("w", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True, will_delay_interval=7,
                      message_expiry_interval=9, content_type="t")  # fmt: skip
    packet = mqtt5.ConnectPacket(
        "one", username="u", password=b"p", will=will, keep_alive=30, session_expiry_interval=NEVER_EXPIRES_S, receive_max=5,
        max_packet_size=200,
    )  # fmt: skip
    found = read_connect(*body(packet.write()))
    settings = found.settings
    assert (found.version, found.packet_max, settings.receive_maximum, settings.session_expiry_s) == (5, 200, 5, NEVER_EXPIRES_S)
    assert (settings.client_id, settings.username, settings.password, settings.keep_alive_s) == ("one", "u", "p", 30)
    assert settings.will is not None
    assert (settings.will.delay_s, settings.will.frame.expiry_s, settings.will.frame.qos, settings.will.frame.retain) == (
        7,
        9,
        1,
        True,
    )


@pytest.mark.parametrize(
    ("flags", "version"),
    [(0x01, 5), (0x1C, 5), (0x20, 5), (0x08, 4), (0x40, 4)],
    ids=["reserved", "will at QoS 3", "retained will without a will", "QoS of no will", "password without a user"],
)
def test_flags_of_a_connect_that_cannot_be(flags: int, version: int) -> None:
    packet = b"\x10\x0d\x00\x04MQTT" + bytes((version, flags)) + b"\x00\x3c\x00\x00\x00"
    with pytest.raises(BadPacket) as caught:
        read_connect(*body(packet))
    assert caught.value.code == 0x81


def test_an_authentication_method() -> None:
    packet = mqtt5.ConnectPacket("one", authentication_method="SCRAM").write()
    with pytest.raises(BadPacket) as caught:
        read_connect(*body(packet))
    assert caught.value.code == 0x8C


def test_a_publish_keeps_what_need_not_be_read() -> None:
    """Expiry and alias are read; all other properties stay as the sender wrote them."""
    packet = mqtt5.PublishPacket(
        "a", b"x", message_expiry_interval=5, topic_alias=3, content_type="t", user_properties=[("k", "v")]
    ).write()
    frame, packet_id, alias = read_publish(packet[0], *body(packet), 5)
    assert (frame.expiry_s, packet_id, alias, frame.payload) == (5, 0, 3, b"x")
    assert sorted(frame.properties.split(b"\x26")) == sorted([b"\x03\x00\x01t", b"\x00\x01k\x00\x01v"])


def test_a_subscription_has_its_options_and_identifier_in_one_number() -> None:
    packet = mqtt5.SubscribePacket(
        9, [mqtt5.TopicFilter("a", no_local=True, retain_as_published=True)], subscription_id=300
    ).write()
    assert read_subscribe(*body(packet), 5) == (9, [("a", 0x0E | 300 << 8)])


def test_a_disconnect_without_a_body_is_normal() -> None:
    assert read_disconnect(b"\xe0\x00", 2, 2, 5) == (0, None)
