"""fleet cars, status, history and notices --as PERSON: a person's own view of a store, and why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.backend.sqlite_store import SqliteStore
from fleet.cloud.rights import Private
from tests.backend.lab import VIN, batch, status
from tests.backend.test_seeing import PLACE, with_people
from tests.cli.lab import call


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of a car with two users, whose app keeps it private."""
    path = tmp_path / "store.sqlite"
    opened = SqliteStore(path)
    opened.commit(batch(status(1), status(3, position=PLACE), status(4, position=PLACE)), 1)
    with_people(opened, mode="online", private=(Private(3_500, None, "online"),))
    opened.close()
    return path


def seen(store: Path, *words: str) -> object:
    done = call(*words, "--store", str(store), "--json")
    assert done.code == 0, done.text
    return json.loads(done.out)


def test_each_person_sees_the_own_part(store: Path) -> None:
    history = ("history", VIN, "--as")
    of_primary, of_additional = seen(store, *history, "anna@example.com"), seen(store, *history, "bo@example.com")
    assert isinstance(of_primary, list)
    assert isinstance(of_additional, list)
    assert [row["seq"] for row in of_primary] == [4, 3]
    assert ["position" in row["content"] for row in of_primary] == [False, True]
    assert [row["seq"] for row in of_additional] == [4, 3, 1]
    assert not any("position" in row["content"] for row in of_additional)
    assert isinstance(everything := seen(store, "history", VIN), list)
    assert all("position" in row["content"] for row in everything[:2]), "without --as a tool sees what is stored"


def test_status_cars_and_notices(store: Path) -> None:
    status_of_primary, status_of_additional = (seen(store, "status", VIN, "--as", person) for person in ("p1", "p2"))
    assert isinstance(status_of_primary, dict)
    assert isinstance(status_of_additional, dict)
    assert (status_of_primary["position"]["latitude"], status_of_primary["mileage_km"]) == (48.1, 4.0)
    assert "position" not in status_of_additional
    garage = seen(store, "cars", "--as", "anna@example.com")
    assert isinstance(garage, list)
    assert [(car["vin"], car["latitude"]) for car in garage] == [(VIN, 48.1)]
    assert seen(store, "cars", "--as", "cy@example.com") == []
    assert seen(store, "notices", "--as", "p1") == []


@pytest.mark.parametrize("words", [("history", VIN), ("status", VIN), ("notices", VIN)])
@pytest.mark.parametrize("person", ["cy@example.com", "nobody@example.com"])
def test_whoever_may_not_is_told_why_with_exit_code_1(store: Path, words: tuple[str, ...], person: str) -> None:
    done = call(*words, "--store", str(store), "--as", person)
    assert done.code == 1
    assert "insufficient_rights" in done.text
    assert VIN not in done.out
    plain = call(*words, "--store", str(store), "--as", person, "--json")
    assert plain.code == 1
    assert json.loads(plain.out)["reason"] == "insufficient_rights"
