"""The writer of the store: one batch of messages and decisions is one transaction. Knows no broker and no clock.

Survives `kill -9` at any moment, not a power cut (see `schema`). Which sequence numbers have been seen, and from which
messages the newest state of each car comes, is kept in memory, loaded when a car is first met, and written with the rows
it belongs to. The state itself stands in those messages only: written out once more it would be as much as they are.
One thread at a time may use a Store; `load` and `find_command` have a connection of their own, and so has `copy_back`.

A commit goes to SQLite's log, which from time to time is copied back into the database file. With the disk's share in it
that takes some 30 ms, and nobody's command shall wait for it: `copy_back` does most of it in another thread, beside
commits, so that `restart_log` between two commits has little left to do.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from fleet.backend.decisions import AnswerGiven, Decided, ReplyGiven, write_decision
from fleet.backend.known_numbers import NUMBERS, BootKey, KnownNumbers, Seen
from fleet.backend.quarantine import PAYLOAD_KEPT, Room
from fleet.backend.schema import NULL, in_words, open_for_reading, open_for_writing
from fleet.backend.store_file import HeldName, StoreFile
from fleet.cloud.desk_io import (
    CommandRecord,
    PresenceChanged,
    SpinHash,
    UserRecord,
)
from fleet.cloud.twin import Newest, Origin, origin_of
from fleet.errors import StoreError, StoreGone
from fleet.wire.messages import DeskAnswer, Presence, Reply, Status, Stored

BOOTS_FORGOTTEN: Final = "earlier boots of cars with too many were forgotten"
GAPS_GIVEN_UP: Final = "boots leave out so many numbers that the earliest were given up"
NOT_KEPT: Final = "messages in quarantine were counted, but not kept"
_CHUNKS: Final = (256, 64, 16, 4, 1)
"""Rows per INSERT: one statement with many rows lets go of the interpreter lock once, not once for every row."""
_MESSAGE_COLUMNS: Final = (
    "id, vin, boot, seq, kind, name, trigger, captured_at, due_wall_us, sent_wall_us, received_at, content_type, payload,"
    " stored_at"
)
_SEQUENCE_COLUMNS: Final = "vin, boot, high, missing, gaps, duplicates, floor, quarantined"
_NEWEST_COLUMNS: Final = (
    "vin, state, connection, connection_reason, connection_boot, connection_at, latitude, longitude, mileage_km, captured_at,"
    " stored_at, origins"
)
_NO_GAPS: Final = bytearray(msgspec.msgpack.encode([]))
_NEVER: Final = (NULL, NULL, NULL, NULL)
"""The connection of a car without any presence."""
_NEWEST_UPDATE: Final = " ON CONFLICT (vin) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _NEWEST_COLUMNS.split(", ")[1:]
)


class Arrival(NamedTuple):
    """A counted message of a car as its row will be. `payload` is MessagePack whatever `content_type` it came in.

    Not the message itself: tens of thousands of objects that live until the commit are most of what decoding costs.
    `received_at`, `due_wall_us` and `sent_wall_us` are wall µs; `origin` is there for a status.
    """

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
    content_type: str | None
    payload: bytes
    origin: Origin | None


class Quarantined(NamedTuple):
    """A frame that was not understood, and why. `payload` is None where it may hold a secret."""

    received_at: int
    topic: str
    reason: str
    detail: str
    size: int
    payload: bytes | None
    vin: str | None
    boot: int | None
    seq: int | None


class Batch(msgspec.Struct):
    """What is committed together. `writes` are those of desk and centre."""

    arrivals: list[Arrival] = []
    presences: list[Presence] = []
    quarantined: list[Quarantined] = []
    writes: list[Decided] = []
    meta: dict[str, str] = {}
    prepared: _Prepared | None = None

    @property
    def size(self) -> int:
        """About how many rows it will write."""
        return len(self.arrivals) + len(self.presences) + len(self.quarantined) + len(self.writes)


class _Prepared(msgspec.Struct):
    """What is left of a batch once duplicates are known; made once, so that a commit can be tried again."""

    fresh: list[Arrival] = []
    first_id: int = 0
    newest: dict[str, Newest] = {}
    sequences: dict[BootKey, Seen] = {}
    quarantined: list[Quarantined] = []
    refused: list[tuple[Arrival, Quarantined]] = []
    forgotten: list[BootKey] = []
    put_aside: dict[str, int] = {}
    duplicates: int = 0

    @property
    def last_id(self) -> int:
        """The id of the last row, or the one before the first where there is none."""
        return self.first_id + len(self.fresh) - 1


class Part(NamedTuple):
    """A batch that is to be written: what it holds, what was found out about it, and when it is stored."""

    batch: Batch
    prepared: _Prepared
    stored_at: int


class Committed(msgspec.Struct):
    """What a commit did: the messages that were new, how many were not, and the numbers that are now stored of each boot.

    `refused` messages are in quarantine: nobody can tell any more whether they are new.
    """

    fresh: list[Arrival]
    duplicates: int
    sequences: Iterable[tuple[BootKey, Seen]]
    refused: list[tuple[Arrival, Quarantined]] = []

    @property
    def marks(self) -> list[tuple[str, Stored]]:
        """What to tell the cars, until the next commit."""
        return [(vin, seen.mark(boot)) for (vin, boot), seen in self.sequences]


class Loaded(msgspec.Struct):
    """What the back end needs to go on after a restart; `answers` each with the wall time at which it was given."""

    users: list[UserRecord]
    vins: list[str]
    presence: list[PresenceChanged]
    presence_boots: dict[str, int]
    commands: list[CommandRecord]
    replies: list[ReplyGiven]
    answers: list[tuple[AnswerGiven, int]]
    services: dict[str, dict[str, Any]]
    meta: dict[str, str]


class Store:
    """The only writer of a store file."""

    has_log: ClassVar[bool] = True
    """Whether a log grows that `copy_back` and `restart_log` keep short."""
    hold: ClassVar[type[HeldName]] = StoreFile
    """How the file is kept from others."""

    def __init__(self, path: Path, *, created_by: str = "") -> None:
        """Open or create the store; raises StoreError and its kin, also when another back end has it open."""
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._lookup: sqlite3.Connection | None = None
        self._copier: sqlite3.Connection | None = None
        self._file = self.hold(path)
        self._is_closed = False
        try:
            self._connection = self._open(created_by)
            self._next_id = 1 + int(self._connection.execute(_LAST_ID).fetchone()[0])
        except BaseException:
            self.close()
            raise
        self.first_id = self._next_id
        """The id that the first row written from now on has."""
        self._written_id = self._next_id - 1
        self._file.opened(self._is_whole)
        self._newest: dict[str, Newest] = {}
        # Then all there ever is of a car is in memory from the first time on.
        self._began_empty = not self._connection.execute(_ANY_CAR).fetchone()[0]
        self._numbers = KnownNumbers(self._connection, empty=self._began_empty)
        self._room = Room(self._connection)
        self.beyond: Counter[str] = Counter()
        """How much there was beyond the bounds of what is kept, in words."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_status = msgspec.msgpack.Decoder(Status).decode
        self._decode_ids = msgspec.msgpack.Decoder(list[int]).decode

    def _open(self, created_by: str) -> sqlite3.Connection:
        """Open the file for writing, for looking up beside that, and for copying its log back."""
        connection = self._connection = open_for_writing(self.path, created_by=created_by)
        self._lookup = open_for_reading(self.path)
        self._copier = open_for_writing(self.path, created_by=created_by)
        return connection

    def _is_whole(self) -> bool:
        """Tell whether the file, read anew, holds all that was written."""
        try:
            with closing(open_for_reading(self.path)) as anew:
                (found,) = anew.execute("PRAGMA quick_check(1)").fetchone()
                (last_id,) = anew.execute(_LAST_ID).fetchone()
                return bool(found == "ok" and last_id >= self._written_id)
        except (sqlite3.Error, StoreError):
            return False

    def look(self) -> None:
        """Raise StoreGone when the file is not at its path any more."""
        self._file.look()

    def close(self) -> None:
        """Close the file; what was committed is kept."""
        if self._is_closed:
            return
        for opened in (self._copier, self._lookup, self._connection):
            if opened is not None:
                opened.close()
        self._copier = self._lookup = self._connection = None
        self._file.close()
        self._is_closed = True

    # --- writing

    def commit(self, batch: Batch, stored_at: int) -> Committed:
        """Store a batch whole or, with StoreFull or StoreError raised, not at all; the same batch may be tried again.

        Raises StoreGone when the file is not the one that was written to before: then nothing of it may be acknowledged.
        """
        assert self._connection is not None, "the store is closed"
        connection = self._connection
        try:
            prepared = batch.prepared
            if prepared is None:
                prepared = batch.prepared = self._prepare(batch)
            newest = {vin: (newest, stored_at) for vin, newest in prepared.newest.items()}
            self._write([Part(batch, prepared, stored_at)], prepared.sequences, newest)
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise in_words(error, self.path) from error
            raise
        return _committed(prepared)

    def forget(self) -> None:
        """Let go of what is held in memory of the file, and with it of what a batch brought that was not written."""
        assert self._connection is not None, "the store is closed"
        self._numbers.clear()
        self._room = Room(self._connection)
        self._newest.clear()
        self._began_empty = False
        self._next_id = self._connection.execute(_LAST_ID).fetchone()[0] + 1

    def _write(self, parts: Sequence[Part], sequences: Mapping[BootKey, Seen], newest: Mapping[str, tuple[Newest, int]]) -> None:
        """Write batches, in their order, and the rows of boots and of cars (each with when it was stored), in one transaction."""
        assert self._connection is not None, "the store is closed"
        with self._file.writing(wait=False):
            self._connection.execute("BEGIN IMMEDIATE")
            self._write_messages(parts)
            self._write_sequences(sequences)
            self._write_newest(newest)
            for part in parts:
                self._write_rest(part.batch, part.prepared)
            self._connection.execute("COMMIT")
            self._written_id = max([self._written_id, *(part.prepared.last_id for part in parts)])

    def copy_back(self) -> None:
        """Copy the log into the database file as far as it is there now, and see it onto the disk; in any thread."""
        assert self._copier is not None, "the store is closed"
        # Nothing is lost with it: the log has it all, and is copied again. That the file is gone, the next commit says.
        with suppress(sqlite3.Error, OSError, StoreGone):
            with self._file.writing():
                self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._file.sync()

    def restart_log(self) -> None:
        """Copy the rest, so that the log can begin anew; in the thread of the commits."""
        assert self._connection is not None, "the store is closed"
        with suppress(sqlite3.Error), self._file.writing():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _prepare(self, batch: Batch) -> _Prepared:
        """Tell new messages from known ones and merge them.

        All reading comes first: an error in the middle would leave numbers noted whose rows are never written.
        """
        prepared = _Prepared(first_id=self._next_id)
        fresh, newest, sequences, known = prepared.fresh, prepared.newest, prepared.sequences, self._numbers.of
        for held in batch.quarantined:
            if held.vin and held.boot is not None and held.seq and (seen := known((held.vin, held.boot))) is not None:
                sequences[held.vin, held.boot] = seen
        for arrival in batch.arrivals:
            key = arrival[:2]
            if key not in sequences and (seen := known(key)) is not None:
                sequences[key] = seen
            vin = key[0]
            if vin not in newest:
                newest[vin] = self._newest.get(vin) or self._load_newest(vin)
        for presence in batch.presences:
            vin = presence.vin
            if vin not in newest:
                newest[vin] = self._newest.get(vin) or self._load_newest(vin)
        next_id = self._next_id
        for arrival in batch.arrivals:
            seen = sequences.get(arrival[:2])
            if seen is None or not seen.numbers.add(arrival.seq):
                self._not_new(arrival, seen, prepared)
                continue
            if arrival.origin is not None:
                newest[arrival.vin].take(arrival.origin, next_id)
            next_id += 1
            fresh.append(arrival)
        self._next_id = next_id
        for presence in batch.presences:
            newest[presence.vin].take_presence(presence)
        for held in batch.quarantined:
            self._put_aside(held, prepared)
        prepared.forgotten = self._numbers.take_forgotten()
        if prepared.forgotten:
            self.beyond[BOOTS_FORGOTTEN] += len(prepared.forgotten)
        return prepared

    def _not_new(self, arrival: Arrival, seen: Seen | None, prepared: _Prepared) -> None:
        """Count a duplicate; or put aside what may be one, as its boot or its number is not known any more."""
        if seen is not None and arrival.seq > seen.numbers.floor:
            seen.duplicates += 1
            prepared.duplicates += 1
            return
        vin, boot, seq, kind, name, *_ = arrival
        detail = f"{kind} {name or ''} {seq} of boot {boot}: so many {'boots' if seen is None else 'gaps'} came after it"
        held = Quarantined(
            arrival.received_at, f"{vin}/{kind}", "too_late", detail, len(arrival.payload), arrival.payload[:PAYLOAD_KEPT],
            vin, None, None,
        )  # fmt: skip
        prepared.refused.append((arrival, held))
        self._put_aside(held, prepared)

    def _put_aside(self, held: Quarantined, prepared: _Prepared) -> None:
        """Note the number of a message in quarantine as seen, so that its car need not send it again; keep it if there is room.

        One whose number is stored already was damaged on its second way only: it is kept, but not counted. The same one
        again is kept once, by its number.
        """
        seen = prepared.sequences.get((held.vin or "", held.boot or 0))
        if seen is None or not held.seq:
            held = held._replace(boot=None, seq=None)
        elif seen.numbers.add(held.seq):
            seen.quarantined += 1
        elif any(held[-3:] == other[-3:] for other in prepared.quarantined) or self._is_put_aside(held):
            return
        else:
            held = held._replace(boot=None, seq=None)
        prepared.put_aside[held.reason] = prepared.put_aside.get(held.reason, 0) + 1
        if self._room.take(held.vin, held.reason):
            prepared.quarantined.append(held)
        else:
            self.beyond[NOT_KEPT] += 1

    def _is_put_aside(self, held: Quarantined) -> bool:
        assert self._connection is not None
        number = (held.vin, held.boot, held.seq)
        return self._connection.execute(_PUT_ASIDE, number).fetchone() is not None

    def _load_newest(self, vin: str) -> Newest:
        newest = Newest() if self._began_empty else self._stored_newest(vin)
        self._newest[vin] = newest
        return newest

    def _stored_newest(self, vin: str) -> Newest:
        assert self._connection is not None
        newest = Newest()
        row = self._connection.execute(
            "SELECT connection, connection_reason, connection_boot, connection_at, origins FROM newest WHERE vin = ?",
            (vin,),
        ).fetchone()
        if row is not None:
            connection, reason, boot, at, origins = row
            if connection is not None:
                newest.presence = Presence(vin=vin, boot=boot, seq=0, captured_at=at, connection=connection, reason=reason)
            for key in self._decode_ids(origins):
                kept = self._connection.execute("SELECT payload FROM message WHERE id = ?", (key,)).fetchone()
                newest.take(origin_of(self._decode_status(kept[0])), key)
        return newest

    def _write_messages(self, parts: Sequence[Part]) -> None:
        values: list[Any] = []
        for _, prepared, stored_at in parts:
            number = prepared.first_id
            for vin, boot, seq, kind, name, trigger, captured_at, due, sent, received_at, encoding, payload, _ in prepared.fresh:
                values += (
                    number, vin, boot, seq, kind, name or NULL, trigger or NULL, captured_at,
                    NULL if due is None else due, NULL if sent is None else sent, received_at, encoding or NULL,
                    bytearray(payload), stored_at,
                )  # fmt: skip
                number += 1
        assert self._connection is not None
        before = self._connection.total_changes
        # An error undoes the whole transaction anyway: SQLite need not be able to undo one statement.
        self._insert("INSERT OR ROLLBACK INTO message", _MESSAGE_COLUMNS, values)
        written, wanted = self._connection.total_changes - before, sum([len(part.prepared.fresh) for part in parts])
        if written != wanted:
            raise sqlite3.IntegrityError(f"{written} rows were written where {wanted} messages came")

    def _write_sequences(self, sequences: Mapping[BootKey, Seen]) -> None:
        values: list[Any] = []
        for (vin, boot), seen in sequences.items():
            numbers = seen.numbers
            if numbers.floor and not seen.is_beyond:
                seen.is_beyond = True
                self.beyond[GAPS_GIVEN_UP] += 1
            gaps = bytearray(self._encode(numbers.gaps)) if numbers.gaps else _NO_GAPS
            values += (
                vin, boot, numbers.high, numbers.missing, gaps, seen.duplicates, numbers.floor, seen.quarantined,
            )  # fmt: skip
        self._insert("INSERT OR REPLACE INTO sequence", _SEQUENCE_COLUMNS, values)

    def _write_newest(self, newest_of: Mapping[str, tuple[Newest, int]]) -> None:
        values: list[Any] = []
        for vin, (newest, stored_at) in newest_of.items():
            presence = newest.presence
            connection = (
                _NEVER
                if presence is None
                else (presence.connection, presence.reason or NULL, presence.boot, presence.captured_at)
            )
            latitude, longitude = newest.position
            mileage_km = newest.mileage_km
            values += (
                vin, newest.state or NULL, *connection, NULL if latitude is None else latitude,
                NULL if longitude is None else longitude, NULL if mileage_km is None else mileage_km, newest.captured_at,
                stored_at, bytearray(self._encode([key for _, key in newest.origins])),
            )  # fmt: skip
        self._insert("INSERT INTO newest", _NEWEST_COLUMNS, values, _NEWEST_UPDATE)

    def _insert(self, head: str, columns: str, values: Sequence[Any], tail: str = "") -> None:
        """Insert rows that follow each other in `values`, many in one statement."""
        assert self._connection is not None
        width = columns.count(",") + 1
        start = 0
        for size in _CHUNKS:
            while len(values) - start >= size * width:
                sql = _insertion(head, columns, size, tail)
                self._connection.execute(sql, values[start : start + size * width])
                start += size * width

    def _write_rest(self, batch: Batch, prepared: _Prepared) -> None:
        assert self._connection is not None
        if prepared.forgotten:
            self._connection.executemany("DELETE FROM sequence WHERE vin = ? AND boot = ?", prepared.forgotten)
        if prepared.put_aside:
            self._connection.executemany(_COUNT_PUT_ASIDE, list(prepared.put_aside.items()))
        if prepared.quarantined:
            # Sent again after a crash, the same message is one row: the account counts it once.
            self._connection.executemany(
                "INSERT OR IGNORE INTO quarantine (received_at, topic, reason, detail, size, payload, vin, boot, seq)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                prepared.quarantined,
            )
        for decision in batch.writes:
            write_decision(self._connection, decision)
        if batch.meta:
            self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(batch.meta.items()))

    # --- reading, for the driver

    def load(self) -> Loaded:
        """Return what the store knows that the desk must know, too."""
        assert self._lookup is not None, "the store is closed"
        run = self._lookup.execute
        try:
            return Loaded(
                users=[_user(row) for row in run(_USER)],
                vins=[row[0] for row in run("SELECT vin FROM newest UNION SELECT vin FROM user")],
                presence=[
                    PresenceChanged(*row)
                    for row in run("SELECT vin, connection, connection_reason FROM newest WHERE connection IS NOT NULL")
                ],
                presence_boots=dict(run("SELECT vin, connection_boot FROM newest WHERE connection IS NOT NULL").fetchall()),
                commands=[_command(row) for row in run(_RECORD + " WHERE ended_wall_us IS NULL ORDER BY rowid")],
                replies=[_reply(row) for row in run(_REPLY + " WHERE published_wall_us IS NULL ORDER BY id")],
                answers=[
                    (AnswerGiven(topic, msgspec.json.decode(answer, type=DeskAnswer)), wall_us)
                    for topic, answer, wall_us in run("SELECT topic, answer, wall_us FROM answer ORDER BY wall_us")
                ],
                services=_services(run("SELECT module, key, value FROM service_state")),
                meta=dict(run("SELECT name, value FROM meta").fetchall()),
            )
        except sqlite3.Error as error:
            raise in_words(error, self.path) from error

    def is_stored(self, vin: str, boot: int, seq: int) -> bool:
        """Tell whether a commit has seen the message of this number; on the event loop, also while another commits."""
        assert self._lookup is not None, "the store is closed"
        seen = self._numbers.holds((vin, boot))
        if seen is not None:
            return seq in seen.numbers
        try:
            row = self._lookup.execute(NUMBERS, (vin, boot)).fetchone()
        except sqlite3.Error as error:
            raise in_words(error, self.path) from error
        return row is not None and seq in self._numbers.read(row).numbers

    def save(self) -> None:
        """Have all that was committed in the file, for readers; here it is."""

    def find_command(self, command_id: str) -> CommandRecord | None:
        """Return the command with this id, None when there never was one."""
        assert self._lookup is not None, "the store is closed"
        try:
            row = self._lookup.execute(_RECORD + " WHERE id = ?", (command_id,)).fetchone()
        except sqlite3.Error as error:
            raise in_words(error, self.path) from error
        return None if row is None else _command(row)


