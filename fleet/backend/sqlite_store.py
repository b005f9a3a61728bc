"""A store in an SQLite file: the only writer of it. One batch of messages and decisions is written whole or not at all.

The policy says when rows are written and where to. What is new, what was there before, and what is the newest of each car is
found by the same code in each case.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet.backend.database import Database
from fleet.backend.decisions import AnswerGiven, ReplyGiven
from fleet.backend.known_numbers import NUMBERS
from fleet.backend.mail.letter import Letter
from fleet.backend.needles import Needle, position_needle, text_needle
from fleet.backend.positions import sample_of_positions
from fleet.backend.preparing import BatchPreparer
from fleet.backend.rows import Part
from fleet.backend.schema import store_error
from fleet.backend.store import Batch, Committed, Loaded, StoredMail
from fleet.backend.write_buffer import AT_ONCE, WriteBuffer, WritePolicy
from fleet.cloud.desk_io import CommandRecord, PresenceChanged, SpinHash, UserRecord
from fleet.cloud.rule import Erase
from fleet.wire.messages import DeskAnswer, Reply

POSITIONS: Final = 3
"""Positions of an erased car that are looked for afterwards."""
_USER: Final = "SELECT vin, name, role, salt, digest, cost, wrong_tries, locked, given_boot, given_seq FROM user"
_RECORD: Final = (
    "SELECT id, vin, name, user, parameters, answer_topic, asked_at, expires_at, due_wall_us, state, reason, detail,"
    " decided_by, changed_at, awake FROM command"
)
_MAIL: Final = (
    "SELECT id, account, address, language, kind, data, vin, channel, at, wall_us, secret, state, tries, next_wall_us FROM mail"
)
_LAST_MAIL: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'mail'"
"""The number of the last mail there ever was, also if it was erased: none is used twice."""
_REPLY: Final = "SELECT vin, request_id, name, error, data, at, expires_at FROM reply"


class SqliteStore:
    """A `Store` in one file."""

    def __init__(self, path: Path, /, *, created_by: str = "", policy: WritePolicy = AT_ONCE) -> None:
        """Open or create the store; raises StoreError and its kin, also when another back end has it open."""
        self.path = path
        self.database = database = Database(path, policy.medium, created_by=created_by)
        try:
            self._buffer = WriteBuffer(database, policy)
            self._preparer = BatchPreparer(database.writer, self._buffer.bring_up)
        except BaseException:
            database.close()
            raise
        self._numbers = self._preparer.numbers
        self._numbers.unsaved = self._buffer.sequences
        self.first_id = self._preparer.next_id
        self.beyond = self._preparer.beyond
        self.has_log = database.has_log

    def look(self) -> None:
        self.database.look()

    def close(self) -> None:
        if self.database.is_closed:
            return
        try:
            self._buffer.flush()
        finally:
            self.database.close()

    # --- writing

    def commit(self, batch: Batch, stored_at: int) -> Committed:
        """Take a batch. Raises StoreFull or StoreError when it cannot be written, and StoreGone when its file is another one."""
        self._buffer.make_room()
        prepared = batch.prepared
        if prepared is None:
            try:
                prepared = batch.prepared = self._preparer.prepare(batch)
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error
        self._buffer.take(Part(batch, prepared, stored_at))
        if erased := batch.erased:
            self._buffer.flush()
            self._preparer.forget_cars(erased)
        numbers = [*prepared.sequences.items(), *prepared.forgotten_sequences.items()]
        return Committed(prepared.fresh, prepared.duplicates, numbers, prepared.refused, prepared.erased_counts)

    def forget(self) -> None:
        self._buffer.flush()
        self._preparer.forget()

    def save(self) -> None:
        self._buffer.flush()
        self.database.save()

    def copy_back(self) -> None:
        self.database.copy_back()

    def restart_log(self) -> None:
        self.database.restart_log()

    def truncate_log(self) -> bool:
        return self.database.truncate_log()

    def traces(self, needles: Sequence[Needle]) -> list[str]:
        return self.database.traces(needles)

    def rewrite(self) -> None:
        self.database.rewrite()

    # --- reading

    def load(self) -> Loaded:
        """Return what the store knows that the desk must know, too."""
        run = self.database.reader.execute
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
                last_mail_id=run(_LAST_MAIL).fetchone()[0],
                mails_sending=run("SELECT id, tries FROM mail WHERE state = 'sending' ORDER BY id").fetchall(),
            )
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def is_stored(self, vin: str, boot: int, seq: int) -> bool:
        """Tell whether a message is stored, or was put aside; raises StoreError when the file cannot be read."""
        seen = self._numbers.holds((vin, boot))
        if seen is not None:
            return seq in seen.numbers
        try:
            row = self.database.reader.execute(NUMBERS, (vin, boot)).fetchone()
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error
        return row is not None and seq in self._numbers.read(row).numbers

    def find_command(self, command_id: str) -> CommandRecord | None:
        if self._buffer.holds(command_id):
            self._buffer.bring_up()
        try:
            row = self.database.reader.execute(_RECORD + " WHERE id = ?", (command_id,)).fetchone()
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error
        return None if row is None else _command(row)

    def waiting_mails(self, channel: str, limit: int) -> list[StoredMail]:
        return self._mails(_MAIL + " WHERE state = 'waiting' AND channel = ? ORDER BY next_wall_us, id LIMIT ?", (channel, limit))

    def find_mail(self, mail_id: int) -> StoredMail | None:
        return next(iter(self._mails(_MAIL + " WHERE id = ?", (mail_id,))), None)

    def mails_of(self, erased: Erase) -> list[Letter]:
        found = {}
        of_one = [("vin", vin) for vin in erased.vins] + [("address", word) for word in erased.words]
        for column, value in [*of_one, *([("account", erased.account)] if erased.account else ())]:
            for stored in self._mails(f"{_MAIL} WHERE {column} = ?", (value,)):
                found[stored.letter.id] = stored.letter
        return list(found.values())

    def needles_of(self, erased: Erase) -> list[Needle]:
        self._buffer.bring_up()
        # The VIN of a car itself stays until it has obeyed: without it nobody could tell the car.
        gone = [word for word in erased.telling if word not in erased.vins]
        needles = [text_needle(f"name {number}", word) for number, word in enumerate(gone, 1)]
        try:
            for number, car in enumerate(erased.cars, 1):
                places = sample_of_positions(self.database.reader, car.vin, car.until, POSITIONS, newest=car.whole)
                needles += [position_needle(f"position {place} of car {number}", *at) for place, at in enumerate(places, 1)]
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error
        return needles

    def _mails(self, sql: str, parameters: tuple[Any, ...]) -> list[StoredMail]:
        self._buffer.bring_up()
        try:
            return [_mail(row) for row in self.database.reader.execute(sql, parameters)]
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error


def _mail(row: tuple[Any, ...]) -> StoredMail:
    mail_id, account, address, language, kind, data, vin, channel, at, made, secret, state, tries, due = row
    letter = Letter(mail_id, account, address, language, kind, msgspec.json.decode(data), vin, channel, at, made, secret)
    return StoredMail(letter, state, tries, due)


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
