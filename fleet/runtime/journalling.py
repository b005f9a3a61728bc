"""Where the journal is hooked in: cars, links, desk and store that also write down what goes in and out.

Each is chosen once, when the parts are put together; a run without a journal has none of this in its way. Nothing here
decides, reads a clock of its own, or changes what it passes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any, Final, get_args
from zlib import crc32

from fleet import __version__
from fleet.backend.config import BackendConfig
from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend, Snapshot
from fleet.backend.store import Arrival, Batch, Committed
from fleet.cloud.rule import Rule
from fleet.errors import LinkError, PublishRefused, StoreError
from fleet.kernel.instants import Instant
from fleet.observe.journal import (
    NOT_YET,
    Begin,
    Closed,
    Down,
    Dropped,
    FrameSeen,
    Input,
    JournalWriter,
    Opened,
    Output,
    Published,
    Quarantined,
    Received,
    Record,
    Refused,
    Stored,
    Up,
    Wake,
)
from fleet.runtime.journalled_centre import JournalledCentre
from fleet.runtime.journalled_desk import JournalledDesk
from fleet.scenario.resolved import from_plain, to_plain
from fleet.scenario.schema import Scenario
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.vehicle import signals
from fleet.vehicle.car import Car
from fleet.wire.dialect import TopicScheme
from fleet.wire.frame import Frame

Write = Callable[[Record], None]
ScenarioTime = Callable[[], Instant]
"""The scenario time, `NOT_YET` as long as it is not known."""

SIMULATOR, BACKEND = "simulator", "backend"
"""Parts of a journal."""
STORE: Final = "store"
_NUMBER: Final[Callable[[Arrival], tuple[str, int, int, str]]] = itemgetter(slice(4))
"""Of an arrival: vin, boot, seq and kind."""

# --- the first line -------------------------------------------------------------------------------------------------


def begin_of(
    scenario: Scenario,
    *,
    parts: tuple[str, ...],
    start: Instant,
    boot: int,
    until_stored: bool,
    remembers: bool = False,
    index: int = 0,
    count: int = 1,
) -> Begin:
    """Return the first line of a journal: enough to build the very cars of this run again."""
    return Begin(
        t=start,
        m="run",
        k="begin",
        version=__version__,
        parts=parts,
        seed=scenario.seed,
        start=start,
        boot=boot,
        clock=str(scenario.clock),
        until_stored=until_stored,
        remembers=remembers,
        index=index,
        count=count,
        scenario=to_plain(scenario),
    )


def begin_of_backend() -> Begin:
    """Return the first line of what a back end writes alone."""
    return Begin(t=NOT_YET, m="run", k="begin", version=__version__, parts=(BACKEND,))


def scenario_of(begin: Begin) -> Scenario:
    """Return the scenario as it was resolved for the run. Raises msgspec.ValidationError."""
    return from_plain(begin.scenario)


# --- cars -----------------------------------------------------------------------------------------------------------


_NAMES: Final = {kind: kind.__name__ for kind in (*get_args(signals.CarInput), *get_args(signals.CarOutput))}
_BARE: Final = frozenset(kind for kind in _NAMES if not kind.__struct_fields__)
"""Inputs and outputs without fields; a type tells neither this nor its name as fast."""


class JournalledCar(Car):
    """A car whose inputs and outputs are written down."""

    __slots__ = ("_name", "_write")

    def __init__(self, write: Write, *, vin: str, **parts: Any) -> None:
        """Take what writes, and the parts of a car."""
        super().__init__(vin=vin, **parts)
        self._name = f"car/{vin}"
        self._write = write

    def receive(self, message: signals.CarInput, now: Instant) -> Any:
        if now < self._now:  # noqa: PLR1730 (a third of the cost of max())
            now = self._now  # as the car takes what comes as of an instant that is past
        kind = type(message)
        of = type(message.message).__name__ if isinstance(message, signals.Received) else None
        self._write(Input(now, self._name, "in", _NAMES[kind], of, None, None if kind in _BARE else message))
        outputs = Car.receive(self, message, now)
        for output in outputs:
            self._write(output_record(output, self._name, now))
        return outputs

    def wake(self, now: Instant) -> Any:
        if now < self._now:  # noqa: PLR1730
            now = self._now
        self._write(Wake(now, self._name, "wake"))
        outputs = Car.wake(self, now)
        for output in outputs:
            self._write(output_record(output, self._name, now))
        return outputs


def output_record(output: signals.CarOutput, name: str, now: Instant) -> Output:
    """Return the record of what a car wants."""
    kind = type(output)
    of = type(output.message).__name__ if isinstance(output, signals.Transmit) else None
    return Output(now, name, "out", _NAMES[kind], of, None if kind in _BARE else output)


# --- links ----------------------------------------------------------------------------------------------------------


def journalled_links(links: LinkFactory, write: Write, now: ScenarioTime, topics: TopicScheme) -> LinkFactory:
    """Return what makes the same links, and writes down what they do."""
    hidden = topics.desk_head()
    return partial(JournalledLink, links=links, write=write, now=now, hidden=hidden)


class JournalledLink:
    """A link to its owner, and the owner to the link: what goes through, either way, is written down."""

    __slots__ = ("_hidden", "_link", "_name", "_now", "_owner", "_settings", "_write")

    def __init__(
        self,
        settings: LinkSettings,
        owner: LinkOwner,
        back_off: BackOff,
        *,
        links: LinkFactory,
        write: Write,
        now: ScenarioTime,
        hidden: str,
    ) -> None:
        """Make the link within.

        Payloads on topics that begin with `hidden` may hold an S-PIN: they get no checksum, by which four digits are soon found.
        """
        self._write = write
        self._now = now
        self._hidden = hidden
        self._settings = settings
        self._owner = owner
        self._name = f"link/{settings.client_id}"
        self._link: Link = links(settings, self, back_off)

    # --- what the owner calls

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    def open(self) -> None:
        settings = self._settings
        self._write(
            Opened(
                self._now(),
                self._name,
                "open",
                clean_start=settings.clean_start,
                keep_alive_s=settings.keep_alive_s,
                session_expiry_s=settings.session_expiry_s,
                subscriptions=settings.subscriptions,
                will=None if settings.will is None else self._seen(settings.will.frame, settings.will.delay_s),
            )
        )
        self._link.open()

    def publish(self, frame: Frame, token: int) -> None:
        self._link.publish(frame, token)
        payload, topic = frame.payload, frame.topic
        check = None if topic.startswith(self._hidden) else crc32(payload)
        self._write(
            Published(
                self._now(), self._name, "publish", topic, len(payload), check, token, frame.qos, frame.retain, frame.expiry_s
            )
        )

    def acknowledge(self, delivery: Delivery) -> None:
        self._link.acknowledge(delivery)

    def drop(self) -> None:
        self._write(Dropped(self._now(), self._name, "drop"))
        self._link.drop()

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        self._write(Closed(self._now(), self._name, "close", end_session, None if last is None else self._seen(last)))
        await self._link.close(end_session=end_session, last=last)

    def _seen(self, frame: Frame, delay_s: int | None = None) -> FrameSeen:
        check = None if frame.topic.startswith(self._hidden) else crc32(frame.payload)
        return FrameSeen(frame.topic, len(frame.payload), check, frame.retain, delay_s)

    # --- what the link calls

    def link_up(self, session_present: bool) -> None:
        self._write(Up(self._now(), self._name, "up", session_present))
        self._owner.link_up(session_present)

    def link_down(self, error: LinkError | None) -> None:
        reason, detail = (None, None) if error is None else (type(error).__name__, str(error))
        self._write(Down(self._now(), self._name, "down", reason, detail))
        self._owner.link_down(error)

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Write only what was refused: that a car's message was taken, its next input says."""
        if error is not None:
            self._write(Refused(self._now(), self._name, "refused", token, error.name))
        self._owner.link_acknowledged(token, error)

    def link_received(self, delivery: Delivery) -> None:
        frame = delivery.frame
        payload, topic = frame.payload, frame.topic
        check = None if topic.startswith(self._hidden) else crc32(payload)
        self._write(
            Received(self._now(), self._name, "received", topic, len(payload), check, frame.qos, frame.retain, frame.duplicate)
        )
        self._owner.link_received(delivery)


