"""A store of an earlier fleet, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from fleet.backend.schema import SCHEMA
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store_copies import copies_of
from fleet.backend.store_file import StoreFile
from tests.backend.lab import batch, status
from tests.backend.test_schema import made_older
from tests.cli.lab import call


def test_a_store_of_an_earlier_fleet_is_named_and_brought_up_to_date(tmp_path: Path) -> None:
    """What to do is said by the tool that cannot read it; then it can."""
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.commit(batch(status(1)), 1)
    store.close()
    made_older(path, 5)
    refused = call("cars", "--store", str(path))
    assert refused.code == 2
    assert f"fleet migrate {path}" in refused.text
    done = call("migrate", str(path))
    assert done.code == 0
    assert f"had schema 5, and has {SCHEMA} now" in done.text
    assert call("cars", "--store", str(path)).code == 0
    again = call("migrate", str(path), "--json")
    assert json.loads(again.out) == {"store": str(path), "found": SCHEMA, "schema": SCHEMA, "copies": []}


def test_a_store_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    """A back end has it: nothing is copied and nothing is changed."""
    path = tmp_path / "store.sqlite"
    SqliteStore(path).close()
    made_older(path, 5)
    held = StoreFile(path)
    try:
        refused = call("migrate", str(path))
    finally:
        held.close()
    assert refused.code == 2
    assert "in use by another back end" in refused.text
    assert copies_of(path) == []
    assert call("migrate", str(tmp_path / "none.sqlite")).code == 2
