"""One connection of a simulated link: what is on its way in it, from CONNECT to its end.

Sends what its link hands it, within the broker's Receive Maximum, and tells its link what has arrived. Decides nothing
about trying again.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from fleet.errors import LinkError, PublishRefused, Unreachable
from fleet.kernel.instants import Instant
from fleet.kernel.schedule import ScheduledCall, virtual_duration
from fleet.transport.faults import PacketName
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import Delivery, LinkOwner, LinkSettings
from fleet.transport.mqtt_stream import packet_size
from fleet.transport.overdue import unacknowledged
from fleet.transport.reasons import (
    CLOSED,
    REFUSAL,
    SESSION_TAKEN_OVER,
    broker_ended,
    connect_refused,
    connection_lost,
    ended_early,
    name_of,
    publish_refused,
    subscribe_refused,
)
from fleet.transport.remarks import LET_GO, NOT_LET_GO
from fleet.transport.simulated_faults import FaultState
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.transport.simulated_sessions import PATIENCE, BrokerLimits
from fleet.wire.frame import Frame

T = TypeVar("T")
U = TypeVar("U")

WAITING_MAX: Final = 32_768
"""Publishes of one link that wait for the broker's acknowledgements."""
UNDER_WAY_MAX: Final = 4_096
"""QoS 1 publishes sent and not yet acknowledged; the broker's Receive Maximum may make it fewer."""

_HIGHEST_PACKET_ID: Final = 65_535
_SUCCESS: Final = 0x00
_MALFORMED: Final = 0x81
_TOO_LARGE: Final = 0x95
_QUOTA: Final = 0x97
_QOS: Final = 0x9B


class SimulatedConnectionOwner(Protocol):
    """What a connection needs of its link, and tells it."""

    settings: LinkSettings
    owner: LinkOwner
    network: SimulatedNetwork
    subscribed: bool
    leftovers: Leftovers | None

    def came_up(self, session_present: bool) -> None: ...
    def ended(self, error: LinkError) -> None: ...
    def final_publish_is_over(self) -> None: ...
    def disconnect_is_over(self) -> None: ...


