"""A TCP proxy in user space that does to connections what faults say, MQTT-aware where a rule is about packets.

Without a fault it is transparent: bytes, half-closes and resets pass as they come, with TCP_NODELAY and with back-pressure
both ways. Faults may be set, changed and cleared at any time. It only moves bytes; `FaultyConnection` decides about them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import Counter
from typing import Final, Self, cast

from fleet.addresses import address_of
from fleet.errors import UsageError
from fleet.kernel.instants import Instant
from fleet.transport.dial import explain
from fleet.transport.faults import Direction, FaultControl
from fleet.transport.faulty_connection import FaultyConnection
from fleet.transport.link import Endpoint
from fleet.transport.loop_time import loop_now, loop_timer

HELD_MAX: Final = 1 << 20
"""Bytes one connection holds back one way before it stops reading."""
BACKLOG: Final = 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: what is not sent is thrown away, and the other side gets an RST."""


class FaultProxy(FaultControl):
    """Listens, and connects to the target for each client."""

    def __init__(
        self, target: Endpoint, *, host: str = "127.0.0.1", port: int = 0, listener: socket.socket | None = None, seed: int = 0
    ) -> None:
        """Take where clients are to end up, the seed of all chance, and where to listen.

        Port 0 is any free one; a `listener` is a socket that listens already.
        """
        self.connections = 0
        """How many have come."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """How many of them did not come to the target, by cause and what to do about it, in words."""
        self.target = target
        super().__init__(seed)
        self.pairs: set[_Pair] = set()
        self.dials: set[asyncio.Task[None]] = set()
        self._host = host
        self._port = port
        self._listener = listener
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen. Raises UsageError when that cannot be."""
        loop = asyncio.get_running_loop()
        where = {"host": self._host, "port": self._port} if self._listener is None else {"sock": self._listener}
        try:
            self._server = await loop.create_server(lambda: _Pair(self).client, **where, backlog=BACKLOG)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {address_of(self._host, self._port)}: {error.strerror}",
                hint="Is the address this machine's, and free?",
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and end all connections."""
        assert self._server is not None
        self._server.close()
        for dial in self.dials:
            dial.cancel()
        for pair in list(self.pairs):
            pair.reset()
        await asyncio.gather(*self.dials, return_exceptions=True)
        await asyncio.sleep(0)  # the transports tell of their end

    @property
    def failed(self) -> int:
        """How many connections did not come to the target."""
        return self.failures.total()

    @property
    def endpoint(self) -> Endpoint:
        """Where clients connect."""
        assert self._server is not None
        address = self._server.sockets[0].getsockname()
        return Endpoint(address[0], address[1])

    @property
    def is_carrying(self) -> bool:
        """Whether something is held back that will go on by itself."""
        return any(pair.faulty.is_carrying for pair in self.pairs)

    def _look(self) -> None:
        for pair in list(self.pairs):
            pair.look()


class _Pair:
    """Both connections of a client's way, and what is between them."""

    __slots__ = ("_due_at", "_timer", "broker", "client", "dial", "faulty", "proxy")

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.faulty = FaultyConnection(proxy.faults, loop_now())
        self.client = _Side(self, "to_broker")
        self.broker = _Side(self, "to_client")
        self.client.other, self.broker.other = self.broker, self.client
        self.dial: asyncio.Task[None] | None = None
        self._due_at: Instant | None = None
        self._timer = loop_timer(lambda: self._due_at, self.run)

    def begin(self, client: socket.socket) -> None:
        """The client is there: connect to the target, and let the client wait meanwhile."""
        proxy = self.proxy
        proxy.connections += 1
        proxy.pairs.add(self)
        if self.faulty.fate is not None:
            self.run()
            return
        if (error := _lack_of_files(client)) is not None:
            proxy.failures[explain(error)] += 1
            self.reset()
            return
        self.client.throttle()
        dial = self.dial = asyncio.create_task(self._dial(), name="proxy connects")
        proxy.dials.add(dial)
        dial.add_done_callback(proxy.dials.discard)

    async def _dial(self) -> None:
        target = self.proxy.target
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.broker, target.host, target.port)
        except OSError as error:
            self.proxy.failures[explain(error)] += 1
            self.reset()
            return
        self.run()

    def look(self) -> None:
        """Faults were set or cleared."""
        self.faulty.look(loop_now())
        self.run()

    def run(self) -> None:
        """Write what is due, and come back when there is more."""
        faulty, now = self.faulty, loop_now()
        if faulty.fate == "reset":
            self.reset()
            return
        due = [at for side in (self.client, self.broker) if (at := side.drain(now)) is not None]
        if self.client.said_all and self.broker.said_all:
            self.client.close()
            self.broker.close()
        self._due_at = min(due, default=None)
        self._timer.rearm()

    def reset(self) -> None:
        """End both connections with an RST."""
        self.client.reset()
        self.broker.reset()
        self.forget()

    def forget(self) -> None:
        """Nothing more is to be done."""
        self._timer.cancel()
        self.proxy.pairs.discard(self)


