"""Finder beside real cars: each test has its own topics on the broker, and its own store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from finder.service import Finder
from finder.store import Store

from fleet.harness import FaultProxy, HarnessBroker, World


@pytest.fixture
async def network(fleet_broker: HarnessBroker) -> AsyncIterator[FaultProxy]:
    """The network between Finder and the broker; perfect unless a test sets a fault."""
    async with FaultProxy(fleet_broker.endpoint) as proxy:
        yield proxy


@pytest.fixture
async def finder(fleet: World, fleet_broker: HarnessBroker, network: FaultProxy, tmp_path: Path) -> AsyncIterator[Finder]:
    """Finder, connected. Its clock is the cars' clock, so that a command grows old when the test says so."""
    store = Store(tmp_path / "finder.sqlite", patience_s=0.1)
    finder = Finder(
        store,
        host=network.endpoint.host,
        port=network.endpoint.port,
        login=fleet_broker.login("backend"),
        prefix=fleet.prefix,
        client_id=f"finder {fleet.prefix}",
        now_us=lambda: fleet.now,
        reconnect_s=0.05,
    )
    finder.start()
    await fleet.eventually(lambda: finder.is_ready)
    yield finder
    finder.stop(end_session=True)
    await fleet.eventually(lambda: not network.pairs)  # the broker has heard of it: nothing is left behind
    store.close()
