"""The way between simulated links and a simulated broker: delay, order, and the faults of the broker's process.

What is sent on one connection arrives in its order. Knows nothing of what the packets mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.instants import MILLISECOND, Duration, Instant
from fleet.kernel.schedule import Schedule
from fleet.transport.client_packets import (
    ConnectionClosed,
    ConnectPacket,
    DisconnectPacket,
    PubackPacket,
    PublishPacket,
    SubscribePacket,
    ToBroker,
    UnsubscribePacket,
)
from fleet.transport.link import Endpoint, LinkSettings
from fleet.transport.remarks import Remarks
from fleet.transport.simulated_faults import FaultyPeer, FrameFaults
from fleet.transport.simulated_sessions import Peer
from fleet.wire.frame import Frame

DEFAULT_DELAY: Final = MILLISECOND

_Held = tuple[Callable[..., None], tuple[Any, ...]]


class BrokerMachine(Protocol):
    """The broker that packets are carried to. Every call comes at its time; none is answered but through the peer."""

    def connect(self, peer: Peer, settings: LinkSettings, now: Instant, *, username_as_client_id: bool = False) -> None: ...
    def subscribe(self, peer: Peer, filters: Sequence[tuple[str, int]], now: Instant) -> None: ...
    def unsubscribe(self, peer: Peer, filters: Sequence[str]) -> None: ...
    def publish(self, peer: Peer, frame: Frame, packet_id: int, now: Instant) -> None: ...
    def acknowledge(self, peer: Peer, packet_id: int, now: Instant) -> None: ...
    def disconnect(self, peer: Peer, now: Instant, *, end_session: bool = False) -> None: ...
    def lost(self, peer: Peer, now: Instant) -> None: ...
    def silent(self, peer: Peer, keep_alive_s: int, now: Instant) -> None: ...
    def heard(self, peer: Peer) -> None: ...
    def deadline(self) -> Instant | None: ...
    def wake(self, now: Instant) -> None: ...
    def start(self, now: Instant) -> None: ...
    def stop(self, now: Instant) -> None: ...
    def kill(self) -> None: ...


class ConnectedPeer(Peer, FaultyPeer, Protocol):
    """The client's end, as the network sees it."""


