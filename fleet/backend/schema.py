"""The tables of the store, how a store file is opened, and what SQLite's errors mean in words. Reads no message.

A store survives `kill -9` at any moment (WAL), but the last commits before a power cut may be gone: with
synchronous=NORMAL a commit is not flushed to the disk.
"""

from __future__ import annotations

import errno
import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fleet.backend.store_copies import keep_copy
from fleet.errors import StoreError, StoreFull, StoreLocked, StoreTooNew, StoreTooOld

SCHEMA: Final = 8
"""Kept in `PRAGMA user_version`, which can be read before anything is known of the tables. Tools read this one alone."""
OLDEST_SCHEMA: Final = 3
"""The oldest that a writer brings to the present one."""
APPLICATION_ID: Final = 0x464C_4531
"""`FLE1` in the file's header: tells our stores from other people's databases."""

_ANSWER: Final = """
CREATE TABLE answer (
    topic TEXT NOT NULL, request_id TEXT NOT NULL, answer TEXT NOT NULL, wall_us INTEGER NOT NULL,
    PRIMARY KEY (topic, request_id)) WITHOUT ROWID;
"""
_GIVEN: Final = """
ALTER TABLE user ADD COLUMN given_boot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN given_seq INTEGER NOT NULL DEFAULT 0;
"""
_BOUNDS: Final = """
ALTER TABLE sequence ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sequence ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
CREATE TABLE quarantine_count (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
_COUNTED: Final = """
UPDATE sequence SET quarantined = (SELECT count(*) FROM quarantine
    WHERE quarantine.vin = sequence.vin AND quarantine.boot = sequence.boot AND quarantine.seq > 0);
INSERT INTO quarantine_count SELECT reason, count(*) FROM quarantine GROUP BY reason;
"""
_MAIL: Final = """
CREATE TABLE mail (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, address TEXT NOT NULL, language TEXT NOT NULL,
    kind TEXT NOT NULL, data TEXT NOT NULL, secret TEXT NOT NULL, vin TEXT NOT NULL, channel TEXT NOT NULL,
    at INTEGER NOT NULL, wall_us INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL,
    next_wall_us INTEGER NOT NULL, sent_wall_us INTEGER, error TEXT NOT NULL);
CREATE INDEX mail_of_account ON mail (account, id);
CREATE INDEX mail_unsent ON mail (state, channel, next_wall_us) WHERE state IN ('waiting', 'sending');
"""
_ERASED: Final = """
CREATE TABLE erased_count (
    boot INTEGER PRIMARY KEY, stored INTEGER NOT NULL, refused INTEGER NOT NULL, noted INTEGER NOT NULL,
    duplicates INTEGER NOT NULL, quarantined INTEGER NOT NULL);
"""
"""Messages of erased cars by boot: that were stored, and that were not stored any more; `noted` of both stand in `sequence`."""
_TABLES: Final = (
    """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE message (
    id INTEGER PRIMARY KEY, vin TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
    name TEXT, trigger TEXT, captured_at INTEGER NOT NULL, due_wall_us INTEGER, sent_wall_us INTEGER,
    received_at INTEGER NOT NULL, stored_at INTEGER NOT NULL, content_type TEXT, payload BLOB NOT NULL);
CREATE INDEX message_of_car ON message (vin, captured_at);

CREATE TABLE sequence (
    vin TEXT NOT NULL, boot INTEGER NOT NULL, high INTEGER NOT NULL, missing INTEGER NOT NULL, gaps BLOB NOT NULL,
    duplicates INTEGER NOT NULL, PRIMARY KEY (vin, boot)) WITHOUT ROWID;

CREATE TABLE newest (
    vin TEXT PRIMARY KEY, state TEXT, connection TEXT, connection_reason TEXT, connection_boot INTEGER,
    connection_at INTEGER, latitude REAL, longitude REAL, mileage_km REAL, captured_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL, origins BLOB NOT NULL);

