"""A whole run in virtual time: the same cars, users, desk and store as live, a simulated broker, one thread and one heap.

Nothing of the machine gets in: no clock, no network, no chance but the seed's. The same scenario, seed and version give
the same run, byte for byte, as fast as it can be computed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fleet.backend.config import BackendConfig
from fleet.backend.mail.letter import Way
from fleet.backend.service import Backend
from fleet.errors import StoreError
from fleet.kernel.draws import stream_key
from fleet.kernel.schedule import Schedule
from fleet.observe.journal import JOURNAL, NOT_YET, JournalWriter
from fleet.observe.packing import packed
from fleet.runtime.assembly import vocabulary
from fleet.runtime.backend_configs import virtual_backend
from fleet.runtime.dialects import dialect_of
from fleet.runtime.health import monotonic_us
from fleet.runtime.journalling import BACKEND, SIMULATOR, BackendRecorder, account_of_rows, backend_account, begin_of
from fleet.runtime.limits import look_for_garbage_rarely
from fleet.runtime.mail_ways import NOWHERE, open_ways
from fleet.runtime.people.mailboxes import PostOffice
from fleet.runtime.run import Hear, Message, Played, Run, RunConfig
from fleet.runtime.shard import wait_until
from fleet.runtime.simulation import Simulation, SimulationConfig, new_boot
from fleet.runtime.stage import FaultyNetwork
from fleet.runtime.view import View
from fleet.runtime.virtual_loop import run_virtually
from fleet.runtime.virtual_network import VirtualNetwork
from fleet.scenario.actions import BrokerAction

BATCH_WAIT_S: Final = 30.0
"""Scenario time that what nobody waits for is collected before it is stored: as long as the 20 ms of wall time at x1500."""
BATCH_WAIT_STORED_S: Final = 5.0
"""The same when cars wait for it: they repeat what is not stored after 15 s."""
CATCH_UP_S: Final = 60.0


class VirtualRunStage:
    """A run's stage on a schedule: back end and cars share one thread, the broker is simulated."""

    def __init__(self, config: RunConfig, view: View) -> None:
        """Take the run; nothing happens yet."""
        self._config = config
        self._view = view
        self._schedule = Schedule(vocabulary().start_of(config.scenario))
        self._dialect = dialect_of(config.scenario)
        self._network = VirtualNetwork(self._schedule, seed=config.scenario.seed, topics=self._dialect.access)
        self._simulation: Simulation | None = None
        self._boot = new_boot(config.scenario, self._schedule)
        self._post = PostOffice() if config.scenario.people is not None else None
        self._broken = ""

    async def start(self) -> None:
        """Nothing runs outside of this object."""

    async def stop(self) -> None:
        """End nothing."""

    def network(self) -> FaultyNetwork:
        """Return the simulated network's faults."""
        return self._network.faults()

    def control_broker(self, action: BrokerAction) -> None:
        """Do it to the simulated broker, in this very instant."""
        self._view.say(f"broker: {action}, as the scenario says")
        self._network.control_broker(action)

    def save_logs(self, folder: Path) -> None:
        """A simulated broker writes no log."""

    def interrupt(self) -> None:
        """End early, in order; may be called from a signal handler."""
        if self._simulation is not None:
            self._simulation.stop()

    def execute(self, main: Coroutine[Any, Any, dict[str, Any]], signals: Iterable[int]) -> dict[str, Any]:
        """Run it on the schedule's loop, which knows no signals."""
        for number in signals:
            signal.signal(number, lambda *_: self.interrupt())
        return run_virtually(main, self._schedule)

    async def play(self, hear: Hear) -> Played:
        """Let the day of cars, users and back end pass. Raises StoreError where the store cannot be opened."""
        began_us = monotonic_us()
        journal = self._open_journal()
        recorder = None if journal is None else BackendRecorder(journal, before=self._schedule.now)
        config = self._backend_config()
        backend = Backend(config if recorder is None else recorder.applied(config))
        if recorder is not None:
            recorder.follow(backend.clock.known_now)
        await backend.start()
        try:
            await wait_until(lambda: backend.connected, CATCH_UP_S)
            simulation = Simulation(self._simulation_config(journal), lambda message: hear(message, _counters(message, backend)))
            self._simulation = simulation
            look_for_garbage_rarely()
            watching = asyncio.create_task(self._watch(backend, simulation), name="watch backend")
            result = await simulation.run()
            watching.cancel()
        finally:
            await self._stop(backend)
            if journal is not None:
                account = self._simulation.shard.account() if self._simulation is not None else {}
                account |= backend_account(backend.snapshot()) | account_of_rows(backend)
                journal.close(backend.scenario_time or NOT_YET, account)
        result["wall_s"] = round((monotonic_us() - began_us) / 1e6, 3)
        return Played(result=result, backend=backend.snapshot().to_dict(), broken=self._broken)

    def _open_journal(self) -> JournalWriter | None:
        config = self._config
        if not config.journal:
            return None
        begin = begin_of(
            config.scenario,
            parts=(SIMULATOR, BACKEND),
            start=self._schedule.now,
            boot=self._boot,
            until_stored=config.until_stored,
        )
        return JournalWriter(packed(config.out / JOURNAL), begin)

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
            virtual_backend(self._config.store, self._network.tool_links, self._schedule, key=key),
            dialect=self._dialect,
            announce_stored=until_stored,
            ways=self._ways(),
            batch_wait_s=BATCH_WAIT_STORED_S if until_stored else BATCH_WAIT_S,
        )

    def _ways(self) -> dict[str, Way]:
        """Return where mails go; the people of a scenario read theirs on the way."""
        ways = open_ways(self._config.mail or NOWHERE, None)
        return ways if self._post is None else self._post.before(ways)

    def _simulation_config(self, journal: JournalWriter | None) -> SimulationConfig:
        return SimulationConfig(
            scenario=self._config.scenario,
            cars=self._network.car_links,
            tools=self._network.tool_links,
            password_for=lambda _: None,
            dialect=self._dialect,
            until_stored=self._config.until_stored,
            schedule=self._schedule,
            boot=self._boot,
            mailboxes=self._post,
            journal=journal,
        )


def _counters(message: Message, backend: Backend) -> Message:
    """Return the back end's counters where somebody looks at them: to write them all down takes its time."""
    return backend.snapshot().to_dict() if message["type"] == "progress" else {}


def virtual_run(config: RunConfig, view: View) -> Run:
    """Return a run in virtual time."""
    return Run(config, VirtualRunStage(config, view), view)
