"""A back end in a process of its own that sends mails, to be killed.

`python -m tests.backend.mail.mail_process STORE PORT COUNT`: it has no broker, and is asked for so many mails when it starts, one
after the other.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fleet.backend.mail.smtp import Smtp, SmtpServer
from fleet.cloud.dispatcher import Patience
from fleet.kernel.instants import MILLISECOND
from fleet.runtime.clocks import wall_us
from fleet.wire.messages import ServiceRequest
from tests.backend.lab import running
from tests.backend.mail.servers import HOST
from tests.backend.mail.test_deliverer import Post


async def run(store: str, port: str, count: str) -> None:
    way = Smtp(SmtpServer(HOST, int(port)))
    patience = Patience(first=5 * MILLISECOND, longest=20 * MILLISECOND)
    async with running(Path(store), rules=(Post,), ways={"mail": way}, patience=patience) as lab:
        for number in range(int(count)):
            lab.ask(ServiceRequest(id=f"{wall_us()}-{number}", service="post", action="send"))
            await asyncio.sleep(0.002)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
