"""A connection on which nothing comes any more: told from a quiet one, and given up for a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from fleet.backend.echo import LONGEST_S, UNPROVEN_MAX, Echo
from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.faults import FaultControl, parse_rule
from fleet.transport.link import LinkFactory
from fleet.transport.proxy import FaultProxy
from fleet.transport.simulated_faults import FrameFaults
from fleet.transport.swarm_link import swarm_links
from fleet.wire.messages import Event
from tests.backend.fake_link import FakeSession
from tests.backend.lab import BOOT, DIALECT, OpenSqlite, car, config, event, in_memory, running, status
from tests.lab import Lab, LiveBroker
from tests.transport.simulated_lab import SimulatedWorld, VirtualLoop

MESSAGES = 100
UNACKNOWLEDGED_MAX = 20
WITHIN_S = 60.0
QUICK = partial(Echo, 0.5, 0.5)


class Silence:
    """An echo's look every second."""

    def __init__(self) -> None:
        self.echo = Echo(after_s=15, wait_s=10)
        self.now_s = 0
        self.heard = 0
        self.done: list[tuple[int, str]] = []

    def pass_for(self, seconds: int, *, ready: bool = True) -> None:
        for _ in range(seconds):
            self.now_s += 1
            what = self.echo.look(self.now_s, self.heard, ready=ready)
            if what is not None:
                self.done.append((self.now_s, what))


def test_silence_is_asked_about_and_what_comes_ends_it() -> None:
    """A quiet night costs one message of our own in 15 s; anything that comes is as good as an echo."""
    lab = Silence()
    lab.pass_for(17)
    assert lab.done == [(15, "send")]
    lab.heard += 1
    lab.echo.came_back()
    lab.pass_for(16)
    assert lab.done[1:] == [(33, "send")]
    lab.heard += 1
    lab.pass_for(14)
    assert len(lab.done) == 2


def test_an_echo_that_does_not_come_back_means_a_new_connection() -> None:
    lab = Silence()
    lab.echo.came_back()
    lab.pass_for(26)
    assert lab.done == [(15, "send"), (25, "stalled")]


def test_while_the_broker_waits_for_us_nothing_is_asked() -> None:
    """No connection, or no room on the disk: what is not acknowledged keeps the broker from sending more, and rightly."""
    lab = Silence()
    lab.pass_for(100, ready=False)
    assert lab.done == []
    lab.pass_for(14)
    assert lab.done == []
    lab.pass_for(2)
    lab.pass_for(100, ready=False)
    assert lab.done == [(115, "send")]


def test_a_broker_that_returns_no_echo_is_left_more_and_more_seldom() -> None:
    """Somebody else's may not let us read there; or our acknowledgements were lost from the beginning, and some day are not."""
    lab = Silence()
    lab.pass_for(UNPROVEN_MAX * 25)
    assert lab.echo.is_hopeless
    lab.pass_for(24 * 3600)
    stalls = [at for at, what in lab.done if what == "stalled"]
    assert [after - before for before, after in pairwise(stalls)][:7] == [25, 25, 40, 70, 130, 250, 490]
    assert stalls[-1] - stalls[-2] == LONGEST_S + 10, "six an hour at most"
    lab.echo.came_back()
    lab.pass_for(75)
    assert [what for _, what in lab.done[-6:]].count("stalled") == 3, "an echo that is missed means much again"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 (nobody calls back)
            await asyncio.sleep(0.02)


async def test_a_silent_connection_is_left_and_a_quiet_one_kept(tmp_path: Path) -> None:
    """The session is the same, so that what was never acknowledged comes again; an echo is neither stored nor quarantined."""
    session = FakeSession()
    async with running(tmp_path / "fleet.sqlite", session, echo=QUICK) as lab:
        lab.session.deliver(*car(status(1)))
        await until(lambda: any(frame.topic == "fleet/v1/desk/answer/backend" for frame in session.published))
        (echo,) = [frame for frame in session.published if frame.topic == "fleet/v1/desk/answer/backend"]
        session.deliver(echo)
        await until(lambda: lab.backend.snapshot().stalls == 1)
        assert session.link is not None
        assert session.link.connection == 2
        lab.session.deliver(*car(event(2)))
        await until(lambda: lab.backend.snapshot().stored == 2)
        assert lab.backend.snapshot().quarantined == {}
        assert any("connecting again" in warning for warning in lab.backend.snapshot().warnings)


async def story(lab: Lab, links: LinkFactory, faults: FaultControl, path: Path, store: OpenSqlite) -> None:
    """The back end's acknowledgements are lost until the broker has as many under way as it may; then they are not."""
    settings = config(
        path, FakeSession(), links=links, username="backend", password=lab.broker.secret.password_for("backend"), echo=QUICK,
        receive_maximum=UNACKNOWLEDGED_MAX, open_store=store,
    )  # fmt: skip
    async with Backend(settings) as backend:
        await until(lambda: backend.connected)
        vin = lab.broker.new_vin()
        faults.set("no acknowledgements", parse_rule("drop PUBACK to_broker"), ["backend"])
        link, owner = await lab.car_up(vin)
        for seq in range(1, MESSAGES + 1):
            message = Event(vin=vin, boot=BOOT, seq=seq, captured_at=seq, name="trip")
            link.publish(DIALECT.from_car(message), seq)
        await owner.wait_for("the broker's word", lambda: len(owner.outcomes) == MESSAGES, WITHIN_S)
        await until(lambda: backend.snapshot().stalls >= 1)
        faults.clear("no acknowledgements")
        await until(lambda: backend.snapshot().stored == MESSAGES)
        stalls = backend.snapshot().stalls
        arrived = backend.snapshot().arrived
        await until(lambda: backend.snapshot().arrived > arrived + 1)
        assert backend.snapshot().stalls == stalls, "a connection that is well was given up, too"


@pytest.mark.live
@pytest.mark.parametrize("links", [swarm_links, aiomqtt_links])
async def test_lost_acknowledgements_do_not_stop_it_for_ever(
    own_broker: LiveBroker, tmp_path: Path, links: Callable[..., LinkFactory]
) -> None:
    """With a real Mosquitto, through a proxy."""
    lab = Lab(own_broker, aiomqtt_links)
    async with FaultProxy(own_broker.mosquitto.tools) as proxy:
        await story(lab, links(proxy.endpoint), proxy, tmp_path / "fleet.sqlite", SqliteStore)
    await lab.close()


def test_lost_acknowledgements_do_not_stop_it_in_virtual_time(tmp_path: Path) -> None:
    """The same on frames, without a wait."""

    async def simulated() -> None:
        world = SimulatedWorld.new()
        network = world.process.network
        network.faults = FrameFaults(network, 7)
        lab = world.lab()
        await story(lab, world.links_to(world.process.tools), network.faults, tmp_path / "fleet.sqlite", in_memory)
        await lab.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(simulated())
