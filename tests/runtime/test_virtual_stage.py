"""A whole run in virtual time: cars, users, broker, desk and store, without a wait."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import HOUR
from fleet.observe.packing import packed, read_lines
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.scalars import ClockFactor, Duration
from tests.runtime.pure_lab import scenario

FLEETS = """\
  - {name: commuters, count: 30, models: {Leon: 2, Born: 1}, profile: commuter, coverage: {garages: 20 %, holes: 20 %}}
"""
COMMANDS = """\
  - {name: refresh, count: 60}
  - {name: honk, count: 20, parameters: {mode: flash}, distance: {from: 0 m, to: 900 m}}
  - {name: lock, count: 20, spin: {right: 60 %, wrong: 40 %}}
"""
VIRTUAL = ClockFactor.parse("virtual")
STORED = "SELECT vin, boot, seq, kind, name, captured_at, received_at, stored_at, payload FROM message ORDER BY id"
COMMAND = "SELECT * FROM command ORDER BY id"


class Quiet:
    """A view for nobody."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None: ...
    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None: ...
    def waits(self, what: str, detail: str = "") -> None: ...


def run(out: Path, **changes: Any) -> dict[str, Any]:
    """Run a day of thirty commuters and a hundred commands, and return the report."""
    made = scenario(FLEETS, COMMANDS, clock=VIRTUAL, written_duration=Duration(24 * HOUR), **changes)
    return virtual_run(RunConfig(scenario=made, out=out), Quiet()).execute()


def rows(out: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(out / "store.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_day_passes_and_the_account_holds(tmp_path: Path) -> None:
    """All that the cars made is stored or in the outbox of a car in a garage, and commands come back."""
    report = run(tmp_path)
    assert report["verdict"] == "passed"
    assert report["created"] == report["stored"] + report["in_outbox"] > 30 * 4
    assert report["lost"] == report["duplicates"] == report["quarantined"] == 0
    assert report["faults"] == {}, "nothing was done to the network"
    commands = report["commands"]
    assert commands["total"] == 100
    assert commands["succeeded"] > 20
    assert {"too_far", "spin_wrong"} <= set(commands["rejected"])
    assert report["latency_ms"]["command_round_trip"]["p99"] < 100
    for_people = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Latency in ms (virtual" in for_people
    assert "## Generator" not in for_people


class Remover(Quiet):
    """Removes the store as soon as something is in it."""

    def __init__(self, out: Path) -> None:
        self.store = out / "store.sqlite"

    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None:
        if backend["stored"]:
            self.store.unlink(missing_ok=True)


def test_a_store_that_is_removed_ends_the_run_with_a_report_that_says_so(tmp_path: Path) -> None:
    """No figure stands in it that nobody can have counted."""
    made = scenario(FLEETS, COMMANDS, clock=VIRTUAL, written_duration=Duration(24 * HOUR))
    report = virtual_run(RunConfig(scenario=made, out=tmp_path), Remover(tmp_path)).execute()
    assert report["verdict"] == "invalid"
    assert "store.sqlite was removed" in report["reason"]
    assert (report["stored"], report["lost"]) == (None, None)
    assert "was removed" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_messages_hold_no_wall_time(tmp_path: Path) -> None:
    """There is no wall in a virtual run."""
    run(tmp_path)
    assert rows(tmp_path, "SELECT count(*) FROM message WHERE due_wall_us IS NOT NULL OR sent_wall_us IS NOT NULL") == [(0,)]


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    """Every stored byte and time is the same, and another seed gives others."""
    for name, seed in (("one", 7), ("again", 7), ("other", 8)):
        run(tmp_path / name, seed=seed)
    for query in (STORED, COMMAND):
        assert rows(tmp_path / "one", query) == rows(tmp_path / "again", query)
    assert rows(tmp_path / "one", STORED) != rows(tmp_path / "other", STORED)


PROGRAM = """\
import sys
from pathlib import Path
from tests.runtime.test_virtual_stage import run
run(Path(sys.argv[1]))
"""


@pytest.mark.live
def test_hash_seeds_and_processes_change_nothing(tmp_path: Path) -> None:
    """Two processes whose strings hash differently store the same rows."""
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / seed)], check=True, env=environment, timeout=60)
    for query in (STORED, COMMAND):
        assert rows(tmp_path / "1", query) == rows(tmp_path / "2", query)
    journals = [b"".join(read_lines(packed(tmp_path / seed / "journal.jsonl"))) for seed in ("1", "2")]
    assert len(journals[0]) > 100_000
    assert journals[0] == journals[1]


def stories(out: Path) -> dict[str, list[bytes]]:
    """Return the journal's lines of each car, without anybody else's."""
    told: dict[str, list[bytes]] = {}
    for line in read_lines(packed(out / "journal.jsonl")):
        machine = json.loads(line)["m"]
        if machine.startswith("car/"):
            told.setdefault(machine, []).append(line)
    return told


def test_a_car_more_changes_no_other_cars_story(tmp_path: Path) -> None:
    """Whatever the thirty did they do beside a thirty-first, at the same instants and with the same words."""
    for name, cars in (("thirty", 30), ("one more", 31)):
        made = scenario(FLEETS.replace("count: 30", f"count: {cars}"), clock=VIRTUAL, written_duration=Duration(24 * HOUR))
        virtual_run(RunConfig(scenario=made, out=tmp_path / name), Quiet()).execute()
    thirty, one_more = stories(tmp_path / "thirty"), stories(tmp_path / "one more")
    assert (len(thirty), len(one_more)) == (30, 31)
    assert all(one_more[car] == lines for car, lines in thirty.items())


def test_no_request_is_lost_when_users_are_back_before_the_back_end(tmp_path: Path) -> None:
    """A killed broker has forgotten the back end's session: what users ask it meanwhile is taken for nobody, and asked again."""
    steps = "timeline:\n  - {at: 10 min, broker: kill}\n  - {at: 11 min, broker: start}"
    commands = "  - {name: refresh, count: 400, during: 06:10-06:12}\n" + steps
    made = scenario("  - {name: parked, count: 40, models: {Leon: 1}, profile: parked}", commands, clock=VIRTUAL, seed=3)
    report = virtual_run(RunConfig(scenario=made, out=tmp_path), Quiet()).execute()
    heard = [json.loads(line) for line in read_lines(packed(tmp_path / "journal.jsonl"))]
    asked = {each["data"]["request"]["id"] for each in heard if each.get("type") == "CommandAsked"}
    assert report["commands"]["total"] == len(asked) == 400
    assert len([each for each in heard if each.get("type") == "CommandAsked"]) < 500  # those under way are not asked again
