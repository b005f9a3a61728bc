"""`Link` on aiomqtt and paho-mqtt: the reference implementation, for the tools that watch and command.

One named task per link connects, waits for the end of the connection and tries again; an `AiomqttConnection` (an aiomqtt
client) lives as long as one TCP connection. Knows nothing of cars, outboxes or payloads.

aiomqtt runs paho's connect in a thread because it blocks. Here the socket is made ready on the event loop first and
then handed to paho, so nothing blocks, every callback comes on the loop's thread, an attempt can be cut off at any
moment, and an error keeps its cause.
"""
# ruff: noqa: ARG002  paho fixes the arguments of its callbacks

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import aiomqtt
import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleet.errors import ConnectionLost, ConnectRefused, LinkError, PublishRefused
from fleet.transport.dial import dial, hint_for, in_words
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import BackOff, Delivery, Endpoint, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.mqtt_stream import packet_size
from fleet.transport.overdue import Overdue
from fleet.transport.paho_packets import connect_properties, frame_from, frame_properties, new_properties, will_of
from fleet.transport.reasons import (
    CLOSED,
    PACKET_TOO_LARGE,
    QOS_NOT_SUPPORTED,
    REFUSAL,
    RETAIN_NOT_SUPPORTED,
    SESSION_TAKEN_OVER,
    answered_by_older,
    broker_ended,
    connect_refused,
    connection_lost,
    ended_early,
    no_connack,
    not_connected,
    publish_refused,
    subscribe_refused,
    timed_out,
)
from fleet.transport.remarks import GRANTED_LESS, LET_GO, NO_RETAIN, NOT_LET_GO, SHORTER_SESSIONS, Remarks
from fleet.wire.frame import Frame

CLOSE_TIMEOUT_S: Final = 5.0
"""How long `close` waits for the outcome of the last frame, and again for the end of the connection."""

_CONNACK: Final = 0x20
_PACKETS_PER_TURN: Final = 64
_UNDER_WAY_MAX: Final = 256
"""Publishes sent and not yet acknowledged; paho goes through all of them at every acknowledgement while others wait."""
_HIGHEST_PACKET_ID: Final = 65_535
_T = TypeVar("_T")


