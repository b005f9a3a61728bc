"""One TCP connection of a swarm link: MQTT 5 from CONNECT to the end, as an asyncio protocol without task or future.

Sends what its link hands it, within the broker's Receive Maximum, the transport's buffer and the turn of the event
loop, and tells its link what comes. Decides nothing about trying again.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Final, Protocol, assert_never, cast

import mqtt5
import msgspec

from fleet.errors import LinkError, PublishRefused
from fleet.transport.dial import hint_for, in_words
from fleet.transport.drain import disconnect_and_drain
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import Delivery, Endpoint, LinkOwner, LinkSettings
from fleet.transport.overdue import LOOKS, Overdue
from fleet.transport.reasons import (
    CLOSED,
    PACKET_TOO_LARGE,
    QOS_NOT_SUPPORTED,
    REFUSAL,
    SESSION_TAKEN_OVER,
    answered_by_older,
    broker_ended,
    connect_refused,
    connection_lost,
    ended_early,
    no_connack,
    publish_refused,
    subscribe_refused,
)
from fleet.transport.remarks import GRANTED_LESS, LET_GO, NO_RETAIN, NOT_LET_GO, SHORTER_SESSIONS, Remarks
from fleet.transport.swarm_codec import (
    PINGREQ,
    Malformed,
    disconnect_packet,
    frame_from,
    packet_length,
    publish_packet,
    read_packet,
    subscribe_packet,
    unsubscribe_packet,
)
from fleet.transport.swarm_turns import Turns
from fleet.transport.swarm_wheel import NOWHERE, PING_AFTER, KeepAliveWheel
from fleet.wire.frame import Frame

WAITING_MAX: Final = 32_768
"""Publishes of one link that wait for their turn to be sent."""
UNDER_WAY_MAX: Final = 4_096
"""QoS 1 publishes sent and not yet acknowledged; the broker's Receive Maximum may make it fewer."""
EARLY_MAX: Final = 1_000
"""QoS 0 messages kept until the SUBACK has come; QoS 1 is bounded by our Receive Maximum."""

_JOINED_BYTES_MAX: Final = 1 << 16
_HIGHEST_PACKET_ID: Final = 65_534
_SUBSCRIBE_ID: Final = 1
_UNSUBSCRIBE_ID: Final = 65_535
_CONNACK: Final = 0x20
_MALFORMED: Final = 0x81
_QUOTA: Final = 0x97
_ID_NOT_FOUND: Final = 0x92


