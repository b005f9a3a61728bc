"""Read-only access to a store for tools and reports, beside the back end that writes it. Changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from fleet.backend.mail.letter import Channel, Letter
from fleet.backend.positions import sample_of_positions
from fleet.backend.schema import CLOCK, open_for_reading, store_error
from fleet.cloud.dispatcher import MailState
from fleet.cloud.sequence import Gap
from fleet.cloud.twin import Twin, ahead_at, merge_status
from fleet.errors import StoreError
from fleet.observe.histogram import Histogram
from fleet.wire.messages import AnnounceClock, Status

_CAR_COLUMNS: Final = (
    "SELECT vin, state, connection, connection_reason, latitude, longitude, mileage_km, captured_at, stored_at FROM newest"
)
_MESSAGE_COLUMNS: Final = (
    "SELECT vin, boot, seq, kind, name, trigger, captured_at, due_wall_us, sent_wall_us, received_at, stored_at,"
    " content_type, payload FROM message"
)
_COMMAND_COLUMNS: Final = (
    "SELECT id, vin, name, user, parameters, state, reason, detail, decided_by, awake, late_result, asked_at, expires_at,"
    " changed_at, due_wall_us, asked_wall_us, sent_wall_us, first_answer_wall_us, ended_wall_us FROM command"
)

_MAIL_COLUMNS: Final = (
    "SELECT id, account, address, language, kind, data, vin, channel, at, wall_us, state, tries, next_wall_us, sent_wall_us,"
    " error FROM mail"
)

_FILLED: Final = ("newest", "message", "quarantine", "command", "user", "notice", "reply", "mail")
"""Tables that a store which has been used has rows in."""
_HELD_OF_BOOTS: Final = "SELECT vin, boot, quarantined FROM sequence WHERE quarantined > 0"
_HELD: Final = "SELECT reason, count FROM quarantine_count ORDER BY reason"
_ROWS_OF_BOOTS: Final = "SELECT vin, boot, count(*), count(DISTINCT seq) FROM message GROUP BY vin, boot"
_ROWS_SINCE: Final = (
    "SELECT coalesce(sum(times), 0), count(*) FROM (SELECT count(*) AS times FROM message WHERE id >= ? GROUP BY vin, boot, seq)"
)


_LAST_STORED: Final = (
    "SELECT stored_at FROM message WHERE id = (SELECT max(id) FROM message)"
    " UNION ALL SELECT wall_us FROM notice WHERE id = (SELECT max(id) FROM notice)"
    " UNION ALL SELECT wall_us FROM command_transition WHERE id = (SELECT max(id) FROM command_transition)"
)


@dataclass(frozen=True, slots=True)
class CarRow:
    """One line about a car. `captured_at` is scenario µs, `stored_at` wall µs; None is not known."""

    vin: str
    state: str | None
    connection: str | None
    connection_reason: str | None
    latitude: float | None
    longitude: float | None
    mileage_km: float | None
    captured_at: int
    stored_at: int


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A stored message; `content` is its payload as plain data. `captured_at` is scenario µs, the other times wall µs."""

    vin: str
    boot: int
    seq: int
    kind: str
    name: str | None
    trigger: str | None
    captured_at: int
    due_wall_us: int | None
    sent_wall_us: int | None
    received_at: int
    stored_at: int
    content_type: str | None
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command; `state` is None while its S-PIN is being checked. Times are scenario µs unless named wall."""

    id: str
    vin: str
    name: str
    user: str
    parameters: dict[str, Any]
    state: str | None
    reason: str | None
    detail: str | None
    decided_by: str | None
    awake: bool | None
    late_result: str | None
    asked_at: int
    expires_at: int
    changed_at: int
    due_wall_us: int | None
    asked_wall_us: int
    sent_wall_us: int | None
    first_answer_wall_us: int | None
    ended_wall_us: int | None


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """One step of a command; `at` is scenario µs."""

    state: str
    reason: str | None
    detail: str | None
    decided_by: str
    at: int
    wall_us: int


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A notice about a car to its recipient; `at` is scenario µs."""

    vin: str
    to: str
    kind: str
    data: dict[str, Any]
    at: int
    wall_us: int


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """A reply to a car; `at` and `expires_at` are scenario µs, `published_wall_us` None until the broker took it."""

    vin: str
    request_id: str
    name: str
    error: str | None
    data: dict[str, Any]
    at: int
    expires_at: int
    published_wall_us: int | None


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail or push in the outbox, without the secret of its link; `at` is scenario µs. `error` says why it has not gone."""

    id: int
    account: str
    address: str
    language: str
    kind: str
    data: dict[str, Any]
    vin: str
    channel: Channel
    at: int
    wall_us: int
    state: MailState
    tries: int
    next_wall_us: int
    sent_wall_us: int | None
    error: str

    def letter(self) -> Letter:
        """Return it as it is put into words."""
        return Letter(
            id=self.id,
            account=self.account,
            address=self.address,
            language=self.language,
            kind=self.kind,
            data=self.data,
            vin=self.vin,
            channel=self.channel,
            at=self.at,
            made=self.wall_us,
        )


@dataclass(frozen=True, slots=True)
class BootAccount:
    """The messages that arrived of one boot of a car: all numbers up to `high` but those in `gaps`; `duplicates` came again."""

    high: int
    gaps: tuple[Gap, ...]
    missing: int
    duplicates: int

    @property
    def arrived(self) -> int:
        """How many messages of the boot are stored or in quarantine."""
        return self.high - self.missing

    def has(self, seq: int) -> bool:
        """Tell whether the message of this number is stored."""
        return seq <= self.high and not any(first <= seq <= last for first, last in self.gaps)


@dataclass(frozen=True, slots=True)
class StoreAccount:
    """The store's side of the account. `quarantined` counts all, `quarantined_of_boots` those that name a counted message, and
    `quarantined_rows` those that are kept: the store has room for so many.

    `stored` counts messages that have a row; `missing` are those that the store took for stored and has no row of, `twice` the
    rows too many. `erased` have none any more, or never had.
    `of_others` are stored messages of other cars or boots than were asked about.
    """

    stored: int
    erased: int
    missing: int
    twice: int
    of_others: int
    duplicates: int
    quarantined: int
    quarantined_of_boots: int
    quarantined_by_reason: dict[str, int]
    quarantined_rows: int
    boots: dict[tuple[str, int], BootAccount]


@dataclass(frozen=True, slots=True)
class ErasedCount:
    """Messages of cars that were erased: that were stored before, and that were not stored any more.

    Of both, `noted` are of cars whose numbers are still known. Of the others `duplicates` came again, and `quarantined` were.
    """

    stored: int
    refused: int
    noted: int
    duplicates: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class ClockAhead:
    """A message that was measured later than it was stored: both are scenario µs, as the car and as the back end had it."""

    boot: int
    seq: int
    captured_at: int
    stored_when: int


class StoreReader:
    """A store opened for reading. Every method raises StoreError when the file cannot be read."""

    def __init__(self, path: Path) -> None:
        """Open; raises StoreError with a hint for a missing or foreign file, StoreTooNew for a newer one."""
        self.path = path
        self._connection = open_for_reading(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def is_unused(self) -> bool:
        """Whether nothing has been stored yet: no car, message, user, command or notice, and nothing is in quarantine."""
        return not any(next(self._rows(f"SELECT EXISTS (SELECT 1 FROM {table})"))[0] for table in _FILLED)  # noqa: S608

    def cars(self) -> list[CarRow]:
        """Return all known cars in the order of their VINs."""
        return [CarRow(*row) for row in self._rows(_CAR_COLUMNS + " ORDER BY vin")]

    def status(self, vin: str) -> Twin | None:
        """Return the newest known state of a car, None when none of its messages arrived."""
        for connection, reason, boot, at, origins in self._rows(
            "SELECT connection, connection_reason, coalesce(connection_boot, 0), coalesce(connection_at, 0), origins"
            " FROM newest WHERE vin = ?",
            (vin,),
        ):
            twin = Twin(vin=vin, connection=connection, connection_reason=reason, connection_boot=boot, connection_at=at)
            for status in self._statuses(vin, msgspec.msgpack.decode(origins, type=list[int])):
                merge_status(twin, status)
            return twin
        return None

    def clocks_ahead(self, vins: Iterable[str]) -> dict[str, ClockAhead]:
        """Return of these cars those whose clock was ahead of the back end's in a message, each with the farthest one."""
        announced = self.meta().get(CLOCK)
        clock = None if announced is None else msgspec.json.decode(announced, type=AnnounceClock)
        found: dict[str, ClockAhead] = {}
        for vin in vins:
            for boot, seq, captured_at, stored_at in self._rows(
                "SELECT boot, seq, captured_at, stored_at FROM message WHERE vin = ? ORDER BY captured_at DESC LIMIT 1", (vin,)
            ):
                present = _present_at(clock, stored_at)
                if present is not None and captured_at > present + ahead_at(1.0 if clock is None else clock.factor):
                    found[vin] = ClockAhead(boot, seq, captured_at, present)
        return found

    def present(self) -> int:
        """Return the scenario time at which something was stored last, 0 when nothing was (scenario µs)."""
        announced = self.meta().get(CLOCK)
        clock = None if announced is None else msgspec.json.decode(announced, type=AnnounceClock)
        stored = [wall_us for (wall_us,) in self._rows(_LAST_STORED)]
        return (_present_at(clock, max(stored)) or 0) if stored else 0

    def _statuses(self, vin: str, keys: list[int]) -> list[Status]:
        """Return the stored statuses of a car with these ids."""
        read = msgspec.msgpack.Decoder(Status).decode
        sql = "SELECT payload FROM message WHERE id = ? AND vin = ?"
        return [read(row[0]) for key in keys for row in self._rows(sql, (key, vin))]

    def history(self, vin: str, *, limit: int = 20, since: int | None = None, kind: str | None = None) -> list[MessageRow]:
        """Return a car's messages measured at or after `since` (scenario µs), the newest first."""
        found = self._rows(
            _MESSAGE_COLUMNS + " WHERE vin = :vin AND (:since IS NULL OR captured_at >= :since)"
            " AND (:kind IS NULL OR kind = :kind) ORDER BY captured_at DESC, id DESC LIMIT :limit",
            {"vin": vin, "since": since, "kind": kind, "limit": limit},
        )
        return [MessageRow(*[*row[:12], _content(row[12])]) for row in found]

    def commands(self, *, vin: str | None = None, state: str | None = None, limit: int = 100) -> list[CommandRow]:
        """Return commands, the newest first."""
        found = self._rows(
            _COMMAND_COLUMNS + " WHERE (:vin IS NULL OR vin = :vin) AND (:state IS NULL OR state = :state)"
            " ORDER BY rowid DESC LIMIT :limit",
            {"vin": vin, "state": state, "limit": limit},
        )
        return [_command_row(row) for row in found]

    def command(self, command_id: str) -> CommandRow | None:
        """Return one command, None when there is none with this id."""
        for row in self._rows(_COMMAND_COLUMNS + " WHERE id = ?", (command_id,)):
            return _command_row(row)
        return None

    def transitions(self, command_id: str) -> list[TransitionRow]:
        """Return the steps of a command in their order."""
        found = self._rows(
            "SELECT state, reason, detail, decided_by, at, wall_us FROM command_transition WHERE command_id = ? ORDER BY id",
            (command_id,),
        )
        return [TransitionRow(*row) for row in found]

    def notices(self, *, vin: str | None = None, limit: int = 100) -> list[NoticeRow]:
        """Return notices, the newest first."""
        found = self._rows(
            "SELECT vin, recipient, kind, data, at, wall_us FROM notice WHERE (:vin IS NULL OR vin = :vin)"
            " ORDER BY id DESC LIMIT :limit",
            {"vin": vin, "limit": limit},
        )
        return [NoticeRow(*[*row[:3], msgspec.json.decode(row[3]), *row[4:]]) for row in found]

    def replies(self, vin: str, *, limit: int = 100) -> list[ReplyRow]:
        """Return the replies to a car, the newest first."""
        found = self._rows(
            "SELECT vin, request_id, name, error, data, at, expires_at, published_wall_us FROM reply WHERE vin = :vin"
            " ORDER BY id DESC LIMIT :limit",
            {"vin": vin, "limit": limit},
        )
        return [ReplyRow(*[*row[:4], msgspec.json.decode(row[4]), *row[5:]]) for row in found]

    def mails(
        self, *, person: str | None = None, kind: str | None = None, state: str | None = None, limit: int = 100
    ) -> list[MailRow]:
        """Return mails and pushes, the newest first; `person` is an account or an address."""
        return self._mails(
            " WHERE (:person IS NULL OR account = :person OR address = :person COLLATE NOCASE)"
            " AND (:kind IS NULL OR kind = :kind) AND (:state IS NULL OR state = :state) ORDER BY id DESC LIMIT :limit",
            {"person": person, "kind": kind, "state": state, "limit": limit},
        )

    def mail(self, mail_id: int) -> MailRow | None:
        """Return one mail or push, None when there is none of this number."""
        return next(iter(self._mails(" WHERE id = :id", {"id": mail_id})), None)

    def mail_counts(self) -> dict[str, dict[str, int]]:
        """Return how many mails and pushes there are of each kind, by their state."""
        counts: dict[str, dict[str, int]] = {}
        for kind, state, count in self._rows("SELECT kind, state, count(*) FROM mail GROUP BY kind, state ORDER BY kind, state"):
            counts.setdefault(kind, {})[state] = count
        return counts

    def _mails(self, where: str, parameters: dict[str, Any]) -> list[MailRow]:
        return [
            MailRow(*[*row[:5], msgspec.json.decode(row[5]), *row[6:]]) for row in self._rows(_MAIL_COLUMNS + where, parameters)
        ]

    def service_state(self, module: str) -> dict[str, Any]:
        """Return the notes of a rule of the service centre."""
        return {
            key: msgspec.json.decode(value)
            for key, value in self._rows("SELECT key, value FROM service_state WHERE module = ? ORDER BY key", (module,))
        }

    def sample_of_positions(self, vin: str, until: int, most: int, *, newest: bool = True) -> list[tuple[float, float]]:
        """Return up to so many different positions of a car up to a scenario time, spread over its messages."""
        with self._errors_in_words():
            return sample_of_positions(self._connection, vin, until, most, newest=newest)

    def command_counts(self) -> dict[str, dict[str, int]]:
        """Return how many commands are in each state, by reason (empty where there is none)."""
        counts: dict[str, dict[str, int]] = {}
        for state, reason, count in self._rows(
            "SELECT coalesce(state, 'checking'), coalesce(reason, ''), count(*) FROM command GROUP BY 1, 2 ORDER BY 1, 2"
        ):
            counts.setdefault(state, {})[reason] = count
        return counts

    def statuses_by_trigger(self) -> dict[str, int]:
        """Return how many statuses are stored of each trigger."""
        return dict(self._rows("SELECT trigger, count(*) FROM message WHERE kind = 'status' GROUP BY trigger"))

    def events_by_name(self) -> dict[str, int]:
        """Return how many events are stored of each name."""
        return dict(self._rows("SELECT name, count(*) FROM message WHERE kind = 'event' GROUP BY name ORDER BY name"))

    def notices_by_kind(self) -> dict[str, int]:
        """Return how many notices there are of each kind."""
        return dict(self._rows("SELECT kind, count(*) FROM notice GROUP BY kind ORDER BY kind"))

    def replies_by_name(self) -> dict[str, int]:
        """Return how many requests of each name were answered, with an error or without."""
        return dict(self._rows("SELECT name, count(*) FROM reply GROUP BY name ORDER BY name"))

    def replies_by_error(self) -> dict[str, int]:
        """Return how many requests were answered with each error."""
        return dict(self._rows("SELECT error, count(*) FROM reply WHERE error IS NOT NULL GROUP BY error ORDER BY error"))

    def account(self, boots: Collection[int] | None = None, vins: Collection[str] | None = None) -> StoreAccount:
        """Return what arrived, of all boots and cars or of the given ones only (`quarantined` counts all in either case)."""

        def counts(vin: str, boot: int) -> bool:
            return (boots is None or boot in boots) and (vins is None or vin in vins)

        read_gaps = msgspec.msgpack.Decoder(tuple[Gap, ...]).decode
        accounts = {
            (vin, boot): BootAccount(high, read_gaps(gaps), missing, duplicates)
            for vin, boot, high, missing, gaps, duplicates in self._rows(
                "SELECT vin, boot, high, missing, gaps, duplicates FROM sequence"
            )
            if counts(vin, boot)
        }
        held = {(vin, boot): count for vin, boot, count in self._rows(_HELD_OF_BOOTS) if counts(vin, boot)}
        # Distinct numbers, not what the store notes of itself: the account must see a store that does not keep what it says.
        found = {(vin, boot): (rows, kept) for vin, boot, rows, kept in self._rows(_ROWS_OF_BOOTS)}
        of_boots = {key: kept for key, (_, kept) in found.items() if counts(*key)}
        by_reason = dict(self._rows(_HELD))
        ((rows,),) = self._rows("SELECT count(*) FROM quarantine")
        stored = sum(of_boots.values())
        erased = self.erased(boots)
        missing = sum(max(0, boot.arrived - held.get(key, 0) - of_boots.get(key, 0)) for key, boot in accounts.items())
        return StoreAccount(
            stored=stored,
            erased=erased.stored + erased.refused,
            missing=max(0, missing - erased.noted),
            twice=sum(rows - kept for rows, kept in found.values()),
            of_others=sum(kept for _, kept in found.values()) - stored,
            duplicates=sum(account.duplicates for account in accounts.values()) + erased.duplicates,
            quarantined=sum(by_reason.values()),
            quarantined_of_boots=sum(held.values()) + erased.quarantined,
            quarantined_by_reason=by_reason,
            quarantined_rows=rows,
            boots=accounts,
        )

    def erased(self, boots: Collection[int] | None = None) -> ErasedCount:
        """Return how many messages of erased cars there were, of all boots or of the given ones only."""
        total = [0, 0, 0, 0, 0]
        for boot, *counts in self._rows("SELECT boot, stored, refused, noted, duplicates, quarantined FROM erased_count"):
            if boots is None or boot in boots:
                total = [sum(pair) for pair in zip(total, counts, strict=True)]
        return ErasedCount(*total)

    def rows_since(self, first_id: int) -> tuple[int, int]:
        """Return how many rows of messages there are from this id on, and how many of them are there again."""
        ((rows, kept),) = self._rows(_ROWS_SINCE, (first_id,))
        return rows, rows - kept

    def publish_to_stored(self, boots: Collection[int] | None = None) -> Histogram:
        """Return how long messages took from their due time to the commit that stored them, in wall µs."""
        histogram = Histogram()
        for boot, took in self._rows("SELECT boot, stored_at - due_wall_us FROM message WHERE due_wall_us IS NOT NULL"):
            if boots is None or boot in boots:
                histogram.record(took)
        return histogram

    def command_round_trip(self, *, awake: bool) -> Histogram:
        """Return how long users waited from the due time for a car's first answer, in wall µs."""
        histogram = Histogram()
        for (took,) in self._rows(
            "SELECT first_answer_wall_us - coalesce(due_wall_us, asked_wall_us) FROM command"
            " WHERE first_answer_wall_us IS NOT NULL AND coalesce(awake, 1) = ?",
            (awake,),
        ):
            histogram.record(took)
        return histogram

    def meta(self) -> dict[str, str]:
        """Return what the store says of itself: schema, created_by, clock."""
        return dict(self._rows("SELECT name, value FROM meta"))

    def _rows(self, sql: str, parameters: tuple[Any, ...] | dict[str, Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self._errors_in_words():
            yield from self._connection.execute(sql, parameters)

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error


def discard_unused(path: Path) -> None:
    """Remove a store in which nothing has been stored; one that cannot be read stays."""
    try:
        with StoreReader(path) as reader:
            unused = reader.is_unused
    except StoreError:
        return
    if unused:
        for ending in ("", "-wal", "-shm", ".lock"):
            path.with_name(path.name + ending).unlink(missing_ok=True)


def _content(payload: bytes) -> dict[str, Any]:
    """Return a message's payload as it is; fields that we do not know may hold anything: bytes, keys that are no text."""
    try:
        content = msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {"unreadable": str(error)}
    return content if isinstance(content, dict) else {"unreadable": "it is no map"}


def _present_at(clock: AnnounceClock | None, wall_us: int) -> int | None:
    """Return the scenario time at a wall time, None before the clock was announced: it was another one then."""
    if clock is None:
        return wall_us
    return None if wall_us < clock.epoch_wall_us else clock.start + int((wall_us - clock.epoch_wall_us) * clock.factor)


def _command_row(row: tuple[Any, ...]) -> CommandRow:
    awake = None if row[9] is None else bool(row[9])
    return CommandRow(*[*row[:4], msgspec.json.decode(row[4]), *row[5:9], awake, *row[10:]])
