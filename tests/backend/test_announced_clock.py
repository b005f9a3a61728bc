"""The announced scenario time: what it rules, and which is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from fleet.kernel.instants import HOUR, LATEST
from fleet.runtime.clocks import wall_us
from fleet.wire.messages import AnnounceClock
from tests.backend.lab import (
    BOOT,
    car,
    presence,
    response,
    running,
)

NOW_US = wall_us()


async def test_the_announced_clock_rules_deadlines_and_survives_a_restart(path: Path) -> None:
    """At a high factor the broker keeps a command 5 wall seconds; after a restart the scenario is where it was."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.announce(1_000.0)
        lab.command("a")
        await lab.state("a", "sent")
        (command,) = lab.commands()
        assert BOOT <= command.issued_at < BOOT + 10_000_000_000
        assert command.expires_at - command.issued_at == 60_000_000
        assert [frame.expiry_s for frame in lab.session.published if "/command/" in frame.topic] == [5]
    async with running(path) as lab:
        assert lab.backend.clock.clock.factor == 1_000.0
        assert BOOT <= lab.backend.clock.now() < BOOT + 100_000_000_000


async def test_a_clock_that_cannot_be_is_refused(path: Path) -> None:
    async with running(path) as lab:
        for factor in (0.0, -1.0, float("nan"), float("inf")):
            lab.ask(AnnounceClock(id=f"c{factor}", start=1, epoch_wall_us=1, factor=factor))
            assert (await lab.state(f"c{factor}", "rejected")).reason == "argument_out_of_range"


@pytest.mark.parametrize(
    ("start", "epoch_wall_us", "factor"),
    [(1, 0, 1e6), (BOOT, 0, 1e6), (-(10**15), NOW_US, 1.0), (2**62, NOW_US, 1.0), (1, NOW_US + 10**15, 1.0), (1, NOW_US, 1e-300),
     (-(2**63), 2**63 - 1, 1e6), (LATEST - HOUR, NOW_US, 2.0)],
    ids=range(8),  # each worker of xdist has a now of its own
)  # fmt: skip
async def test_a_clock_whose_present_no_calendar_holds_is_refused_with_the_reason(
    path: Path, start: int, epoch_wall_us: int, factor: float
) -> None:
    """Now or within an hour; a command that is open goes on, and the next clock is taken."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        lab.command("open")
        await lab.state("open", "sent")
        lab.ask(AnnounceClock(id="bad", start=start, epoch_wall_us=epoch_wall_us, factor=factor))
        answer = await lab.state("bad", "rejected")
        assert answer.reason == "argument_out_of_range"
        assert "this clock shows" in (answer.detail or "") or "factor of 0.001" in (answer.detail or "")
        await lab.announce(10.0)
        (command,) = lab.commands()
        lab.session.deliver(*car(response(1, command, "succeeded")))
        await lab.state("open", "succeeded")


async def test_a_clock_that_has_run_out_while_nobody_looked_stands_at_its_end(path: Path) -> None:
    """A store whose clock went on at x1 000 000 for years is opened and used all the same."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.announce(1e6)
    with sqlite3.connect(path) as connection:
        kept = AnnounceClock(id="c", start=BOOT, epoch_wall_us=0, factor=1e6)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'clock'", (msgspec.json.encode(kept).decode(),))
    connection.close()
    async with running(path) as lab:
        lab.command("a")
        assert (await lab.state("a", "sent")).at == LATEST
