"""Where a test's cars live: beside a real broker with time that is moved by hand, or in virtual time with a simulated one.

Both let things happen until a condition holds, and move the cars' time only as far as they are allowed to.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from fleet.backend.config import BackendConfig
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.write_buffer import IN_MEMORY
from fleet.errors import UsageError
from fleet.harness.backends import Launch
from fleet.harness.network import Network
from fleet.kernel.draws import stream_key
from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.kernel.schedule import Schedule
from fleet.runtime.access import Access
from fleet.runtime.backend_configs import live_backend, virtual_backend
from fleet.runtime.clocks import ScaledClock, SteppedClock, VirtualClock
from fleet.runtime.dialects import open_dialect
from fleet.runtime.limits import raise_open_files
from fleet.runtime.shard import Shard, wait_until
from fleet.runtime.stage import BrokerProcess, Stage
from fleet.runtime.virtual_loop import VirtualLoop
from fleet.runtime.virtual_network import VirtualNetwork
from fleet.transport.link import Endpoint, LinkFactory
from fleet.transport.proxy import FaultProxy
from fleet.transport.swarm_link import swarm_links
from fleet.wire.dialect import Dialect

T = TypeVar("T")
POLL_S: Final = 0.001
STEPS_PER_LOOK: Final = 50
"""Deadlines of cars that send nothing, after which the network is looked at all the same: somebody else may have sent."""
NETWORK_TIME: Final = 5 * SECOND
"""Virtual time that messages under way are given to arrive while the cars' time stands still."""


class Traffic(Protocol):
    """The traffic of the world on a stage: the stage waits until it is quiet."""

    def is_quiet(self) -> bool:
        """Whether nothing is under way that anybody here knows of."""
        ...

    def seen(self) -> int:
        """How many messages have been seen, of any kind: while it grows, things happen."""
        ...

    def caused(self) -> int:
        """How much was sent from here: while it stands, nothing can be under way that was not before."""
        ...

    async def barrier(self) -> bool:
        """Wait until all that the broker took before has been seen; tell whether it has."""
        ...

    def gave_up(self) -> None:
        """Take note that something under way has not arrived in time. Raises ExpectationFailed unless something explains it."""
        ...


async def nobody_to_tell(_vins: Sequence[str]) -> None:
    """Do nothing: the broker knows all cars, or asks no names."""


async def nothing_to_find_out() -> None:
    """Do nothing: the broker was started by us, and runs."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a broker is reached: `access` by links, `launch` by a back end in a process of its own.

    `find` raises LinkError for one that does not let us in. `admit` makes new cars known to it. `broker` is the broker itself,
    where it is ours to stop and kill. `car_links` makes the links of cars to `access.cars`, or to where a proxy stands for it;
    `encrypted` ones tell the proxy nothing.
    """

    access: Access
    find: Callable[[], Awaitable[None]] = nothing_to_find_out
    admit: Callable[[Sequence[str]], Awaitable[None]] = nobody_to_tell
    broker: BrokerProcess | None = None
    launch: Launch | None = None
    car_links: Callable[[Endpoint], LinkFactory] = swarm_links
    encrypted: bool = False


class SimulatedProcess:
    """The simulated broker as a process that can be stopped and killed."""

    def __init__(self, network: VirtualNetwork, loop: VirtualLoop) -> None:
        self._network = network
        self._loop = loop

    async def start(self) -> None:
        with self._loop.inside():
            self._network.control_broker("start")

    async def stop(self) -> None:
        with self._loop.inside():
            self._network.control_broker("stop")

    def kill(self) -> None:
        with self._loop.inside():
            self._network.control_broker("kill")

    def pause(self) -> None:
        with self._loop.inside():
            self._network.control_broker("pause")

    def resume(self) -> None:
        with self._loop.inside():
            self._network.control_broker("resume")


