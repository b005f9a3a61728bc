"""What suites run against: a broker that lets everybody in, alone or behind a proxy without faults."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from fleet.runtime.embedded import EmbeddedOptions
from fleet.runtime.mosquitto import find_mosquitto
from fleet.transport.link import Endpoint
from fleet.transport.proxy import FaultProxy
from tests.foreign_mosquitto import foreign_mosquitto

Target = Callable[[], AbstractAsyncContextManager[Endpoint]]
"""Starts a broker that nobody has used, and says where it listens."""


@contextlib.asynccontextmanager
async def mosquitto() -> AsyncIterator[Endpoint]:
    """The installed Mosquitto, as it comes but for the log."""
    with tempfile.TemporaryDirectory(prefix="fleet-conformance-") as folder:
        async with foreign_mosquitto(Path(folder)) as broker:
            yield Endpoint(broker.host, broker.port)


@contextlib.asynccontextmanager
async def embedded() -> AsyncIterator[Endpoint]:
    """The embedded broker, in this process."""
    server = EmbeddedOptions(anonymous=True).server()
    await server.start()
    try:
        yield Endpoint("127.0.0.1", server.ports[0])
    finally:
        await server.stop()


def mosquitto_version() -> str:
    """Return the version of the installed Mosquitto, such as 2.0.11. Raises UsageError where there is none."""
    run = subprocess.run([str(find_mosquitto()), "-h"], capture_output=True, text=True, check=False)
    return run.stdout.split(maxsplit=3)[2] if run.stdout.startswith("mosquitto version ") else "unknown"


def proxied(target: Target) -> Target:
    """Return the same broker behind a proxy of ours."""

    @contextlib.asynccontextmanager
    async def through() -> AsyncIterator[Endpoint]:
        async with target() as endpoint, FaultProxy(endpoint) as proxy:
            yield proxy.endpoint

    return through


TARGETS: Final[Mapping[str, Target]] = {"mosquitto": mosquitto, "embedded": embedded}
LINK: Final = "swarm link"
"""Under test instead of a broker."""