@cache
def _insertion(head: str, columns: str, rows: int, tail: str) -> str:
    """Return the statement that inserts so many rows."""
    row = f"({','.join('?' * (columns.count(',') + 1))})"
    return f"{head} ({columns}) VALUES {','.join([row] * rows)}{tail}"


_PUT_ASIDE: Final = "SELECT 1 FROM quarantine WHERE vin = ? AND boot = ? AND seq = ? AND seq > 0"
_COUNT_PUT_ASIDE: Final = (
    "INSERT INTO quarantine_count VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count"
)
_LAST_ID: Final = "SELECT coalesce(max(id), 0) FROM message"
_ANY_CAR: Final = "SELECT EXISTS (SELECT 1 FROM sequence) OR EXISTS (SELECT 1 FROM newest)"
_USER: Final = "SELECT vin, name, role, salt, digest, cost, wrong_tries, locked, given_boot, given_seq FROM user"
_RECORD: Final = (
    "SELECT id, vin, name, user, parameters, answer_topic, asked_at, expires_at, due_wall_us, state, reason, detail,"
    " decided_by, changed_at, awake FROM command"
)


_REPLY: Final = "SELECT vin, request_id, name, error, data, at, expires_at FROM reply"


def _reply(row: tuple[Any, ...]) -> ReplyGiven:
    vin, request_id, name, error, data, at, expires_at = row
    return ReplyGiven(vin, Reply(id=request_id, name=name, error=error, data=msgspec.json.decode(data)), at, expires_at)


