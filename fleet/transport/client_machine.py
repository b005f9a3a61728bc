"""A client that stays connected to a broker, as a pure machine: under swarm links and simulated ones alike.

It attempts, and after each failure or loss waits by its back-off and attempts again; it closes in good order. Knows neither
sockets nor a clock: it asks its driver for one timer, in seconds from then, and for connections. What happens in a connection
decides `ClientConnection`. A driver performs at once what it is asked for, and calls back later.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol

from fleet.errors import ConnectRefused, LinkError
from fleet.transport.client_connection import BrokerSite, ClientConnection
from fleet.transport.leftovers import Leftovers
from fleet.transport.link import BackOff, Delivery, LinkOwner, LinkSettings
from fleet.transport.reasons import RETAIN_NOT_SUPPORTED, not_connected, timed_out
from fleet.wire.frame import Frame

CLOSE_TIMEOUT_S: Final = 5.0
"""How long a close waits for the outcome of the final publish, and again for the end of the connection."""


class ClientSite(BrokerSite, Protocol):
    """One broker, as all links to it know it."""

    retains: bool
    """Until the broker refuses a will because it retains nothing."""


class ClientDriver(Protocol):
    """Performs for a client machine."""

    def request_attempt(self) -> None:
        """Call `attempt` at once, or as soon as the limits of connecting allow; `drop` withdraws it."""
        ...

    def connect(self, number: int, settings: LinkSettings) -> ClientConnection:
        """Begin a connection with the CONNECT of these settings."""
        ...

    def attempt_is_over(self) -> None:
        """Let others connect: the attempt has succeeded, failed or is no longer wanted."""
        ...

    def set_timer(self, wait_s: float | None) -> None:
        """Call `wake` after so many seconds (None: not at all) instead of when it was asked for before."""
        ...

    def tell_down(self, error: LinkError) -> None:
        """Call the owner's link_down."""
        ...

    def tell_down_later(self) -> None:
        """Call the owner's link_down(None) soon, but not within this call."""
        ...

    def disconnect(self, connection: ClientConnection, *, end_session: bool) -> None:
        """Send DISCONNECT on a connection that was left, and call `disconnected` at once or when the broker has ended it."""
        ...

    def closed(self) -> None:
        """A close needs no DISCONNECT any more: the connection was lost or dropped before."""
        ...


class ClientState(enum.Enum):
    """Where a client is in its life."""

    IDLE = enum.auto()
    """Not open."""
    TRYING = enum.auto()
    """Waits for its turn to connect, or connects."""
    UP = enum.auto()
    PARTING = enum.auto()
    """Disconnects."""
    BETWEEN = enum.auto()
    """Tells its owner that an attempt failed or the connection was lost."""
    WAITING = enum.auto()
    """Backs off."""


_IDLE, _TRYING, _UP, _PARTING = ClientState.IDLE, ClientState.TRYING, ClientState.UP, ClientState.PARTING


