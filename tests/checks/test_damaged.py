"""A journal that was damaged is an error with its line, or a breach: never a crash, whichever bit it is."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from fleet.checks.verification import verify
from fleet.errors import JournalError
from fleet.observe.journal import JOURNAL
from tests.checks.lab import VIN, Paper, write_records
from tests.checks.test_rules import ACCOUNT
from tests.nightly import draws


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal of a few lines of several kinds, with its end."""
    paper = Paper()
    paper.event("engine_on")
    paper.event("engine_off")
    paper.status("engine_off", mileage_km=10.0, captured_at=paper.now)
    paper.get("one", "refresh")
    paper.answer("one", "refresh", "accepted", "succeeded")
    paper.status("refresh")
    paper.desk("in", "CommandAsked", request={"id": "one", "vin": VIN})
    found = paper.judge(tmp_path, end=ACCOUNT | {"duplicates": 0, "stored": 0, "quarantined": 0})
    assert found.complete
    return tmp_path / JOURNAL


def judge(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with contextlib.suppress(JournalError):
        verify(path, {})


def test_a_flipped_bit_in_the_last_line(journal: Path) -> None:
    """A name that is not there any more is told with the line."""
    text = journal.read_bytes()
    begin = text.rindex(b"\n", 0, len(text) - 1) + 1
    for place in range(begin, len(text)):
        for bit in (0, 2, 5, 7):
            judge(journal, text[:place] + bytes([text[place] ^ 1 << bit]) + text[place + 1 :])


def test_the_account_lacks_a_name(journal: Path) -> None:
    """Such as `createe` for `created`."""
    text = journal.read_bytes().replace(b'["simulator"]', b'["simulator","backend"]')
    journal.write_bytes(text.replace(b'"created"', b'"createe"'))
    with pytest.raises(JournalError, match=r"journal.jsonl:\d+: the last line is damaged: .*'created'"):
        verify(journal, {})


@pytest.mark.random
def test_a_flipped_bit_anywhere(journal: Path) -> None:
    """In whichever line."""
    text = journal.read_bytes()
    step = max(1, len(text) * 8 // draws(400, len(text) * 8))
    for bit in range(0, len(text) * 8, step):
        place = bit // 8
        judge(journal, text[:place] + bytes([text[place] ^ 1 << bit % 8]) + text[place + 1 :])


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"\x00" * 100, b"\xff\xfe{}\n", b"[]\n", b"{}\n", b'{"t":1}\n', b"\x1f\x8b\x08\x00junk"]
)
def test_what_is_no_journal(tmp_path: Path, text: bytes) -> None:
    """Files of other kinds, empty ones, and those whose packing is damaged."""
    path = tmp_path / JOURNAL
    path.write_bytes(text)
    with pytest.raises(JournalError):
        verify(path, {})


def test_a_car_of_another_form(tmp_path: Path) -> None:
    """Lists where there should be maps are named as a record that cannot be judged."""
    begin = {"t": 1, "m": "run", "k": "begin", "format": "fleet-journal/1", "parts": ["simulator"]}
    record = {"t": 2, "m": f"car/{VIN}", "k": "out", "type": "Transmit", "of": "Status", "data": [1]}
    with pytest.raises(JournalError, match="cannot be judged"):
        verify(write_records(tmp_path / JOURNAL, [begin, record]), {})
