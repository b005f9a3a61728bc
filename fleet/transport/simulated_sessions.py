"""The session of one client of our broker, simulated or embedded, with the window and the queue of messages to it.

Ten thousand sessions are normal, so what is rarely there is None until it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from fleet.kernel.instants import Instant
from fleet.kernel.schedule import virtual_duration, whole_wall_s
from fleet.transport.client_packets import NO_PACKET_MAX, ForwardedFrame, PublishPacket, PubrelPacket, ToClient
from fleet.transport.link import LinkSettings, Will
from fleet.transport.mqtt_stream import packet_size
from fleet.transport.reasons import REFUSAL
from fleet.transport.simulated_topics import Client, Options
from fleet.wire.frame import Frame

NEVER_EXPIRES_S: Final = 0xFFFF_FFFF
"""The session expiry that MQTT 5 reads as "never"."""
PATIENCE: Final = 1.5
"""After so many keep-alives without a word each end takes the other for gone."""
_HIGHEST_PACKET_ID: Final = 65_535

Held = tuple[Frame, Instant, int]
"""A frame for one client, as it would have left at once; when the broker got it; its packet id if it has one, else 0."""


class Peer(Protocol):
    """The other end of a connection, as the broker sees it. A packet reaches it later; it never calls back."""

    def receive(self, packet: ToClient) -> None: ...
    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Limits of the broker; the defaults are those of the shipped Mosquitto configuration.

    `max_inflight_messages` is the Receive Maximum that clients get. `max_queued_messages` is how many messages wait
    for one client, and `max_queued_bytes` how large they are; what comes then is dropped, though its sender gets an
    acknowledgement. `max_subscriptions` are those of one client. With `keep_alive_max_s` clients get no longer keep-alive,
    and one who wants none.
    """

    max_queued_messages: int = 100_000
    max_queued_bytes: int = 268_435_456
    max_subscriptions: int = 100_000
    max_retained_messages: int = 1_000_000
    max_qos: int = 1
    keep_alive_max_s: int | None = None
    max_inflight_messages: int = 4_000
    max_packet_size: int = 1_048_576
    persistence: bool = True


@dataclass(slots=True)
class BrokerCounts:
    """Counts of messages that came in, and of their fate at each client they were meant for."""

    received: int = 0
    refused: int = 0
    unheard: int = 0
    """Nobody subscribed to the topic, wills included."""
    delivered: int = 0
    """Sent to a client, repetitions included."""
    denied: int = 0
    """Subscribed to, and not to be read."""
    missed: int = 0
    """At QoS 0, for a client that was away."""
    expired: int = 0
    dropped: int = 0
    """The client's queue was full."""
    too_large: int = 0
    """Larger than the client takes."""
    withheld: int = 0
    """At QoS 0, for a client that does not read what it is sent."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session as it stands in a file. Messages are (frame, when the broker got it, packet id)."""

    client: Client
    expiry_s: int
    ends_at: Instant | None = None
    subscriptions: dict[str, Options] = {}
    last_id: int = 0
    under_way: list[tuple[ForwardedFrame, Instant, int]] = []
    waiting: list[tuple[ForwardedFrame, Instant, int]] = []
    released: list[int] = []
    unreleased: list[int] = []


