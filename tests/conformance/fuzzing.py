"""Mutants against a broker, on sockets: no error, no connection without an end, bounded memory, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet.transport.faults import parse_rule
from fleet.transport.link import Endpoint
from fleet.transport.proxy import FaultProxy
from tests.conformance.mutation import Mutator, Session
from tests.conformance.wire import CLOSED, SILENT, connect, publish, text_field, wire_to

SIDE_BY_SIDE: Final = 32
ENDS_WITHIN_S: Final = 20.0
SERVED_EVERY: Final = 2_000
"""Sessions between two looks at a good client and at the memory."""
RULES: Final = (
    "drop PUBACK every 3", "duplicate PUBLISH to_broker every 2", "reorder PUBLISH to_client every 2 within 1s",
    "drop SUBSCRIBE every 5", "duplicate CONNECT every 7", "reorder PUBREL every 2 within 1s",
)  # fmt: skip
"""Faults that have the proxy look into every packet."""


class Fuzzed(msgspec.Struct):
    """How far a run came, and all that went wrong, in words."""

    sessions: int = 0
    mutants: int = 0
    served: int = 0
    answered_bytes: int = 0
    memory_mb: list[int] = []
    """Resident memory of the process, at the beginning and at each look."""
    wrong: list[str] = []


async def fuzz(endpoint: Endpoint, mutator: Mutator, mutants: int, *, proxy: FaultProxy | None = None) -> Fuzzed:
    """Send so many mutants, through the proxy when there is one; stop at the first thing that is wrong."""
    found = Fuzzed(memory_mb=[resident_mb()], wrong=[])
    numbers = itertools.count()
    target = endpoint if proxy is None else proxy.endpoint
    with _errors(found):
        while found.mutants < mutants and not found.wrong:
            for rule in RULES if proxy is not None else ():
                assert proxy is not None
                proxy.set(rule, parse_rule(rule))
            until = found.sessions + SERVED_EVERY

            async def work(until: int = until) -> None:
                while found.sessions < until and found.mutants < mutants and not found.wrong:
                    await _send(mutator.session(next(numbers)), target, found)

            async with asyncio.TaskGroup() as group:
                for number in range(SIDE_BY_SIDE):
                    group.create_task(work(), name=f"fuzzer {number}")
            for rule in RULES if proxy is not None else ():
                assert proxy is not None
                proxy.clear(rule)
            await _serve(target, found)
            found.memory_mb.append(resident_mb())
    return found


@contextlib.contextmanager
def _errors(found: Fuzzed) -> Iterator[None]:
    """Note what the event loop has to say: errors that escape from protocols, timers and tasks."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        found.wrong.append(f"{context.get('message')}: {context.get('exception')!r}")

    loop.set_exception_handler(note)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


async def _send(session: Session, endpoint: Endpoint, found: Fuzzed) -> None:
    """Write all of a session and its end, and wait for the end of the connection."""
    number = found.sessions
    found.sessions += 1
    found.mutants += session.mutants
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            for piece in session.pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            writer.write_eof()
            while data := await reader.read(1 << 16):
                found.answered_bytes += len(data)
    except TimeoutError:
        found.wrong.append(f"session {number} does not end: {b'|'.join(session.pieces).hex()}")
    except OSError:
        pass  # ended for what was sent; not all of it was read
    finally:
        writer.transport.abort()


async def _serve(endpoint: Endpoint, found: Fuzzed) -> None:
    """Have a good client subscribe, publish and hear itself."""
    topic, payload = f"good/{found.sessions}", b"served"
    async with wire_to(endpoint, ENDS_WITHIN_S) as wire:
        wire.send(connect(f"good-{found.sessions}", 5))
        wire.send(b"\x82" + bytes((len(topic) + 6,)) + b"\0\1\0" + text_field(topic) + b"\1")
        wire.send(publish(topic, payload, 1, packet_id=2, version=5))
        while isinstance(came := await wire.read(), bytes):
            if came.endswith(payload):
                found.served += 1
                return
    assert came in {CLOSED, SILENT}
    found.wrong.append(f"after {found.sessions} sessions a good client was not served: {wire.transcript}")


def resident_mb() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
