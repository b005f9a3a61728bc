"""A back end in a process of its own, to be killed: `python -m tests.backend.backend_process STORE HOST PORT`.

Its password is in the environment.

Says `ready` once it is connected, and `stored N` whenever there is more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from fleet.backend.service import Backend
from fleet.runtime.backend_configs import live_backend
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import Endpoint


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def run(store: str, host: str, port: str) -> None:
    links = aiomqtt_links(Endpoint(host, int(port)))
    backend = Backend(live_backend(Path(store), links, key=0, password=os.environ["BACKEND_PASSWORD"]))
    async with backend:
        said_ready, said = False, -1
        while True:
            if backend.connected and not said_ready:
                said_ready = True
                say("ready")
            if (stored := backend.snapshot().stored) != said:
                said = stored
                say(f"stored {stored}")
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