class WorldStage(Stage, Protocol):
    """A place for cars, back end and watcher; `shard` is set before time moves, and `clock_moved` is called after it has.

    `backend_deadline` says when something is due in the back end.
    """

    clock: ScaledClock
    shard: Shard
    clock_moved: Callable[[], None] | None
    backend_deadline: Callable[[], Instant | None] | None
    broker: BrokerProcess | None
    launch: Launch | None
    car_links: LinkFactory
    tool_links: LinkFactory
    password_for: Callable[[str], str | None]
    dialect: Dialect
    make_dialect: Callable[[], Dialect]
    """Makes another one: whoever reads has one of its own."""
    tells_clients: bool
    """Whether faults of the network know who is who, and packets from bytes."""
    slower_s: float
    """How much longer than usual the network may take for one thing, because of its faults."""

    def network(self) -> Network:
        """Return where the cars' network can be harmed. Raises UsageError where it cannot."""
        ...

    def inside(self) -> AbstractContextManager[None]:
        """Call parts only in here."""
        ...

    async def admit(self, vins: Sequence[str]) -> None:
        """Make new cars known to the broker."""
        ...

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await what a part does."""
        ...

    async def until(self, condition: Callable[[], bool], limit: Instant, traffic: Traffic) -> bool:
        """Let things happen until the condition holds or it is `limit`; tell which. With a limit of now the time stands."""
        ...

    async def wait(self, condition: Callable[[], bool], within_s: float | None = None) -> bool:
        """Let the network do what it has to until the condition holds; bounded, in wall time. Tell whether it does."""
        ...

    def backend_config(self, store: Path, seed: int) -> BackendConfig:
        """Return the configuration of our own back end on this stage."""
        ...


class LiveWorldStage:
    """Beside a real broker: the network's time is the wall's, the cars' is moved by hand."""

    clock_moved: Callable[[], None] | None = None
    backend_deadline: Callable[[], Instant | None] | None = None
    shard: Shard

    def __init__(
        self,
        reach: Reach,
        start: Instant,
        *,
        patience_s: float = 5.0,
        faults: bool = False,
        seed: int = 0,
        dialect: str | None = None,
    ) -> None:
        """Take how the broker is reached; `patience_s` is the wall time that the network may take for one thing.

        With `faults` cars connect through a proxy, with `seed` for what it leaves to chance.
        """
        raise_open_files()
        access = reach.access
        self.slower_s = 0.0
        self.tells_clients = not reach.encrypted
        self._proxy: FaultProxy | None = None
        cars = access.cars
        if faults and cars.tls is None:  # a certificate names the broker's address, and not the proxy's
            listener = socket.create_server(("127.0.0.1", 0))
            self._proxy = FaultProxy(cars, listener=listener, seed=seed)
            cars = replace(cars, host="127.0.0.1", port=listener.getsockname()[1])
        self.broker = reach.broker
        self.launch = reach.launch
        self._reach = reach
        self._settled_at = -1
        self._steps = 0
        self._clock = SteppedClock(start)
        self.clock: ScaledClock = self._clock
        self._patience_s = patience_s
        self.car_links = reach.car_links(cars)
        self.tool_links = access.consumer_links()
        self.password_for = access.password_for
        self.make_dialect: Callable[[], Dialect] = partial(open_dialect, dialect, access.prefix)
        self.dialect = self.make_dialect()

    async def start(self) -> None:
        if self._proxy is not None:
            await self._proxy.__aenter__()
        await self._reach.find()

    async def stop(self) -> None:
        if self._proxy is not None:
            await self._proxy.__aexit__()

    def network(self) -> Network:
        if self._proxy is None:
            raise UsageError(
                "the cars of this world are connected to the broker directly",
                hint="Ask for the fixture fleet_faults (or faults=True): then a proxy stands between them; but not before a "
                "broker of yours with TLS.",
            )
        return self._proxy

    def inside(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def admit(self, vins: Sequence[str]) -> None:
        await self._reach.admit(vins)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    async def until(self, condition: Callable[[], bool], limit: Instant, traffic: Traffic) -> bool:
        while not await self._happens(condition, traffic):
            now, at = self._clock.now(), self.shard.next_deadline()
            if now >= limit and (at is None or at > limit):
                return False
            until = limit if at is None else min(at, limit)
            due = None if self.backend_deadline is None else self.backend_deadline()
            if due is not None and now < due <= until:
                until = due
                self._settled_at = -1  # the back end does something then: look whether all of it has arrived
            self._move(until)
        return True

    async def wait(self, condition: Callable[[], bool], within_s: float | None = None) -> bool:
        patience_s = self._patience_s + self.slower_s if within_s is None else within_s
        return await wait_until(condition, patience_s, every_s=POLL_S)

    def _move(self, at: Instant) -> None:
        self._steps += 1
        self._clock.move_to(at)
        self.shard.wake_due(self._clock.now())
        if self.clock_moved is not None:
            self.clock_moved()

    async def _happens(self, condition: Callable[[], bool], traffic: Traffic) -> bool:
        """Wait until the condition holds, or nothing is left under way that could make it hold; tell which."""
        if condition():
            return True
        caused = traffic.caused()
        if caused == self._settled_at and self._steps % STEPS_PER_LOOK:
            return False
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._patience_s + self.slower_s
        while loop.time() < ends:
            if condition():
                return True
            if not traffic.is_quiet():
                await asyncio.sleep(POLL_S)
                continue
            seen = traffic.seen()
            if not await traffic.barrier():
                await asyncio.sleep(POLL_S)
                continue
            for _ in range(3):
                await asyncio.sleep(0)
            if traffic.is_quiet() and traffic.seen() == seen:
                self._settled_at = traffic.caused()
                return condition()
        if not condition():
            traffic.gave_up()
        return condition()

    def backend_config(self, store: Path, seed: int) -> BackendConfig:
        key, password = stream_key(seed, "backend"), self.password_for("backend")
        config = live_backend(store, self.tool_links, key=key, password=password, clock=self._clock)
        return replace(config, dialect=self.make_dialect())


class VirtualWorldStage:
    """In virtual time: a simulated broker and network, on the same schedule as the cars. No thread, no socket."""

    clock_moved: Callable[[], None] | None = None
    backend_deadline: Callable[[], Instant | None] | None = None
    launch: Launch | None = None
    shard: Shard

    def __init__(self, start: Instant, *, seed: int = 0, dialect: str | None = None) -> None:
        """Begin at `start`; what faults of the network leave to chance follows from the seed."""
        self.slower_s = 0.0
        self.tells_clients = True
        self._schedule = Schedule(start)
        self._loop = VirtualLoop(self._schedule)  # type: ignore[abstract]  # what needs an operating system is left out
        self.clock: ScaledClock = VirtualClock(self._schedule, start)
        self.make_dialect: Callable[[], Dialect] = partial(open_dialect, dialect)
        self.dialect = self.make_dialect()
        self._network = VirtualNetwork(self._schedule, seed=seed, topics=self.dialect.access)
        self.broker: BrokerProcess | None = SimulatedProcess(self._network, self._loop)
        self.car_links = self._network.car_links
        self.tool_links = self._network.tool_links
        self.password_for: Callable[[str], str | None] = lambda _user: None

    async def start(self) -> None:
        """Nothing runs outside of this object."""

    async def stop(self) -> None:
        """End nothing."""

    def network(self) -> Network:
        return self._network.faults()

    def inside(self) -> AbstractContextManager[None]:
        return self._loop.inside()

    async def admit(self, vins: Sequence[str]) -> None:
        """Do nothing: the simulated broker asks for no password."""

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    async def until(self, condition: Callable[[], bool], limit: Instant, traffic: Traffic) -> bool:
        """Let time jump to `limit` at most, until the condition holds; before it jumps, all that is under way arrives."""
        settled = self._schedule.now + self._patience()
        self._loop.run_while(lambda: not (condition() or traffic.is_quiet()), settled)
        if not (condition() or traffic.is_quiet()):
            traffic.gave_up()
        self._loop.run_while(lambda: not condition(), limit)
        return condition()

    async def wait(self, condition: Callable[[], bool], within_s: float | None = None) -> bool:  # noqa: ARG002  no wall here
        self._loop.run_while(lambda: not condition(), self._schedule.now + self._patience())
        return condition()

    def _patience(self) -> Duration:
        return NETWORK_TIME + round(self.slower_s * SECOND)

    def backend_config(self, store: Path, seed: int) -> BackendConfig:
        config = virtual_backend(store, self.tool_links, self._schedule, key=stream_key(seed, "backend"), clock=self.clock)
        return replace(config, dialect=self.make_dialect(), open_store=partial(SqliteStore, policy=IN_MEMORY))
