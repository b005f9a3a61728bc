"""What outlives a process of what its cars have executed: each word of it, however it ends, and no more than is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.runtime import executed
from fleet.runtime.clocks import wall_us
from fleet.runtime.executed import GRACE_US, CommandMemory
from fleet.vehicle.remote import REMEMBERED
from fleet.vehicle.signals import Executed

VIN, OTHER = "VSSZZZKMZPR000001", "VSSZZZKMZPR000002"
SOON = 60_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "street.commands"


def done(command_id: str, state: str = "succeeded", reason: str | None = None) -> Executed:
    return Executed(command_id, "lock", 2, 1, state, reason)  # type: ignore[arg-type]


@pytest.fixture
def now() -> int:
    return wall_us()


def test_the_last_word_on_each_command_is_there_after_a_kill(path: Path, now: int) -> None:
    """Nothing is closed, and half a line is left behind."""
    killed = CommandMemory(path)
    for each in (done("a", "accepted"), done("b", "rejected", "door_open"), done("a")):
        killed.remember(VIN, each, now + SOON)
    killed.remember(OTHER, done("c", "accepted"), now + SOON)
    os.close(killed._lock)
    with path.open("ab") as file:
        file.write(b'{"vin":"VSSZZZK')
    with CommandMemory(path) as memory:
        assert memory.recall(VIN) == (done("a"), done("b", "rejected", "door_open"))
        assert memory.recall(OTHER) == (done("c", "accepted"),)
        assert memory.recall(VIN) == ()
        memory.remember(VIN, done("d"), now + SOON)
    with CommandMemory(path) as memory:
        assert [each.id for each in memory.recall(VIN)] == ["a", "b", "d"]


def test_what_the_broker_cannot_deliver_any_more_is_forgotten(path: Path, now: int) -> None:
    """But for the newest of each car: not all brokers end a message when its time is over."""
    old, kept = [f"old-{number}" for number in range(100)], [f"kept-{number}" for number in range(30)]
    with CommandMemory(path) as memory:
        for command_id in kept:
            memory.remember(VIN, done(command_id), now + SOON)
        for command_id in old:
            memory.remember(VIN, done(command_id), now - GRACE_US - SOON)
    with CommandMemory(path) as memory:
        assert [each.id for each in memory.recall(VIN)] == [*kept, *old[-REMEMBERED:]]


def test_the_file_does_not_grow_with_the_commands(path: Path, now: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of weeks keeps what is worth it, and all of that."""
    monkeypatch.setattr(executed, "COMPACT_ABOVE_BYTES", 20_000)
    with CommandMemory(path) as memory:
        for number in range(5_000):
            memory.remember(VIN, done(f"c{number}"), now - GRACE_US - SOON)
            assert path.stat().st_size < 45_000
    with CommandMemory(path) as memory:
        assert [each.id for each in memory.recall(VIN)] == [f"c{number}" for number in range(5_000 - REMEMBERED, 5_000)]


def test_one_process_at_a_time_has_it(path: Path) -> None:
    """Two that wrote there would each forget what the other one knows."""
    with CommandMemory(path), pytest.raises(UsageError, match=r"another simulator has .*street\.commands") as told:
        CommandMemory(path)
    assert "--state DIR" in told.value.hint
    with CommandMemory(path):
        pass


def test_boots_rise_though_the_clock_is_set_back(path: Path) -> None:
    """The back end takes the presence of the latest boot: one from before it would never be seen again."""
    with CommandMemory(path) as memory:
        assert memory.new_boot(1_000) == 1_000
    with CommandMemory(path) as memory:
        assert memory.new_boot(500) == 1_001
    with CommandMemory(path) as memory:
        assert memory.new_boot(5_000) == 5_000


def test_a_full_disk_is_counted_and_the_next_line_is_whole(path: Path, now: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written in part is no line, and spoils none."""
    real = os.write
    with CommandMemory(path) as memory:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", lambda file, text: real(file, text[:9]))
            memory.remember(VIN, done("a"), now + SOON)
            patched.setattr(os, "write", lambda _file, _text: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            memory.remember(VIN, done("b"), now + SOON)
        memory.remember(VIN, done("c"), now + SOON)
        assert memory.failed == 2
    with CommandMemory(path) as memory:
        assert [each.id for each in memory.recall(VIN)] == ["c"]
