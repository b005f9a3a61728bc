"""A broker's session in the test's hand: it delivers, keeps what is not acknowledged, and sends it again on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fleet.errors import ConnectionLost, PublishRefused
from fleet.transport.link import BackOff, Delivery, LinkOwner, LinkSettings
from fleet.wire.frame import Frame

WITHIN_S = 8.0


class FakeSession:
    """What a broker keeps of one client across its connections. `changed` wakes whoever waits."""

    def __init__(self) -> None:
        self.link: FakeLink | None = None
        self.unacknowledged: dict[int, Frame] = {}
        self.acknowledged: list[int] = []
        self.published: list[Frame] = []
        self.next_packet_id = 1
        self.ended = False
        self.takes_publishes = True
        self._changed = asyncio.Event()

    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> FakeLink:
        """Play the LinkFactory."""
        self.link = FakeLink(self, settings, owner)
        return self.link

    def deliver(self, *frames: Frame) -> None:
        """Send frames to the client; at QoS 1 they are kept until acknowledged."""
        for frame in frames:
            packet_id = self.next_packet_id
            self.next_packet_id += 1
            if frame.qos:
                self.unacknowledged[packet_id] = frame
            self._link().owner.link_received(Delivery(frame, packet_id, self._link().connection))

    def lose_connection(self) -> None:
        link = self._link()
        link.is_up = False
        link.owner.link_down(ConnectionLost("pulled"))

    def reconnect(self) -> None:
        """Connect again and deliver once more what was never acknowledged, in its order."""
        link = self._link()
        link.connection += 1
        link.is_up = True
        link.owner.link_up(True)
        for packet_id, frame in list(self.unacknowledged.items()):
            link.owner.link_received(Delivery(frame, packet_id, link.connection))

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return as soon as the condition holds; it is looked at whenever something reaches the broker."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_for_acknowledged(self, count: int) -> None:
        await self.wait_for(lambda: len(self.acknowledged) >= count)

    def changed(self) -> None:
        self._changed.set()

    def _link(self) -> FakeLink:
        assert self.link is not None
        return self.link


class FakeLink:
    """`Link` on a FakeSession; comes up at once."""

    def __init__(self, session: FakeSession, settings: LinkSettings, owner: LinkOwner) -> None:
        self.session = session
        self.settings = settings
        self.owner = owner
        self.connection = 0
        self.is_up = False

    def open(self) -> None:
        self.session.reconnect()

    def publish(self, frame: Frame, token: int) -> None:
        if not self.is_up:
            raise ConnectionLost("not connected")
        self.session.published.append(frame)
        if self.session.takes_publishes:
            asyncio.get_running_loop().call_soon(self._taken, token, None)
        self.session.changed()

    def refuse(self, token: int) -> None:
        self._taken(token, PublishRefused("backend", "t", 0x87, "Not authorized"))

    def _taken(self, token: int, error: PublishRefused | None) -> None:
        if self.is_up:
            self.owner.link_acknowledged(token, error)

    def acknowledge(self, delivery: Delivery) -> None:
        if delivery.frame.qos and delivery.connection == self.connection and self.is_up:
            del self.session.unacknowledged[delivery.packet_id]
            self.session.acknowledged.append(delivery.packet_id)
            self.session.changed()

    def drop(self) -> None:
        self.is_up = False

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        self.is_up = False
        self.session.ended = end_session
