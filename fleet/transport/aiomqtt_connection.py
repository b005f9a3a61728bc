"""One TCP connection of the reference link: an aiomqtt client with manual acknowledgement, reason codes and no tasks of its own.

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

from fleet.errors import ConnectionLost, LinkError, PublishRefused
from fleet.transport.dial import error_text, hint_for
from fleet.transport.link import Delivery, Endpoint, LinkSettings
from fleet.transport.mqtt_stream import packet_size
from fleet.transport.overdue import Overdue
from fleet.transport.paho_packets import connect_properties, frame_from, frame_properties, new_properties, will_of
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
)
from fleet.transport.remarks import Remarks
from fleet.wire.frame import Frame

_CONNACK: Final = 0x20
_PACKETS_PER_TURN: Final = 64
_UNDER_WAY_MAX: Final = 256
"""Publishes sent and not yet acknowledged; paho goes through all of them at every acknowledgement while others wait."""
_HIGHEST_PACKET_ID: Final = 65_535
_T = TypeVar("_T")


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
        refused = self._remarks.note_granted(self._settings.client_id, filters, [reason.value for reason in reasons])
        if refused is not None:
            raise refused

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
        self._retains = bool(told.get("RetainAvailable", 1))
        self._remarks.note_limits(self._retains, self._settings.session_expiry_s, told.get("SessionExpiryInterval"))

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
            cause = error_text(self._complaints.last)
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
