"""A world for tests: cars, a broker, a back end if wanted, a watcher, a journal; time in the hands of the test.

`async with virtual_world() as world:` or `live_world(broker)`; the pytest plugin makes the same from fixtures.
"""

from __future__ import annotations

import contextlib
import inspect
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Never

from fleet import __version__
from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend
from fleet.checks.verification import verify
from fleet.errors import JournalError, UnknownName, UsageError
from fleet.harness.backends import BackendHere, BackendProcess, OwnBackend
from fleet.harness.car import HarnessCar
from fleet.harness.clock import HarnessClock
from fleet.harness.durations import wall_s
from fleet.harness.errors import ExpectationFailed, InvariantBroken
from fleet.harness.faults import Faults
from fleet.harness.gate import Gate
from fleet.harness.inboxes import Inboxes
from fleet.harness.mailbox import HarnessMailbox
from fleet.harness.making import ModelCar
from fleet.harness.matching import Matcher, as_matcher
from fleet.harness.people import HarnessPeople, HarnessPerson, Role, SentRequest
from fleet.harness.stages import LiveWorldStage, Reach, VirtualWorldStage, WorldStage
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import AnyCar
from fleet.harness.user import User
from fleet.harness.watcher import Asker, Watcher
from fleet.kernel.instants import Instant, from_datetime
from fleet.observe.journal import JOURNAL, Begin, JournalReader, JournalWriter
from fleet.observe.story import CAR, stories
from fleet.runtime.dialects import foreign_name, open_dialect
from fleet.runtime.journalling import BACKEND, SIMULATOR, BackendRecorder
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.people.mailboxes import PostOffice
from fleet.runtime.people.person import Manner
from fleet.runtime.shard import Shard
from fleet.scenario.schema import RegionChoice
from fleet.vehicle.car import Car
from fleet.vehicle.driver import Profile
from fleet.vehicle.regions import region_of
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import PowerOn
from fleet.wire.dialect import intervals_of
from fleet.wire.messages import AnnounceClock, DeskRequest
from fleet.wire.topics import Topics

MONDAY: Final = from_datetime(datetime(2026, 3, 2, 7, 0, tzinfo=UTC))
"""When a world begins unless the test says otherwise: 8 h in Munich."""
FIRST: Final = from_datetime(datetime(1971, 1, 1, tzinfo=UTC))
LAST: Final = from_datetime(datetime(9000, 1, 1, tzinfo=UTC))
"""Between them a world can begin."""
STORY_RECORDS: Final = 25
BACKENDS: Final = (True, False, "process")
PATIENCE_S: Final = 5.0
GIVEN_UP_S: Final = 1.5
"""A car gives its connection up when a PUBLISH waits so long for its PUBACK; well within the patience of a test."""
TRUE: Final = Matcher("anything true", bool)


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """Settings of a world.

    `backend`: our own within this process, "process" for one that can be killed, False for none. With `until_stored` cars keep
    messages until it has stored them. `dialect` is theirs, by its name or file, None for our own. With `faults` cars beside a
    real broker connect through a proxy, so that their network can be harmed. `reproduce` is the line that runs the same test
    again; `folder` keeps journal and store.
    """

    seed: int = 1
    start: Instant = MONDAY
    backend: bool | Literal["process"] = True
    until_stored: bool = False
    dialect: str | None = None
    faults: bool = False
    checks: bool = True
    folder: Path | None = None
    reproduce: str = ""
    region: RegionChoice = "munich"

    def __post_init__(self) -> None:
        """Raises UsageError for what means nothing."""
        if not isinstance(self.seed, int):
            raise UsageError(f"the seed is {self.seed!r}", hint="A seed is a whole number.")
        if not (isinstance(self.start, int) and FIRST <= self.start <= LAST):
            hint = "An instant is in µs since 1970 UTC, such as from_datetime(…) of fleet.kernel.instants; from 1971 to 9000."
            raise UsageError(f"the start is {self.start!r}", hint=hint)
        if self.backend not in BACKENDS:
            raise UnknownName("kind of back end", str(self.backend), map(str, BACKENDS))
        region_of(self.region)
        if self.until_stored and not open_dialect(self.dialect).says_stored:
            hint = "Leave until_stored out, or give the mapping file a `confirm` with `cumulative: true`."
            raise UsageError(f"in the dialect {self.dialect!r} no back end can say what it has stored", hint=hint)


