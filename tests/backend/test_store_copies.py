"""Copies of a store before a migration."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from fleet.backend import store_copies
from fleet.backend.store_copies import copies_of, keep_copy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    return path


def kept(path: Path) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return keep_copy(connection, path, 6)
    finally:
        connection.close()


def test_the_same_copy_is_kept_once(path: Path) -> None:
    """A migration that is tried again does not fill the disk."""
    assert kept(path) == kept(path)
    assert [copy.name for copy in copies_of(path)] == ["fleet.sqlite.schema-6"]


def test_another_copy_is_not_overwritten(path: Path) -> None:
    """It may be all that somebody has."""
    first = path.with_name("fleet.sqlite.schema-6")
    first.write_text("of somebody else")
    assert kept(path).name == "fleet.sqlite.schema-6.2"
    assert first.read_text() == "of somebody else"


def test_what_a_killed_one_left_is_begun_anew(path: Path) -> None:
    path.with_name("fleet.sqlite.schema-6.part").write_text("half")
    assert [kept(path)] == copies_of(path)


def test_a_full_disk_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_copies, "_sync", full)
    with pytest.raises(OSError, match="No space"):
        kept(path)
    assert copies_of(path) == []


def test_names_with_wildcards_are_taken_as_they_are(tmp_path: Path, path: Path) -> None:
    odd = path.rename(tmp_path / "fleet[1]*.sqlite")
    assert [kept(odd)] == copies_of(odd)