class ClientMachine:
    """One client of a broker, from `open` to `close` and again; `fleet.transport.link.Link` says what these promise."""

    __slots__ = (
        "_back_off", "_connections", "_driver", "_end_session", "_leaving", "connection", "leftovers", "owner", "settings",
        "site", "state", "subscribed", "unreleased",
    )  # fmt: skip

    def __init__(
        self, driver: ClientDriver, site: ClientSite, settings: LinkSettings, owner: LinkOwner, back_off: BackOff
    ) -> None:
        """Take who performs, where the broker is, how to connect, whom to call and how long to wait."""
        self.site = site
        self.settings = settings
        self.owner = owner
        self.subscribed = False
        self.leftovers: Leftovers | None = None
        self.unreleased: set[int] | None = None
        self.state = _IDLE
        self.connection: ClientConnection | None = None
        self._driver = driver
        self._back_off = back_off
        self._connections = 0
        self._leaving = False  # waits for the outcome of the final publish
        self._end_session = False

    # --- what the owner wants

    def open(self) -> None:
        """Start connecting, and stay connected. Does nothing when already open."""
        if self.state is _IDLE:
            self.state = _TRYING
            self._driver.request_attempt()

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge what came on this connection; what came on an earlier one the broker sends again."""
        connection, qos = self.connection, delivery.frame.qos
        if qos and connection is not None and connection.up and connection.number == delivery.connection:
            connection.acknowledge(delivery.packet_id, qos)

    def drop(self) -> None:
        """Cut the connection without a DISCONNECT, and stop."""
        state, self.state = self.state, _IDLE
        leaving, self._leaving = self._leaving, False
        self._driver.set_timer(None)
        connection, self.connection = self.connection, None
        if state is _TRYING or state is _UP or state is _PARTING:
            self._driver.attempt_is_over()
            self._driver.tell_down_later()
        if connection is not None:
            connection.abort()
        if leaving:
            self._driver.closed()

    def close(self, end_session: bool, final: Frame | None) -> None:
        """Publish the final frame and wait for its outcome, disconnect and stop. While the link is down there is only to stop."""
        if self._leaving or self.state is _PARTING:
            return
        connection = self.connection
        if self.state is not _UP or connection is None:
            self.drop()
            return
        self._end_session = end_session
        if final is None:
            self._disconnect()
            return
        self._leaving = True
        self._driver.set_timer(CLOSE_TIMEOUT_S)
        connection.publish(final, None)

    @property
    def is_closing(self) -> bool:
        """Whether a close has begun and is not over."""
        return self._leaving or self.state is _PARTING

    def _disconnect(self) -> None:
        connection, self.connection = self.connection, None
        assert connection is not None
        self._leaving = False
        self._driver.set_timer(None)
        self.state = _PARTING
        self._driver.disconnect(connection, end_session=self._end_session)

    # --- what the driver tells

    def attempt(self) -> None:
        """Connect, as was requested."""
        self.state = _TRYING
        self._connections += 1
        settings = self.settings
        self._driver.set_timer(settings.connect_timeout_s)
        self.connection = self._driver.connect(self._connections, settings if self.site.retains else settings.without_retain())

    def attempt_failed(self, error: LinkError) -> None:
        """The network did not let it come to a connection."""
        if self.connection is not None and self.state is _TRYING:
            self.connection.finish(error)

    def wake(self) -> None:
        """The time that the driver was asked for is over."""
        match self.state:
            case ClientState.WAITING:
                self.state = _TRYING
                self._driver.request_attempt()
            case ClientState.TRYING:
                endpoint = self.site.endpoint
                is_connected = self.connection is not None and self.connection.is_open
                self.attempt_failed(
                    timed_out(endpoint.host, endpoint.port, self.settings.connect_timeout_s, connected=is_connected)
                )
            case ClientState.UP if self._leaving:
                self._disconnect()
            case _:
                pass

    def disconnected(self) -> None:
        """The broker has ended the connection after the DISCONNECT, or has been given the time to."""
        if self.state is _PARTING:
            self.drop()

    # --- what the connection tells

    def came_up(self, session_present: bool) -> None:
        """The connection is in force."""
        self._driver.set_timer(None)
        self._driver.attempt_is_over()
        self.state = _UP
        self.subscribed = True
        self._back_off.reset()
        self.owner.link_up(session_present)

    def ended(self, connection: ClientConnection, error: LinkError) -> None:
        """The connection did not come about or was lost: tell the owner, and try again unless that is not wanted."""
        if connection is not self.connection:
            return
        self.connection = None
        self._driver.set_timer(None)
        if self.state is _TRYING:
            self._driver.attempt_is_over()
        if self._retains_nothing(connection, error):
            self.site.retains = False
            self._driver.request_attempt()
            return
        self.state = ClientState.BETWEEN
        self._driver.tell_down(error)
        if self.state is not ClientState.BETWEEN:
            return
        if self._leaving:
            self._leaving = False
            self.state = _IDLE
            self._driver.closed()
        else:
            self.state = ClientState.WAITING
            self._driver.set_timer(self._back_off.next_s())

    def final_publish_is_over(self) -> None:
        """The final publish has its outcome."""
        if self._leaving:
            self._disconnect()

    @staticmethod
    def _retains_nothing(connection: ClientConnection, error: LinkError) -> bool:
        """Return whether the broker refused a will that was to be retained, and takes it otherwise."""
        will = connection.settings.will
        return isinstance(error, ConnectRefused) and error.code == RETAIN_NOT_SUPPORTED and will is not None and will.frame.retain


class ClientLink:
    """The part of a `Link` that its machine answers alone; a driver inherits it, and adds `close`."""

    __slots__ = ("machine",)

    machine: ClientMachine

    @property
    def is_up(self) -> bool:
        """True between link_up and link_down."""
        return self.machine.state is _UP

    def open(self) -> None:
        """Start connecting, and stay connected."""
        self.machine.open()

    def publish(self, frame: Frame, token: int) -> None:
        """Send; the outcome comes through `link_acknowledged`. Raises ConnectionLost while the link is not up."""
        connection = self.machine.connection
        if connection is None or not connection.up:
            raise not_connected(self.machine.settings.client_id)
        connection.publish(frame, token)

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker it may forget the delivery."""
        self.machine.acknowledge(delivery)

    def drop(self) -> None:
        """Cut the connection without a DISCONNECT. `is_up` is false at once, link_down(None) follows in a call of its own."""
        self.machine.drop()
