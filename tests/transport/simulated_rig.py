"""A simulated broker in the hands of a test: peers that write down what they are told, and time that the test sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleet.kernel.instants import SECOND
from fleet.transport.client_packets import (
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    PubackPacket,
    PublishPacket,
    SubackPacket,
    ToClient,
    UnsubackPacket,
)
from fleet.transport.link import LinkSettings
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.wire.frame import Frame


@dataclass(eq=False, slots=True)
class RecordingPeer:
    """One connection; everything it is told, in order."""

    rig: Rig
    connacks: list[tuple[int, bool]] = field(default_factory=list)
    subacks: list[tuple[int, ...]] = field(default_factory=list)
    unsubacks: list[tuple[int, ...]] = field(default_factory=list)
    pubacks: list[tuple[int, int]] = field(default_factory=list)
    deliveries: list[tuple[Frame, int]] = field(default_factory=list)
    ends: list[int | None] = field(default_factory=list)

    def receive(self, packet: ToClient) -> None:
        match packet:
            case ConnackPacket():
                self.connacks.append((packet.code, packet.session_present))
            case SubackPacket():
                self.subacks.append(tuple(packet.codes))
            case UnsubackPacket():
                self.unsubacks.append(tuple(packet.codes))
            case PubackPacket():
                self.pubacks.append((packet.packet_id, packet.code))
            case PublishPacket():
                self.deliveries.append((packet.frame, packet.packet_id))
            case DisconnectPacket():
                self.ends.append(packet.code)
            case ConnectionClosed():
                self.ends.append(None)
            case _:
                raise AssertionError(packet)

    @property
    def payloads(self) -> list[bytes]:
        return [frame.payload for frame, _ in self.deliveries]

    @property
    def session_present(self) -> bool:
        [(code, present)] = self.connacks
        assert code == 0
        return present

    # --- what it says

    def publish(self, topic: str, payload: bytes = b"x", **properties: Any) -> int | None:
        """Publish and return the reason code (None at QoS 0)."""
        frame = Frame(topic=topic, payload=payload, **properties)
        self.rig.broker.publish(self, frame, 7 if frame.qos else 0, self.rig.now)
        return self.pubacks[-1][1] if frame.qos else None

    def subscribe(self, *filters: str, qos: int = 1) -> tuple[int, ...]:
        self.rig.broker.subscribe(self, [(topic_filter, qos) for topic_filter in filters], self.rig.now)
        return self.subacks[-1]

    def acknowledge(self, *packet_ids: int) -> None:
        for packet_id in packet_ids:
            self.rig.broker.acknowledge(self, packet_id, self.rig.now)

    def acknowledge_all(self) -> None:
        self.acknowledge(*(packet_id for _, packet_id in self.deliveries if packet_id))

    def lose(self) -> None:
        self.rig.broker.lost(self, self.rig.now)

    def disconnect(self, *, end_session: bool = False) -> None:
        self.rig.broker.disconnect(self, self.rig.now, end_session=end_session)


@dataclass(slots=True)
class Rig:
    """A broker and its time."""

    broker: SimulatedBroker = field(default_factory=SimulatedBroker)
    now: int = 1_000 * SECOND

    def client(self, client_id: str = "one", *, listener_of_cars: bool = False, **settings: Any) -> RecordingPeer:
        """Connect a client with a new connection."""
        peer = RecordingPeer(self)
        made = LinkSettings(**({"client_id": client_id, "username": client_id} | settings))
        self.broker.connect(peer, made, self.now, username_as_client_id=listener_of_cars)
        return peer

    def watcher(self, *filters: str) -> RecordingPeer:
        """Connect a client that subscribes to these filters."""
        peer = self.client("watcher", session_expiry_s=0, receive_maximum=1000)
        peer.subscribe(*filters or ("#",))
        return peer

    def wait(self, seconds: float) -> None:
        """Let time pass, waking the broker whenever it wants to be."""
        until = self.now + round(seconds * SECOND)
        while (at := self.broker.deadline()) is not None and at <= until:
            assert at >= self.now
            self.now = at
            self.broker.wake(at)
        self.now = until

    def restart(self, *, down_s: float = 0.0) -> None:
        """Start the broker again after it was stopped or killed."""
        self.now += round(down_s * SECOND)
        self.broker.start(self.now)
