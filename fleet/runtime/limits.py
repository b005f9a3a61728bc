"""What the machine allows one process: open files, source addresses, the event loop. Looked at before anything connects."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from fleet.errors import UsageError

GARBAGE_LOOK: Final = 100_000
"""New objects after which a process looks for cycles. What cars and messages leave behind has none, and is much: a look at
every 700th object, as is usual, was a fifth of the back end's work and a fifteenth of the simulator's."""
SPARE_FILES: Final = 64
"""Files a process needs beside its connections: store, logs, pipes, libraries."""
SOURCES_MAX: Final = 4096

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def need_open_files(connections: int) -> None:
    """Raise the limit of open files as far as needed and allowed; raises UsageError when that is not far enough."""
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        if allowed < needed:
            raise UsageError(
                f"{connections} connections need {needed} open files, and this process may have {hard}",
                hint=f"Raise the limit (ulimit -Hn {needed}, or LimitNOFILE in a service), or use at most "
                f"{max(0, hard - SPARE_FILES)} cars in one process.",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def source_addresses(network: str | None) -> tuple[str, ...]:
    """Return the addresses of `--source`, such as 127.0.1.0/28 or one address; none for None. Raises UsageError.

    Each address has its own 28 000 or so ports; all must belong to this machine.
    """
    if network is None:
        return ()
    try:
        parsed = ipaddress.ip_network(network, strict=False)
    except ValueError as error:
        raise UsageError(f"--source {network!r}: {error}", hint="Write an address or a network, such as 127.0.1.0/28.") from None
    if parsed.num_addresses > SOURCES_MAX:
        raise UsageError(f"--source {network!r} has {parsed.num_addresses} addresses", hint=f"At most {SOURCES_MAX} are used.")
    return tuple(map(str, parsed.hosts()))


def look_for_garbage_rarely() -> None:
    """Leave what there is now out of all looks for cycles, and look rarely; call when what lives long has been built."""
    gc.freeze()
    gc.set_threshold(GARBAGE_LOOK)


def run_fast(main: Coroutine[Any, Any, T], *, fast: bool = True) -> T:
    """Run as asyncio.run does, on uvloop where it is wanted and there."""
    with asyncio.Runner(loop_factory=_uvloop() if fast else None) as runner:
        return runner.run(main)


def _uvloop() -> LoopFactory | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  only processes that carry masses pay for loading it

    return uvloop.new_event_loop
