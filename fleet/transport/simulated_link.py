"""`Link` in virtual time: no socket, no task, no bytes. Frames go to a simulated broker as they are, by a schedule.

It connects, backs off, subscribes, numbers and waits as the links with sockets do, and says the same in its errors.
Durations of its settings are wall seconds, which in virtual time are scenario seconds.
"""

from __future__ import annotations

import asyncio

from fleet.errors import LinkError
from fleet.kernel.schedule import ScheduledCall, virtual_duration
from fleet.transport.client_connection import ClientConnection
from fleet.transport.client_machine import ClientLink, ClientMachine
from fleet.transport.link import BackOff, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.simulated_connection import SimulatedConnection
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.wire.frame import Frame


def simulated_links(network: SimulatedNetwork, *, username_as_client_id: bool = False) -> LinkFactory:
    """Return a factory of links to the network's broker, to a listener with or without Mosquitto's option of that name."""

    def make(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> SimulatedLink:
        return SimulatedLink(network, settings, owner, back_off, username_as_client_id)

    return make


class SimulatedLink(ClientLink):
    """One client of a simulated broker; `fleet.transport.link.Link` says what its methods promise.

    After a `drop` whatever was sent before still arrives, and only then the broker notices.
    """

    __slots__ = ("_closers", "_connection", "_timer", "_unheard_ends", "_username_as_client_id", "network")

    def __init__(
        self,
        network: SimulatedNetwork,
        settings: LinkSettings,
        owner: LinkOwner,
        back_off: BackOff,
        username_as_client_id: bool,
    ) -> None:
        """Take the way to the broker, how to connect, whom to call and how long to wait."""
        self.network = network
        self.machine = ClientMachine(self, network, settings, owner, back_off)
        self._username_as_client_id = username_as_client_id
        self._connection: SimulatedConnection | None = None  # the newest
        self._timer: ScheduledCall | None = None
        self._unheard_ends = 0  # ends that owner or broker have not heard of yet
        self._closers: list[asyncio.Future[None]] | None = None

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        """Publish `last`, disconnect and stop. While the link is down there is nobody to end the session with.

        The first step of the coroutine begins the close, and the schedule alone finishes it. Under an event loop it
        returns when the broker has heard the DISCONNECT and the owner link_down(None), provided somebody runs the
        schedule. Without one it ends with its first step: who runs the schedule calls `send(None)` and is done.
        """
        self.machine.close(end_session, last)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self.machine.is_closing or self._unheard_ends:
            over: asyncio.Future[None] = loop.create_future()
            self._closers = [*(self._closers or ()), over]
            await over

    # --- what the machine asks for

    def request_attempt(self) -> None:
        """Attempt at once: nothing limits it."""
        self.machine.attempt()

    def connect(self, number: int, settings: LinkSettings) -> ClientConnection:
        """Begin a connection."""
        connection = self._connection = SimulatedConnection(self, number, settings)
        connection.connect(self._username_as_client_id)
        return connection.machine

    def attempt_is_over(self) -> None:
        """Nothing: nobody waits for it."""

    def set_timer(self, wait_s: float | None) -> None:
        """Wake the machine after so many seconds."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait_s is not None:
            schedule = self.network.schedule
            self._timer = schedule.call_at(schedule.now + virtual_duration(wait_s), self.machine.wake)

    def tell_down(self, error: LinkError) -> None:
        """Tell the owner why the link is down."""
        self._connection = None
        self.machine.owner.link_down(error)

    def tell_down_later(self) -> None:
        """Tell the owner in a call of its own that the link is down as it wanted."""
        self._connection = None
        self._unheard_ends += 1
        schedule = self.network.schedule
        schedule.call_at(schedule.now, self._tell_down)

    def _tell_down(self) -> None:
        self.machine.owner.link_down(None)
        self.disconnect_has_arrived()

    def disconnect(self, connection: ClientConnection, *, end_session: bool) -> None:  # noqa: ARG002  there is one only
        """Send DISCONNECT. The link is free for a new connection at once: its CONNECT arrives after that."""
        parting = self._connection
        assert parting is not None
        self.machine.disconnected()
        self._unheard_ends += 1
        parting.disconnect(end_session=end_session)

    def disconnect_has_arrived(self) -> None:
        """The broker, or the owner, knows that it is over."""
        self._unheard_ends -= 1
        self.closed()

    def closed(self) -> None:
        """Let those return that wait for the close, if all is done."""
        if self._closers is None or self.machine.is_closing or self._unheard_ends:
            return
        closers, self._closers = self._closers, None
        for over in closers:
            if not over.done():
                over.set_result(None)
