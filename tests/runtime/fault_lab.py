"""A fleet under a fault: parked cars that are asked for statuses all the time, a broker, and one back end after another.

Knows to the message what the cars made, what the broker acknowledged, what is in the outboxes and what is stored.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend
from fleet.errors import LinkError, PublishRefused
from fleet.observe.journal import JournalWriter
from fleet.observe.report import Account
from fleet.runtime.assembly import build_cars, vins, vocabulary
from fleet.runtime.backend_configs import live_backend
from fleet.runtime.car_codec import status_writer_of
from fleet.runtime.children import Child
from fleet.runtime.clocks import ScaledClock, wall_us
from fleet.runtime.credentials import SECRET_VARIABLE, FleetSecret
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.shard import Shard, wait_until
from fleet.scenario.scalars import ClockFactor
from fleet.transport.link import BackOff, Delivery, Endpoint, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.proxy import FaultProxy
from fleet.transport.swarm_link import swarm_links
from fleet.vehicle.signals import AskStatus
from fleet.wire.fleet_dialect import FleetDialect
from tests.lab import Lab, LiveBroker
from tests.runtime.pure_lab import scenario

SEED: Final = 7
CARS: Final = 30
ASKED_PER_S: Final = 60.0
WITHIN_S: Final = 60.0
"""Longer than a car's longest back-off with a connect that times out behind it."""
LOOK_S: Final = 0.05
SHORTEST_SLEEP_S: Final = 0.005
MOST_AT_ONCE: Final = 100.0

Mode = Literal["stored", "puback"]
Message = tuple[str, int, int]
"""VIN, boot and number: what makes a message that one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known at the end, by the account of the product and to the message.

    `doomed` are the messages that the broker had acknowledged and that nobody could get from it any more, `doubtful`
    those that it acknowledged before the back end had subscribed again, or a moment later.
    """

    fault: str
    mode: Mode
    account: Account
    stored: frozenset[Message]
    missing: frozenset[Message]
    doomed: frozenset[Message]
    doubtful: frozenset[Message]
    twice: int
    """Rows of the store beyond the first of their message."""
    unknown: int
    """Rows of the store of messages that no car made."""


