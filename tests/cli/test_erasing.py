"""Export and erase at the prompt: what is asked before, and what is done to the files of a run that has ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.backend.sqlite_store import SqliteStore
from tests.backend.lab import VIN, batch, status
from tests.cli.lab import call
from tests.observe.test_redacting import journal


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    writer = SqliteStore(path)
    writer.commit(batch(status(1)), 1)
    writer.close()
    return path


def test_nothing_is_erased_unless_somebody_says_so(store: Path) -> None:
    """A script that forgot --yes changes nothing."""
    done = call("erase", VIN, "--store", str(store))
    assert done.code == 2
    assert "Give --yes" in done.text


def test_whoever_is_nobody_is_told(store: Path) -> None:
    done = call("erase", "nobody@example.com", "--yes", "--store", str(store))
    assert done.code == 2
    assert "nobody has an account" in done.text


def test_without_a_running_fleet_nobody_can_be_asked(store: Path) -> None:
    for words in (("erase", VIN, "--yes"), ("export", "anna@example.com")):
        done = call(*words, "--store", str(store))
        assert done.code == 2
        assert "no fleet is running" in done.text


def test_the_files_of_a_run_that_has_ended_are_rewritten_and_searched(store: Path) -> None:
    """The journal is; in this store the car was not erased, which the search finds, and says with its exit code."""
    path = journal(store.with_name("journal.jsonl"))
    done = call("erase", VIN, "--files", "--store", str(store), "--json")
    assert done.code == 1
    told = json.loads(done.out)
    assert told["journals"] == {str(path): 666}
    assert [(Path(found["where"]).name, found["what"]) for found in told["found"]] == [("store.sqlite", "a VIN (1)")]
    assert VIN not in path.read_text()
    in_words = call("erase", VIN, "--files", "--store", str(store))
    assert in_words.code == 1
    assert "FOUND a VIN (1)" in in_words.text
    assert "as the law wants" in in_words.text


def test_with_nothing_left_it_ends_well(store: Path) -> None:
    done = call("erase", "anna@example.com", "--files", "--store", str(store))
    assert done.code == 0
    assert "found nothing" in done.text
