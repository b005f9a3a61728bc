"""Ends a connection in good order, so that the broker surely reads the DISCONNECT."""

from __future__ import annotations

import asyncio
from typing import Final

_TLS_LINGER_S: Final = 0.5


async def disconnect_and_drain(transport: asyncio.Transport, disconnect: bytes, timeout_s: float) -> None:
    """Send the DISCONNECT, and wait until the broker has ended the connection."""
    drain = DrainProtocol()
    transport.set_protocol(drain)
    transport.write(disconnect)
    try:
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS has no half-close; Mosquitto ends the connection, and a peer that does not gets our end later
            await asyncio.wait((drain.ended,), timeout=_TLS_LINGER_S)
            transport.close()
        await asyncio.wait((drain.ended,), timeout=timeout_s)
    finally:
        transport.abort()


class DrainProtocol(asyncio.Protocol):
    """Reads and discards: closing a socket with unread bytes in it resets it, and the broker may miss the DISCONNECT."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.ended.done():
            self.ended.set_result(None)
