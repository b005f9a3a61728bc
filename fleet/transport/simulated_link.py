"""`Link` in virtual time: no socket, no task, no bytes. Frames go to a simulated broker as they are, by a schedule.

It connects, backs off, subscribes, numbers and waits as the links with sockets do, and says the same in its errors.
Durations of its settings are wall seconds, which in virtual time are scenario seconds. Two faults are made by hand:
`cut` and `fall_silent`; those of the broker's process are methods of `SimulatedNetwork`.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from typing import Final

from fleet.errors import ConnectionLost, LinkError
from fleet.kernel.schedule import ScheduledCall, virtual_duration
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import BackOff, Delivery, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.reasons import timed_out
from fleet.transport.simulated_connection import SimulatedConnection
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.wire.frame import Frame

CLOSE_TIMEOUT_S: Final = 5.0
"""How long `close` waits for the outcome of the last frame."""


def simulated_links(network: SimulatedNetwork, *, username_as_client_id: bool = False) -> LinkFactory:
    """Return a factory of links to the network's broker, to a listener with or without Mosquitto's option of that name."""

    def make(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> SimulatedLink:
        return SimulatedLink(network, settings, owner, back_off, username_as_client_id)

    return make


class _State(enum.Enum):
    """Where a link is in its life."""

    IDLE = enum.auto()
    """Not open."""
    TRYING = enum.auto()
    UP = enum.auto()
    BETWEEN = enum.auto()
    """Tells its owner that an attempt failed or the connection was lost."""
    WAITING = enum.auto()
    """Backs off."""


_UP: Final = _State.UP


class SimulatedLink:
    """One client of a simulated broker; `fleet.transport.link.Link` says what its methods promise."""

    __slots__ = (
        "_back_off",
        "_closers",
        "_connection",
        "_connections",
        "_end_session",
        "_leaving",
        "_state",
        "_timer",
        "_unsaid",
        "_username_as_client_id",
        "leftovers",
        "network",
        "owner",
        "settings",
        "subscribed",
    )

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
        self.settings = settings
        self.owner = owner
        self.subscribed = False  # whether all our subscriptions are in the session
        self.leftovers: Leftovers | None = None  # of a session that we found and have not made
        self._back_off = back_off
        self._username_as_client_id = username_as_client_id
        self._state = _State.IDLE
        self._connection: SimulatedConnection | None = None
        self._connections = 0
        self._timer: ScheduledCall | None = None  # the end of an attempt, of a wait or of a final publish: never two of them
        self._leaving = False  # waits for the outcome of the final publish
        self._end_session = False
        self._unsaid = 0  # ends that owner or broker have not heard of yet
        self._closers: list[asyncio.Future[None]] | None = None

    @property
    def is_up(self) -> bool:
        """True between link_up and link_down."""
        return self._state is _UP

    def open(self) -> None:
        """Start connecting, and stay connected."""
        if self._state is _State.IDLE:
            self._attempt()

    def publish(self, frame: Frame, token: int) -> None:
        """Send; the outcome comes through `link_acknowledged`. Raises ConnectionLost while the link is not up."""
        connection = self._connection
        if self._state is not _UP or connection is None:
            raise ConnectionLost(f"{self.settings.client_id!r} is not connected", hint="Publish after link_up.")
        connection.publish(frame, token)

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker it may forget the delivery."""
        connection = self._connection
        if delivery.frame.qos and connection is not None and connection.up and connection.number == delivery.connection:
            connection.acknowledge(delivery.packet_id)

    def drop(self) -> None:
        """Cut the connection without a word. `is_up` is false at once, link_down(None) follows by the schedule.

        What was sent before still arrives, and after it the broker notices.
        """
        connection = self._let_go()
        if connection is not None:
            connection.abort()

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        """Publish `last`, disconnect and stop. While the link is down there is nobody to end the session with.

        The first step of the coroutine begins the close, and the schedule alone finishes it. Under an event loop it
        returns when the broker has been told and the owner has heard link_down(None), provided somebody runs the
        schedule. Without one it ends with its first step: who runs the schedule calls `send(None)` and is done.
        """
        self._begin_close(end_session, last)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._leaving or self._unsaid:
            over: asyncio.Future[None] = loop.create_future()
            self._closers = [*(self._closers or ()), over]
            await over

    # --- faults

    def cut(self) -> None:
        """Break the connection, so that both ends notice now; what is on its way, either way, is lost."""
        connection = self._connection
        if connection is not None:
            connection.break_off()
            self.network.lost(connection)
            connection.end("the connection was cut")

    def fall_silent(self) -> None:
        """Let nothing pass any more: a half-open connection, of which each end knows only after the keep-alive.

        What is on its way is lost. A `drop` after it, as of a car that knows, is not noticed by the broker either.
        """
        connection = self._connection
        if connection is not None:
            connection.break_off()
            connection.suspend_inbound()
            self.network.silent(connection)

    # --- coming up

    def _attempt(self) -> None:
        self._state = _State.TRYING
        self._connections += 1
        self._set_timer(self.settings.connect_timeout_s, self._timed_out)
        connection = self._connection = SimulatedConnection(self, self._connections)
        connection.connect(self._username_as_client_id)

    def _timed_out(self) -> None:
        endpoint = self.network.endpoint
        connection = self._connection
        assert connection is not None
        connection.finish(timed_out(endpoint.host, endpoint.port, self.settings.connect_timeout_s, connected=True))

    def came_up(self, session_present: bool) -> None:
        """The connection is in force."""
        self._cancel_timer()
        self._state = _UP
        self._back_off.reset()
        self.owner.link_up(session_present)

    def ended(self, error: LinkError) -> None:
        """The connection did not come about or was lost: tell the owner, and try again unless that is not wanted."""
        self._connection = None
        self._cancel_timer()
        self._state = _State.BETWEEN
        self.owner.link_down(error)
        if self._state is not _State.BETWEEN:
            return
        if self._leaving:
            self._leaving = False
            self._state = _State.IDLE
            self._look_whether_closed()
        else:
            self._state = _State.WAITING
            self._set_timer(self._back_off.next_s(), self._attempt)

    def _set_timer(self, wait_s: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        schedule = self.network.schedule
        self._timer = schedule.call_at(schedule.now + virtual_duration(wait_s), callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- the end

    def _begin_close(self, end_session: bool, last: Frame | None) -> None:
        connection = self._connection
        if self._leaving:
            return
        if self._state is not _UP or connection is None:
            self.drop()
            return
        self._end_session = end_session
        if last is None:
            self.final_publish_is_over()
            return
        self._leaving = True
        self._set_timer(CLOSE_TIMEOUT_S, self.final_publish_is_over)
        connection.publish(last, None)

    def final_publish_is_over(self) -> None:
        """Send DISCONNECT: the last frame has its outcome, or has waited for it long enough."""
        connection = self._let_go()
        if connection is not None:
            self._unsaid += 1
            connection.disconnect(self._end_session)

    def _let_go(self) -> SimulatedConnection | None:
        """Stop, whatever the link is about; return the connection if there is one."""
        state, self._state = self._state, _State.IDLE
        self._leaving = False
        self._cancel_timer()
        connection, self._connection = self._connection, None
        if state is _State.TRYING or state is _UP:
            self._unsaid += 1
            schedule = self.network.schedule
            schedule.call_at(schedule.now, self._tell_down)
        return connection

    def _tell_down(self) -> None:
        self.owner.link_down(None)
        self.disconnect_is_over()

    def disconnect_is_over(self) -> None:
        """The owner, or the broker, knows that it is over."""
        self._unsaid -= 1
        self._look_whether_closed()

    def _look_whether_closed(self) -> None:
        if self._closers is None or self._leaving or self._unsaid:
            return
        closers, self._closers = self._closers, None
        for over in closers:
            if not over.done():
                over.set_result(None)
