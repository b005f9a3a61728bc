"""The quarantine: a part is kept, all is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.backend import quarantine
from fleet.backend.preparing import NOT_KEPT
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, QuarantinedFrame
from tests.backend.lab import BOOT, OTHER, VIN, OpenSqlite, arrival, buffered, count, status

GARBAGE = QuarantinedFrame(1, "t", "type", "d", 3, b"abc", VIN, None, None)


@pytest.fixture
def small_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "ROWS_OF_CAR", 3)
    monkeypatch.setattr(quarantine, "ROWS_OF_REASON", 5)
    monkeypatch.setattr(quarantine, "ROWS", 8)


@pytest.mark.usefixtures("small_quarantine")
@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_of_garbage_a_part_is_kept_and_all_is_counted(path: Path, kind: OpenSqlite) -> None:
    """Of a car, of a reason and in all; across restarts, too."""
    for _ in range(3):
        store = kind(path)
        for _ in range(4):
            store.commit(Batch(quarantined=[GARBAGE, GARBAGE._replace(vin=OTHER), GARBAGE._replace(vin=None)]), 1)
            store.commit(Batch(quarantined=[GARBAGE._replace(vin=None, reason="encoding")]), 1)
        kept = store.beyond[NOT_KEPT]
        store.close()
    assert kept == 16, "there is no room any more"
    with StoreReader(path) as reader:
        account = reader.account()
    assert account.quarantined_by_reason == {"encoding": 12, "type": 36}
    assert (account.quarantined, account.quarantined_rows) == (48, 8)
    assert count(path, "quarantine WHERE reason = 'type'") == 5
    assert count(path, f"quarantine WHERE vin = '{VIN}'") <= 3


@pytest.mark.usefixtures("small_quarantine")
@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_the_account_adds_up_beyond_the_room_of_the_quarantine(path: Path, kind: OpenSqlite) -> None:
    """A numbered message of which nothing is kept is in quarantine by its number, and its car need not send it again."""
    store = kind(path)
    marks = []
    for seq in range(1, 21):
        bad = [GARBAGE._replace(boot=BOOT, seq=seq)] if seq % 2 else []
        marks = store.commit(Batch(arrivals=[] if bad else [arrival(status(seq))], quarantined=bad), 1).marks
    assert marks[0][1].through == 20
    store.close()
    with StoreReader(path) as reader:
        account = reader.account({BOOT}, {VIN})
    assert (account.stored, account.quarantined_of_boots, account.quarantined_rows, account.missing) == (10, 10, 3, 0)


@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_the_same_bad_message_counts_once(path: Path, kind: OpenSqlite) -> None:
    """Twice in a batch, in another one, and after a restart."""
    bad = GARBAGE._replace(boot=BOOT, seq=1)
    for _ in range(2):
        store = kind(path)
        for _ in range(2):
            store.commit(Batch(quarantined=[bad, bad]), 1)
        store.close()
    with StoreReader(path) as reader:
        account = reader.account()
    assert (account.quarantined, account.quarantined_of_boots, account.quarantined_rows) == (1, 1, 1)
