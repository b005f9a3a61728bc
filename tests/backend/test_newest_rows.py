"""The row of a car's newest state when messages that it came from are gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from fleet.backend.newest_rows import load_newest, rebuild_newest
from fleet.backend.sqlite_store import SqliteStore
from tests.backend.lab import OTHER, VIN, batch, status

PLACE = {"latitude": 41.3851234, "longitude": 2.1734567, "accuracy_m": 8.0, "fixed_at": 1}


def test_the_row_says_what_the_statuses_say_that_are_left(store: SqliteStore, path: Path) -> None:
    """One that was overtaken counts again; the connection stays, and a row whose messages are all there is left alone."""
    store.commit(batch(status(1, position=PLACE), status(2), status(3, mileage_km=30.0), status(1, OTHER)), 1)
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT * FROM newest ORDER BY vin").fetchall()
        rebuild_newest(connection, VIN)
        rebuild_newest(connection, "VSSZZZKMZPR000009")
        assert connection.execute("SELECT * FROM newest ORDER BY vin").fetchall() == before
        connection.execute("DELETE FROM message WHERE vin = ? AND seq IN (1, 3)", (VIN,))
        rebuild_newest(connection, VIN)
        assert connection.execute("SELECT latitude, mileage_km, captured_at FROM newest WHERE vin = ?", (VIN,)).fetchall() == [
            (None, 2.0, 2_000)
        ]
        assert connection.execute("SELECT * FROM newest WHERE vin = ?", (OTHER,)).fetchall() == before[1:]


def test_an_origin_that_is_gone_or_anothers_is_left_out(store: SqliteStore, path: Path) -> None:
    """As an erasure of an earlier version has left it."""
    store.commit(batch(status(1, position=PLACE), status(2), status(1, OTHER)), 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM message WHERE vin = ? AND seq = 1", (VIN,))
        connection.execute("UPDATE message SET id = 1 WHERE vin = ?", (OTHER,))
        assert [origin.seq for origin, _ in load_newest(connection, VIN).origins] == [2]
