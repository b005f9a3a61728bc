"""The stage of a live run: broker, back end and simulator as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from fleet.errors import FleetError, JournalError, UsageError
from fleet.observe.journal import BACKEND_PART, JOURNAL
from fleet.observe.merging import merge_journals
from fleet.observe.packing import packed
from fleet.runtime.access import ENDPOINT_FILE, SECRET_FILE_VARIABLE, Access, EndpointFile, open_access, write_endpoint
from fleet.runtime.assembly import vins
from fleet.runtime.broker_acl import with_confirmations
from fleet.runtime.broker_controller import BrokerController
from fleet.runtime.children import Child, ChildDied, ChildFailed
from fleet.runtime.clocks import wall_us
from fleet.runtime.confirmations import Confirmations
from fleet.runtime.credentials import SECRET_VARIABLE, FleetSecret
from fleet.runtime.dialects import choices_of, dialect_of
from fleet.runtime.embedded_process import EmbeddedProcess
from fleet.runtime.fault_injector import harms_network
from fleet.runtime.health import CpuMeter, cpu_us_of, monotonic_us
from fleet.runtime.last_words import result_of_dead
from fleet.runtime.limits import run_fast
from fleet.runtime.mail_ways import NOWHERE, is_local, mail_folder
from fleet.runtime.mosquitto import PrivateMosquitto, has_mosquitto
from fleet.runtime.reaching import look_for, look_in
from fleet.runtime.run import Hear, Message, Played, Run, RunConfig
from fleet.runtime.shard import wait_until
from fleet.runtime.stage import FaultyNetwork
from fleet.runtime.view import View
from fleet.scenario.actions import BrokerAction
from fleet.scenario.resolved import encode
from fleet.transport.proxy import FaultProxy
from fleet.transport.reasons import SAME_CLIENT_ID
from fleet.wire.topics import DEFAULT_PREFIX

BACKEND_READY_S: Final = 30.0
CATCH_UP_STALL_S: Final = 10.0
WAITS_EVERY_S: Final = 1.0
WARNINGS_MOST: Final = 1000
"""Different warnings of processes that are shown."""
SECRET_FILE: Final = "secret"  # noqa: S105  the name of a file
QUICK: Final = ("--spin-cost", str(1 << 10), "--quick-passwords")
"""For hashes of simulated people: they protect nothing, and a real cost would be the run's bottleneck."""


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """How a live run reaches its broker; `broker` None is a private one: with `embedded` our own, else Mosquitto if there is one.

    `passthrough` are options for both children.

    `access` is how a broker of the user's is reached, to find out at once whether it is there. `files` are what tools need
    beside the addresses: ca, cert_dir, server_name, credentials, as far as there are.
    """

    broker: str | None = None
    embedded: bool = False
    prefix: str = DEFAULT_PREFIX
    access: Access | None = None
    passthrough: tuple[str, ...] = ()
    for_simulator: tuple[str, ...] = ()
    keep_sessions: bool = False
    secret: FleetSecret | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class RunBroken(FleetError):
    """The simulator gave up in mid-run, with an error of its own: there is no report; what was stored is in the store."""


class _PartDied(Exception):
    """A part of the run died before the simulator was there; `self._broken` says which."""


