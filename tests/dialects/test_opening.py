"""Dialects by their names: ours, a class of the user's, and what cannot be opened."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from fleet.dialects import opening
from fleet.dialects.opening import names, open_named
from fleet.errors import UnknownName, UsageError
from fleet.wire.fleet_dialect import JSON, MESSAGEPACK


@pytest.mark.parametrize(("choice", "content_type"), [(None, MESSAGEPACK), ("fleet", MESSAGEPACK), ("json", JSON)])
def test_ours_by_name(choice: str | None, content_type: str) -> None:
    dialect = open_named(choice, "test/a")
    assert dialect.content_type == content_type
    assert dialect.topics.desk_request() == "test/a/desk/request"
    assert dialect.name in names()


def test_a_class_of_the_users() -> None:
    """It is made from ours, under the topic prefix that was given."""
    dialect = open_named("tests.dialects.pieces:PiecesDialect", "test/a")
    assert dialect.name == "pieces"
    assert dialect.topics.prefix == "test/a"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("jsno", "Did you mean 'json'"),
        ("no.such.module:Class", "No module named 'no'"),
        ("tests.dialects.pieces:Missing", "no attribute 'Missing'"),
        ("tests.dialects.pieces:BEAT", "is no class, but 'beat'"),
        ("my/own.yaml", "my/own.yaml"),
    ],
)
def test_what_cannot_be_opened_says_why(choice: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_named(choice)
    assert words in f"{caught.value} {caught.value.hint}"
    if ":" not in choice and "/" not in choice:
        assert isinstance(caught.value, UnknownName)


def test_a_package_registers_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the group of entry points: it is listed with what it is, opened by its name, and a broken one says why."""
    points = [
        EntryPoint("mine", "tests.dialects.pieces:PiecesDialect", opening.GROUP),
        EntryPoint("broken", "tests.dialects.pieces:Missing", opening.GROUP),
    ]
    monkeypatch.setattr(opening, "entry_points", lambda **wanted: EntryPoints(points).select(**wanted))
    listed = {each.name: each for each in opening.described()}
    assert listed["mine"].summary.startswith("Ours, ")
    assert "no attribute 'Missing'" in listed["broken"].summary
    assert open_named("mine").name == "pieces"
    assert {"mine", "broken"} <= set(names())
