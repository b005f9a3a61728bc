"""Writes the rows of batches with SQL, many rows in one statement. Opens no file and no transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from fleet.backend.decisions import write_decision
from fleet.backend.forgetting import count_refused
from fleet.backend.known_numbers import BootKey, Seen
from fleet.backend.schema import NULL
from fleet.backend.store import Batch, Prepared
from fleet.cloud.twin import Newest

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


_COUNT_PUT_ASIDE: Final = (
    "INSERT INTO quarantine_count VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count"
)
_encode: Final = msgspec.msgpack.Encoder().encode


class Part(NamedTuple):
    """A batch to be written, its rows, and when (wall µs) it is stored."""

    batch: Batch
    prepared: Prepared
    stored_at: int


def write_messages(connection: sqlite3.Connection, parts: Sequence[Part]) -> None:
    """Insert the new messages of the batches; raises sqlite3.IntegrityError when the rows are not as many."""
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
    before = connection.total_changes
    # An error undoes the whole transaction anyway: SQLite need not be able to undo one statement.
    _insert(connection, "INSERT OR ROLLBACK INTO message", _MESSAGE_COLUMNS, values)
    written, wanted = connection.total_changes - before, sum([len(part.prepared.fresh) for part in parts])
    if written != wanted:
        raise sqlite3.IntegrityError(f"{written} rows were written where {wanted} messages came")


def write_sequences(connection: sqlite3.Connection, sequences: Mapping[BootKey, Seen]) -> None:
    values: list[Any] = []
    for (vin, boot), seen in sequences.items():
        numbers = seen.numbers
        gaps = bytearray(_encode(numbers.gaps)) if numbers.gaps else _NO_GAPS
        values += (
            vin, boot, numbers.high, numbers.missing, gaps, seen.duplicates, numbers.floor, seen.quarantined,
        )  # fmt: skip
    _insert(connection, "INSERT OR REPLACE INTO sequence", _SEQUENCE_COLUMNS, values)


def write_newest(connection: sqlite3.Connection, newest_of: Mapping[str, tuple[Newest, int]]) -> None:
    values: list[Any] = []
    for vin, (newest, stored_at) in newest_of.items():
        presence = newest.presence
        of_connection = (
            _NEVER if presence is None else (presence.connection, presence.reason or NULL, presence.boot, presence.captured_at)
        )
        latitude, longitude = newest.position
        mileage_km = newest.mileage_km
        values += (
            vin, newest.state or NULL, *of_connection, NULL if latitude is None else latitude,
            NULL if longitude is None else longitude, NULL if mileage_km is None else mileage_km, newest.captured_at,
            stored_at, bytearray(_encode([key for _, key in newest.origins])),
        )  # fmt: skip
    _insert(connection, "INSERT INTO newest", _NEWEST_COLUMNS, values, _NEWEST_UPDATE)


def _insert(connection: sqlite3.Connection, head: str, columns: str, values: Sequence[Any], tail: str = "") -> None:
    """Insert rows that follow each other in `values`, many in one statement."""
    width = columns.count(",") + 1
    start = 0
    for size in _CHUNKS:
        while len(values) - start >= size * width:
            sql = _insertion(head, columns, size, tail)
            connection.execute(sql, values[start : start + size * width])
            start += size * width


def write_rest(connection: sqlite3.Connection, batch: Batch, prepared: Prepared) -> None:
    """Write the quarantine, the decisions and the settings of a batch, and forget the boots that it gives up."""
    if prepared.forgotten:
        connection.executemany("DELETE FROM sequence WHERE vin = ? AND boot = ?", prepared.forgotten)
    if prepared.put_aside:
        connection.executemany(_COUNT_PUT_ASIDE, list(prepared.put_aside.items()))
    if prepared.quarantined:
        # Sent again after a crash, the same message is one row: the account counts it once.
        connection.executemany(
            "INSERT OR IGNORE INTO quarantine (received_at, topic, reason, detail, size, payload, vin, boot, seq)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            prepared.quarantined,
        )
    if prepared.erased_counts:
        count_refused(connection, prepared.erased_counts)
    for decision in batch.writes:
        write_decision(connection, decision)
    if batch.meta:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(batch.meta.items()))


@cache
def _insertion(head: str, columns: str, rows: int, tail: str) -> str:
    """Return the statement that inserts so many rows."""
    row = f"({','.join('?' * (columns.count(',') + 1))})"
    return f"{head} ({columns}) VALUES {','.join([row] * rows)}{tail}"
