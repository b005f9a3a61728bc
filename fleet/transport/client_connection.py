"""One connection of an MQTT 5 client as a pure machine, from its CONNECT to its end: under swarm links and simulated ones alike.

Takes the packets that came and what its link wants to publish; hands packets to a transport and tells the owner of the link.
A transport opens with the CONNECT by itself, and calls nothing back while it is called. Decides nothing about trying again.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, assert_never

import msgspec

from fleet.errors import LinkError, PublishRefused, Unreachable
from fleet.transport.client_packets import (
    NO_PACKET_MAX,
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    Malformed,
    NobodyListens,
    PingreqPacket,
    PingrespPacket,
    PubackPacket,
    PubcompPacket,
    PublishPacket,
    PubrecPacket,
    PubrelPacket,
    SubackPacket,
    SubscribePacket,
    ToBroker,
    ToClient,
    UnsubackPacket,
    UnsubscribePacket,
)
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import Delivery, Endpoint, LinkOwner, LinkSettings
from fleet.transport.reasons import (
    CLOSED,
    PROTOCOL_ERROR,
    QOS_NOT_SUPPORTED,
    QUOTA_EXCEEDED,
    REFUSAL,
    SESSION_TAKEN_OVER,
    broker_ended,
    connect_refused,
    connection_lost,
    ended_early,
    name_of,
    publish_refused,
)
from fleet.transport.remarks import Remarks
from fleet.wire.frame import Frame

WAITING_MAX: Final = 32_768
"""Publishes of one link that wait for their turn to be sent."""
UNDER_WAY_MAX: Final = 4_096
"""QoS 1 publishes sent and not yet acknowledged; the broker's Receive Maximum may make it fewer."""
EARLY_MAX: Final = 1_000
"""QoS 0 messages kept until the SUBACK has come; QoS 1 is bounded by our Receive Maximum."""
SUBSCRIBE_ID: Final = 1
UNSUBSCRIBE_ID: Final = 65_535
"""Packet ids of the one SUBSCRIBE of a connection, and of the one UNSUBSCRIBE at a time; no PUBLISH under way has them."""

_HIGHEST_PUBLISH_ID: Final = 65_534
_SILENT: Final = "the broker was silent for longer than the keep-alive"

UnderWay = tuple[int | None, str]
"""Of a publish without outcome: its token (None: the final publish of the link) and its topic."""


class Allowance(Protocol):
    """Counts down how many more publishes may be sent; shared by many connections."""

    left: int


class ClientTransport(Protocol):
    """Carries packets to the broker, as its connection sees it."""

    def send(self, packet: ToBroker) -> None: ...
    def send_publish(self, frame: Frame, packet_id: int, packet_max: int) -> int:
        """Send a PUBLISH at QoS 1, or (id 0) 0, and count it; return 0, or the reason code why no packet can be made of it."""
        ...

    def send_puback(self, packet_id: int) -> None: ...
    def report_later(self, token: int | None, error: PublishRefused | None) -> None:
        """Call `report` soon: never in the middle of the owner's own call."""
        ...

    def pump_later(self) -> None:
        """Call `pump` once there is an allowance again."""
        ...

    def came_up(self, keep_alive_s: int) -> None:
        """Take how often the broker wants to hear something: the CONNACK has come. 0 is never."""
        ...

    def abort(self) -> None:
        """Cut the connection without a DISCONNECT."""
        ...

    def leave(self) -> None:
        """Let go of what is held, and stop all timers."""
        ...


