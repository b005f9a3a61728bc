"""The journal's format: what is written is read back, in its order, and what is broken is said with its place."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest
from structlog.testing import capture_logs

from fleet.errors import JournalError
from fleet.observe.journal import (
    BACKEND_PART,
    BLOCK_BYTES,
    KINDS,
    MARKED_LINES,
    NOT_YET,
    Begin,
    Closed,
    Down,
    Dropped,
    End,
    FrameSeen,
    Input,
    JournalReader,
    JournalWriter,
    Opened,
    Output,
    Published,
    Quarantined,
    ReceivedFrame,
    Record,
    Refused,
    StoredBatch,
    Up,
    Wake,
)
from tests.observe.lab import BEGIN, START, broken, journal, unmarked, wakes

FRAME = FrameSeen("a/presence", 94, 834_026_723, retain=True)
EACH: tuple[Record, ...] = (
    Input(START, "car/V", "in", "PowerOn"),
    Output(START, "car/V", "out", "Connect"),
    Opened(START, "link/V", "open", clean_start=True, subscriptions=(("a/+", 1),), will=FRAME),
    Up(START, "link/V", "up", False),
    Published(START, "link/V", "publish", "a/status", 7, 0, 1),
    Published(START, "link/V", "publish", "a/stored", 0, 3, 0, qos=0, retain=True, expiry_s=5),
    Refused(START, "link/V", "refused", 0, "Not authorized"),
    ReceivedFrame(START, "link/V", "received", "a/command/lock", 12, duplicate=True),
    Input(START, "car/V", "in", "Received", "Command", data={"message": {"id": "c", "parameters": {"latitude": 48.0}}}),
    Input(NOT_YET, "desk", "in", "CarSeen", now=17, data={"vin": "V"}),
    Wake(START + 1, "car/V", "wake"),
    Down(START, "link/V", "down", "ConnectionLost", "reset"),
    Dropped(START, "link/V", "drop"),
    Closed(START, "link/V", "close", True, FRAME),
    StoredBatch(START, "store", "stored", (("V", 9, 1, "status"),)),
    StoredBatch(START, "store", "duplicate", (("V", 9, 1, "status"),)),
    Quarantined(START, "store", "quarantine", "encoding", "a/status", 0, "V", 9, 2),
)


class SmallDisk:
    """A file on a disk with so much room."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file = file
        self.room = room
        self.closed = False

    def write(self, block: bytes) -> int:
        took = self._file.write(block[: max(0, self.room - self._file.tell())])
        if not took:
            raise OSError(errno.ENOSPC, "No space left on device")
        return took

    def truncate(self, size: int) -> int:
        return self._file.truncate(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def close(self) -> None:
        self.closed = True
        self._file.close()


# --- writing and reading ------------------------------------------------------------------------------------------


def test_every_kind_is_read_as_it_was_written(tmp_path: Path) -> None:
    """First line, records in their order, last line: nothing is lost and nothing is added."""
    path = journal(tmp_path / "journal.jsonl", *EACH, account={"created": 3})
    *found, end = JournalReader(path)
    assert found == [BEGIN, *EACH]
    assert unmarked(end) == End(START + 99, "run", "end", True, {"created": 3})


def test_each_line_begins_with_time_machine_and_kind(tmp_path: Path) -> None:
    """Whoever looks for a car or sorts by time needs no JSON reader."""
    for line in journal(tmp_path / "journal.jsonl", *EACH).read_bytes().splitlines():
        assert list(json.loads(line))[:3] == ["t", "m", "k"]
        assert line.startswith(b'{"t":')


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    """Also when they were flushed at other moments."""
    records = (*EACH, *wakes(MARKED_LINES))
    one = journal(tmp_path / "one.jsonl", *records)
    writer = JournalWriter(tmp_path / "two.jsonl", BEGIN)
    for record in records:
        writer.write(record)
        writer.flush()
    writer.close(START + 99, {})
    assert one.read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_blocks_are_written_whole(tmp_path: Path) -> None:
    """Nothing reaches the file before a block is full, and then all of it does."""
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, BEGIN)
    sizes = set()
    for record in wakes(10_000):
        writer.write(record)
        sizes.add(path.stat().st_size)
    assert 0 in sizes
    assert min(sizes - {0}) >= BLOCK_BYTES
    assert path.read_bytes().endswith(b"\n")
    writer.close(START, {})


