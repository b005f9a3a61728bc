"""The simulated broker alone: what MQTT 5 says a client gets, with time in the hands of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.runtime.resources import resource_dir
from fleet.transport.link import Will
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_sessions import NEVER_EXPIRES_S, BrokerLimits
from fleet.wire.frame import Frame
from tests.transport.simulated_rig import RecordingPeer, Rig

CAR, OTHER = "VSSZZZKMZTP000001", "VSSZZZKMZTP000002"


def shipped_access() -> AccessControl:
    return AccessControl.parse((resource_dir("broker") / "acl").read_text(encoding="utf-8"))


def will(delay_s: int = 0, *, topic: str = "will", retain: bool = False) -> Will:
    return Will(Frame(topic=topic, payload=b"will", retain=retain), delay_s)


class TestConnecting:
    """CONNECT and its answers."""

    def test_bad_credentials(self) -> None:
        """A client that is not admitted is refused with 0x87, as Mosquitto does, and has no session."""
        rig = Rig(SimulatedBroker(admits=lambda user, password: (user, password) == ("u", "right")))
        refused = rig.client("one", username="u", password="wrong")
        assert (refused.connacks, refused.ends) == ([(0x87, False)], [None])
        assert rig.broker.session("one") is None
        assert rig.client("one", username="u", password="right").connacks == [(0, False)]

    def test_no_client_id(self) -> None:
        """A client without an id is refused with 0x85, unless its listener takes the user name for it."""
        rig = Rig()
        assert rig.client("", username="u").connacks == [(0x85, False)]
        assert rig.client("", username="u", listener_of_cars=True).connacks == [(0, False)]
        assert rig.broker.session("u") is not None

    def test_taken_over(self) -> None:
        """The first of two clients with one id hears 0x8E, and what it says after that goes nowhere."""
        rig = Rig()
        watcher = rig.watcher()
        first = rig.client("one")
        second = rig.client("one")
        assert first.ends == [0x8E]
        assert second.session_present
        rig.broker.publish(first, Frame(topic="late", payload=b"late"), 1, rig.now)
        first.lose()
        first.disconnect(end_session=True)
        assert second.publish("a", b"second") == 0
        assert watcher.payloads == [b"second"]

    @pytest.mark.parametrize(
        ("keep_s", "leave", "away_s", "present"),
        [
            (10, RecordingPeer.lose, 9.9, True),
            (10, RecordingPeer.lose, 10, False),
            (10, RecordingPeer.disconnect, 9.9, True),
            (0, RecordingPeer.lose, 0, False),
            (0, RecordingPeer.disconnect, 0, False),
            (10, lambda peer: peer.disconnect(end_session=True), 0, False),
            (NEVER_EXPIRES_S, RecordingPeer.lose, 1e9, True),
        ],
    )
    def test_session_expiry(self, keep_s: int, leave: Callable[[RecordingPeer], None], away_s: float, present: bool) -> None:
        """A session lives its expiry longer than its connection, and not a moment more."""
        rig = Rig()
        peer = rig.client(session_expiry_s=keep_s)
        peer.subscribe("a")
        leave(peer)
        rig.wait(away_s)
        assert (rig.broker.session("one") is not None) is present
        sender = rig.client("sender")
        assert sender.publish("a") == (0 if present else 0x10)
        assert rig.client().session_present is present

    def test_clean_start(self) -> None:
        """Clean start ends the session that was there, with its subscriptions and what waited."""
        rig = Rig()
        rig.client().subscribe("a")
        again = rig.client(clean_start=True)
        assert not again.session_present
        assert rig.client("sender").publish("a") == 0x10
        assert again.deliveries == []

    def test_falling_silent(self) -> None:
        """A client that is gone without a word is ended after one and a half keep-alives; until then it seems connected."""
        rig = Rig()
        watcher = rig.watcher("will")
        peer = rig.client(keep_alive_s=20, will=will())
        rig.broker.silent(peer, 20, rig.now)
        rig.wait(29.9)
        assert (rig.broker.connected, peer.ends, watcher.payloads) == (2, [], [])
        rig.wait(0.1)
        assert (rig.broker.connected, peer.ends, watcher.payloads) == (1, [0x8D], [b"will"])

    def test_back_before_the_silence_was_noticed(self) -> None:
        """A client that comes back meanwhile takes its half-open connection over, and is not ended later."""
        rig = Rig()
        peer = rig.client(keep_alive_s=20)
        rig.broker.silent(peer, 20, rig.now)
        rig.wait(10)
        again = rig.client(keep_alive_s=20)
        rig.wait(100)
        assert (peer.ends, again.ends) == ([0x8E], [])


class TestWills:
    """When the will is sent, and when not."""

    @pytest.mark.parametrize(
        ("delay_s", "keep_s", "away_s", "sent"),
        [
            (0, 100, 0, True),
            (5, 100, 4.9, False),
            (5, 100, 5, True),
            (50, 10, 9.9, False),
            (50, 10, 10, True),  # the session ends first, and the will with it
            (50, 0, 0, True),
        ],
    )
    def test_delay(self, delay_s: int, keep_s: int, away_s: float, sent: bool) -> None:
        """A will is sent after its delay or at the end of the session, whichever comes first."""
        rig = Rig()
        watcher = rig.watcher("will")
        rig.client(will=will(delay_s), session_expiry_s=keep_s).lose()
        rig.wait(away_s)
        assert watcher.payloads == [b"will"] * sent
        rig.wait(1000)
        assert watcher.payloads == [b"will"]

    @pytest.mark.parametrize(
        ("leave", "clean_start", "delay_s", "sent"),
        [
            (RecordingPeer.lose, False, 5, False),
            (RecordingPeer.lose, True, 5, True),
            (RecordingPeer.disconnect, False, 5, False),
            (RecordingPeer.disconnect, True, 0, False),
            (None, False, 5, False),
            (None, False, 0, True),
            (None, True, 5, True),
        ],
    )
    def test_reconnect(self, leave: Callable[[RecordingPeer], None] | None, clean_start: bool, delay_s: int, sent: bool) -> None:
        """Coming back to the session within the delay takes the will back; ending it, or a take-over, may send it."""
        rig = Rig()
        watcher = rig.watcher("will")
        peer = rig.client(will=will(delay_s))
        if leave is not None:
            leave(peer)
        rig.wait(1)
        rig.client(clean_start=clean_start)
        assert rig.broker.deadline() is None
        rig.wait(1000)
        assert watcher.payloads == [b"will"] * sent

    def test_retained_and_refused(self) -> None:
        """A will may be retained; one on a topic its client may not write is not sent."""
        rig = Rig(SimulatedBroker(access=shipped_access()))
        for number, topic in enumerate((f"fleet/v1/{CAR}/presence", f"fleet/v1/{OTHER}/presence")):
            rig.client(f"id{number}", username=CAR, will=will(topic=topic, retain=True)).lose()
        tool = rig.client("tool")
        tool.subscribe("fleet/v1/+/presence")
        assert [(frame.topic, frame.retain) for frame, _ in tool.deliveries] == [(f"fleet/v1/{CAR}/presence", True)]


class TestMessages:
    """PUBLISH in and out."""

    @pytest.mark.parametrize(("sent", "wanted", "got"), [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)])
    def test_qos_is_the_lower_one(self, sent: int, wanted: int, got: int) -> None:
        """A subscriber gets the lower of what was sent and what was granted."""
        rig = Rig()
        peer = rig.client("subscriber")
        assert peer.subscribe("a", qos=wanted) == (wanted,)
        rig.client("sender").publish("a", qos=sent)
        [(frame, packet_id)] = peer.deliveries
        assert (frame.qos, bool(packet_id)) == (got, bool(got))

    def test_overlapping_filters(self) -> None:
        """A client whose filters overlap gets a copy for each, at its QoS; the specification allows that, Mosquitto does it."""
        rig = Rig()
        peer = rig.client("subscriber")
        peer.subscribe("a/#", "+/b", qos=0)
        peer.subscribe("a/+", qos=1)
        rig.client("sender").publish("a/b")
        assert sorted(frame.qos for frame, _ in peer.deliveries) == [0, 0, 1]

    @pytest.mark.parametrize(
        ("topic", "payload", "code"),
        [("a", b"", 0), ("nobody", b"", 0x10), ("a/+", b"", 0x90), ("", b"", 0x90), ("#", b"", 0x90)],
    )
    def test_reason_codes_of_puback(self, topic: str, payload: bytes, code: int) -> None:
        """Taken, taken though nobody listens, and no name of a topic."""
        rig = Rig()
        rig.watcher("a")
        assert rig.client().publish(topic, payload) == code

    def test_not_authorised(self) -> None:
        """0x87 for what one may not write; at QoS 0 there is nobody to tell, and nothing arrives."""
        rig = Rig(SimulatedBroker(access=AccessControl.parse("pattern read watcher/#\npattern write %u/#")))
        peer = rig.client("one")
        rig.watcher()
        assert peer.publish("two/x") == 0x87
        assert peer.publish("two/x", qos=0) is None
        assert (rig.broker.counts.refused, rig.broker.counts.delivered) == (2, 0)

    def test_reason_codes_of_suback_and_unsuback(self) -> None:
        """QoS 2 is granted as 1; impossible filters and groups are refused one by one."""
        peer = Rig().client()
        assert peer.subscribe("a", "a/#/b", "$share/g", "", "$share/+/a", qos=2) == (1, 0x8F, 0x8F, 0x8F, 0x8F)
        peer.rig.broker.unsubscribe(peer, ["a", "a", "b#"])
        assert peer.unsubacks == [(0, 0x11, 0x8F)]
        assert peer.publish("a") == 0x10

    def test_too_large(self) -> None:
        """A client that sends more than the broker takes is disconnected with 0x95."""
        rig = Rig(SimulatedBroker(limits=BrokerLimits(max_packet_size=100)))
        peer = rig.client()
        rig.broker.publish(peer, Frame(topic="a", payload=bytes(101)), 1, rig.now)
        assert (peer.ends, peer.pubacks) == ([0x95], [])

    def test_flags_and_properties(self) -> None:
        """Retain and duplicate are flags of one way only; all else goes through as it is."""
        rig = Rig()
        peer = rig.watcher()
        properties = {
            "response_topic": "r",
            "correlation": b"c",
            "content_type": "t",
            "user_properties": (("a", "b"), ("a", "c")),
        }
        rig.client().publish("a", b"p", retain=True, duplicate=True, **properties)
        assert [frame for frame, _ in peer.deliveries] == [Frame(topic="a", payload=b"p", **properties)]  # type: ignore[arg-type]


class TestRetained:
    """Messages kept for later subscribers."""

    def test_stored_replaced_and_cleared(self) -> None:
        """The last message of a topic is sent at each subscription, flagged; an empty one clears it and is sent on."""
        rig = Rig()
        sender = rig.client("sender")
        for topic, payload in (("a/1", b"old"), ("a/1", b"new"), ("a/2", b"two"), ("$x/1", b"hidden")):
            sender.publish(topic, payload, retain=True)
        peer = rig.client()
        for _ in range(2):
            peer.subscribe("#")
        assert peer.payloads == [b"new", b"two"] * 2
        assert all(frame.retain for frame, _ in peer.deliveries)
        sender.publish("a/1", b"", retain=True)
        assert peer.deliveries[-1][0] == Frame(topic="a/1", payload=b"")
        late = rig.client("late")
        late.subscribe("+/+", qos=0)
        assert [(frame.payload, frame.qos) for frame, _ in late.deliveries] == [(b"two", 0)]

    def test_not_sent_on_resuming(self) -> None:
        """A session that is resumed has its subscriptions; what is retained is not sent again."""
        rig = Rig()
        rig.client("sender").publish("a", retain=True)
        peer = rig.client()
        peer.subscribe("a")
        peer.acknowledge_all()
        peer.lose()
        assert rig.client().deliveries == []

    @pytest.mark.parametrize("qos", [0, 1])
    def test_expires(self, qos: int) -> None:
        """A retained message has its expiry reduced by the time it was kept, and then is gone."""
        rig = Rig()
        rig.client("sender").publish("a", retain=True, expiry_s=10)
        rig.wait(3.9)
        early, late = rig.client("early"), rig.client("late")
        early.subscribe("a", qos=qos)
        assert [frame.expiry_s for frame, _ in early.deliveries] == [7]
        rig.wait(6.1)
        late.subscribe("a", qos=qos)
        assert late.deliveries == []


class TestProcess:
    """Stop, kill and start."""

    def filled(self, limits: BrokerLimits | None = None) -> tuple[Rig, RecordingPeer]:
        """Return a broker with a session that has a message under way and one waiting, and one thing retained."""
        rig = Rig(SimulatedBroker(limits=limits))
        peer = rig.client(receive_maximum=1, session_expiry_s=100)
        peer.subscribe("a")
        sender = rig.client("sender", session_expiry_s=0)
        sender.publish("a", b"under way")
        sender.publish("a", b"waits", expiry_s=60)
        sender.publish("kept", b"kept", retain=True)
        return rig, peer

    def test_stop_keeps_it_all(self) -> None:
        """After a stop sessions, what is under way and waits, and what is retained are there; time ran on meanwhile."""
        rig, peer = self.filled()
        rig.broker.stop(rig.now)
        assert peer.ends == [0x8B]
        rig.restart(down_s=20)
        again = rig.client()
        assert again.session_present
        assert [(frame.payload, frame.duplicate, frame.expiry_s) for frame, _ in again.deliveries] == [
            (b"under way", True, None),
            (b"waits", False, 40),
        ]
        again.subscribe("kept")
        assert again.payloads[2:] == [b"kept"]
        assert rig.broker.session("sender") is None
        assert rig.client("sender").publish("a") == 0

    def test_session_may_expire_meanwhile(self) -> None:
        """The session of a client that was connected lives its expiry from the stop on."""
        rig, _ = self.filled()
        rig.broker.stop(rig.now)
        rig.restart(down_s=100)
        assert not rig.client().session_present
        assert rig.client("sender").publish("a") == 0x10

    @pytest.mark.parametrize("persistence", [True, False])
    def test_kill_loses_what_was_not_saved(self, persistence: bool) -> None:
        """A kill takes back everything since the last save; without persistence everything there was."""
        rig, peer = self.filled(BrokerLimits(persistence=persistence))
        rig.broker.save(rig.now)
        peer.acknowledge_all()
        rig.client("sender").publish("kept", b"newer", retain=True)
        rig.client("young")
        for _ in range(2):
            rig.broker.kill()
            rig.restart()
            again = rig.client(receive_maximum=9)
            assert again.session_present is persistence
            assert again.payloads == [b"under way", b"waits"] * persistence
            again.subscribe("kept")
            assert again.payloads[2:] == [b"kept"] * persistence
            assert not rig.client("young").session_present
        assert peer.ends == [None]

    def test_stop_without_persistence(self) -> None:
        """Without persistence a stop keeps as little as a kill."""
        rig, _ = self.filled(BrokerLimits(persistence=False))
        rig.broker.stop(rig.now)
        rig.restart()
        assert not rig.client().session_present

    @pytest.mark.parametrize(("how", "sent"), [("stop", True), ("kill", False)])
    def test_wills(self, how: str, sent: bool) -> None:
        """A stop sends all wills at once, so that they are kept; a kill forgets them."""
        rig = Rig()
        rig.client("connected", will=will(5, topic="a", retain=True))
        rig.client("lost", will=will(5, topic="b", retain=True)).lose()
        rig.client("left", will=will(5, topic="c", retain=True)).disconnect()
        rig.broker.save(rig.now)
        if how == "stop":
            rig.broker.stop(rig.now)
        else:
            rig.broker.kill()
        rig.restart(down_s=10)
        watcher = rig.watcher()
        rig.wait(100)
        assert [frame.topic for frame, _ in watcher.deliveries] == (["a", "b"] if sent else [])


def test_limits_are_those_of_the_shipped_configuration() -> None:
    """Without a word of the user the simulated broker has the limits of the real one."""
    text = Path(resource_dir("broker") / "mosquitto.conf").read_text(encoding="utf-8")
    found = dict(line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#"))
    limits = BrokerLimits()
    for name in ("max_queued_messages", "max_inflight_messages", "max_packet_size"):
        assert getattr(limits, name) == int(found[name])
    assert limits.persistence is (found["persistence"] == "true")
