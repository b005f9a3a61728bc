"""The embedded broker on sockets: listens, carries bytes between clients and the machine, and keeps its time.

Everything that is decided is decided by `EmbeddedBroker`. Runs on any event loop of asyncio; uvloop carries twice as much.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from fleet.addresses import address_of
from fleet.errors import BrokerError
from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.instants import SECOND, Cancellable, Instant
from fleet.transport.embedded_broker import EmbeddedBroker
from fleet.transport.embedded_connection import CONNECT_WITHIN_S, EmbeddedConnection, Listener

BACKLOG: Final = 4096
WRITE_BUFFER_MAX: Final = 1 << 18
"""Bytes that wait in this process for a client that does not read; what is for it then waits as messages, and is counted."""
_LINGER_S: Final = 5.0
"""How long a connection that is ended may take to send its last packets."""


@dataclass(frozen=True, slots=True)
class Port:
    """Where to listen, by which rules; `tls` None is plain TCP. Port 0 is any free one."""

    host: str
    number: int
    listener: Listener
    tls: ssl.SSLContext | None = None


class EmbeddedServer:
    """Listens on ports while it runs. `stop`, `kill`, `pause` and `resume` do to it what they do to a broker's process."""

    def __init__(self, machine: EmbeddedBroker, ports: Sequence[Port]) -> None:
        """Take who decides, and where to listen. It does not listen before `start`."""
        self.machine = machine
        self._ports = list(ports)
        self._servers: list[asyncio.Server] = []
        self._clients: set[_Client] = set()
        self._started = False
        self._is_paused = False
        self._offset = time.time_ns() // 1_000 - time.monotonic_ns() // 1_000
        self._timer = DeadlineTimer(self._call_at, machine.deadline, self._wake, keeps_early=True)

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return bool(self._servers)

    @property
    def ports(self) -> list[int]:
        """The ports it listens on, in the order in which they were given."""
        return [port.number for port in self._ports]

    def now(self) -> Instant:
        """Return the time: that of the wall when this process began, and never set back since."""
        return time.monotonic_ns() // 1_000 + self._offset

    async def start(self) -> None:
        """Listen, on the same ports as before. Does nothing while it runs. Raises BrokerError."""
        if self._servers:
            return
        try:
            for place, port in enumerate(self._ports):
                self._servers.append(await self._listen(place, port))
        except OSError as error:
            self._close_servers()
            raise BrokerError(
                f"the embedded broker cannot listen on {address_of(port.host, port.number)}: {error.strerror or error}",
                hint="Is that an address of this machine, and the port free? Choose another port.",
            ) from error
        if self._started:
            self.machine.broker.start(self.now())
        self._started = True
        self._timer.rearm()

    async def _listen(self, place: int, port: Port) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Client(self, port.listener), port.host, port.number, ssl=port.tls, backlog=BACKLOG,
            ssl_handshake_timeout=None if port.tls is None else CONNECT_WITHIN_S,
        )  # fmt: skip
        number = server.sockets[0].getsockname()[1]
        self._ports[place] = Port(port.host, number, port.listener, port.tls)
        return server

    async def stop(self) -> None:
        """End in good order: wills go out, clients are told, and what must persist is kept for `start`."""
        if not self._servers:
            return
        self.resume()
        self._close_servers()
        self.machine.broker.stop(self.now())
        self._timer.cancel()
        clients = list(self._clients)
        for client in clients:
            client.close()
        if clients:
            await asyncio.wait([asyncio.ensure_future(client.ended.wait()) for client in clients], timeout=_LINGER_S)
        self._abort_all()

    def kill(self) -> None:
        """End at once: what came since the last `stop` is lost."""
        self._close_servers()
        self._is_paused = False
        self._timer.cancel()
        self.machine.broker.kill()
        self._abort_all()

    def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    def _abort_all(self) -> None:
        for client in list(self._clients):
            client.abort()
        self._clients.clear()

    def pause(self) -> None:
        """Answer nothing, without ending: connections stay, and new ones come about."""
        self._is_paused = True
        for client in self._clients:
            client.throttle()

    def resume(self) -> None:
        """Go on."""
        if self._is_paused:
            self._is_paused = False
            for client in list(self._clients):
                client.throttle()
            self._wake()

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read."""
        return self._is_paused

    def rearm(self) -> None:
        """The deadline may have moved."""
        self._timer.rearm()

    def _wake(self) -> None:
        if not self._is_paused and self._servers:
            self.machine.wake(self.now())
            self._timer.rearm()

    def _call_at(
        self, instant: Instant, callback: Callable[[], object], _not_before_s: float, _not_after_s: float
    ) -> Cancellable:
        return asyncio.get_running_loop().call_later(max(0.0, (instant - self.now()) / SECOND), callback)

    def come(self, client: _Client) -> None:
        self._clients.add(client)

    def go(self, client: _Client) -> None:
        self._clients.discard(client)


class _Client(asyncio.Protocol):
    """The socket of one client."""

    __slots__ = ("_connection", "_is_full", "_listener", "_now", "_reads", "_server", "_transport", "ended")

    def __init__(self, server: EmbeddedServer, listener: Listener) -> None:
        self._server = server
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._connection: EmbeddedConnection | None = None
        self._is_full = False
        self._reads = True
        self.ended = asyncio.Event()

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a client."""
        self._transport = made = cast("asyncio.Transport", transport)  # uvloop's is one by its methods
        made.set_write_buffer_limits(high=WRITE_BUFFER_MAX)
        server = self._server
        if not server.is_running:
            made.abort()
            return
        server.come(self)
        self._connection = server.machine.accept(self, self._listener, _identity(made), server.now())
        server.rearm()
        self.throttle()

    def data_received(self, data: bytes) -> None:
        connection, server = self._connection, self._server
        if connection is not None and server.machine.feed(connection, data, server.now()):
            server.rearm()

    def eof_received(self) -> None:
        """The client has said all: asyncio ends the connection."""

    def pause_writing(self) -> None:
        self._is_full = True
        if self._connection is not None:
            self._connection.hold_up()
        self.throttle()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._connection is not None:
            self._connection.go_on(self._server.now())
        self.throttle()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  how it ended changes nothing
        """Tell the broker that the client is gone."""
        self._transport = None
        self.ended.set()
        self._server.go(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            self._server.machine.lost(connection, self._server.now())
            self._server.rearm()

    # --- what machine and server ask for

    def write(self, data: bytes) -> None:
        """Send, or keep until the client reads."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """End the connection once all is sent, or when that takes too long."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            asyncio.get_running_loop().call_later(_LINGER_S, self.abort)

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def throttle(self) -> None:
        """Read only from clients that read themselves, and nothing while the server is paused."""
        reads = not self._is_full and not self._server.is_paused
        transport = self._transport
        if transport is None or reads == self._reads or transport.is_closing():
            return
        self._reads = reads
        if reads:
            transport.resume_reading()
        else:
            transport.pause_reading()


def _identity(transport: asyncio.Transport) -> str | None:
    """Return the common name in the client's certificate; None without one."""
    certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
    with contextlib.suppress(KeyError, TypeError):
        for part in (certificate or {})["subject"]:
            for name, value in part:
                if name == "commonName":
                    return str(value)
    return None