class LiveRunStage:
    """A run's stage of processes, in wall time: they end in order when it stops."""

    def __init__(self, config: RunConfig, options: LiveOptions, view: View) -> None:
        """Take the run and its broker; nothing is started yet. `view` shows what is waited for, and warnings."""
        self._config = config
        self._options = options
        self._view = view
        self._secret = options.secret or FleetSecret.new()
        self._running = contextlib.AsyncExitStack()
        self._stop = asyncio.Event()
        self._broker: PrivateMosquitto | EmbeddedProcess | None = None
        self._controller: BrokerController | None = None
        self._proxy: FaultProxy | None = None
        self._confirmations: Confirmations | None = None
        self._cars = self._tools = options.broker or ""
        self._simulator: Message = {}
        self._backend: Message = {}
        self._backend_cpu: CpuMeter | None = None
        self._warned: set[str] = set()
        self._broken = ""
        self._broker_died = False
        self._step = ""
        self._simulator_waits = ("", "")

    def execute(self, main: Coroutine[Any, Any, dict[str, Any]], signals: Iterable[int]) -> dict[str, Any]:
        """Run it on asyncio's loop, on the faster one where the proxy carries all bytes."""

        async def interruptible() -> dict[str, Any]:
            loop = asyncio.get_running_loop()
            for number in signals:
                loop.add_signal_handler(number, self.interrupt)
            return await main

        return run_fast(interruptible(), fast=harms_network(self._config.scenario))

    def interrupt(self) -> None:
        """End early, in order, with the result of what ran."""
        self._stop.set()

    # --- broker and network

    async def start(self) -> None:
        """Look for the user's broker, or start a private one; before that a proxy when the scenario harms the network."""
        try:
            if self._options.broker is None:
                await self._start_broker()
            elif self._options.access is not None:
                await self._look_for_broker(self._options.access)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop proxy and private broker."""
        await self._running.aclose()

    async def _look_for_broker(self, access: Access) -> None:
        if self._config.with_backend:
            await look_in(access)
        else:
            await look_for(access, vins(self._config.scenario)[0])

    async def _start_broker(self) -> None:
        scenario, say = self._config.scenario, self._view.say
        broker, kind = self._private_broker()
        self._broker = await self._running.enter_async_context(broker)
        say(f"broker: {kind} on {broker.cars} (cars) and {broker.tools} (tools)")
        self._controller = await self._running.enter_async_context(BrokerController(broker, say))
        self._cars, self._tools = str(broker.cars), str(broker.tools)
        if harms_network(scenario):
            self._proxy = await self._running.enter_async_context(FaultProxy(broker.cars, seed=scenario.seed))
            self._cars = str(self._proxy.endpoint)
            say(f"network: the cars connect to {self._cars}, a proxy in front of the broker")

    def _private_broker(self) -> tuple[PrivateMosquitto | EmbeddedProcess, str]:
        """Return the private broker and what it is, in words."""
        scenario, prefix = self._config.scenario, self._options.prefix
        topics = with_confirmations(dialect_of(scenario, prefix).access, self._config.confirm_topic)
        cars = vins(scenario)
        if self._options.embedded or not has_mosquitto():
            why = "" if self._options.embedded else "no Mosquitto is installed, so it is "
            return EmbeddedProcess(secret=self._secret, vins=cars, prefix=prefix, topics=topics), f"{why}the embedded one"
        return PrivateMosquitto(secret=self._secret, vins=cars, prefix=prefix, topics=topics), "private Mosquitto"

    def network(self) -> FaultyNetwork:
        """Return the proxy. Raises UsageError for a broker of the user's, which has none."""
        if self._proxy is None:
            raise UsageError("no proxy stands before a broker of yours", hint="Run it without --broker, on a private broker.")
        return self._proxy

    def control_broker(self, action: BrokerAction) -> None:
        """Do it to the private broker, after all that was asked before."""
        if self._controller is not None:
            self._controller.do(action)

    def save_logs(self, folder: Path) -> None:
        """Copy the private broker's log."""
        if self._broker is not None:
            shutil.copyfile(self._broker.log_path, folder / self._broker.log_path.name)

    # --- the scenario

    async def play(self, hear: Hear) -> Played:
        """Run back end and simulator to the scenario's end, and merge their journals.

        Raises ChildFailed for one that cannot start, RunBroken for a simulator that gives up later. One that dies, by a signal or
        without an error of its own, leaves its last progress as the result.
        """
        for part in self._journals():
            part.unlink(missing_ok=True)
        waits = asyncio.create_task(self._show_waits(), name="waits")
        try:
            await self._start_counting()
            result = await self._run_processes(hear)
        finally:
            if self._confirmations is not None:
                with self._waiting_for("the last confirmations"):
                    await self._confirmations.stop()
            waits.cancel()
        self._merge_journals()
        cpu = self._backend_cpu.figures() if self._backend_cpu else {}
        confirmed = None if self._confirmations is None else self._confirmations.to_plain()
        return Played(
            result=result, backend=self._backend, backend_cpu=cpu, broken=self._broken, broker_died=self._broker_died,
            confirmed=confirmed,
        )  # fmt: skip

    async def _start_counting(self) -> None:
        """Listen to what the back end under test confirms."""
        topic = self._config.confirm_topic
        if topic is None:
            return
        access = self._options.access or open_access(broker=self._tools, secret=self._secret, prefix=self._options.prefix)
        confirmations = Confirmations(
            access.consumer_links(), topic, username="tool", password=access.password_for("tool"), wall_us=wall_us
        )
        await confirmations.start()
        self._confirmations = confirmations

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

    async def _run_processes(self, hear: Hear) -> Message:
        backend = None
        try:
            self._write_secret()
            backend = await self._start_backend() if self._config.with_backend else None
            simulator = await self._start_simulator(hear)
            try:
                result = await self._wait_for_result(simulator, backend)
            finally:
                with self._waiting_for("the simulator to end"):
                    await simulator.end()
            if backend is not None and backend.is_running and not self._broker_died:
                await self._let_catch_up(backend, result)
        except _PartDied:
            result = self._result_so_far()
        finally:
            if backend is not None:
                with self._waiting_for("the back end to end"):
                    await backend.end()
            for word in (ENDPOINT_FILE, SECRET_FILE):
                (self._config.out / word).unlink(missing_ok=True)
        return result

    async def _start_backend(self) -> Child:
        config = self._config
        simulated = self._options.broker is None
        backend = await Child.start(
            "backend",
            [
                "backend", "--broker", self._tools, "--store", str(config.store), "--json", "--until-eof",
                *(QUICK if simulated else ()), *self._guest_options(), *self._shared_options(),
                *(word for choice in choices_of(config.scenario) for word in ("--dialect", choice)),
                *(["--journal", str(self._journals()[1])] if config.journal else []),
                *(["--mail", config.mail] if config.mail is not None else []), *(["--push", config.push] if config.push else []),
            ],
            environment=self._environment(),
            listen=self._heard_backend,
        )  # fmt: skip
        try:
            with self._waiting_for("the back end to connect"):
                await self._or_stop(self._until_ready(backend))
        except BaseException:
            await backend.end()
            raise
        return backend

    async def _until_ready(self, backend: Child) -> None:
        """Wait until it is connected. Raises _PartDied when it, or the private broker, dies meanwhile."""
        ready = asyncio.create_task(backend.wait_for("ready", BACKEND_READY_S), name="ready")
        watched = asyncio.create_task(self._watch(backend), name="watch processes")
        try:
            await asyncio.wait({ready, watched}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                self._note_death(watched.result())
                raise _PartDied
            ready.result()
        except ChildDied as error:
            self._note_death(str(error))
            raise _PartDied from error
        finally:
            ready.cancel()
            watched.cancel()

    def _note_death(self, text: str) -> None:
        """Show in words which part has died, and keep the first line of the first for the report."""
        self._view.say(f"error: {text}")
        self._broken = self._broken or text.partition("\n")[0]

    def _result_so_far(self) -> Message:
        return result_of_dead(self._simulator, self._config.scenario, until_stored=self._config.until_stored)

    def _guest_options(self) -> list[str]:
        """On a broker of the user's: a session of this run's own, that ends with it."""
        if self._options.broker is None:
            return []
        options = ["--client-id", f"backend-{secrets.token_hex(4)}"]
        return options if self._options.keep_sessions else [*options, "--end-session"]

    def _shared_options(self) -> list[str]:
        """Return the options of both children."""
        return [*self._options.passthrough, *(["--delivery", "stored"] if self._config.until_stored else [])]

    async def _start_simulator(self, hear: Hear) -> Child:
        config, options = self._config, self._options
        self._leave_word()
        return await Child.start(
            "simulator",
            [
                "simulate", config.scenario.scenario, "--resolved", "--broker", self._cars, "--json", "--until-eof", "--no-state",
                *(["--tools-broker", self._tools] if config.with_desk else ["--no-backend"]),
                *(["--keep-sessions"] if options.keep_sessions else []), *self._mailboxes(),
                *self._shared_options(), *options.for_simulator,
                *(["--journal", str(self._journals()[0])] if config.journal else []),
            ],
            environment=self._environment(),
            listen=partial(self._heard_simulator, hear),
            first_line=encode(config.scenario),
        )  # fmt: skip

    def _mailboxes(self) -> list[str]:
        """Tell where the people of the scenario find their mail, if that is here."""
        mail = mail_folder(self._config.store) if self._config.mail is None else self._config.mail
        is_read = self._config.scenario.people is not None and is_local(mail) and mail != NOWHERE
        return ["--read-mail", mail] if is_read else []

    @property
    def _secret_file(self) -> Path:
        return (self._config.out / SECRET_FILE).resolve()

    def _environment(self) -> dict[str, str]:
        """Tell the children where the secret is: in their environment itself it would stand in what a crash leaves behind."""
        return {SECRET_FILE_VARIABLE: str(self._secret_file), SECRET_VARIABLE: ""}

    def _write_secret(self) -> None:
        self._secret_file.unlink(missing_ok=True)
        self._secret.write(self._secret_file)

    def _leave_word(self) -> None:
        """Let `fleet command` in another terminal find this run's desk."""
        word = EndpointFile(
            cars=self._cars,
            tools=self._tools,
            prefix=self._options.prefix,
            secret_file=str(self._secret_file),
            **self._options.files,
        )
        write_endpoint(self._config.out, word)

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

    async def _wait_for_result(self, simulator: Child, backend: Child | None) -> Message:
        """Wait for the simulator's result; an interrupt, or the death of another part, asks it for the result so far."""
        result = asyncio.create_task(simulator.wait_for("result"), name="result")
        stopped = asyncio.create_task(self._stop.wait(), name="interrupt")
        watched = asyncio.create_task(self._watch(backend), name="watch processes")
        try:
            await asyncio.wait({result, stopped, watched}, return_when=asyncio.FIRST_COMPLETED)
            if watched.done():
                self._note_death(watched.result())
            if not result.done():
                simulator.interrupt()
            return await result
        except ChildFailed as error:
            if isinstance(error, ChildDied):
                self._note_death(str(error))
            if self._broken:
                return self._result_so_far()
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
                return f"the broker did not start again: {str(self._controller.error).partition(chr(10))[0]}"
            if self._broker is not None and not (self._controller and self._controller.holds_down):
                end = self._broker.end
                if end is not None:
                    self._broker_died = True
                    return f"the private broker {end} during the run, which the scenario does not say"
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

    async def _let_catch_up(self, backend: Child, result: Message) -> None:
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

    def _heard_simulator(self, hear: Hear, message: Message) -> None:
        if message["type"] == "progress":
            self._simulator = message
        elif message["type"] == "waits":
            self._simulator_waits = message["what"], message["detail"]
        elif message["type"] == "log":
            self._say_once("simulator", message["text"])
        hear(message, self._backend)

    def _heard_backend(self, message: Message) -> None:
        if message["type"] in {"progress", "result"}:
            self._backend = message
        elif message["type"] == "log":
            self._say_once("backend", message["text"])

    def _say_once(self, part: str, logged: str) -> None:
        """Show a line that a part has logged; nobody but its own clients uses a private broker."""
        text = f"{part}: {logged if self._broker is None else logged.replace(f' {SAME_CLIENT_ID}', '')}"
        if text not in self._warned and len(self._warned) < WARNINGS_MOST:
            self._warned.add(text)
            self._view.say(text)


def live_run(config: RunConfig, view: View, *, options: LiveOptions) -> Run:
    """Return a run in wall time."""
    return Run(config, LiveRunStage(config, options, view), view)