def _lack_of_files(client: socket.socket) -> OSError | None:
    """Return the error of a process without room for the way to the broker and for one client more.

    That client would be accepted and dropped by uvloop without a word, so it is this one that is refused and counted.
    """
    spare: list[int] = []
    try:
        spare += [os.dup(client.fileno())]
        spare += [os.dup(client.fileno())]
    except OSError as error:
        return error
    finally:
        for number in spare:
            os.close(number)
    return None


class _Side(asyncio.Protocol):
    """One of the two connections of a pair. What it reads goes in a direction, what it writes comes from the other side."""

    __slots__ = ("_pair", "_paused", "_reads", "_transport", "direction", "gone", "other", "said_all", "stream")

    other: _Side

    def __init__(self, pair: _Pair, direction: Direction) -> None:
        self.direction: Direction = direction
        self.stream = pair.faulty.stream(direction)
        self.gone = False
        self.said_all = False
        """The other side has heard the end of what this one says."""
        self._pair = pair
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._reads = True

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a pair with the client's side, or join the broker's side to it."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods
        connection = transport.get_extra_info("socket")
        # Asyncio forgets it for connections of a listener that was made elsewhere.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(0)  # uvloop then writes at once, and what does not go out holds up the reading
        pair = self._pair
        if self is pair.client:
            pair.begin(connection)
        elif self.gone or self.other.gone:
            transport.abort()
        else:
            self.other.throttle()

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on, or let the faults have them."""
        pair, transport = self._pair, self.other._transport
        faulty = pair.faulty
        if faulty.plain and transport is not None:
            transport.write(data)  # first: nobody waits while the bytes are noted
            self.stream.pass_by(data)
            return
        faulty.receive(self.direction, data, loop_now())
        self.throttle()
        pair.run()

    def eof_received(self) -> bool:
        """Pass the end of this direction on; True keeps the other one open."""
        pair = self._pair
        if pair.faulty.fate == "silent":
            return False  # nobody is told
        pair.faulty.receive_end(self.direction, loop_now())
        pair.run()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._paused = True
        self.other.throttle()

    def resume_writing(self) -> None:
        self._paused = False
        self.other.throttle()
        if not self._pair.faulty.plain:
            self._pair.run()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side as this one has ended, unless the pair is silent."""
        pair = self._pair
        self.gone = True
        self._transport = None
        if pair.faulty.fate != "silent":
            if pair.dial is not None and not pair.dial.done():
                pair.dial.cancel()
            if exc is not None:
                self.other.reset()
            else:
                self.other.close()
        if self.other.gone or self.other._transport is None:
            pair.forget()

    # --- what the pair does

    def drain(self, now: Instant) -> Instant | None:
        """Write at the other side what is due of what came in here, and its end; returns when there will be more."""
        other = self.other
        transport = other._transport
        if transport is None or transport.is_closing() or other._paused or self.said_all:
            return None
        data = self._pair.faulty.take(self.direction, now)
        if data:
            transport.write(data)
            self.throttle()
        if self.stream.is_over(now):
            self.said_all = True
            transport.write_eof()
            return None
        return self.stream.deadline() if not other._paused else None

    def throttle(self) -> None:
        """Read only while what is read can go somewhere."""
        reads = self.other._transport is not None and not self.other._paused and self.stream.held_bytes < HELD_MAX
        if self._pair.faulty.fate is not None:
            reads = True  # it goes nowhere, but the end must be heard
        transport = self._transport
        if transport is None or reads == self._reads or transport.is_closing():
            return
        self._reads = reads
        if reads:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def close(self) -> None:
        """End the connection in good order, when what is written has gone out."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def reset(self) -> None:
        """End the connection with an RST."""
        transport, self._transport = self._transport, None
        self.gone = True
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None and not transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
