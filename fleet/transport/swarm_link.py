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
import itertools
from collections.abc import Iterator, Sequence

from fleet.errors import LinkError, Unreachable
from fleet.transport.client_connection import ClientConnection
from fleet.transport.client_machine import CLOSE_TIMEOUT_S, ClientLink, ClientMachine
from fleet.transport.dial import dial_protocol
from fleet.transport.link import BackOff, Endpoint, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.remarks import Remarks
from fleet.transport.swarm_codec import connect_packet
from fleet.transport.swarm_connection import SwarmConnection
from fleet.transport.swarm_connects import Connects
from fleet.transport.swarm_turns import Turns
from fleet.transport.swarm_wheel import KeepAliveWheel
from fleet.wire.frame import Frame


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
    from the `source_addresses` in turn, unless their settings name one. `remarks` counts what the broker does otherwise
    than asked.
    """
    swarm = Swarm(endpoint, handshakes, source_addresses, connects_per_s, remarks or Remarks())

    def make(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> SwarmLink:
        return SwarmLink(swarm, settings, owner, back_off)

    return make


class Swarm:
    """The parts that the links of one factory share."""

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

    def defect(self, error: Exception) -> None:
        """Show an error that is not of a connection but of its owner, or ours."""
        asyncio.get_running_loop().call_exception_handler({"message": "a link could not go on", "exception": error})


class SwarmLink(ClientLink):
    """One client of a broker; `fleet.transport.link.Link` says what its methods promise."""

    __slots__ = ("_closing", "_connection", "_dialled", "_parting", "_swarm", "_task")

    def __init__(self, swarm: Swarm, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> None:
        """Take what is shared, how to connect, whom to call and how long to wait."""
        self.machine = ClientMachine(self, swarm, settings, owner, back_off)
        self._swarm = swarm
        self._connection: SwarmConnection | None = None  # the newest
        self._task: asyncio.Task[None] | None = None  # of an attempt under way
        self._dialled: asyncio.Future[None] | None = None  # holds the attempt's place until it is over
        self._closing: asyncio.Lock | None = None
        self._parting: asyncio.Future[SwarmConnection | None] | None = None  # tells a close when to disconnect

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        """Publish `last`, disconnect and stop. While the link is down there is nobody to end the session with."""
        if self._closing is None:
            self._closing = asyncio.Lock()
        async with self._closing:  # a second close must not cut off the first
            try:
                self._parting = asyncio.get_running_loop().create_future()
                self.machine.close(end_session, last)
                connection = await self._parting if self.machine.is_closing else None
                if connection is not None:
                    await connection.disconnect(CLOSE_TIMEOUT_S, end_session=end_session)
                    self.machine.disconnected()
            finally:
                self._parting = None
                self.drop()
            await asyncio.sleep(0)  # the link_down(None) of the drop comes before we go on

    # --- what the connects call

    def __str__(self) -> str:
        """Return the client id, which names the task of an attempt."""
        return self.machine.settings.client_id

    def attempt_began(self, task: asyncio.Task[None]) -> None:
        """Keep the task of the attempt while it lasts."""
        self._task = task

    async def attempt(self) -> None:
        """Try to come up once."""
        self.machine.attempt()
        connection = self._connection
        assert connection is not None
        settings, endpoint = connection.machine.settings, self._swarm.endpoint
        source = settings.source_address or next(self._swarm.sources)
        error: LinkError
        try:
            connection.opening = connect_packet(settings)
            await dial_protocol(endpoint, source, connection, settings.username)
        except LinkError as unreachable:
            error = unreachable
        except (ValueError, OverflowError) as impossible:
            error = Unreachable(endpoint.host, endpoint.port, f"no CONNECT can be written from the settings: {impossible}")
        else:
            if connection.machine.is_coming_up:
                self._dialled = asyncio.get_running_loop().create_future()
                await self._dialled
            return
        self._task = None
        self.machine.attempt_failed(error)

    def wake(self) -> None:
        """The machine's deadline has come."""
        self.machine.wake()

    # --- what the machine asks for

    def request_attempt(self) -> None:
        """Attempt when it is this link's turn."""
        self._swarm.connects.add(self)

    def connect(self, number: int, settings: LinkSettings) -> ClientConnection:
        """Begin a connection; the attempt dials."""
        self._connection = SwarmConnection(self._swarm, self.machine, number, settings)
        return self._connection.machine

    def attempt_is_over(self) -> None:
        """Free the place among the connects."""
        self._swarm.connects.remove(self)
        task, self._task = self._task, None
        dialled, self._dialled = self._dialled, None
        if dialled is not None:
            if not dialled.done():
                dialled.set_result(None)
        elif task is not None and self._connection is not None and not self._connection.machine.is_open:
            task.cancel()  # an open one is about to return, and cancelled then would close the socket of the transport

    def set_timer(self, wait_s: float | None) -> None:
        """Wake the machine after so many seconds."""
        self._swarm.connects.set_timer(self, wait_s)

    def tell_down(self, error: LinkError) -> None:
        """Tell the owner why the link is down."""
        self._connection = None
        self._tell_down(error)

    def _tell_down(self, error: LinkError | None) -> None:
        """Tell the owner; its defect must not reach other links."""
        try:
            self.machine.owner.link_down(error)
        except Exception as defect:  # noqa: BLE001  see above
            self._swarm.defect(defect)

    def tell_down_later(self) -> None:
        """Tell the owner on the loop that the link is down as it wanted."""
        self._connection = None
        asyncio.get_running_loop().call_soon(self._tell_down, None)

    def disconnect(self, connection: ClientConnection, *, end_session: bool) -> None:  # noqa: ARG002  the close knows both
        """Let the close go on that waits."""
        if self._parting is not None and not self._parting.done():
            self._parting.set_result(self._connection)

    def closed(self) -> None:
        """Let the close end that waits."""
        if self._parting is not None and not self._parting.done():
            self._parting.set_result(None)