class BrokerSite(Protocol):
    """One broker, as all links to it know it."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def remarks(self) -> Remarks: ...


class Client(Protocol):
    """The link of a connection: what outlives it, and who hears of it."""

    owner: LinkOwner
    subscribed: bool
    """Whether all subscriptions of the link are in the session; what another client left there does not count."""
    leftovers: Leftovers | None
    """Of a session that this link found and has not made; None otherwise."""
    unreleased: set[int] | None
    """QoS 2 packet ids answered with PUBREC and not yet with PUBCOMP; part of the session."""

    @property
    def site(self) -> BrokerSite: ...
    def came_up(self, session_present: bool) -> None: ...
    def ended(self, connection: ClientConnection, error: LinkError) -> None: ...
    def final_publish_is_over(self) -> None: ...


class ClientConnection:
    """From CONNECT to the end of one connection."""

    __slots__ = (
        "_allowance", "_client", "_early", "_last_id", "_owner", "_packet_max", "_pinged", "_retains", "_room",
        "_transport", "_under_way", "_waiting_at_0", "inbound_closed", "is_open", "number", "over", "paused",
        "session_present", "settings", "up", "waiting",
    )  # fmt: skip

    def __init__(
        self, client: Client, number: int, settings: LinkSettings, transport: ClientTransport, allowance: Allowance
    ) -> None:
        """Take whose connection it is, which one, the settings of its CONNECT, its way to the broker, how much it may send."""
        self.number = number
        self.settings = settings
        self.is_open = False
        """The network has let it come to a connection; the broker may not have answered yet."""
        self.up = False
        """Between link_up and its end."""
        self.over = False
        """The link has left it: nobody is called any more."""
        self.inbound_closed = False
        """Nothing reaches the link any more, though it may not know yet."""
        self.paused = False
        """The transport takes nothing more for a while."""
        self._client = client
        self._owner = client.owner
        self._transport = transport
        self._allowance = allowance
        self.session_present: bool | None = None
        """None until the broker has taken the CONNECT."""
        self._packet_max = NO_PACKET_MAX
        self._retains = True
        self._pinged = False
        self._room = 0
        self._last_id = SUBSCRIBE_ID
        # What is empty is None: most links are silent most of the time.
        self._early: list[Delivery] | None = None
        self._under_way: dict[int, UnderWay] | None = None
        self.waiting: deque[tuple[Frame, int | None]] | None = None
        self._waiting_at_0 = 0

    @property
    def is_coming_up(self) -> bool:
        """Whether link_up is still to come."""
        return not self.up and not self.over

    @property
    def endpoint(self) -> Endpoint:
        """Where the broker is."""
        return self._client.site.endpoint

    @property
    def under_way(self) -> Mapping[int, UnderWay] | None:
        """The publishes without outcome, oldest first; None for none."""
        return self._under_way

    # --- publishing

    def publish(self, frame: Frame, token: int | None) -> None:
        """Send now, or as soon as there is room; token None is the final publish of the link."""
        if self.waiting is None and self._allowance.left and not self.paused and (self._room or not frame.qos):
            self._send(frame, token)
        else:
            self._wait(frame, token)

    def _send(self, frame: Frame, token: int | None) -> None:
        if frame.retain and not self._retains:
            if not frame.payload:  # it would take away what nobody retains
                self._transport.report_later(token, None)
                return
            frame = msgspec.structs.replace(frame, retain=False)
        if not frame.qos:
            code = self._transport.send_publish(frame, 0, self._packet_max)
            if not code:
                self._transport.report_later(token, None)
                return
        elif frame.qos > 1:
            code = QOS_NOT_SUPPORTED
        else:
            under_way = self._under_way
            packet_id = self._last_id % _HIGHEST_PUBLISH_ID + 1
            if under_way is not None:
                while packet_id in under_way:
                    packet_id = packet_id % _HIGHEST_PUBLISH_ID + 1
            self._last_id = packet_id
            code = self._transport.send_publish(frame, packet_id, self._packet_max)
            if not code:
                self._room -= 1
                if under_way is None:
                    self._under_way = {packet_id: (token, frame.topic)}
                else:
                    under_way[packet_id] = (token, frame.topic)
                return
        self._refuse(frame, token, code)

    def _refuse(self, frame: Frame, token: int | None, code: int) -> None:
        """Refuse it here, in the broker's words: it was definitely not sent."""
        self._transport.report_later(token, publish_refused(self.settings.client_id, frame.topic, code))

    def _wait(self, frame: Frame, token: int | None) -> None:
        """Queue it. QoS 0 overtakes QoS 1 that waits for the broker's acknowledgements, but never other QoS 0."""
        may_send = self._allowance.left and not self.paused
        if may_send and not frame.qos and not self._room and not self._waiting_at_0:
            self._send(frame, token)
            return
        if self.waiting is None:
            self.waiting = deque()
        if len(self.waiting) >= WAITING_MAX:
            self._refuse(frame, token, QUOTA_EXCEEDED)
            return
        self.waiting.append((frame, token))
        self._waiting_at_0 += not frame.qos
        if not self._allowance.left:
            self._transport.pump_later()

    def pump(self) -> None:
        """Send what waits, as far as the broker, the transport and the allowance have room."""
        waiting, allowance = self.waiting, self._allowance
        if waiting is None:
            return
        while waiting and allowance.left and not self.paused and not self.over:
            if not self._room and waiting[0][0].qos:
                break
            frame, token = waiting.popleft()
            self._waiting_at_0 -= not frame.qos
            self._send(frame, token)
        if not waiting:
            self.waiting = None
        elif not allowance.left and not self.over:
            self._transport.pump_later()

    def report(self, token: int | None, error: PublishRefused | None) -> None:
        """Tell the owner of an outcome that needed no answer of the broker."""
        if self.over:
            return
        if token is None:
            self._client.final_publish_is_over()
        else:
            self._owner.link_acknowledged(token, error)

    def acknowledged(self, packet_id: int, code: int) -> None:
        """Take a PUBACK; after it `pump` may have something to send. One that nobody waits for does nothing."""
        under_way = self._under_way
        entry = None if under_way is None else under_way.pop(packet_id, None)
        if entry is None:
            if not packet_id:
                raise Malformed("a PUBACK with a packet identifier of 0")
            return
        token, topic = entry
        if not under_way:
            self._under_way = None
        self._room += 1
        if token is None:
            self._client.final_publish_is_over()
        elif code < REFUSAL:  # 0x10, nobody subscribed to it, is a success too
            self._owner.link_acknowledged(token, None)
        else:
            self._owner.link_acknowledged(token, publish_refused(self.settings.client_id, topic, code))

    # --- what comes in

    def receive(self, packet: ToClient) -> None:
        """Take a packet of the broker. Raises Malformed for one that is out of place."""
        match packet:
            case PublishPacket():
                self.received(packet.frame, packet.packet_id)
            case PubackPacket():
                self.acknowledged(packet.packet_id, packet.code)
            case ConnackPacket():
                self._connack(packet)
            case SubackPacket():
                self._suback(packet.codes)
            case UnsubackPacket():
                self._unsuback(packet.codes)
            case PubrelPacket():
                self._release(packet.packet_id)
            case PingrespPacket():
                self._pinged = False
            case DisconnectPacket():
                self._ended_by_broker(packet.code)
            case ConnectionClosed():
                self.end(CLOSED)
            case PubrecPacket() | PubcompPacket():
                raise Malformed(f"{packet.name} out of place")
            case NobodyListens():
                endpoint = self.endpoint
                self.finish(Unreachable(endpoint.host, endpoint.port, os.strerror(errno.ECONNREFUSED)))
            case _:
                assert_never(packet)

    def _connack(self, packet: ConnackPacket) -> None:
        client, settings = self._client, self.settings
        if self.session_present is not None:
            raise Malformed("CONNACK out of place", PROTOCOL_ERROR)
        if packet.code >= REFUSAL:
            self.finish(connect_refused(settings.client_id, packet.code, *packet.said))
            return
        if not packet.takes_qos_1:
            self.finish(connect_refused(settings.client_id, QOS_NOT_SUPPORTED))
            return
        if packet.session_present and settings.clean_start:
            raise Malformed("a session in the CONNACK, though a clean start was asked for", PROTOCOL_ERROR)
        self.session_present = packet.session_present
        self._note_limits(packet)
        if not packet.session_present:
            client.subscribed = False
            client.unreleased = client.leftovers = None
        elif not client.subscribed and client.leftovers is None:
            client.leftovers = Leftovers(topic_filter for topic_filter, _ in settings.subscriptions)
        self._transport.came_up(settings.keep_alive_s if packet.keep_alive_s is None else packet.keep_alive_s)
        if settings.subscriptions and not client.subscribed:
            self._transport.send(SubscribePacket(settings.subscriptions))
        else:
            self._come_up()

    def _note_limits(self, packet: ConnackPacket) -> None:
        """Keep to what the broker does not offer, and tell it."""
        self._room = min(packet.receive_maximum, UNDER_WAY_MAX)
        self._packet_max = packet.packet_max
        self._retains = packet.retains
        self._client.site.remarks.note_limits(packet.retains, self.settings.session_expiry_s, packet.session_expiry_s)

    def _suback(self, codes: Sequence[int]) -> None:
        settings = self.settings
        if self.up or len(codes) != len(settings.subscriptions):
            raise Malformed("a SUBACK nobody asked for", PROTOCOL_ERROR)
        refused = self._client.site.remarks.note_granted(settings.client_id, settings.subscriptions, codes)
        if refused is not None:
            self.finish(refused)
        else:
            self._come_up()

    def _come_up(self) -> None:
        assert self.session_present is not None
        self.up = True
        self._client.came_up(self.session_present)
        early, self._early = self._early, None
        for delivery in early or ():
            if self.inbound_closed:
                return
            self._owner.link_received(delivery)

    def received(self, frame: Frame, packet_id: int) -> None:
        """Take a PUBLISH."""
        client = self._client
        if client.unreleased and packet_id in client.unreleased and frame.duplicate and frame.qos == 2:
            self.acknowledge(packet_id, 2)  # the PUBREC was lost with the connection before; the owner has the message
            return
        delivery = Delivery(frame, packet_id, self.number)
        if client.leftovers is not None:
            self._end_foreign_subscription(client.leftovers, frame.topic)
        if self.up:
            self._owner.link_received(delivery)
            return
        if self._early is None:
            self._early = []
        if len(self._early) >= EARLY_MAX + self.settings.receive_maximum:
            raise Malformed("a flood of messages instead of the SUBACK")
        self._early.append(delivery)

    def acknowledge(self, packet_id: int, qos: int) -> None:
        """Send the PUBACK, or at QoS 2 the PUBREC."""
        if qos == 1:
            self._transport.send_puback(packet_id)
            return
        client = self._client
        client.unreleased = client.unreleased or set()
        client.unreleased.add(packet_id)
        self._transport.send(PubrecPacket(packet_id))

    def _release(self, packet_id: int) -> None:
        """Answer a PUBREL, and one of a message that is not known, too: the broker would wait for ever."""
        unreleased = self._client.unreleased
        known = unreleased is not None and packet_id in unreleased
        if unreleased is not None:
            unreleased.discard(packet_id)
            self._client.unreleased = unreleased or None
        self._transport.send(PubcompPacket(packet_id, known))

    def _end_foreign_subscription(self, leftovers: Leftovers, topic: str) -> None:
        """End the subscription by which a message came that is none of ours; the owner is given it all the same."""
        filters = leftovers.to_end(topic)
        if filters:
            self._transport.send(UnsubscribePacket(filters))

    def _unsuback(self, codes: Sequence[int]) -> None:
        leftovers = self._client.leftovers
        ended = None if leftovers is None else leftovers.answered(codes)
        if ended is None:
            raise Malformed("an UNSUBACK nobody asked for", PROTOCOL_ERROR)
        self._client.site.remarks.note_let_go(self.settings.client_id, ended)

    # --- keep-alive

    def keep_alive(self, *, heard: bool) -> None:
        """Ping; but end the connection when there was a ping before and nothing was `heard` since."""
        if self._pinged and not heard:
            self.end(_SILENT)
            return
        self._pinged = True
        self._transport.send(PingreqPacket())

    def is_silent(self) -> None:
        """End the connection: the broker was silent for too long. Before the link is up the attempt's own end comes."""
        if self.up:
            self.end(_SILENT)

    # --- the end

    def _ended_by_broker(self, code: int) -> None:
        if code == SESSION_TAKEN_OVER:
            self._client.subscribed = False  # whoever has it now may leave other subscriptions in it
        if self.session_present is None:  # the CONNACK was lost
            self.end(f"the broker ended it: {name_of(code)}")
        else:
            self.finish(broker_ended(self.settings.client_id, code))

    def end(self, cause: str, hint: str = "") -> None:
        """End against the link's wish."""
        if self.over:
            return
        if self.session_present is None:
            endpoint = self.endpoint
            self.finish(ended_early(endpoint.host, endpoint.port, cause, hint))
        else:
            self.finish(connection_lost(self.settings.client_id, cause))

    def finish(self, error: LinkError) -> None:
        """Cut the connection, and tell the link why."""
        self.abort()
        self._client.ended(self, error)

    def abort(self) -> None:
        """Cut the connection without a DISCONNECT; nobody is called after this."""
        if not self.over:
            self.leave()
            self._transport.abort()

    def leave(self) -> None:
        """Call nobody from here on, and let go of what is held."""
        self.over = self.inbound_closed = True
        self.up = False
        if self._client.leftovers is not None:
            self._client.leftovers.cut_off()
        self._transport.leave()
        self._under_way = self.waiting = self._early = None
