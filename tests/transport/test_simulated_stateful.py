"""The simulated broker under any order of events: nothing lost, nothing out of order, no more under way than allowed."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fleet.transport.simulated_sessions import NEVER_EXPIRES_S
from tests.transport.simulated_rig import RecordingPeer, Rig

NAMES = st.sampled_from(["one", "two", "three"])
KEEP_ALIVE_S = 10


@dataclass(slots=True)
class Expected:
    """Messages that a client must be sent: all since it first subscribed, from the last that it has acknowledged on."""

    messages: list[bytes] = field(default_factory=list)
    acknowledged: int = 0
    delivered: int = 0
    """How many it was sent, over all connections."""
    peer: RecordingPeer | None = None
    window: int = 0
    began: int = 0
    """How many were acknowledged, and how many had been sent, when its connection began."""
    repeated_until: int = 0


class AtLeastOnceInOrder(RuleBasedStateMachine):
    """Three clients subscribe, come and go as they like; a fourth publishes; a model of one list for each says what they get."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.clients: dict[str, Expected] = {}
        self.published = 0

    @rule(name=NAMES, window=st.integers(1, 3), clean_start=st.sampled_from([False, False, False, True]))
    def connect(self, name: str, window: int, clean_start: bool) -> None:
        known = self.clients.get(name)
        peer = self.rig.client(
            name, receive_maximum=window, clean_start=clean_start, session_expiry_s=NEVER_EXPIRES_S, keep_alive_s=KEEP_ALIVE_S
        )
        assert peer.session_present is (known is not None and not clean_start)
        if known is None or clean_start:
            known = self.clients[name] = Expected()
            peer.subscribe("t/+")
        known.peer, known.window = peer, window
        known.began, known.repeated_until = known.acknowledged, known.delivered

    @rule(name=NAMES, goodbye=st.booleans())
    def leave(self, name: str, goodbye: bool) -> None:
        known = self.clients.get(name)
        if known is not None and known.peer is not None:
            if goodbye:
                known.peer.disconnect()
            else:
                known.peer.lose()
            known.peer = None

    @rule(name=NAMES)
    def fall_silent(self, name: str) -> None:
        known = self.clients.get(name)
        if known is not None and known.peer is not None:
            self.rig.broker.silent(known.peer, KEEP_ALIVE_S, self.rig.now)

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        sender = self.rig.client("sender", session_expiry_s=0)
        for _ in range(count):
            self.published += 1
            payload = b"%d" % self.published
            assert sender.publish("t/x", payload) == (0 if self.clients else 0x10)
            for known in self.clients.values():
                known.messages.append(payload)

    @rule(name=NAMES, count=st.integers(1, 3))
    def acknowledge(self, name: str, count: int) -> None:
        known = self.clients.get(name)
        if known is None or known.peer is None:
            return
        first = known.acknowledged - known.began
        for _, packet_id in known.peer.deliveries[first : first + count]:
            known.peer.acknowledge(packet_id)
            known.acknowledged += 1

    @rule(seconds=st.sampled_from([0.5, 1, 20]))
    def wait(self, seconds: float) -> None:
        self.rig.wait(seconds)
        for known in self.clients.values():
            if known.peer is not None and known.peer.ends:
                assert known.peer.ends == [0x8D]
                known.peer = None

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        if kill:
            self.rig.broker.save(self.rig.now)
            self.rig.broker.kill()
        else:
            self.rig.broker.stop(self.rig.now)
        self.rig.restart()
        for known in self.clients.values():
            known.peer = None

    @invariant()
    def each_is_sent_what_is_next(self) -> None:
        """From the first unacknowledged on, in order, as many as there are or as it takes, marked when sent before."""
        for known in self.clients.values():
            if known.peer is None:
                continue
            under_way = min(known.window, len(known.messages) - known.acknowledged)
            known.delivered = max(known.delivered, known.acknowledged + under_way)
            expected = known.messages[known.began : known.acknowledged + under_way]
            assert known.peer.payloads == expected
            repeated = [known.began + place < known.repeated_until for place in range(len(expected))]
            assert [frame.duplicate for frame, _ in known.peer.deliveries] == repeated


TestAtLeastOnceInOrder = AtLeastOnceInOrder.TestCase
TestAtLeastOnceInOrder.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