def _services(rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, Any]]:
    """Return the notes of the service centre's rules, by rule and key."""
    notes: dict[str, dict[str, Any]] = {}
    for module, key, value in rows:
        notes.setdefault(module, {})[key] = msgspec.json.decode(value)
    return notes


def _command(row: tuple[Any, ...]) -> CommandRecord:
    command_id, vin, name, user, parameters, topic, asked_at, expires_at, due, state, reason, detail, by, at, awake = row
    return CommandRecord(
        id=command_id, vin=vin, name=name, user=user, parameters=msgspec.json.decode(parameters), answer_topic=topic,
        asked_at=asked_at, expires_at=expires_at, due_wall_us=due, state=state, reason=reason, detail=detail,
        by=by or "desk", changed_at=at, awake=None if awake is None else bool(awake),
    )  # fmt: skip


def _user(row: tuple[Any, ...]) -> UserRecord:
    vin, name, role, salt, digest, cost, wrong_tries, locked, boot, seq = row
    spin = None if salt is None else SpinHash(salt, digest, cost)
    return UserRecord(vin, name, role, spin, wrong_tries, bool(locked), (boot, seq))


def _committed(prepared: _Prepared) -> Committed:
    return Committed(prepared.fresh, prepared.duplicates, prepared.sequences.items(), prepared.refused)
