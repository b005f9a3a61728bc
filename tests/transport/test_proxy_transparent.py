"""With no fault set nobody can tell that there is a proxy: the links' conformance suite passes through one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop

from fleet.errors import Unreachable
from fleet.runtime.mosquitto import free_port
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import Endpoint, LinkFactory
from fleet.transport.proxy import FaultProxy
from fleet.transport.swarm_link import swarm_links
from tests.lab import ANYONE, Lab, MakeLinks
from tests.transport.link_conformance import LinkConformance, lab, own_lab, self_signed

__all__ = ["lab", "own_lab", "self_signed"]
# What replaces this fixture is a hook that pytest-asyncio has only from 1.4 on.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")]


class Proxies:
    """A proxy in front of each broker or peer that links are made to."""

    def __init__(self, make: MakeLinks) -> None:
        self._make = make
        self._behind: dict[tuple[str, int], Endpoint] = {}
        self._made: list[asyncio.Task[FaultProxy]] = []

    def links_to(self, endpoint: Endpoint) -> LinkFactory:
        """Return what makes links through the proxy of the endpoint, which takes connections from now on."""
        address = (endpoint.host, endpoint.port)
        if address not in self._behind:
            listener = socket.create_server(("127.0.0.1", 0))
            self._behind[address] = Endpoint(*listener.getsockname())
            self._made.append(asyncio.create_task(FaultProxy(endpoint, listener=listener).__aenter__(), name="proxy"))
        behind = self._behind[address]
        return self._make(Endpoint(behind.host, behind.port, endpoint.tls))

    async def close(self) -> None:
        for made in self._made:
            await (await made).__aexit__()


@pytest.fixture(scope="module", params=["swarm", "aiomqtt"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Run the swarm link on uvloop, as `fleet run` does, and aiomqtt on asyncio's own loop."""
    return uvloop.EventLoopPolicy() if request.param == "swarm" else asyncio.DefaultEventLoopPolicy()


@pytest.fixture
async def make_links(event_loop_policy: asyncio.AbstractEventLoopPolicy) -> AsyncIterator[MakeLinks]:
    """The implementation behind a proxy."""
    proxies = Proxies(swarm_links if isinstance(event_loop_policy, uvloop.EventLoopPolicy) else aiomqtt_links)
    yield proxies.links_to
    await proxies.close()


class TestThroughProxy(LinkConformance):
    """Both links keep every promise, but for what no proxy can pass on: that nobody listens behind it."""

    async def test_nobody_listening_is_unreachable(self, lab: Lab) -> None:
        """The proxy listens, so the connection is not refused but reset at once."""
        link, owner = lab.link(Endpoint("127.0.0.1", free_port("127.0.0.1")), ANYONE)
        link.open()
        await owner.wait_for_down(2)
        assert isinstance(owner.downs[0], Unreachable)
