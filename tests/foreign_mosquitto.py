"""A broker that is not ours: a Mosquitto with the configuration of somebody else, line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fleet.runtime.mosquitto import find_mosquitto, free_port

STARTS_WITHIN_S = 10.0


@dataclass(frozen=True)
class ForeignMosquitto:
    """Where it listens, and what it wrote down."""

    host: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"mqtt://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def count(self, text: str) -> int:
        """Return how often a text stands in the log."""
        return self.log.read_text(encoding="utf-8").count(text)


@contextlib.asynccontextmanager
async def foreign_mosquitto(folder: Path, *lines: str, host: str = "127.0.0.1") -> AsyncIterator[ForeignMosquitto]:
    """Run a Mosquitto that lets everybody in; `lines` of its configuration follow that of its listener."""
    port = free_port(host)
    process, log = _start(folder, [f"listener {port} {host}", *lines])
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not await _accepts(host, port):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                await asyncio.sleep(0.01)
        yield ForeignMosquitto(host, port, log)
    finally:
        process.kill()
        process.wait()


def _start(folder: Path, lines: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
    """Write the configuration and run it; return the process and its log."""
    folder.mkdir(exist_ok=True)
    configuration, log = folder / "foreign.conf", folder / "foreign.log"
    head = ["log_type all", "allow_anonymous true", *(["user root"] if os.geteuid() == 0 else [])]
    configuration.write_text("\n".join((*head, *lines, "")), encoding="utf-8")
    with log.open("wb") as file:
        command = [str(find_mosquitto()), "-c", str(configuration)]
        return subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL), log


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
