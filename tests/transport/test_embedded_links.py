"""Links keep all their promises against the embedded broker, too: the conformance suite, with both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded import EmbeddedOptions, EmbeddedThread
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.swarm_link import swarm_links
from tests.lab import VINS, LiveBroker, MakeLinks
from tests.transport.link_conformance import LinkConformance, lab, own_lab, self_signed

__all__ = ["lab", "own_lab", "self_signed"]
pytestmark = pytest.mark.live


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live_broker() -> AsyncIterator[LiveBroker]:
    """An embedded broker shared by the tests of this module."""
    secret = FleetSecret.new()
    async with EmbeddedThread(EmbeddedOptions(secret=secret, users=set(VINS))) as broker:
        yield LiveBroker(broker, secret)


@pytest.fixture
async def own_broker() -> AsyncIterator[LiveBroker]:
    """An embedded broker that a test may kill."""
    secret = FleetSecret.new()
    async with EmbeddedThread(EmbeddedOptions(secret=secret, users=set(VINS[:4]))) as broker:
        yield LiveBroker(broker, secret)


class TestSwarmLink(LinkConformance):
    """The swarm link."""

    @pytest.fixture
    def make_links(self) -> MakeLinks:
        """The implementation under test."""
        return swarm_links


class TestAiomqttLink(LinkConformance):
    """The link of aiomqtt."""

    @pytest.fixture
    def make_links(self) -> MakeLinks:
        """The implementation under test."""
        return aiomqtt_links
