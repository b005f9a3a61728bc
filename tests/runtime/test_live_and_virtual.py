"""One scenario live and virtual: what must agree does.

The cars' own day is the same to the microsecond: who they are, when their engines start and stop, how far they drive. What
somebody asks of them from outside is not: live a command arrives milliseconds later, which a fast clock makes minutes. So the
instants of answers, the numbers of messages, what the heater has burnt, and the fate of a command that comes just before a
car sets off or its time to live ends may differ; so do all latencies.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.cli.lab import fleet

pytestmark = pytest.mark.live

DRIVEN = ("started_at", "distance_km", "duration_min")


@dataclass(frozen=True)
class Ran:
    """The folder of a run that has ended."""

    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / "store.sqlite")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def engines(self) -> set[tuple[Any, ...]]:
        """Return who switched the engine on or off, and when, in scenario time."""
        return set(self.rows("SELECT vin, name, captured_at FROM message WHERE name IN ('engine_on', 'engine_off')"))

    def trips(self) -> set[tuple[Any, ...]]:
        """Return each trip: whose, from when, how far and how long."""
        found = self.rows("SELECT vin, payload FROM message WHERE name = 'trip'")
        return {(vin, *(msgpack.unpackb(payload)["data"][name] for name in DRIVEN)) for vin, payload in found}


async def both(tmp_path: Path, name: str, clock: str, *options: str) -> tuple[Ran, Ran]:
    """Run it live at that clock and virtually, one after the other; both pass."""
    for where, chosen in (("live", clock), ("virtual", "virtual")):
        done = await fleet("run", name, *options, "--clock", chosen, "--out", where, "--no-journal", cwd=tmp_path)
        assert done.code == 0, done
    return Ran(tmp_path / "live"), Ran(tmp_path / "virtual")


@pytest.mark.alone
async def test_a_working_day_is_the_same_day(tmp_path: Path) -> None:
    """The same cars make the same drives at the same instants, whoever brings the time."""
    live, virtual = await both(tmp_path, "rush-hour", "x3600", "--cars", "60")
    assert live.report["cars"] == virtual.report["cars"] == 60
    assert live.report["commands"]["total"] == virtual.report["commands"]["total"] > 100
    assert live.engines() == virtual.engines()
    assert live.trips() == virtual.trips()
    assert len(live.trips()) > 60


async def test_the_same_commands_meet_the_same_rule(tmp_path: Path) -> None:
    """Users stand where they stand: as many are too far away, to the one, and no outcome but `busy` depends on the clock."""
    live, virtual = await both(tmp_path, "find-my-car", "x240")
    fates = [
        ran.rows("SELECT vin, parameters, coalesce(reason, state) FROM command WHERE name = 'honk'") for ran in (live, virtual)
    ]
    asked = [Counter((vin, parameters) for vin, parameters, _ in found) for found in fates]
    assert asked[0] == asked[1]
    assert asked[0].total() == 8 * live.report["cars"]
    too_far = [Counter((vin, parameters) for vin, parameters, fate in found if fate == "too_far") for found in fates]
    busy = [{(vin, parameters) for vin, parameters, fate in found if fate == "busy"} for found in fates]
    for one, other in ((0, 1), (1, 0)):
        assert set(too_far[one] - too_far[other]) <= busy[other]
