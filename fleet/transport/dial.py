"""Makes the connection of a client: name, source address, TCP, TLS, without blocking, and what is in the way in words.

Knows nothing of MQTT.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
import sys
from typing import Final

from fleet.errors import Unreachable
from fleet.transport.link import Endpoint

# Without it the kernel picks a port when `bind` is called, not knowing the destination: each source address then has
# 28 000 ports in all instead of for each destination, and finding a free one gets slow. Named from Python 3.12 on.
_BIND_WITHOUT_PORT: Final = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24 if sys.platform == "linux" else None)
_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_PORTS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})


_TLS_PORT_HINT: Final = "Is this the broker's TLS port? Without TLS its address is mqtt://HOST:PORT."
_CERTIFICATE_HINT: Final = (
    "Name the authority that signed the broker's certificate with --ca FILE, and reach the broker by a name it holds."
)
_AUTHORITY_HINT: Final = "Nobody here vouches for the broker's certificate: name the authority that signed it with --ca FILE."
_NAME_HINT: Final = "Reach the broker by a name that its certificate holds, or tell that name with --server-name."
_CERTIFICATE_HINTS: Final = {
    2: _AUTHORITY_HINT,
    9: "The broker's certificate is not valid yet: is the clock of this machine right, and that of the authority?",
    10: "The broker needs a new certificate; or the clock of this machine is wrong.",
    18: "The broker's certificate is its own authority: name that certificate itself with --ca FILE.",
    19: _AUTHORITY_HINT,
    20: _AUTHORITY_HINT,
    21: _AUTHORITY_HINT,
    23: "The authority has revoked the broker's certificate: the broker needs a new one.",
    62: _NAME_HINT,
    64: _NAME_HINT,
}
"""The remedy, by OpenSSL's verification codes (X509_V_ERR_…)."""
_OWN_CERTIFICATE: Final = "give the folder of cars' and tools' certificates with --cert-dir DIR."
_ALERT_HINTS: Final = {
    "certificate required": f"This broker wants a certificate of every client: {_OWN_CERTIFICATE}",
    "alert handshake failure": f"The broker refused the handshake: if it wants a certificate of every client, {_OWN_CERTIFICATE}",
    "alert decrypt error": "The broker does not accept this client's certificate: its authority has another key.",
    "alert unknown ca": "The broker does not know the authority that signed this client's certificate.",
    "alert certificate expired": "This client's certificate has expired: make a new one.",
    "alert certificate revoked": "This client's certificate was revoked: make a new one.",
    "alert certificate unknown": "The broker does not accept this client's certificate.",
    "alert bad certificate": "The broker does not accept this client's certificate.",
    "alert unrecognized name": "The broker has no certificate for the name by which it is reached here.",
    "wrong version number": "The other side speaks no TLS: without TLS the address is mqtt://HOST:PORT.",
}
"""The remedy, by the words of TLS alerts that clients meet."""


async def dial(endpoint: Endpoint, source_address: str = "", user: str | None = None) -> socket.socket:
    """Return a connected, non-blocking socket, with the TLS handshake of that user done. Raises Unreachable with the cause."""
    try:
        sock = await _connected_socket(endpoint, source_address)
        try:
            context = endpoint.context(user)
        except BaseException:
            sock.close()
            raise
        return sock if context is None else await _with_tls(sock, context, endpoint.server_name or endpoint.host)
    except OSError as error:
        raise _unreachable(endpoint, error) from error


async def dial_protocol(endpoint: Endpoint, source_address: str, protocol: asyncio.Protocol, user: str | None = None) -> None:
    """Connect `protocol`; its connection_made is called when TCP and TLS are there. Raises Unreachable with the cause."""
    loop = asyncio.get_running_loop()
    try:
        sock = await _connected_socket(endpoint, source_address)
        try:
            context = endpoint.context(user)
            name = None if context is None else endpoint.server_name or endpoint.host
            await loop.create_connection(lambda: protocol, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise _unreachable(endpoint, error) from error


def _unreachable(endpoint: Endpoint, error: OSError) -> Unreachable:
    cause, hint = explain(error)
    if endpoint.tls is not None and isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        hint = _TLS_PORT_HINT
    return Unreachable(endpoint.host, endpoint.port, cause, hint=hint)


async def _connected_socket(endpoint: Endpoint, source_address: str) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:  # an address needs no thread to look it up
        found = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )
    except socket.gaierror:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    left_out = 0
    if source_address:
        wanted = socket.AF_INET6 if ":" in source_address else socket.AF_INET
        there = [each for each in found if each[0] == wanted]
        if not there:
            raise _OtherKind(errno.EAFNOSUPPORT, source_address)
        left_out, found = len(found) - len(there), there
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source_address:
                _bind(sock, source_address)
            await loop.sock_connect(sock, address)
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    if failure is not None and left_out:
        raise _OneKindOnly(failure.errno, source_address) from failure
    raise failure or OSError("the name has no address")


class _NotOurAddress(OSError):
    """A source address this machine does not have."""


class _OneKindOnly(OSError):
    """The broker has addresses of both kinds, and only those of the source address's kind were tried, in vain."""


class _OtherKind(OSError):
    """A source address of IPv4 for a broker of IPv6, or the other way round."""


def _bind(sock: socket.socket, source_address: str) -> None:
    if _BIND_WITHOUT_PORT is not None and sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _BIND_WITHOUT_PORT, 1)
    try:
        sock.bind((source_address, 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL and _BIND_WITHOUT_PORT is not None:
            raise _NotOurAddress(error.errno, source_address) from None
        raise


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


def explain(error: OSError) -> tuple[str, str]:
    """Return the cause of a failure for people, and what to do about it ("" when nothing special)."""
    if isinstance(error, _NotOurAddress | _OtherKind | _OneKindOnly):
        return _of_source(error)
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}", "That file is needed for the connection."
    if error.errno in _FILES:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (
            f"this process may not have more than {limit} files and connections open",
            "Raise the limit (`ulimit -n`), or spread the clients over more processes.",
        )
    if error.errno in _PORTS:
        return (
            "no local port is left for another connection",
            "A source address has about 28 000 ports: connect from several, such as --source 127.0.1.0/28.",
        )
    return error_text(error), _hint_of_tls(error) if isinstance(error, ssl.SSLError) else ""


def _of_source(error: _NotOurAddress | _OtherKind | _OneKindOnly) -> tuple[str, str]:
    """Tell what is wrong with a source address, which stands where other errors have their words."""
    source = str(error.strerror)
    if isinstance(error, _NotOurAddress):
        return f"this machine has no address {source}", "Name source addresses of this machine, such as 127.0.1.0/28."
    if isinstance(error, _OneKindOnly):
        return os.strerror(error.errno or 0), f"From {source} only addresses of its kind are tried: leave --source out?"
    kind = "IPv6" if ":" in source else "IPv4"
    return (
        f"the source address {source} is {kind}, and the broker has no such address",
        f"Give --source an address of the broker's kind, or reach the broker by {kind}.",
    )


def _hint_of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_HINTS.get(error.verify_code, _CERTIFICATE_HINT)
    return hint_for(error_text(error)) or _TLS_PORT_HINT


def hint_for(cause: str) -> str:
    """Return what to do about a refusal that came by TLS; "" when nothing special."""
    return next((hint for words, hint in _ALERT_HINTS.items() if words in cause), "")


def error_text(error: OSError) -> str:
    """Return the cause of a failed connection for people, without numbers of errors or lines of C."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)  # asyncio puts words of its own into strerror