CREATE TABLE command (
    id TEXT PRIMARY KEY, vin TEXT NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL, parameters TEXT NOT NULL,
    answer_topic TEXT NOT NULL, state TEXT, reason TEXT, detail TEXT, decided_by TEXT, awake INTEGER,
    late_result TEXT, late_at INTEGER, asked_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
    due_wall_us INTEGER, asked_wall_us INTEGER NOT NULL, sent_wall_us INTEGER, first_answer_wall_us INTEGER,
    ended_wall_us INTEGER);
CREATE INDEX command_of_car ON command (vin, asked_at);
CREATE INDEX command_open ON command (id) WHERE ended_wall_us IS NULL;

CREATE TABLE command_transition (
    id INTEGER PRIMARY KEY, command_id TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, detail TEXT,
    decided_by TEXT NOT NULL, at INTEGER NOT NULL, wall_us INTEGER NOT NULL);
CREATE INDEX transition_of_command ON command_transition (command_id);

CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    size INTEGER NOT NULL, payload BLOB, vin TEXT, boot INTEGER, seq INTEGER);
CREATE UNIQUE INDEX quarantine_once ON quarantine (vin, boot, seq) WHERE seq > 0;

CREATE TABLE user (
    vin TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, salt BLOB, digest BLOB, cost TEXT,
    wrong_tries INTEGER NOT NULL, locked INTEGER NOT NULL, PRIMARY KEY (vin, name)) WITHOUT ROWID;

CREATE TABLE notice (
    id INTEGER PRIMARY KEY, vin TEXT NOT NULL, recipient TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
    at INTEGER NOT NULL, wall_us INTEGER NOT NULL);
CREATE INDEX notice_of_car ON notice (vin, at);

CREATE TABLE reply (
    id INTEGER PRIMARY KEY, vin TEXT NOT NULL, request_id TEXT NOT NULL, name TEXT NOT NULL, error TEXT,
    data TEXT NOT NULL, at INTEGER NOT NULL, expires_at INTEGER NOT NULL, wall_us INTEGER NOT NULL, published_wall_us INTEGER);
CREATE UNIQUE INDEX reply_to_request ON reply (vin, request_id);
CREATE INDEX reply_unpublished ON reply (id) WHERE published_wall_us IS NULL;

CREATE TABLE service_state (
    module TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (module, key)) WITHOUT ROWID;
"""
    + _ANSWER
    + _GIVEN
    + _BOUNDS
    + _MAIL
    + _ERASED
)
_MIGRATIONS: Final[dict[int, str]] = {3: _ANSWER, 4: _GIVEN, 5: _BOUNDS + _COUNTED, 6: _MAIL, 7: _ERASED}
"""Statements that bring a store from a version to the next one."""

CLOCK: Final = "clock"
"""Where meta keeps the last announcement of scenario time."""
LAST_OF_ERASED: Final = "last_id_of_erased"
"""Where meta keeps the last id that any message had at an erasure: none is used twice, whatever was erased."""
LAST_ID: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM message), 0),"
    " coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'last_id_of_erased'), 0))"
)
"""Asks for the last id that any message has or had, 0 without any."""
BUSY_TIMEOUT_MS: Final = 30_000
"""How long SQLite waits for a lock."""
NULL: Final = math.nan
"""SQLite keeps it as NULL. So it would None; but for each None, bool or `bytes` Python's sqlite3 looks for an adapter, which
costs a tenth of a row. It does not for a float, an int or a `bytearray`."""
LOG_PAGES_MAX: Final = 64_000
"""Pages in the log (4 KB each) at which a commit itself copies them back, however long that takes: nobody else did."""
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
"""A full file system shows up as any of these, depending on which of the store's files wanted to grow."""


def open_for_writing(path: Path, *, created_by: str, survives_kill: bool = True) -> sqlite3.Connection:
    """Open or create the store; the caller sees to it that there is one writer. Of one of an earlier schema a copy is kept.

    Without `survives_kill` nothing is done for the case that this process is killed: then the file may be lost.

    Raises StoreTooNew, StoreFull, or StoreError for a path that cannot be a store.
    """
    check_place(path)
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
        version = _check_identity(connection, path)
        connection.execute(f"PRAGMA journal_mode = {'WAL' if survives_kill else 'MEMORY'}")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if survives_kill else 'OFF'}")
        connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES_MAX}")
        if not version:
            _create(connection, created_by)
        elif version < SCHEMA:
            keep_copy(connection, path, version)
            _migrate(connection, version)
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise (store_error(error, path) if isinstance(error, sqlite3.Error) else _copy_error(error, path)) from error
    except StoreError:
        if connection is not None:
            connection.close()
        raise
    return connection


