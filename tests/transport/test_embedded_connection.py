"""Bytes of clients and the embedded broker's answers: what is MQTT is served, what is not ends with its reason."""

from __future__ import annotations

import mqtt5
import pytest

from fleet.kernel.draws import Draws, stream_key
from fleet.transport.embedded_connection import CONNECT_WITHIN_S, Listener
from fleet.transport.simulated_sessions import BrokerLimits
from tests.nightly import draws
from tests.transport.embedded_rig import OLD_CONNECT, Client, EmbeddedRig

CONNECT = mqtt5.ConnectPacket("one").write()


def publish(topic: str, payload: bytes = b"x", **options: object) -> bytes:
    qos = options.pop("qos", mqtt5.QoS.AT_MOST_ONCE)
    packet_id = options.pop("packet_id", None if qos == mqtt5.QoS.AT_MOST_ONCE else 7)
    return mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id, **options).write()  # type: ignore[arg-type]


def code_of_end(client: Client) -> int | None:
    """Return the reason code with which the client was disconnected; None for a mere end."""
    assert client.is_closed
    ends = [packet for packet in client.read() if isinstance(packet, mqtt5.DisconnectPacket)]
    return int(ends[-1].reason_code) if ends else None


class TestConnecting:
    """The first packet."""

    def test_connack_tells_the_limits(self) -> None:
        [connack] = EmbeddedRig().open().ask(CONNECT)
        assert isinstance(connack, mqtt5.ConnAckPacket)
        assert (int(connack.reason_code), connack.receive_max, connack.max_packet_size) == (0, 4000, 1_048_576)
        assert (int(connack.max_qos), connack.topic_alias_max, connack.assigned_client_id) == (2, 10, None)

    def test_a_client_without_an_id_is_given_one(self) -> None:
        [connack] = EmbeddedRig().open().ask(mqtt5.ConnectPacket("").write())
        assert isinstance(connack, mqtt5.ConnAckPacket)
        assert connack.assigned_client_id == "auto-1"

    def test_byte_by_byte(self) -> None:
        """However TCP cuts the stream, the same comes of it."""
        client = EmbeddedRig().open()
        stream = CONNECT + publish("a", b"y" * 200, qos=mqtt5.QoS.AT_LEAST_ONCE) + b"\xc0\x00"
        answers = b"".join(client.send(stream[at : at + 1]) for at in range(len(stream)))
        whole = EmbeddedRig().open().send(stream)
        assert answers == whole
        assert whole.endswith(b"\x40\x03\x00\x07\x10\xd0\x00")

    def test_mqtt_3_1_1_is_let_in(self) -> None:
        rig = EmbeddedRig()
        old = rig.open()
        assert old.send(OLD_CONNECT) == b"\x20\x02\x00\x00"
        assert old.send(b"\x82\x06\x00\x01\x00\x01a\x02") == b"\x90\x03\x00\x01\x02"
        rig.client("new").send(publish("a", b"hi", content_type="text/plain"))
        assert bytes(old.wire.written).endswith(b"\x30\x05\x00\x01ahi")
        assert old.send(b"\xa2\x05\x00\x02\x00\x01a") == b"\xb0\x02\x00\x02"

    @pytest.mark.parametrize(
        "connect", [b"\x10\x0d\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a", b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a"]
    )
    def test_another_version_is_refused_clearly(self, connect: bytes) -> None:
        rig = EmbeddedRig()
        client = rig.open()
        assert client.send(connect) == b"\x20\x02\x00\x01"
        assert client.is_closed
        assert rig.machine.counts.refused_version == 1

    @pytest.mark.parametrize(
        "first", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\xc0\x00", publish("a"), b"\x00\x00"]
    )
    def test_something_else_first_ends_the_connection(self, first: bytes) -> None:
        client = EmbeddedRig().open()
        assert client.send(first) == b""
        assert client.is_closed

    def test_a_client_that_takes_less_than_a_connack(self) -> None:
        """It is not even refused: that would be too large, too."""
        client = EmbeddedRig().open()
        assert client.send(mqtt5.ConnectPacket("tiny", max_packet_size=2).write()) == b""
        assert client.is_closed

    def test_an_old_client_that_unsubscribes_nothing(self) -> None:
        rig = EmbeddedRig()
        old = rig.open()
        old.send(OLD_CONNECT)
        assert old.send(b"\xa2\x04\x00\x01\x00\x00") == b""
        assert old.is_closed

    def test_no_connect_in_time(self) -> None:
        rig = EmbeddedRig()
        client = rig.open()
        rig.wait(CONNECT_WITHIN_S - 1)
        assert rig.machine.counts.timed_out == 0
        rig.wait(1)
        assert client.is_closed
        assert rig.machine.counts.timed_out == 1

    def test_a_second_connect(self) -> None:
        rig = EmbeddedRig()
        client = rig.client()
        client.send(CONNECT)
        assert code_of_end(client) == 0x82

    def test_the_name_in_the_certificate_is_the_user(self) -> None:
        rig = EmbeddedRig()
        listener = Listener(username_as_client_id=True, identity_as_username=True)
        rig.open(listener, "VIN1").send(mqtt5.ConnectPacket("somebody", username="else").write())
        session = rig.machine.broker.session("VIN1")
        assert session is not None
        assert session.username == "VIN1"

    def test_the_session_of_an_old_client_is_kept_when_it_wants_one(self) -> None:
        rig = EmbeddedRig()
        kept = OLD_CONNECT.replace(b"\x04\x02\x00\x3c", b"\x04\x00\x00\x3c")
        old = rig.open()
        old.send(kept, b"\x82\x06\x00\x01\x00\x01a\x01")
        rig.machine.lost(old.connection, rig.now)
        rig.client("new").send(publish("a", qos=mqtt5.QoS.AT_LEAST_ONCE))
        again = rig.open()
        assert again.send(kept) == b"\x20\x02\x01\x00" + b"\x32\x06\x00\x01a\x00\x01x"


class TestPublishing:
    """Messages, as bytes."""

    def test_properties_pass_unchanged(self) -> None:
        rig = EmbeddedRig()
        reader = rig.client("reader", "a")
        sent = {
            "payload_format_indicator": 1, "content_type": "text/plain", "response_topic": "r", "correlation_data": b"\x00\x01",
            "user_properties": [("k", "v"), ("k", "w")],
        }  # fmt: skip
        rig.client().send(publish("a", b"text", message_expiry_interval=30, **sent))
        [got] = reader.read()
        assert isinstance(got, mqtt5.PublishPacket)
        assert {name: getattr(got, name) for name in sent} == sent
        assert (got.message_expiry_interval, got.payload) == (30, b"text")

    def test_expiry_runs_down_while_retained(self) -> None:
        rig = EmbeddedRig()
        rig.client().send(publish("a", b"old", retain=True, message_expiry_interval=30))
        rig.wait(12)
        client = rig.client("two", "other")
        *_, got = client.ask(mqtt5.SubscribePacket(2, [mqtt5.TopicFilter("a")]).write())
        assert isinstance(got, mqtt5.PublishPacket)
        assert (got.message_expiry_interval, got.retain) == (18, True)
        rig.wait(18)
        assert len(client.ask(mqtt5.SubscribePacket(3, [mqtt5.TopicFilter("a")]).write())) == 1

    def test_topic_alias(self) -> None:
        rig = EmbeddedRig()
        reader = rig.client("reader", "a")
        client = rig.client()
        client.send(publish("a", b"1", topic_alias=3), publish("", b"2", topic_alias=3))
        assert [packet.payload for packet in reader.read() if isinstance(packet, mqtt5.PublishPacket)] == [b"1", b"2"]
        client.send(publish("", b"3", topic_alias=4))
        assert code_of_end(client) == 0x82

    @pytest.mark.parametrize("alias", [0, 11])
    def test_topic_alias_out_of_range(self, alias: int) -> None:
        client = EmbeddedRig().client()
        client.send(b"\x30\x08\x00\x01a\x03\x23" + alias.to_bytes(2, "big") + b"x")
        assert code_of_end(client) == 0x94

    def test_exactly_once(self) -> None:
        """A message at QoS 2 that is repeated arrives once, and each step is answered."""
        rig = EmbeddedRig()
        reader = rig.client("reader", "a")
        client = rig.client()
        once = publish("a", b"1", qos=mqtt5.QoS.EXACTLY_ONCE)
        assert client.send(once) == b"\x50\x02\x00\x07"
        assert client.send(bytes((once[0] | 8,)) + once[1:]) == b"\x50\x02\x00\x07"
        [got] = reader.read()
        assert isinstance(got, mqtt5.PublishPacket)
        assert reader.send(b"\x50\x02" + (got.packet_id or 0).to_bytes(2, "big")) == b"\x62\x02\x00\x01"
        assert reader.send(b"\x70\x02\x00\x01") == b""
        assert client.send(b"\x62\x02\x00\x07") == b"\x70\x02\x00\x07"
        assert client.send(b"\x62\x02\x00\x07") == b"\x70\x03\x00\x07\x92"

    @pytest.mark.parametrize(
        ("qos", "answers"),
        [
            (1, [b"\x50\x02\x00\x01"]),  # PUBREC for QoS 1
            (1, [b"\x70\x02\x00\x01"]),  # PUBCOMP
            (2, [b"\x40\x02\x00\x01"]),  # PUBACK for QoS 2
            (2, [b"\x70\x02\x00\x01"]),  # PUBCOMP before PUBREC
            (2, [b"\x50\x02\x00\x01", b"\x40\x02\x00\x01"]),  # PUBACK in place of PUBCOMP
        ],
    )
    def test_an_acknowledgement_of_another_kind(self, qos: int, answers: list[bytes]) -> None:
        """It ends the connection; the message comes again in the next one."""
        rig = EmbeddedRig()
        reader = rig.client("reader", "a", session_expiry_interval=60)
        rig.client().send(publish("a", qos=mqtt5.QoS(qos)))
        for answer in answers:
            reader.send(answer)
        assert code_of_end(reader) == 0x82

    def test_acknowledgements_of_nothing(self) -> None:
        """They change nothing; a PUBREC that refuses wants no answer."""
        client = EmbeddedRig().client()
        assert client.send(b"\x40\x02\x00\x09", b"\x70\x02\x00\x09", b"\x50\x03\x00\x09\x80") == b""
        assert client.send(b"\x50\x02\x00\x09") == b"\x62\x03\x00\x09\x92"

    @pytest.mark.parametrize("topic", ["$SYS/uptime", "$share/g/a"])
    def test_topics_of_the_broker(self, topic: str) -> None:
        assert EmbeddedRig().client().send(publish(topic, qos=mqtt5.QoS.AT_LEAST_ONCE)) == b"\x40\x03\x00\x07\x87"

    def test_release_outlives_the_connection(self) -> None:
        """Between PUBREC and PUBCOMP a client that comes back gets its PUBREL again, and not the message."""
        rig = EmbeddedRig()
        reader = rig.client("reader", "a", session_expiry_interval=100)
        rig.client().send(publish("a", b"1", qos=mqtt5.QoS.EXACTLY_ONCE))
        reader.send(b"\x50\x02\x00\x01")
        rig.machine.lost(reader.connection, rig.now)
        again = rig.open()
        answer = again.send(mqtt5.ConnectPacket("reader", session_expiry_interval=100).write())
        assert answer.endswith(b"\x62\x02\x00\x01")

    def test_wildcards_are_no_topic(self) -> None:
        client = EmbeddedRig().client()
        client.send(b"\x30\x07\x00\x03a/+\x00x")
        assert code_of_end(client) == 0x81

    def test_larger_than_the_client_takes(self) -> None:
        rig = EmbeddedRig()
        reader = rig.client("reader", "a", max_packet_size=100)
        rig.client().send(publish("a", bytes(200)), publish("a", bytes(20)))
        assert [len(packet.payload) for packet in reader.read() if isinstance(packet, mqtt5.PublishPacket)] == [20]
        assert rig.machine.broker.counts.too_large == 1

    def test_larger_than_the_broker_takes(self) -> None:
        """The length alone ends the connection: nothing is kept of it."""
        client = EmbeddedRig().client()
        client.send(b"\x30\xff\xff\xff\x7f")
        assert code_of_end(client) == 0x95

    def test_too_many_at_once(self) -> None:
        client = EmbeddedRig(limits=BrokerLimits(max_qos=2, max_inflight_messages=2)).client()
        client.send(*(publish("a", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=number) for number in (1, 2, 3)))
        assert code_of_end(client) == 0x93


class TestSubscribing:
    """Options of subscriptions."""

    def test_no_local(self) -> None:
        rig = EmbeddedRig()
        client = rig.client()
        client.send(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a", no_local=True)]).write())
        client.send(publish("a"))
        assert client.read() == []
        rig.client("two").send(publish("a"))
        assert len(client.read()) == 1

    @pytest.mark.parametrize(("as_published", "flag"), [(True, True), (False, False)])
    def test_retain_as_published(self, as_published: bool, flag: bool) -> None:
        rig = EmbeddedRig()
        client = rig.client()
        client.send(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a", retain_as_published=as_published)]).write())
        client.read()
        rig.client("two").send(publish("a", retain=True))
        [got] = client.read()
        assert isinstance(got, mqtt5.PublishPacket)
        assert got.retain == flag

    @pytest.mark.parametrize(("handling", "counts"), [(0x00, [1, 1]), (0x10, [1, 0]), (0x20, [0, 0])])
    def test_retain_handling(self, handling: int, counts: list[int]) -> None:
        rig = EmbeddedRig()
        rig.client("two").send(publish("a", retain=True))
        client = rig.client()
        wanted = b"\x82\x07\x00\x01\x00\x00\x01a" + bytes((handling,))
        assert [len(client.ask(wanted)) - 1 for _ in range(2)] == counts

    def test_identifiers(self) -> None:
        """Each copy of a message has the identifier of the subscription by which it comes."""
        rig = EmbeddedRig()
        client = rig.client()
        for number, topic_filter in ((1, "a"), (300, "#")):
            client.send(mqtt5.SubscribePacket(number, [mqtt5.TopicFilter(topic_filter)], subscription_id=number).write())
        client.read()
        rig.client("two").send(publish("a"))
        assert [packet.subscription_ids for packet in client.read() if isinstance(packet, mqtt5.PublishPacket)] == [[1], [300]]

    def test_shared(self) -> None:
        """Members of a group take turns, another group has its own copy, and one that is away is passed over."""
        rig = EmbeddedRig()
        members = [rig.client(f"m{number}", "$share/g/a/+", session_expiry_interval=60) for number in range(2)]
        other = rig.client("other", "$share/h/a/b")
        sender = rig.client("sender")
        for _ in range(4):
            sender.send(publish("a/b", qos=mqtt5.QoS.AT_LEAST_ONCE))
        assert [len(client.read()) for client in (*members, other)] == [2, 2, 4]
        rig.machine.lost(members[0].connection, rig.now)
        for _ in range(2):
            sender.send(publish("a/b"))
        assert len(members[1].read()) == 2
        members[1].send(mqtt5.UnsubscribePacket(5, ["$share/g/a/+"]).write())
        assert b"\xb0\x04\x00\x05\x00\x00" in bytes(members[1].wire.written)

    def test_no_local_in_a_group(self) -> None:
        client = EmbeddedRig().client()
        client.send(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("$share/g/a", no_local=True)]).write())
        assert code_of_end(client) == 0x82

    def test_a_filter_of_ten_thousand_levels(self) -> None:
        rig = EmbeddedRig()
        client = rig.client()
        [suback] = client.ask(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("/" * 10_000)]).write())
        assert isinstance(suback, mqtt5.SubAckPacket)
        assert [int(code) for code in suback.reason_codes] == [0x8F]
        assert client.send(publish("/" * 10_000, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True)) == b"\x40\x03\x00\x07\x90"


