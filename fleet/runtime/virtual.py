"""A whole run in virtual time: the same cars, users, desk and store as live, a simulated broker, one thread and one heap.

Nothing of the machine gets in: no clock, no network, no chance but the seed's. The same scenario, seed and version give
the same run, byte for byte, as fast as it can be computed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from fleet.backend.buffered_store import BufferedStore
from fleet.backend.service import Backend, BackendConfig
from fleet.backend.spin import SpinCost
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.schedule import Schedule
from fleet.runtime.assembly import vocabulary
from fleet.runtime.clocks import VirtualClock
from fleet.runtime.resources import resource_dir
from fleet.runtime.shard import wait_until
from fleet.runtime.simulation import Simulation, SimulationConfig
from fleet.runtime.virtual_loop import run_virtually
from fleet.scenario.schema import Scenario
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_link import simulated_links
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.wire.dialect import FleetDialect

BATCH_WAIT_S: Final = 5.0
"""Scenario time that what nobody waits for is collected before it is stored. Live it is 20 ms of wall time, which at the
usual factors is as long."""
SPIN_COST: Final = SpinCost(n=2, r=1, p=1)
"""The S-PINs of simulated users protect nothing, and a real cost would be all that a virtual run does."""
CATCH_UP_S: Final = 60.0

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class VirtualRun:
    """What a virtual run is made of. `emit` hears the simulation's progress."""

    scenario: Scenario
    store: Path
    emit: Emit
    until_stored: bool = False

    def run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run to the end; return the results of the simulation and of the back end."""
        schedule = Schedule(vocabulary().start_of(self.scenario))
        gc.freeze()
        return run_virtually(self._live(schedule), schedule)

    async def _live(self, schedule: Schedule) -> tuple[dict[str, Any], dict[str, Any]]:
        access = AccessControl.parse((resource_dir("broker") / "acl").read_text(encoding="utf-8"))
        network = SimulatedNetwork(SimulatedBroker(access=access), schedule)
        backend = Backend(self._backend(network, schedule))
        await backend.start()
        try:
            await wait_until(lambda: backend.connected, CATCH_UP_S)
            result = await self._simulate(network, schedule)
        finally:
            await backend.stop(quiet_s=2 * BATCH_WAIT_S, limit_s=CATCH_UP_S)
        return result, backend.snapshot().to_dict()

    def _backend(self, network: SimulatedNetwork, schedule: Schedule) -> BackendConfig:
        seed = self.scenario.seed
        return BackendConfig(
            store=self.store,
            links=simulated_links(network),
            pepper=b"a virtual run keeps no secret",
            make_clock=partial(VirtualClock, schedule),
            wall_us=lambda: schedule.now,
            draw=Draws(stream_key(seed, "backend"), "back-off").unit,
            spin_cost=SPIN_COST,
            username="backend",
            announce_stored=self.until_stored,
            batch_wait_s=BATCH_WAIT_S,
            open_store=BufferedStore,
        )

    async def _simulate(self, network: SimulatedNetwork, schedule: Schedule) -> dict[str, Any]:
        config = SimulationConfig(
            scenario=self.scenario,
            cars=simulated_links(network, username_as_client_id=True),
            tools=simulated_links(network),
            password_for=lambda _: None,
            dialect=FleetDialect(),
            until_stored=self.until_stored,
            schedule=schedule,
        )
        return await Simulation(config, partial(self._heard, network)).run()

    def _heard(self, network: SimulatedNetwork, message: dict[str, Any]) -> None:
        """Do to the broker what the scenario says, and pass the rest on."""
        if message["type"] == "broker":
            {"stop": network.stop, "start": network.start, "kill": network.kill}[message["do"]]()
        self.emit(message)
