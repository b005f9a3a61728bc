"""A scenario with stages, load and a timeline, from its file to its report: live with a broker that is killed, and virtually."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from tests.cli.lab import fleet

STORY = """\
scenario: story
purpose: A garage, a broker that dies, and a way home.
parameters: {cars_here: 12}
seed: 5
start: 2026-03-02T08:00
clock: x60
region: munich
reconnect: {jitter: false, first: 500 ms, longest: 1 s}
imports: [fleets.yaml]
stages:
  - name: garage
    duration: 5 min
    load: [{do: ask_status, rate: "${cars_here} per min"}]
    timeline:
      - {at: 1 min, do: enter_garage, cars: {fleet: street, index: [0, 1, 2]}}
      - {at: 1 min, do: low_fuel, cars: {fleet: street, index: 4}}
      - {when: car.fuel_percent < 6, do: open, door: boot}
    expectations:
      - eventually offline >= 3
      - always offline <= 3
  - name: outage
    duration: 6 min
    load: [{do: ask_status, rate: "${cars_here} per min"}]
    timeline:
      - {at: 1 min, broker: kill}
      - {at: 2 min, broker: start}
    expectations:
      - eventually connected == 0
      - created == 72
  - name: home
    duration: 4 min
    timeline:
      - {at: 10 s, do: regain_coverage}
    load:
      - {command: honk, burst: 1 per car, at: 1 min, distance: 100 m, time_to_live: 30 min, cars: {count: 6}}
    expectations:
      - eventually connected == ${cars_here}
      - commands.succeeded == 6
expectations:
  - lost == 0
  - in_outbox == 0
"""
FLEETS = """\
fleets:
  - name: street
    count: ${cars_here}
    models: {Leon: 1}
    energies: {Leon: {petrol: 1}}
    profile: parked
"""


def write(folder: Path, story: str = STORY) -> Path:
    (folder / "fleets.yaml").write_text(FLEETS, encoding="utf-8")
    path = folder / "story.yaml"
    path.write_text(story, encoding="utf-8")
    return path


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


@pytest.mark.live
@pytest.mark.parametrize("clock", ["x60", "virtual"])
async def test_each_stage_is_played_and_held_against_what_it_expects(tmp_path: Path, clock: str) -> None:
    """The same file on a Mosquitto that is really killed and on the simulated one: what it says happens."""
    out = tmp_path / "out"
    done = await fleet("run", write(tmp_path), "--clock", clock, "--delivery", "stored", "--out", out, cwd=tmp_path)
    report = report_of(out)
    assert {each["text"]: each["passed"] for each in report["expectations"] if not each["passed"]} == {}, done
    assert (done.code, report["verdict"]) == (0, "passed")
    garage, outage, home = report["stages"]
    assert [stage["name"] for stage in (garage, outage, home)] == ["garage", "outage", "home"]
    assert (garage["created"], outage["created"]) == (60, 72)
    assert garage["acknowledged"] < 60
    assert home["acknowledged"] > home["created"]  # what waited in the garage came, too
    assert home["commands"]["total"] == report["commands"]["total"] == 6
    assert home["latency_ms"]["command_round_trip_waking"]["p99"] > 0
    assert "| outage | 72 |" in (out / "report.md").read_text(encoding="utf-8")
    (suite,) = JUnitXml.fromfile(str(out / "junit.xml"))
    assert (suite.name, suite.tests, suite.failures, suite.errors) == ("story", len(report["expectations"]) + 1, 0, 0)


@pytest.mark.live
async def test_a_parameter_set_on_the_command_line_reaches_the_cars(tmp_path: Path) -> None:
    """Half as many cars are asked half as often; what is expected of them is not met, and the exit code says so."""
    story = write(tmp_path, STORY.replace("offline <= 3", "offline <= 2"))
    done = await fleet("run", story, "--set", "cars_here=6", "--clock", "virtual", "--out", "out", cwd=tmp_path)
    report = report_of(tmp_path / "out")
    assert (done.code, report["cars"]) == (1, 6)
    failed = {each["text"]: each["value"] for each in report["expectations"] if not each["passed"]}
    assert failed["garage: always offline <= 2"] == 3
    assert failed["outage: created == 72"] == 36
