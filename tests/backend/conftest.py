"""A path for a store, and an empty store there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.backend.sqlite_store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, created_by="test")
    yield store
    store.close()
