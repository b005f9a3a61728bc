"""A journal without the lines about somebody who was erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import JournalError
from fleet.observe.journal import Begin, Input, JournalReader, JournalWriter
from fleet.observe.redacting import lines_about, redact

VIN, OTHER = "VSSZZZKMZPR000001", "VSSZZZKMZPR000002"


def journal(path: Path, *, lines: int = 1_000, ended: bool = True, scenario: str = "") -> Path:
    writer = JournalWriter(path, Begin(1, "run", "begin", parts=("simulator",), scenario={"scenario": scenario}))
    for number in range(lines):
        writer.write(Input(number, f"car/{VIN if number % 3 else OTHER}", "in", "AskStatus", data={"email": "anna@example.com"}))
    writer.close(lines, {"created": lines})
    if not ended:
        path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    return path


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.jsonl.gz", "journal.jsonl.zst"])
def test_the_lines_are_gone_and_the_rest_is_a_journal(tmp_path: Path, name: str) -> None:
    """Its marks hold; its end says that lines are missing, and why."""
    path = journal(tmp_path / name)
    assert redact(path, [VIN]) == 666
    reader = JournalReader(path)
    records = list(reader)
    assert [record.m for record in records if record.k == "in"] == [f"car/{OTHER}"] * 334
    assert reader.gaps == []
    (warning,) = reader.warnings
    assert "erased" in warning
    assert reader.end is not None
    assert (reader.end.complete, reader.end.account) == (False, {"created": 1_000})
    assert "erased" in reader.end.note
    assert lines_about(path, [VIN.encode()]) == 0
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_again_there_is_nothing_to_take_out(tmp_path: Path) -> None:
    path = journal(tmp_path / "journal.jsonl")
    redact(path, [VIN])
    before = path.read_bytes()
    assert redact(path, [VIN]) == 0
    assert path.read_bytes() == before


def test_one_that_is_still_written_is_left_as_it_is(tmp_path: Path) -> None:
    """Its writer would go on at a place that is not there any more."""
    path = journal(tmp_path / "journal.jsonl", ended=False)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="has no end") as caught:
        redact(path, [VIN])
    assert caught.value.hint
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl"]


def test_a_journal_whose_first_line_names_it_is_refused(tmp_path: Path) -> None:
    path = journal(tmp_path / "journal.jsonl", scenario="of anna@example.com")
    with pytest.raises(JournalError, match="first line"):
        redact(path, ["anna@example.com"])
