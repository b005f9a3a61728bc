"""The numbers that a store has seen: bounded gaps and boots, and each new message once all the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.backend import known_numbers
from fleet.backend.known_numbers import MARKED_GAPS, Seen
from fleet.backend.preparing import BOOTS_FORGOTTEN, GAPS_GIVEN_UP
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.sequence import SeenSequence
from tests.backend.lab import BOOT, OTHER, VIN, OpenSqlite, arrival, buffered, count, status, statuses


@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_a_car_that_leaves_out_every_second_number_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: OpenSqlite
) -> None:
    """The earliest numbers are given up; what still comes of them is in quarantine, and nothing is stored twice."""
    monkeypatch.setattr(known_numbers, "GAPS_OF_BOOT", 10)
    for first in (2, 102):
        store = kind(path)
        for seq in range(first, first + 100, 2):
            store.commit(statuses(seq), 1)
        store.close()
    store = kind(path)
    assert store.commit(statuses(199), 1).fresh, "the latest ones may still come"
    late = store.commit(statuses(1, 2, 3, 101, 180), 1)
    assert (late.fresh, late.duplicates) == ([], 1)
    assert [(held.reason, held.vin, held.boot, held.seq) for _, held in late.refused] == [("too_late", VIN, None, None)] * 4
    store.save()
    assert store.beyond[GAPS_GIVEN_UP] <= 1
    store.close()
    with StoreReader(path) as reader:
        account = reader.account()
    boot = account.boots[VIN, BOOT]
    assert (account.stored, account.missing, account.quarantined_by_reason) == (101, 0, {"too_late": 4})
    assert (len(boot.gaps), boot.high, boot.missing) == (9, 200, 99)


@given(st.lists(st.integers(1, 60), max_size=120), st.integers(1, 5))
def test_with_a_bound_what_is_new_stays_new_once(numbers: list[int], most: int) -> None:
    """A number is taken once at most, and above the floor whenever it is new."""
    seen, model = SeenSequence(gaps_most=most), set[int]()
    for number in numbers:
        taken = seen.add(number)
        assert taken == (number not in model) or (not taken and number <= seen.floor)
        model |= {number} if taken else set()
        assert len(seen.gaps) <= most
        assert seen.missing == seen.high - len(model)
        again = SeenSequence(seen.high, list(seen.gaps), given_up=seen.given_up, floor=seen.floor, gaps_most=most)
        assert (again.missing, again.through) == (seen.missing, seen.through)


@pytest.mark.parametrize("gaps", [1, MARKED_GAPS, MARKED_GAPS + 1, 7 * MARKED_GAPS + 3])
def test_in_the_end_a_car_is_told_of_every_message_however_many_gaps_there_are(gaps: int) -> None:
    """A mark tells a part of many gaps, never more than is true, the newest ones in every second mark."""
    seen = Seen(SeenSequence())
    for seq in range(2, 2 * gaps + 1, 2):
        seen.numbers.add(seq)
    told: set[int] = set()
    for turn in range(20):
        mark = seen.mark(BOOT)
        covered = {seq for seq in range(1, 2 * gaps + 2) if mark.covers(seq)}
        assert covered <= set(range(2, 2 * gaps + 1, 2))
        assert len(mark.gaps) <= MARKED_GAPS + 1
        assert turn % 2 == 0 or 2 * gaps in covered
        told |= covered
    assert told == set(range(2, 2 * gaps + 1, 2))


@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_of_a_car_with_too_many_boots_the_earliest_are_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: OpenSqlite
) -> None:
    """What comes of them later is not taken for new, and other cars are as they were."""
    monkeypatch.setattr(known_numbers, "BOOTS_OF_CAR", 5)
    store = kind(path)
    store.commit(statuses(1, 2, vin=OTHER, boot=1), 1)
    for boot in range(1, 9):
        assert len(store.commit(statuses(1, 2, boot=boot), 1).fresh) == 2
    assert store.beyond[BOOTS_FORGOTTEN] == 3
    for _ in range(2):
        late = store.commit(Batch(arrivals=statuses(3, boot=3).arrivals + statuses(2, 3, boot=4).arrivals), 1)
        assert [held.reason for _, held in late.refused] == ["too_late"]
        assert len(late.fresh) + late.duplicates == 2
        store.close()
        store = kind(path)
    assert store.commit(statuses(2, vin=OTHER, boot=1), 1).duplicates == 1
    assert store.commit(statuses(1, vin=OTHER, boot=0), 1).fresh
    store.close()
    assert count(path, f"sequence WHERE vin = '{VIN}'") == 5
    with StoreReader(path) as reader:
        account = reader.account()
    assert (account.stored, account.twice, account.missing) == (16 + 1 + 3, 0, 0)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.sampled_from([VIN, OTHER]), st.integers(1, 6), st.integers(1, 6)), max_size=20), max_size=8),
    st.sets(st.integers(0, 7)),
    st.sampled_from([SqliteStore, buffered]),
)
def test_boots_that_are_not_in_memory_are_known_all_the_same(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int, int]]], restarts: set[int], kind: OpenSqlite
) -> None:
    path = tmp_path_factory.mktemp("boots") / "fleet.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_numbers, "BOOTS_IN_MEMORY", 1)
        store = kind(path)
        model: set[tuple[str, int, int]] = set()
        for number, keys in enumerate(batches):
            if number in restarts:
                store.close()
                store = kind(path)
            committed = store.commit(Batch(arrivals=[arrival(status(seq, vin, boot)) for vin, boot, seq in keys]), 1)
            assert committed.duplicates == len(keys) - len(set(keys) - model)
            model |= set(keys)
            assert all(store.is_stored(*key) for key in model)
            assert not store.is_stored(VIN, 7, 1)
        store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert sorted(connection.execute("SELECT vin, boot, seq FROM message").fetchall()) == sorted(model)