class Session:
    """One client, connected or not."""

    __slots__ = (
        "_counts",
        "_last_id",
        "_limits",
        "_packet_max",
        "_queue",
        "_queued_bytes",
        "_released",
        "_room",
        "_under_way",
        "client",
        "ends_at",
        "expiry_s",
        "held_up",
        "peer",
        "silent_until",
        "subscriptions",
        "unreleased",
        "will",
        "will_at",
    )

    def __init__(self, client: Client, limits: BrokerLimits, counts: BrokerCounts) -> None:
        """Take whose it is, and what its broker allows and counts."""
        self.client = client
        self._limits = limits
        self._counts = counts
        self.peer: Peer | None = None
        self.expiry_s = 0
        self.subscriptions: dict[str, Options] | None = None
        self.held_up = False
        """The client does not read what it was sent: nothing more is until it does."""
        self.unreleased: set[int] | None = None
        """Packet ids of messages at QoS 2 that came in, and that the client may still repeat."""
        self.will: Will | None = None
        # Deadlines: the broker notices that the client is gone; the will is due; the session ends.
        self.silent_until: Instant | None = None
        self.will_at: Instant | None = None
        self.ends_at: Instant | None = None
        self._last_id = 0
        self._room = 0
        self._under_way: dict[int, Held] | None = None
        self._released: dict[int, None] | None = None  # the client has these messages at QoS 2, and not yet our PUBREL
        self._queue: deque[Held] | None = None
        self._queued_bytes = 0
        self._packet_max = NO_PACKET_MAX

    @property
    def username(self) -> str | None:
        """Return as whom the client connected last."""
        return self.client[0]

    @property
    def client_id(self) -> str:
        return self.client[1]

    @property
    def waiting(self) -> int:
        """How many messages wait for the client, without those under way to it."""
        return len(self._queue) if self._queue is not None else 0

    def deadline(self) -> Instant | None:
        """Return when something is to be done about the session though nobody says a word."""
        return min((at for at in (self.silent_until, self.will_at, self.ends_at) if at is not None), default=None)

    # --- coming and going

    def come(self, peer: Peer, settings: LinkSettings, packet_max: int = NO_PACKET_MAX) -> None:
        """The client is connected and takes packets of so many bytes; `resume` sends what it has not acknowledged."""
        self.peer = peer
        self.held_up = False
        self._packet_max = packet_max
        self.client = (settings.username, self.client_id)
        self.expiry_s = settings.session_expiry_s
        self.will = settings.will
        self.silent_until = self.will_at = self.ends_at = None
        self._room = settings.receive_maximum

    def go(self, now: Instant) -> None:
        """The client is no longer connected: its will, if it has one still, and its session wait for their end."""
        self.peer = None
        self.silent_until = None
        self.ends_at = None if self.expiry_s == NEVER_EXPIRES_S else now + virtual_duration(self.expiry_s)
        if self.will is not None:  # the end of the session sends it, too
            self.will_at = now + virtual_duration(self.will.delay_s)

    # --- messages to the client

    def take(self, frame: Frame, qos: int, received_at: Instant, now: Instant) -> None:
        """Send the message, at most at that QoS, queue it, or drop it.

        It is dropped at QoS 0 when the client is away, else when the queue is full.
        """
        if frame.qos > qos:
            frame = msgspec.structs.replace(frame, qos=qos)
        peer = self.peer
        if not frame.qos:
            if peer is None:
                self._counts.missed += 1
            elif self.held_up:
                self._counts.withheld += 1
            elif (aged := _aged(frame, received_at, now)) is None:
                self._counts.expired += 1
            elif self._packet_max != NO_PACKET_MAX and packet_size(aged) > self._packet_max:
                self._counts.too_large += 1
            else:
                self._counts.delivered += 1
                peer.receive(PublishPacket(aged, 0))
        elif peer is not None and self._room > 0 and not self.held_up:  # so nothing waits
            self._send(peer, (frame, received_at, 0), now)
        elif self.waiting >= self._limits.max_queued_messages or self._queued_bytes >= self._limits.max_queued_bytes:
            self._counts.dropped += 1
        else:
            if self._queue is None:
                self._queue = deque()
            self._queue.append((frame, received_at, 0))
            self._queued_bytes += _size(frame)

    def acknowledged(self, packet_id: int, now: Instant) -> bool:
        """The client has taken a message: there is room for the next one. Returns False for one at QoS 2, which it is not."""
        under_way = self._under_way
        if under_way is None or (held := under_way.pop(packet_id, None)) is None:
            return self._released is None or packet_id not in self._released
        if held[0].qos == 2:
            under_way[packet_id] = held
            return False
        if not under_way:
            self._under_way = None
        self._has_room(now)
        return True

    def has_received(self, packet_id: int, code: int, now: Instant) -> bool:
        """The client has a message at QoS 2, or (a code from 0x80 on) does not take it. Returns False for one at QoS 1."""
        under_way = self._under_way
        held = under_way.get(packet_id) if under_way is not None else None
        if under_way is not None and held is not None:
            if held[0].qos == 1:
                return False
            del under_way[packet_id]
            if code >= REFUSAL:
                self._has_room(now)
            else:
                self._released = self._released or {}
                self._released[packet_id] = None
        if self.peer is not None and code < REFUSAL:
            self.peer.receive(PubrelPacket(packet_id, known=self._released is not None and packet_id in self._released))
        return True

    def completed(self, packet_id: int, now: Instant) -> bool:
        """The client will not ask for that message at QoS 2 again. Returns False for one that it has not received yet."""
        if self._released is not None and packet_id in self._released:
            del self._released[packet_id]
            self._has_room(now)
            return True
        return self._under_way is None or packet_id not in self._under_way

    def _has_room(self, now: Instant) -> None:
        self._room += 1
        if self._queue is not None:
            self._pump(now)

    def goes_on(self, now: Instant) -> None:
        """The client reads again: send what waits."""
        self.held_up = False
        if self._queue is not None:
            self._pump(now)

    def resume(self, now: Instant, may_read: Callable[[str], bool] | None) -> None:
        """Send again what was not acknowledged, under its packet ids, and then what waits.

        `may_read` is asked for each message when the session has another user now than when they were kept.
        """
        under_way, self._under_way = self._under_way, None
        waiting, self._queue = self._queue, None
        again = [
            (msgspec.structs.replace(frame, duplicate=True), received_at, packet_id)
            for packet_id, (frame, received_at, _) in (under_way or {}).items()
        ]
        held = deque(held for held in (*again, *(waiting or ())) if may_read is None or may_read(held[0].topic))
        self._counts.denied += len(again) + len(waiting or ()) - len(held)
        assert self.peer is not None
        for packet_id in self._released or ():
            self._room -= 1
            self.peer.receive(PubrelPacket(packet_id))
        self._queued_bytes = 0
        if held:
            self._queue = held
            self._queued_bytes = sum(_size(frame) for frame, _, _ in held)
            self._pump(now)

    def _pump(self, now: Instant) -> None:
        queue, peer = self._queue, self.peer
        assert peer is not None
        while queue and self._room > 0 and not self.held_up:
            held = queue.popleft()
            self._queued_bytes -= _size(held[0])
            self._send(peer, held, now)
        if not queue:
            self._queue = None

    def _send(self, peer: Peer, held: Held, now: Instant) -> None:
        frame, received_at, packet_id = held
        aged = frame if frame.expiry_s is None else _aged(frame, received_at, now)
        if aged is None:
            self._counts.expired += 1
            return
        if self._packet_max != NO_PACKET_MAX and packet_size(aged) > self._packet_max:
            self._counts.too_large += 1
            return
        under_way = self._under_way
        if under_way is None:
            under_way = self._under_way = {}
        if not packet_id:  # those of messages to be repeated need no look: they leave before all that is new
            packet_id = self._last_id % _HIGHEST_PACKET_ID + 1
            while packet_id in under_way or (self._released is not None and packet_id in self._released):
                packet_id = packet_id % _HIGHEST_PACKET_ID + 1
            self._last_id = packet_id
        under_way[packet_id] = held
        self._room -= 1
        self._counts.delivered += 1
        peer.receive(PublishPacket(aged, packet_id))

    # --- persistence

    def saved(self, now: Instant) -> Session:
        """Return a copy as it would be read from a file: nobody is connected, wills are not kept."""
        copy = Session(self.client, self._limits, self._counts)
        copy.expiry_s = self.expiry_s
        copy.subscriptions = dict(self.subscriptions) if self.subscriptions is not None else None
        copy.ends_at = self.ends_at
        if self.peer is not None and self.expiry_s != NEVER_EXPIRES_S:
            copy.ends_at = now + virtual_duration(self.expiry_s)
        copy._last_id = self._last_id
        copy._under_way = dict(self._under_way) if self._under_way is not None else None
        copy._queue = self._queue.copy() if self._queue is not None else None
        copy._queued_bytes = self._queued_bytes
        copy._released = dict(self._released) if self._released else None
        copy.unreleased = set(self.unreleased) if self.unreleased else None
        return copy

    def record(self) -> SessionRecord:
        """Return a copy that `saved` has made as it stands in a file."""
        return SessionRecord(
            client=self.client,
            expiry_s=self.expiry_s,
            ends_at=self.ends_at,
            subscriptions=self.subscriptions or {},
            last_id=self._last_id,
            under_way=[_forwarded(held, packet_id) for packet_id, held in (self._under_way or {}).items()],
            waiting=[_forwarded(held, 0) for held in self._queue or ()],
            released=list(self._released or ()),
            unreleased=list(self.unreleased or ()),
        )

    @staticmethod
    def of(record: SessionRecord, limits: BrokerLimits, counts: BrokerCounts) -> Session:
        """Return the session that a record describes."""
        session = Session(record.client, limits, counts)
        session.expiry_s = record.expiry_s
        session.ends_at = record.ends_at
        session.subscriptions = dict(record.subscriptions) or None
        session._last_id = record.last_id
        session._under_way = {held[2]: held for held in record.under_way} or None
        session._queue = deque(record.waiting) or None
        session._queued_bytes = sum(_size(frame) for frame, _, _ in record.waiting)
        session._released = dict.fromkeys(record.released) or None
        session.unreleased = set(record.unreleased) or None
        return session


def _forwarded(held: Held, packet_id: int) -> tuple[ForwardedFrame, Instant, int]:
    frame, received_at, _ = held
    assert isinstance(frame, ForwardedFrame), "only what came as bytes gets into a file"
    return frame, received_at, packet_id


def _size(frame: Frame) -> int:
    """Return about how many bytes a message that waits takes."""
    properties = len(frame.properties) if type(frame) is ForwardedFrame else 0
    return len(frame.payload) + len(frame.topic) + properties


def _aged(frame: Frame, received_at: Instant, now: Instant) -> Frame | None:
    """Return the frame with the seconds its expiry has left, or None when it has expired."""
    if frame.expiry_s is None or not (waited_s := whole_wall_s(now - received_at)):
        return frame
    left_s = frame.expiry_s - waited_s
    return msgspec.structs.replace(frame, expiry_s=left_s) if left_s > 0 else None
