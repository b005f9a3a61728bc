"""The simulated link: the conformance suite in virtual time, and what is particular to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import ConnectionLost, LinkError, PublishRefused, Unreachable
from fleet.kernel.draws import Draws
from fleet.kernel.instants import MILLISECOND, SECOND, Duration
from fleet.kernel.schedule import Schedule
from fleet.transport.client_connection import WAITING_MAX
from fleet.transport.faults import Fault, HalfOpen, ResetConnections
from fleet.transport.link import BackOff, Delivery, LinkSettings, Will
from fleet.transport.mqtt_stream import packet_size
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_faults import FrameFaults
from fleet.transport.simulated_link import SimulatedLink, simulated_links
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.transport.swarm_codec import publish_packet
from fleet.wire.frame import Frame
from tests.lab import Lab, quick_back_off
from tests.transport.link_conformance import LinkBehaviour
from tests.transport.simulated_lab import SimulatedWorld, VirtualPolicy

# What replaces this fixture is a hook that pytest-asyncio has only from 1.4 on.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="+#"), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """Run everything here in virtual time."""
    return VirtualPolicy()


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Links to a simulated broker."""
    made = SimulatedWorld.new().lab()
    yield made
    await made.close()


@pytest.fixture
async def own_lab(lab: Lab) -> Lab:
    """A simulated broker is always the test's own."""
    return lab


class TestSimulatedLink(LinkBehaviour):
    """A link without a socket keeps every promise that needs none."""


