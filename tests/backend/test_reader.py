"""Reading a store beside its writer, or without one."""

from __future__ import annotations

import shutil
from pathlib import Path

from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from tests.backend.lab import OTHER, VIN, batch, event, status


def test_history_is_cut_by_limit_time_and_kind(store: SqliteStore, path: Path) -> None:
    store.commit(batch(*[status(n) for n in range(1, 9)], event(9), status(1, vin=OTHER)), 1)
    with StoreReader(path) as reader:
        assert [row.seq for row in reader.history(VIN, limit=3)] == [9, 8, 7]
        assert [row.seq for row in reader.history(VIN, since=7_000)] == [9, 8, 7]
        assert [row.seq for row in reader.history(VIN, kind="event")] == [9]
        assert reader.history("nobody") == []


def test_a_closed_store_is_read_without_the_right_to_write(store: SqliteStore, path: Path) -> None:
    """Tools may run where they cannot create the files that WAL wants."""
    store.commit(batch(status(1)), 1)
    store.close()
    copy = path.with_name("copy ? #.sqlite")
    shutil.copy(path, copy)
    with StoreReader(copy) as reader:
        assert reader.account().stored == 1
        assert reader.meta()["created_by"] == '"test"'