class TestEnding:
    """Ends of connections."""

    def test_taken_over(self) -> None:
        rig = EmbeddedRig()
        first = rig.client()
        rig.client()
        assert code_of_end(first) == 0x8E

    def test_disconnect_with_will(self) -> None:
        rig = EmbeddedRig()
        reader = rig.client("reader", "w")
        for name, parting in (("one", b"\xe0\x00"), ("two", b"\xe0\x01\x04")):
            client = rig.client(name, will=mqtt5.Will("w", payload=name.encode()))
            client.send(parting)
            assert client.is_closed
        assert [packet.payload for packet in reader.read() if isinstance(packet, mqtt5.PublishPacket)] == [b"two"]

    def test_disconnect_changes_the_expiry(self) -> None:
        rig = EmbeddedRig()
        rig.client(session_expiry_interval=10).send(mqtt5.DisconnectPacket(session_expiry_interval=100).write())
        rig.wait(50)
        assert rig.machine.broker.session("one") is not None
        rig.wait(51)
        assert rig.machine.broker.session("one") is None

    def test_disconnect_cannot_revive_a_session(self) -> None:
        client = EmbeddedRig().client()
        client.send(mqtt5.DisconnectPacket(session_expiry_interval=100).write())
        assert code_of_end(client) == 0x82

    def test_nothing_is_taken_after_the_end(self) -> None:
        rig = EmbeddedRig()
        reader = rig.client("reader", "a")
        client = rig.client()
        client.send(b"\xe0\x00", publish("a"))
        client.send(publish("a"))
        assert reader.read() == []


