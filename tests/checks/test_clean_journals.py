"""Nothing that the product does by itself breaks a rule: shipped scenarios, both modes of delivery, live and virtual."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli import app
from fleet.errors import JournalError
from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.runtime.virtual import VirtualRun, VirtualRunConfig
from fleet.scenario.loader import Overrides, load
from fleet.scenario.scalars import ClockFactor
from tests.checks.lab import DAY, broken, judged, read_records, run_day, told, write_records
from tests.runtime.test_virtual import Quiet


@pytest.mark.parametrize("until_stored", [False, True], ids=["puback", "stored"])
def test_a_rush_hour_holds(tmp_path: Path, until_stored: bool) -> None:
    """A hundred cars, a whole day."""
    overrides = Overrides(settings={}, cars=100, seed=None, clock=ClockFactor.parse("virtual"))
    scenario = load(resource_dir("scenarios") / "rush-hour.yaml", vocabulary(), overrides)
    VirtualRun(VirtualRunConfig(scenario=scenario, out=tmp_path, until_stored=until_stored), Quiet()).run()
    found = judged(tmp_path / "journal.jsonl")
    assert found.complete
    assert broken(found) == set(), [told(found, name) for name in broken(found)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_day_with_a_dying_broker_holds(tmp_path: Path, seed: int) -> None:
    """Other cars, other faults."""
    found = judged(run_day(tmp_path, DAY.replace("seed: 11", f"seed: {seed}"), until_stored=seed == 2))
    assert broken(found) == set(), [told(found, name) for name in broken(found)]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = """\
scenario: small
purpose: A few cars for an hour.
seed: 7
start: 2026-03-02T05:00Z
duration: 3 h
clock: virtual
region: munich
fleets:
  - {name: few, count: 4, models: {Leon: 1}, profile: commuter}
load:
  - {do: ask_status, rate: 10 per hour}
"""
    return run_day(tmp_path_factory.mktemp("small"), text)


def test_the_command_tells_what_was_looked_at(journal: Path) -> None:
    """Exit code 0; a check without anything to look at says so."""
    result = CliRunner().invoke(app, ["verify", str(journal)])
    assert result.exit_code == 0, result.output
    assert "all holds" in result.output
    assert "nothing" in next(line for line in result.output.splitlines() if line.startswith("honk rule"))


def test_the_command_tells_where_it_broke(journal: Path, tmp_path: Path) -> None:
    """Exit code 1, with the place, the car, what was expected and what it did before."""
    records = read_records(journal)
    line = next(number for number, record in enumerate(records, 1) if record["k"] == "publish" and record.get("crc32"))
    records[line - 1]["crc32"] ^= 1
    result = CliRunner().invoke(app, ["verify", str(write_records(tmp_path / "bad.jsonl", records))])
    assert result.exit_code == 1
    assert f"frames {tmp_path / 'bad.jsonl'}:{line}: {records[line - 1]['m'].removeprefix('link/')}" in result.output
    assert "not the encoding of the message" in result.output
    assert f"{line}: 2026-03-02" in result.output


def test_the_command_speaks_json(journal: Path) -> None:
    """All that is told to people, for machines."""
    told = json.loads(CliRunner().invoke(app, ["verify", str(journal), "--json"]).output)
    assert told["holds"] is True
    assert told["complete"] is True
    assert {finding["check"]: finding["looked_at"] for finding in told["findings"]}["honk rule"] == 0


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    """It ends as every error of a file does."""
    other = tmp_path / "other.jsonl"
    other.write_text('{"not": "a journal"}\n')
    result = CliRunner().invoke(app, ["verify", str(other)])
    assert isinstance(result.exception, JournalError)