class SimulatedConnection:
    """One connection, from CONNECT to its end, and what is on its way in it. To the broker it is the peer."""

    __slots__ = (
        "_arrived_here",
        "_arrived_there",
        "_early",
        "_inbound_closed",
        "_keep_alive_timer",
        "_last_id",
        "_link",
        "_network",
        "_outbound_closed",
        "_over",
        "_packet_max",
        "_patience",
        "_room",
        "_schedule",
        "_session_present",
        "_together",
        "_under_way",
        "_waiting",
        "_watch",
        "fault_state",
        "number",
        "settings",
        "up",
    )

    def __init__(self, link: SimulatedConnectionOwner, number: int) -> None:
        self.settings = link.settings
        self.number = number
        self.fault_state: FaultState | None = None
        self.up = False
        self._link = link
        self._network = link.network
        self._schedule = link.network.schedule
        self._over = False  # the link has left it
        self._inbound_closed = False  # nothing reaches the link any more
        self._outbound_closed = False  # nothing reaches the broker any more
        self._arrived_here: Instant = 0
        self._arrived_there: Instant = 0
        self._keep_alive_timer: ScheduledCall | None = None
        self._session_present: bool | None = None  # None until the CONNACK
        self._packet_max = 0
        self._early: list[Delivery] | None = None
        # Acknowledgements that arrive together: packet ids, when they were sent, and how many calls had been asked for then.
        self._together: tuple[list[int], Instant, int] | None = None
        # What is empty is None: most links are silent most of the time.
        self._room = 0
        self._last_id = 0
        # Packet id: token (None: the final publish), topic, when it was sent.
        self._under_way: dict[int, tuple[int | None, str, Instant]] | None = None
        self._patience = virtual_duration(link.settings.acknowledge_timeout_s)
        self._watch: ScheduledCall | None = None  # looks whether what is under way is acknowledged
        self._waiting: deque[tuple[Frame, int | None]] | None = None

    # --- to the broker

    def _send(self, packet: PacketName | None, arrives: Callable[[T, U], None], first: T, second: U) -> None:
        """Send a packet; None is the end of the connection. `arrives` is called with its two parts when it reaches the broker."""
        network = self._network
        faults = network.faults
        if faults is not None and faults.concern(self):
            self._arrived_there = faults.carry(self, "to_broker", self._arrived_there, packet, (arrives, first, second))
            return
        steady = network.steady_delay
        at = network.arrival(self._arrived_there) if steady is None else self._schedule.now + steady
        self._arrived_there = at
        self._schedule.post_at(at, arrives, first, second)

    def arrives(self, take: Callable[..., None], parts: tuple[Any, ...]) -> None:
        """A packet reaches the broker, of a kind that is seldom sent."""
        if not self._outbound_closed:
            take(self, *parts)

    def _publish_arrives(self, frame: Frame, packet_id: int) -> None:
        if not self._outbound_closed:
            self._network.publish(self, frame, packet_id)

    def _acknowledgements_arrive(self, packet_ids: list[int], _code: int) -> None:
        self._together = None
        if not self._outbound_closed:
            for packet_id in packet_ids:
                self._network.acknowledge(self, packet_id)

    def connect(self, username_as_client_id: bool) -> None:
        """Send CONNECT."""
        self._send("CONNECT", self.arrives, self._network.connect, (username_as_client_id,))

    def publish(self, frame: Frame, token: int | None) -> None:
        """Send now, or as soon as the broker has room; token None is the final publish of the link."""
        if frame.qos > 1:
            self._refuse(frame, token, _QOS)
            return
        try:
            size = packet_size(frame)
        except UnicodeEncodeError:
            self._refuse(frame, token, _MALFORMED)
            return
        if size > self._packet_max:
            self._refuse(frame, token, _TOO_LARGE)
        elif not frame.qos:
            self._send("PUBLISH", self._publish_arrives, frame, 0)
            self._tell_later(token, None)
        elif self._room:
            self._send_at_1(frame, token)
        else:
            self._wait(frame, token)

    def _send_at_1(self, frame: Frame, token: int | None) -> None:
        packet_id = self._last_id % _HIGHEST_PACKET_ID + 1
        if self._under_way is None:
            self._under_way = {}
        while packet_id in self._under_way:
            packet_id = packet_id % _HIGHEST_PACKET_ID + 1
        self._last_id = packet_id
        self._room -= 1
        now = self._schedule.now
        self._under_way[packet_id] = (token, frame.topic, now)
        if self._watch is None and self._patience:
            self._watch_from(now)
        self._send("PUBLISH", self._publish_arrives, frame, packet_id)

    def _wait(self, frame: Frame, token: int | None) -> None:
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= WAITING_MAX:
            self._refuse(frame, token, _QUOTA)
        else:
            self._waiting.append((frame, token))

    def _refuse(self, frame: Frame, token: int | None, code: int) -> None:
        """Refuse it here, in the broker's words: it was definitely not sent."""
        self._tell_later(token, publish_refused(self.settings.client_id, frame.topic, code))

    def _tell_later(self, token: int | None, error: PublishRefused | None) -> None:
        """Tell of an outcome that needs no answer of the broker, but never in the middle of the owner's own call."""
        self._schedule.call_at(self._schedule.now, self._tell, token, error)

    def _tell(self, token: int | None, error: PublishRefused | None) -> None:
        if self._over:
            return
        if token is None:
            self._link.final_publish_is_over()
        else:
            self._link.owner.link_acknowledged(token, error)

    def acknowledge(self, packet_id: int) -> None:
        """Send PUBACK. Those that follow one another at once, while nothing else is sent by anybody, arrive in one call."""
        network, schedule = self._network, self._schedule
        if self._together is not None and network.faults is None:
            packet_ids, sent, asked_for = self._together
            if sent == schedule.now and asked_for == schedule.asked_for:
                packet_ids.append(packet_id)
                return
        packet_ids = [packet_id]
        self._send("PUBACK", self._acknowledgements_arrive, packet_ids, _SUCCESS)
        if network.steady_delay is not None:
            self._together = packet_ids, schedule.now, schedule.asked_for

    def disconnect(self, end_session: bool) -> None:
        """Send DISCONNECT, and tell the link once it has arrived or is lost."""
        self._leave()
        self._send("DISCONNECT", self.arrives, self._network.disconnect, (end_session,))
        self._schedule.call_at(self._arrived_there, self._link.disconnect_is_over)

    # --- to the link: what the broker calls

    def _hear(self, packet: PacketName | None, hears: Callable[[T, U], None], first: T, second: U) -> None:
        """Be sent a packet; `hears` is called with its two parts when it reaches the link."""
        network = self._network
        faults = network.faults
        if faults is not None and faults.concern(self):
            self._arrived_here = faults.carry(self, "to_client", self._arrived_here, packet, (hears, first, second))
            return
        steady = network.steady_delay
        at = network.arrival(self._arrived_here) if steady is None else self._schedule.now + steady
        self._arrived_here = at
        self._schedule.post_at(at, hears, first, second)

    def hears(self, take: Callable[..., None], parts: tuple[Any, ...]) -> None:
        """A packet reaches the link, of a kind that is seldom sent."""
        if not self._inbound_closed:
            take(*parts)

    def connack(self, code: int, session_present: bool, limits: BrokerLimits) -> None:
        self._hear("CONNACK", self.hears, self._accepted, (code, session_present, limits))

    def suback(self, codes: tuple[int, ...]) -> None:
        self._hear("SUBACK", self.hears, self._subscribed, (codes,))

    def unsuback(self, codes: tuple[int, ...]) -> None:
        self._hear("UNSUBACK", self.hears, self._unsubscribed, (codes,))

    def puback(self, packet_id: int, code: int) -> None:
        self._hear("PUBACK", self._acknowledged, packet_id, code)

    def deliver(self, frame: Frame, packet_id: int) -> None:
        self._hear("PUBLISH", self._received, frame, packet_id)

    def ended(self, code: int | None) -> None:
        if code is None:
            self._hear(None, self.hears, self.end, (CLOSED,))
        else:
            self._hear("DISCONNECT", self.hears, self._ended_by_broker, (code,))

    # --- what the broker says, once it has arrived

    def _accepted(self, code: int, session_present: bool, limits: BrokerLimits) -> None:
        link, settings = self._link, self.settings
        if code >= REFUSAL:
            self.finish(connect_refused(settings.client_id, code))
            return
        self._session_present = session_present
        self._room = min(limits.max_inflight_messages, UNDER_WAY_MAX)
        self._packet_max = limits.max_packet_size
        if not session_present:
            link.subscribed = False
            link.leftovers = None
        elif not link.subscribed and link.leftovers is None:
            link.leftovers = Leftovers(topic_filter for topic_filter, _ in settings.subscriptions)
        if settings.subscriptions and not link.subscribed:
            self._send("SUBSCRIBE", self.arrives, self._network.subscribe, (settings.subscriptions,))
        else:
            self._come_up()

    def _subscribed(self, codes: tuple[int, ...]) -> None:
        settings = self.settings
        for (topic_filter, _), code in zip(settings.subscriptions, codes, strict=True):
            if code >= REFUSAL:
                self.finish(subscribe_refused(settings.client_id, topic_filter, code))
                return
        self._come_up()

    def _come_up(self) -> None:
        self.up = True
        self._link.subscribed = True
        assert self._session_present is not None
        self._link.came_up(self._session_present)
        early, self._early = self._early, None
        for delivery in early or ():
            if self._inbound_closed:
                return
            self._link.owner.link_received(delivery)

    def _received(self, frame: Frame, packet_id: int) -> None:
        if self._inbound_closed:
            return
        delivery = Delivery(frame, packet_id, self.number)
        if self._link.leftovers is not None:
            self._let_go(self._link.leftovers, frame.topic)
        if self.up:
            self._link.owner.link_received(delivery)
        elif self._early is None:
            self._early = [delivery]
        else:
            self._early.append(delivery)  # at most what the broker sends while it answers a SUBSCRIBE

    def _let_go(self, leftovers: Leftovers, topic: str) -> None:
        """End the subscription by which a message came that is none of ours; the owner is given it all the same."""
        filters = leftovers.to_end(topic)
        if filters:
            self._send("UNSUBSCRIBE", self.arrives, self._network.unsubscribe, (filters,))

    def _unsubscribed(self, codes: tuple[int, ...]) -> None:
        ended = None if self._link.leftovers is None else self._link.leftovers.answered(codes)
        if ended is not None:
            self._network.remarks.add(LET_GO if ended else NOT_LET_GO, f"{self.settings.client_id!r}: {', '.join(ended)}")

    def _acknowledged(self, packet_id: int, code: int) -> None:
        under_way = self._under_way
        if self._inbound_closed or under_way is None or packet_id not in under_way:
            return  # nothing is heard any more, or a fault let it come twice
        token, topic, _ = under_way.pop(packet_id)
        if not under_way:
            self._under_way = None
        self._room += 1
        if token is None:
            self._link.final_publish_is_over()
        elif code < REFUSAL:  # 0x10, nobody subscribed to it, is a success too
            self._link.owner.link_acknowledged(token, None)
        else:
            self._link.owner.link_acknowledged(token, publish_refused(self.settings.client_id, topic, code))
        if self._waiting is not None:
            self._pump()

    def _pump(self) -> None:
        waiting = self._waiting
        while waiting and self._room:
            self._send_at_1(*waiting.popleft())
        if not waiting:
            self._waiting = None

    # --- silence

    def _watch_from(self, sent: Instant) -> None:
        """Look when the publish of that instant has waited too long; what is acknowledged meanwhile stops nothing."""
        self._watch = self._schedule.call_at(sent + self._patience, self._look_for_overdue)

    def _look_for_overdue(self) -> None:
        self._watch = None
        oldest = next(iter(self._under_way.values()), None) if self._under_way else None
        if oldest is None:
            return
        _, _, sent = oldest
        if sent + self._patience <= self._schedule.now:
            self.end(unacknowledged(self.settings.acknowledge_timeout_s))
        else:
            self._watch_from(sent)

    def suspend_inbound(self) -> None:
        """Nothing is heard any more for a while: give up when the keep-alive is over, unless `resume_inbound` comes before."""
        if self.settings.keep_alive_s and self._keep_alive_timer is None:
            wait = virtual_duration(PATIENCE * self.settings.keep_alive_s)
            self._keep_alive_timer = self._schedule.call_at(self._schedule.now + wait, self._keep_alive_is_over)

    def resume_inbound(self) -> None:
        """It is heard again."""
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
            self._keep_alive_timer = None

    def _keep_alive_is_over(self) -> None:
        self._keep_alive_timer = None
        if self.up:  # before that the attempt's own end comes
            self.end("the broker was silent for longer than the keep-alive")

    # --- the end

    def refused(self) -> None:
        """Nobody listens."""
        self._hear(None, self.hears, self._unreachable, ())

    def _unreachable(self) -> None:
        endpoint = self._network.endpoint
        self.finish(Unreachable(endpoint.host, endpoint.port, os.strerror(errno.ECONNREFUSED)))

    def _ended_by_broker(self, code: int) -> None:
        if code == SESSION_TAKEN_OVER:
            self._link.subscribed = False  # whoever has it now may leave other subscriptions in it
        if self._session_present is None:  # a fault kept the CONNACK back
            self.end(f"the broker ended it: {name_of(code)}")
        else:
            self.finish(broker_ended(self.settings.client_id, code))

    def end(self, cause: str) -> None:
        """End against our wish."""
        endpoint = self._network.endpoint
        if self._session_present is None:
            self.finish(ended_early(endpoint.host, endpoint.port, cause))
        else:
            self.finish(connection_lost(self.settings.client_id, cause))

    def finish(self, error: LinkError) -> None:
        """Cut the connection, and tell the link why."""
        self.abort()
        self._link.ended(error)

    def abort(self) -> None:
        """Cut the connection: nothing is called after this, and the broker hears of it after all that was sent."""
        self._leave()
        self._send(None, self.arrives, self._network.lost, ())

    def broke(self, cause: str) -> None:
        """End against our wish, unless the link has left it."""
        if not self._over:
            self.end(cause)

    def break_off(self) -> None:
        """Let nothing pass any more, either way."""
        self._outbound_closed = self._inbound_closed = True

    def _leave(self) -> None:
        """Call nobody from here on, and let go of what is held."""
        self._over = self._inbound_closed = True
        self.up = False
        if self._link.leftovers is not None:
            self._link.leftovers.cut_off()
        self.resume_inbound()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._under_way = self._waiting = self._early = None
