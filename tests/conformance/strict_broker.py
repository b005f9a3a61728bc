"""Paho's test broker as a strict peer: it holds a client to the statements of MQTT, and logs each that is broken as an error."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.runtime.mosquitto import free_port
from fleet.transport.link import Endpoint
from tests.conformance.wire import wire_to

STARTS_WITHIN_S: Final = 20.0
_ERROR: Final = re.compile(r"^ERROR \S+ \S+ (.*)$", re.MULTILINE)
_STATEMENT: Final = re.compile(r"^INFO \S+ \S+ \[(MQTT5-[^\]]+)\]", re.MULTILINE)


@dataclass(frozen=True)
class StrictBroker:
    """Where it listens, and what it logs."""

    endpoint: Endpoint
    log: Path

    def errors(self) -> list[str]:
        """Return what clients did wrong, in its words."""
        return _ERROR.findall(self.log.read_text(encoding="utf-8"))

    def met(self) -> set[str]:
        """Return the statements of MQTT 5 that it held clients or itself to."""
        return set(_STATEMENT.findall(self.log.read_text(encoding="utf-8")))


@contextlib.asynccontextmanager
async def strict_broker(paho: Path, folder: Path) -> AsyncIterator[StrictBroker]:
    """Run it with small limits: two messages at once, and none of more than 4 096 bytes."""
    configuration, log = folder / "strict.conf", folder / "strict.log"
    broker = StrictBroker(Endpoint("127.0.0.1", free_port("127.0.0.1")), log)
    lines = ("loglevel debug", "receive_maximum 2", "maximum_packet_size 4096", f"listener {broker.endpoint.port} 127.0.0.1", "")
    configuration.write_text("\n".join(lines), encoding="utf-8")
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "startbroker.py", "-c", str(configuration), cwd=paho / "interoperability",
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not await _accepts(broker.endpoint):
                assert process.returncode is None, log.read_text(encoding="utf-8")
                await asyncio.sleep(0.05)
        yield broker
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _accepts(endpoint: Endpoint) -> bool:
    try:
        async with wire_to(endpoint):
            return True
    except OSError:
        return False
