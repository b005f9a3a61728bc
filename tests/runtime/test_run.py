"""The controller of a run, on a stage of the test's: it passes on what the simulator asks, and leaves nothing that misleads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest

from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.errors import Unreachable, UsageError
from fleet.runtime.run import Hear, Played, Run, RunConfig
from fleet.runtime.stage import FaultyNetwork
from fleet.scenario.actions import BrokerAction
from fleet.scenario.schema import Scenario
from fleet.transport.faults import Fault
from tests.backend.lab import arrival, status
from tests.runtime.pure_lab import scenario
from tests.runtime.test_virtual_stage import Quiet


class NotedNetwork:
    """Notes which faults are set and cleared."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []

    def set(self, name: str, fault: Fault, clients: object = None) -> None:
        self.done.append(("set", name))

    def clear(self, name: str) -> None:
        self.done.append(("clear", name))

    def counts(self) -> dict[str, dict[str, int]]:
        return {}


class FailingStage:
    """Plays these messages, and then fails to connect; `stored` goes into the store before."""

    def __init__(self, config: RunConfig, *messages: dict[str, Any], stored: Batch | None = None) -> None:
        self.done: list[str] = []
        self.faults = NotedNetwork()
        self._config = config
        self._messages = messages
        self._stored = stored

    def execute(self, main: Coroutine[Any, Any, dict[str, Any]], signals: Iterable[int]) -> dict[str, Any]:
        return asyncio.run(main)

    async def start(self) -> None:
        self.done.append("start")

    async def stop(self) -> None:
        self.done.append("stop")

    def network(self) -> FaultyNetwork:
        return self.faults

    async def play(self, hear: Hear) -> Played:
        store = SqliteStore(self._config.store, created_by="test")
        if self._stored is not None:
            store.commit(self._stored, 1)
        store.close()
        for message in self._messages:
            hear(message, {})
        raise Unreachable("localhost", 1, "nobody is there")

    def interrupt(self) -> None: ...

    def control_broker(self, action: BrokerAction) -> None:
        self.done.append(f"broker {action}")

    def save_logs(self, folder: Path) -> None: ...


def config_of(folder: Path, made: Scenario) -> RunConfig:
    return RunConfig(scenario=made, out=folder / "out")


def test_broker_and_network_are_acted_on_and_the_stage_always_stops(tmp_path: Path) -> None:
    """Between start and stop, in the order of the messages."""
    step = "timeline: [{at: 1 min, network: {stall: true}, for: 1 min}]"
    made = scenario(commands=f"  - {{name: refresh, count: 1}}\n{step}\n")
    (name,) = [name for phase in made.phases() for name, _ in made.named_steps(phase)]
    config = config_of(tmp_path, made)
    stage = FailingStage(
        config,
        {"type": "broker", "do": "kill"},
        {"type": "network", "step": name, "begins": True},
        {"type": "network", "step": name, "begins": False},
        {"type": "broker", "do": "start"},
    )
    with pytest.raises(Unreachable):
        Run(config, stage, Quiet()).execute()
    assert stage.done == ["start", "broker kill", "broker start", "stop"]
    assert [what for what, _ in stage.faults.done] == ["set", "clear"]


def test_a_run_that_fails_leaves_a_store_only_with_something_in_it(tmp_path: Path) -> None:
    """An empty one would keep the next run with the same --out from starting."""
    empty, used = config_of(tmp_path / "empty", scenario()), config_of(tmp_path / "used", scenario())
    stored = Batch()
    stored.arrivals.append(arrival(status(1)))
    for config, batch in ((empty, None), (used, stored)):
        with pytest.raises(Unreachable):
            Run(config, FailingStage(config, stored=batch), Quiet()).execute()
    assert list(empty.out.iterdir()) == []
    assert used.store.exists()


def test_the_store_of_an_earlier_run_is_not_touched(tmp_path: Path) -> None:
    """Not even an empty one: this run has not made it."""
    config = config_of(tmp_path, scenario())
    config.out.mkdir()
    SqliteStore(config.store, created_by="test").close()
    stage = FailingStage(config)
    with pytest.raises(UsageError, match="of an earlier run"):
        Run(config, stage, Quiet()).execute()
    assert config.store.exists()
    assert stage.done == []
