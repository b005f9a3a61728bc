"""The journal of a run: its first line, the recorder of a back end, and the figures of its last line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final

from fleet import __version__
from fleet.backend.config import BackendConfig
from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend, Snapshot
from fleet.backend.store import Arrival, Batch, Committed
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import DeskInput, DeskOutput, DeskStart
from fleet.cloud.rule import CentreInput, CentreOutput
from fleet.errors import StoreError
from fleet.kernel.instants import Instant
from fleet.observe.journal import NOT_YET, Begin, JournalWriter, Quarantined, StoredBatch
from fleet.runtime.centre_codec import CentreCodec
from fleet.runtime.desk_codec import DeskCodec
from fleet.runtime.dialects import dialect_of, foreign_name
from fleet.runtime.recorded_link import recorded_links
from fleet.runtime.recording import Recorded
from fleet.scenario.resolved import from_plain, to_plain
from fleet.scenario.schema import Scenario

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
        dialect=foreign_name(dialect_of(scenario)),
    )


def begin_of_backend() -> Begin:
    """Return the first line of what a back end writes alone."""
    return Begin(t=NOT_YET, m="run", k="begin", version=__version__, parts=(BACKEND,))


def scenario_of(begin: Begin) -> Scenario:
    """Return the scenario as it was resolved for the run. Raises msgspec.ValidationError."""
    return from_plain(begin.scenario)


# --- the back end ---------------------------------------------------------------------------------------------------


class BackendRecorder:
    """Writes the journal of a back end. `follow` gives it the scenario time once there is a back end that knows."""

    def __init__(self, journal: JournalWriter, *, before: Instant = NOT_YET) -> None:
        """Take the journal, and the time to write `before` the scenario time is known."""
        self._write = journal.write
        self._before = before
        self._time: Callable[[], Instant | None] = lambda: None
        self._has_centre = False

    def follow(self, time: Callable[[], Instant | None]) -> None:
        """Take the scenario time from now on from there; None as long as it is not known."""
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
        """Return the configuration of a back end that writes this journal."""
        links = recorded_links(config.links, self._write, self.time, config.dialect.topics)
        return replace(config, links=links, recorder=self)

    def desk(self, desk: Desk, start: DeskStart) -> Recorded[DeskInput, DeskOutput]:
        """Write down how the desk begins, and return it with this journal."""
        codec = DeskCodec(self.of_desk)
        self._write(codec.start_record(start))
        return Recorded(desk, codec, self._write)

    def centre(self, centre: ServiceCentre, state: Mapping[str, Mapping[str, Any]]) -> Recorded[CentreInput, CentreOutput]:
        """Write down how the centre begins, unless it is the first one and has no notes, and return it with this journal."""
        codec = CentreCodec(self.of_desk)
        if state or self._has_centre:
            self._write(codec.start_record(state))
        self._has_centre = True
        return Recorded(centre, codec, self._write)

    def committed(self, batch: Batch, done: Committed) -> None:
        """Write down what a commit of the store did: one line for what is new, one for what is not."""
        t, write = self.time(), self._write
        if done.fresh:
            write(StoredBatch(t, STORE, "stored", tuple(map(_NUMBER, done.fresh))))
        if batch.forgotten:
            write(StoredBatch(t, STORE, "erased", tuple(_NUMBER(arrival) for arrival, _ in batch.forgotten)))
        if done.duplicates:
            others = {id(arrival) for arrival in (*done.fresh, *(arrival for arrival, _ in done.refused))}
            known = tuple(_NUMBER(arrival) for arrival in batch.arrivals if id(arrival) not in others)
            write(StoredBatch(t, STORE, "duplicate", known))
        for held in (*batch.quarantined, *(held for _, held in done.refused)):
            write(Quarantined(t, STORE, "quarantine", held.reason, held.topic, held.size, held.vin, held.boot, held.seq))


def backend_account(snapshot: Snapshot) -> dict[str, int]:
    """Return the back end's part of the account, for the last line of a journal."""
    quarantined = sum(snapshot.quarantined.values())
    account = {"stored": snapshot.stored, "duplicates": snapshot.duplicates, "quarantined": quarantined}
    return account | ({"erased": snapshot.erased} if snapshot.erased else {})


def account_of_rows(backend: Backend) -> dict[str, int]:
    """Return what the store of a back end that has stopped has of what it stored; nothing where that cannot be read.

    `stored` is what the back end says of itself, `rows` what is there: `rows_twice` of them are there again, and `rows_erased`
    more were there before their cars were erased.
    """
    try:
        with StoreReader(backend.store) as reader:
            rows, twice = reader.rows_since(backend.first_id)
            erased = reader.erased()
    except StoreError:
        return {}
    return {"rows": rows, "rows_twice": twice} | ({"rows_erased": erased.stored} if erased.stored else {})
