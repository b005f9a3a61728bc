"""The simulated link: the conformance suite in virtual time, and what is particular to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.lab import Lab
from tests.link_conformance import LinkBehaviour
from tests.simulated_lab import SimulatedWorld, VirtualPolicy

# What replaces this fixture is a hook that pytest-asyncio has only from 1.4 on.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """Run everything here in virtual time."""
    return VirtualPolicy()


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Links to a simulated broker."""
    made = SimulatedWorld.new().lab()
    yield made
    await made.close()


@pytest.fixture
async def own_lab(lab: Lab) -> Lab:
    """A simulated broker is always the test's own."""
    return lab


class TestSimulatedLink(LinkBehaviour):
    """A link without a socket keeps every promise that needs none."""
