"""Limits of the machine for one process: open files, source addresses, the event loop. Looked at before anything connects."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import resource
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from fleet.addresses import family_of
from fleet.errors import UsageError

GARBAGE_LOOK: Final = 100_000
"""New objects after which a process looks for cycles. What cars and messages leave behind has none, and is much: a look at
every 700th object, as is usual, was a fifth of the back end's work and a fifteenth of the simulator's."""
SPARE_FILES: Final = 64
"""Files a process needs beside its connections: store, logs, pipes, libraries."""
OPEN_FILES: Final = 65_536
"""How many a process that may have more clients than it knows beforehand asks for."""
SOURCES_MAX: Final = 4096

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def raise_open_files() -> None:
    """Let this process, and those it starts, have as many open files as it may: `ulimit -Sn` is for who knows no better."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave_no_core() -> None:
    """Let a crash leave no core file: it would hold what is in memory, S-PINs and passwords too."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def lack_of_open_files(connections: int) -> str:
    """Say in words that a process may have too few open files for so many connections; "" when there are enough."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or connections + SPARE_FILES <= limit:
        return ""
    return (
        f"{connections} connections need {connections + SPARE_FILES} open files, and a process may have {limit} here: beyond "
        "that they are refused; raise the limit (ulimit -Hn, or LimitNOFILE in a service)"
    )


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


def need_one_kind(sources: Sequence[str], host: str) -> None:
    """Raise UsageError when source addresses and the broker's address are of different kinds: one cannot reach the other."""
    wanted, own = family_of(host), family_of(sources[0]) if sources else None
    if wanted is not None and own is not None and wanted != own:
        raise UsageError(
            f"--source {sources[0]} is an address of IPv{own}, and the broker {host} has one of IPv{wanted}",
            hint=f"Give --source addresses of IPv{wanted}, or reach the broker by IPv{own}.",
        )


def look_for_garbage_rarely() -> None:
    """Leave what there is now out of all looks for cycles, and look rarely; call when what lives long has been built."""
    gc.freeze()
    gc.set_threshold(GARBAGE_LOOK)


def run_fast(main: Coroutine[Any, Any, T], *, fast: bool = True) -> T:
    """Run as asyncio.run does, on uvloop where it is wanted and there."""
    with asyncio.Runner(loop_factory=_uvloop() if fast else None) as runner:
        return runner.run(main)


def fast_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop: uvloop's where it is there."""
    return (_uvloop() or asyncio.new_event_loop)()


def _uvloop() -> LoopFactory | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  only processes that carry masses pay for loading it

    return uvloop.new_event_loop
