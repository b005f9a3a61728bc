"""An erasure in a running back end: what it forgets, what it takes no more, and when it says that it is done."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet.backend import consumer
from fleet.backend.database import Database
from fleet.backend.needles import Needle, found_in, position_needle, text_needle
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, Committed
from fleet.backend.wiping import Wiper
from fleet.kernel.instants import DAY, HOUR
from fleet.runtime.clocks import wall_us
from fleet.wire.messages import AnnounceClock, Event, ServiceRequest
from tests.backend.fake_link import FakeSession
from tests.backend.lab import BOOT, DIALECT, OTHER, VIN, BackendLab, car, presence, response, running, status

PLACE = {"latitude": 41.3851234, "longitude": 2.1734567, "accuracy_m": 8.0, "fixed_at": 1}


async def erase(lab: BackendLab, request_id: str = "e", vin: str = VIN, **data: Any) -> dict[str, Any]:
    lab.ask(ServiceRequest(id=request_id, service="erasure", action="erase", vin=vin, data=data))
    answer = await lab.state(request_id, "succeeded", "rejected")
    assert answer.state == "succeeded", answer
    return answer.data or {}


def traces(path: Path, *words: str) -> list[str]:
    needles = [text_needle(word, word) for word in words]
    return [found for ending in ("", "-wal") for found in found_in(Path(f"{path}{ending}"), needles)]


async def stored(lab: BackendLab, count: int) -> None:
    await lab.session.wait_for(lambda: lab.backend.snapshot().stored >= count)


async def test_when_it_is_answered_only_the_reset_knows_the_car(path: Path) -> None:
    """The broker's presence is taken back, the car is told to forget its people, and with its answer the VIN is gone, too."""
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(presence(), *(status(seq, position=PLACE) for seq in range(1, 200)), status(1, OTHER)))
        await stored(lab, 200)
        assert traces(path, VIN)
        assert (await erase(lab))["waiting"] == 1
        with closing(sqlite3.connect(path)) as connection:
            for table in ("message", "sequence", "newest", "user", "notice"):
                assert connection.execute(f"SELECT count(*) FROM {table} WHERE vin = ?", (VIN,)).fetchone() == (0,)
        await session.wait_for(lambda: bool(lab.commands()))
        (command,) = lab.commands()
        assert (command.name, command.vin) == ("reset", VIN)
        cleared = [frame for frame in session.published if frame.topic == DIALECT.topics.presence(VIN)]
        assert [(frame.payload, frame.retain) for frame in cleared] == [(b"", True)]
        session.deliver(*car(response(200, command, "accepted"), response(201, command, "succeeded")))
        await session.wait_for(lambda: lab.backend.snapshot().commands_ended.get("succeeded", {}) != {})
        await session.wait_for(lambda: not traces(path, VIN))
        assert traces(path, OTHER)
    assert traces(path, VIN) == []


async def test_what_comes_late_is_acknowledged_and_not_kept(path: Path) -> None:
    """An outbox full of messages from before, a presence, and what a silent car says: also after a restart."""
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(status(1)))
        await stored(lab, 1)
        await erase(lab)
    async with running(path, session) as lab:
        session.deliver(*car(presence(), *(status(seq) for seq in range(1, 50)), status(1, OTHER)))
        await stored(lab, 1)
        await session.wait_for_acknowledged(1 + 1 + 49 + 1)
    with StoreReader(path) as reader:
        account = reader.account()
        assert [row.vin for row in reader.cars()] == [OTHER]
        assert (account.stored, account.erased) == (1, 1 + 49)


async def test_an_old_app_learns_nothing_and_leaves_nothing(path: Path) -> None:
    """A command for an erased car is refused as for one that was never there, and its VIN is not kept."""
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(status(1)))
        await stored(lab, 1)
        await erase(lab)
        await session.wait_for(lambda: bool(lab.commands()))
        (command,) = lab.commands()
        session.deliver(*car(response(200, command, "succeeded")))
        await session.wait_for(lambda: not traces(path, VIN))
        lab.command("old", user="anna@example.com")
        assert (await lab.state("old", "rejected")).reason == "unknown_vin"
        assert traces(path, VIN, "anna@example.com") == []


async def test_with_somebody_at_home_the_car_is_a_new_one(path: Path) -> None:
    """A new owner pairs it: from then on all is stored; what was measured before still is not."""
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(status(1)))
        await stored(lab, 1)
        now = lab.backend.clock.now()
        await erase(lab)
        later = now + 3_600_000_000
        paired = Event(vin=VIN, boot=BOOT, seq=5, captured_at=later, name="car_paired")
        session.deliver(*car(status(4), paired, status(6, captured_at=later + 1), status(7)))
        await stored(lab, 3)
    with StoreReader(path) as reader:
        assert sorted(row.seq for row in reader.history(VIN, limit=9)) == [5, 6]


async def test_of_a_car_whose_data_alone_go_nothing_but_data_goes(path: Path) -> None:
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(presence(), status(1, position=PLACE)))
        await stored(lab, 1)
        assert (await erase(lab, scope="data"))["waiting"] == 0
        session.deliver(*car(status(2), status(3, captured_at=lab.backend.clock.now() + 1)))
        await stored(lab, 2)
        lab.command("c")
        await session.wait_for(lambda: bool(lab.commands()))
    with StoreReader(path) as reader:
        assert [row.seq for row in reader.history(VIN, limit=9)] == [3]


