"""A whole run in virtual time: the same cars, users, desk and store as live, a simulated broker, one thread and one heap.

Nothing of the machine gets in: no clock, no network, no chance but the seed's. The same scenario, seed and version give
the same run, byte for byte, as fast as it can be computed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, assert_never

from fleet.backend.config import BackendConfig
from fleet.backend.service import Backend
from fleet.errors import StoreError
from fleet.kernel.draws import stream_key
from fleet.kernel.schedule import Schedule
from fleet.observe.journal import JOURNAL, NOT_YET, Begin, JournalWriter
from fleet.observe.packing import packed
from fleet.runtime.assembly import vocabulary
from fleet.runtime.backend_configs import virtual_backend
from fleet.runtime.dialects import open_dialect
from fleet.runtime.fault_injector import FaultInjector, harms_network
from fleet.runtime.health import monotonic_us
from fleet.runtime.journalling import BACKEND, SIMULATOR, BackendRecorder, account_of_rows, backend_account, begin_of
from fleet.runtime.limits import look_for_garbage_rarely
from fleet.runtime.reporting import compose_report, need_fresh, publish_report
from fleet.runtime.resources import resource_dir
from fleet.runtime.shard import wait_until
from fleet.runtime.simulation import Simulation, SimulationConfig, new_boot
from fleet.runtime.verdicts import Verdicts, progress_figures
from fleet.runtime.view import View
from fleet.runtime.virtual_loop import run_virtually
from fleet.scenario.actions import BrokerAction
from fleet.scenario.schema import Scenario
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_faults import FrameFaults
from fleet.transport.simulated_link import simulated_links
from fleet.transport.simulated_network import SimulatedNetwork

BATCH_WAIT_S: Final = 30.0
"""Scenario time that what nobody waits for is collected before it is stored: as long as the 20 ms of wall time at x1500."""
BATCH_WAIT_STORED_S: Final = 5.0
"""The same when cars wait for it: they repeat what is not stored after 15 s."""
CATCH_UP_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class VirtualRunConfig:
    """What a virtual run is asked for: which scenario, where its store and report go, and how cars deliver."""

    scenario: Scenario
    out: Path
    until_stored: bool = False
    journal: bool = True


class VirtualRun:
    """One run; `run` returns the report after writing it."""

    def __init__(self, config: VirtualRunConfig, view: View) -> None:
        """Take what was asked; nothing happens yet."""
        self._config = config
        self._view = view
        self._schedule = Schedule(vocabulary().start_of(config.scenario))
        access = AccessControl.parse((resource_dir("broker") / "acl").read_text(encoding="utf-8"))
        self._network = SimulatedNetwork(SimulatedBroker(access=access), self._schedule)
        self._faults: FaultInjector | None = None
        if harms_network(config.scenario):
            self._network.faults = FrameFaults(self._network, config.scenario.seed)
            self._faults = FaultInjector(config.scenario, self._network.faults, view.say)
        self._verdicts = Verdicts(config.scenario)
        self._simulation: Simulation | None = None
        self._backend: Backend | None = None
        self._boot = new_boot(config.scenario, self._schedule)
        self._journal: JournalWriter | None = None
        self._broken = ""

    @property
    def store(self) -> Path:
        """Where the back end of this run stores."""
        return self._config.out / "store.sqlite"

    def interrupt(self) -> None:
        """End early, in order, with the report of what ran; may be called from a signal handler."""
        if self._simulation is not None:
            self._simulation.stop()

    def run(self) -> dict[str, Any]:
        """Run the scenario to its end or to an interrupt."""
        config = self._config
        config.out.mkdir(parents=True, exist_ok=True)
        need_fresh(self.store)
        if config.journal:
            self._journal = JournalWriter(packed(config.out / JOURNAL), self._begin())
        began_us = monotonic_us()
        with self._view:
            result, backend = run_virtually(self._live(), self._schedule)
            if self._faults is not None:
                self._faults.tell()
        result["wall_s"] = round((monotonic_us() - began_us) / 1e6, 3)
        report = compose_report(
            config.scenario,
            result=result,
            backend=backend,
            backend_cpu={},
            store=self.store,
            verdicts=self._verdicts,
            faults=None if self._faults is None else self._faults.counts(),
            broken=self._broken,
        )
        publish_report(config.out, report)
        return report

    def _begin(self) -> Begin:
        config = self._config
        return begin_of(
            config.scenario,
            parts=(SIMULATOR, BACKEND),
            start=self._schedule.now,
            boot=self._boot,
            until_stored=config.until_stored,
        )

    async def _live(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what simulation and back end tell at their end."""
        hooks = None if self._journal is None else BackendRecorder(self._journal, before=self._schedule.now)
        config = self._backend_config()
        backend = self._backend = Backend(config if hooks is None else hooks.applied(config))
        if hooks is not None:
            hooks.follow(lambda: backend.scenario_time or NOT_YET)
        await backend.start()
        try:
            await wait_until(lambda: backend.connected, CATCH_UP_S)
            self._simulation = Simulation(self._simulation_config(), self._heard)
            look_for_garbage_rarely()
            watching = asyncio.create_task(self._watch(backend, self._simulation), name="watch backend")
            result = await self._simulation.run()
            watching.cancel()
        finally:
            await self._stop(backend)
            if self._journal is not None:
                account = self._simulation.shard.account() if self._simulation is not None else {}
                account |= backend_account(backend.snapshot()) | account_of_rows(backend)
                self._journal.close(backend.scenario_time or NOT_YET, account)
        return result, backend.snapshot().to_dict()

    async def _watch(self, backend: Backend, simulation: Simulation) -> None:
        """End the run early when the store fails under it: the cars would live on, and nobody would store it."""
        try:
            await backend.run()
        except StoreError:  # said when the back end is stopped
            simulation.stop()

    async def _stop(self, backend: Backend) -> None:
        try:
            await backend.stop(quiet_s=2 * BATCH_WAIT_S, limit_s=CATCH_UP_S)
        except StoreError as error:
            self._broken = str(error)

    def _backend_config(self) -> BackendConfig:
        until_stored = self._config.until_stored
        key = stream_key(self._config.scenario.seed, "backend")
        return replace(
            virtual_backend(self.store, simulated_links(self._network), self._schedule, key=key),
            announce_stored=until_stored,
            batch_wait_s=BATCH_WAIT_STORED_S if until_stored else BATCH_WAIT_S,
        )

    def _simulation_config(self) -> SimulationConfig:
        return SimulationConfig(
            scenario=self._config.scenario,
            cars=simulated_links(self._network, username_as_client_id=True),
            tools=simulated_links(self._network),
            password_for=lambda _: None,
            dialect=open_dialect(),
            until_stored=self._config.until_stored,
            schedule=self._schedule,
            boot=self._boot,
            journal=self._journal,
        )

    def _heard(self, message: dict[str, Any]) -> None:
        """Do to the broker what the scenario says, and show progress."""
        if message["type"] == "broker":
            self._view.say(f"broker: {message['do']}, as the scenario says")
            self._act(message["do"])
        elif message["type"] == "network":
            assert self._faults is not None, "a step does something to the network"
            self._faults.do(message["step"], begins=message["begins"])
        elif message["type"] == "progress":
            assert self._backend is not None, "the cars live after the back end has started"
            backend = self._backend.snapshot().to_dict()
            self._verdicts.look(progress_figures(message, backend), message["elapsed_us"], message["scenario_time"])
            self._view.update(message, backend)

    def _act(self, action: BrokerAction) -> None:
        match action:
            case "start":
                self._network.start()
            case "stop":
                self._network.stop()
            case "kill":
                self._network.kill()
            case "pause":
                self._network.pause()
            case "resume":
                self._network.resume()
            case _:
                assert_never(action)
