"""The store: one transaction for rows, sequence and newest state; refusals in words; a full disk loses nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.backend.decisions import StoredWrite, decided
from fleet.backend.known_numbers import MARKED_GAPS
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, QuarantinedFrame
from fleet.cloud.desk_io import CommandOpened, CommandRecord, LateResult, SpinHash, StoreUser, Transition, UserRecord
from fleet.errors import StoreError, StoreFull
from fleet.wire.messages import Lights, Stored
from tests.backend.lab import BOOT, OTHER, VIN, arrival, batch, event, presence, status


def opened(command_id: str = "a", **more: object) -> CommandOpened:
    fields = {
        "id": command_id, "vin": VIN, "name": "honk", "user": "primary", "parameters": {"latitude": 1.5}, "answer_topic": "t",
        "asked_at": 100, "expires_at": 160, "due_wall_us": 3, "changed_at": 100,
    }  # fmt: skip
    return CommandOpened(CommandRecord(**(fields | more)))  # type: ignore[arg-type]


# --- messages


def test_rows_newest_and_sequence_are_written_together(store: SqliteStore, path: Path) -> None:
    """What a message brings is readable in all three places once the commit is through."""
    messages = batch(status(1, position={"latitude": 41.5, "longitude": 2.5, "accuracy_m": 5.0, "fixed_at": 1}), event(2))
    messages.presences.append(presence("online"))
    committed = store.commit(messages, stored_at=99)
    assert (len(committed.fresh), committed.duplicates, committed.marks) == (2, 0, [(VIN, Stored(boot=BOOT, through=2))])
    with StoreReader(path) as reader:
        newest, oldest = reader.history(VIN)
        assert (newest.kind, newest.name, newest.seq, newest.content["data"]) == ("event", "trip", 2, {"km": 2})
        assert (oldest.kind, oldest.trigger, oldest.received_at, oldest.stored_at) == ("status", "engine_off", 7, 99)
        (row,) = reader.cars()
        assert (row.vin, row.state, row.connection, row.latitude, row.mileage_km) == (VIN, "parked", "online", 41.5, 1.0)
        twin = reader.status(VIN)
        assert twin is not None
        assert twin.mileage_km == 1.0
        assert reader.status(OTHER) is None
        assert reader.account().stored == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.sampled_from([VIN, OTHER]), st.integers(1, 2), st.integers(1, 30)), max_size=30), max_size=6),
    st.sets(st.integers(0, 5)),
)
def test_gaps_and_duplicates_agree_with_a_set(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int, int]]], restarts: set[int]
) -> None:
    """Whatever arrives in whatever order and however often the back end restarts: each message is one row."""
    path = tmp_path_factory.mktemp("model") / "fleet.sqlite"
    store = SqliteStore(path)
    model: set[tuple[str, int, int]] = set()
    repeated = 0
    for number, keys in enumerate(batches):
        if number in restarts:
            store.close()
            store = SqliteStore(path)
        committed = store.commit(batch(*[status(seq, vin, boot) for vin, boot, seq in keys]), 1)
        assert committed.duplicates == len(keys) - len(set(keys) - model)
        repeated += committed.duplicates
        model |= set(keys)
    store.close()
    with StoreReader(path) as reader, sqlite3.connect(path) as connection:
        assert sorted(connection.execute("SELECT vin, boot, seq FROM message").fetchall()) == sorted(model)
        account = reader.account()
        assert (account.stored, account.duplicates) == (len(model), repeated)
        for (vin, boot), of_boot in account.boots.items():
            mine = {seq for v, b, seq in model if (v, b) == (vin, boot)}
            holes = {n for first, last in of_boot.gaps for n in range(first, last + 1)}
            assert (of_boot.high, of_boot.arrived) == (max(mine), len(mine))
            assert holes == set(range(1, max(mine))) - mine
        assert reader.account(boots={1}).stored == len([key for key in model if key[1] == 1])
    connection.close()


def test_a_large_batch_is_stored_whole(store: SqliteStore, path: Path) -> None:
    """Rows are inserted in chunks of several sizes; none falls between them."""
    store.commit(batch(*[status(n) for n in range(1, 1_368)]), 1)
    with StoreReader(path) as reader:
        assert [row.seq for row in reader.history(VIN, limit=2_000)] == list(range(1_367, 0, -1))


def test_the_newest_state_is_put_together_from_messages_of_before_a_restart(store: SqliteStore, path: Path) -> None:
    """A group that the newest status does not tell comes from an older one; a late one changes nothing that is known."""
    store.commit(batch(status(2, lights={"parking_lights_on": True}), status(4, mileage_km=4.0)), 1)
    store.close()
    again = SqliteStore(path)
    late = status(3, mileage_km=3.0, climate={"state": "off", "remaining_min": 0})
    again.commit(Batch(arrivals=[arrival(late)], presences=[presence("offline", reason="lost")]), 2)
    again.close()
    with StoreReader(path) as reader:
        twin = reader.status(VIN)
        (row,) = reader.cars()
    assert twin is not None
    assert (twin.mileage_km, twin.lights, twin.climate) == (4.0, Lights(parking_lights_on=True), late.climate)
    assert (twin.connection, twin.connection_reason, twin.captured_at) == ("offline", "lost", 4_000)
    assert (row.mileage_km, row.connection, row.captured_at) == (4.0, "offline", 4_000)


def test_the_log_begins_anew_once_it_is_copied_back(store: SqliteStore, path: Path) -> None:
    """Commits go on meanwhile, and what they wrote is copied, too; so the log stays as long as one round."""
    log = Path(f"{path}-wal")
    lengths = []
    for first in range(1, 1_000, 200):
        store.commit(batch(*[event(n) for n in range(first, first + 100)]), 1)
        store.copy_back()
        store.commit(batch(*[event(n) for n in range(first + 100, first + 200)]), 1)
        store.restart_log()
        lengths.append(log.stat().st_size)
    assert lengths[-1] < 2 * lengths[0]
    shutil.copy(path, path.with_name("without its log.sqlite"))
    with StoreReader(path.with_name("without its log.sqlite")) as reader:
        assert reader.account().stored == 1_000


# --- quarantine, users, commands


def test_a_mark_tells_what_is_stored_beyond_a_gap(store: SqliteStore) -> None:
    """What a car dropped never comes; the mark tells that what follows is stored all the same."""
    store.commit(Batch(arrivals=[arrival(status(seq)) for seq in (1, 2, 5, 6, 9)]), 1)
    [(_, mark)] = store.commit(Batch(arrivals=[arrival(status(10))]), 2).marks
    assert mark == Stored(boot=BOOT, through=2, high=10, gaps=((3, 4), (7, 8)))
    assert [seq for seq in range(1, 13) if mark.covers(seq)] == [1, 2, 5, 6, 9, 10]


def test_many_gaps_are_told_in_part(store: SqliteStore) -> None:
    """However many there are, a mark stays small, and says nothing about what it leaves out."""
    store.commit(Batch(arrivals=[arrival(status(seq)) for seq in range(2, 3_000, 2)]), 1)
    [(_, mark)] = store.commit(Batch(arrivals=[arrival(status(3_001))]), 2).marks
    assert len(mark.gaps) == MARKED_GAPS
    assert mark.high == mark.gaps[-1][1]
    assert [seq for seq in range(1, 3_002) if mark.covers(seq)] == list(range(2, mark.high, 2))


def test_a_number_in_quarantine_is_not_missing_and_not_stored(store: SqliteStore, path: Path) -> None:
    """Its car need not send it again; and damaged a second time, after it was stored, it counts as stored."""
    held = QuarantinedFrame(1, "t", "type", "d", 3, b"abc", VIN, BOOT, 2)
    [(_, mark)] = store.commit(Batch(arrivals=[arrival(status(1)), arrival(status(3))], quarantined=[held]), 1).marks
    assert mark == Stored(boot=BOOT, through=3)
    store.commit(Batch(quarantined=[held._replace(seq=3)]), 2)
    with StoreReader(path) as reader:
        account = reader.account(boots={BOOT})
        assert (account.stored, account.quarantined_of_boots, account.quarantined) == (2, 1, 2)


def test_quarantine_keeps_one_row_of_a_message_that_comes_again(store: SqliteStore, path: Path) -> None:
    """With a readable header the same message counts once, as the account demands; without one nobody can tell."""
    known = QuarantinedFrame(1, "t", "type", "d", 3, b"abc", VIN, BOOT, 4)
    unknown = QuarantinedFrame(1, "t", "encoding", "d", 3, b"abc", None, None, None)
    for _ in range(2):
        store.commit(Batch(quarantined=[known, unknown]), 1)
    with StoreReader(path) as reader:
        account = reader.account(boots={BOOT})
        assert account.quarantined_by_reason == {"type": 1, "encoding": 2}
        assert (account.quarantined, account.quarantined_of_boots) == (3, 1)
        assert reader.account(boots={1}).quarantined_of_boots == 0


def test_users_and_open_commands_survive_a_restart(store: SqliteStore, path: Path) -> None:
    user = UserRecord(VIN, "primary", spin=SpinHash(b"s", b"d", "scrypt:2:1:1"), wrong_tries=3, locked=True)
    store.commit(Batch(writes=[decided(StoreUser(UserRecord(VIN, "primary")), 1), decided(StoreUser(user), 2)]), 1)
    writes: list[StoredWrite] = [
        opened("open"),
        opened("checking"),
        opened("ended"),
        Transition("open", "queued", None, None, 130),
        Transition("ended", "rejected", "too_far", "600 m", 110, "car", True),
    ]
    store.commit(Batch(writes=[decided(write, 5) for write in writes], presences=[presence("offline", reason="deep_sleep")]), 1)
    store.close()
    again = SqliteStore(path)
    loaded = again.load()
    assert loaded.users == [user]
    assert [(record.id, record.state, record.expires_at) for record in loaded.commands] == [
        ("open", "queued", 190),
        ("checking", None, 160),
    ]
    assert loaded.commands[0].parameters == {"latitude": 1.5}
    assert [(entry.vin, entry.connection, entry.reason) for entry in loaded.presence] == [(VIN, "offline", "deep_sleep")]
    assert loaded.vins == [VIN]
    ended = again.find_command("ended")
    assert ended is not None
    assert (ended.state, ended.reason, ended.by, ended.awake) == ("rejected", "too_far", "car", True)
    assert again.find_command("nobody") is None
    again.close()


def test_a_command_keeps_its_steps_and_its_end(store: SqliteStore, path: Path) -> None:
    """Every transition is a row; after the end nothing changes but the late result, once."""
    steps = [
        (opened(), 10),
        (Transition("a", "queued", None, None, 100), 11),
        (Transition("a", "sent", None, None, 101), 12),
        (Transition("a", "accepted", None, None, 102, "car", False), 13),
        (Transition("a", "unknown", None, "no answer", 103), 14),
        (Transition("a", "succeeded", None, None, 104, "car", True), 15),
        (LateResult("a", OTHER, "failed", "foreign", 105), 16),
        (LateResult("a", VIN, "failed", "jammed", 106), 17),
        (LateResult("a", VIN, "succeeded", None, 107), 18),
    ]
    store.commit(Batch(writes=[decided(*step) for step in steps]), 1)  # type: ignore[arg-type]
    with StoreReader(path) as reader:
        row = reader.command("a")
        assert row is not None
        assert (row.state, row.detail, row.late_result) == ("unknown", "no answer", "failed(jammed)")
        assert (row.due_wall_us, row.asked_wall_us, row.sent_wall_us) == (3, 10, 12)
        assert (row.first_answer_wall_us, row.ended_wall_us) == (13, 14)
        assert [step.state for step in reader.transitions("a")] == ["queued", "sent", "accepted", "unknown"]
        assert reader.command_counts() == {"unknown": {"": 1}}
        assert [found.id for found in reader.commands(vin=VIN, state="unknown")] == ["a"]
        assert reader.commands(vin=OTHER) == []
        assert reader.command("nobody") is None


# --- what a store is not


def test_one_writer_only(store: SqliteStore, path: Path) -> None:
    """A second back end would count sequences of its own."""
    with pytest.raises(StoreError, match="in use by another back end"):
        SqliteStore(path)
    store.close()
    SqliteStore(path).close()


# --- no room


def test_a_full_database_takes_nothing_of_a_batch(store: SqliteStore, path: Path) -> None:
    """StoreFull leaves rows, sequence and newest as they were; with room the very same batch goes through once."""
    store.commit(batch(status(1)), 1)
    connection = store.database.writer
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = batch(status(2), *[event(n, due_wall_us=n) for n in range(3, 800)])
    for _ in range(2):
        with pytest.raises(StoreFull) as caught:
            store.commit(big, 2)
        assert caught.value.hint
        with StoreReader(path) as reader:
            assert reader.account().stored == 1
            twin = reader.status(VIN)
            assert twin is not None
            assert twin.mileage_km == 1.0
    connection.execute("PRAGMA max_page_count = 1000000")
    assert len(store.commit(big, 3).fresh) == 798
    with StoreReader(path) as reader:
        assert (reader.account().stored, reader.account().duplicates) == (799, 0)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; needs the rights to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system takes root")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this system does not let us mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(tiny_disk: Path) -> None:
    """What was committed stays; the batch that found no room is whole once there is some."""
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    store = SqliteStore(tiny_disk / "fleet.sqlite")
    seq = 0
    stuck = None
    while stuck is None:
        following = batch(*[event(n) for n in range(seq + 1, seq + 101)])
        try:
            store.commit(following, 1)
            seq += 100
        except StoreFull:
            stuck = following
    ballast.unlink()
    assert len(store.commit(stuck, 2).fresh) == 100
    store.close()
    with StoreReader(tiny_disk / "fleet.sqlite") as reader:
        account = reader.account()
        assert (account.stored, account.duplicates) == (seq + 100, 0)
        assert len(reader.history(VIN, limit=100_000)) == seq + 100


def test_payloads_are_messagepack_maps(store: SqliteStore, path: Path) -> None:
    store.commit(batch(status(1)), 1)
    with sqlite3.connect(path) as connection:
        (payload,) = connection.execute("SELECT payload FROM message").fetchone()
    connection.close()
    assert msgspec.msgpack.decode(payload)["vin"] == VIN
