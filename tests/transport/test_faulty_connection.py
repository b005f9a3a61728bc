"""Each fault on virtual bytes, at times that the test sets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.instants import MILLISECOND, SECOND, Instant
from fleet.transport.faults import (
    Bandwidth,
    Direction,
    DropPackets,
    Duplicate,
    Fault,
    FaultsInForce,
    HalfOpen,
    Latency,
    PacketFault,
    Refuse,
    Reorder,
    ResetConnections,
    Slicing,
    Stall,
    Truncate,
)
from fleet.transport.faulty_connection import HELD_PACKET_MAX, FaultyConnection
from fleet.transport.link import LinkSettings
from fleet.transport.swarm_codec import connect_packet, publish_packet
from fleet.wire.frame import Frame
from tests.transport.test_mqtt_stream import pieces

CONNECT = connect_packet(LinkSettings(client_id="one"))
CONNACK = bytes.fromhex("20 03 00 00 00")
UP: Direction = "to_broker"
DOWN: Direction = "to_client"


def publish(number: int, topic: str = "a/b", size: int = 10) -> bytes:
    return publish_packet(Frame(topic=topic, payload=b"%d" % number * size), number)


def puback(number: int) -> bytes:
    return b"\x40\x02" + number.to_bytes(2, "big")


class Wire:
    """A connection, its time, and each write with its instant, both ways."""

    def __init__(self, *, seed: int = 0) -> None:
        self.faults = FaultsInForce(seed)
        self.now: Instant = 0
        self.writes: dict[Direction, list[tuple[Instant, bytes]]] = {UP: [], DOWN: []}
        self.connection: FaultyConnection | None = None

    def begin(self, *, client_id: str = "one") -> Wire:
        """Connect a client."""
        self.connection = FaultyConnection(self.faults, self.now)
        self.say(UP, connect_packet(LinkSettings(client_id=client_id)))
        self.say(DOWN, CONNACK)
        self.writes = {UP: [], DOWN: []}
        return self

    @property
    def there(self) -> FaultyConnection:
        assert self.connection is not None
        return self.connection

    def plain(self) -> bool:
        return self.there.plain

    def fate(self) -> str | None:
        return self.there.fate

    def set(self, fault: Fault, *clients: str, name: str = "fault") -> Wire:
        self.faults.set(name, fault, clients or None)
        if self.connection is not None:
            self.connection.look(self.now)
        return self

    def clear(self, name: str = "fault") -> None:
        self.faults.clear(name)
        self.there.look(self.now)
        self.drain()

    def say(self, direction: Direction, *data: bytes) -> None:
        """Bytes come in; as whoever drives it does, they go straight through while it is plain."""
        for part in data:
            if self.there.plain:
                self.there.stream(direction).pass_by(part)
                self.writes[direction].append((self.now, part))
            else:
                self.there.receive(direction, part, self.now)
        self.drain()

    def end(self, direction: Direction) -> None:
        self.there.receive_end(direction, self.now)
        self.drain()

    def drain(self) -> None:
        for direction in (UP, DOWN):
            while data := self.there.take(direction, self.now):
                self.writes[direction].append((self.now, data))

    def wait(self, duration: int) -> None:
        """Let time pass, from deadline to deadline."""
        until = self.now + duration
        while True:
            ats = [self.there.stream(direction).deadline() for direction in (UP, DOWN)]
            at = min((at for at in ats if at is not None and at > self.now), default=until + 1)
            if at > until:
                break
            self.now = at
            self.drain()
        self.now = until

    def got(self, direction: Direction = UP) -> bytes:
        return b"".join(data for _, data in self.writes[direction])

    def counts(self, name: str = "fault") -> dict[str, int]:
        return self.faults.counts()[name]


class TestBytes:
    def test_without_a_fault_it_is_plain(self) -> None:
        """From the CONNECT on, and again when the fault is over."""
        wire = Wire().begin()
        assert wire.plain()
        wire.set(Latency(5))
        assert not wire.plain()
        wire.say(UP, b"\xc0\x00")
        wire.clear()
        assert not wire.plain()  # something is on its way
        wire.wait(5 * MILLISECOND)
        assert wire.plain()
        assert wire.writes[UP] == [(5 * MILLISECOND, b"\xc0\x00")]

    def test_latency(self) -> None:
        """Both ways, or one of them; what comes together stays together."""
        wire = Wire().begin().set(Latency(200))
        wire.say(UP, puback(1), puback(2))
        wire.wait(100 * MILLISECOND)
        wire.say(DOWN, puback(3))
        wire.wait(SECOND)
        assert wire.writes == {UP: [(200 * MILLISECOND, puback(1) + puback(2))], DOWN: [(300 * MILLISECOND, puback(3))]}
        wire.set(Latency(200, way="to_client"))
        wire.say(UP, puback(4))
        assert wire.writes[UP][1:] == [(wire.now, puback(4))]
        assert wire.counts() == {"delayed": 3}

    def test_jitter_keeps_the_order(self) -> None:
        """No byte overtakes another, and the waits differ."""
        wire = Wire(seed=3).begin().set(Latency(50, 50))
        packets = [puback(number) for number in range(200)]
        sent: list[int] = []
        for packet in packets:
            sent.append(wire.now)
            wire.say(UP, packet)
            wire.wait(10 * MILLISECOND)
        wire.wait(SECOND)
        assert wire.got() == b"".join(packets)
        times = [at for at, _ in wire.writes[UP]]
        assert times == sorted(times)
        assert len(wire.writes[UP]) < 200, "some came together with one that took longer"

    def test_shorter_latency_lets_nothing_overtake(self) -> None:
        """Bytes after the change wait for those on their way."""
        wire = Wire().begin().set(Latency(200))
        wire.say(UP, puback(1))
        wire.clear()
        wire.say(UP, puback(2))
        assert wire.got() == b""
        wire.wait(200 * MILLISECOND)
        assert wire.got() == puback(1) + puback(2)

    def test_bandwidth(self) -> None:
        """10 kB at 1 kB/s take 10 s, evenly; what comes after waits its turn."""
        wire = Wire().begin().set(Bandwidth(1000))
        wire.say(UP, bytes(10_000), b"last")
        for second in range(1, 10):
            wire.wait(SECOND)
            assert abs(len(wire.got()) - 1000 * second) <= 50
        wire.wait(SECOND)
        assert wire.got()[:10_000] == bytes(10_000)
        wire.wait(5 * MILLISECOND)
        assert wire.got().endswith(b"last")
        assert wire.counts() == {"bytes": 10_004}

    def test_the_narrowest_of_two_counts(self) -> None:
        wire = Wire().begin().set(Bandwidth(1000)).set(Bandwidth(100), name="narrow")
        wire.say(UP, bytes(100))
        wire.wait(SECOND - 1)
        assert len(wire.got()) < 100
        wire.wait(1)
        assert len(wire.got()) == 100

    @pytest.mark.parametrize("size", [1, 3, 16])
    def test_slicing(self, size: int) -> None:
        """Each piece is a write of its own, none is larger, and together they are all."""
        wire = Wire().begin().set(Slicing(size))
        packet = publish(1)
        wire.say(UP, packet)
        assert wire.got() == packet
        assert [len(data) for _, data in wire.writes[UP]][:-1] == [size] * ((len(packet) - 1) // size)
        assert wire.counts() == {"pieces": -(-len(packet) // size)}

    def test_stall(self) -> None:
        """Nothing while it lasts, all of it at its end."""
        wire = Wire().begin().set(Stall("to_broker"))
        wire.say(UP, puback(1))
        wire.say(DOWN, puback(2))
        wire.wait(60 * SECOND)
        assert (wire.got(), wire.got(DOWN)) == (b"", puback(2))
        wire.clear()
        assert wire.writes[UP] == [(60 * SECOND, puback(1))]
        assert wire.counts() == {"bytes": 4}

    def test_half_open(self) -> None:
        """Bytes vanish, both ways and for ever; a later connection works once it is over."""
        wire = Wire().begin().set(HalfOpen())
        wire.say(UP, puback(1))
        wire.clear()
        wire.say(UP, puback(2))
        wire.say(DOWN, puback(3))
        assert (wire.fate(), wire.got(), wire.got(DOWN)) == ("silent", b"", b"")
        assert wire.counts() == {"connections": 1, "bytes": 12}
        wire.begin().say(UP, puback(4))
        assert wire.got() == puback(4)

    def test_half_open_after_so_many_bytes(self) -> None:
        """Counted from when it was set, each way by itself; these bytes still get through."""
        wire = Wire().begin().set(HalfOpen(after_bytes=6))
        wire.say(UP, puback(1))
        wire.say(DOWN, puback(2))
        assert wire.fate() is None
        wire.say(UP, puback(3))
        assert wire.fate() == "silent"

    def test_reset(self) -> None:
        """Bytes on their way are lost."""
        wire = Wire().begin().set(Latency(50), name="slow")
        wire.say(UP, puback(1))
        wire.set(ResetConnections())
        wire.wait(SECOND)
        assert (wire.fate(), wire.got()) == ("reset", b"")
        assert wire.counts() == {"connections": 1}

    def test_reset_after_so_many_bytes(self) -> None:
        wire = Wire().begin().set(ResetConnections(after_bytes=8))
        wire.say(UP, puback(1), puback(2))
        assert wire.fate() is None
        wire.say(UP, puback(3))
        assert wire.fate() == "reset"

    def test_truncate(self) -> None:
        """So many bytes get through, in the middle of a packet, and then the end, to both sides."""
        wire = Wire().begin().set(Truncate(7, "to_broker"))
        wire.say(DOWN, bytes(50))
        wire.say(UP, puback(1), puback(2), puback(3))
        assert wire.got() == puback(1) + puback(2)[:3]
        assert wire.fate() == "end"
        assert all(wire.there.stream(direction).is_over(wire.now) for direction in (UP, DOWN))
        wire.say(UP, b"more")
        assert wire.got() == puback(1) + puback(2)[:3]

    def test_refuse(self) -> None:
        """New connections only; of some clients when their CONNECT says who they are, before the broker hears of them."""
        wire = Wire().begin().set(Refuse())
        assert wire.fate() is None
        wire.connection = FaultyConnection(wire.faults, 0)
        assert wire.fate() == "reset"
        wire.set(Refuse(), "two")
        wire.begin(client_id="one")
        assert wire.fate() is None
        wire.connection = FaultyConnection(wire.faults, 0)
        connect = connect_packet(LinkSettings(client_id="two"))
        wire.say(UP, connect[:20], connect[20:])
        assert (wire.fate(), wire.got()) == ("reset", b"")

    def test_the_end_keeps_its_place(self) -> None:
        """The end of a stream comes after all that was said before it, and as late."""
        wire = Wire().begin().set(Latency(100)).set(Slicing(2), name="pieces")
        wire.say(UP, puback(1))
        wire.end(UP)
        stream = wire.there.stream(UP)
        wire.wait(99 * MILLISECOND)
        assert not stream.is_over(wire.now)
        wire.wait(MILLISECOND)
        assert (wire.got(), stream.is_over(wire.now)) == (puback(1), True)
        assert not wire.there.stream(DOWN).ended


class TestWhoseConnection:
    def test_others_are_left_alone(self) -> None:
        """A fault of one client is none of another's, and concerns all its bytes from the CONNECT on."""
        wire = Wire().set(Latency(100), "one")
        for client_id, late in (("one", True), ("two", False)):
            wire.now = 0
            wire.connection = FaultyConnection(wire.faults, 0)
            wire.say(UP, connect_packet(LinkSettings(client_id=client_id)))
            assert (wire.got() == b"") is late
            wire.wait(SECOND)
            assert wire.got() == connect_packet(LinkSettings(client_id=client_id))
            wire.writes[UP].clear()

    @given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.booleans())
    def test_a_connect_in_pieces(self, cuts: list[int], by_client: bool) -> None:
        """The client is known once its CONNECT is all there, and no byte is lost or comes twice; nobody waits without need."""
        wire = Wire()
        if by_client:
            wire.set(DropPackets("PUBLISH"), "two")
        wire.connection = FaultyConnection(wire.faults, 0)
        first, *rest = pieces(CONNECT, cuts)
        wire.say(UP, first)
        if not by_client:
            assert wire.got() == first
        wire.say(UP, *rest, publish(1))
        assert wire.got() == CONNECT + publish(1)
        assert wire.there.client_id == "one"

    def test_bytes_kept_back_go_on_when_nobody_is_asked_for(self) -> None:
        """Half a CONNECT, the fault is over, and its connection ends: all of it has gone out."""
        wire = Wire().set(Stall(), "two")
        wire.connection = FaultyConnection(wire.faults, 0)
        wire.say(UP, CONNECT[:9])
        assert wire.got() == b""
        wire.clear()
        assert wire.got() == CONNECT[:9]
        wire.say(UP, CONNECT[9:])
        assert wire.got() == CONNECT
        assert wire.there.client_id == "one"

    def test_what_is_no_mqtt_passes(self) -> None:
        """TLS to a broker: faults of bytes work, rules about packets find none."""
        wire = Wire().set(DropPackets("PUBLISH")).set(Latency(10), name="slow")
        wire.connection = FaultyConnection(wire.faults, 0)
        wire.say(UP, b"\x16\x03\x01", publish(1))
        wire.say(DOWN, publish(2))
        wire.wait(SECOND)
        assert (wire.got(), wire.got(DOWN)) == (b"\x16\x03\x01" + publish(1), publish(2))


