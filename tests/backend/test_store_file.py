"""The file behind a store's path: one back end has it, whatever it is called; nothing is called stored in one that is gone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.errors import StoreError, StoreGone
from tests.backend.fake_link import FakeSession
from tests.backend.lab import BOOT, VIN, OpenSqlite, arrival, buffered, car, config, event, in_memory

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file with two names is refused")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "of mine").mkdir()
    return tmp_path / "of mine" / "fleet.sqlite"


def batch(*numbers: int) -> Batch:
    return Batch(arrivals=[arrival(event(number)) for number in numbers])


# --- one writer


def by_symlink(path: Path) -> Path:
    link = path.parent.parent / "link.sqlite"
    link.symlink_to(path)
    return link


def by_chain_of_symlinks(path: Path) -> Path:
    link = path.parent / "second.sqlite"
    link.symlink_to(by_symlink(path))
    return link


def by_hard_link(path: Path) -> Path:
    link = path.parent / "other.sqlite"
    link.hardlink_to(path)
    return link


def by_folder(path: Path) -> Path:
    link = path.parent.parent / "folder"
    link.symlink_to(path.parent)
    return link / path.name


def by_dots(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def by_renamed_folder(path: Path) -> Path:
    return path.parent.rename(path.parent.with_name("of theirs")) / path.name


def by_process(path: Path) -> Path:
    return Path("/proc/self/root") / path.relative_to("/")


@pytest.mark.parametrize(
    "name",
    [
        by_symlink,
        by_chain_of_symlinks,
        by_folder,
        by_dots,
        pytest.param(by_hard_link, marks=ON_LINUX),
        pytest.param(by_renamed_folder, marks=ON_LINUX),
        pytest.param(by_process, marks=ON_LINUX),
    ],
)
@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_a_store_under_another_name_is_in_use_and_who_has_it_is_told(
    path: Path, name: Callable[[Path], Path], kind: OpenSqlite
) -> None:
    """Two back ends would count sequences of their own; and the attempt leaves the first one as it was."""
    store = kind(path)
    other = name(path)
    with pytest.raises(StoreError, match=f"in use by another back end: process {os.getpid()}") as caught:
        kind(other)
    assert caught.value.hint
    if name is not by_renamed_folder:
        store.commit(batch(1), 1)
    store.close()
    kind(other).close()


def test_another_process_is_refused_by_each_name(path: Path) -> None:
    """Also after attempts in the process that has it: they take none of SQLite's locks away."""
    store = SqliteStore(path)
    links = [by_symlink(path), *([by_hard_link(path)] if sys.platform == "linux" else [])]
    for link in links:
        with pytest.raises(StoreError):
            SqliteStore(link)
        tried = f"from pathlib import Path; from fleet.backend.sqlite_store import SqliteStore; SqliteStore(Path({str(link)!r}))"
        found = subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True, check=False)
        assert f"in use by another back end: process {os.getpid()}" in found.stderr
    store.commit(batch(1), 1)
    store.close()


def test_a_store_is_made_where_a_link_points_and_held_there(path: Path) -> None:
    link = by_symlink(path)
    store = SqliteStore(link)
    assert path.is_file()
    with pytest.raises(StoreError, match="in use"):
        SqliteStore(path)
    store.close()


@ON_LINUX
def test_a_hard_link_is_not_used_while_the_last_commits_are_in_the_log_of_the_other_name(path: Path) -> None:
    """A back end that was killed has left them there; SQLite looks for a log by the name it is given."""
    killed = (
        "import os; from pathlib import Path; from fleet.backend.sqlite_store import SqliteStore;"
        "from fleet.backend.store import Batch; from tests.backend.lab import *;"
        f"store = SqliteStore(Path({str(path)!r})); store.commit(Batch(arrivals=[arrival(event(1))]), 1); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)
    link = by_hard_link(path)
    with pytest.raises(StoreError, match="its last commits are in") as caught:
        SqliteStore(link)
    assert str(path) in caught.value.hint
    SqliteStore(path).close()
    again = SqliteStore(link)
    assert again.is_stored(VIN, BOOT, 1)
    again.close()


def test_a_lock_file_that_was_removed_opens_no_way(path: Path) -> None:
    store = SqliteStore(path)
    Path(f"{path}.lock").unlink()
    if sys.platform == "linux":
        with pytest.raises(StoreError, match="in use"):
            SqliteStore(path)
    store.close()


def test_what_is_no_file_is_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="a device or a pipe"):
        SqliteStore(tmp_path / "pipe")


