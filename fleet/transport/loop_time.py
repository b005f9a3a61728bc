"""The event loop's time as instants, and a timer on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.instants import SECOND, Cancellable, Instant


def loop_now() -> Instant:
    """Return the time of the running loop; its zero is anywhere."""
    return int(asyncio.get_running_loop().time() * SECOND)


def loop_timer(deadline: Callable[[], Instant | None], due: Callable[[], object], *, keeps_early: bool = False) -> DeadlineTimer:
    """Return a timer that calls `due` on the running loop at the deadline; see `DeadlineTimer`."""
    return DeadlineTimer(_call_at, deadline, due, keeps_early=keeps_early)


def _call_at(instant: Instant, callback: Callable[[], object], _not_before_s: float, _not_after_s: float) -> Cancellable:
    return asyncio.get_running_loop().call_at(instant / SECOND, callback)