async def test_when_the_clock_is_set_back_after_an_erasure_the_car_goes_on(path: Path) -> None:
    """What it measures by the new clock is stored, also after a restart; what it had measured by the one before is not."""
    session = FakeSession()
    async with running(path, session) as lab:
        before = lab.backend.clock.now()
        session.deliver(*car(presence(), status(1, captured_at=before - HOUR)))
        await stored(lab, 1)
        await erase(lab, scope="data")
        lab.ask(AnnounceClock(id="clock", start=before - 30 * DAY, epoch_wall_us=wall_us(), factor=1.0))
        await lab.state("clock", "succeeded")
        now = lab.backend.clock.now()
        session.deliver(*car(status(2, captured_at=before - 2 * HOUR), status(3, captured_at=now + 1)))
        await stored(lab, 2)
    async with running(path, session) as lab:
        late = status(4, captured_at=before - HOUR), status(5, captured_at=before - 40 * DAY)
        session.deliver(*car(*late, status(6, captured_at=now + 2)))
        await stored(lab, 1)
    with StoreReader(path) as reader:
        assert sorted(row.seq for row in reader.history(VIN, limit=9)) == [3, 6]


async def test_a_trace_that_is_left_has_the_file_written_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked is answered after that."""
    done: list[str] = []
    rewrite = Database.rewrite

    def finds(self: Database, needles: Sequence[Needle]) -> list[str]:
        done.append("search")
        return [] if "rewrite" in done else ["something"]

    def rewrites(self: Database) -> None:
        done.append("rewrite")
        rewrite(self)

    monkeypatch.setattr(Database, "traces", finds)
    monkeypatch.setattr(Database, "rewrite", rewrites)
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(status(1)))
        await stored(lab, 1)
        await erase(lab)
        assert done == ["search", "rewrite", "search"]
        session.deliver(*car(status(1, OTHER)))
        await stored(lab, 2)


async def test_a_reader_that_holds_the_log_is_waited_for(path: Path) -> None:
    """As long as somebody reads, the log has the pages from before; the answer comes when it is empty."""
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(*(status(seq) for seq in range(1, 300))))
        await stored(lab, 299)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM message").fetchone()
            lab.ask(ServiceRequest(id="e", service="erasure", action="erase", vin=VIN, data={}))
            await session.wait_for(lambda: bool(lab.commands()))
            session.deliver(*car(status(1, OTHER)))
            await stored(lab, 300)  # ingestion goes on
            assert not lab.answers("e")
            reader.execute("COMMIT")
        await lab.state("e", "succeeded")
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM message WHERE vin = ?", (VIN,)).fetchone() == (0,)


async def test_after_a_kill_the_next_back_end_empties_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows were gone with the commit; what the log still had of them goes when somebody works with it again."""
    session = FakeSession()
    killed = path.with_name("killed.sqlite")
    with monkeypatch.context() as cut_short:
        cut_short.setattr(Wiper, "begin", lambda _self, _needles, _answers: None)
        async with running(path, session) as lab:
            session.deliver(*car(*(status(seq, position=PLACE) for seq in range(1, 100))))
            await stored(lab, 99)
            lab.ask(ServiceRequest(id="e", service="erasure", action="erase", vin=VIN, data={}))
            await session.wait_for(lambda: bool(lab.commands()))
            for ending in ("", "-wal"):
                shutil.copy(f"{path}{ending}", f"{killed}{ending}")
    place = [position_needle("place", PLACE["latitude"], PLACE["longitude"])]

    def left() -> list[str]:
        return [what for ending in ("", "-wal") for what in found_in(Path(f"{killed}{ending}"), place)]

    assert left()  # in the log, and in the file as far as that was copied back
    async with running(killed, FakeSession()) as lab:
        lab.session.deliver(*car(status(1, OTHER)))
        await stored(lab, 1)
        await lab.session.wait_for(lambda: not left())


async def test_a_back_end_that_is_stopped_ends_what_it_has_begun(path: Path) -> None:
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(status(1)))
        await stored(lab, 1)
        lab.ask(ServiceRequest(id="e", service="erasure", action="erase", vin=VIN, data={}))
        await asyncio.sleep(0)
    assert [answer.state for answer in lab.answers("e")] == ["succeeded"]


async def test_what_comes_while_an_erasure_is_committed_is_of_an_erased_car(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The car has measured it after the erasure, and nobody is at home in it: it does not bring the car back."""
    gate = threading.Event()
    begun = threading.Event()
    gate.set()
    commit = SqliteStore.commit

    def gated(store: SqliteStore, batch: Batch, stored_at: int) -> Committed:
        begun.set()
        assert gate.wait(8)
        return commit(store, batch, stored_at)

    monkeypatch.setattr(SqliteStore, "commit", gated)
    monkeypatch.setattr(consumer, "LOOP_ROWS_MAX", -1)  # each commit in the writer's thread
    session = FakeSession()
    async with running(path, session) as lab:
        session.deliver(*car(presence(), status(1), status(1, OTHER)))
        await stored(lab, 2)
        gate.clear()
        begun.clear()
        lab.ask(ServiceRequest(id="e", service="erasure", action="erase", vin=VIN))
        assert await asyncio.to_thread(begun.wait, 8)
        later = lab.backend.clock.now() + 60_000_000
        session.deliver(*car(presence("offline"), status(2, captured_at=later, position=PLACE)))
        gate.set()
        assert (await lab.state("e", "succeeded", "rejected")).state == "succeeded"
        session.deliver(*car(status(2, OTHER)))
        await stored(lab, 3)
        with closing(sqlite3.connect(path)) as connection:
            for table in ("message", "newest"):
                assert connection.execute(f"SELECT count(*) FROM {table} WHERE vin = ?", (VIN,)).fetchone() == (0,)