def test_a_store_without_a_file_holds_its_name(path: Path) -> None:
    store = in_memory(path)
    with pytest.raises(StoreError, match="in use"):
        in_memory(path)
    assert not path.exists()
    store.close()


# --- the file behind the path


def removed(path: Path) -> None:
    path.unlink()


def all_removed(path: Path) -> None:
    for name in path.parent.iterdir():
        name.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name("elsewhere.sqlite"))


def folder_renamed(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replaced_by_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.sqlite"))
    path.with_name("copy.sqlite").replace(path)


def overwritten_with_text(path: Path) -> None:
    path.write_text("something else\n" * 10_000)


def truncated(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten_by_another_store(path: Path) -> None:
    other = SqliteStore(path.with_name("other.sqlite"))
    other.commit(batch(*range(1, 40)), 1)
    other.close()
    path.write_bytes(path.with_name("other.sqlite").read_bytes())


def without_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def log_truncated(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


def log_replaced(path: Path) -> None:
    shutil.copy(f"{path}-wal", f"{path}.new")
    Path(f"{path}.new").replace(f"{path}-wal")


def index_removed(path: Path) -> None:
    Path(f"{path}-shm").unlink()


@pytest.mark.parametrize(
    "harm",
    [
        removed, all_removed, renamed, folder_renamed, replaced_by_a_copy, overwritten_with_text, truncated, cut,
        overwritten_by_another_store, without_log, log_truncated, log_replaced, index_removed,
    ],
)  # fmt: skip
def test_nothing_is_called_stored_in_a_file_that_is_gone(path: Path, harm: Callable[[Path], None]) -> None:
    """However large the batch, and whether the log was copied back before."""
    store = SqliteStore(path)
    store.commit(batch(*range(1, 2_000)), 1)
    store.copy_back()
    store.restart_log()
    store.commit(batch(*range(2_000, 2_010)), 1)
    store.look()
    harm(path)
    with pytest.raises(StoreGone) as caught:
        store.commit(batch(2_010), 2)
    assert caught.value.hint
    store.close()


@pytest.mark.parametrize("harm", [removed, renamed, replaced_by_a_copy, overwritten_with_text, truncated])
def test_a_store_that_writes_later_says_so_when_it_writes(path: Path, harm: Callable[[Path], None]) -> None:
    store = buffered(path)
    store.commit(batch(*range(1, 2_000)), 1)
    store.save()
    harm(path)
    store.commit(batch(2_000), 1)
    with pytest.raises(StoreGone):
        store.save()
    with pytest.raises(StoreGone):
        store.close()


def read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone()[0]


def copied_back(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def touched(path: Path) -> None:
    path.touch()
    Path(f"{path}-wal").touch()


def backed_up(path: Path) -> None:
    """By a link, as some tools do."""
    path.with_name(f"backup {len(list(path.parent.iterdir()))}").hardlink_to(path)
    path.chmod(0o600)


@pytest.mark.parametrize("visit", [read, copied_back, touched, backed_up])
def test_what_takes_nothing_away_stops_nothing(path: Path, visit: Callable[[Path], None]) -> None:
    """People look into a store with tools of their own, and back it up."""
    store = SqliteStore(path)
    for number in range(1, 6):
        store.commit(batch(number), 1)
        visit(path)
        store.copy_back()
        store.restart_log()
    assert store.commit(batch(6), 1).marks[0][1].through == 6
    store.close()


async def test_a_back_end_whose_store_is_gone_acknowledges_nothing_and_ends(path: Path) -> None:
    """What came after that stays with the broker, and whoever stops it hears why."""
    session = FakeSession()
    backend = Backend(config(path, session))
    await backend.start()
    session.deliver(*car(event(1)))
    await session.wait_for_acknowledged(1)
    removed(path)
    session.deliver(*car(event(2)))
    with pytest.raises(StoreGone, match="was removed"):
        await backend.run()
    with pytest.raises(StoreGone, match="was removed"):
        await backend.stop()
    assert len(session.acknowledged) == 1


async def test_a_store_that_goes_while_nothing_comes_is_missed_at_the_end(path: Path) -> None:
    backend = Backend(config(path, FakeSession()))
    await backend.start()
    backend.look_at_store()
    removed(path)
    with pytest.raises(StoreGone):
        backend.look_at_store()
    with pytest.raises(StoreGone, match="was removed"):
        await backend.stop()