class TestPackets:
    def test_drop(self) -> None:
        """Such packets and no others, that way and not the other."""
        wire = Wire().begin().set(DropPackets("PUBACK", "to_client", first=2))
        wire.say(DOWN, puback(1), publish(2), puback(3) + puback(4))
        wire.say(UP, puback(5))
        assert (wire.got(DOWN), wire.got()) == (publish(2) + puback(4), puback(5))
        assert wire.counts() == {"packets": 2}

    def test_drop_by_topic(self) -> None:
        wire = Wire().begin().set(DropPackets("PUBLISH", topic="fleet/+/status"))
        wire.say(UP, publish(1, "fleet/1/status") + publish(2, "fleet/1/event"))
        assert wire.got() == publish(2, "fleet/1/event")

    def test_drop_of_a_connack(self) -> None:
        """Rules hold from the first packet on."""
        wire = Wire().set(DropPackets("CONNACK"), "one")
        wire.connection = FaultyConnection(wire.faults, 0)
        wire.say(UP, CONNECT)
        wire.say(DOWN, CONNACK, puback(1))
        assert (wire.got(), wire.got(DOWN)) == (CONNECT, puback(1))

    def test_duplicate(self) -> None:
        """The second one has the DUP flag, where there is one."""
        wire = Wire().begin().set(Duplicate("PUBLISH", every=2)).set(Duplicate("PUBACK"), name="acks")
        wire.say(UP, publish(1), publish(2), puback(3))
        again = bytes((publish(2)[0] | 8,)) + publish(2)[1:]
        assert wire.got() == publish(1) + publish(2) + again + puback(3) + puback(3)

    def test_reorder(self) -> None:
        """It comes after the next one; of two in a row the second is the next one."""
        wire = Wire().begin().set(Reorder("PUBLISH"))
        wire.say(UP, publish(1))
        assert wire.got() == b""
        wire.say(UP, publish(2), publish(3), puback(4))
        assert wire.got() == publish(2) + publish(1) + puback(4) + publish(3)

    def test_reorder_waits_no_longer_than_it_says(self) -> None:
        """When nothing follows it comes alone; at the end of the stream at once."""
        wire = Wire().begin().set(Reorder("PUBLISH", within_ms=300))
        wire.say(UP, publish(1))
        wire.wait(SECOND)
        assert wire.writes[UP] == [(300 * MILLISECOND, publish(1))]
        wire.say(UP, publish(2))
        wire.end(UP)
        assert wire.got() == publish(1) + publish(2)

    def test_large_packets_are_streamed(self) -> None:
        """One that is dropped is nowhere held; one that cannot be held comes once, and that is counted."""
        large = publish(1, size=HELD_PACKET_MAX + 1)
        wire = Wire().begin().set(DropPackets("PUBLISH", first=1))
        for piece in pieces(large, [50_000]):
            wire.say(UP, piece)
            assert wire.there.stream(UP).held_bytes == 0
        wire.say(UP, puback(1))
        assert wire.got() == puback(1)
        wire.set(Duplicate("PUBLISH"))
        for piece in pieces(large, [50_000]):
            wire.say(UP, piece)
            assert wire.got().endswith(piece)
        assert wire.got() == puback(1) + large
        assert wire.counts() == {"packets": 2, "too_large": 1}

    @settings(deadline=None)
    @given(
        st.lists(st.sampled_from([0, 5, 100, 130, 2_000]), min_size=1, max_size=8),
        st.lists(st.integers(1, 3_000), min_size=1, max_size=6),
        st.sampled_from(
            [DropPackets("PUBLISH", every=2), Duplicate("PUBLISH", every=3), Reorder("PUBLISH", every=2), DropPackets("PUBACK")]
        ),
        st.booleans(),
    )
    def test_the_cuts_make_no_difference(self, sizes: list[int], cuts: list[int], rule: PacketFault, sliced: bool) -> None:
        """However the bytes come, and in however small pieces they go on, the same packets get through."""
        packets = [puback(number) if not size else publish(number + 1, size=size) for number, size in enumerate(sizes)]
        whole = Wire().begin().set(rule)
        whole.say(UP, *packets)
        cut = Wire().begin().set(rule)
        if sliced:
            cut.set(Slicing(700), name="pieces")
        cut.say(UP, *pieces(b"".join(packets), cuts))
        for wire in (whole, cut):
            wire.wait(5 * SECOND)
        assert cut.got() == whole.got()

    @given(st.integers(0, 400), st.integers(0, 400), st.sampled_from(["drop", "duplicate", "reorder"]))
    def test_a_rule_may_come_and_go_in_the_middle_of_a_packet(self, begins: int, ends: int, kind: str) -> None:
        """A packet that has begun before goes through as it is; none is ever cut."""
        rules: dict[str, Any] = {"drop": DropPackets, "duplicate": Duplicate, "reorder": Reorder}
        packets = [publish(number, size=60 + number) for number in range(1, 5)]
        stream = b"".join(packets)
        begins, ends = sorted((min(begins, len(stream)), min(ends, len(stream))))
        wire = Wire().begin()
        wire.say(UP, stream[:begins])
        wire.set(rules[kind]("PUBLISH"))
        wire.say(UP, stream[begins:ends])
        wire.clear()
        wire.say(UP, stream[ends:], puback(9))
        wire.wait(5 * SECOND)
        assert wire.plain()
        got, known = wire.got(), {*packets, *(bytes((packet[0] | 8,)) + packet[1:] for packet in packets), puback(9)}
        while got:
            head = next((packet for packet in known if got.startswith(packet)), None)
            assert head is not None, "a packet was cut"
            got = got[len(head) :]
        assert puback(9) in wire.got()
        starts = [sum(map(len, packets[:index])) for index in range(4)]
        untouched = [packet for packet, start in zip(packets, starts, strict=True) if start < begins or start >= ends]
        assert all(packet in wire.got() for packet in untouched)