class TestSlowReaders:
    """Clients that do not read what they are sent."""

    def test_what_is_for_it_waits_and_is_bounded(self) -> None:
        rig = EmbeddedRig(limits=BrokerLimits(max_qos=2, max_queued_messages=3))
        reader = rig.client("reader", "a")
        reader.connection.hold_up()
        sender = rig.client("sender")
        for number in range(5):
            sender.send(publish("a", b"%d" % number, qos=mqtt5.QoS.AT_LEAST_ONCE))
        sender.send(publish("a", b"lost"))
        assert bytes(reader.wire.written) == b""
        counts = rig.machine.broker.counts
        assert (counts.dropped, counts.withheld, rig.machine.counts.held_up) == (2, 1, 1)
        reader.connection.go_on(rig.now)
        assert [packet.payload for packet in reader.read() if isinstance(packet, mqtt5.PublishPacket)] == [b"0", b"1", b"2"]

    def test_bytes_are_bounded_too(self) -> None:
        rig = EmbeddedRig(limits=BrokerLimits(max_queued_bytes=1000))
        reader = rig.client("reader", "a")
        reader.connection.hold_up()
        sender = rig.client("sender")
        for _ in range(10):
            sender.send(publish("a", bytes(400), qos=mqtt5.QoS.AT_LEAST_ONCE))
        assert rig.machine.broker.counts.dropped == 7


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (b"\x0a", 0x82),  # no packet, and its length is not awaited
        (b"\xc1\x00", 0x81),  # flags of a PINGREQ
        (b"\x80\x00", 0x81),  # flags of a SUBSCRIBE
        (b"\x91\x00", 0x81),  # … of a packet that no client sends
        (b"\x36\x05\x00\x01a\x00\x01", 0x81),  # QoS 3
        (b"\x32\x06\x00\x01a\x00\x00\x00", 0x82),  # packet id 0
        (b"\x30\x04\x00\x05ab", 0x81),  # a topic that runs over the end
        (b"\x30\x05\x00\x02\xff\xfe\x00", 0x81),  # no UTF-8
        (b"\x30\x05\x00\x02a\x00\x00", 0x81),  # a NUL
        (b"\x30\x05\x00\x02a\x1f\x00", 0x81),  # a control character
        (b"\x30\x06\x00\x03\xef\xbf\xbf\x00", 0x81),  # U+FFFF
        (b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", 0x82),  # a property twice
        (b"\x30\x06\x00\x01a\x02\x01\x02", 0x82),  # a payload format that does not exist
        (b"\x30\x09\x00\x01a\x05\x11\x00\x00\x00\x00", 0x82),  # a property of another packet
        (b"\x30\x05\x00\x01a\x01\x7f", 0x81),  # one that does not exist
        (b"\x30\x0a\x00\x01a\x03\x03\x00\x03abc", 0x81),  # a property that runs over the end of all of them
        (b"\x30\x0c\x00\x01a\x08\x03\x00\x01t\x03\x00\x01t", 0x82),  # two content types
        (b"\x30\x08\x00\x01a\x04\x03\x00\x01\x07", 0x81),  # one with a control character
        (b"\x30\x03\x00\x00\x00", 0x82),  # no topic
        (b"\x82\x03\x00\x01\x00", 0x82),  # no filter
        (b"\x82\x06\x00\x01\x00\x00\x00\x00", 0x81),  # an empty one
        (b"\x82\x07\x00\x00\x00\x00\x01a\x00", 0x81),  # packet id 0
        (b"\x82\x07\x00\x01\x00\x00\x01a\x03", 0x81),  # a subscription at QoS 3
        (b"\x82\x07\x00\x01\x00\x00\x01a\xc0", 0x81),  # reserved options
        (b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", 0x82),  # identifier 0
        (b"\xa2\x03\x00\x01\x00", 0x82),  # nothing to unsubscribe
        (b"\x40\x03\x00\x01\x01", 0x82),  # a reason code that a PUBACK has not
        (b"\xe0\x01\x01", 0x82),  # … and a DISCONNECT
        (b"\x20\x03\x00\x00\x00", 0x82),  # a CONNACK
        (b"\xf0\x00", 0x82),  # AUTH without a method
        (b"\x30\xff\xff\xff\xff\x01", 0x81),  # a length that never ends
    ],
)  # fmt: skip
def test_what_is_wrong_ends_with_its_reason(packet: bytes, code: int) -> None:
    """A packet that is no MQTT 5 ends its connection with the specification's reason code, and only that one."""
    rig = EmbeddedRig()
    other = rig.client("other", "#")
    client = rig.client()
    client.send(packet)
    assert code_of_end(client) == code
    assert rig.machine.counts.bad_packets == 1
    rig.client("good").send(publish("a", b"served"))
    assert [packet.payload for packet in other.read() if isinstance(packet, mqtt5.PublishPacket)] == [b"served"]


