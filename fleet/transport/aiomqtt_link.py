"""`Link` on aiomqtt and paho-mqtt: the reference implementation, for the tools that watch and command.

One named task per link connects, waits for the end of the connection and tries again. Knows nothing of cars or payloads.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import paho.mqtt.client as paho

from fleet.errors import ConnectRefused, LinkError
from fleet.transport.aiomqtt_connection import AiomqttConnection
from fleet.transport.client_machine import CLOSE_TIMEOUT_S
from fleet.transport.dial import dial
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import BackOff, Delivery, Endpoint, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.reasons import (
    RETAIN_NOT_SUPPORTED,
    not_connected,
    timed_out,
)
from fleet.transport.remarks import Remarks
from fleet.wire.frame import Frame


def aiomqtt_links(endpoint: Endpoint, *, handshakes: int = 90, remarks: Remarks | None = None) -> LinkFactory:
    """Return a factory of links to `endpoint`; its links together have at most `handshakes` connects under way.

    Beyond the broker's listen backlog (100 in Mosquitto) the kernel repeats a connect only after a second. `remarks` counts
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
            self._owner.link_acknowledged,
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
            self._remarks.note_let_go(self._settings.client_id, ended)

    def _received(self, delivery: Delivery) -> None:
        if self._leftovers is not None:
            self._let_go(self._leftovers, delivery.frame.topic)
        if self._up:
            self._owner.link_received(delivery)
        else:
            self._early.append(delivery)


def _report_defect(task: asyncio.Task[None]) -> None:
    """Show an error that is ours (an owner that raised) as soon as the link's task dies of it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "a link died", "exception": error, "task": task})
