"""Whatever is sent to it, the back end lives: messages and requests drawn from their types and bent, on the real store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.backend.reader import StoreReader
from tests.backend.lab import BackendLab, car, running, status
from tests.bending import to_back_end
from tests.nightly import draws

CHUNK = 250
"""Frames for one back end. A failing test names the seed that makes them."""
GOOD = "VSSZZZKMZPR000009"
"""A car of which no bent message speaks."""
ROWS_EACH = 12
"""Rows that a message can bring at most: itself, its number, its car, and what desk and centre make of it."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.mark.random
@pytest.mark.timeout(7_200)
@settings(max_examples=draws(40, 4_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**64 - 1))
async def test_whatever_is_sent_the_back_end_lives(seed: int) -> None:
    """Each is acknowledged; nothing fails inside; the next good message is stored; rows and memory stay within what came."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.sqlite"
        async with running(path) as lab:
            frames = to_back_end(seed, CHUNK)
            for start in range(0, CHUNK, 50):
                lab.session.deliver(*frames[start : start + 50])
                await lab.session.wait_for(lambda: not lab.session.unacknowledged)
            lab.session.deliver(*car(status(1, GOOD)))
            await lab.session.wait_for(lambda: not lab.session.unacknowledged)
            _holds_no_more_than_came(lab)
        with StoreReader(path) as reader:
            assert [row.seq for row in reader.history(GOOD)] == [1]
            for row in reader.cars():
                assert reader.status(row.vin) is not None
                reader.history(row.vin)
            assert reader.notices() is not None
        _rows_are_bounded(path)


def _holds_no_more_than_came(lab: BackendLab) -> None:
    consumer, desk = lab.backend.consumer, lab.backend.desk
    warnings = [text for text in lab.backend.context.warnings if not text.startswith("first message in quarantine")]
    assert [text for text in warnings if "failed" in text or "could not" in text] == []
    assert "internal" not in consumer.quarantined
    assert not consumer._handled
    assert desk.desk.open_count <= CHUNK
    assert len(desk._awaited) <= CHUNK


def _rows_are_bounded(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
    finally:
        connection.close()
    assert rows <= ROWS_EACH * CHUNK