class World:
    """Everything a test has; made by `virtual_world` and `live_world`."""

    def __init__(self, stage: WorldStage, settings: WorldSettings, folder: Path) -> None:
        """Put the parts together; nothing is connected before `open`. Raises UsageError."""
        if settings.backend == "process" and stage.launch is None:
            raise UsageError("a back end in a process of its own needs a real broker", hint='Leave mode="virtual" out.')
        self.stage = stage
        self.steps = Steps()
        self.faults = Faults(self)
        self.clock = HarnessClock(self)
        self.user = User(self)
        self._office = PostOffice() if settings.backend is True else None
        self.people = HarnessPeople(self, self._office, seed=settings.seed)
        self.folder = folder
        self.settings = settings
        self.seed = settings.seed
        self.cars: list[HarnessCar] = []
        self.journal_path = folder / JOURNAL
        self.failed = False
        self.keeps_journal = True
        """Whether the journal of a test that failed is kept."""
        self._opening = False
        self._closed = False
        self._moving = False
        self._ids = 0
        self._boot = stage.clock.wall_us()
        parts = (SIMULATOR, BACKEND) if settings.backend is True else (SIMULATOR,)
        begin = Begin(
            t=settings.start, m="run", k="begin", version=__version__, parts=parts, seed=settings.seed, start=settings.start,
            boot=self._boot, clock="by hand", until_stored=settings.until_stored,
            dialect=foreign_name(stage.dialect),
        )  # fmt: skip
        self._journal = JournalWriter(self.journal_path, begin)
        self.inboxes = Inboxes()
        self.gate = Gate(stage.car_links)
        plan = LinkPlan(
            password_for=stage.password_for, will_delay_s=1, first_back_off_s=0.1, longest_back_off_s=0.5,
            acknowledge_timeout_s=GIVEN_UP_S, end_session=True, clear_presence=True, until_stored=settings.until_stored,
        )  # fmt: skip
        self.shard = stage.shard = Shard(
            clock=stage.clock,
            cars=(),
            links=self.gate,
            dialect=stage.dialect,
            plan=plan,
            record=self._journal.write,
            arrives=self.inboxes.arrived,
        )
        name = f"{self._boot:x}"
        self.watcher = Watcher(stage.tool_links, stage.make_dialect(), password=stage.password_for("backend"), name=name)
        self.asker = Asker(stage.tool_links, stage.dialect, password=stage.password_for("tool"), name=name)
        self._backend = self._make_backend()
        if self._backend is not None:
            stage.clock_moved, stage.backend_deadline = self._backend.look_at_clock, self._backend.deadline

    def _make_backend(self) -> OwnBackend | None:
        settings, store = self.settings, self.folder / "store.sqlite"
        if not settings.backend:
            return None
        if settings.backend == "process":
            launch = self.stage.launch
            assert launch is not None, "looked at before"
            if settings.dialect is not None:
                launch = replace(launch, arguments=(*launch.arguments, "--dialect", settings.dialect))
            return BackendProcess(launch, store, until_stored=settings.until_stored, clock_moved=self._tell_time)
        hooks = BackendRecorder(self._journal, before=settings.start)
        hooks.follow(self.stage.clock.now)
        config = replace(self.stage.backend_config(store, settings.seed), announce_stored=settings.until_stored)
        if self._office is not None:
            config = replace(config, ways=self._office.before(config.ways))
        return BackendHere(Backend(hooks.applied(config)), store)

    def _tell_time(self) -> None:
        """Tell a back end that cannot see it what the cars' time is; it goes on from there by itself."""
        clock = self.stage.clock
        wall_us = clock.wall_us()
        self.asker.ask(AnnounceClock(id=self.new_id("clock"), start=clock.now(), epoch_wall_us=wall_us, factor=1.0))

    # --- life

    async def open(self) -> None:
        """Connect back end and watcher, and let the cars' time be moved."""
        await self.stage.start()
        with self.stage.inside():
            self.watcher.link.open()
            if self._backend is not None:
                self.asker.link.open()
        if self._backend is not None:
            await self.stage.run(self._backend.start())
        with self._connecting():
            connected = await self.until(self.is_connected, self.now)
        if not connected:
            refusal = self.watcher.refusal or (self._backend.last_error if self._backend is not None else None)
            raise refusal or UsageError("the broker does not answer", hint="Is it running?")
        with self.stage.inside():
            self.shard.run()

    @contextlib.contextmanager
    def _connecting(self) -> Iterator[None]:
        """Let others connect; who does so tells what became of it."""
        self._opening = True
        try:
            yield
        finally:
            self._opening = False

    def is_connected(self) -> bool:
        """Whether all who listen have their connection: the watcher, and our back end with its users."""
        if self._backend is not None and not (self._backend.connected and self.asker.link.is_up):
            return False
        return self.watcher.link.is_up

    async def close(self) -> None:
        """Disconnect all, close the journal, and hold it against the checks. Raises InvariantBroken. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self.steps.check()
        finally:
            await self.faults.mend()
            await self.stage.run(self.shard.stop())
            account = self.shard.account()
            if self._backend is not None:
                account |= await self.stage.run(self._backend.stop())
            await self.stage.run(self.watcher.link.close(end_session=True))
            await self.stage.run(self.asker.link.close(end_session=True))
            await self.stage.stop()
            self._journal.close(self.now, account)
        if self.settings.checks and not self.failed:
            self._verify()

    def _verify(self) -> None:
        found = verify(self.journal_path, {car.vin: car.equipment for car in self.cars})
        if found.holds:
            return
        self.failed = True
        lines = ["a rule that must always hold is broken:"]
        for finding in found.findings:
            for breach in finding.breaches:
                lines += [
                    f"  {breach.check}: {breach.told} ({breach.subject}, line {breach.line})",
                    *self._story(breach.machine, breach.line),
                ]
        raise InvariantBroken("\n".join([*lines, *self._where()]))

    # --- time

    @property
    def now(self) -> Instant:
        """The cars' time in µs since 1970 UTC."""
        return self.stage.clock.now()

    async def until(self, condition: Callable[[], bool], limit: Instant) -> bool:
        """Let things happen until the condition holds, the cars' time moving to `limit` at most; tell whether it does.

        Raises UsageError after the test, and within another step: time is moved by one at a time.
        """
        self.must_be_open()
        if self._moving:
            raise UsageError("another step is under way", hint="Of several steps one is awaited after the other.")
        self._moving = True
        try:
            return await self.stage.until(condition, limit, self)
        finally:
            self._moving = False
            self._journal.flush()  # who looks at the file within the test finds what has happened

    def must_be_open(self) -> None:
        """Raise UsageError after the test: its cars live no longer."""
        if self._closed:
            raise UsageError("this test is over, and its cars with it", hint="Ask for cars of its own in each test.")

    async def settle(self) -> None:
        """Let all that is under way arrive and be seen; the cars' time stands.

        That cars have their acknowledgements is not enough: a broker may hand on later what it has taken.
        """
        await self.until(lambda: False, self.now)

    # --- for a back end of the user's

    @property
    def prefix(self) -> str:
        """The topic prefix of this world, which no other has."""
        return self.topics.prefix

    @property
    def topics(self) -> Topics:
        """All topics of this world, such as `topics.status(car.vin)`. Raises UsageError in a dialect with topics of its own."""
        topics = self.stage.dialect.topics
        if not isinstance(topics, Topics):
            raise UsageError(
                f"the topics of the dialect {self.stage.dialect.name!r} have no such names",
                hint="Write them as your back end does: `fleet dialect show` lists them.",
            )
        return topics

    @step
    async def eventually(self, look: Callable[[], Any], expected: Any = TRUE, *, within_s: float = PATIENCE_S) -> Any:
        """Return what `look` returns, as soon as it is as expected: a value, a matcher, or (left out) anything true.

        For what a back end of the user's does in its own time: at most `within_s` of wall time, while the cars' time stands.
        A LookupError of `look` means that it is not there yet.
        """
        wanted, found = as_matcher(expected), None

        def fits() -> bool:
            """Look once more, and keep what is found for the error."""
            nonlocal found
            try:
                found = look()
            except LookupError as error:
                found = error
                return False
            if inspect.isawaitable(found):
                raise UsageError("what is looked at must be awaited first", hint="Give a function that returns a value at once.")
            return wanted.holds(found)

        if not await self.stage.wait(fits, wall_s(within_s)):
            told = f"after {within_s:g} s it is still {found!r}; expected: {wanted!r}"
            self.fail(told, self.cars[0] if len(self.cars) == 1 else None)
        return found

    # --- what a stage asks

    def is_quiet(self) -> bool:
        """Whether nothing is under way: no message of a connected car, no connection coming, nothing in our back end.

        While the broker is down nothing can be.
        """
        if self._opening and not self.is_connected():
            return False
        if not self.faults.broker_works:
            return True
        if not self.watcher.link.is_up:
            return False
        backend = self._backend
        waits = self.asker.waits_for_desk(self.watcher.ended)
        if backend is not None and backend.is_storing and (waits or not backend.is_idle):
            return False
        return not any(self._is_under_way(held.car) for held in self.shard.cars.values()) and not self.faults.network_carries

    def _is_under_way(self, car: Car) -> bool:
        """Whether a message of a car is on the way, or its connection, and can arrive."""
        outbox = car.outbox
        if not outbox.is_connected:
            coming = outbox.wants_connection
        elif self._backend is not None and not self._backend.is_storing:
            coming = outbox.in_outbox > outbox.unstored
        else:
            coming = outbox.is_sending
        return coming and not self.faults.cuts_off(car.vin, connected=outbox.is_connected)

    def seen(self) -> int:
        """How many messages came through."""
        return self.watcher.seen + self.asker.seen + (self._backend.arrived if self._backend is not None else 0)

    def caused(self) -> int:
        """How much cars and users sent."""
        return self.gate.activity + self._ids

    async def barrier(self) -> bool:
        """See all that the broker took so far; one that does not work hands on nothing."""
        return not self.faults.broker_works or await self.watcher.barrier()

    def gave_up(self) -> None:
        """Fail, unless who connects tells it himself or a fault of the network explains it: nothing can be expected any more."""
        if self._opening or self.faults.network_is_harmed:
            return
        if not self.watcher.link.is_up:
            self.fail(
                f"the broker is gone, and no step of this test has ended it: {self.watcher.refusal or 'it does not answer'}"
            )
        late = next((car for car in self.cars if self._is_under_way(car.simulated)), None)
        told = "the broker or our back end has not done what it was given"
        if late is not None:
            if self._backend is None and late.is_connected and late.in_outbox <= late.simulated.outbox.unstored:
                return  # a back end of the user's has not stored it, in its own time
            told = f"{late.vin} is still {late.connection}, with {late.in_outbox} of its messages on the way"
        self.fail(f"after {PATIENCE_S:g} s {told}", late)

    # --- cars and requests

    @step
    async def car(
        self,
        /,
        model: str = "Leon",
        energy: str | None = None,
        *,
        at: tuple[float, float] | None = None,
        fuel_percent: float | None = None,
        charge_percent: float | None = None,
        odometer_km: float | None = None,
        plugged_in: bool = False,
        profile: Profile = "parked",
        settings: CarSettings | None = None,
        switched_on: bool = True,
        **equipment: object,
    ) -> HarnessCar:
        """Add a car that stands at a place (None: the middle of its region) with its engine off; it connects before this returns.

        `energy` is the first of the model's unless it is given (petrol, or electric). `equipment` are fields of `Equipment`,
        such as parking_heater=True; what the test does not say is drawn. With the profile parked (default) its driver does only
        what the test says. With `switched_on` False it has no connection yet.
        """
        model_car = ModelCar(
            model=model, energy=energy, at=at, fuel_percent=fuel_percent, charge_percent=charge_percent, odometer_km=odometer_km,
            plugged_in=plugged_in, profile=profile, settings=settings, equipment=equipment,
        )  # fmt: skip
        return (await self._join([model_car], switched_on=switched_on))[0]

    @step
    async def add_cars(
        self, /, count: int, model: str = "Leon", energy: str | None = None, *, switched_on: bool = True, **words: Any
    ) -> list[HarnessCar]:
        """Add many alike, which connect together; the words are those of `car`."""
        if not (isinstance(count, int) and count > 0):
            raise UsageError(f"{count!r} cars cannot be added", hint="One or more can be.")
        known = {name: words.pop(name) for name in list(words) if name in ModelCar.__slots__}
        return await self._join([ModelCar(model=model, energy=energy, **known, equipment=words)] * count, switched_on=switched_on)

    async def _join(self, wanted: Sequence[ModelCar], *, switched_on: bool = True) -> list[HarnessCar]:
        self.must_be_open()
        made: list[HarnessCar] = []
        for model_car in wanted:
            car = model_car.make(
                len(self.cars) + len(made), seed=self.seed, boot=self._boot, now=self.now, region=region_of(self.settings.region),
                until_stored=self.settings.until_stored, intervals=intervals_of(self.stage.dialect),
            )  # fmt: skip
            made.append(HarnessCar(self, self.shard.add_car(car)))
        self.cars += made
        await self.stage.admit([each.vin for each in made])
        if switched_on:
            for each in made:
                each.put(PowerOn())
            with self._connecting():
                await self.settle()
            if self.faults.broker_works and not all(each.is_connected for each in made if each.simulated.outbox.has_coverage):
                raise self.shard.first_error or UsageError("a car does not connect", hint="Is the broker running?")
        return made

    # --- people

    @step
    async def person(
        self,
        /,
        name: str,
        role: Role | None = None,
        car: HarnessCar | None = None,
        *,
        language: str = "en",
        country: str = "DE",
        verified: bool = True,
        registered: bool = True,
        allowed: Sequence[str] | None = None,
        licence_age: str | float = 0,
    ) -> HarnessPerson:
        """Add somebody with an account, as a user of a car (None: the only one) or of none.

        A car whose first person is no primary user gets one beside. `verified` by a dealer; `allowed` are the services that the
        primary user allows an additional one. The free licences of a primary user's car began `licence_age` ago.
        """
        manner = Manner(language=language, country=country, verified=verified, registered=registered)
        return await self.people.join(name, role, car, manner, allowed=allowed, licence_age=licence_age)

    def mailbox(self, person: HarnessPerson) -> HarnessMailbox:
        """Return what a person was sent."""
        return self.people.mailbox(person)

    def service(self, service: str, action: str, car: HarnessCar | None = None, **data: Any) -> SentRequest:
        """Ask a service of the back end as a trusted tool, and return at once."""
        return self.people.service(service, action, car, data)

    def new_id(self, what: str) -> str:
        """Return an id for a request, no other has it."""
        self._ids += 1
        return f"{what}-{self._boot:x}-{self._ids}"

    def ask(self, request: DeskRequest) -> None:
        """Send to the desk. Raises UsageError without our back end, and after the test."""
        self.must_be_open()
        if self._backend is None:
            raise UsageError(
                "commands of users go through the desk of our back end, and this world has none",
                hint="Ask for the fixture fleet_backend (or backend=True), or send the command from your own back end.",
            )
        with self.stage.inside():
            self.asker.ask(request)

    # --- the back end

    def _own_backend(self) -> OwnBackend:
        if self._backend is None:
            raise UsageError("this world has no back end of ours", hint="Ask for the fixture fleet_backend (or backend=True).")
        return self._backend

    async def kill_backend(self) -> None:
        """End our back end at once. Raises UsageError for one that cannot be killed."""
        await self._own_backend().kill()

    def limit_disk(self, *, full: bool) -> None:
        """Let our back end find no room for what it writes, or room again. Raises UsageError where that cannot be."""
        self._own_backend().limit_disk(full=full)

    async def start_backend(self) -> None:
        """Run it again on its store, and let what waited arrive."""
        await self.stage.run(self._own_backend().start())
        await self.settle()

    def reader(self) -> StoreReader:
        """Open the store of our back end. Raises UsageError without one."""
        return self._own_backend().reader()

    # --- failing

    def fail(self, told: str, car: AnyCar | None = None) -> Never:
        """Raise ExpectationFailed with the story of the car, the seed, and how to see it again."""
        self.failed = self.failed or self._closed  # before its end a test may expect this, and then has not failed
        self._journal.flush()
        story = [] if car is None else self._story(CAR + car.vin, None)
        raise ExpectationFailed("\n".join([told, *story, *self._where()]))

    def about_failure(self) -> str:
        """Return what to know of a test that failed otherwise: the story of its car, the seed, how to see it again."""
        self._journal.flush()
        story = self._story(CAR + self.cars[0].vin, None) if len(self.cars) == 1 else []
        return "\n".join([*story, *self._where()])

    def _story(self, machine: str, line: int | None) -> list[str]:
        """Return the last records of a machine; without a journal, the reason why there is none."""
        try:
            last = line if line is not None else sum(1 for _ in JournalReader(self.journal_path))
            told = stories(self.journal_path, [(machine, last)], records=STORY_RECORDS)[0]
        except (OSError, JournalError) as error:
            return [f"  the journal cannot be read: {error}"]
        return [f"  the last of {machine.removeprefix(CAR)}:", *(f"    {each}" for each in told)]

    def _where(self) -> list[str]:
        lines = [f"  seed {self.seed}; the journal is kept: {self.journal_path}"]
        return [*lines, f"  again: {self.settings.reproduce}"] if self.settings.reproduce else lines


