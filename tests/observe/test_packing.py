"""Packed files: each block a frame of its own, read as far as they are whole, whatever they are packed with."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from fleet.errors import JournalError, UsageError
from fleet.observe import packing
from fleet.observe.journal import Begin, End, JournalReader, JournalWriter, Mark, Record, Wake
from fleet.observe.merging import merge_journals
from fleet.observe.packing import DamagedPacking, find, pack_of, packed, read_lines
from tests.cli.lab import call

ENDINGS: Final = ("", ".zst", ".gz")
LINES: Final = [b"%d %s\n" % (number, b"x" * (number % 90)) for number in range(5_000)]


def as_far_as_it_goes(items: Iterable[Any]) -> tuple[list[Any], Exception | None]:
    """Return what comes before an error, and the error."""
    read: list[Any] = []
    try:
        read.extend(items)
    except (DamagedPacking, JournalError) as error:
        return read, error
    return read, None


def write(path: Path, lines: list[bytes] = LINES, *, at_once: int = 700) -> list[int]:
    """Write lines, some to a block; return where each block ends."""
    pack, ends = pack_of(path), []
    with path.open("wb") as file:
        for begin in range(0, len(lines), at_once):
            file.write(pack(b"".join(lines[begin : begin + at_once])))
            ends.append(file.tell())
    return ends


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read(tmp_path: Path, ending: str) -> None:
    """Line for line, whatever the file is called afterwards."""
    path = tmp_path / f"lines{ending}"
    write(path)
    assert list(read_lines(path)) == LINES
    assert list(read_lines(path.rename(tmp_path / "other"))) == LINES
    assert next(read_lines(tmp_path / "other", longest=3)) == b"0 \n"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("cut", [1, 5, 100, 2_000])
def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path, ending: str, cut: int) -> None:
    """All whole blocks before are there, and nothing that was not written."""
    path = tmp_path / f"lines{ending}"
    ends = write(path)
    path.write_bytes(path.read_bytes()[: ends[3] + cut])
    read = b"".join(read_lines(path))
    assert b"".join(LINES).startswith(read)
    assert len(read) >= len(b"".join(LINES[: 4 * 700]))


@pytest.mark.parametrize("ending", ENDINGS[1:])
def test_damage_is_told_behind_what_is_good(tmp_path: Path, ending: str) -> None:
    """Each frame has a checksum: a flipped bit does not become other lines."""
    path = tmp_path / f"lines{ending}"
    ends = write(path)
    content = bytearray(path.read_bytes())
    content[ends[2] + 200] ^= 0x20
    path.write_bytes(content)
    read, failed = as_far_as_it_goes(read_lines(path))
    assert isinstance(failed, DamagedPacking)
    assert read == LINES[: len(read)]
    assert len(read) >= 3 * 700 - 1


def test_the_same_lines_are_the_same_bytes(tmp_path: Path) -> None:
    """No time and no name goes into a file."""
    for ending in ENDINGS:
        write(tmp_path / f"a{ending}")
        write(tmp_path / f"b{ending}")
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_without_the_library_gzip_is_written_and_zstd_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    write(tmp_path / "there.zst")
    program = "import sys; sys.modules['zstandard'] = None\nfrom fleet.observe.packing import BEST\nprint(BEST)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout == ".gz\n"
    )
    monkeypatch.setattr(packing, "zstandard", None)
    with pytest.raises(UsageError) as written:
        pack_of(tmp_path / "new.zst")
    assert written.value.hint == f"Name it {tmp_path / 'new.gz'}."
    with pytest.raises(UsageError) as read:
        list(read_lines(tmp_path / "there.zst"))
    assert read.value.hint == f"Unpack it: zstd -d {tmp_path / 'there.zst'}"


# --- journals -------------------------------------------------------------------------------------------------------


def journal(path: Path, count: int = 2_000, parts: tuple[str, ...] = ("simulator",)) -> list[Record]:
    writer = JournalWriter(path, Begin(0, "run", "begin", version="1", parts=parts, start=0))
    for number in range(1, count):
        writer.write(Wake(number, f"car/{number % 7}", "wake"))
        if number % 300 == 0:
            writer.flush()
    writer.close(count, {"created": count})
    return list(JournalReader(path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_journal_is_the_same_whatever_it_is_packed_with(tmp_path: Path, ending: str) -> None:
    """And is found by its plain name, as it was called before it was packed."""
    plain = journal(tmp_path / "plain")
    assert journal(tmp_path / f"journal.jsonl{ending}") == plain
    assert list(JournalReader(tmp_path / "journal.jsonl")) == plain
    assert find(tmp_path / "journal.jsonl") == tmp_path / f"journal.jsonl{ending}"
    done = call("journal", str(tmp_path))
    assert done.out.encode() == (tmp_path / "plain").read_bytes()


def test_packed_parts_are_merged(tmp_path: Path) -> None:
    """Into one that is packed, and no line is missing."""
    parts = [packed(tmp_path / "journal.jsonl"), packed(tmp_path / "journal-backend.jsonl")]
    ours, theirs = journal(parts[0]), journal(parts[1], parts=("backend",))
    merge_journals(parts, parts[0])
    assert [path.name for path in tmp_path.iterdir()] == [parts[0].name]
    merged = list(JournalReader(parts[0]))
    marks = [record for record in merged if isinstance(record, Mark)]
    assert len(merged) - len(marks) == sum(not isinstance(record, Mark) for record in (*ours, *theirs)) - 2
    assert isinstance(merged[-1], End)
    assert merged[-1].complete


def test_a_damaged_frame_of_a_journal_is_told_with_the_line(tmp_path: Path) -> None:
    """And with how to keep what is good."""
    path = packed(tmp_path / "journal.jsonl")
    journal(path, 20_000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    read, failed = as_far_as_it_goes(JournalReader(path))
    assert isinstance(failed, JournalError)
    assert f"{path}:{len(read) + 1}: what comes here cannot be unpacked" in str(failed)
    assert "fleet journal" in failed.hint


def test_a_gzip_of_the_user_is_read(tmp_path: Path) -> None:
    """A journal that somebody packed to send it."""
    plain = journal(tmp_path / "plain")
    (tmp_path / "sent.jsonl.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert list(JournalReader(tmp_path / "sent.jsonl.gz")) == plain
