"""The swarm link: the conformance suite on both event loops, and what is particular to it."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from fleet.transport.swarm_link import swarm_links
from tests.lab import MakeLinks
from tests.link_conformance import LinkConformance, lab, own_lab, self_signed

__all__ = ["lab", "own_lab", "self_signed"]
# What replaces this fixture is a hook that pytest-asyncio has only from 1.4 on.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Run everything here on both event loops."""
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


@pytest.fixture
def make_links() -> MakeLinks:
    """The implementation under test."""
    return swarm_links


class TestSwarmLink(LinkConformance):
    """The swarm link keeps every promise of a link."""
