"""Floods that nothing holds back are bounded; what is beyond a bound is counted and said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.backend import consumer, quarantine
from fleet.backend.preparing import NOT_KEPT
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.errors import StoreFull
from fleet.wire.frame import Frame
from tests.backend.fake_link import FakeSession
from tests.backend.lab import DIALECT, VIN, presence, running, status


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
