"""Does to the private broker what a timeline says, one thing after the other, and knows when it is meant to be down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self, assert_never, get_args

from fleet.errors import BrokerError
from fleet.runtime.stage import BrokerProcess
from fleet.scenario.actions import BrokerAction


class BrokerController:
    """Carries out actions in their order; `do` returns at once. `error` is why the broker did not start again."""

    def __init__(self, broker: BrokerProcess, say: Callable[[str], None]) -> None:
        """Take a running broker, and whom to tell what is done."""
        self.holds_down = False
        self.error: BrokerError | None = None
        self._broker = broker
        self._say = say
        self._told: asyncio.Queue[BrokerAction] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work(), name="broker controller")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def do(self, action: str) -> None:
        """Do it when all before it is done; raises ValueError for what is no action."""
        for known in get_args(BrokerAction):
            if known == action:
                self._told.put_nowait(known)
                return
        raise ValueError(f"{action!r} is nothing that is done to a broker")

    async def _work(self) -> None:
        while True:
            action = await self._told.get()
            self._say(f"broker: {action}, as the scenario says")
            try:
                await self._perform(action)
            except BrokerError as error:
                self._say(f"broker: {error}")
                if action == "start":
                    self.error = error

    async def _perform(self, action: BrokerAction) -> None:
        match action:
            case "start":
                await self._broker.start()
                self.holds_down = False
            case "stop":
                self.holds_down = True
                await self._broker.stop()
            case "kill":
                self.holds_down = True
                self._broker.kill()
            case "pause":
                self._broker.pause()
            case "resume":
                self._broker.resume()
            case _:
                assert_never(action)