class TestParticulars:
    """Mistakes that only this implementation could make; without an event loop, as the virtual runtime drives it."""

    def test_a_close_needs_only_its_first_step(self) -> None:
        """Without an event loop `close` returns at once, and the schedule finishes the close: final publish, then no will."""
        here = Here()
        watcher = here.client("watcher", subscriptions=(("#", 1),))
        one = here.client("one", will=Will(Frame(topic="will", payload=b"will"), 0))
        with pytest.raises(StopIteration):
            one.link.close(end_session=True, last=Frame(topic="last", payload=b"bye")).send(None)
        assert one.link.is_up
        here.run(1)
        assert one.calls == ["up", "down"]
        assert one.downs == [None]
        assert watcher.payloads == [b"bye"]
        assert here.broker.session("one") is None
        here.run(3600)
        assert watcher.payloads == [b"bye"]

    def test_a_close_is_bounded(self) -> None:
        """A broker that answers nothing holds up a final publish for five seconds and no longer."""
        here = Here()
        one = here.client("one")
        here.network.pause()
        with pytest.raises(StopIteration):
            one.link.close(last=Frame(topic="last", payload=b"bye")).send(None)
        here.run(4.9)
        assert one.downs == []
        here.run(0.2)
        assert one.downs == [None]
        here.network.resume()
        here.run(1)
        assert (here.broker.connected, here.broker.counts.received) == (0, 1)

    def test_a_second_close_adds_nothing(self) -> None:
        """A second close while the first is under way changes nothing: one final publish, one link_down."""
        here = Here()
        watcher = here.client("watcher", subscriptions=(("#", 1),))
        one = here.client("one")
        for payload in (b"first", b"second"):
            with pytest.raises(StopIteration):
                one.link.close(last=Frame(topic="last", payload=payload)).send(None)
        here.run(10)
        assert (watcher.payloads, one.calls) == ([b"first"], ["up", "down"])

    def test_a_short_pause_harms_nobody(self) -> None:
        """A broker that goes on before the keep-alive is over takes all that came meanwhile, and nobody is lost."""
        here = Here()
        one = here.client("one", keep_alive_s=20)
        here.network.pause()
        one.link.publish(Frame(topic="a", payload=b""), 1)
        here.run(29)
        assert one.outcomes == []
        here.network.resume()
        here.run(100)
        assert (one.calls, one.outcomes) == (["up", "acknowledged"], [(1, None)])

    def test_killed_while_it_connects(self) -> None:
        """A link whose CONNECT a hung broker never read hears of the broker's end, not of a time-out."""
        here = Here()
        here.network.pause()
        one = here.client("one", up=False)
        here.run(1)
        here.network.kill()
        here.run(0.01)
        [error] = one.downs
        assert isinstance(error, Unreachable)
        assert "ended before the broker answered" in error.cause

    def test_every_packet_takes_its_time(self) -> None:
        """Connecting takes two ways, subscribing two more; a publish and its outcome two, a delivery two."""
        here = Here(delay=10 * MILLISECOND)
        one = here.client("one", up=False, subscriptions=(("a", 1),))
        here.schedule.run_until(40 * MILLISECOND - 1)
        assert one.calls == []
        here.schedule.run_until(40 * MILLISECOND)
        assert one.calls == ["up"]
        one.link.publish(Frame(topic="a", payload=b""), 1)
        here.schedule.run_until(60 * MILLISECOND - 1)
        assert one.calls == ["up"]
        here.schedule.run_until(60 * MILLISECOND)
        assert one.calls == ["up", "received", "acknowledged"]

    def test_acknowledgements_that_follow_one_another_are_one_call(self) -> None:
        """Many at once come in one call of the schedule, each counted; what was sent between two of them arrives between them."""
        here = Here()
        one = here.client("one", subscriptions=(("a", 1),), acknowledges=False)
        for token in range(6):
            one.link.publish(Frame(topic="a", payload=b"%d" % token), token)
        here.run(1)
        session = here.broker.session("one")
        assert session is not None
        assert session._under_way is not None
        before = len(here.schedule)
        for delivery in one.deliveries[:3]:
            one.link.acknowledge(delivery)
        assert len(here.schedule) == before + 1
        one.link.publish(Frame(topic="b", payload=b""), 7)
        for delivery in one.deliveries[3:5]:
            one.link.acknowledge(delivery)
        assert len(here.schedule) == before + 3
        here.run(1)
        assert list(session._under_way) == [6]
        one.link.acknowledge(one.deliveries[5])  # later: by itself
        here.run(1)
        assert session._under_way is None

    def test_drawn_delays_keep_the_order_of_a_connection(self) -> None:
        """However the delays are drawn, what is sent on one connection arrives in its order, both ways."""
        draws = Draws(1, "delay")
        here = Here(delay=lambda: draws.integer(1, 500) * MILLISECOND)
        watcher = here.client("watcher", subscriptions=(("#", 1),), receive_maximum=1000)
        senders = [here.client(name) for name in ("one", "two")]
        here.run(10)
        for number in range(200):
            for sender in senders:
                sender.link.publish(Frame(topic=f"t/{sender.name}", payload=b"%d" % number), number)
            here.run(0.01)
        here.run(10)
        for sender in senders:
            assert [token for token, _ in sender.outcomes] == list(range(200))
            got = [delivery.frame.payload for delivery in watcher.deliveries if delivery.frame.topic == f"t/{sender.name}"]
            assert got == [b"%d" % number for number in range(200)]
        mixed = [delivery.frame.topic for delivery in watcher.deliveries]
        assert mixed != sorted(mixed)

    def test_reset(self) -> None:
        """Both ends notice at once, what was on its way is lost, the will is sent, and the link comes back by itself."""
        here = Here()
        watcher = here.client("watcher", subscriptions=(("#", 1),))
        one = here.client("one", will=Will(Frame(topic="will", payload=b"will"), 0))
        one.link.publish(Frame(topic="a", payload=b"lost on its way"), 1)
        here.strike(ResetConnections(), one)
        assert (one.calls, one.link.is_up) == (["up", "down"], False)
        assert isinstance(one.downs[0], ConnectionLost)
        here.run(10)
        assert watcher.payloads == [b"will"]
        assert one.ups == [False, True]
        assert one.outcomes == []

    def test_half_open(self) -> None:
        """Each end notices after one and a half keep-alives; what is delivered meanwhile comes again after the return."""
        here = Here()
        sender = here.client("sender")
        one = here.client("one", keep_alive_s=20, subscriptions=(("a", 1),), acknowledges=False)
        here.strike(HalfOpen(), one)
        sender.link.publish(Frame(topic="a", payload=b"into the void"), 1)
        here.run(29)
        assert (one.calls, here.broker.connected) == (["up"], 2)
        here.run(0.999)
        assert (one.calls, here.broker.connected) == (["up"], 2)
        here.run(0.002)
        assert (one.calls, here.broker.connected) == (["up", "down"], 1)
        assert "keep-alive" in str(one.downs[0])
        here.run(10)
        assert one.ups == [False, True]
        assert [(delivery.frame.payload, delivery.frame.duplicate) for delivery in one.deliveries] == [(b"into the void", True)]

    def test_a_drop_in_silence_is_not_noticed(self) -> None:
        """A car that loses coverage and hangs up tells nobody: the broker waits for its keep-alive, then for the will's delay."""
        here = Here()
        watcher = here.client("watcher", subscriptions=(("will", 1),))
        one = here.client("one", keep_alive_s=20, will=Will(Frame(topic="will", payload=b"will"), 10))
        here.strike(HalfOpen(), one)
        one.link.drop()
        here.run(1)
        assert one.downs == [None]
        here.run(38.9)
        assert watcher.payloads == []
        here.run(0.2)
        assert watcher.payloads == [b"will"]

    def test_what_was_sent_before_a_drop_arrives(self) -> None:
        """A drop overtakes nothing: the publish is taken, its outcome is never told, and then the broker notices."""
        here = Here()
        watcher = here.client("watcher", subscriptions=(("#", 1),))
        one = here.client("one")
        for qos in (0, 1):
            one.link.publish(Frame(topic="a", payload=b"on its way", qos=qos), qos)
        one.link.drop()
        here.run(1)
        assert watcher.payloads == [b"on its way"] * 2
        assert (one.outcomes, here.broker.connected) == ([], 1)

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (Frame(topic="a", payload=b"", qos=2), 0x9B),
            (Frame(topic="a", payload=bytes(1 << 20)), 0x95),
            (Frame(topic="a/+", payload=b""), 0x90),
            (Frame(topic="\ud800", payload=b""), 0x81),
        ],
    )
    def test_refused(self, frame: Frame, code: int) -> None:
        """A frame that cannot be sent is refused after the owner's call, in the broker's words, and the link stays up."""
        here = Here()
        one = here.client("one")
        one.link.publish(frame, 5)
        assert one.outcomes == []
        here.run(1)
        [(token, error)] = one.outcomes
        assert (token, error and error.code) == (5, code)
        assert one.calls == ["up", "acknowledged"]

    def test_what_waits_is_bounded(self) -> None:
        """Beyond the window and the queue behind it a publish is refused with 0x97; all others go out in order."""
        here = Here()
        one = here.client("one")
        count = WAITING_MAX + 4_000
        for token in range(count + 1):
            one.link.publish(Frame(topic="a", payload=b""), token)
        here.run(60)
        refused = [token for token, error in one.outcomes if error is not None]
        assert refused == [count]
        assert [token for token, error in one.outcomes if error is None] == list(range(count))

    @given(
        st.builds(
            Frame,
            topic=NAMES,
            payload=st.binary(max_size=300) | st.sampled_from([bytes(16_380), bytes(2_097_140)]),
            qos=st.integers(0, 1),
            expiry_s=st.none() | st.integers(1, 9),
            response_topic=st.none() | NAMES,
            correlation=st.none() | st.binary(min_size=1, max_size=9),
            content_type=st.none() | NAMES,
            user_properties=st.lists(st.tuples(NAMES, NAMES), max_size=3).map(tuple),
        )
    )
    def test_packet_size(self, frame: Frame) -> None:
        """A frame is counted with the bytes it would have on the wire."""
        assert packet_size(frame) == len(publish_packet(frame, 1 if frame.qos else None))

    def test_back_off_in_virtual_time(self) -> None:
        """Attempts follow the back-off; the first after the broker is back succeeds, and begins anew the next time."""
        here = Here()
        one = here.client("one", back_off=BackOff(lambda: 0.999999, first_s=1, cap_s=8))
        here.network.stop()
        here.run(0.9)
        assert [type(error) for error in one.downs] == [ConnectionLost]
        here.run(20)
        assert [type(error) for error in one.downs[1:]] == [Unreachable] * 4  # after 1, 2, 4, 8 seconds
        here.network.start()
        here.run(8)
        assert one.ups == [False, True]
        here.network.stop()
        here.run(2.9)
        assert len(one.downs) == 5 + 2  # the loss, and the attempt after 1 second

    def test_the_same_twice(self) -> None:
        """The same run gives the same calls at the same instants."""
        assert storm() == storm()


