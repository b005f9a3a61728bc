"""A run of a scenario from its start to its report, on a stage: processes and sockets, or one loop in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fleet.backend.reader import discard_unused
from fleet.runtime.fault_injector import FaultInjector, harms_network
from fleet.runtime.reporting import compose_report, need_fresh, publish_report
from fleet.runtime.stage import Stage
from fleet.runtime.verdicts import Verdicts, progress_figures
from fleet.runtime.view import View
from fleet.scenario.actions import BrokerAction
from fleet.scenario.schema import Scenario

Message = dict[str, Any]
Hear = Callable[[Message, Message], None]
"""Takes a message of the simulator, and the newest counters of the back end."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The properties of a run, live or virtual.

    With `until_stored` cars keep their messages until they are stored. `asks_desk` says, without a back end of ours, that users
    ask the one under test, which answers as our desk does; `confirm_topic` is where that confirms what it has stored.
    `mail` and `push` say where mails and pushes go, see `fleet.runtime.mail_ways`; None leaves it to the stage.
    """

    scenario: Scenario
    out: Path
    until_stored: bool = False
    with_backend: bool = True
    asks_desk: bool = False
    confirm_topic: str | None = None
    journal: bool = True
    mail: str | None = None
    push: str | None = None

    @property
    def with_desk(self) -> bool:
        """Whether there is a desk that users can ask."""
        return self.with_backend or self.asks_desk

    @property
    def store(self) -> Path:
        """The file in which the back end of this run stores."""
        return self.out / "store.sqlite"


@dataclass(frozen=True, kw_only=True)
class Played:
    """The end of a scenario on a stage: the results of simulator and back end.

    `broken` says in words which part of the run died under it, `broker_died` that it was the broker, and `confirmed` what a back
    end under test has confirmed.
    """

    result: dict[str, Any]
    backend: Message
    backend_cpu: Message = field(default_factory=dict)
    broken: str = ""
    broker_died: bool = False
    confirmed: Message | None = None


class RunStage(Stage, Protocol):
    """A stage with simulator and back end, on which a scenario is played once."""

    def execute(self, main: Coroutine[Any, Any, dict[str, Any]], signals: Iterable[int]) -> dict[str, Any]:
        """Run a coroutine in an event loop that fits the stage; `signals` interrupt the scenario."""
        ...

    async def play(self, hear: Hear) -> Played:
        """Let the scenario's time pass, to its end or to an interrupt; `hear` takes what the simulator emits.

        Raises FleetError when a part cannot start or dies, CancelledError when interrupted before the cars have started.
        """
        ...

    def interrupt(self) -> None:
        """End the scenario early, in order."""
        ...

    def control_broker(self, action: BrokerAction) -> None:
        """Stop, start, kill, pause or resume the broker."""
        ...

    def save_logs(self, folder: Path) -> None:
        """Copy into the run's folder what explains a failure."""
        ...


class Run:
    """The controller of one run: it hears the simulator, acts on broker and network, judges and reports."""

    def __init__(self, config: RunConfig, stage: RunStage, view: View) -> None:
        """Take a stage made for this configuration; nothing is started."""
        self._config = config
        self._stage = stage
        self._view = view
        self._verdicts = Verdicts(
            config.scenario,
            backend=config.with_backend,
            desk=config.with_desk,
            confirms=config.confirm_topic is not None,
        )
        self._injector: FaultInjector | None = None

    def execute(self, *, signals: Iterable[int] = ()) -> dict[str, Any]:
        """Run in an event loop of its own, to the end or to one of `signals`; return the report. Raises as `run` does."""
        return self._stage.execute(self.run(), signals)

    async def run(self) -> dict[str, Any]:
        """Run the scenario to its end or to an interrupt; return the report after writing it. Raises as `RunStage.play` does."""
        config = self._config
        config.out.mkdir(parents=True, exist_ok=True)
        if config.with_backend:
            need_fresh(config.store)
        try:
            report = await self._report()
        except BaseException:
            if config.with_backend:
                discard_unused(config.store)
            raise
        publish_report(config.out, report)
        return report

    async def _report(self) -> dict[str, Any]:
        config, stage = self._config, self._stage
        await stage.start()
        try:
            if harms_network(config.scenario):
                self._injector = FaultInjector(config.scenario, stage.network(), self._view.say)
            with self._view:
                played = await stage.play(self._heard)
                if self._injector is not None:
                    self._injector.tell()
            report = compose_report(
                config.scenario,
                result=played.result,
                backend=played.backend,
                backend_cpu=played.backend_cpu,
                store=config.store if config.with_backend else None,
                verdicts=self._verdicts,
                faults=None if self._injector is None else self._injector.counts(),
                broken=played.broken,
                broker_died=played.broker_died,
                confirmed=played.confirmed,
            )
            if report["verdict"] in {"failed", "invalid"}:
                stage.save_logs(config.out)
        finally:
            await stage.stop()
        return report

    def _heard(self, message: Message, backend: Message) -> None:
        if message["type"] == "progress":
            self._verdicts.look(progress_figures(message, backend), message["elapsed_us"], message["scenario_time"])
            self._view.update(message, backend)
        elif message["type"] == "broker":
            self._stage.control_broker(message["do"])
        elif message["type"] == "network" and self._injector is not None:
            self._injector.do(message["step"], begins=message["begins"])