def aiomqtt_links(endpoint: Endpoint, *, handshakes: int = 90, remarks: Remarks | None = None) -> LinkFactory:
    """Return a factory of links to `endpoint`; its links together have at most `handshakes` connects under way.

    Beyond the broker's listen backlog (100 in Mosquitto) the kernel repeats a connect only after a second. `remarks` is told
    what the broker does otherwise than asked.
    """
    gate = asyncio.Semaphore(handshakes)
    told = remarks or Remarks()

    def make(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> AiomqttLink:
        return AiomqttLink(endpoint, settings, owner, back_off, gate, remarks=told)

    return make


class AiomqttLink:
    """One client of a broker; `fleet.transport.link.Link` says what its methods promise."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LinkSettings,
        owner: LinkOwner,
        back_off: BackOff,
        gate: asyncio.Semaphore,
        *,
        remarks: Remarks,
    ) -> None:
        """Take where and how to connect, whom to call, how long to wait, the limit of handshakes under way, and whom to tell."""
        self._endpoint = endpoint
        self._settings = settings
        self._owner = owner
        self._back_off = back_off
        self._gate = gate
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._connection: AiomqttConnection | None = None
        self._connections = 0
        self._up = False
        self._remarks = remarks
        self._subscribed = False  # whether all our subscriptions are in the session
        self._leftovers: Leftovers | None = None  # of a session that we found and have not made
        self._unreleased: OrderedDict[int, paho.MQTTMessage] = OrderedDict()  # QoS 2, by packet id; part of the session
        # What came before link_up; QoS 1 is bounded by Receive Maximum, QoS 0 by one round trip.
        self._early: list[Delivery] = []

    @property
    def is_up(self) -> bool:
        """True between link_up and link_down, and false at once when the connection is lost or dropped."""
        return self._up and self._connection is not None and not self._connection.gone.done()

    def open(self) -> None:
        """Start connecting, and stay connected."""
        if self._task is None:
            name = f"link {self._settings.client_id}"
            self._task = asyncio.get_running_loop().create_task(self._stay_connected(), name=name)
            self._task.add_done_callback(_report_defect)

    def publish(self, frame: Frame, token: int) -> None:
        """Send; the outcome comes through `link_acknowledged`. Raises ConnectionLost while the link is not up."""
        if self._connection is None or not self.is_up:
            raise not_connected(self._settings.client_id)
        self._connection.send(frame, token)

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker it may forget the delivery."""
        connection = self._connection
        if delivery.frame.qos and connection is not None and connection.number == delivery.connection and self.is_up:
            connection.acknowledge(delivery.packet_id, delivery.frame.qos)

    def drop(self) -> None:
        """Cut the connection without a word. `is_up` is false at once, link_down(None) follows on the loop."""
        task, self._task = self._task, None
        self._up = False
        if self._connection is not None:
            self._connection.abort()
        if task is not None and not task.done():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        """Publish `last`, disconnect and stop. While the link is down there is nobody to end the session with."""
        async with self._closing:  # a second close must not cut off the first
            try:
                await self._disconnect(end_session, last)
            finally:
                self.drop()
            while self._ending:
                await asyncio.wait(self._ending)

    async def _disconnect(self, end_session: bool, last: Frame | None) -> None:
        connection = self._connection
        if connection is not None and self.is_up:
            if last is not None:
                await connection.publish_final(last, CLOSE_TIMEOUT_S)
            self._up = False
            await connection.disconnect(end_session, CLOSE_TIMEOUT_S)

    async def _stay_connected(self) -> None:
        while self._ending:  # after drop and open: the old connection says link_down first
            await asyncio.wait(self._ending)
        while True:
            try:
                error = await self._live_one_connection()
            except asyncio.CancelledError:
                self._owner.link_down(None)
                raise
            self._owner.link_down(error)
            if error is None:
                return
            await asyncio.sleep(self._back_off.next_s())

    async def _live_one_connection(self) -> LinkError | None:
        """Connect and wait for the end; return why it ended, None when we wanted it."""
        self._connections += 1
        connection = AiomqttConnection(
            self._endpoint,
            self._settings,
            self._connections,
            self._received,
            self._outcome,
            unreleased=self._unreleased,
            remarks=self._remarks,
        )
        self._connection = connection
        try:
            await self._come_up(connection)
            return await connection.gone
        except ConnectRefused as error:
            if error.code != RETAIN_NOT_SUPPORTED or self._settings == self._settings.without_retain():
                return error
            self._settings = self._settings.without_retain()
        except LinkError as error:
            return error
        finally:
            if connection.was_taken_over:
                self._subscribed = False  # whoever has the session now may leave other subscriptions in it
            if self._leftovers is not None:
                self._leftovers.cut_off()
            self._up = False
            self._connection = None
            self._early.clear()
            connection.abort()
        return await self._live_one_connection()

    async def _come_up(self, connection: AiomqttConnection) -> None:
        endpoint, settings = self._endpoint, self._settings
        connected = False
        try:
            async with self._gate, asyncio.timeout(settings.connect_timeout_s):
                sock = await dial(endpoint, settings.source_address, settings.username)
                connected = True
                resumed = await connection.start(sock)
                self._look_at_session(resumed)
                if settings.subscriptions and not self._subscribed:
                    await connection.subscribe_all(settings.subscriptions)
                self._subscribed = True
        except TimeoutError:
            raise timed_out(endpoint.host, endpoint.port, settings.connect_timeout_s, connected=connected) from None
        if connection.gone.done():
            return
        self._back_off.reset()
        self._up = True
        self._owner.link_up(resumed)
        early, self._early = self._early, []
        for delivery in early:
            if not self.is_up:
                break
            self._owner.link_received(delivery)

    def _look_at_session(self, resumed: bool) -> None:
        if not resumed:
            self._subscribed = False
            self._leftovers = None
        elif not self._subscribed and self._leftovers is None:
            self._leftovers = Leftovers(topic_filter for topic_filter, _ in self._settings.subscriptions)
        if self._leftovers is not None:
            for delivery in self._early:  # what came with the CONNACK
                self._let_go(self._leftovers, delivery.frame.topic)

    def _let_go(self, leftovers: Leftovers, topic: str) -> None:
        """End the subscription by which a message came that is none of ours; the owner is given it all the same."""
        filters = leftovers.to_end(topic)
        if filters and self._connection is not None:
            self._connection.unsubscribe_all(filters, self._unsubscribed)

    def _unsubscribed(self, codes: list[int]) -> None:
        ended = None if self._leftovers is None else self._leftovers.answered(codes)
        if ended is not None:
            self._remarks.add(LET_GO if ended else NOT_LET_GO, f"{self._settings.client_id!r}: {', '.join(ended)}")

    def _received(self, delivery: Delivery) -> None:
        if self._leftovers is not None:
            self._let_go(self._leftovers, delivery.frame.topic)
        if self._up:
            self._owner.link_received(delivery)
        else:
            self._early.append(delivery)

    def _outcome(self, token: int, error: PublishRefused | None) -> None:
        self._owner.link_acknowledged(token, error)


class AiomqttConnection(aiomqtt.Client):
    """One TCP connection: an aiomqtt client with manual acknowledgement, reason codes and no tasks of its own.

    Everything happens on the loop's thread, and paho only queues while an event loop drives it: the outcome of a
    publish can never come before `publish` has noted its packet id.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LinkSettings,
        number: int,
        received: Callable[[Delivery], None],
        outcome: Callable[[int, PublishRefused | None], None],
        *,
        unreleased: OrderedDict[int, paho.MQTTMessage],
        remarks: Remarks,
    ) -> None:
        """Prepare; `start` connects. `number` tells the connections of a link apart.

        `unreleased` are messages at QoS 2 of which the PUBREL is still to come; they outlive the connection.
        """
        self._complaints = _Complaints()
        super().__init__(
            endpoint.host,
            endpoint.port,
            username=settings.username,
            password=settings.password,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=settings.keep_alive_s,
            clean_start=settings.clean_start,
            will=will_of(settings.will),
            properties=connect_properties(settings),
            logger=self._complaints,
        )
        self._client.manual_ack_set(True)
        self._client._in_messages = unreleased
        self._client._packet_handle = self._packet_came  # type: ignore[method-assign]
        self._client._handle_pubrel = self._released  # type: ignore[method-assign]
        self.number = number
        self.gone: asyncio.Future[LinkError | None] = self._loop.create_future()
        self._settings = settings
        self._deliver = received
        self._outcome = outcome
        self._connack: asyncio.Future[tuple[bool, ReasonCode]] = self._loop.create_future()
        self._suback: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._final_publish: asyncio.Future[None] = self._loop.create_future()
        self._under_way: dict[int, tuple[int | None, str]] = {}  # packet id: token (None: the final publish), topic
        self._overdue = Overdue(settings.acknowledge_timeout_s) if settings.acknowledge_timeout_s else None
        self._parting = False
        self.was_taken_over = False
        self._said: tuple[str | None, ...] = ()
        self._takes_qos_1 = True
        self._retains = True
        self._packet_max: int | None = None
        self._remarks = remarks
        self._unsuback: Callable[[list[int]], None] | None = None
        self._written_out: asyncio.Future[socket.socket] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None

    # What the link asks for

    async def start(self, sock: socket.socket) -> bool:
        """Connect over a socket that is ready; return whether the session was present. Raises LinkError."""
        if self.gone.done():  # dropped while the socket was made
            sock.close()
            raise ConnectionLost(f"{self._settings.client_id!r} was dropped")
        self._client._create_socket = lambda: sock  # type: ignore[method-assign]
        self._client_connect()
        resumed, reason = await self._answer(self._connack)
        if reason.value >= REFUSAL:
            raise connect_refused(self._settings.client_id, reason.value, *self._said)
        if not self._takes_qos_1:
            raise connect_refused(self._settings.client_id, QOS_NOT_SUPPORTED)
        if not resumed:
            self._client._in_messages.clear()
        return resumed

    async def subscribe_all(self, filters: tuple[tuple[str, int], ...]) -> None:
        """Subscribe in one packet; raises SubscribeRefused for the first filter the broker refuses."""
        self._client.subscribe([(topic_filter, SubscribeOptions(qos=qos)) for topic_filter, qos in filters])
        reasons = await self._answer(self._suback)
        for (topic_filter, qos), reason in zip(filters, reasons, strict=False):
            if reason.value < qos:
                self._remarks.add(GRANTED_LESS, repr(topic_filter))
            if reason.value >= REFUSAL:
                raise subscribe_refused(self._settings.client_id, topic_filter, reason.value)

    def unsubscribe_all(self, filters: list[str], answered: Callable[[list[int]], None]) -> None:
        """Unsubscribe in one packet; the reason codes go to `answered`."""
        self._unsuback = answered
        self._client.unsubscribe(filters)

    def send(self, frame: Frame, token: int | None) -> None:
        """Queue a publish; its outcome goes to the link under `token`."""
        if frame.retain and not self._retains:
            if not frame.payload:  # it would take away what nobody retains
                self._loop.call_soon(self._tell, token, None)
                return
            frame = msgspec.structs.replace(frame, retain=False)
        if self._packet_max is not None and packet_size(frame) > self._packet_max:
            self._loop.call_soon(self._tell, token, publish_refused(self._settings.client_id, frame.topic, PACKET_TOO_LARGE))
            return
        client = self._client
        assert len(self._under_way) < _HIGHEST_PACKET_ID, "the owner bounds what is under way"
        # paho would reuse the packet id of a QoS 0 frame, and refuse to send one still in use at QoS 1.
        while client._last_mid % _HIGHEST_PACKET_ID + 1 in self._under_way:
            client._mid_generate()
        properties = frame_properties(frame, PacketTypes.PUBLISH)
        info = client.publish(frame.topic, frame.payload, frame.qos, frame.retain, properties)
        self._under_way[info.mid] = (token, frame.topic)

    def _tell(self, token: int | None, error: PublishRefused | None) -> None:
        """Tell an outcome that needs no answer of the broker."""
        if token is not None:
            if not self.gone.done():
                self._outcome(token, error)
        elif not self._final_publish.done():
            self._final_publish.set_result(None)

    async def publish_final(self, frame: Frame, timeout_s: float) -> None:
        """Publish the frame before the end and wait for its outcome, the end of the connection or the time-out."""
        self.send(frame, None)
        ends: set[asyncio.Future[Any]] = {self._final_publish, self.gone}
        await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    def acknowledge(self, packet_id: int, qos: int) -> None:
        """Send the PUBACK, or at QoS 2 the PUBCOMP."""
        self._client.ack(packet_id, qos)

    async def disconnect(self, end_session: bool, timeout_s: float) -> None:
        """Send DISCONNECT, so that the will is not sent, and wait until the broker has ended the connection."""
        if self.gone.done():
            return
        self._parting = True
        properties = None
        if end_session:
            properties = new_properties(PacketTypes.DISCONNECT)
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        try:
            async with asyncio.timeout(timeout_s):
                await self._until_the_other_side_ends(await self._answer(self._written_out))
        except (TimeoutError, OSError, LinkError):
            pass  # the broker sees the end of the connection in any case
        finally:
            if self._written_out.done():
                self._written_out.result().close()
            self._end(None)

    async def _until_the_other_side_ends(self, sock: socket.socket) -> None:
        """Read and discard: closing a socket with unread bytes in it resets it, and the broker may miss the DISCONNECT."""
        sock.shutdown(socket.SHUT_WR)
        while await self._loop.sock_recv(sock, 1 << 16):
            pass

    def abort(self) -> None:
        """Close the socket without a word; nothing is called after this."""
        self._end(None)
        self._close_socket()
        self._under_way.clear()

    async def _answer(self, answer: asyncio.Future[_T]) -> _T:
        ends: set[asyncio.Future[Any]] = {answer, self.gone}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise self.gone.result() or ConnectionLost(f"{self._settings.client_id!r} was dropped")

    def _end(self, error: LinkError | None) -> None:
        if not self.gone.done():
            self.gone.set_result(error)

    # What paho calls, through aiomqtt

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        # paho sends 20 at a time unless told; more than the broker's Receive Maximum would end the connection. Its
        # setter refuses once the connection is there, though nothing was sent yet.
        told = vars(properties) if properties is not None else {}
        client._max_inflight_messages = min(told.get("ReceiveMaximum", _UNDER_WAY_MAX), _UNDER_WAY_MAX)
        self._note_limits(told)
        if not self._connack.done():
            self._connack.set_result((flags.session_present, reason_code))

    def _note_limits(self, told: dict[str, Any]) -> None:
        """Keep to what the broker does not offer, and tell it."""
        self._said = (told.get("ReasonString"), told.get("ServerReference"))
        self._takes_qos_1 = told.get("MaximumQoS", 1) > 0
        self._packet_max = told.get("MaximumPacketSize", self._packet_max)
        if not told.get("RetainAvailable", 1):
            self._retains = False
            self._remarks.add(NO_RETAIN)
        asked_s = self._settings.session_expiry_s
        if told.get("SessionExpiryInterval", asked_s) < asked_s:
            self._remarks.add(SHORTER_SESSIONS, f"{told['SessionExpiryInterval']} s instead of {asked_s} s")

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason_codes: list[ReasonCode],
        properties: Properties | None = None,
    ) -> None:
        if not self._suback.done():
            self._suback.set_result(reason_codes)

    def _on_unsubscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason_codes: list[ReasonCode],
        properties: Properties | None = None,
    ) -> None:
        if self._unsuback is not None:
            self._unsuback([reason.value for reason in reason_codes])

    def _released(self) -> MQTTErrorCode:
        """Answer a PUBREL as paho does, and one of a message that is not known, too: the broker would wait for ever."""
        client = self._client
        packet_id = int.from_bytes(client._in_packet["packet"][:2], "big")
        if packet_id in client._in_messages:
            return paho.Client._handle_pubrel(client)
        return client._send_pubcomp(packet_id)

    def _on_publish(self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties) -> None:
        token, topic = self._under_way.pop(mid, (None, ""))
        if token is None:
            if topic and not self._final_publish.done():
                self._final_publish.set_result(None)
        elif reason_code.value >= REFUSAL:
            self._outcome(token, publish_refused(self._settings.client_id, topic, reason_code.value))
        else:  # 0x10, nobody subscribed to it, is a success too
            self._outcome(token, None)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._deliver(Delivery(frame_from(message), message.mid, self.number))

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._parting and not self.gone.done():
            self._end(self._loss(flags.is_disconnect_packet_from_server, reason_code))

    def _loss(self, said_by_broker: bool, reason: ReasonCode) -> LinkError:
        """Put in words why the connection ended against our wish."""
        if said_by_broker and self._connack.done():
            self.was_taken_over = reason.value == SESSION_TAKEN_OVER
            return broker_ended(self._settings.client_id, reason.value)
        if self._complaints.last is not None:
            cause = in_words(self._complaints.last)
        elif reason.getName() == "Keep alive timeout":
            cause = f"the broker was silent for longer than the keep-alive of {self._settings.keep_alive_s} s"
        else:
            cause = CLOSED
        if self._connack.done():
            return connection_lost(self._settings.client_id, cause)
        return ended_early(self._hostname, self._port, cause, hint_for(cause))

    # The socket. aiomqtt adds writers by way of call_soon_threadsafe; by then a drop may have closed the socket and
    # its number may belong to another one. On the loop's own thread it can be done at once.

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._loop.add_reader(sock.fileno(), self._read)
        self._timer = self._loop.call_later(1.0, self._keep_alive)

    def _on_socket_close(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._forget_socket(sock)
        if self._parting and not self._written_out.done():  # paho closes as soon as DISCONNECT is written
            self._written_out.set_result(socket.socket(fileno=os.dup(sock.fileno())))

    def _forget_socket(self, sock: Any) -> None:
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())
        if self._timer is not None:
            self._timer.cancel()

    def _close_socket(self) -> None:
        """Close it ourselves: paho's way waits for ever for a lock that paho holds while it calls us."""
        client = self._client
        sock, client._sock = client._sock, None
        client._registered_write = False
        if sock is not None:
            self._forget_socket(sock)
            sock.close()

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._loop.add_writer(sock.fileno(), self._drive, self._client.loop_write)

    def _read(self) -> None:
        self._drive(self._read_some)

    def _read_some(self) -> None:
        """Do as paho's loop_read, which would read as many packets as publishes are under way: 0.8 s at 10 000."""
        client = self._client
        for _ in range(_PACKETS_PER_TURN):
            if client.socket() is None:
                return
            code = client._packet_read()
            if code == paho.MQTT_ERR_AGAIN:
                self._is_connack()
                return
            if code != paho.MQTT_ERR_SUCCESS:
                client._loop_rc_handle(code)
                return
        sock = client.socket()
        if isinstance(sock, ssl.SSLSocket) and sock.pending():  # decoded bytes of which the event loop sees nothing
            self._loop.call_soon(self._read)

    def _packet_came(self) -> MQTTErrorCode:
        """Have paho handle a packet that is whole, unless it is the first and no CONNACK of MQTT 5."""
        return paho.Client._packet_handle(self._client) if self._is_connack() else MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _is_connack(self) -> bool:
        """Tell whether the answer to the CONNECT can be read on; end the connection when it is none of MQTT 5."""
        came = self._client._in_packet
        if not self._connack.done() and came["command"]:
            if came["command"] != _CONNACK:
                self._end(no_connack(self._hostname, self._port, bytes((came["command"],))))
            elif len(came["packet"]) == came["remaining_length"] == 2:
                self._end(answered_by_older(self._settings.client_id, came["packet"][1]))
        return not self.gone.done()

    def _keep_alive(self) -> None:
        self._drive(self._client.loop_misc)
        if self._overdue is not None and (cause := self._overdue.look(self._under_way, self._loop.time())) is not None:
            self._end(connection_lost(self._settings.client_id, cause))
        elif self._client.socket() is not None:
            self._timer = self._loop.call_later(1.0, self._keep_alive)

    def _drive(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  a packet that breaks the protocol makes paho raise anything
            self._loop.call_exception_handler({"message": "a link could not go on", "exception": error})
            self._end(ConnectionLost(f"the connection of {self._settings.client_id!r} broke: {error!r}"))
            self._close_socket()


class _Complaints(logging.Logger):
    """Keeps the last error of the socket that paho would only log."""

    def __init__(self) -> None:
        super().__init__("fleet.transport.paho", logging.ERROR)
        self.last: OSError | None = None

    def handle(self, record: logging.LogRecord) -> None:
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, OSError):
                self.last = argument


def _report_defect(task: asyncio.Task[None]) -> None:
    """Show an error that is ours (an owner that raised) as soon as the link's task dies of it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "a link died", "exception": error, "task": task})
