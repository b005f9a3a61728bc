"""Fixtures of all tests: a live broker, one per module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import settings

import fleet
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from tests.lab import VINS, LiveBroker
from tests.nightly import NIGHTLY

IS_CHECKOUT: Final = Path(fleet.__file__).parents[1] == Path(__file__).parents[1]
"""Whether the tests meet the sources beside them."""

settings.register_profile("fleet", deadline=None)  # how long a draw takes is the machine's affair
settings.load_profile("fleet")
pytest.register_assert_rewrite("tests.transport.link_conformance", "tests.transport.link_connecting", "tests.runtime.faults")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live_broker() -> AsyncIterator[LiveBroker]:
    """A Mosquitto shared by the tests of a module; each takes VINs of its own from it."""
    secret = FleetSecret.new()
    async with PrivateMosquitto(secret=secret, vins=VINS) as broker:
        yield LiveBroker(broker, secret)


@pytest.fixture
async def own_broker() -> AsyncIterator[LiveBroker]:
    """A Mosquitto that a test may kill."""
    secret = FleetSecret.new()
    async with PrivateMosquitto(secret=secret, vins=VINS[:4]) as broker:
        yield LiveBroker(broker, secret)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make test-nightly` has time for, and in a checkout what is for the installed wheel."""
    others = {*(() if NIGHTLY else ("nightly",)), *(("wheel",) if IS_CHECKOUT else ())}
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in others)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not any(item.get_closest_marker(name) for name in others)]
