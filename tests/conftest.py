"""Fixtures of all tests: a live broker, one per module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from tests.lab import VINS, LiveBroker
from tests.nightly import NIGHTLY

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
    """Leave out what only `make test-nightly` has time for."""
    if NIGHTLY:
        return
    left_out = [item for item in items if item.get_closest_marker("nightly")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
