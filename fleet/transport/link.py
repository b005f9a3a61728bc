"""The Link protocol: one durable MQTT 5 connection that keeps itself up, as its owner sees it.

A link calls its owner back and never makes it wait, so that ten thousand links need no task or future each, and
a simulated broker needs no event loop. All calls, both ways, happen on one thread. A link never blocks.

Life of a link: `open` → (link_up → … → link_down)* → `close`. While open it connects, and after every failure or
loss it tries again by full-jitter exponential back-off, telling the owner each time through `link_down`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import msgspec

from fleet.addresses import NoAddress, address_of, read_address
from fleet.errors import ConnectionLost, LinkError, PublishRefused, UsageError
from fleet.wire.frame import Frame

DEFAULT_PORT: Final = 1883
DEFAULT_TLS_PORT: Final = 8883


class ClientContexts(Protocol):
    """TLS contexts of clients, for a broker that wants a certificate of each."""

    def context(self, user: str | None) -> ssl.SSLContext:
        """Return the TLS context of a connection of that user. Raises OSError for files that cannot be used."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a broker listens; `tls` None is plain TCP.

    `server_name` is the name to ask for and to find in the broker's certificate, where that is not the host. `certificates` are
    those of clients.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    certificates: ClientContexts | None = None

    @staticmethod
    def from_url(url: str, tls: ssl.SSLContext | None = None) -> Endpoint:
        """Read `mqtt://host:1883` or `mqtts://host:8883` (the context, or the system's trust, is used for mqtts)."""
        scheme, _, rest = url.partition("://") if "://" in url else ("mqtt", "", url)
        if "@" in rest:
            raise UsageError(
                "the address of a broker holds a user or password",
                hint="Secrets come from files or the environment, not from a URL.",
            )
        if scheme.lower() not in {"mqtt", "mqtts"}:
            raise UsageError(
                f"{url!r} is not the address of a broker", hint="Write mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS."
            )
        encrypted = scheme.lower() == "mqtts"
        try:
            host, port = read_address(rest.removesuffix("/"), DEFAULT_TLS_PORT if encrypted else DEFAULT_PORT)
        except NoAddress as error:
            raise UsageError(f"{url!r} is not the address of a broker: {error}", hint=error.hint) from None
        return Endpoint(host, port, (tls or ssl.create_default_context()) if encrypted else None)

    def __str__(self) -> str:
        """Write as an address without any secret, which `from_url` reads."""
        return f"mqtt{'s' if self.tls else ''}://{address_of(self.host, self.port)}"

    def context(self, user: str | None) -> ssl.SSLContext | None:
        """Return the TLS context of a connection of that user; None for plain TCP. Raises OSError."""
        return self.certificates.context(user) if self.tls is not None and self.certificates is not None else self.tls


@dataclass(frozen=True, slots=True)
class Will:
    """The broker publishes it in the client's name when that is gone without a DISCONNECT for `delay_s` seconds."""

    frame: Frame
    delay_s: int


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How one client connects. Durations are wall seconds.

    With `clean_start` False the session is resumed; `session_expiry_s` is how long the broker keeps it, 0 ends it
    with the connection. `receive_maximum` bounds the QoS 1 messages received and not yet acknowledged. A PUBLISH without
    outcome for `acknowledge_timeout_s` ends the connection, and a new one is made: MQTT repeats nothing within one.
    """

    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keep_alive_s: int = 60
    clean_start: bool = False
    session_expiry_s: int = 3600
    receive_maximum: int = 64
    will: Will | None = None
    subscriptions: tuple[tuple[str, int], ...] = ()
    connect_timeout_s: float = 10.0
    acknowledge_timeout_s: float = 30.0
    source_address: str = ""

    def without_retain(self) -> LinkSettings:
        """Return them for a broker that retains nothing, and refuses a will that is to be."""
        if self.will is None:
            return self
        return replace(self, will=replace(self.will, frame=msgspec.structs.replace(self.will.frame, retain=False)))


class BackOff:
    """Full-jitter exponential back-off: the n-th wait is uniform in [0, min(cap, first · 2^n))."""

    __slots__ = ("_attempt", "_cap_s", "_draw", "_first_s")

    def __init__(self, draw: Callable[[], float], *, first_s: float = 1.0, cap_s: float = 30.0) -> None:
        """Take a source of draws in [0, 1), the first window and the largest one, in seconds."""
        self._draw = draw
        self._first_s = first_s
        self._cap_s = cap_s
        self._attempt = 0

    def next_s(self) -> float:
        """Return how long to wait before the next attempt, and widen the window."""
        window = min(self._cap_s, self._first_s * float(1 << min(self._attempt, 16)))
        self._attempt += 1
        return window * self._draw()

    def reset(self) -> None:
        """Start again with the first window: the connection came about."""
        self._attempt = 0


class Delivery(msgspec.Struct, frozen=True):
    """A received frame and what the link needs to acknowledge it. `connection` tells the connections of a link apart."""

    frame: Frame
    packet_id: int
    connection: int


@dataclass(slots=True)
class ConnectionEnds:
    """How often connections ended that were up: because another client took the session over, and without a word why."""

    taken_over: int = 0
    unexplained: int = 0

    def note(self, error: LinkError | None) -> None:
        """Count the cause of a link_down; None is none of these."""
        if isinstance(error, ConnectionLost):
            self.taken_over += error.taken_over is True
            self.unexplained += error.taken_over is None


class LinkOwner(Protocol):
    """A link calls its owner. These return quickly and raise nothing."""

    def link_up(self, session_present: bool) -> None:
        """The broker accepted the connection, and all subscriptions are in force."""
        ...

    def link_down(self, error: LinkError | None) -> None:
        """The connection was lost or did not come about; None after `drop` or `close`.

        Every token without an outcome is now unknown: it may have arrived. The link is already trying again.
        """
        ...

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """The broker took the frame published under `token`, or (error) definitely did not. QoS 0: it was written."""
        ...

    def link_received(self, delivery: Delivery) -> None:
        """A frame came in. At QoS 1 the broker keeps it until `Link.acknowledge`."""
        ...


class Link(Protocol):
    """One client of a broker."""

    @property
    def is_up(self) -> bool:
        """True between link_up and link_down."""
        ...

    def open(self) -> None:
        """Start connecting, and stay connected. Does nothing when already open."""
        ...

    def publish(self, frame: Frame, token: int) -> None:
        """Send; the outcome comes through `link_acknowledged` under the owner's `token`.

        Frames of one link arrive in their order. Raises ConnectionLost while the link is not up.
        """
        ...

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker it may forget the delivery; call in the order of arrival.

        Does nothing for QoS 0, and nothing for a delivery of an earlier connection: the broker sends that again.
        """
        ...

    def drop(self) -> None:
        """Cut the connection without a word, as a car does that loses coverage. `open` connects again."""
        ...

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        """Publish `last` and wait for its outcome (bounded), disconnect (the will is not sent) and stop.

        With `end_session` the broker forgets the session. Does not raise; safe to call twice.
        """
        ...


class LinkFactory(Protocol):
    """Makes links of one kind to one broker."""

    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link: ...
