"""Cars live a day in each region that is shipped, and in one of a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli import application
from fleet.runtime.assembly import vocabulary
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import load_text
from fleet.vehicle.regions import load_regions
from tests.runtime.test_virtual_stage import Quiet
from tests.scenario.samples import REGION

DAY = """\
scenario: abroad
purpose: A day in a region, with what its drivers ask for.
seed: 11
start: 2026-03-03T04:00
duration: 20 h
clock: virtual
region: {region}
fleets:
  - {{name: commuters, count: 8, models: {{Leon: 1, Born: 1}}, profile: commuter}}
  - {{name: couriers, count: 4, models: {{Leon: 1}}, energies: {{Leon: {{petrol: 1}}}}, profile: courier}}
timeline:
  - {{at: 06:00, do: low_fuel, level: 12 %, cars: {{fleet: couriers}}}}
  - {{at: 12:00, do: ask, request: petrol_places, data: {{radius_km: 25}}, cars: {{count: 3}}}}
  - {{at: 12:01, do: ask, request: traffic, cars: {{count: 3}}}}
  - {{at: 12:02, do: breakdown_call, cars: {{fleet: commuters, index: 0}}}}
expectations:
  - lost == 0
  - created >= 100
"""


@pytest.mark.parametrize("region", [*sorted(load_regions()), "own.yaml"])
def test_a_day_passes_all_checks(region: str, tmp_path: Path) -> None:
    """They drive, fill up, ask and call for help; the run passes, and its journal holds without the file, by every check."""
    (tmp_path / "own.yaml").write_text(REGION, encoding="utf-8")
    scenario = load_text(DAY.format(region=region), str(tmp_path / "abroad.yaml"), vocabulary())
    report = virtual_run(RunConfig(scenario=scenario, out=tmp_path / "run"), Quiet()).execute()
    assert report["verdict"] == "passed", report["reason"]
    (tmp_path / "own.yaml").unlink()
    verified = CliRunner().invoke(application("verify"), ["verify", str(tmp_path / "run")])
    assert verified.exit_code == 0, verified.output
