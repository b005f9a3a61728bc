"""A broker of MQTT 5 as a pure machine: what clients see of Mosquitto, without a socket, a clock or a packet of bytes.

Peers are called for what the broker sends; time comes with each call, as integer microseconds, and never runs back.
Where Mosquitto and the specification differ, the specification is followed; where it leaves a choice, Mosquitto is. So a
SUBSCRIBE to topics one may not read is granted and filtered at delivery, a client whose filters overlap gets a copy for
each of them, and wills are sent when the broker stops.

QoS 2 is not taken: it is granted as QoS 1 to subscribers, and links refuse to publish at it. Keep-alives are not sent
between perfect peers; `silent` reports a client that falls silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from fleet.kernel.instants import Instant
from fleet.kernel.schedule import virtual_duration
from fleet.kernel.timers import TimerHeap
from fleet.transport.client_packets import (
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    PubackPacket,
    SubackPacket,
    UnsubackPacket,
)
from fleet.transport.link import LinkSettings
from fleet.transport.simulated_access import Access, AccessControl
from fleet.transport.simulated_sessions import PATIENCE, BrokerCounts, BrokerLimits, Peer, Session
from fleet.transport.simulated_topics import SHARED_PREFIX, SubscriptionIndex, TopicTree, Way, is_topic_filter
from fleet.wire.frame import Frame

SUCCESS: Final = 0x00
NO_MATCHING_SUBSCRIBERS: Final = 0x10
NO_SUBSCRIPTION_EXISTED: Final = 0x11
CLIENT_ID_NOT_VALID: Final = 0x85
NOT_AUTHORIZED: Final = 0x87
SERVER_SHUTTING_DOWN: Final = 0x8B
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_FILTER_INVALID: Final = 0x8F
TOPIC_NAME_INVALID: Final = 0x90
PACKET_TOO_LARGE: Final = 0x95
SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: Final = 0x9E

MAX_QOS: Final = 1

Admits = Callable[[str | None, str | None], bool]
"""Whether a user name and a password are right."""


class _Retained(NamedTuple):
    """A message kept for later subscribers."""

    frame: Frame
    received_at: Instant


class _Saved(NamedTuple):
    """The content of the broker's file."""

    sessions: list[Session]
    retained: list[_Retained]


