"""The swarm link: the conformance suite on both event loops, and what is particular to it."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from fleet.errors import ConnectionLost, Unreachable
from fleet.transport.link import Endpoint, Link, LinkFactory, LinkSettings
from fleet.transport.swarm_connection import SwarmConnection
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.lab import Lab, MakeLinks, quick_back_off
from tests.recording_owner import RecordingOwner
from tests.transport import scripted_broker as scripted
from tests.transport.link_conformance import LinkConformance, lab, own_lab, self_signed
from tests.transport.scripted_broker import Script, ScriptedBroker
from tests.transport.swarm_rig import CONNACK, QUIET, FakeTransport, settled

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


class TestTogether:
    """Links of one factory."""

    async def test_two_thousand_up_and_down_leave_nothing(self, lab: Lab) -> None:
        """An idle link has no task; after all have gone no task, file, timer or connection object is left."""
        await lab.user_up("tool", "first")  # uvloop opens a file of its own with its first connection
        await lab.close()
        await settled()
        gc.collect()  # what earlier tests have left
        before = (asyncio.all_tasks(), open_files())
        factory = swarm_links(lab.broker.mosquitto.tools)
        password = lab.broker.secret.password_for("tool")
        owners = []
        for number in range(2000):
            settings = LinkSettings(
                client_id=f"many-{number}", username="tool", password=password, session_expiry_s=0, clean_start=True
            )
            owners.append(owner := RecordingOwner())
            owner.link = factory(settings, owner, quick_back_off())
            owner.link.open()
        for owner in owners:
            await owner.wait_for("link_up", lambda owner=owner: bool(owner.ups), 30)  # type: ignore[misc]
        await settled()
        assert asyncio.all_tasks() == before[0]
        half = [owner.link for owner in owners[:1000] if owner.link is not None]
        rest = [owner.link for owner in owners[1000:] if owner.link is not None]
        await asyncio.gather(*(link.close(end_session=True) for link in half))
        for link in rest:
            link.drop()
        await settled()
        assert all(owner.calls == ["up", "down"] for owner in owners)
        del owner, owners, half, rest, link
        gc.collect()
        assert (asyncio.all_tasks(), open_files()) == before
        assert not [thing for thing in gc.get_objects() if isinstance(thing, SwarmConnection)]
        shared = factory.__closure__[0].cell_contents  # type: ignore[attr-defined]
        assert (shared.wheel._slots, shared.wheel._timer.armed_at, shared.connects._timer.armed_at) == ({}, None, None)

    async def test_handshakes_are_limited(self) -> None:
        """With one handshake allowed the second link waits until the first has failed."""
        async with ScriptedBroker(Script(connack=None)) as broker:
            factory = swarm_links(broker.endpoint(), handshakes=1)
            one = opened(factory, LinkSettings(client_id="one", connect_timeout_s=0.3))
            two = opened(factory, LinkSettings(client_id="two"))
            await broker.wait_for_packets(scripted.CONNECT, 1)
            assert isinstance(await one.wait_for_down(), Unreachable)
            one.link.drop()
            bodies = await broker.wait_for_packets(scripted.CONNECT, 2)
            assert [body[-3:] for body in bodies] == [b"one", b"two"]
            two.link.drop()
            await two.wait_for_down()

    async def test_connects_are_paced(self) -> None:
        """At 50 connects a second eleven links take at least a fifth of a second, less what a late timer makes up for."""
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint(), connects_per_s=50)
            loop = asyncio.get_running_loop()
            began = loop.time()
            owners = [opened(factory, LinkSettings(client_id=f"{number}")) for number in range(11)]
            for owner in owners:
                await owner.wait_for_up()
            assert 0.14 < loop.time() - began < 2
            for owner in owners:
                await owner.link.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 without configuration")
    async def test_source_addresses_take_turns(self) -> None:
        """Each connect comes from the next address, unless the settings of the link name one."""
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint(), source_addresses=("127.0.1.1", "127.0.1.2"), handshakes=1)
            owners = [opened(factory, LinkSettings(client_id=f"{number}")) for number in range(4)]
            owners.append(opened(factory, LinkSettings(client_id="own", source_address="127.0.1.9")))
            for owner in owners:
                await owner.wait_for_up()
            peers = [writer.get_extra_info("peername")[0] for writer in broker._writers]
            assert peers == ["127.0.1.1", "127.0.1.2", "127.0.1.1", "127.0.1.2", "127.0.1.9"]
            for owner in owners:
                await owner.link.close()

    async def test_an_owner_that_raises_harms_only_its_own_link(self) -> None:
        """Its link goes down and tries again; the defect is shown; a second link goes on as if nothing were."""
        shown: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context["exception"]))
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint())
            bad, good = (opened(factory, LinkSettings(client_id=name)) for name in ("bad", "good"))
            await bad.wait_for_up()
            await good.wait_for_up()
            bad.react = raise_on("acknowledged")
            for qos in (0, 1):
                bad.link.publish(Frame(topic="a", payload=b"", qos=qos), qos)
                good.link.publish(Frame(topic="a", payload=b"", qos=qos), qos)
                assert "broke" in str(await bad.wait_for_down(qos + 1))
                await bad.wait_for_up(qos + 2)
            assert await good.wait_for_outcome(0) is await good.wait_for_outcome(1) is None
            bad.react = raise_on("down")
            bad.link.drop()
            await bad.wait_for_down(3)
            assert [str(error) for error in shown] == ["acknowledged", "acknowledged", "down"]
            assert good.calls == ["up", "acknowledged", "acknowledged"]
            await good.link.close()

    async def test_a_broker_may_answer_before_the_dialling_has_returned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The attempt is over then, and is not cut off: that would close the socket of a connection that is up."""
        returned: list[bool] = []

        async def dial(endpoint: Endpoint, source: str, protocol: asyncio.Protocol, user: str | None) -> None:
            protocol.connection_made(FakeTransport())
            protocol.data_received(CONNACK)
            await asyncio.sleep(0)
            returned.append(True)

        monkeypatch.setattr("fleet.transport.swarm_link.dial_protocol", dial)
        owner = opened(swarm_links(Endpoint("127.0.0.1", 1)), QUIET)
        await owner.wait_for_up()
        await settled()
        assert returned == [True]
        assert owner.calls == ["up"]
        owner.link.drop()
        await settled()

    async def test_file_limit_is_told_with_its_remedy(self) -> None:
        """When no file can be opened, the error names the limit and what to do."""
        async with ScriptedBroker() as broker:
            factory = swarm_links(broker.endpoint())
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            in_use = max(int(name) for name in open_files()) + 1
            fillers = [os.dup(0) for _ in range(in_use - len(open_files()))]
            resource.setrlimit(resource.RLIMIT_NOFILE, (in_use, hard))
            try:
                owner = opened(factory, LinkSettings(client_id="one"))
                error = await owner.wait_for_down()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for number in fillers:
                    os.close(number)
            assert isinstance(error, Unreachable)
            assert f"more than {in_use} files" in error.cause
            assert "ulimit -n" in error.hint
            await owner.link.close()

    async def test_foreign_source_address_is_told(self) -> None:
        """An address this machine does not have is named."""
        factory = swarm_links(Endpoint("127.0.0.1", 1), source_addresses=("192.0.2.1",))
        owner = opened(factory, LinkSettings(client_id="one"))
        error = await owner.wait_for_down()
        assert isinstance(error, Unreachable)
        assert error.cause == "this machine has no address 192.0.2.1"
        owner.link.drop()