# --- the back end ---------------------------------------------------------------------------------------------------


class BackendHooks:
    """What a back end with a journal is made of. `follow` tells it the scenario time once there is a back end that knows."""

    def __init__(self, journal: JournalWriter, *, before: Instant = NOT_YET) -> None:
        """Take the journal, and the time to write `before` the scenario time is known."""
        self._write = journal.write
        self._before = before
        self._time: ScenarioTime = lambda: NOT_YET
        self._has_centre = False

    def follow(self, time: ScenarioTime) -> None:
        """Take the scenario time from now on from there."""
        self._time = time

    def time(self) -> Instant:
        """Return the time to write now."""
        return self._time() or self._before

    def of_desk(self, now: Instant) -> tuple[Instant, Instant | None]:
        """Return the time to write for what a desk takes for it, and that itself while the scenario time is not known."""
        if now == NOT_YET:  # it begins, at first or anew
            return self.time(), None
        return (now, None) if self._time() else (self._before, now)

    def applied(self, config: BackendConfig) -> BackendConfig:
        """Return what to make a back end of, so that it writes its journal."""
        links = journalled_links(config.links, self._write, self.time, config.dialect.topics)
        make_desk = partial(JournalledDesk, self._write, self.of_desk)
        return replace(config, links=links, make_desk=make_desk, make_centre=self._make_centre, committed=self._committed)

    def _make_centre(self, rules: Sequence[type[Rule]], state: Mapping[str, Mapping[str, Any]]) -> JournalledCentre:
        again, self._has_centre = self._has_centre, True
        return JournalledCentre(self._write, self.of_desk, rules, state, again=again)

    def _committed(self, batch: Batch, done: Committed) -> None:
        """Write down what a commit of the store did: one line for what is new, one for what is not."""
        t, write = self.time(), self._write
        if done.fresh:
            write(Stored(t, STORE, "stored", tuple(map(_NUMBER, done.fresh))))
        if done.duplicates:
            others = {id(arrival) for arrival in (*done.fresh, *(arrival for arrival, _ in done.refused))}
            known = tuple(_NUMBER(arrival) for arrival in batch.arrivals if id(arrival) not in others)
            write(Stored(t, STORE, "duplicate", known))
        for held in (*batch.quarantined, *(held for _, held in done.refused)):
            write(Quarantined(t, STORE, "quarantine", held.reason, held.topic, held.size, held.vin, held.boot, held.seq))


def backend_account(snapshot: Snapshot) -> dict[str, int]:
    """Return the back end's part of the account, for the last line of a journal."""
    quarantined = sum(snapshot.quarantined.values())
    return {"stored": snapshot.stored, "duplicates": snapshot.duplicates, "quarantined": quarantined}


def account_of_rows(backend: Backend) -> dict[str, int]:
    """Return what the store of a back end that has stopped has of what it stored; nothing where that cannot be read.

    `stored` is what the back end says of itself, `rows` what is there: `rows_twice` of them are there again.
    """
    try:
        with StoreReader(backend.store) as reader:
            rows, twice = reader.rows_since(backend.first_id)
    except StoreError:
        return {}
    return {"rows": rows, "rows_twice": twice}
