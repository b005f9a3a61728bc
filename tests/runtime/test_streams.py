"""What becomes of a command whose output nobody takes: it goes on to its end, and its exit code is its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fleet.runtime.streams import Outlet
from tests.cli.lab import clean_environment

FULL = Path("/dev/full")
SMALL = """\
scenario: small
purpose: Two cars that stand, and are asked once how they are.
seed: 7
start: 2026-03-02T05:00Z
duration: 30 min
clock: virtual
region: munich
fleets: [{name: parked, count: 2, models: {Leon: 1}, profile: parked}]
commands: [{name: refresh, count: 2}]
"""


def test_after_the_reader_has_left_all_is_dropped_and_nothing_is_lost() -> None:
    ours, theirs = os.pipe()
    outlet = Outlet(theirs)
    assert outlet.write(b"seen") == 4
    os.close(ours)
    assert outlet.write(b"dropped") == 7
    assert outlet.failure is not None
    assert not outlet.is_lost
    os.close(theirs)


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
def test_a_full_disk_is_a_loss() -> None:
    descriptor = os.open(FULL, os.O_WRONLY)
    outlet = Outlet(descriptor)
    assert outlet.write(b"dropped") == 7
    assert outlet.is_lost
    os.close(descriptor)


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    """Whoever shares it may have set it so: what does not fit into it now is written when there is room."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    much = b"x" * (1 << 20)
    read = bytearray()

    def reader() -> None:
        while len(read) < len(much):
            read.extend(os.read(ours, 1 << 16))

    thread = threading.Thread(target=reader)
    thread.start()
    outlet = Outlet(theirs)
    rest = much
    while rest:
        rest = rest[outlet.write(rest) :]
    thread.join(10)
    assert outlet.failure is None
    assert bytes(read) == much
    os.close(ours)
    os.close(theirs)


# --- as processes


def shell(line: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $FLEET is the command."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**clean_environment(), "FLEET": f"{sys.executable} -m fleet", **environment},
    )  # fmt: skip


@pytest.mark.live
@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("$FLEET catalogue | head -1", 0, ""),
        ("$FLEET catalogue --json | head -c 1", 0, ""),
        ("$FLEET catalogue >/dev/full", 2, "error: standard output cannot be written: No space left on device"),
        ("$FLEET --version >&-", 2, "error: standard output cannot be written: it is closed"),
        ("$FLEET catalogue >&- 2>&-", 2, ""),
        ("$FLEET catalogue <&- >/dev/null", 0, ""),
        ("$FLEET catalogue nonsense 2>/dev/full", 2, ""),
    ],
)
def test_output_that_nobody_takes(tmp_path: Path, line: str, code: int, told: str) -> None:
    """A reader that leaves is no error; what could not be written is one, in words; never a traceback, and never 1."""
    done = shell(line, tmp_path)
    assert done.returncode == code, done
    assert done.stderr.partition("\n")[0] == told


@pytest.mark.live
@pytest.mark.parametrize(("to", "code"), [(" | head -1", 0), (" >&-", 0), (" >/dev/full", 2), (" --json >&-", 2)])
def test_a_run_goes_on_to_its_report(tmp_path: Path, to: str, code: int) -> None:
    """What it prints shows how it gets on; with --json it is the result."""
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    done = shell(f"$FLEET run small.yaml --out out{to}", tmp_path)
    assert done.returncode == code, done
    assert (tmp_path / "out" / "report.json").is_file()
    assert "Traceback" not in done.stderr


@pytest.mark.live
def test_characters_that_cannot_be_written_are_replaced(tmp_path: Path) -> None:
    """An encoding of long ago changes no exit code."""
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    done = shell("$FLEET run small.yaml --out out", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done
    assert "messages   " in done.stdout
    assert " ? " in done.stdout
