"""A broker of MQTT 5 as a pure machine: what clients see of Mosquitto, without a socket, a clock or a packet of bytes.

Peers are called for what the broker sends; time comes with each call, as integer microseconds, and never runs back.
Where Mosquitto and the specification differ, the specification is followed; where it leaves a choice, Mosquitto is. So a
SUBSCRIBE to topics one may not read is granted and filtered at delivery, a client whose filters overlap gets a copy for
each of them, and wills are sent when the broker stops.

Simulated links hand it packets by a schedule; of an embedded broker the same machine decides, with sockets around it. In its
limits QoS 2 is not taken by default, as the shipped configuration has it: it is granted as QoS 1. Keep-alives are not sent
between perfect peers; `silent` reports a client that falls silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from fleet.kernel.instants import Instant
from fleet.kernel.schedule import virtual_duration, whole_wall_s
from fleet.kernel.timers import TimerHeap
from fleet.transport.client_packets import (
    NO_PACKET_MAX,
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    ForwardedFrame,
    PubackPacket,
    PubcompPacket,
    PubrecPacket,
    SubackPacket,
    UnsubackPacket,
)
from fleet.transport.link import LinkSettings
from fleet.transport.reasons import REFUSAL
from fleet.transport.simulated_access import Access, AccessControl
from fleet.transport.simulated_sessions import PATIENCE, BrokerCounts, BrokerLimits, Peer, Session, SessionRecord
from fleet.transport.simulated_topics import (
    NO_LOCAL,
    QOS,
    RETAIN_AS_PUBLISHED,
    RETAIN_HANDLING,
    SEND_IF_NEW,
    SEND_NEVER,
    SHARED_PREFIX,
    SUBSCRIPTION_ID,
    Options,
    SubscriptionIndex,
    TopicTree,
    Way,
    is_topic_filter,
    is_topic_name,
    split_shared,
)
from fleet.wire.frame import Frame

SUCCESS: Final = 0x00
NO_MATCHING_SUBSCRIBERS: Final = 0x10
NO_SUBSCRIPTION_EXISTED: Final = 0x11
PROTOCOL_ERROR: Final = 0x82
CLIENT_ID_NOT_VALID: Final = 0x85
NOT_AUTHORIZED: Final = 0x87
SERVER_SHUTTING_DOWN: Final = 0x8B
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_FILTER_INVALID: Final = 0x8F
TOPIC_NAME_INVALID: Final = 0x90
RECEIVE_MAXIMUM_EXCEEDED: Final = 0x93
PACKET_TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97
QOS_NOT_SUPPORTED: Final = 0x9B

_OF_THE_BROKER: Final = ("$SYS/", "$share/")
"""Topics that no client writes."""

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
        new_client_id: Callable[[], str] | None = None,
    ) -> None:
        """Take who may do what (None: everybody everything), who may connect, and the limits. It runs at once.

        `new_client_id` names clients that come without a client id; without it they are refused.
        """
        self.counts = BrokerCounts()
        self.limits = limits or BrokerLimits()
        self._access = access
        self._admits = admits
        self._new_client_id = new_client_id
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

    def knows(self, peer: Peer) -> bool:
        """Return whether the client of that connection was taken and has not left."""
        return peer in self._connected

    def expiry_of(self, peer: Peer) -> int:
        """Return how many seconds the session of that connection outlives it; 0 without a session."""
        session = self._connected.get(peer)
        return session.expiry_s if session is not None else 0

    def session(self, client_id: str) -> Session | None:
        """Return the session of a client while there is one; to be looked at, not changed."""
        return self._sessions.get(client_id)

    # --- packets

    def connect(
        self,
        peer: Peer,
        settings: LinkSettings,
        now: Instant,
        *,
        username_as_client_id: bool = False,
        is_proven: bool = False,
        packet_max: int = NO_PACKET_MAX,
    ) -> None:
        """Take a CONNECT; with `username_as_client_id` as on a listener that has Mosquitto's option of that name.

        Of a client that `is_proven`, by its certificate, the password plays no part. It takes packets of `packet_max` bytes.
        """
        client_id, assigned = settings.client_id, None
        if username_as_client_id and settings.username is not None:
            client_id = settings.username
        if not client_id and self._new_client_id is not None:
            client_id = assigned = self._new_client_id()
        code = self._refusal(client_id, settings, is_proven=is_proven)
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
        session.come(peer, settings, packet_max)
        self._connected[peer] = session
        self._timers.set(client_id, None)
        peer.receive(
            ConnackPacket(
                SUCCESS,
                session_present,
                receive_maximum=self.limits.max_inflight_messages,
                packet_max=self.limits.max_packet_size,
                keep_alive_s=self._server_keep_alive_s(settings.keep_alive_s),
                assigned_client_id=assigned,
            )
        )
        session.resume(now, (lambda topic: self._allows("read", session, topic)) if other_user else None)

    def _server_keep_alive_s(self, wanted_s: int) -> int | None:
        """Return the keep-alive that the client gets instead of the one it wanted; None for that one."""
        most_s = self.limits.keep_alive_max_s
        return most_s if most_s is not None and not 0 < wanted_s <= most_s else None

    def subscribe(self, peer: Peer, filters: Sequence[tuple[str, Options]], now: Instant, *, packet_id: int = 0) -> None:
        """Take a SUBSCRIBE of (filter, options): answer it, and deliver what is retained."""
        session = self._connected.get(peer)
        if session is None:
            return
        known = session.subscriptions or {}
        wants = [_wants_retained(topic_filter, options, topic_filter in known) for topic_filter, options in filters]
        codes = tuple(self._subscribe(session, topic_filter, options) for topic_filter, options in filters)
        peer.receive(SubackPacket(codes, packet_id))
        for (topic_filter, options), code, wanted in zip(filters, codes, wants, strict=True):
            if wanted and code < REFUSAL:
                self._deliver_retained(session, topic_filter, options & ~QOS | code, now)

    def _deliver_retained(self, session: Session, topic_filter: str, options: Options, now: Instant) -> None:
        for frame, received_at in list(self._retained.matching(topic_filter)):
            if frame.expiry_s is not None and whole_wall_s(now - received_at) >= frame.expiry_s:
                self._retained.remove(frame.topic)
                self.counts.expired += 1
            elif self._allows("read", session, frame.topic):
                chosen = _identified(frame, options >> SUBSCRIPTION_ID)
                session.take(chosen, options & QOS, received_at, now)
            else:
                self.counts.denied += 1

    def unsubscribe(self, peer: Peer, filters: Sequence[str], *, packet_id: int = 0) -> None:
        """Take an UNSUBSCRIBE and answer it."""
        session = self._connected.get(peer)
        if session is not None:
            codes = tuple(self._unsubscribe(session, topic_filter) for topic_filter in filters)
            peer.receive(UnsubackPacket(codes, packet_id))

    def publish(self, peer: Peer, frame: Frame, packet_id: int, now: Instant) -> None:
        """Take a PUBLISH; `packet_id` is 0 at QoS 0."""
        session = self._connected.get(peer)
        if session is None:
            return
        if len(frame.payload) > self.limits.max_packet_size:  # links refuse to send it; this is for other peers
            self._end(session, PACKET_TOO_LARGE, now)
            return
        if frame.qos == 2 and not self._begins(session, peer, packet_id, now):
            return
        self.counts.received += 1
        way = self._subscriptions.way_of(frame.topic)
        if way is None:
            code = TOPIC_NAME_INVALID
            self.counts.refused += 1
        elif way.writer == session.client or self._allows("write", session, frame.topic):
            way.writer = session.client
            if frame.qos == 2:  # before the message may come back to its sender, as with Mosquitto
                peer.receive(PubrecPacket(packet_id))
            code = self._route(frame, way, now, session)
        else:
            code = NOT_AUTHORIZED
            self.counts.refused += 1
        if frame.qos == 2:
            if code in {NOT_AUTHORIZED, TOPIC_NAME_INVALID} and session.unreleased is not None:
                session.unreleased.discard(packet_id)
                peer.receive(PubrecPacket(packet_id, code))
        elif packet_id:
            peer.receive(PubackPacket(packet_id, code))

    def _begins(self, session: Session, peer: Peer, packet_id: int, now: Instant) -> bool:
        """Return whether a message at QoS 2 is a new one. One that is repeated is answered, and one too many ends the client."""
        if self.limits.max_qos < 2:
            self._end(session, QOS_NOT_SUPPORTED, now)
            return False
        if session.unreleased is None:
            session.unreleased = set()
        if packet_id in session.unreleased:
            peer.receive(PubrecPacket(packet_id))
            return False
        if len(session.unreleased) >= self.limits.max_inflight_messages:
            self._end(session, RECEIVE_MAXIMUM_EXCEEDED, now)
            return False
        session.unreleased.add(packet_id)
        return True

    def release(self, peer: Peer, packet_id: int) -> None:
        """Take a PUBREL."""
        session = self._connected.get(peer)
        if session is not None:
            known = session.unreleased is not None and packet_id in session.unreleased
            if session.unreleased is not None:
                session.unreleased.discard(packet_id)
            peer.receive(PubcompPacket(packet_id, known))

    def acknowledge(self, peer: Peer, packet_id: int, now: Instant) -> None:
        """Take a PUBACK."""
        session = self._connected.get(peer)
        if session is not None and not session.acknowledged(packet_id, now):
            self._end(session, PROTOCOL_ERROR, now)

    def has_received(self, peer: Peer, packet_id: int, code: int, now: Instant) -> None:
        """Take a PUBREC."""
        session = self._connected.get(peer)
        if session is not None and not session.has_received(packet_id, code, now):
            self._end(session, PROTOCOL_ERROR, now)

    def complete(self, peer: Peer, packet_id: int, now: Instant) -> None:
        """Take a PUBCOMP."""
        session = self._connected.get(peer)
        if session is not None and not session.completed(packet_id, now):
            self._end(session, PROTOCOL_ERROR, now)

    def disconnect(
        self, peer: Peer, now: Instant, *, end_session: bool = False, with_will: bool = False, expiry_s: int | None = None
    ) -> None:
        """Take a DISCONNECT: the will is not sent, but `with_will`; with `end_session` the session ends now."""
        session = self._connected.get(peer)
        if session is None:
            return
        if not with_will:
            session.will = None
        if expiry_s is not None:
            session.expiry_s = expiry_s
        if end_session:
            session.expiry_s = 0
        self._part(session, now)

    def expel(self, peer: Peer, code: int, now: Instant) -> None:
        """End a connection against the client's wish, with a DISCONNECT; its will is sent."""
        session = self._connected.get(peer)
        if session is not None:
            self._end(session, code, now)

    def hold_up(self, peer: Peer) -> None:
        """The client does not read what it was sent: queue what is for it, and drop what is at QoS 0."""
        session = self._connected.get(peer)
        if session is not None:
            session.held_up = True

    def go_on(self, peer: Peer, now: Instant) -> None:
        """The client reads again."""
        session = self._connected.get(peer)
        if session is not None:
            session.goes_on(now)

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

    def records(self) -> tuple[list[SessionRecord], list[tuple[ForwardedFrame, Instant]]]:
        """Return what was written down last, sessions and retained messages, as it stands in a file."""
        retained = [(kept.frame, kept.received_at) for kept in self._saved.retained]
        return [session.record() for session in self._saved.sessions], [
            (frame, at) for frame, at in retained if isinstance(frame, ForwardedFrame)
        ]

    def restore(
        self, sessions: Sequence[SessionRecord], retained: Sequence[tuple[ForwardedFrame, Instant]], now: Instant
    ) -> None:
        """Begin with what a file holds; before anybody connects."""
        made = [Session.of(record, self.limits, self.counts) for record in sessions]
        self._saved = _Saved(made, [_Retained(frame, at) for frame, at in retained])
        self.start(now)

    def _hang_up(self, code: int | None) -> None:
        connected = self._connected
        self._forget_all()
        for peer in connected:
            peer.receive(ConnectionClosed() if code is None else DisconnectPacket(code))

    # --- sessions

    def _refusal(self, client_id: str, settings: LinkSettings, *, is_proven: bool) -> int:
        if not is_proven and self._admits is not None and not self._admits(settings.username, settings.password):
            return NOT_AUTHORIZED  # as Mosquitto says it; 0x86 would be as right
        if not client_id:
            return CLIENT_ID_NOT_VALID
        will = settings.will
        if will is None:
            return SUCCESS
        if will.frame.qos > self.limits.max_qos:
            return QOS_NOT_SUPPORTED
        return SUCCESS if is_topic_name(will.frame.topic) else TOPIC_NAME_INVALID

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
            self._route(will.frame, way, now, session)

    # --- subscriptions and messages

    def _subscribe(self, session: Session, topic_filter: str, options: Options) -> int:
        if not is_topic_filter(topic_filter):
            return TOPIC_FILTER_INVALID
        if topic_filter.startswith(SHARED_PREFIX) and split_shared(topic_filter) is None:
            return TOPIC_FILTER_INVALID
        if session.subscriptions is None:
            session.subscriptions = {}
        if topic_filter not in session.subscriptions and len(session.subscriptions) >= self.limits.max_subscriptions:
            return QUOTA_EXCEEDED
        granted = min(options & QOS, self.limits.max_qos)
        held = (options & ~RETAIN_HANDLING) & ~QOS | granted  # how retained messages are handled matters this once
        session.subscriptions[topic_filter] = held
        self._subscriptions.add(topic_filter, session, held)
        return granted

    def _unsubscribe(self, session: Session, topic_filter: str) -> int:
        if not is_topic_filter(topic_filter):
            return TOPIC_FILTER_INVALID
        if session.subscriptions is None or session.subscriptions.pop(topic_filter, None) is None:
            return NO_SUBSCRIPTION_EXISTED
        self._subscriptions.remove(topic_filter, session)
        return SUCCESS

    def _route(self, frame: Frame, way: Way, now: Instant, sender: Session) -> int:
        """Keep the message if it is to be retained, and hand it to all who subscribe to its topic."""
        if frame.duplicate:
            frame = msgspec.structs.replace(frame, duplicate=False)
        retained = frame.retain
        if retained:
            if not self._retain(frame, now):
                return QUOTA_EXCEEDED
            frame = msgspec.structs.replace(frame, retain=False)
        code = NO_MATCHING_SUBSCRIBERS
        index = self._subscriptions
        for topic_filter in way.filters:
            subscribers = index.by_filter.get(topic_filter)
            if subscribers is not None:
                code = SUCCESS
                for session, options in subscribers.items():
                    if options & NO_LOCAL and session is sender:
                        continue
                    if way.reader == session.client or self._allows("read", session, frame.topic):
                        way.reader = session.client
                        chosen = frame if options <= QOS else _as_subscribed(frame, options, retained)
                        session.take(chosen, options & QOS, now, now)
                    else:
                        self.counts.denied += 1
            if index.shared and (groups := index.shared.get(topic_filter)):
                code = SUCCESS
                for members in groups.values():
                    self._hand_to_one(members, frame, retained, now)
        if code:
            self.counts.unheard += 1
        return code

    def _retain(self, frame: Frame, now: Instant) -> bool:
        """Keep a message for later subscribers, or forget the one before; False when there are too many topics with one."""
        if not frame.payload:
            self._retained.remove(frame.topic)
            return True
        if len(self._retained) >= self.limits.max_retained_messages and not any(self._retained.matching(frame.topic)):
            return False
        self._retained.set(frame.topic, _Retained(frame, now))
        return True

    def _hand_to_one(self, members: dict[Session, Options], frame: Frame, retained: bool, now: Instant) -> None:
        """Hand the message to one of a group: connected clients that read take turns; without one it waits for the next."""
        may_read = [session for session in members if self._allows("read", session, frame.topic)]
        if not may_read:
            self.counts.denied += 1
            return
        chosen = next((session for session in may_read if session.peer is not None and not session.held_up), may_read[0])
        options = members.pop(chosen)
        members[chosen] = options
        chosen.take(_as_subscribed(frame, options, retained), options & QOS, now, now)

    def _allows(self, access: Access, session: Session, topic: str) -> bool:
        if access == "write" and topic.startswith(_OF_THE_BROKER):
            return False
        username, client_id = session.client
        return self._access is None or self._access.allows(access, topic, username, client_id)


def _wants_retained(topic_filter: str, options: Options, is_known: bool) -> bool:
    """Return whether a SUBSCRIBE with these options brings what is retained; to members of a group it never does."""
    handling = options & RETAIN_HANDLING
    if handling == SEND_NEVER or topic_filter.startswith(SHARED_PREFIX):
        return False
    return handling != SEND_IF_NEW or not is_known


def _as_subscribed(frame: Frame, options: Options, retained: bool) -> Frame:
    """Return the message as a subscription with these options gets it."""
    if retained and options & RETAIN_AS_PUBLISHED:
        frame = msgspec.structs.replace(frame, retain=True)
    return _identified(frame, options >> SUBSCRIPTION_ID)


def _identified(frame: Frame, subscription_id: int) -> Frame:
    """Return the message with the identifier of its subscription. Only what came as bytes can go to who has such."""
    if not subscription_id or not isinstance(frame, ForwardedFrame):
        return frame
    return msgspec.structs.replace(frame, subscription_ids=(subscription_id,))
