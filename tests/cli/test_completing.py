"""Completion of the shell: scenarios, commands, clocks, and the cars of the latest run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.scalars import ClockFactor
from tests.cli.lab import clean_environment
from tests.runtime.pure_lab import scenario
from tests.runtime.test_virtual_stage import Quiet

VIN = "VSSZZZKMZPR000001"


def complete(line: str, cwd: Path) -> list[str]:
    """Return what bash offers at the end of the line."""
    words = line.split(" ")
    asked = {"_FLEET_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    found = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'fleet'; from fleet.__main__ import main; main()"],
        cwd=cwd,
        env={**clean_environment(), **asked},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.live
def test_completion_knows_scenarios_commands_and_clocks(tmp_path: Path) -> None:
    """By their beginnings; a command that takes a file leaves files to the shell."""
    assert {"rush-hour", "find-my-car", "border"} <= set(complete("fleet run ", tmp_path))
    assert complete("fleet run rus", tmp_path) == ["rush-hour"]
    assert complete("fleet check find", tmp_path) == ["find-my-car"]
    assert complete(f"fleet command {VIN} h", tmp_path) == ["honk", "heater"]
    assert complete("fleet run rush-hour --clock v", tmp_path) == ["virtual"]
    assert complete("fleet run [", tmp_path) == []


@pytest.mark.live
def test_completion_knows_the_cars_of_the_latest_run(tmp_path: Path) -> None:
    """Or of the store that is named; where there is none it offers nothing, and does not complain."""
    assert complete("fleet status ", tmp_path) == []
    made = scenario(clock=ClockFactor.parse("virtual"))
    virtual_run(RunConfig(scenario=made, out=tmp_path / "runs" / "latest", journal=False), Quiet()).execute()
    vins = complete("fleet status ", tmp_path)
    assert len(vins) == 3
    assert complete(f"fleet history {vins[1]}", tmp_path) == [vins[1]]
    assert complete("fleet status --store runs/latest/store.sqlite VSS", tmp_path) == vins
    assert complete("fleet status --store elsewhere.sqlite VSS", tmp_path) == []
    assert complete(f"fleet status --store {'x' * 300} VSS", tmp_path) == []