class SwarmConnectionOwner(Protocol):
    """What a connection needs of its link, and tells it."""

    settings: LinkSettings
    owner: LinkOwner
    subscribed: bool
    """Whether all subscriptions of this link are in the session; what another client left there does not count."""
    leftovers: Leftovers | None
    """Of a session that this link found and has not made; None otherwise."""
    released: set[int] | None
    """QoS 2 packet ids answered with PUBREC and not yet with PUBCOMP; part of the session, so of the link."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def turns(self) -> Turns: ...
    @property
    def wheel(self) -> KeepAliveWheel: ...
    @property
    def remarks(self) -> Remarks: ...
    def came_up(self, session_present: bool) -> None: ...
    def ended(self, connection: SwarmConnection, error: LinkError) -> None: ...
    def defect(self, error: Exception) -> None: ...


class SwarmConnection(asyncio.Protocol):
    """From CONNECT to the end of one TCP connection."""

    __slots__ = (
        "_connect",
        "_early",
        "_heard",
        "_last_id",
        "_link",
        "_need",
        "_out",
        "_out_bytes",
        "_over",
        "_overdue",
        "_owner",
        "_packet_max",
        "_paused",
        "_pinged",
        "_pings_every",
        "_queued",
        "_retains",
        "_room",
        "_session_present",
        "_tail",
        "_transport",
        "_turns",
        "_under_way",
        "_visits",
        "_waiting",
        "_waiting_at_0",
        "final_publish",
        "finished",
        "number",
        "up",
        "wheel_period",
        "wheel_slot",
    )

    def __init__(
        self, link: SwarmConnectionOwner, number: int, connect: bytes, finished: asyncio.Future[LinkError | None]
    ) -> None:
        """Take the CONNECT to send; `finished` gets None at link_up, or the reason why it did not come to that."""
        self.number = number
        self.finished: asyncio.Future[LinkError | None] | None = finished
        self.final_publish: asyncio.Future[None] | None = None
        self.up = False
        self.wheel_slot = NOWHERE
        self.wheel_period = 0
        self._link = link
        self._owner = link.owner
        self._turns = link.turns
        self._transport: asyncio.Transport | None = None
        self._connect = connect
        self._over = False
        self._paused = False
        self._heard = True
        self._pinged = False
        self._pings_every = 0  # visits of the wheel; 0 is never
        self._visits = 0
        self._overdue: Overdue | None = None
        self._session_present: bool | None = None  # None until the CONNACK
        self._packet_max = 0xFFFF_FFFF
        self._retains = True
        self._early: list[Delivery] | None = None
        # Coming in: the part of a packet that is there, and how many bytes it takes to go on.
        self._tail: bytearray | None = None
        self._need = 0
        # Going out. What is empty is None: most links are silent most of the time.
        self._room = 0
        self._last_id = _SUBSCRIBE_ID
        self._under_way: dict[int, tuple[int | None, str]] | None = None  # packet id: token (None: the final publish), topic
        self._waiting: deque[tuple[Frame, int | None]] | None = None
        self._waiting_at_0 = 0
        self._queued = False
        self._out: list[bytes] | None = None
        self._out_bytes = 0

    # --- publishing

    def publish(self, frame: Frame, token: int | None) -> None:
        """Send now, or as soon as there is room; token None is the final publish of the link."""
        if self._waiting is None and self._turns.left and not self._paused and (self._room or not frame.qos):
            self._send(frame, token)
        else:
            self._wait(frame, token)

    def acknowledge(self, packet_id: int, qos: int) -> None:
        """Send the PUBACK, or at QoS 2 the PUBREC."""
        if qos == 1:
            self._write(b"\x40\x02" + packet_id.to_bytes(2, "big"))
            return
        link = self._link
        link.released = link.released or set()
        link.released.add(packet_id)
        self._write(b"\x50\x02" + packet_id.to_bytes(2, "big"))

    def _send(self, frame: Frame, token: int | None) -> None:
        turns = self._turns
        packet_id = None
        if frame.retain and not self._retains:
            if not frame.payload:  # it would take away what nobody retains
                turns.tell_later(self, token, None)
                return
            frame = msgspec.structs.replace(frame, retain=False)
        if frame.qos:
            if frame.qos > 1:
                self._refuse(frame, token, QOS_NOT_SUPPORTED)
                return
            packet_id = self._free_packet_id()
        try:
            packet = publish_packet(frame, packet_id)
        except (ValueError, OverflowError):
            self._refuse(frame, token, _MALFORMED)
            return
        if len(packet) > self._packet_max:
            self._refuse(frame, token, PACKET_TOO_LARGE)
            return
        turns.left -= 1
        if packet_id is None:
            turns.tell_later(self, token, None)
        else:
            self._room -= 1
            if self._under_way is None:
                self._under_way = {packet_id: (token, frame.topic)}
            else:
                self._under_way[packet_id] = (token, frame.topic)
        self._write(packet)

    def _free_packet_id(self) -> int:
        packet_id = self._last_id % _HIGHEST_PACKET_ID + 1
        under_way = self._under_way
        if under_way is not None:
            while packet_id in under_way:
                packet_id = packet_id % _HIGHEST_PACKET_ID + 1
        self._last_id = packet_id
        return packet_id

    def _refuse(self, frame: Frame, token: int | None, code: int) -> None:
        """Refuse it here, in the broker's words: it was definitely not sent."""
        self._turns.tell_later(self, token, publish_refused(self._link.settings.client_id, frame.topic, code))

    def _wait(self, frame: Frame, token: int | None) -> None:
        """Queue it. QoS 0 overtakes QoS 1 that waits for the broker's acknowledgements, but never other QoS 0."""
        if not frame.qos and not self._room and not self._waiting_at_0 and self._turns.left and not self._paused:
            self._send(frame, token)
            return
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= WAITING_MAX:
            self._refuse(frame, token, _QUOTA)
            return
        self._waiting.append((frame, token))
        self._waiting_at_0 += not frame.qos
        if not self._turns.left:
            self._pump_later()

    def _pump_later(self) -> None:
        if not self._queued:
            self._queued = True
            self._turns.pump_later(self)

    def pump(self) -> None:
        """Send what waits, as far as the broker, the transport and the turn have room."""
        self._queued = False
        waiting = self._waiting
        if waiting is None:
            return
        turns = self._turns
        while waiting and turns.left and not self._paused and not self._over:
            if not self._room and waiting[0][0].qos:
                break
            frame, token = waiting.popleft()
            self._waiting_at_0 -= not frame.qos
            self._send(frame, token)
        if not waiting:
            self._waiting = None
        elif not turns.left and not self._over:
            self._pump_later()

    # --- writing

    def _write(self, packet: bytes) -> None:
        """Write at the end of this turn, together with all others.

        A broker that sleeps is then woken once for many packets; waking it for each one costs the sender as much as the rest.
        """
        if self._out is None:
            self._out = [packet]
            self._out_bytes = len(packet)
            self._turns.flush_later(self)
        else:
            self._out.append(packet)
            self._out_bytes += len(packet)
            if self._out_bytes > _JOINED_BYTES_MAX:
                self.flush()

    def flush(self) -> None:
        """Write what was kept back."""
        out, self._out = self._out, None
        if out is not None and not self._over and self._transport is not None:
            self._transport.write(b"".join(out) if len(out) > 1 else out[0])

    def tell(self, token: int | None, error: PublishRefused | None) -> None:
        """Tell the owner of an outcome."""
        if self._over:
            return
        if token is None:
            self._final_publish_is_over()
            return
        try:
            self._owner.link_acknowledged(token, error)
        except Exception as defect:  # noqa: BLE001  the owner's defect must not reach other links
            self._broke(defect)

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods, not by its class
        if self._over:  # dropped in the very moment
            transport.abort()
            return
        self._transport = transport
        transport.write(self._connect)
        self._connect = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(in_words(exc) if isinstance(exc, OSError) else CLOSED if exc is None else str(exc))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.pump()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        tail = self._tail
        if tail is not None:
            tail += data
            if len(tail) < self._need:
                return
            self._tail = None
            data = bytes(tail)
        try:
            self._take(data)
            if self._waiting is not None and not self._over:
                self.pump()
        except Malformed as error:
            self._end(f"the broker sent what is no MQTT 5: {error}")
        except Exception as defect:  # noqa: BLE001  an owner's defect must not reach other links
            self._broke(defect)

    def _take(self, data: bytes) -> None:
        if self._session_present is None and not self._is_connack(data):
            return
        position, end = 0, len(data)
        while position < end and not self._over:
            # Nearly all that comes in a load test is a PUBACK: 4 bytes, or 5 when Mosquitto gives a reason.
            if data[position] == 0x40 and end - position >= 4 and 2 <= data[position + 1] <= 3:
                length = data[position + 1]
                if end - position < length + 2:
                    self._keep(data, position, length + 2)
                    return
                code = data[position + 4] if length == 3 else 0
                self._acknowledged(data[position + 2] << 8 | data[position + 3], code)
                position += length + 2
                continue
            length = packet_length(data, position)
            if not length or length > end - position:
                self._keep(data, position, length)
                return
            self._packet(read_packet(memoryview(data)[position : position + length]))
            position += length

    def _is_connack(self, data: bytes) -> bool:
        """Tell whether the answer to the CONNECT can be read on; end the connection when it is none of MQTT 5."""
        link = self._link
        if data[0] != _CONNACK:
            self._finish(no_connack(link.endpoint.host, link.endpoint.port, data))
        elif len(data) >= 4 and data[1] == 2:
            self._finish(answered_by_older(link.settings.client_id, data[3]))
        return not self._over

    def _keep(self, data: bytes, position: int, need: int) -> None:
        self._tail = bytearray(memoryview(data)[position:])
        self._need = need or len(self._tail) + 1

    # --- what the broker says

    def _acknowledged(self, packet_id: int, code: int) -> None:
        under_way = self._under_way
        if under_way is None:
            return
        entry = under_way.pop(packet_id, None)
        if entry is None:
            return
        self._room += 1
        if not under_way:
            self._under_way = None
        token, topic = entry
        if token is None:
            self._final_publish_is_over()
        elif code < REFUSAL:  # 0x10, nobody subscribed to it, is a success too
            self._owner.link_acknowledged(token, None)
        else:
            error = publish_refused(self._link.settings.client_id, topic, code)
            self._owner.link_acknowledged(token, error)

    def _packet(self, packet: mqtt5.Packet) -> None:
        if self._session_present is None:
            if not isinstance(packet, mqtt5.ConnAckPacket):
                raise Malformed(f"{_kind(packet)} before the CONNACK")
            self._connack(packet)
            return
        match packet:
            case mqtt5.PublishPacket():
                self._received(packet)
            case mqtt5.PubAckPacket():
                self._acknowledged(packet.packet_id, int(packet.reason_code))
            case mqtt5.PubRelPacket():
                self._release(packet.packet_id)
            case mqtt5.PingRespPacket():
                self._pinged = False
            case mqtt5.SubAckPacket():
                self._suback(packet)
            case mqtt5.UnsubAckPacket():
                self._unsuback(packet)
            case mqtt5.DisconnectPacket():
                self._ended_by_broker(int(packet.reason_code))
            case (
                mqtt5.ConnAckPacket()
                | mqtt5.ConnectPacket()
                | mqtt5.PubRecPacket()
                | mqtt5.PubCompPacket()
                | mqtt5.SubscribePacket()
                | mqtt5.UnsubscribePacket()
                | mqtt5.PingReqPacket()
                | mqtt5.AuthPacket()
            ):
                raise Malformed(f"{_kind(packet)} out of place")
            case _:
                assert_never(packet)

    def _connack(self, packet: mqtt5.ConnAckPacket) -> None:
        link = self._link
        settings = link.settings
        code = int(packet.reason_code)  # the codec's enumerations convert to int, but are none at run time
        if code >= REFUSAL:
            self._finish(connect_refused(settings.client_id, code, packet.reason_str, packet.server_reference))
            return
        if not int(packet.max_qos):
            self._finish(connect_refused(settings.client_id, QOS_NOT_SUPPORTED))
            return
        self._session_present = packet.session_present
        self._note_limits(packet)
        self._room = min(packet.receive_max, UNDER_WAY_MAX)
        if packet.max_packet_size is not None:
            self._packet_max = packet.max_packet_size
        if not packet.session_present:
            link.subscribed = False
            link.released = link.leftovers = None
        elif not link.subscribed and link.leftovers is None:
            link.leftovers = Leftovers(topic_filter for topic_filter, _ in settings.subscriptions)
        keep_alive_s = settings.keep_alive_s if packet.server_keep_alive is None else packet.server_keep_alive
        self._be_visited(PING_AFTER * keep_alive_s, settings.acknowledge_timeout_s)
        if settings.subscriptions and not link.subscribed:
            self._write(subscribe_packet(settings, _SUBSCRIBE_ID))
        else:
            self._come_up()

    def _note_limits(self, packet: mqtt5.ConnAckPacket) -> None:
        """Keep to what the broker does not offer, and tell it."""
        remarks, settings = self._link.remarks, self._link.settings
        if not packet.retain_available:
            self._retains = False
            remarks.add(NO_RETAIN)
        kept_s = packet.session_expiry_interval
        if kept_s is not None and kept_s < settings.session_expiry_s:
            remarks.add(SHORTER_SESSIONS, f"{kept_s} s instead of {settings.session_expiry_s} s")

    def _suback(self, packet: mqtt5.SubAckPacket) -> None:
        settings = self._link.settings
        if self.up or packet.packet_id != _SUBSCRIBE_ID or len(packet.reason_codes) != len(settings.subscriptions):
            raise Malformed("a SUBACK nobody asked for")
        for (topic_filter, qos), reason in zip(settings.subscriptions, packet.reason_codes, strict=True):
            code = int(reason)
            if code < qos:
                self._link.remarks.add(GRANTED_LESS, repr(topic_filter))
            if code >= REFUSAL:
                self._finish(subscribe_refused(settings.client_id, topic_filter, code))
                return
        self._come_up()

    def _come_up(self) -> None:
        self.up = True
        self._link.subscribed = True
        finished, self.finished = self.finished, None
        if finished is not None and not finished.done():
            finished.set_result(None)
        assert self._session_present is not None
        self._link.came_up(self._session_present)
        early, self._early = self._early, None
        for delivery in early or ():
            if self._over:
                return
            self._owner.link_received(delivery)

    def _received(self, packet: mqtt5.PublishPacket) -> None:
        packet_id = packet.packet_id or 0
        if packet.topic_alias is not None:
            raise Malformed("a topic alias, of which it may use none")
        link = self._link
        if link.released and packet_id in link.released and packet.duplicate and int(packet.qos) == 2:
            self.acknowledge(packet_id, 2)  # the PUBREC was lost with the connection before; the owner has the message
            return
        if link.leftovers is not None:
            self._let_go(link.leftovers, packet.topic)
        delivery = Delivery(frame_from(packet), packet_id, self.number)
        if self.up:
            self._owner.link_received(delivery)
            return
        if self._early is None:
            self._early = []
        if len(self._early) >= EARLY_MAX + self._link.settings.receive_maximum:
            raise Malformed("a flood of messages instead of the SUBACK")
        self._early.append(delivery)

    def _let_go(self, leftovers: Leftovers, topic: str) -> None:
        """End the subscription by which a message came that is none of ours; the owner is given it all the same."""
        filters = leftovers.to_end(topic)
        if filters:
            self._write(unsubscribe_packet(filters, _UNSUBSCRIBE_ID))

    def _unsuback(self, packet: mqtt5.UnsubAckPacket) -> None:
        leftovers = self._link.leftovers
        ended = None
        if leftovers is not None and packet.packet_id == _UNSUBSCRIBE_ID:
            ended = leftovers.answered([int(code) for code in packet.reason_codes])
        if ended is None:
            raise Malformed("an UNSUBACK nobody asked for")
        self._link.remarks.add(LET_GO if ended else NOT_LET_GO, f"{self._link.settings.client_id!r}: {', '.join(ended)}")

    def _release(self, packet_id: int) -> None:
        released = self._link.released
        known = released is not None and packet_id in released
        if released is not None:
            released.discard(packet_id)
            if not released:
                self._link.released = None
        number = packet_id.to_bytes(2, "big")
        self._write(b"\x70\x02" + number if known else b"\x70\x03" + number + bytes((_ID_NOT_FOUND,)))

    # --- keep-alive

    def _be_visited(self, ping_s: float, acknowledge_s: float) -> None:
        """Have the wheel visit often enough for both: the keep-alive's pings, and a look at what is not acknowledged."""
        visits = 1
        if acknowledge_s:
            self._overdue = Overdue(acknowledge_s)
            visits = math.ceil(ping_s / (acknowledge_s / LOOKS)) or 1
        if ping_s:
            self._pings_every = visits
            self._link.wheel.add(self, ping_s / visits)
        elif acknowledge_s:
            self._link.wheel.add(self, acknowledge_s / LOOKS)

    def beat(self, *, late: bool) -> None:
        """End the connection when a publish has waited too long, or the last ping was followed by silence; ping in time."""
        if self._overdue is not None and not late:
            cause = self._overdue.look(self._under_way, asyncio.get_running_loop().time())
            if cause is not None:
                self._end(cause)
                return
        self._visits += 1
        if not self._pings_every or self._visits % self._pings_every:
            return
        if self._pinged and not self._heard and not late:
            self._end("the broker was silent for longer than the keep-alive")
            return
        self._heard = False
        self._pinged = True
        self._write(PINGREQ)

    # --- the end

    def _broke(self, defect: Exception) -> None:
        self._link.defect(defect)
        self._end(f"it broke: {defect!r}")

    def _ended_by_broker(self, code: int) -> None:
        if code == SESSION_TAKEN_OVER:
            self._link.subscribed = False  # whoever has it now may leave other subscriptions in it
        self._finish(broker_ended(self._link.settings.client_id, code))

    def _end(self, cause: str) -> None:
        """End against our wish: abort, and tell the link why."""
        if self._over:
            return
        settings, endpoint = self._link.settings, self._link.endpoint
        if self._session_present is None:
            self._finish(ended_early(endpoint.host, endpoint.port, cause, hint_for(cause)))
        else:
            self._finish(connection_lost(settings.client_id, cause))

    def _finish(self, error: LinkError) -> None:
        finished = self.finished
        self.abort()
        if finished is None:
            self._link.ended(self, error)
        elif not finished.done():
            finished.set_result(error)

    def abort(self) -> None:
        """Cut the connection without a word; nothing is called after this."""
        if self._over:
            return
        self._leave()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _leave(self) -> None:
        """Call nobody from here on, and let go of what is held."""
        self._over = True
        self.up = False
        self.finished = None
        self._link.wheel.remove(self)
        if self._link.leftovers is not None:
            self._link.leftovers.cut_off()
        self._under_way = self._waiting = self._early = self._tail = self._out = None
        self._final_publish_is_over()

    def _final_publish_is_over(self) -> None:
        if self.final_publish is not None and not self.final_publish.done():
            self.final_publish.set_result(None)

    async def publish_final(self, frame: Frame, timeout_s: float) -> None:
        """Publish the frame before the end; wait for its outcome, the end of the connection or the time-out."""
        self.final_publish = asyncio.get_running_loop().create_future()
        self.publish(frame, None)
        await asyncio.wait((self.final_publish,), timeout=timeout_s)

    async def disconnect(self, end_session: bool, timeout_s: float) -> None:
        """Send DISCONNECT, so that the will is not sent, and wait until the broker has ended the connection."""
        transport = self._transport
        if self._over or transport is None:
            return
        self.flush()
        self._leave()
        await disconnect_and_drain(transport, disconnect_packet(end_session), timeout_s)


def _kind(packet: mqtt5.Packet) -> str:
    return type(packet).__name__.removesuffix("Packet").upper()
