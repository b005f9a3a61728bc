"""`Link` for the masses: ten thousand clients in one process, at a few microseconds a message and few kilobytes each.

An asyncio protocol (on the stock event loop or uvloop) and the `mqtt5` codec. The links of one factory share one
keep-alive wheel, one queue of connects and the turns of the event loop; an idle link has neither task nor timer.

What waits: at QoS 1 at most the broker's Receive Maximum (and `UNDER_WAY_MAX`) is under way. Beyond it, while the
transport's buffer is full, and beyond `PUBLISHES_PER_TURN` of a factory, publishes wait in their order, up to
`WAITING_MAX` of a link. One more is refused with "Quota exceeded" through `link_acknowledged`: it was not sent, and
the link stays up. So are frames that are larger than the broker takes, at QoS 2, or impossible to write.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final

from fleet.errors import ConnectionLost, ConnectRefused, LinkError, Unreachable
from fleet.transport.dial import dial_protocol
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import BackOff, Delivery, Endpoint, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.reasons import RETAIN_NOT_SUPPORTED, timed_out
from fleet.transport.remarks import Remarks
from fleet.transport.swarm_codec import connect_packet
from fleet.transport.swarm_connection import SwarmConnection
from fleet.transport.swarm_connects import Connects
from fleet.transport.swarm_turns import Turns
from fleet.transport.swarm_wheel import KeepAliveWheel
from fleet.wire.frame import Frame

CLOSE_TIMEOUT_S: Final = 5.0
"""How long `close` waits for the outcome of the last frame, and again for the end of the connection."""


def swarm_links(
    endpoint: Endpoint,
    *,
    handshakes: int = 90,
    source_addresses: Sequence[str] = (),
    connects_per_s: float | None = None,
    remarks: Remarks | None = None,
) -> LinkFactory:
    """Return a factory of links to `endpoint`.

    Its links together have at most `handshakes` connects under way and start at most `connects_per_s`. They connect
    from the `source_addresses` in turn, unless their settings name one. `remarks` is told what the broker does otherwise
    than asked.
    """
    swarm = Swarm(endpoint, handshakes, source_addresses, connects_per_s, remarks or Remarks())

    def make(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> SwarmLink:
        return SwarmLink(swarm, settings, owner, back_off)

    return make


class Swarm:
    """What the links of one factory share."""

    __slots__ = ("connects", "endpoint", "remarks", "retains", "sources", "turns", "wheel")

    def __init__(
        self,
        endpoint: Endpoint,
        handshakes: int,
        source_addresses: Sequence[str],
        connects_per_s: float | None,
        remarks: Remarks,
    ) -> None:
        self.endpoint = endpoint
        self.remarks = remarks
        self.retains = True  # until the broker refuses a will because it retains nothing
        self.sources: Iterator[str] = itertools.cycle(source_addresses or ("",))
        self.connects = Connects(handshakes, connects_per_s)
        self.turns = Turns()
        self.wheel = KeepAliveWheel()


class _State(enum.Enum):
    """Where a link is in its life."""

    IDLE = enum.auto()
    """Not open."""
    TRYING = enum.auto()
    """Waits for its place among the connects, or connects."""
    UP = enum.auto()
    PARTING = enum.auto()
    """Publishes the final frame, or disconnects."""
    BETWEEN = enum.auto()
    """Tells its owner that an attempt failed or the connection was lost."""
    WAITING = enum.auto()
    """Backs off."""


_TRYING, _UP, _PARTING = _State.TRYING, _State.UP, _State.PARTING


class SwarmLink:
    """One client of a broker; `fleet.transport.link.Link` says what its methods promise."""

    __slots__ = (
        "_back_off",
        "_closing",
        "_connection",
        "_connections",
        "_state",
        "_swarm",
        "_task",
        "leftovers",
        "owner",
        "released",
        "settings",
        "subscribed",
    )

    def __init__(self, swarm: Swarm, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> None:
        """Take what is shared, how to connect, whom to call and how long to wait."""
        self.settings = settings
        self.owner = owner
        self.subscribed = False
        self.leftovers: Leftovers | None = None
        self.released: set[int] | None = None
        self._swarm = swarm
        self._back_off = back_off
        self._state = _State.IDLE
        self._connection: SwarmConnection | None = None
        self._connections = 0
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Lock | None = None

    @property
    def is_up(self) -> bool:
        """True between link_up and link_down."""
        return self._state is _UP

    def open(self) -> None:
        """Start connecting, and stay connected."""
        if self._state is _State.IDLE:
            self._state = _TRYING
            self._swarm.connects.add(self)

    def publish(self, frame: Frame, token: int) -> None:
        """Send; the outcome comes through `link_acknowledged`. Raises ConnectionLost while the link is not up."""
        connection = self._connection
        if connection is None or not connection.up:
            raise ConnectionLost(f"{self.settings.client_id!r} is not connected", hint="Publish after link_up.")
        connection.publish(frame, token)

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker it may forget the delivery."""
        connection = self._connection
        qos = delivery.frame.qos
        if qos and connection is not None and connection.up and connection.number == delivery.connection:
            connection.acknowledge(delivery.packet_id, qos)

    def drop(self) -> None:
        """Cut the connection without a word. `is_up` is false at once, link_down(None) follows on the loop."""
        state, self._state = self._state, _State.IDLE
        self._swarm.connects.remove(self)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if state is _TRYING or state is _UP or state is _PARTING:
            asyncio.get_running_loop().call_soon(self._tell_down, None)

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        """Publish `last`, disconnect and stop. While the link is down there is nobody to end the session with."""
        if self._closing is None:
            self._closing = asyncio.Lock()
        async with self._closing:  # a second close must not cut off the first
            try:
                await self._disconnect(end_session, last)
            finally:
                self.drop()
            await asyncio.sleep(0)  # the link_down(None) of the drop comes before we go on

    async def _disconnect(self, end_session: bool, last: Frame | None) -> None:
        connection = self._connection
        if connection is None or self._state is not _UP:
            return
        if last is not None:
            await connection.publish_final(last, CLOSE_TIMEOUT_S)
        if connection is self._connection and self._state is _UP:
            self._state = _PARTING
            await connection.disconnect(end_session, CLOSE_TIMEOUT_S)

    # --- what the connects call

    def __str__(self) -> str:
        """Return the client id, which names the task of an attempt."""
        return self.settings.client_id

    def attempt_began(self, task: asyncio.Task[None]) -> None:
        """Keep the task of the attempt while it lasts."""
        self._task = task

    def attempt(self) -> Coroutine[Any, Any, None]:
        """Try to come up once."""
        return self._attempt()

    async def _attempt(self) -> None:
        error = await self._come_up()
        if isinstance(error, ConnectRefused) and error.code == RETAIN_NOT_SUPPORTED and self.settings.will is not None:
            self._swarm.retains = False
            error = await self._come_up()
        self._task = None
        if error is not None:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.abort()
            self._failed(error)

    async def _come_up(self) -> LinkError | None:
        """Connect and wait until the link is up; return why it did not come to that."""
        swarm, settings = self._swarm, self.settings
        endpoint = swarm.endpoint
        self._connections += 1
        connected = False
        try:
            finished: asyncio.Future[LinkError | None] = asyncio.get_running_loop().create_future()
            packet = connect_packet(settings if swarm.retains else settings.without_retain())
            connection = SwarmConnection(self, self._connections, packet, finished)
            self._connection = connection
            async with asyncio.timeout(settings.connect_timeout_s):
                await dial_protocol(endpoint, settings.source_address or next(swarm.sources), connection, settings.username)
                connected = True
                return await finished
        except TimeoutError:
            return timed_out(endpoint.host, endpoint.port, settings.connect_timeout_s, connected=connected)
        except LinkError as error:
            return error
        except (ValueError, OverflowError) as error:
            return Unreachable(endpoint.host, endpoint.port, f"no CONNECT can be written from the settings: {error}")

    # --- what the connection calls

    @property
    def endpoint(self) -> Endpoint:
        """Where the broker is."""
        return self._swarm.endpoint

    @property
    def turns(self) -> Turns:
        """The turns of the event loop, shared."""
        return self._swarm.turns

    @property
    def wheel(self) -> KeepAliveWheel:
        """The keep-alive of all links, shared."""
        return self._swarm.wheel

    @property
    def remarks(self) -> Remarks:
        """Who is told what the broker does otherwise than asked, shared."""
        return self._swarm.remarks

    def came_up(self, session_present: bool) -> None:
        """The connection is in force."""
        self._state = _UP
        self._back_off.reset()
        self.owner.link_up(session_present)

    def ended(self, connection: SwarmConnection, error: LinkError) -> None:
        """A connection that was up is no more."""
        if connection is self._connection:
            self._connection = None
            self._failed(error)

    def defect(self, error: Exception) -> None:
        """Show an error that is not of the connection but of the owner, or ours."""
        asyncio.get_running_loop().call_exception_handler({"message": "a link could not go on", "exception": error})

    def _failed(self, error: LinkError) -> None:
        """Tell the owner, and try again after a while unless it has decided otherwise meanwhile."""
        self._state = _State.BETWEEN
        self._tell_down(error)
        if self._state is _State.BETWEEN:
            self._state = _State.WAITING
            self._swarm.connects.add(self, self._back_off.next_s())

    def _tell_down(self, error: LinkError | None) -> None:
        try:
            self.owner.link_down(error)
        except Exception as defect:  # noqa: BLE001  the owner's defect must not reach other links
            self.defect(defect)
