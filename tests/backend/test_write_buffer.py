"""The store of virtual runs: it writes later and less often, and what it has written in the end is the same."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, QuarantinedFrame
from fleet.backend.write_buffer import BUFFERED
from tests.backend.lab import BOOT, OTHER, VIN, OpenSqlite, arrival, buffered, event, presence, status

POSITION = {"latitude": 41.5, "longitude": 2.5, "accuracy_m": 5.0, "fixed_at": 1}


def batches() -> list[Batch]:
    """Return two cars' messages: with and without what may be NULL, late ones, duplicates, presence alone, quarantine."""
    held = QuarantinedFrame(1, "t", "type", "d", 3, b"abc", VIN, BOOT, 9)
    return [
        Batch(presences=[presence("online", vin=OTHER), presence("online")]),
        Batch(arrivals=[arrival(status(1)), arrival(event(2, sent_wall_us=5)), arrival(status(1))]),
        Batch(arrivals=[arrival(status(1, vin=OTHER, mileage_km=None, due_wall_us=None)), arrival(event(5))]),
        Batch(arrivals=[arrival(status(4, position=POSITION)), arrival(event(3))], quarantined=[held]),
        Batch(arrivals=[arrival(event(seq)) for seq in range(10, 30)]),
        Batch(arrivals=[arrival(status(30, mileage_km=30.5))], presences=[presence("offline", reason="lost")]),
    ]


def tables(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = list(connection.iterdump())
    connection.close()
    return found


@pytest.mark.parametrize("behind", [0, 20, 1_000])
def test_in_the_end_it_holds_what_a_store_without_a_buffer_holds(tmp_path: Path, behind: int) -> None:
    """However seldom rows are written, and those of cars among them."""
    paths = tmp_path / "at once.sqlite", tmp_path / "buffered.sqlite"
    stores = SqliteStore(paths[0]), SqliteStore(paths[1], policy=replace(BUFFERED, held_rows=2, behind_rows=behind))
    for number, (one, same) in enumerate(zip(batches(), batches(), strict=True)):
        first, second = stores[0].commit(one, number), stores[1].commit(same, number)
        assert (first.fresh, first.duplicates, first.marks) == (second.fresh, second.duplicates, second.marks)
    for store in stores:
        store.close()
    assert tables(paths[0]) == tables(paths[1])


def test_what_is_saved_can_be_read_while_it_goes_on(tmp_path: Path) -> None:
    """The row of a car is there with its messages, each time."""
    store = buffered(tmp_path / "fleet.sqlite")
    for seq in (1, 2):
        store.commit(Batch(arrivals=[arrival(status(seq))]), seq)
        store.save()
        with StoreReader(store.path) as reader:
            (row,) = reader.cars()
            assert (row.mileage_km, row.stored_at, reader.account().stored) == (float(seq), seq, seq)
    store.close()


@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_a_car_of_which_only_presence_is_known_is_known_after_a_restart(tmp_path: Path, kind: OpenSqlite) -> None:
    """Also in a file that has no message: what belongs to an earlier boot does not replace it."""
    path = tmp_path / "fleet.sqlite"
    store = kind(path)
    store.commit(Batch(presences=[presence("online")]), 1)
    store.close()
    store = kind(path)
    store.commit(Batch(presences=[msgspec.structs.replace(presence("offline"), boot=BOOT - 1)]), 2)
    store.close()
    with StoreReader(path) as reader:
        assert [row.connection for row in reader.cars()] == ["online"]
