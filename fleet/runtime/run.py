"""`fleet run`: broker, back end and simulator as processes of their own, a live view, and the report at the end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from fleet.errors import FleetError, JournalError
from fleet.observe.journal import BACKEND_PART, JOURNAL, merge_journals
from fleet.observe.packing import packed
from fleet.runtime.access import ENDPOINT_FILE, SECRET_FILE_VARIABLE, Access, EndpointFile, write_endpoint
from fleet.runtime.assembly import vins
from fleet.runtime.broker_controller import BrokerController
from fleet.runtime.children import Child, ChildFailed
from fleet.runtime.credentials import SECRET_VARIABLE, FleetSecret
from fleet.runtime.fault_injector import FaultInjector, harms_network
from fleet.runtime.health import CpuMeter, cpu_us_of, monotonic_us
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.reaching import look_for, look_in
from fleet.runtime.reporting import compose_report, need_fresh, publish_report
from fleet.runtime.shard import wait_until
from fleet.runtime.verdicts import Verdicts, progress_figures
from fleet.runtime.view import View
from fleet.scenario.resolved import encode
from fleet.scenario.schema import Scenario
from fleet.transport.link import Endpoint
from fleet.transport.proxy import FaultProxy
from fleet.wire.topics import DEFAULT_PREFIX

BACKEND_READY_S: Final = 30.0
CATCH_UP_STALL_S: Final = 10.0
WAITS_EVERY_S: Final = 1.0
SECRET_FILE: Final = "secret"  # noqa: S105  the name of a file
SIMULATED_SPIN_COST: Final = 1 << 10
"""scrypt's n for the S-PINs of simulated users: they protect nothing, and a real cost would be the run's bottleneck."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `fleet run` was asked for. `broker` None is a private one; `passthrough` are options for both children.

    `access` is how a broker of the user's is reached, to find out at once whether it is there.
    """

    scenario: Scenario
    out: Path
    broker: str | None = None
    prefix: str = DEFAULT_PREFIX
    access: Access | None = None
    passthrough: tuple[str, ...] = ()
    for_simulator: tuple[str, ...] = ()
    with_backend: bool = True
    asks_desk: bool = False
    """Without a back end of ours: whether users ask the one under test, which answers as our desk does."""
    keep_sessions: bool = False
    journal: bool = True
    secret: FleetSecret | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """What tools need beside the addresses: ca, cert_dir, server_name, credentials, as far as there are."""


class RunBroken(FleetError):
    """The simulator died in mid-run: there is no account, and so no report; what was stored is in the store."""


class Run:
    """One run; `run` returns the report after writing it."""

    def __init__(self, config: RunConfig, view: View) -> None:
        """Take what was asked; nothing is started yet."""
        self._config = config
        self._view = view
        self._secret = config.secret or FleetSecret.new()
        self._stop = asyncio.Event()
        self._broken = ""
        self._controller: BrokerController | None = None
        self._faults: FaultInjector | None = None
        with_desk = config.with_backend or config.asks_desk
        self._verdicts = Verdicts(config.scenario, backend=config.with_backend, desk=with_desk)
        self._simulator: dict[str, Any] = {}
        self._backend: dict[str, Any] = {}
        self._backend_cpu: CpuMeter | None = None
        self._warned: set[str] = set()
        self._step = ""
        self._simulator_waits = ("", "")

    def interrupt(self) -> None:
        """End early, in order, with the report of what ran."""
        self._stop.set()

    @property
    def store(self) -> Path:
        """Where the back end of this run stores."""
        return self._config.out / "store.sqlite"

    async def run(self) -> dict[str, Any]:
        """Run the scenario to its end or to an interrupt.

        Raises FleetError when a part of it cannot start or dies, CancelledError when interrupted before the cars started.
        """
        config = self._config
        config.out.mkdir(parents=True, exist_ok=True)
        if config.with_backend:
            need_fresh(self.store)
        for part in self._journals():
            part.unlink(missing_ok=True)
        async with self._reachable_broker() as (cars, tools):
            with self._view:
                waits = asyncio.create_task(self._show_waits(), name="waits")
                try:
                    result = await self._run_processes(cars, tools)
                finally:
                    waits.cancel()
                self._merge_journals()
            report = compose_report(
                config.scenario,
                result=result,
                backend=self._backend,
                backend_cpu=self._backend_cpu.figures() if self._backend_cpu else {},
                store=self.store if config.with_backend else None,
                verdicts=self._verdicts,
                faults=None if self._faults is None else self._faults.counts(),
                broken=self._broken,
            )
            if self._broker is not None and report["verdict"] in {"failed", "invalid"}:
                shutil.copyfile(self._broker.log_path, config.out / "mosquitto.log")
        publish_report(config.out, report)
        return report

    async def _show_waits(self) -> None:
        while True:
            self._view.waits(*self._waits_for())
            await asyncio.sleep(WAITS_EVERY_S)

    def _waits_for(self) -> tuple[str, str]:
        """Return what is waited for and which, in words: by this process, by the simulator, or by the back end."""
        if self._step:
            return self._step, ""
        if self._simulator_waits[0]:
            return self._simulator_waits
        if not self._simulator:
            return "the simulator to start", ""
        if self._backend and not self._backend.get("connected", True):
            return "the back end to connect again", str((*self._backend.get("warnings", ()), "")[-1])
        return "", ""

    @contextlib.contextmanager
    def _waiting_for(self, what: str) -> Iterator[None]:
        """Show what this process waits for inside of the block."""
        self._step = what
        try:
            yield
        finally:
            self._step = ""

    def _journals(self) -> list[Path]:
        """Return where simulator and back end write their journals."""
        return [packed(self._config.out / JOURNAL), packed(self._config.out / BACKEND_PART)]

    def _merge_journals(self) -> None:
        """Make one journal of two; where that cannot be, both are kept."""
        if not (self._config.journal and self._config.with_backend):
            return
        whole, part = self._journals()
        try:
            merge_journals([whole, part], whole)
        except (JournalError, OSError) as error:
            self._view.say(f"warning: the journals of simulator and back end stay apart, {whole} and {part}: {error}")

    # --- processes

    @contextlib.asynccontextmanager
    async def _reachable_broker(self) -> AsyncIterator[tuple[str, str]]:
        """Give the addresses for cars and tools, of a private broker or of the user's."""
        self._broker: PrivateMosquitto | None = None
        if self._config.broker is not None:
            if self._config.access is not None:
                if self._config.with_backend:
                    await look_in(self._config.access)
                else:
                    await look_for(self._config.access, vins(self._config.scenario)[0])
            yield self._config.broker, self._config.broker
            return
        self._broker = PrivateMosquitto(secret=self._secret, vins=vins(self._config.scenario), prefix=self._config.prefix)
        async with self._broker:
            self._view.say(f"broker: private Mosquitto on {self._broker.cars} (cars) and {self._broker.tools} (tools)")
            async with (
                BrokerController(self._broker, self._view.say) as self._controller,
                self._harmed(self._broker.cars) as cars,
            ):
                yield str(cars), str(self._broker.tools)

    @contextlib.asynccontextmanager
    async def _harmed(self, cars: Endpoint) -> AsyncIterator[Endpoint]:
        """Give the address for cars: behind a proxy when the scenario does something to the network."""
        scenario = self._config.scenario
        if not harms_network(scenario):
            yield cars
            return
        async with FaultProxy(cars, seed=scenario.seed) as proxy:
            self._view.say(f"network: the cars connect to {proxy.endpoint}, a proxy in front of the broker")
            self._faults = FaultInjector(scenario, proxy, self._view.say)
            yield proxy.endpoint
            self._faults.tell()

    async def _run_processes(self, cars: str, tools: str) -> dict[str, Any]:
        backend = None
        try:
            self._write_secret()
            backend = await self._start_backend(tools) if self._config.with_backend else None
            simulator = await self._start_simulator(cars, tools)
            try:
                result = await self._wait_for_result(simulator, backend)
            finally:
                with self._waiting_for("the simulator to end"):
                    await simulator.end()
            if backend is not None and backend.is_running:
                await self._let_catch_up(backend, result)
        finally:
            if backend is not None:
                with self._waiting_for("the back end to end"):
                    await backend.end()
            for word in (ENDPOINT_FILE, SECRET_FILE):
                (self._config.out / word).unlink(missing_ok=True)
        return result

    async def _start_backend(self, tools: str) -> Child:
        config = self._config
        cost = SIMULATED_SPIN_COST if config.broker is None else None
        backend = await Child.start(
            "backend",
            [
                "backend", "--broker", tools, "--store", str(self.store), "--json", "--until-eof",
                *(["--spin-cost", str(cost)] if cost else []), *self._guest_options(), *config.passthrough,
                *(["--journal", str(self._journals()[1])] if config.journal else []),
            ],
            environment=self._environment(),
            listen=self._heard_backend,
        )  # fmt: skip
        try:
            with self._waiting_for("the back end to connect"):
                await self._or_stop(backend.wait_for("ready", BACKEND_READY_S))
        except BaseException:
            await backend.end()
            raise
        return backend

    def _guest_options(self) -> list[str]:
        """On a broker of the user's: a session of this run's own, that ends with it."""
        if self._config.broker is None:
            return []
        options = ["--client-id", f"backend-{secrets.token_hex(4)}"]
        return options if self._config.keep_sessions else [*options, "--end-session"]

    async def _start_simulator(self, cars: str, tools: str) -> Child:
        config = self._config
        self._leave_word(cars, tools)
        return await Child.start(
            "simulator",
            [
                "simulate", config.scenario.scenario, "--resolved", "--broker", cars, "--json", "--until-eof", "--no-state",
                *(["--tools-broker", tools] if config.with_backend or config.asks_desk else ["--no-backend"]),
                *(["--keep-sessions"] if config.keep_sessions else []),
                *config.passthrough, *config.for_simulator,
                *(["--journal", str(self._journals()[0])] if config.journal else []),
            ],
            environment=self._environment(),
            listen=self._heard_simulator,
            first_line=encode(config.scenario),
        )  # fmt: skip

    @property
    def _secret_file(self) -> Path:
        return (self._config.out / SECRET_FILE).resolve()

    def _environment(self) -> dict[str, str]:
        """Tell the children where the secret is: in their environment itself it would stand in what a crash leaves behind."""
        return {SECRET_FILE_VARIABLE: str(self._secret_file), SECRET_VARIABLE: ""}

    def _write_secret(self) -> None:
        self._secret_file.unlink(missing_ok=True)
        self._secret.write(self._secret_file)

    def _leave_word(self, cars: str, tools: str) -> None:
        """Let `fleet command` in another terminal find this run's desk."""
        write_endpoint(
            self._config.out,
            EndpointFile(
                cars=cars, tools=tools, prefix=self._config.prefix, secret_file=str(self._secret_file), **self._config.files
            ),
        )

    async def _or_stop(self, waiting: Any) -> Any:
        """Await, but raise CancelledError when the user interrupts."""
        task = asyncio.ensure_future(waiting)
        stopped = asyncio.create_task(self._stop.wait(), name="interrupt")
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise asyncio.CancelledError
            return task.result()
        finally:
            task.cancel()
            stopped.cancel()

    async def _wait_for_result(self, simulator: Child, backend: Child | None) -> dict[str, Any]:
        """Wait for the simulator's result; an interrupt, or the death of another part, asks it for the result so far."""
        result = asyncio.create_task(simulator.wait_for("result"), name="result")
        stopped = asyncio.create_task(self._stop.wait(), name="interrupt")
        watched = asyncio.create_task(self._watch(backend), name="watch processes")
        try:
            await asyncio.wait({result, stopped, watched}, return_when=asyncio.FIRST_COMPLETED)
            if watched.done():
                self._broken = watched.result()
                self._view.say(f"error: {self._broken}")
            if not result.done():
                simulator.interrupt()
            return await result
        except ChildFailed as error:
            if self._simulator:
                raise RunBroken(str(error), hint=error.hint) from error
            raise
        finally:
            for task in (result, stopped, watched):
                task.cancel()

    async def _watch(self, backend: Child | None) -> str:
        """Return in words that the broker or the back end has died under the run; until then, note the back end's CPU."""
        while True:
            await asyncio.sleep(0.5)
            if backend is not None and 0 < self._simulator.get("elapsed_share", 0) < 1:
                self._look_at_cpu(backend.pid)
            if self._controller is not None and self._controller.error is not None:
                return f"Mosquitto did not start again: {str(self._controller.error).partition(chr(10))[0]}"
            if self._broker is not None and self._broker.pid is None and not (self._controller and self._controller.holds_down):
                return "Mosquitto has ended during the run"
            if backend is not None and not backend.is_running:
                try:
                    await backend.wait_for("never")
                except ChildFailed as error:
                    return str(error).partition("\n")[0]

    def _look_at_cpu(self, pid: int) -> None:
        """Note it for the scenario's time: what connecting costs, and the wait for the last outcomes, are left out."""
        now_us, cpu_us = monotonic_us(), cpu_us_of(pid)
        if cpu_us is None:
            return
        if self._backend_cpu is None:
            self._backend_cpu = CpuMeter(now_us, cpu_us)
        self._backend_cpu.look(now_us, cpu_us)

    async def _let_catch_up(self, backend: Child, result: dict[str, Any]) -> None:
        """Give the back end time to store what the broker still holds for it, as long as it gets on."""
        wanted = result["account"]["acknowledged"]

        def done() -> int:
            quarantined: dict[str, int] = self._backend.get("quarantined", {})
            return int(self._backend.get("stored", 0)) + sum(quarantined.values())

        while (so_far := done()) < wanted and backend.is_running:
            self._simulator_waits = ("the back end to store what the broker took", f"{so_far} of {wanted}")
            if not await wait_until(lambda: done() > so_far or not backend.is_running, CATCH_UP_STALL_S, every_s=0.05):
                self._view.say("the back end has not stored everything the broker took; the difference is reported as lost")
                return

    def _heard_simulator(self, message: dict[str, Any]) -> None:
        if message["type"] == "progress":
            self._simulator = message
            figures = progress_figures(message, self._backend)
            self._verdicts.look(figures, message["elapsed_us"], message["scenario_time"])
            self._view.update(self._simulator, self._backend)
        elif message["type"] == "broker" and self._controller is not None:
            self._controller.do(message["do"])
        elif message["type"] == "network" and self._faults is not None:
            self._faults.do(message["step"], begins=message["begins"])
        elif message["type"] == "waits":
            self._simulator_waits = message["what"], message["detail"]
        elif message["type"] == "log":
            self._say_once(f"simulator: {message['text']}")

    def _heard_backend(self, message: dict[str, Any]) -> None:
        if message["type"] in {"progress", "result"}:
            self._backend = message
        elif message["type"] == "log":
            self._say_once(f"backend: {message['text']}")

    def _say_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < 1000:
            self._warned.add(text)
            self._view.say(text)
