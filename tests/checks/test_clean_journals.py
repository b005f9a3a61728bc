"""Nothing that the product does by itself breaks a rule: shipped scenarios, both modes of delivery, live and virtual."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.checks.verification import declared_rules, full_name
from fleet.cli import application
from fleet.errors import JournalError, UsageError
from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import Overrides, load
from fleet.scenario.scalars import ClockFactor
from tests.checks.lab import DAY, broken, judged, read_records, run_day, told, write_records
from tests.runtime.test_virtual_stage import Quiet


@pytest.mark.parametrize("until_stored", [False, True], ids=["puback", "stored"])
def test_a_rush_hour_holds(tmp_path: Path, until_stored: bool) -> None:
    """A hundred cars, a whole day."""
    overrides = Overrides(settings={}, cars=100, seed=None, clock=ClockFactor.parse("virtual"))
    scenario = load(resource_dir("scenarios") / "rush-hour.yaml", vocabulary(), overrides)
    virtual_run(RunConfig(scenario=scenario, out=tmp_path, until_stored=until_stored), Quiet()).execute()
    found = judged(tmp_path / "journal.jsonl")
    assert found.complete
    assert broken(found) == set(), [told(found, name) for name in broken(found)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_day_with_a_dying_broker_holds(tmp_path: Path, seed: int) -> None:
    """Other cars, other faults."""
    found = judged(run_day(tmp_path, DAY.replace("seed: 20", f"seed: {seed}"), until_stored=seed == 2))
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
    result = CliRunner().invoke(application("verify"), ["verify", str(journal)])
    assert result.exit_code == 0, result.output
    assert "all holds" in result.output
    assert "nothing" in next(line for line in result.output.splitlines() if line.startswith("honk rule"))


def test_the_command_tells_where_it_broke(journal: Path, tmp_path: Path) -> None:
    """Exit code 1, with the place, the car, what was expected and what it did before."""
    records = read_records(journal)
    line = next(number for number, record in enumerate(records, 1) if record["k"] == "publish" and record.get("crc32"))
    records[line - 1]["crc32"] ^= 1
    result = CliRunner().invoke(application("verify"), ["verify", str(write_records(tmp_path / "bad.jsonl", records))])
    assert result.exit_code == 1
    assert f"frames {tmp_path / 'bad.jsonl'}:{line}: {records[line - 1]['m'].removeprefix('link/')}" in result.output
    assert "not the encoding of the message" in result.output
    assert f"{line}: 2026-03-02" in result.output


def test_the_command_speaks_json(journal: Path) -> None:
    """All that is told to people, for machines."""
    told = json.loads(CliRunner().invoke(application("verify"), ["verify", str(journal), "--json"]).output)
    assert told["holds"] is True
    assert told["complete"] is True
    assert {finding["check"]: finding["looked_at"] for finding in told["findings"]}["honk rule"] == 0


def test_a_rule_that_was_never_judged_fails_when_it_is_required(journal: Path) -> None:
    """Exit code 1 and the rule with the side that is missing; what is judged does not fail."""
    verify = ["verify", str(journal), "--require-judged"]
    result = CliRunner().invoke(application("verify"), [*verify, "--rule", "honk rule: within 500 m", "--rule", "odometer"])
    assert result.exit_code == 1
    assert "honk rule: within 500 m: never allowed nor refused" in result.output
    assert "odometer: never" not in result.output
    assert CliRunner().invoke(application("verify"), [*verify, "--rule", "odometer", "--rule", "frames"]).exit_code == 0
    assert CliRunner().invoke(application("verify"), verify).exit_code == 1


def test_a_rule_that_does_not_exist_is_refused(journal: Path) -> None:
    """Before anything is read, with the name that is near."""
    result = CliRunner().invoke(application("verify"), ["verify", str(journal), "--rule", "honk role"])
    assert isinstance(result.exception, UsageError)
    assert "'honk rule'" in str(result.exception.hint)


def test_every_rule_can_be_told(journal: Path) -> None:
    """With --all each rule is named with its sides, in JSON too, and what could not be judged with its reason."""
    output = CliRunner().invoke(application("verify"), ["verify", str(journal), "--all"]).output
    told = json.loads(CliRunner().invoke(application("verify"), ["verify", str(journal), "--json"]).output)
    sides = {(rule["check"], rule["rule"]): rule["sides"] for finding in told["findings"] for rule in finding["rules"]}
    assert list(sides) == [(check, rule.name) for check, rule in declared_rules()]
    assert all(f"{full_name(*name)}: " in output for name in sides)
    assert sides["honk rule", "within 500 m"] == {
        "allowed": {"judged": 0, "undecided": {}},
        "refused": {"judged": 0, "undecided": {}},
    }
    assert sides["odometer", "odometer"]["judged"]["judged"] > 0


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    """It ends as every error of a file does."""
    other = tmp_path / "other.jsonl"
    other.write_text('{"not": "a journal"}\n')
    result = CliRunner().invoke(application("verify"), ["verify", str(other)])
    assert isinstance(result.exception, JournalError)