@pytest.mark.parametrize("odd", ["\ud800", {(1, 2): 3}, object()], ids=["half a character", "an odd key", "no data at all"])
def test_what_json_has_no_form_for_does_not_end_the_journal(tmp_path: Path, odd: Any) -> None:
    """What comes from outside may be anything: the line says that it is left out, or what it was."""
    path = journal(tmp_path / "journal.jsonl", Input(START, "car/V", "in", "Received", "Command", None, {"p": odd}), *wakes(1))
    _, given, after, _ = JournalReader(path)
    assert isinstance(given, Input)
    assert (given.type, given.of) == ("Received", "Command")
    assert after == wakes(1)[0]


# --- a disk that is full --------------------------------------------------------------------------------------------


def on_small_disk(path: Path, room: int) -> tuple[JournalWriter, SmallDisk]:
    writer = JournalWriter(path, BEGIN)
    disk = SmallDisk(writer._file, room)
    writer._file = disk  # type: ignore[assignment]
    return writer, disk


def test_a_full_disk_ends_the_journal_and_not_the_run(tmp_path: Path) -> None:
    """What was written whole stays, the rest is let go, and the last line says that records are missing and why."""
    path = tmp_path / "journal.jsonl"
    writer, disk = on_small_disk(path, room=300_000)
    for record in wakes(20_000):
        writer.write(record)
    writer.close(START + 99, {"created": 1})
    assert disk.closed
    reader = JournalReader(path)
    found = list(reader)
    assert 3_000 < len(found) < 10_000
    assert found[-1] == End(START + 99, "run", "end", False, {"created": 1}, writer_note())
    assert "records are missing" in reader.warnings[0]


def writer_note() -> str:
    return "the journal could not be written on: No space left on device"


def test_a_disk_without_any_room_leaves_a_journal_that_is_cut_off(tmp_path: Path) -> None:
    """Even then closing raises nothing."""
    writer, _ = on_small_disk(tmp_path / "journal.jsonl", room=0)
    writer.close(START, {})
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


def test_a_full_disk_is_one_warning(tmp_path: Path) -> None:
    """The last line finds no room either, and the user has read why before."""
    writer, _ = on_small_disk(tmp_path / "journal.jsonl", room=0)
    with capture_logs() as logs:
        writer.flush()
        writer.close(START, {})
    assert [entry["event"] for entry in logs] == [f"{tmp_path / 'journal.jsonl'}: {writer_note()}; the run goes on without it"]


# --- what is broken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [b"{\n", b"\n", b"\xff\xfe\n", b'{"t":"soon","m":"car/V","k":"wake"}\n', b'{"t":1,"m":"car/V","k":"dance"}\n', b"[]\n"],
)
def test_a_garbled_line_is_named(tmp_path: Path, text: bytes) -> None:
    """Everything before it is read; then file and line are said, and how to go on."""
    path = broken(journal(tmp_path / "journal.jsonl", *wakes(5)), 4, text)
    found: list[Record] = []
    with pytest.raises(JournalError) as raised:
        found.extend(JournalReader(path))
    assert found == [BEGIN, *wakes(2)]
    assert str(raised.value).startswith(f"{path}:4: ")
    assert raised.value.line == 4
    assert "head -n 3" in raised.value.hint


def test_a_journal_cut_off_in_a_line_is_read_to_the_line_before(tmp_path: Path) -> None:
    """A killed run leaves half a line, which is no damage; but it is said."""
    path = journal(tmp_path / "journal.jsonl", *wakes(5))
    path.write_bytes(path.read_bytes()[:-150])
    reader = JournalReader(path)
    found = list(reader)
    assert found == [BEGIN, *wakes(len(found) - 1)]
    assert reader.end is None
    assert reader.warnings == [f"{path}:{len(found)}: cut off after this line: the run was killed, or still goes on"]


def test_another_file_is_no_journal(tmp_path: Path) -> None:
    """It is said what a journal is and where one comes from."""
    for text in ("", "hello\n", '{"format": "fleet-report/1"}\n'):
        (tmp_path / "x").write_text(text)
        with pytest.raises(JournalError, match="no journal") as raised:
            JournalReader(tmp_path / "x")
        assert "journal.jsonl" in raised.value.hint


def test_another_format_names_the_version_that_wrote_it(tmp_path: Path) -> None:
    """Nothing of it is read by guess."""
    path = journal(tmp_path / "journal.jsonl", begin=Begin(0, "run", "begin", format="fleet-journal/2", version="9.9"))
    with pytest.raises(JournalError, match="fleet-journal/2") as raised:
        JournalReader(path)
    assert "9.9" in raised.value.hint


