"""The tables of a store, and files that are none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from fleet.backend.reader import StoreReader
from fleet.backend.schema import APPLICATION_ID, OLDEST_SCHEMA, SCHEMA
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store_copies import copies_of
from fleet.errors import StoreError, StoreFull, StoreTooNew, StoreTooOld
from tests.backend.lab import batch, status


def test_a_store_of_a_schema_that_is_too_old_is_refused(store: SqliteStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {OLDEST_SCHEMA - 1}")
    connection.close()
    for open_it in (SqliteStore, StoreReader):
        with pytest.raises(StoreError, match=f"schema version {OLDEST_SCHEMA - 1}") as caught:
            open_it(path)
        assert caught.value.hint


def tables_of(path: Path) -> set[tuple[str, str]]:
    """Return our tables and indexes; SQLite keeps one of its own for numbers that are not used twice."""
    with sqlite3.connect(path) as connection:
        found = set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall())
    connection.close()
    return found


UNDONE = {
    3: ("DROP TABLE answer",),
    4: ("ALTER TABLE user DROP COLUMN given_boot", "ALTER TABLE user DROP COLUMN given_seq"),
    5: (
        "DROP TABLE quarantine_count",
        "ALTER TABLE sequence DROP COLUMN floor",
        "ALTER TABLE sequence DROP COLUMN quarantined",
    ),
    7: ("DROP TABLE erased_count",),
    6: ("DROP TABLE mail",),
}
"""What makes a store of the next schema one of this."""


def made_older(path: Path, earlier: int) -> None:
    """Make the store one of an earlier schema."""
    with sqlite3.connect(path) as connection:
        for step in range(SCHEMA - 1, earlier - 1, -1):
            for statement in UNDONE[step]:
                connection.execute(statement)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(earlier),))
        connection.execute(f"PRAGMA user_version = {earlier}")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


@pytest.mark.parametrize("earlier", UNDONE)
def test_a_store_of_an_earlier_schema_is_brought_up_to_date(store: SqliteStore, path: Path, earlier: int) -> None:
    """What is in it stays, and afterwards it is as a store made anew. Before that a reader says what to do."""
    store.commit(batch(status(1)), 1)
    store.close()
    as_new = tables_of(path)
    made_older(path, earlier)
    with pytest.raises(StoreTooOld, match=f"schema version {earlier} ") as caught:
        StoreReader(path)
    assert "fleet migrate" in caught.value.hint
    again = SqliteStore(path)
    assert again.load().answers == []
    assert again.load().meta["schema"] == str(SCHEMA)
    again.close()
    assert tables_of(path) == as_new
    with StoreReader(path) as reader:
        assert reader.account().stored == 1


def test_a_copy_of_an_earlier_schema_is_kept(store: SqliteStore, path: Path) -> None:
    """It has the schema in its name, and is the store as it was: its own fleet can go on with it."""
    store.commit(batch(status(1)), 1)
    store.close()
    made_older(path, 5)
    before = tables_of(path)
    SqliteStore(path).close()
    (copy,) = copies_of(path)
    assert copy.name == f"{path.name}.schema-5"
    assert tables_of(copy) == before
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (1,)
    connection.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it fails at; and then it is done again, with one copy in the end."""
    store.commit(batch(status(1)), 1)
    store.close()
    made_older(path, 5)
    before = tables_of(path)

    def fails(_connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr("fleet.backend.schema._note_version", fails)
        with pytest.raises(StoreError, match="the disk is gone"):
            SqliteStore(path)
    assert tables_of(path) == before
    SqliteStore(path).close()
    assert [copy.name for copy in copies_of(path)] == [f"{path.name}.schema-5"]


def test_a_newer_schema_is_refused(store: SqliteStore, path: Path) -> None:
    """The version is named, and nothing is touched."""
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    for open_it in (SqliteStore, StoreReader):
        with pytest.raises(StoreTooNew, match=f"schema version {SCHEMA + 1}") as caught:
            open_it(path)
        assert caught.value.hint


def test_refusals_are_in_words(tmp_path: Path) -> None:
    """Each says what is wrong and what to do."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to look at " * 20)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    cases = [
        (SqliteStore, tmp_path / "no" / "fleet.sqlite", "does not exist"),
        (SqliteStore, tmp_path, "is a folder"),
        (SqliteStore, text, "not a database"),
        (SqliteStore, foreign, "something else"),
        (StoreReader, tmp_path / "none.sqlite", "no store"),
        (StoreReader, text, "not a database"),
        (StoreReader, foreign, "something else"),
        (StoreReader, empty, "is empty"),
    ]
    for open_it, path, words in cases:
        with pytest.raises(StoreError, match=words) as caught:
            open_it(path)
        assert caught.value.hint
        assert not isinstance(caught.value, StoreFull | StoreTooNew)