@dataclass(slots=True)
class Owner:
    """Writes down what its link tells it, and when."""

    name: str
    schedule: Schedule
    acknowledges: bool
    link: SimulatedLink = field(init=False)
    calls: list[str] = field(default_factory=list)
    instants: list[int] = field(default_factory=list)
    ups: list[bool] = field(default_factory=list)
    downs: list[LinkError | None] = field(default_factory=list)
    outcomes: list[tuple[int, PublishRefused | None]] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.frame.payload for delivery in self.deliveries]

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.instants.append(self.schedule.now)

    def link_up(self, session_present: bool) -> None:
        self.ups.append(session_present)
        self._note("up")

    def link_down(self, error: LinkError | None) -> None:
        self.downs.append(error)
        self._note("down")

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        self.outcomes.append((token, error))
        self._note("acknowledged")

    def link_received(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._note("received")
        if self.acknowledges:
            self.link.acknowledge(delivery)


class Here:
    """A broker for everybody, links to it, and a schedule that the test runs."""

    def __init__(self, delay: Duration | Callable[[], Duration] = MILLISECOND) -> None:
        self.schedule = Schedule()
        self.broker = SimulatedBroker()
        self.network = SimulatedNetwork(self.broker, self.schedule, delay=delay)

    def client(
        self, name: str, *, up: bool = True, acknowledges: bool = True, back_off: BackOff | None = None, **settings: Any
    ) -> Owner:
        owner = Owner(name, self.schedule, acknowledges)
        link = simulated_links(self.network)(LinkSettings(client_id=name, **settings), owner, back_off or quick_back_off())
        assert isinstance(link, SimulatedLink)
        owner.link = link
        owner.link.open()
        if up:
            self.run(5)
        return owner

    def strike(self, fault: Fault, owner: Owner) -> None:
        """End the connection of a client, as the fault does."""
        if self.network.faults is None:
            self.network.faults = FrameFaults(self.network)
        self.network.faults.strike(fault, [owner.name])
        self.run(0)

    def run(self, seconds: float) -> None:
        self.schedule.run_until(self.schedule.now + round(seconds * SECOND))


def storm() -> list[tuple[list[str], list[int], list[bytes]]]:
    """Let twenty clients publish, fall silent, be cut and drop, and a broker stop in the middle."""
    draws = Draws(7, "storm")
    here = Here(delay=lambda: draws.integer(1, 90) * MILLISECOND)
    owners = [here.client(f"c{number}", up=False, keep_alive_s=5, subscriptions=(("#", 1),)) for number in range(20)]
    here.run(10)
    for step in range(400):
        owner = draws.choice(owners)
        match draws.integer(0, 9):
            case 0:
                here.strike(ResetConnections(), owner)
            case 1:
                here.strike(HalfOpen(), owner)
            case 2:
                owner.link.drop()
                owner.link.open()
            case _ if owner.link.is_up:
                owner.link.publish(Frame(topic=f"t/{owner.name}", payload=b"%d" % step), step)
        if step in {150, 200}:
            (here.network.stop if step == 150 else here.network.start)()
        here.run(0.1)
    here.run(100)
    assert all(owner.link.is_up and len(owner.deliveries) > 50 for owner in owners)
    return [(owner.calls, owner.instants, owner.payloads) for owner in owners]
