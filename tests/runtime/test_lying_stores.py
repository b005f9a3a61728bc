"""A run sees a store that does not keep what it says: it counts the rows, and takes nobody's word for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleet.backend import database
from fleet.backend.reader import StoreReader
from fleet.backend.rows import Part, write_messages
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, Committed
from fleet.checks.verification import verify
from fleet.errors import StoreError
from fleet.observe.journal import JOURNAL
from fleet.runtime import backend_configs
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.scalars import ClockFactor, Duration
from tests.backend.lab import OTHER, VIN, arrival, status
from tests.runtime.pure_lab import scenario
from tests.runtime.test_virtual_stage import Quiet

FLEETS = "  - {name: street, count: 10, models: {Leon: 1}, profile: courier}\n"


def drops_every_tenth(connection: sqlite3.Connection, parts: Sequence[Part]) -> None:
    """Notes all numbers and says so, but writes nine rows of ten."""
    write_messages(connection, parts)
    connection.execute("DELETE FROM message WHERE id % 10 = 0")


def writes_one_twice(connection: sqlite3.Connection, parts: Sequence[Part]) -> None:
    write_messages(connection, parts)
    columns = "vin, boot, seq, kind, name, trigger, captured_at, received_at, stored_at, content_type, payload"
    connection.execute(f"INSERT OR IGNORE INTO message (id, {columns}) SELECT 1000000, {columns} FROM message WHERE id = 3")


def drops_one_for_each_twice(connection: sqlite3.Connection, parts: Sequence[Part]) -> None:
    """The sums are right, and nothing else is."""
    write_messages(connection, parts)
    first = "SELECT vin, boot, seq, payload FROM message WHERE id = 1"
    connection.execute(f"UPDATE message SET (vin, boot, seq, payload) = ({first}) WHERE id = 5")


class Forgets(SqliteStore):
    """Tells of messages as stored that it has never taken."""

    def commit(self, batch: Batch, stored_at: int) -> Committed:
        kept = [arrival for arrival in batch.arrivals if arrival.seq % 10]
        left_out = [arrival for arrival in batch.arrivals if not arrival.seq % 10]
        committed = super().commit(Batch(kept, batch.presences, batch.quarantined, batch.writes, batch.meta), stored_at)
        committed.fresh = [*committed.fresh, *left_out]
        return committed


def run(out: Path, *, until_stored: bool = False) -> Mapping[str, Any]:
    made = scenario(FLEETS, "", clock=ClockFactor.parse("virtual"), written_duration=Duration(6 * 3_600_000_000))
    return virtual_run(RunConfig(scenario=made, out=out, until_stored=until_stored), Quiet()).execute()


def breaches(out: Path) -> list[str]:
    found = verify(out / JOURNAL, {})
    return [breach.told for finding in found.findings if finding.check == "account" for breach in finding.breaches]


def rows(out: Path) -> int:
    with closing(sqlite3.connect(out / "store.sqlite")) as connection:
        count: int = connection.execute("SELECT count(DISTINCT vin || '/' || seq) FROM message").fetchone()[0]
        return count


def test_a_true_store_is_believed(tmp_path: Path) -> None:
    """And the report says by what it was counted."""
    report = run(tmp_path)
    assert report["verdict"] == "passed"
    assert report["stored"] == rows(tmp_path) > 50
    assert (report["rows_missing"], report["rows_twice"], report["stored_of_others"]) == (0, 0, 0)
    assert report["counted_by"].startswith("the rows of the store")
    assert "Counted by the rows of the store" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert breaches(tmp_path) == []


@pytest.mark.parametrize("until_stored", [False, True])
def test_rows_that_are_dropped_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until_stored: bool) -> None:
    monkeypatch.setattr(database, "write_messages", drops_every_tenth)
    report = run(tmp_path, until_stored=until_stored)
    assert report["verdict"] == "failed"
    assert report["stored"] == rows(tmp_path)
    assert report["rows_missing"] == report["lost"] > 5
    assert report["created"] == report["stored"] + report["in_outbox"] + report["lost"]
    assert "no row of the store has them" in report["reason"]
    assert "messages are told as stored, but the store has rows of" in breaches(tmp_path)[0]


@pytest.mark.parametrize("lies", [writes_one_twice, drops_one_for_each_twice])
def test_rows_that_are_there_twice_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lies: Callable[..., None]) -> None:
    monkeypatch.setattr(database, "write_messages", lies)
    report = run(tmp_path)
    assert report["verdict"] == "failed"
    assert report["rows_twice"] > 0
    assert report["stored"] == rows(tmp_path)
    assert "rows too many" in report["reason"]
    assert any("that it has already" in told for told in breaches(tmp_path))


def test_what_is_called_stored_and_never_came_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The back end says how much it stored, and that is held against the rows, too."""
    monkeypatch.setattr(backend_configs, "SqliteStore", Forgets)
    report = run(tmp_path)
    assert report["verdict"] == "failed"
    assert report["lost"] == report["rows_missing"] > 0
    assert report["stored"] == rows(tmp_path)
    assert any("told as stored" in told for told in breaches(tmp_path))


def test_a_row_that_the_store_leaves_out_is_no_commit(tmp_path: Path) -> None:
    """Something in the file itself, such as a trigger, keeps rows out: then nothing is acknowledged."""
    store = SqliteStore(tmp_path / "fleet.sqlite")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("CREATE TRIGGER t BEFORE INSERT ON message WHEN NEW.seq % 10 = 0 BEGIN SELECT RAISE(IGNORE); END")
    store.commit(Batch(arrivals=[arrival(status(seq)) for seq in range(1, 10)]), 1)
    with pytest.raises(StoreError, match="9 rows were written where 10 messages came"):
        store.commit(Batch(arrivals=[arrival(status(seq)) for seq in range(10, 20)]), 1)
    store.close()


def test_messages_of_others_are_told_apart(tmp_path: Path) -> None:
    """On a broker of many a store has more than the run's own cars; an earlier run has left some, too."""
    store = SqliteStore(tmp_path / "fleet.sqlite")
    say = partial(status, boot=7)
    store.commit(Batch(arrivals=[arrival(say(1)), arrival(say(2)), arrival(say(1, vin=OTHER)), arrival(status(1, boot=6))]), 1)
    first_id = store.first_id
    store.close()
    again = SqliteStore(tmp_path / "fleet.sqlite")
    again.commit(Batch(arrivals=[arrival(say(3))]), 1)
    again.close()
    with StoreReader(tmp_path / "fleet.sqlite") as reader:
        account = reader.account({7}, {VIN})
        assert (account.stored, account.of_others, account.missing, account.twice) == (3, 2, 0, 0)
        assert (reader.rows_since(first_id), reader.rows_since(again.first_id)) == ((5, 0), (1, 0))
