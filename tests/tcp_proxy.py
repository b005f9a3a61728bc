"""A TCP proxy that breaks connections as networks do: a reset in mid-flight, or silence without an end."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final, Self, cast

from fleet.transport.link import Endpoint

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: what is not sent is thrown away, and the other side gets an RST."""


class Side(asyncio.Protocol):
    """One of the two connections of a pair: what comes in goes out on the other one, unless they are silent."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.silent = False
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.proxy.sides.add(self)

    def data_received(self, data: bytes) -> None:
        if not self.silent and self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.sides.discard(self)
        if not self.silent and self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def reset(self) -> None:
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()


class Entrance(Side):
    """The side of the client; what it says before the other side is there is kept for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.early = b""
        task = asyncio.create_task(self._connect(), name="proxy connects")
        self.proxy.connecting.add(task)
        task.add_done_callback(self.proxy.connecting.discard)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            super().data_received(data)

    async def _connect(self) -> None:
        assert self.transport is not None
        target = self.proxy.target
        try:
            transport, other = await asyncio.get_running_loop().create_connection(
                lambda: Side(self.proxy), target.host, target.port
            )
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing() or transport.is_closing():
            self.transport.abort()
            transport.abort()
            return
        self.other, other.other = other, self
        transport.write(self.early)


class TcpProxy:
    """Listens on a free port of this machine and connects to the target for each client."""

    def __init__(self, target: Endpoint) -> None:
        self.target = target
        self.sides: set[Side] = set()
        self.connecting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: Entrance(self), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self.connecting:
            task.cancel()
        self.reset()
        await asyncio.sleep(0)  # the transports tell of their end

    @property
    def endpoint(self) -> Endpoint:
        """Where clients connect."""
        assert self._server is not None
        return Endpoint("127.0.0.1", self._server.sockets[0].getsockname()[1])

    def reset(self) -> None:
        """End all connections with an RST to both sides; what is on its way is lost."""
        for side in list(self.sides):
            side.reset()

    def silence(self) -> None:
        """Let nothing through any more on the connections there are, and keep them open; later ones work."""
        for side in self.sides:
            side.silent = True