def test_parts_that_were_never_merged_are_said(tmp_path: Path) -> None:
    """A run that was killed leaves the back end's records beside."""
    path = journal(tmp_path / "journal.jsonl")
    journal(tmp_path / BACKEND_PART)
    assert BACKEND_PART in JournalReader(path).warnings[0]


# --- what was done to it afterwards -----------------------------------------------------------------------------------


def gaps_in(path: Path) -> list[tuple[int, str]]:
    reader = JournalReader(path)
    assert list(reader)
    return [(gap.line, gap.finding) for gap in reader.gaps]


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the lines of a journal with two marks and the last line."""
    path = journal(tmp_path_factory.mktemp("marked") / "journal.jsonl", *EACH, *wakes(2 * MARKED_LINES))
    assert gaps_in(path) == []
    return path.read_bytes().splitlines(keepends=True)


def edited(lines: list[bytes], at: int, *instead: bytes) -> bytes:
    return b"".join((*lines[: at - 1], *instead, *lines[at:]))


def spaced(line: bytes) -> bytes:
    """Return the line with the smallest change that leaves it the same record."""
    return line.replace(b":", b": ", 1)


def test_each_line_that_is_cut_out_doubled_or_changed_is_missed(tmp_path: Path, marked: list[bytes]) -> None:
    """It shows at the next mark, a mark that is gone or was changed at the one after it."""
    path = tmp_path / "journal.jsonl"
    for at in (*range(2, len(marked), 7), MARKED_LINES + 1, 2 * MARKED_LINES + 1):
        for instead in ([], [marked[at - 1]] * 2, [spaced(marked[at - 1])]):
            path.write_bytes(edited(marked, at, *instead))
            [(line, _)] = gaps_in(path)
            assert 0 <= line - at <= MARKED_LINES, (at, instead)


CHANGED = [(513, "the lines between line 257 and this one are not as they were written")]


@pytest.mark.parametrize(
    ("edit", "gaps"),
    [
        (lambda lines: edited(lines, 7), [(256, "1 line is missing before this line")]),
        (lambda lines: edited(lines, 300), [(512, "1 line is missing between line 257 and this one")]),
        (lambda lines: edited(lines, 300, *lines[299:302]), [(515, "2 lines are too many between line 257 and this one")]),
        (lambda lines: b"".join((*lines[:299], lines[300], lines[299], *lines[301:])), CHANGED),
        (lambda lines: edited(lines, 300, spaced(lines[299])), CHANGED),
        (lambda lines: b"".join((*lines, lines[-1])), [(534, "written after the last line")]),
        (lambda lines: b"".join((*lines[:6], *lines[7:299], *lines[300:])), [
            (256, "1 line is missing before this line"), (511, "1 line is missing between line 256 and this one"),
        ]),
    ],
    ids=["cut", "cut later", "added", "moved", "changed", "last line twice", "two gaps"],
)  # fmt: skip
def test_a_gap_is_told(tmp_path: Path, marked: list[bytes], edit: Any, gaps: list[tuple[int, str]]) -> None:
    """What it is, and between which lines; each gap once."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(edit(marked))
    assert gaps_in(path) == gaps


def test_what_is_cut_off_at_its_end_has_no_gap(tmp_path: Path, marked: list[bytes]) -> None:
    """A kill leaves a journal without its end, and that is what is said."""
    path = tmp_path / "journal.jsonl"
    for last in (3, MARKED_LINES, MARKED_LINES + 1, len(marked) - 1):
        path.write_bytes(b"".join(marked[:last]) + marked[last][:9])
        reader = JournalReader(path)
        assert len(list(reader)) == last
        assert reader.gaps == []
        assert "cut off" in reader.warnings[0]


def test_what_has_no_marks_is_read(tmp_path: Path) -> None:
    """As what was written before there were any; whether a line is missing nobody knows."""
    path = tmp_path / "journal.jsonl"
    records = (BEGIN, *wakes(3), End(START + 99, "run", "end", True, {}))
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    assert list(JournalReader(path)) == [*records]
    assert gaps_in(path) == []


# --- the page about it ------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_are_lines_of_a_journal(tmp_path: Path) -> None:
    """Each is read, and is written just so; there is one of every kind."""
    text = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
    first, last, *rest = [line for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    path = tmp_path / "journal.jsonl"
    path.write_text("\n".join((first, *rest, last, "")), encoding="utf-8")
    records = list(JournalReader(path))
    assert [msgspec.json.encode(record).decode() for record in records] == [first, *rest, last]
    assert {record.k for record in records} == set(KINDS)
