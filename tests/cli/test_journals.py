"""What is told of a journal in which something is wrong: the story of a car, short or in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from fleet.cli import application
from fleet.errors import JournalError
from fleet.observe.packing import pack_of
from tests.checks.lab import read_records, run_day, write_records

DAY = """\
scenario: small
purpose: Two cars that are asked.
seed: 7
start: 2026-03-02T05:00Z
duration: 1 h
clock: virtual
region: munich
fleets: [{name: few, count: 2, models: {Leon: 1}, profile: parked}]
load: [{do: ask_status, rate: 10 per hour}]
"""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A journal in which a status was not written as it was said; and what was said of it."""
    folder = tmp_path_factory.mktemp("wrong")
    records = read_records(run_day(folder, DAY))
    last = max(n for n, record in enumerate(records) if record.get("of") == "Status" and record["k"] == "out")
    frame = next(record for record in records[last:] if record["k"] == "publish")
    frame["crc32"] ^= 1
    records[last]["data"]["again"] = True  # so that it is run again differently, too
    return write_records(folder / "wrong.jsonl", records), records[last]["data"]


@pytest.mark.parametrize("command", ["verify", "reexecute"])
def test_a_story_is_told_in_full_where_that_is_asked_for(wrong: tuple[Path, dict[str, Any]], command: str) -> None:
    """Without --full it tells what has changed; with it all that was sent, on one line each."""
    path, sent = wrong
    whole = f"Transmit Status {msgspec.json.encode(sent).decode()}"
    short = CliRunner().invoke(application(), [command, str(path)])
    assert short.exit_code == 1, short.output
    assert "; as before: " in short.output
    assert whole not in short.output
    full = CliRunner().invoke(application(), [command, str(path), "--full"])
    assert full.exit_code == 1
    assert whole in full.output
    assert "; as before: " not in full.output


@pytest.mark.parametrize("ending", [".zst", ".gz"])
def test_what_stands_before_damaged_packing_is_printed_and_the_damage_told(tmp_path: Path, ending: str) -> None:
    """As its hint says: `fleet journal` gives all the lines that are good, and then an error instead of a traceback."""
    path = tmp_path / f"damaged.jsonl{ending}"
    pack = pack_of(path)
    last = bytearray(pack(b'{"b":2}\n'))
    last[len(last) // 2] ^= 0xFF
    path.write_bytes(pack(b'{"a":1}\n') + last)
    found = CliRunner().invoke(application(), ["journal", str(path)])
    assert found.stdout == '{"a":1}\n'
    assert isinstance(found.exception, JournalError)
    assert "cannot be unpacked" in str(found.exception)
