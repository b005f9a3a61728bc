"""What one sender can cost: quarantine, gaps, boots and floods are bounded; what is beyond is counted and said."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.backend import consumer, known_numbers, quarantine
from fleet.backend.known_numbers import MARKED_GAPS, Seen
from fleet.backend.preparing import BOOTS_FORGOTTEN, GAPS_GIVEN_UP, NOT_KEPT
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, QuarantinedFrame
from fleet.cloud.sequence import SeenSequence
from fleet.errors import StoreFull
from fleet.wire.frame import Frame
from tests.backend.fake_link import FakeSession
from tests.backend.lab import BOOT, DIALECT, OTHER, VIN, OpenSqlite, arrival, buffered, presence, running, status

GARBAGE = QuarantinedFrame(1, "t", "type", "d", 3, b"abc", VIN, None, None)


def batch(*numbers: int, vin: str = VIN, boot: int = BOOT) -> Batch:
    return Batch(arrivals=[arrival(status(number, vin, boot)) for number in numbers])


def count(path: Path, what: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
        return found


# --- quarantine


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


# --- gaps


@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_a_car_that_leaves_out_every_second_number_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: OpenSqlite
) -> None:
    """The earliest numbers are given up; what still comes of them is in quarantine, and nothing is stored twice."""
    monkeypatch.setattr(known_numbers, "GAPS_OF_BOOT", 10)
    for first in (2, 102):
        store = kind(path)
        for seq in range(first, first + 100, 2):
            store.commit(batch(seq), 1)
        store.close()
    store = kind(path)
    assert store.commit(batch(199), 1).fresh, "the latest ones may still come"
    late = store.commit(batch(1, 2, 3, 101, 180), 1)
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


# --- boots


@pytest.mark.parametrize("kind", [SqliteStore, buffered])
def test_of_a_car_with_too_many_boots_the_earliest_are_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: OpenSqlite
) -> None:
    """What comes of them later is not taken for new, and other cars are as they were."""
    monkeypatch.setattr(known_numbers, "BOOTS_OF_CAR", 5)
    store = kind(path)
    store.commit(batch(1, 2, vin=OTHER, boot=1), 1)
    for boot in range(1, 9):
        assert len(store.commit(batch(1, 2, boot=boot), 1).fresh) == 2
    assert store.beyond[BOOTS_FORGOTTEN] == 3
    for _ in range(2):
        late = store.commit(Batch(arrivals=batch(3, boot=3).arrivals + batch(2, 3, boot=4).arrivals), 1)
        assert [held.reason for _, held in late.refused] == ["too_late"]
        assert len(late.fresh) + late.duplicates == 2
        store.close()
        store = kind(path)
    assert store.commit(batch(2, vin=OTHER, boot=1), 1).duplicates == 1
    assert store.commit(batch(1, vin=OTHER, boot=0), 1).fresh
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


# --- floods that nothing holds back


class FullStore(SqliteStore):
    def commit(self, batch: Batch, stored_at: int) -> object:  # type: ignore[override]
        raise StoreFull(str(self.path))


def floods() -> Iterator[tuple[str, Frame]]:
    said = DIALECT.from_car(presence("online"))
    topic = f"fleet/v1/{VIN}"
    yield "garbage", Frame(topic=f"{topic}/status", payload=b"\xc1" * 50, qos=0)
    yield "presence", Frame(topic=said.topic, payload=said.payload, content_type=said.content_type, qos=0)
    yield "requests", Frame(topic="fleet/v1/desk/request", payload=b"\xc1", qos=0)


@pytest.mark.parametrize("flood", [pytest.param(frame, id=name) for name, frame in floods()])
async def test_a_flood_at_qos_0_is_dropped_beyond_a_bound_while_the_disk_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch, flood: Frame
) -> None:
    monkeypatch.setattr(consumer, "UNACKNOWLEDGED_LIMIT", 100)
    session = FakeSession()
    async with running(path, session, open_store=FullStore) as lab:
        session.deliver(flood)
        await asyncio.sleep(0.05)  # the first one is what cannot be committed
        for _ in range(500):
            session.deliver(flood)
        pending = lab.backend.context.pending
        snapshot = lab.backend.snapshot()
        assert pending.size <= 101
        assert snapshot.unsafe_dropped >= 400 - 1
        assert snapshot.beyond == {consumer.UNSAFE_DROPPED: snapshot.unsafe_dropped}
        assert any(consumer.UNSAFE_DROPPED in warning for warning in snapshot.warnings)
        lab.backend.consumer.abandon()


async def test_large_messages_at_qos_0_are_bounded_by_their_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "UNACKNOWLEDGED_BYTES", 10_000)
    session = FakeSession()
    async with running(path, session, open_store=FullStore) as lab:
        for _ in range(100):
            session.deliver(Frame(topic=f"fleet/v1/{VIN}/status", payload=bytes(1_000), qos=0))
        assert lab.backend.snapshot().unsafe_dropped == 90
        lab.backend.consumer.abandon()


async def test_what_is_beyond_a_bound_is_said_at_the_first_time_and_at_ten_times_as_many(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "ROWS_OF_CAR", 1)
    async with running(path) as lab:
        for number in range(1, 121):
            lab.session.deliver(Frame(topic=f"fleet/v1/{VIN}/status", payload=DIALECT.from_car(status(0)).payload, qos=1))
            await lab.session.wait_for_acknowledged(number)
        snapshot = lab.backend.snapshot()
        assert snapshot.beyond == {NOT_KEPT: 119}
        told = [warning for warning in snapshot.warnings if NOT_KEPT in warning]
        assert told == [f"{number} {NOT_KEPT}" for number in (1, 10, 100)]
        assert sum(snapshot.quarantined.values()) == 120
