"""The story of a machine: its own records and its link's, up to a line, in one reading for many."""

from __future__ import annotations

from pathlib import Path

from fleet.observe.journal import Begin, Input, JournalWriter, Stored, Up
from fleet.observe.story import stories, story

VIN = "VSSZZZKLZTR000000"


def journal(folder: Path) -> Path:
    """Write a journal of a car that is asked five times, its link, and a store."""
    writer = JournalWriter(folder / "journal.jsonl", Begin(0, "run", "begin"))
    writer.write(Up(1, f"link/{VIN}", "up", session_present=False))
    writer.write(Stored(2, "store", "stored", ()))
    for number in range(5):
        writer.write(Input(3 + number, f"car/{VIN}", "in", "AskStatus"))
    writer.close(9, {})
    return writer.path


def test_a_car_and_its_link_are_one_story(tmp_path: Path) -> None:
    """It ends at the line that was asked for, and another machine has no part in it."""
    told = story(journal(tmp_path), f"car/{VIN}", 5)
    assert [line.split(":")[0] for line in told] == ["2", "4", "5"]
    assert told == story(tmp_path / "journal.jsonl", f"link/{VIN}", 5)


def test_many_stories_are_read_at_once(tmp_path: Path) -> None:
    """Each has its own end, and no more than the last records before it."""
    first, second, none = stories(journal(tmp_path), [(f"car/{VIN}", 4), (f"car/{VIN}", 8), ("desk", 8)], records=2)
    assert [line.split(":")[0] for line in first] == ["2", "4"]
    assert [line.split(":")[0] for line in second] == ["7", "8"]
    assert none == []
