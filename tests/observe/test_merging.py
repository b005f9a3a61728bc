"""The journals of a run's processes become one: in the order of time, part and line, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import JournalError
from fleet.observe.journal import BACKEND_PART, MARKED_LINES, NOT_YET, Begin, End, Input, JournalReader, Mark, Record, Wake
from fleet.observe.merging import merge_journals
from tests.observe.lab import START, broken, journal, unmarked, wakes


def parts_of(folder: Path, ours: list[Record], theirs: list[Record]) -> list[Path]:
    backend = Begin(NOT_YET, "run", "begin", parts=("backend",))
    return [
        journal(folder / "journal.jsonl", *ours, account={"created": 2}),
        journal(folder / BACKEND_PART, *theirs, begin=backend, account={"stored": 1}),
    ]


def test_merging_orders_by_time_then_part_then_line(tmp_path: Path) -> None:
    """One journal is left, with both accounts; each part's own order is kept even where its times step back."""
    ours: list[Record] = [Wake(START + t, "car/V", "wake") for t in (1, 5, 4, 9)]
    theirs: list[Record] = [Wake(START + t, "desk", "wake") for t in (1, 4, 5, 20)]
    parts = parts_of(tmp_path, ours, theirs)
    merge_journals(parts, parts[0])
    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl"]
    reader = JournalReader(parts[0])
    first, *records, last = reader
    assert isinstance(first, Begin)
    assert first.parts == ("simulator", "backend")
    assert [(record.m, record.t - START) for record in records] == [
        ("car/V", 1), ("desk", 1), ("desk", 4), ("car/V", 5), ("car/V", 4), ("desk", 5), ("car/V", 9), ("desk", 20),
    ]  # fmt: skip
    assert unmarked(last) == End(START + 99, "run", "end", True, {"created": 2, "stored": 1})
    assert reader.warnings == []
    assert reader.gaps == []


def test_what_happened_before_the_time_was_known_happened_at_the_start(tmp_path: Path) -> None:
    """It gets the time at which the cars stood meanwhile; what the machine was told stays beside it."""
    parts = parts_of(
        tmp_path, [Wake(START, "car/V", "wake")], [Input(NOT_YET, "desk", "in", "CarSeen", now=17), *wakes(1, "desk")]
    )
    merge_journals(parts, parts[0])
    _, ours, seen, woken, _ = JournalReader(parts[0])
    assert (ours.m, woken) == ("car/V", wakes(1, "desk")[0])
    assert seen == Input(START, "desk", "in", "CarSeen", now=17)


def test_a_part_without_its_end_makes_the_whole_incomplete(tmp_path: Path) -> None:
    """What it wrote is there; that it was killed is said."""
    parts = parts_of(tmp_path, [], list(wakes(3, "desk")))
    parts[1].write_bytes(b"".join(parts[1].read_bytes().splitlines(keepends=True)[:-1]) + b'{"t":')
    merge_journals(parts, parts[0])
    *records, last = JournalReader(parts[0])
    assert records[1:] == wakes(3, "desk")
    assert unmarked(last) == End(START + 99, "run", "end", False, {"created": 2}, "a process of the run was killed")


def test_a_merged_journal_has_marks_of_its_own(tmp_path: Path) -> None:
    """Those of the parts count other lines."""
    parts = parts_of(tmp_path, list(wakes(MARKED_LINES)), list(wakes(MARKED_LINES, "desk")))
    merge_journals(parts, parts[0])
    reader = JournalReader(parts[0])
    records = list(reader)
    assert [record.line for record in records if isinstance(record, Mark)] == [MARKED_LINES + 1, 2 * MARKED_LINES + 1]
    assert len(records) == 2 * MARKED_LINES + 4
    assert reader.gaps == []


def test_a_part_with_a_gap_is_not_merged(tmp_path: Path) -> None:
    """Its marks are all that shows the gap."""
    parts = parts_of(tmp_path, list(wakes(MARKED_LINES)), [])
    broken(parts[0], 7, b"")
    with pytest.raises(JournalError, match="1 line is missing") as raised:
        merge_journals(parts, parts[0])
    assert raised.value.line == MARKED_LINES
    assert sorted(file.name for file in tmp_path.iterdir()) == [BACKEND_PART, "journal.jsonl"]


def test_a_part_that_is_none_leaves_both_where_they_are(tmp_path: Path) -> None:
    """Nothing is thrown away because of an error."""
    parts = parts_of(tmp_path, list(wakes(3)), [])
    parts[1].write_text("what is this\n")
    before = parts[0].read_bytes()
    with pytest.raises(JournalError):
        merge_journals(parts, parts[0])
    assert parts[0].read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [BACKEND_PART, "journal.jsonl"]