class Witness:
    """Notes what links tell their owners."""

    def __init__(self) -> None:
        self.ups: defaultdict[str, list[bool]] = defaultdict(list)
        """For each client, whether there was a session, connection by connection."""
        self.downs: defaultdict[str, list[str]] = defaultdict(list)
        """For each client, why its connection was lost or did not come about."""
        self.taken: set[tuple[str, int]] = set()
        """Client and token of what the broker acknowledged."""

    def beside(self, make: LinkFactory) -> LinkFactory:
        """Return a factory of the same links, whose owners are listened to."""

        def made(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:
            return make(settings, Witnessed(self, settings.client_id, owner), back_off)

        return made


class Witnessed:
    """An owner with a witness."""

    __slots__ = ("_client", "_owner", "_witness")

    def __init__(self, witness: Witness, client: str, owner: LinkOwner) -> None:
        self._witness = witness
        self._client = client
        self._owner = owner

    def link_up(self, session_present: bool) -> None:
        self._witness.ups[self._client].append(session_present)
        self._owner.link_up(session_present)

    def link_down(self, error: LinkError | None) -> None:
        if error is not None:
            self._witness.downs[self._client].append(str(error))
        self._owner.link_down(error)

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        if error is None:
            self._witness.taken.add((self._client, token))
        self._owner.link_acknowledged(token, error)

    def link_received(self, delivery: Delivery) -> None:
        self._owner.link_received(delivery)


class FaultLab:
    """Lives once: `run` sets all up, has the fault strike, lets what can still arrive arrive, and draws the balance."""

    def __init__(
        self,
        store: Path,
        mode: Mode,
        *,
        keep_alive_s: int = 60,
        proxied: bool = False,
        cars: int = CARS,
        asked_per_s: float = ASKED_PER_S,
        journal: JournalWriter | None = None,
        **plan: Any,
    ) -> None:
        """With `proxied`, cars and back end reach the broker through `proxies` of their own; `plan` says more of cars' links."""
        self.store = store
        self.mode: Mode = mode
        self.cars = cars
        self.asked_per_s = asked_per_s
        self.secret = FleetSecret.new()
        self.made = scenario(
            f"  - {{name: parked, count: {cars}, models: {{Born: 1}}, profile: parked}}\n",
            clock=ClockFactor.parse("real"),
            seed=SEED,
        )
        self.broker = PrivateMosquitto(secret=self.secret, vins=vins(self.made))
        self.proxies: list[FaultProxy] = []
        self.car_links = Witness()
        self.consumer_link = Witness()
        self.doomed: set[Message] = set()
        self.doubtful: set[Message] = set()
        self._keep_alive_s = keep_alive_s
        self._plan = plan
        self._journal = journal
        self._proxied = proxied
        self._boot = wall_us()
        self._shard: Shard | None = None
        self._back_end: Backend | None = None
        self._flowing = asyncio.Event()

    async def run(self, fault: str, strike: Callable[[FaultLab], Awaitable[None]]) -> Outcome:
        """Have the fault strike while messages flow; returns what became of each of them."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.broker)
            if self._proxied:
                for endpoint in (self.broker.cars, self.broker.tools):
                    self.proxies.append(await stack.enter_async_context(FaultProxy(endpoint)))
            self._shard = shard = self._make_shard()
            stack.push_async_callback(self.stop_back_end)
            await self.start_back_end()
            stack.push_async_callback(shard.stop)
            shard.connect()
            shard.run()
            await self.wait_for_all_up()
            flow = asyncio.create_task(self._flow(), name=f"statuses during: {fault}")
            stack.callback(flow.cancel)
            self._flowing.set()
            await self.let_flow(self.cars)
            await strike(self)
            await self._settle()
        return self._outcome(fault)

    # --- cars

    def _make_shard(self) -> Shard:
        start = vocabulary().start_of(self.made)
        until_stored = self.mode == "stored"
        dialect, clock, journal = FleetDialect(), ScaledClock(start), self._journal
        links = self.car_links.beside(swarm_links(self._through(0, self.broker.cars)))
        return Shard(
            clock=clock,
            cars=build_cars(
                self.made,
                start=start,
                boot=self._boot,
                until_stored=until_stored,
                write_status=status_writer_of(dialect, recorded=journal is not None),
            ),
            links=links,
            dialect=dialect,
            plan=LinkPlan(
                password_for=self.secret.password_for,
                keep_alive_s=self._keep_alive_s,
                end_session=True,
                until_stored=until_stored,
                **self._plan,
            ),
            record=None if journal is None else journal.write,
        )

    def _through(self, number: int, endpoint: Endpoint) -> Endpoint:
        return self.proxies[number].endpoint if self.proxies else endpoint

    @property
    def shard(self) -> Shard:
        """The cars."""
        assert self._shard is not None, "made by `run`"
        return self._shard

    async def _flow(self) -> None:
        """Ask one car after the other for its status, at a steady rate: several at once rather than fewer."""
        every_s = max(1 / self.asked_per_s, SHORTEST_SLEEP_S)
        due, last = 1.0, asyncio.get_running_loop().time()
        for held in itertools.cycle(self.shard.cars.values()):
            while due < 1 or not self._flowing.is_set():  # it may have been set and cleared again before this task ran
                await (asyncio.sleep(every_s) if self._flowing.is_set() else self._flowing.wait())
                now = asyncio.get_running_loop().time()
                due, last = min(due + (now - last) * self.asked_per_s, MOST_AT_ONCE), now
            held.put(AskStatus())
            due -= 1

    def ask(self, asked: Iterable[str]) -> None:
        """Ask these cars at once, so that a fault that strikes now meets messages that are under way."""
        for vin in asked:
            held = self.shard.cars[vin]
            held.put(AskStatus())
            assert held.car.outbox.in_outbox

    async def let_flow(self, count: int) -> None:
        """Return when the cars have made so many more messages."""
        wanted = self.shard.account()["created"] + count
        await self.wait_for(f"{count} more messages", lambda: self.shard.account()["created"] >= wanted)

    @asynccontextmanager
    async def stillness(self) -> AsyncIterator[None]:
        """Let no message flow for a moment; the broker has all of them."""
        self._flowing.clear()
        await self.wait_for("acknowledgement of all", lambda: self._account("acknowledged") == self._account("created"))
        yield
        self._flowing.set()

    def _account(self, name: str) -> int:
        return self.shard.account()[name]

    @property
    def up(self) -> int:
        """How many cars have a connection."""
        return sum(held.car.outbox.is_connected for held in self.shard.cars.values())

    @asynccontextmanager
    async def rivals(self) -> AsyncIterator[Lab]:
        """Yield what makes links that pass for the cars."""
        made = Lab(LiveBroker(self.broker, self.secret), swarm_links)
        try:
            yield made
        finally:
            await made.close()

    # --- broker

    async def kill_broker(self) -> None:
        """Kill it while no back end is there: what it has acknowledged and nobody has stored is doomed."""
        self.ask(self.shard.cars)
        self.broker.kill()
        await self.wait_for("end of all connections", lambda: self.up == 0)
        self.doom()

    def doom(self) -> None:
        """Note that nobody will get what is acknowledged and not stored at this moment."""
        self.doomed |= self.acknowledged() - set(self.rows())

    def doubt(self) -> None:
        """Note that what is acknowledged and not stored at this moment may have met a broker without subscribers."""
        self.doubtful |= self.acknowledged() - set(self.rows()) - self.doomed

    async def save_broker(self) -> None:
        """Have Mosquitto write down what it holds, as it does every half minute by itself."""
        assert self.broker.pid is not None
        saved = self.broker.log_path.read_text().count("Saving in-memory database")
        os.kill(self.broker.pid, signal.SIGUSR1)
        file = self.broker.folder / "mosquitto.db"
        await self.wait_for(
            "file of the broker",
            lambda: self.broker.log_path.read_text().count("Saving in-memory database") > saved and file.exists(),
        )

    async def restart_broker(self, setting: str, value: str) -> None:
        """Stop it in good order and start it with this one line changed in, or added to, what holds for cars."""
        await self.broker.stop()
        file = self.broker.folder / "mosquitto.conf"
        text, count = re.subn(rf"^{setting} .*$", f"{setting} {value}", file.read_text(), flags=re.MULTILINE)
        if not count:
            own = "use_username_as_clientid true\n"
            assert own in text, "only the listener of the cars has it"
            text = text.replace(own, f"{own}{setting} {value}\n")
        file.write_text(text)
        await self.broker.start()

    # --- back end

    async def start_back_end(self) -> None:
        """Start a back end in this process, and wait until it is connected."""
        links = self.consumer_link.beside(swarm_links(self._through(1, self.broker.tools)))
        config = live_backend(self.store, links, key=0, password=self.secret.password_for("backend"))
        self._back_end = Backend(
            replace(config, keep_alive_s=self._keep_alive_s, announce_stored=self.mode == "stored", echo=None)
        )
        await self._back_end.start()
        await self.wait_for("connected back end", lambda: self.back_end_is_up)

    async def stop_back_end(self, *, end_session: bool = False) -> None:
        """End it in good order; does nothing when there is none."""
        back_end, self._back_end = self._back_end, None
        if back_end is not None:
            await back_end.stop(end_session=end_session)

    @property
    def back_end_is_up(self) -> bool:
        """True while there is one, and it is connected."""
        return self._back_end is not None and self._back_end.connected

    async def start_back_end_process(self) -> Child:
        """Start `fleet backend`, to be killed by the caller, and wait until it is connected."""
        process = await Child.start(
            "back end",
            [
                "backend", "--broker", str(self._through(1, self.broker.tools)), "--store", str(self.store),
                "--delivery", self.mode, "--spin-cost", "2", "--json", "--until-eof",
            ],
            environment={SECRET_VARIABLE: self.secret.reveal(), "FLEET_SECRET_FILE": ""},
            listen=lambda _: None,
        )  # fmt: skip
        await process.wait_for("ready", WITHIN_S)
        return process

    # --- waiting

    async def wait_for(self, what: str, condition: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Return as soon as the condition holds; fail with what is known when it does not in time."""
        if not await wait_until(condition, within_s, every_s=LOOK_S):
            raise AssertionError(
                f"no {what} within {within_s:g} s; {self.up} cars are up, account {self.shard.account()}, "
                f"{len(self.rows())} rows, broker: {self.broker.log_tail(5)}"
            )

    async def wait_for_all_up(self) -> None:
        """Return as soon as all cars and the back end are connected."""
        await self.wait_for("connection of all", lambda: self.up == self.cars and self.back_end_is_up)

    async def _settle(self) -> None:
        """End the flow and let all that can still arrive arrive: the last message of each car comes after its others."""
        self._flowing.clear()
        await self.wait_for_all_up()
        await self.wait_for("empty outboxes", lambda: not self._account("in_outbox"))
        self.ask(self.shard.cars)
        last = {(vin, self._boot, held.car.outbox.created) for vin, held in self.shard.cars.items()}
        await self.wait_for("last messages in the store", lambda: last <= self.newest())
        await self.wait_for("empty outboxes at the end", lambda: not self._account("in_outbox"))

    # --- what is known to the message

    def created(self) -> set[Message]:
        """Return all that the cars made."""
        return {
            (vin, self._boot, seq)
            for vin, held in self.shard.cars.items()
            for seq in range(1, held.car.outbox.created + 1)
        }  # fmt: skip

    def acknowledged(self) -> set[Message]:
        """Return what the broker took, as the cars' links heard it; a presence has the number 0."""
        return {(vin, self._boot, seq) for vin, seq in self.car_links.taken if seq}

    def in_outboxes(self) -> set[Message]:
        """Return what the cars still hold."""
        return {
            (vin, self._boot, seq)
            for vin, held in self.shard.cars.items()
            for seq in held.car.outbox.open_seqs
        }  # fmt: skip

    def rows(self) -> list[Message]:
        """Return the messages in the store, row by row."""
        return self._select("SELECT vin, boot, seq FROM message")

    def newest(self) -> set[Message]:
        """Return the last message of each car that is in the store."""
        return set(self._select("SELECT vin, boot, high FROM sequence"))

    def duplicates(self) -> int:
        """Return how many messages came again after they were stored."""
        with StoreReader(self.store) as reader:
            return reader.account().duplicates

    def _select(self, sql: str) -> list[Message]:
        with closing(sqlite3.connect(self.store)) as connection:
            return connection.execute(sql).fetchall()

    def _outcome(self, fault: str) -> Outcome:
        created, rows, outboxes = self.created(), self.rows(), self.in_outboxes()
        stored = frozenset(rows)
        cars = self.shard.account()
        with StoreReader(self.store) as reader:
            store = reader.account({self._boot})
        account = Account(
            **{name: cars[name] for name in ("created", "published", "acknowledged", "dropped", "refused")},
            stored=store.stored,
            in_outbox=len(outboxes - stored),
            quarantined=store.quarantined_of_boots,
            duplicates=store.duplicates,
        )
        return Outcome(
            fault=fault,
            mode=self.mode,
            account=account,
            stored=stored,
            missing=frozenset(created - stored - outboxes),
            doomed=frozenset(self.doomed),
            doubtful=frozenset(self.doubtful),
            twice=len(rows) - len(stored),
            unknown=len(stored - created),
        )
