"""The processes a fleet consists of, each runnable alone: broker, back end, simulator. Ends in order on a signal."""

from __future__ import annotations

import asyncio
import hmac
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from fleet.backend.mail.letter import Way
from fleet.backend.passwords import PasswordCost
from fleet.backend.service import Backend
from fleet.backend.spin import SpinCost
from fleet.errors import BrokerError, ConnectRefused, SubscribeRefused, UsageError
from fleet.observe.journal import NOT_YET, JournalWriter
from fleet.runtime.access import Access
from fleet.runtime.assembly import vocabulary
from fleet.runtime.backend_configs import live_backend
from fleet.runtime.clocks import wall_us
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.dialects import dialect_of
from fleet.runtime.executed import CommandMemory
from fleet.runtime.journalling import SIMULATOR, BackendRecorder, account_of_rows, backend_account, begin_of, begin_of_backend
from fleet.runtime.limits import look_for_garbage_rarely, need_open_files
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.people.mailboxes import FolderOfMails
from fleet.runtime.shard import wait_until
from fleet.runtime.signals import ending_signals
from fleet.runtime.simulation import Simulation, SimulationConfig, new_boot
from fleet.scenario.resolved import decode
from fleet.scenario.schema import Scenario
from fleet.transport.remarks import Remarks

PROGRESS_EVERY_S: Final = 0.5

Emit = Callable[[dict[str, Any]], None]

log = structlog.get_logger()