def open_in_memory(*, created_by: str) -> sqlite3.Connection:
    """Make a store that has no file."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _create(connection, created_by)
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing store of this schema without the right to change it. Raises StoreTooNew, StoreTooOld or StoreError."""
    if not path.is_file():
        raise StoreError(
            f"there is no store at {path}", hint="Name it with --store or FLEET_STORE; `fleet run` tells where it is."
        )
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        return _opened_for_reading(address, path)
    except sqlite3.OperationalError as error:
        # A store that nobody has open, in a folder we may not write, cannot get the shared memory that WAL wants.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or Path(f"{path}-wal").exists():
            raise store_error(error, path) from error
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    try:
        return _opened_for_reading(address + "&immutable=1", path)
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def schema_of(path: Path) -> int:
    """Return the schema version of one of our stores, whichever it is. Raises StoreError for what is none, or is too new."""
    if not path.is_file():
        raise StoreError(f"there is no store at {path}", hint="Name the file, such as runs/latest/store.sqlite.")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            version = _check_identity(connection, path)
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    if not version:
        raise StoreError(f"{path} is empty", hint="Nothing was stored there yet, or it is not the store you mean.")
    return version


def _opened_for_reading(address: str, path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        version = _check_identity(connection, path)
        if not version:
            raise StoreError(f"{path} is empty", hint="Nothing was stored there yet, or it is not the store you mean.")
        if version < SCHEMA:
            raise StoreTooOld(str(path), version, SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what an SQLite error means for the user."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    if code in _NO_ROOM or code & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull(str(path))
    match code & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StoreError(f"{path} is not a database, or a broken one", hint="Name another --store, or move the file away.")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreError(f"{path} cannot be opened or written: {error}", hint="May this user write the file and its folder?")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(str(path))
    return StoreError(f"{path}: {error}", hint="The store could not be used; is its disk in order?")


def _copy_error(error: OSError, path: Path) -> StoreError:
    """Say why no copy of a store could be kept; without one it stays as it is."""
    if error.errno == errno.ENOSPC:
        return StoreFull(str(path))
    return StoreError(
        f"no copy of {path} could be kept before it is brought up to date: {error.strerror or error}",
        hint="It was left as it is. May this user write its folder, and is there room for as much again?",
    )


def check_place(path: Path) -> None:
    """Raise StoreError when a path cannot be that of a store, whether or not there is one."""
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist", hint="Create it, or name another --store.")
    if path.is_dir():
        raise StoreError(f"{path} is a folder", hint="Name a file in it, such as fleet.sqlite.")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is a device or a pipe, not a file", hint="Name a file, such as fleet.sqlite.")


def _check_identity(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of one of our stores, 0 for an empty database; raise for anything else."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of something else", hint="Name another --store.")
    if version > SCHEMA:
        raise StoreTooNew(str(path), version, SCHEMA)
    if version < OLDEST_SCHEMA:
        raise StoreError(
            f"{path} has schema version {version} of an earlier fleet, this one takes over {OLDEST_SCHEMA} to {SCHEMA}",
            hint="Read it with the version that made it, or name another --store.",
        )
    return int(version)


def _create(connection: sqlite3.Connection, created_by: str) -> None:
    """Make the tables in one transaction, so that a store exists whole or not at all."""
    with _transaction(connection):
        _run(connection, _TABLES)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [("schema", ""), ("created_by", json.dumps(created_by))])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _note_version(connection)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store of an earlier version to the present one, whole or not at all."""
    with _transaction(connection):
        for step in range(version, SCHEMA):
            _run(connection, _MIGRATIONS[step])
        _note_version(connection)


def _run(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _note_version(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(SCHEMA),))
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