class SimulatedBroker:
    """Decides what becomes of every packet. A driver calls `wake` once `deadline()` has come."""

    def __init__(
        self,
        *,
        access: AccessControl | None = None,
        admits: Admits | None = None,
        limits: BrokerLimits | None = None,
    ) -> None:
        """Take who may do what (None: everybody everything), who may connect, and the limits. It runs at once."""
        self.counts = BrokerCounts()
        self.limits = limits or BrokerLimits()
        self._access = access
        self._admits = admits
        self._saved = _Saved([], [])
        self._forget_all()

    def _forget_all(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._connected: dict[Peer, Session] = {}
        self._subscriptions: SubscriptionIndex[Session] = SubscriptionIndex()
        self._retained: TopicTree[_Retained] = TopicTree()
        self._timers: TimerHeap[str] = TimerHeap()

    @property
    def connected(self) -> int:
        """How many clients are connected, those included that have fallen silent."""
        return len(self._connected)

    def session(self, client_id: str) -> Session | None:
        """Return the session of a client while there is one; to be looked at, not changed."""
        return self._sessions.get(client_id)

    # --- packets

    def connect(self, peer: Peer, settings: LinkSettings, now: Instant, *, username_as_client_id: bool = False) -> None:
        """Take a CONNECT; with `username_as_client_id` as on a listener that has Mosquitto's option of that name."""
        client_id = settings.client_id
        if username_as_client_id and settings.username is not None:
            client_id = settings.username
        code = self._refusal(client_id, settings)
        if code:
            peer.receive(ConnackPacket(code))
            peer.receive(ConnectionClosed())
            return
        session = self._sessions.get(client_id)
        if session is not None and session.peer is not None:
            self._end(session, SESSION_TAKEN_OVER, now)
            session = self._sessions.get(client_id)
        if session is not None and settings.clean_start:
            self._forget(session, now)
            session = None
        session_present = session is not None
        if session is None:
            session = self._sessions[client_id] = Session((settings.username, client_id), self.limits, self.counts)
        other_user = session.username != settings.username
        session.come(peer, settings)
        self._connected[peer] = session
        self._timers.set(client_id, None)
        peer.receive(
            ConnackPacket(
                SUCCESS,
                session_present,
                receive_maximum=self.limits.max_inflight_messages,
                packet_max=self.limits.max_packet_size,
            )
        )
        session.resume(now, (lambda topic: self._allows("read", session, topic)) if other_user else None)

    def subscribe(self, peer: Peer, filters: Sequence[tuple[str, int]], now: Instant) -> None:
        """Take a SUBSCRIBE of (filter, QoS): answer it, and deliver what is retained."""
        session = self._connected.get(peer)
        if session is None:
            return
        codes = tuple(self._subscribe(session, topic_filter, qos) for topic_filter, qos in filters)
        peer.receive(SubackPacket(codes))
        for (topic_filter, _), code in zip(filters, codes, strict=True):
            if code > MAX_QOS:
                continue
            for frame, received_at in list(self._retained.matching(topic_filter)):
                if self._allows("read", session, frame.topic):
                    session.take(frame, code, received_at, now)
                else:
                    self.counts.denied += 1

    def unsubscribe(self, peer: Peer, filters: Sequence[str]) -> None:
        """Take an UNSUBSCRIBE and answer it."""
        session = self._connected.get(peer)
        if session is not None:
            peer.receive(UnsubackPacket(tuple(self._unsubscribe(session, topic_filter) for topic_filter in filters)))

    def publish(self, peer: Peer, frame: Frame, packet_id: int, now: Instant) -> None:
        """Take a PUBLISH; `packet_id` is 0 at QoS 0."""
        session = self._connected.get(peer)
        if session is None:
            return
        if len(frame.payload) > self.limits.max_packet_size:  # links refuse to send it; this is for other peers
            self._end(session, PACKET_TOO_LARGE, now)
            return
        self.counts.received += 1
        way = self._subscriptions.way_of(frame.topic)
        if way is None:
            code = TOPIC_NAME_INVALID
            self.counts.refused += 1
        elif way.writer == session.client or self._allows("write", session, frame.topic):
            way.writer = session.client
            code = self._route(frame, way, now)
        else:
            code = NOT_AUTHORIZED
            self.counts.refused += 1
        if packet_id:
            peer.receive(PubackPacket(packet_id, code))

    def acknowledge(self, peer: Peer, packet_id: int, now: Instant) -> None:
        """Take a PUBACK."""
        session = self._connected.get(peer)
        if session is not None:
            session.acknowledged(packet_id, now)

    def disconnect(self, peer: Peer, now: Instant, *, end_session: bool = False) -> None:
        """Take a DISCONNECT: the will is not sent; with `end_session` the session ends now."""
        session = self._connected.get(peer)
        if session is None:
            return
        session.will = None
        if end_session:
            session.expiry_s = 0
        self._part(session, now)

    # --- what becomes of connections

    def lost(self, peer: Peer, now: Instant) -> None:
        """The connection has ended without a DISCONNECT."""
        session = self._connected.get(peer)
        if session is not None:
            self._part(session, now)

    def silent(self, peer: Peer, keep_alive_s: int, now: Instant) -> None:
        """Nothing more will come from the peer, though its connection stays: it ends when the keep-alive is over."""
        session = self._connected.get(peer)
        if session is not None and session.silent_until is None and keep_alive_s:
            session.silent_until = now + virtual_duration(PATIENCE * keep_alive_s)
            self._timers.set(session.client_id, session.deadline())

    def heard(self, peer: Peer) -> None:
        """Something comes from the peer again, before its silence was over."""
        session = self._connected.get(peer)
        if session is not None and session.silent_until is not None:
            session.silent_until = None
            self._timers.set(session.client_id, session.deadline())

    def deadline(self) -> Instant | None:
        """Return when the broker wants to be woken, or None. A publish or an acknowledgement does not change it."""
        return self._timers.next_deadline()

    def wake(self, now: Instant) -> None:
        """Send the wills, and end the sessions and connections, that are due."""
        while (at := self._timers.next_deadline()) is not None and at <= now:
            for _, client_id in self._timers.pop_due(now, 1):
                session = self._sessions[client_id]
                if session.silent_until is not None and session.silent_until <= now:
                    self._end(session, KEEP_ALIVE_TIMEOUT, now)
                else:
                    self._settle(session, now)

    # --- the process

    def save(self, now: Instant) -> None:
        """Write down what survives a kill. Without persistence nothing does."""
        if self.limits.persistence:
            self._saved = _Saved([session.saved(now) for session in self._sessions.values()], list(self._retained))

    def stop(self, now: Instant) -> None:
        """End in good order, as Mosquitto does: wills go out at once, and all is written down."""
        for session in list(self._sessions.values()):
            self._send_will(session, now)
        self.save(now)
        self._hang_up(SERVER_SHUTTING_DOWN)

    def kill(self) -> None:
        """End at once: what came after the last `save` or `stop` is lost."""
        self._hang_up(None)

    def start(self, now: Instant) -> None:
        """Run again after `stop` or `kill`, with what was written down."""
        for saved in self._saved.sessions:
            session = saved.saved(now)
            self._sessions[session.client_id] = session
            for topic_filter, qos in (session.subscriptions or {}).items():
                self._subscriptions.add(topic_filter, session, qos)
            self._timers.set(session.client_id, session.deadline())
        for retained in self._saved.retained:
            self._retained.set(retained.frame.topic, retained)
        self.wake(now)

    def _hang_up(self, code: int | None) -> None:
        connected = self._connected
        self._forget_all()
        for peer in connected:
            peer.receive(ConnectionClosed() if code is None else DisconnectPacket(code))

    # --- sessions

    def _refusal(self, client_id: str, settings: LinkSettings) -> int:
        if self._admits is not None and not self._admits(settings.username, settings.password):
            return NOT_AUTHORIZED  # as Mosquitto says it; 0x86 would be as right
        return SUCCESS if client_id else CLIENT_ID_NOT_VALID

    def _end(self, session: Session, code: int, now: Instant) -> None:
        """End the connection with a DISCONNECT, against the client's wish."""
        assert session.peer is not None
        session.peer.receive(DisconnectPacket(code))
        self._part(session, now)

    def _part(self, session: Session, now: Instant) -> None:
        assert session.peer is not None
        del self._connected[session.peer]
        session.go(now)
        self._settle(session, now)

    def _settle(self, session: Session, now: Instant) -> None:
        """Do what is due of a session whose client is away."""
        if session.ends_at is not None and session.ends_at <= now:
            self._forget(session, now)
            return
        if session.will_at is not None and session.will_at <= now:
            self._send_will(session, now)
        self._timers.set(session.client_id, session.deadline())

    def _forget(self, session: Session, now: Instant) -> None:
        """End the session; a will that still waits is sent."""
        for topic_filter in session.subscriptions or ():
            self._subscriptions.remove(topic_filter, session)
        self._timers.set(session.client_id, None)
        del self._sessions[session.client_id]
        self._send_will(session, now)

    def _send_will(self, session: Session, now: Instant) -> None:
        """Send the will unless its client may not write that topic."""
        will, session.will, session.will_at = session.will, None, None
        if will is None:
            return
        way = self._subscriptions.way_of(will.frame.topic)
        if way is not None and self._allows("write", session, will.frame.topic):
            self._route(will.frame, way, now)

    # --- subscriptions and messages

    def _subscribe(self, session: Session, topic_filter: str, qos: int) -> int:
        if not is_topic_filter(topic_filter):
            return TOPIC_FILTER_INVALID
        if topic_filter.startswith(SHARED_PREFIX):
            return SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        granted = min(qos, MAX_QOS)
        if session.subscriptions is None:
            session.subscriptions = {}
        session.subscriptions[topic_filter] = granted
        self._subscriptions.add(topic_filter, session, granted)
        return granted

    def _unsubscribe(self, session: Session, topic_filter: str) -> int:
        if not is_topic_filter(topic_filter):
            return TOPIC_FILTER_INVALID
        if session.subscriptions is None or session.subscriptions.pop(topic_filter, None) is None:
            return NO_SUBSCRIPTION_EXISTED
        self._subscriptions.remove(topic_filter, session)
        return SUCCESS

    def _route(self, frame: Frame, way: Way, now: Instant) -> int:
        """Keep the message if it is to be retained, and hand it to all who subscribe to its topic."""
        if frame.duplicate:
            frame = msgspec.structs.replace(frame, duplicate=False)
        if frame.retain:
            if frame.payload:
                self._retained.set(frame.topic, _Retained(frame, now))
            else:
                self._retained.remove(frame.topic)
            frame = msgspec.structs.replace(frame, retain=False)
        code = NO_MATCHING_SUBSCRIBERS
        for topic_filter in way.filters:
            subscribers = self._subscriptions.by_filter.get(topic_filter)
            if subscribers is None:
                continue
            code = SUCCESS
            for session, qos in subscribers.items():
                if way.reader == session.client or self._allows("read", session, frame.topic):
                    way.reader = session.client
                    session.take(frame, qos, now, now)
                else:
                    self.counts.denied += 1
        if code:
            self.counts.unheard += 1
        return code

    def _allows(self, access: Access, session: Session, topic: str) -> bool:
        username, client_id = session.client
        return self._access is None or self._access.allows(access, topic, username, client_id)