def stop_on_signals(*, until_eof: bool) -> asyncio.Event:
    """Return an event that SIGINT, SIGTERM and SIGHUP set, and (`until_eof`) the end of standard input: the parent is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), _stop_at_eof, stop)
    return stop


def _stop_at_eof(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def read_resolved_scenario() -> Scenario:
    """Read the scenario that the parent process writes as the first line of standard input, see `fleet.scenario.resolved`.

    Raises UsageError where that line is no scenario.
    """
    line = bytearray()
    while not line.endswith(b"\n"):  # not buffered: what follows is the end that `stop_on_signals` waits for
        piece = os.read(sys.stdin.fileno(), 65_536)
        if not piece:
            break
        line += piece
    try:
        return decode(bytes(line))
    except msgspec.DecodeError as error:
        raise UsageError(
            f"--resolved: standard input does not begin with a resolved scenario: {error}",
            hint="That is how fleet run starts its simulator: leave --resolved out, and name a scenario.",
        ) from None


async def run_backend(
    access: Access,
    store: Path,
    *,
    pepper: bytes,
    spin_cost: SpinCost,
    password_cost: PasswordCost,
    announce_stored: bool,
    client_id: str,
    end_session: bool,
    stop: asyncio.Event,
    emit: Emit,
    journal: Path | None = None,
    ways: Mapping[str, Way] | None = None,
) -> None:
    """Store what cars send and run the desk, until `stop`. Raises what the broker refuses and what the store cannot.

    `journal` is the file in which everything is written down that happens here; `ways` deliver mails and pushes, by channel.
    """
    look_for_garbage_rarely()
    config = replace(
        live_backend(store, access.consumer_links(), key=wall_us(), password=access.password_for("backend")),
        pepper=pepper,
        dialect=access.dialect(),
        spin_cost=spin_cost,
        password_cost=password_cost,
        announce_stored=announce_stored,
        client_id=client_id,
        ways=ways or {},
    )
    written = None if journal is None else JournalWriter(journal, begin_of_backend())
    hooks = None if written is None else BackendRecorder(written)
    backend = Backend(config if hooks is None else hooks.applied(config))
    if hooks is not None:
        hooks.follow(backend.clock.known_now)
    await backend.start()
    running = asyncio.create_task(backend.run(), name="backend")
    watching = asyncio.create_task(_watch_backend(backend, stop, emit, written), name="watch backend")
    try:
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        await backend.stop(quiet_s=0.3, end_session=end_session)
        await asyncio.gather(running, return_exceptions=True)
        if written is not None:
            account = backend_account(backend.snapshot()) | account_of_rows(backend)
            written.close(backend.scenario_time or NOT_YET, account)
    if watching.done() and not watching.cancelled():
        watching.result()
    emit({"type": "result", **backend.snapshot().to_dict(), "remarks": access.remarks.in_words()})


async def _watch_backend(backend: Backend, stop: asyncio.Event, emit: Emit, journal: JournalWriter | None) -> None:
    """Tell when it is ready and how it is doing; a refusal before it ever was connected is final, and so is a lost store."""
    ready = False
    while not stop.is_set():
        if backend.connected and not ready:
            ready = True
            emit({"type": "ready"})
        if not ready and isinstance(backend.last_error, ConnectRefused | SubscribeRefused):
            raise backend.last_error
        trouble = None if ready or backend.last_error is None else backend.last_error.to_plain()
        emit({"type": "progress", **backend.snapshot().to_dict(), "trouble": trouble})
        backend.look_at_store()
        if journal is not None:
            journal.flush()  # what the process may not live to write
        if ready:
            await wait_until(stop.is_set, PROGRESS_EVERY_S)
        else:
            await wait_until(lambda: stop.is_set() or backend.connected, PROGRESS_EVERY_S)


async def run_simulator(
    access: Access,
    scenario: Scenario,
    *,
    with_desk: bool,
    keep_sessions: bool,
    until_stored: bool,
    stop: asyncio.Event,
    emit: Emit,
    state: Path | None = None,
    journal: Path | None = None,
    mails: Path | None = None,
) -> dict[str, Any]:
    """Let the scenario's cars live against a broker until its end, or until `stop`; returns the result.

    `state` is the file in which commands outlive this process that cars have executed; `journal` the one in which everything is
    written down that cars and users do. The scenario's people read their mail in the folder `mails`.
    """
    need_open_files(scenario.cars)
    with CommandMemory(state) if state is not None else nullcontext() as memory:
        boot = new_boot(scenario, None)
        if memory is not None:
            boot = memory.new_boot(boot)
        written = None
        if journal is not None:
            start, remembers = vocabulary().start_of(scenario), memory is not None
            begin = begin_of(scenario, parts=(SIMULATOR,), start=start, boot=boot, until_stored=until_stored, remembers=remembers)
            written = JournalWriter(journal, begin)
        config = SimulationConfig(
            scenario=scenario,
            cars=access.car_links(),
            tools=access.tool_links() if with_desk else None,
            password_for=access.password_for,
            dialect=dialect_of(scenario, access.prefix),
            end_session=not keep_sessions,
            clear_presence=not keep_sessions,
            until_stored=until_stored,
            boot=boot,
            memory=memory,
            mailboxes=None if mails is None else FolderOfMails(mails),
            journal=written,
        )
        return await _simulate(config, access.remarks, stop, emit)


async def _simulate(config: SimulationConfig, remarks: Remarks, stop: asyncio.Event, emit: Emit) -> dict[str, Any]:
    simulation = Simulation(config, emit)
    look_for_garbage_rarely()  # to look through 2 000 cars again and again would stop the loop for 100 ms each time
    stopping = asyncio.create_task(_stop_simulation(simulation, stop), name="stop")
    try:
        result = await simulation.run()
    finally:
        stopping.cancel()
        if config.journal is not None:
            config.journal.close(simulation.clock.now(), simulation.shard.account())
    result["remarks"] = remarks.in_words()
    emit(result)
    return result


async def _stop_simulation(simulation: Simulation, stop: asyncio.Event) -> None:
    await stop.wait()
    simulation.stop()


async def run_broker(broker: PrivateMosquitto, *, stop: asyncio.Event, started: Callable[[PrivateMosquitto], None]) -> None:
    """Run a Mosquitto until `stop` or until it dies. Raises BrokerError."""
    async with broker:
        started(broker)
        await wait_until(lambda: stop.is_set() or broker.pid is None, float("inf"), every_s=0.1)
        if not stop.is_set():
            raise BrokerError(f"Mosquitto has ended:\n{broker.log_tail()}", hint="Its log is above.")


def pepper_of(secret: FleetSecret | None) -> bytes:
    """Return the pepper of the S-PIN hashes: it follows from the fleet's secret, and so stands outside the database."""
    return hmac.digest(b"fleet s-pin pepper", (secret.password_for("s-pin pepper") if secret else "").encode(), "sha256")
