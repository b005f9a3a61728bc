"""The configuration of back ends as the runtime assembles them: beside a real broker, or on a schedule.

Callers change single settings by `dataclasses.replace`. Simulated users protect nothing by their S-PINs, so hashing is quick
and the pepper is known, unless the caller brings others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from fleet.backend.announced_clock import ClockFactory
from fleet.backend.config import BackendConfig
from fleet.backend.echo import Echo
from fleet.backend.passwords import LEAST
from fleet.backend.spin import SpinCost
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.write_buffer import BUFFERED
from fleet.cloud.people.tokens import LENGTH, PREFIX
from fleet.kernel.draws import Draws
from fleet.kernel.instants import Clock, Instant
from fleet.kernel.schedule import Schedule
from fleet.runtime.clocks import ScaledClock, VirtualClock, wall_us
from fleet.runtime.dialects import open_dialect
from fleet.transport.link import LinkFactory

SIMULATED_PEPPER: Final = b"simulated users keep no secrets"
SIMULATED_SPIN_COST: Final = SpinCost(n=2, r=1, p=1)


def live_backend(store: Path, links: LinkFactory, *, key: int, password: str | None, clock: Clock | None = None) -> BackendConfig:
    """Return the configuration of a back end in wall time; `key` draws its back-off.

    `clock` is the scenario time from the beginning on; without one the back end waits until scenario time is announced.
    """
    return BackendConfig(
        store=store,
        links=links,
        pepper=SIMULATED_PEPPER,
        make_clock=ScaledClock if clock is None else _always(clock),
        wall_us=wall_us,
        draw=Draws(key, "back-off").unit,
        dialect=open_dialect(),
        fresh=_unpredictable,
        clock_is_known=clock is not None,
        spin_cost=SIMULATED_SPIN_COST,
        password_cost=LEAST,
        password=password,
        echo=Echo,
    )


def virtual_backend(
    store: Path, links: LinkFactory, schedule: Schedule, *, key: int, clock: Clock | None = None
) -> BackendConfig:
    """Return the configuration of a back end whose wall time is the schedule's; otherwise as `live_backend`.

    Its network is simulated, where no connection stalls, and nobody reads its store before the end.
    """
    return BackendConfig(
        store=store,
        links=links,
        pepper=SIMULATED_PEPPER,
        make_clock=partial(VirtualClock, schedule) if clock is None else _always(clock),
        wall_us=lambda: schedule.now,
        draw=Draws(key, "back-off").unit,
        dialect=open_dialect(),
        fresh=_drawn(Draws(key, "fresh words")),
        clock_is_known=clock is not None,
        spin_cost=SIMULATED_SPIN_COST,
        password_cost=LEAST,
        open_store=partial(SqliteStore, policy=BUFFERED),
    )


def _unpredictable() -> str:
    """Return a token that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(LENGTH * 3 // 4)


def _drawn(draws: Draws) -> Callable[[], str]:
    """Return what makes tokens that are the same in each run of one seed, for people who are simulated."""
    return lambda: PREFIX + f"{draws.bits():016x}{draws.bits():016x}"[:LENGTH]


def _always(clock: Clock) -> ClockFactory:
    """Return a factory that takes no announcement: the clock is known, and moved by its owner."""

    def make(start: Instant, *, factor: float, epoch_wall_us: int | None) -> Clock:  # noqa: ARG001
        return clock

    return make
