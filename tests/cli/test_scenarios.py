"""Scenario files at the prompt: listed, checked, described by a schema; and the regions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.lab import call, clean_environment
from tests.cli.test_bad_input import GOOD_SCENARIO


def test_scenarios_are_listed() -> None:
    """For people and, with --json, for machines."""
    assert "find-my-car" in call("scenarios").text
    listed = {each["name"]: each for each in json.loads(call("scenarios", "--json").out)}
    assert {"find-my-car", "rush-hour"} <= set(listed)
    assert listed["rush-hour"]["cars"] == 2000
    assert listed["rush-hour"]["duration_us"] == 17 * 3600 * 1_000_000


def test_a_right_file_is_right() -> None:
    """`check` says so, and what the file will do, and ends with 0."""
    done = call("check", "rush-hour")
    assert (done.code, done.err) == (0, "")
    first, *lines = done.out.splitlines()
    assert first.endswith("rush-hour.yaml: ok")
    assert any(line.startswith("2000 cars: 720 heated, ") for line in lines)
    plain = json.loads(call("check", "rush-hour", "--json").out)
    assert (plain["ok"], plain["summary"]) == (True, lines)


def test_rows_of_a_track_that_are_left_out_are_named(tmp_path: Path) -> None:
    """By file and row, beside what the file will do; the rest of the track is used."""
    rows = "".join(f"no,{number},{number}\n" for number in range(30))
    (tmp_path / "t.csv").write_text(f"lat,lon,time\n48,11,1714979400\n{rows}48.01,11,1714979460\n", encoding="utf-8")
    path = tmp_path / "followers.yaml"
    path.write_text(GOOD_SCENARIO.replace("models:", "tracks: {files: [t.csv]}, models:"), encoding="utf-8")
    done = call("check", str(path))
    assert done.code == 0, done
    assert "left out: t.csv:3: 'no' is no latitude" in done.text.replace(f"{tmp_path}/", "")
    assert "and 10 more rows" in done.text
    assert len(json.loads(call("check", str(path), "--json").out)["left_out"]) == 30


def test_the_regions_are_listed() -> None:
    """With country, time zone and middle; the schema of their files is there, too."""
    assert {"amsterdam", "madrid", "munich", "stockholm"} <= {each["name"] for each in json.loads(call("regions", "--json").out)}
    assert "Europe/Stockholm" in call("regions").out
    schema = json.loads(call("schema", "region").out)
    assert schema["title"] == "fleet region"
    assert {"region", "country", "timezone", "places"} == set(schema["required"])


def test_a_broken_region_file_is_told_by_check() -> None:
    """With its own name, line and column; exit code 2."""
    Path("mine.yaml").write_text("region: mine\ncountry: SE\ntimezone: Europe/Stokholm\nplaces: []\n", encoding="utf-8")
    Path("own.yaml").write_text(GOOD_SCENARIO.replace("region: munich", "region: mine.yaml"), encoding="utf-8")
    done = call("check", "own.yaml")
    assert done.code == 2
    assert "mine.yaml:3:11: timezone: unknown time zone 'Europe/Stokholm'" in done.text
    assert "mine.yaml:4:9: places: nobody lives here" in done.text


@pytest.mark.parametrize("line", ["schema", "schema --json"])
def test_the_schema_is_json(line: str) -> None:
    """It is the schema of scenario files, with or without --json."""
    schema = json.loads(call(*line.split()).out)
    assert schema["title"] == "fleet scenario"
    assert {"fleets", "commands", "expectations"} <= set(schema["properties"])


@pytest.mark.parametrize("text", [GOOD_SCENARIO, GOOD_SCENARIO.replace("Leon", "Leo")])
def test_a_scenario_from_a_pipe(tmp_path: Path, text: str) -> None:
    """Standard input by its short name or its path, and a pipe with a name: each is read once, and checked as a file is."""
    code, told = (0, ": ok") if text is GOOD_SCENARIO else (2, "unknown model 'Leo'")
    for name in ("-", "/dev/stdin", "fifo.yaml"):
        if name == "fifo.yaml":
            os.mkfifo(tmp_path / name)
            command = f"cat scenario.txt > {name} & {sys.executable} -m fleet check {name}"
        else:
            command = f"cat scenario.txt | {sys.executable} -m fleet check {name}"
        (tmp_path / "scenario.txt").write_text(text, encoding="utf-8")
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done
        assert f"{name}{told}" in done.stdout if code == 0 else told in done.stderr