class SimulatedNetwork:
    """One broker and all connections to it, on a schedule. Its broker runs at once. `faults` are those of the way, if any."""

    def __init__(
        self,
        broker: BrokerMachine,
        schedule: Schedule,
        *,
        delay: Duration | Callable[[], Duration] = DEFAULT_DELAY,
        endpoint: Endpoint | None = None,
    ) -> None:
        """Take what is carried where; `delay` is for each way, the same always or drawn for each packet."""
        self.broker = broker
        self.schedule = schedule
        self.endpoint = endpoint or Endpoint("simulated", 1883)  # what errors name
        self.faults: FrameFaults | None = None
        self.remarks = Remarks()
        self.retains = True
        self.steady_delay = delay if isinstance(delay, int) else None
        """How long every packet is on its way; None when that is drawn."""
        self._delay = delay
        self._connections: dict[ConnectedPeer, None] = {}
        self._running = True
        self._held: list[_Held] | None = None
        self._alarm = DeadlineTimer(lambda at, due, *_: schedule.call_at(at, due), broker.deadline, self._wake, keeps_same=True)

    # --- what arrives

    def arrival(self, after: Instant) -> Instant:
        """Return when what is sent now arrives: not before what was sent before it, which arrives at `after`."""
        delay = self._delay
        if isinstance(delay, int):
            return self.schedule.now + delay
        return max(after, self.schedule.now + delay())

    def receive(self, connection: ConnectedPeer, packet: ToBroker) -> None:
        """A packet arrives."""
        if self._held is not None and self._holds(self.receive, connection, packet):
            if type(packet) is ConnectPacket:
                self._connections[connection] = None
            elif type(packet) is DisconnectPacket or type(packet) is ConnectionClosed:
                self._connections.pop(connection, None)
        elif type(packet) is PublishPacket:
            self.broker.publish(connection, packet.frame, packet.packet_id, self.schedule.now)
        elif type(packet) is PubackPacket:
            self.broker.acknowledge(connection, packet.packet_id, self.schedule.now)
        else:
            self._receive_rare(connection, packet)

    def _receive_rare(self, connection: ConnectedPeer, packet: ToBroker) -> None:
        broker, now = self.broker, self.schedule.now
        match packet:
            case ConnectPacket() if self._running:
                self._connections[connection] = None
                broker.connect(connection, packet.settings, now, username_as_client_id=packet.username_as_client_id)
                self._alarm.rearm()
            case ConnectionClosed():
                self.lost(connection)
            case ConnectPacket():
                connection.refused()
            case SubscribePacket():
                broker.subscribe(connection, packet.filters, now)
            case UnsubscribePacket():
                broker.unsubscribe(connection, packet.filters)
            case DisconnectPacket():
                self._connections.pop(connection, None)
                broker.disconnect(connection, now, end_session=packet.end_session)
                self._alarm.rearm()
            case _:
                pass  # neither pings nor QoS 2

    def acknowledge(self, connection: ConnectedPeer, packet_id: int) -> None:
        """A PUBACK arrives, one of several in one call."""
        if self._held is None or not self._holds(self.acknowledge, connection, packet_id):
            self.broker.acknowledge(connection, packet_id, self.schedule.now)

    def lost(self, connection: ConnectedPeer) -> None:
        """The end of a connection arrives without a DISCONNECT."""
        self._connections.pop(connection, None)
        if not self._holds(self.lost, connection):
            self.broker.lost(connection, self.schedule.now)
            self._alarm.rearm()

    def silent(self, connection: ConnectedPeer) -> None:
        """Nothing more arrives, and the broker does not know why."""
        self._connections.pop(connection, None)
        if not self._holds(self.silent, connection):
            self.broker.silent(connection, connection.settings.keep_alive_s, self.schedule.now)
            self._alarm.rearm()

    @property
    def connections(self) -> Collection[ConnectedPeer]:
        """All that the broker has heard of and not lost."""
        return self._connections.keys()

    def suspend_outbound(self, connection: ConnectedPeer) -> None:
        """Nothing more arrives for a while; it is all the same connection when it is heard again."""
        self.broker.silent(connection, connection.settings.keep_alive_s, self.schedule.now)
        self._alarm.rearm()

    def resume_outbound(self, connection: ConnectedPeer) -> None:
        """Packets of a silent connection arrive again."""
        self.broker.heard(connection)
        self._alarm.rearm()

    def _holds(self, take: Callable[..., None], *packet: Any) -> bool:
        """Keep what arrives at a broker that is paused."""
        if self._held is None:
            return False
        self._held.append((take, packet))
        return True

    # --- faults of the broker's process

    def stop(self) -> None:
        """End the broker in good order; until `start` nobody listens. Does nothing when it does not run."""
        self.resume()
        if self._running:
            self._running = False
            self.broker.stop(self.schedule.now)
            self._after_the_end()

    def kill(self) -> None:
        """End the broker at once, with what it had not written down. Does nothing when it does not run."""
        if self._running:
            self._running = False
            self._held = None
            self.broker.kill()
            self._after_the_end()

    def _after_the_end(self) -> None:
        for connection in self._connections:
            connection.receive(
                ConnectionClosed()
            )  # for those the broker had not heard of yet; the others have their reason before
        self._connections.clear()
        self._alarm.rearm()

    def start(self) -> None:
        """Run the broker again. Does nothing while it runs."""
        if not self._running:
            self._running = True
            self.broker.start(self.schedule.now)
            self._alarm.rearm()

    def pause(self) -> None:
        """Stop the broker without ending it: it keeps its connections and answers nothing."""
        if self._running and self._held is None:
            self._held = []
            for connection in self._connections:
                connection.suspend_inbound()

    def resume(self) -> None:
        """Let a paused broker go on: it takes what has arrived meanwhile."""
        held, self._held = self._held, None
        for take, packet in held or ():
            take(*packet)
        if held is not None:
            for connection in self._connections:
                connection.resume_inbound()
            self._alarm.rearm()

    def _wake(self) -> None:
        if self._held is None:  # a paused broker does what is due when it goes on
            self.broker.wake(self.schedule.now)
            self._alarm.rearm()