SEEDS = (
    CONNECT,
    OLD_CONNECT,
    publish("a/b", b"y" * 40, qos=mqtt5.QoS.AT_LEAST_ONCE, content_type="x", user_properties=[("k", "v")]),
    publish("a", qos=mqtt5.QoS.EXACTLY_ONCE, topic_alias=2),
    publish("a/b", retain=True, message_expiry_interval=3),
    b"\x62\x02\x00\x07",
    b"\x50\x02\x00\x01",
    b"\x70\x02\x00\x01",
    b"\x40\x02\x00\x01",
    mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("$share/g/#"), mqtt5.TopicFilter("a/+")], subscription_id=5).write(),
    mqtt5.UnsubscribePacket(2, ["a/+"]).write(),
    b"\xc0\x00",
    b"\xe0\x00",
    mqtt5.ConnectPacket("w", will=mqtt5.Will("a/b", payload=b"w", will_delay_interval=3), session_expiry_interval=9).write(),
)


def bent(chance: Draws) -> bytes:
    """Return some packets in a row, with up to three of their bytes changed, taken out or put in."""
    data = bytearray(b"".join(chance.choice(SEEDS) for _ in range(chance.integer(1, 3))))
    for _ in range(chance.integer(0, 3)):
        place = chance.integer(0, len(data) - 1)
        match chance.integer(0, 2):
            case 0:
                data[place] = chance.integer(0, 255)
            case 1:
                del data[place]
                data += b"\0"
            case _:
                data.insert(place, chance.integer(0, 255))
    return bytes(data)


@pytest.mark.random
def test_no_bytes_end_the_broker() -> None:
    """Whatever clients send, in either version: no error comes out, and the next good client is served."""
    seed = 15
    chance = Draws(stream_key(seed, "broker"), "bytes")
    rig = EmbeddedRig()
    for number in range(draws(2_000, 200_000)):
        client = rig.open()
        if chance.chance(0.9):
            client.send(SEEDS[chance.integer(0, 1)])
        try:
            for _ in range(chance.integer(1, 5)):
                client.send(bent(chance))
        except Exception as error:
            raise AssertionError(f"client {number} of seed {seed}") from error
        if chance.chance(0.5):
            rig.machine.lost(client.connection, rig.now)
        rig.wait(chance.unit())
    reader = rig.client("reader", "good")
    rig.client("good").send(publish("good", b"served"))
    assert [packet.payload for packet in reader.read() if isinstance(packet, mqtt5.PublishPacket)] == [b"served"]
    assert rig.machine.broker.counts.received > 200