@contextlib.asynccontextmanager
async def _entered(make: Callable[[Path], World], settings: WorldSettings) -> AsyncIterator[World]:
    """Open a world and close it; its folder stays only when something went wrong, or it was the user's."""
    folder = settings.folder or Path(tempfile.mkdtemp(prefix="fleet-test-"))
    opened = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        world = make(folder)
        try:
            await world.open()
            opened = True
            yield world
        except BaseException:
            world.failed = True
            with contextlib.suppress(UsageError, InvariantBroken):
                await world.close()
            raise
        await world.close()
    finally:
        if settings.folder is None and not (opened and world.failed and world.keeps_journal):
            shutil.rmtree(folder, ignore_errors=True)


def virtual_world(**settings: Any) -> contextlib.AbstractAsyncContextManager[World]:
    """Return a world in virtual time, with a simulated broker; `settings` are those of WorldSettings."""
    known = WorldSettings(**settings)
    return _entered(
        lambda folder: World(VirtualWorldStage(known.start, seed=known.seed, dialect=known.dialect), known, folder), known
    )


def live_world(reach: Reach, **settings: Any) -> contextlib.AbstractAsyncContextManager[World]:
    """Return a world beside a real broker, such as `broker.reach()`; `settings` are those of WorldSettings."""
    known = WorldSettings(**settings)

    def make(folder: Path) -> World:
        stage = LiveWorldStage(
            reach, known.start, patience_s=PATIENCE_S, faults=known.faults, seed=known.seed, dialect=known.dialect
        )
        return World(stage, known, folder)

    return _entered(make, known)
