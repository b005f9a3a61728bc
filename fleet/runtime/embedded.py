"""The embedded broker with the users and rights of a fleet: needs no program beside Python.

Has what the private Mosquitto has: two listeners, passwords that follow from the fleet's secret, the access control of `broker/`.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from fleet.errors import BrokerError
from fleet.runtime.broker_acl import acl_text
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded_state import read_state, write_state
from fleet.runtime.limits import fast_loop, look_for_garbage_rarely
from fleet.runtime.mosquitto import TOOL_USERS, BrokerCertificates, free_port
from fleet.transport.embedded_broker import EMBEDDED_LIMITS, EmbeddedBroker
from fleet.transport.embedded_connection import Listener
from fleet.transport.embedded_server import EmbeddedServer, Port
from fleet.transport.link import Endpoint
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.wire.dialect import TopicAccess
from fleet.wire.topics import DEFAULT_PREFIX, checked_prefix

EMBEDDED_STATE: Final = "sessions"
"""The name of the file in a broker's folder in which sessions outlive a stop."""
_THREAD_TIMEOUT_S: Final = 15.0
_RESTART_S: Final = 0.1
"""A start after an end takes so long, as that of a process does: clients notice the end before they find the broker again."""


@dataclass(kw_only=True)
class EmbeddedOptions:
    """The users that may connect, and where, as `PrivateMosquitto` takes them. With `anonymous` anybody may, and do anything.

    `users` may grow while the broker runs; `topics` are those of a dialect that has its own.
    """

    secret: FleetSecret = field(default_factory=FleetSecret.new)
    users: set[str] = field(default_factory=set)
    prefix: str = DEFAULT_PREFIX
    any_prefix: bool = False
    topics: TopicAccess | None = None
    listen: str = "127.0.0.1"
    cars_port: int = 0
    tools_port: int = 0
    anonymous: bool = False
    certificates: BrokerCertificates | None = None

    def admits(self, user: str | None, password: str | None) -> bool:
        """Return whether user name and password are those of a car or a tool."""
        if user is None or password is None or (user not in self.users and user not in TOOL_USERS):
            return False
        return hmac.compare_digest(password.encode(), self.secret.password_for(user).encode())

    def access(self) -> AccessControl:
        """Return who may do what, as `broker/acl` has it for this topic prefix."""
        prefix = checked_prefix(self.prefix)
        if self.any_prefix:
            prefix = prefix.rpartition("/")[0] + "/+"
        return AccessControl.parse(acl_text(prefix, self.topics))

    def server(self) -> EmbeddedServer:
        """Return the broker, which does not listen yet. Raises BrokerError for certificates that cannot be used."""
        machine = SimulatedBroker(
            access=None if self.anonymous else self.access(),
            admits=None if self.anonymous else self.admits,
            limits=EMBEDDED_LIMITS,
            new_client_id=_new_client_id,
        )
        cars = Listener(
            username_as_client_id=not self.anonymous,
            identity_as_username=self.certificates is not None and self.certificates.clients is not None,
        )
        ports = [
            Port(self.listen, self.cars_port or free_port(self.listen), cars, _server_tls(self.certificates)),
            Port(self.listen, self.tools_port or free_port(self.listen), Listener()),
        ]
        return EmbeddedServer(EmbeddedBroker(machine), ports)


def _new_client_id() -> str:
    return f"auto-{secrets.token_hex(8)}"


def _server_tls(files: BrokerCertificates | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(files.certificate, files.key)
        if files.clients is not None:
            context.load_verify_locations(files.clients)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(
            f"the certificate of the embedded broker cannot be used: {error}",
            hint=f"Do {files.certificate} and {files.key} exist, and belong together?",
        ) from error
    return context


class EmbeddedThread:
    """An embedded broker in a thread of its own, which has its own event loop: whoever blocks another does not block it.

    After `stop` or `kill`, `start` runs it again on the same ports, with what was kept at the last `stop`.
    """

    def __init__(self, options: EmbeddedOptions) -> None:
        """Nothing runs before `start`, or `async with`."""
        self._options = options
        self._server: EmbeddedServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._has_ended = False

    @property
    def cars(self) -> Endpoint:
        """Where cars connect: the client id is the user name."""
        return Endpoint(reachable(self._options.listen), self._known().ports[0])

    @property
    def tools(self) -> Endpoint:
        """Where backend, desk and tool connect."""
        return Endpoint(reachable(self._options.listen), self._known().ports[1])

    @property
    def pid(self) -> int | None:
        """The process it runs in, this one; None while it does not."""
        return os.getpid() if self._server is not None and self._server.is_running else None

    def _known(self) -> EmbeddedServer:
        if self._server is None:
            raise BrokerError("the embedded broker was not started")
        return self._server

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self.discard()

    async def start(self) -> None:
        """Listen. Does nothing while it runs. Raises BrokerError."""
        if self._server is None:
            self._server = self._options.server()
        if self._thread is None:
            self._loop = fast_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="embedded broker", daemon=True)
            self._thread.start()
        if self._has_ended and not self._server.is_running:
            await asyncio.sleep(_RESTART_S)
        self._run(self._server.start())
        self._has_ended = False

    async def admit(self, vins: Iterable[str]) -> None:
        """Let further cars in."""
        self._options.users.update(vins)

    async def stop(self) -> None:
        """End it in good order. Safe to call twice."""
        if self._server is not None and self._thread is not None:
            self._run(self._server.stop())
            self._has_ended = True

    def kill(self) -> None:
        """End it at once: what came since the last `stop` is lost."""
        if self._thread is not None:
            self._run(_called(self._known().kill))
            self._has_ended = True

    def pause(self) -> None:
        """Let it answer nothing, without ending it."""
        self._run(_called(self._known().pause))

    def resume(self) -> None:
        """Let it go on."""
        self._run(_called(self._known().resume))

    def discard(self) -> None:
        """End it and its thread."""
        self.kill()
        thread, loop = self._thread, self._loop
        self._thread = self._loop = None
        if thread is not None and loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_THREAD_TIMEOUT_S)
            loop.close()

    def _run(self, work: Any) -> None:
        """Do it on the broker's loop, and wait for it: it takes a few milliseconds."""
        assert self._loop is not None, "the thread runs"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_THREAD_TIMEOUT_S)


async def _called(function: Callable[[], None]) -> None:
    function()


def reachable(listen: str) -> str:
    """Return where a broker is reached that listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104  it is read, not bound


async def run_embedded(
    options: EmbeddedOptions,
    *,
    stop: asyncio.Event,
    started: Callable[[Endpoint, Endpoint], None],
    state: Path | None = None,
) -> EmbeddedServer:
    """Run an embedded broker in this process until `stop`, and return it. Raises BrokerError.

    `state` is the file in which sessions outlive a stop.
    """
    server = options.server()
    if state is not None:
        read_state(state, server.machine.broker, server.now())
    await server.start()
    look_for_garbage_rarely()
    host = reachable(options.listen)
    cars, tools = (Endpoint(host, port) for port in server.ports)
    started(cars, tools)
    await stop.wait()
    await server.stop()
    if state is not None:
        write_state(state, server.machine.broker)
    return server