class SilentBroker(ScriptedBroker):
    """Answers no ping; may set the keep-alive itself."""

    __slots__ = ("server_keep_alive_s",)
    server_keep_alive_s: int | None

    def _answer(self, kind: int, body: bytes) -> bytes:
        if kind == scripted.CONNECT and self.server_keep_alive_s is not None:
            return scripted.packet(0x20, b"\0\0\3\x13" + self.server_keep_alive_s.to_bytes(2, "big"))
        return b"" if kind == scripted.PINGREQ else super()._answer(kind, body)


class TestKeepAlive:
    """The shared wheel."""

    @pytest.mark.parametrize("set_by", ["client", "server"])
    async def test_silence_is_noticed_within_one_and_a_half_keep_alives(self, set_by: str) -> None:
        """Whichever side set the keep-alive; a link beside it that hears something stays up."""
        broker = SilentBroker()
        broker.server_keep_alive_s = 1 if set_by == "server" else None
        async with broker, ScriptedBroker() as lively:
            keep_alive_s = 1 if set_by == "client" else 60
            owner = opened(swarm_links(broker.endpoint()), LinkSettings(client_id="one", keep_alive_s=keep_alive_s))
            other = opened(swarm_links(lively.endpoint()), LinkSettings(client_id="two", keep_alive_s=1))
            await owner.wait_for_up()
            began = asyncio.get_running_loop().time()
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectionLost)
            assert "silent" in str(error)
            assert 0.6 < asyncio.get_running_loop().time() - began < 1.9  # 1.5, and what a busy machine adds
            await lively.wait_for_packets(scripted.PINGREQ, 2)
            assert other.calls == ["up"]
            owner.link.drop()
            await other.link.close()


def opened(factory: LinkFactory, settings: LinkSettings) -> LinkedOwner:
    """Return the owner of a link that was opened."""
    owner = LinkedOwner()
    owner.link = factory(settings, owner, quick_back_off())
    owner.link.open()
    return owner


class LinkedOwner(RecordingOwner):
    """One that has its link."""

    link: Link


def raise_on(moment: str) -> Callable[[str], None]:
    """Return a reaction that raises at that call, each time."""

    def react(call: str) -> None:
        if call == moment:
            raise RuntimeError(moment)

    return react


def open_files() -> list[str]:
    """Return the numbers of this process's open files."""
    return sorted(path.name for path in Path("/dev/fd").iterdir() if path.exists())
