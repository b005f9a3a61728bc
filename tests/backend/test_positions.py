"""Positions in stored messages."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fleet.backend.positions import positions_in, sample_of_positions
from fleet.backend.sqlite_store import SqliteStore
from tests.backend.lab import OTHER, VIN, batch, status


def test_positions_stand_anywhere_in_plain_data() -> None:
    inner = {"route": [{"latitude": 1.5, "longitude": 2.5}, {"latitude": 3, "longitude": 2.5}], "latitude": 4.5, "longitude": 5.5}
    assert list(positions_in({"data": inner})) == [(4.5, 5.5), (1.5, 2.5)]


def test_a_sample_is_of_one_car_spread_and_bounded(store: SqliteStore, path: Path) -> None:
    """Of other cars, and of what was measured later, there is nothing in it."""
    for seq in range(1, 41):
        for vin, east in ((VIN, 2.0), (OTHER, 9.0)):
            place = {"latitude": 41 + seq / 1000, "longitude": east, "accuracy_m": 8.0, "fixed_at": seq}
            store.commit(batch(status(seq, vin, position=place)), 1)
    with sqlite3.connect(path) as connection:
        found = sample_of_positions(connection, VIN, 20_000, 5)
        assert len(found) == 5
        assert {east for _, east in found} == {2.0}
        assert max(found)[0] <= 41.040
        assert sample_of_positions(connection, "VSSZZZKMZPR000009", 20_000, 5) == []
    connection.close()
