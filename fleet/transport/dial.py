"""Makes the socket of a connection: name, TCP, TLS, all without blocking, with the cause of a failure in words.

Knows nothing of MQTT.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from fleet.errors import Unreachable
from fleet.transport.link import Endpoint


async def dial(endpoint: Endpoint, source_address: str = "") -> socket.socket:
    """Return a connected, non-blocking socket, with the TLS handshake done. Raises Unreachable with the cause."""
    try:
        sock = await _connected_socket(endpoint, source_address)
        return sock if endpoint.tls is None else await _with_tls(sock, endpoint.tls, endpoint.host)
    except OSError as error:
        raise Unreachable(endpoint.host, endpoint.port, in_words(error), hint=_dial_hint(error)) from error


async def _connected_socket(endpoint: Endpoint, source_address: str) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:  # an address needs no thread to look it up
        found = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )
    except socket.gaierror:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source_address:
                sock.bind((source_address, 0))
            await loop.sock_connect(sock, address)
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError("the name has no address")


async def _with_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    loop = asyncio.get_running_loop()
    wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    number = wrapped.fileno()
    try:
        while True:
            ready = loop.create_future()
            try:
                wrapped.do_handshake()
                return wrapped
            except ssl.SSLWantReadError:
                loop.add_reader(number, _resolve, ready)
            except ssl.SSLWantWriteError:
                loop.add_writer(number, _resolve, ready)
            try:
                await ready
            finally:
                loop.remove_reader(number)
                loop.remove_writer(number)
    except BaseException:
        wrapped.close()
        raise


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def in_words(error: OSError) -> str:
    """Return the cause of a failed connection for people, without numbers of errors or lines of C."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)  # asyncio puts words of its own into strerror


def _dial_hint(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Name the authority that signed the broker's certificate, and reach the broker by a name it holds."
    if isinstance(error, ssl.SSLError):
        return "Is this the broker's TLS port?"
    return ""
