"""What a timeline does to the broker: in its order, with words, and so that nobody takes it for an accident."""

from __future__ import annotations

import asyncio

import pytest

from fleet.errors import BrokerError
from fleet.runtime.broker_controller import BrokerController
from fleet.runtime.shard import wait_until


class NotedBroker:
    """Notes what is done to it; starting takes until the test lets it, and may fail."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.may_start = asyncio.Event()
        self.fails = False

    async def start(self) -> None:
        await self.may_start.wait()
        if self.fails:
            raise BrokerError("no port is free")
        self.done.append("start")

    async def stop(self) -> None:
        self.done.append("stop")

    def kill(self) -> None:
        self.done.append("kill")

    def pause(self) -> None:
        raise BrokerError("the private broker does not run")

    def resume(self) -> None:
        self.done.append("resume")


async def test_one_thing_after_the_other() -> None:
    """What is said while the broker starts waits; it is meant to be down until it runs again."""
    broker, said = NotedBroker(), list[str]()
    async with BrokerController(broker, said.append) as controller:
        for action in ("kill", "start", "stop"):
            controller.do(action)
        assert await wait_until(lambda: len(said) == 2, 5)
        assert (broker.done, controller.holds_down) == (["kill"], True)
        broker.may_start.set()
        assert await wait_until(lambda: broker.done == ["kill", "start", "stop"], 5)
        assert controller.holds_down
    assert said == [f"broker: {action}, as the scenario says" for action in ("kill", "start", "stop")]


async def test_what_fails_is_said_and_the_rest_is_done() -> None:
    """A pause of a dead broker is told; a broker that does not start again ends the run."""
    broker, said = NotedBroker(), list[str]()
    broker.fails = True
    broker.may_start.set()
    async with BrokerController(broker, said.append) as controller:
        for action in ("pause", "start", "resume"):
            controller.do(action)
        assert await wait_until(lambda: broker.done == ["resume"], 5)
        assert str(controller.error) == "no port is free"
    assert "broker: the private broker does not run" in said


async def test_it_knows_its_words() -> None:
    """Anything else is a defect of whoever says it."""
    async with BrokerController(NotedBroker(), print) as controller:
        with pytest.raises(ValueError, match="nothing that is done to a broker"):
            controller.do("explode")
