"""Commands on scenario files before they run: list those that are shipped, check one, describe how one is written."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from fleet.cli.common import SCENARIOS, AsJson, ScenarioName, Set, complain, make_table, out, tell_tracks
from fleet.dialects import mapping_files
from fleet.kernel.instants import format_duration
from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.scenario.following import followed_tracks, rows_left_out, track_findings
from fleet.scenario.json_schema import json_schema, region_schema
from fleet.scenario.loader import Overrides, check, find_scenario, load_text, read_settings, shipped
from fleet.scenario.summary import summary
from fleet.scenario.text import read_text
from fleet.vehicle.regions import load_regions

app = typer.Typer()


@app.command(rich_help_panel=SCENARIOS)
def scenarios(as_json: AsJson = False) -> None:
    """List the shipped scenarios: how many cars, how long, and what for.

    Examples: fleet scenarios

    fleet scenarios --json
    """
    found = shipped(resource_dir("scenarios"), vocabulary())
    if as_json:
        lines = [
            {"name": s.name, "purpose": s.purpose, "cars": s.cars, "duration_us": s.duration_us, "clock": str(s.clock)}
            for s in found
        ]
        out.print_json(json.dumps(lines))
        return
    table = make_table("scenario", "cars", "duration", "takes")
    table.add_column("purpose", overflow="fold")
    for s in found:
        takes = "" if s.clock.is_virtual else format_duration(round(s.duration_us / s.clock))
        table.add_row(s.name, str(s.cars), format_duration(s.duration_us), takes, s.purpose)
    out.print(table)


@app.command("check", rich_help_panel=SCENARIOS)
def check_file(scenario: ScenarioName, settings: Set = None, as_json: AsJson = False) -> None:
    """Check a scenario file: give all its errors, or say what it will do. Exit code 2 when it is wrong.

    Examples: fleet check my/own.yaml

    fleet check rush-hour

    sed s/Leon/Born/ my/own.yaml | fleet check -
    """
    file = find_scenario(scenario, resource_dir("scenarios"))
    words = vocabulary()
    values = read_settings(settings or ())
    text = read_text(file)
    errors = check(text, str(file), words, values)
    lines, left_out, findings = [], [], []
    if not errors:
        loaded = load_text(text, str(file), words, Overrides(settings=values))
        lines, tracks = summary(loaded, words), followed_tracks(loaded, words)
        left_out, findings = rows_left_out(tracks), track_findings(tracks)
    if as_json:
        found = [{"message": str(e), "hint": e.hint, "file": e.file, "line": e.line, "column": e.column} for e in errors]
        plain = {"file": str(file), "ok": not errors, "errors": found, "summary": lines}
        out.print_json(json.dumps(plain | {"left_out": left_out, "findings": findings}))
    else:
        for error in errors:
            complain(error)
        if not errors:
            out.say(f"{file}: ok")
        for line in lines:
            out.say(line)
        tell_tracks(left_out, findings)
    if errors:
        raise typer.Exit(2)


@app.command(rich_help_panel=SCENARIOS)
def regions(as_json: AsJson = False) -> None:
    """List the shipped regions, where cars can live; `region:` of a scenario names one, or a file of yours (docs/scenarios.md).

    Examples: fleet regions

    fleet regions --json
    """
    found = load_regions()
    if as_json:
        lines = [
            {
                "name": name,
                "country": each.country,
                "timezone": each.timezone,
                "latitude": each.centre[0],
                "longitude": each.centre[1],
            }
            for name, each in sorted(found.items())
        ]
        out.print_json(json.dumps(lines))
        return
    table = make_table("region", "country", "time zone", "middle")
    for name, each in sorted(found.items()):
        table.add_row(name, each.country, each.timezone, f"{each.centre[0]:.3f}, {each.centre[1]:.3f}")
    out.print(table)


@app.command(rich_help_panel=SCENARIOS)
def schema(
    kind: Annotated[Literal["scenario", "region", "dialect"], typer.Argument(help="Of which kind of file")] = "scenario",
    as_json: AsJson = True,  # noqa: ARG001  accepted as everywhere; it is JSON anyway
) -> None:
    """Print the JSON Schema of scenario files, of region files, or of the mapping files of dialects, for completion in editors.

    Examples: fleet schema > scenario.json

    fleet schema dialect > mapping.json
    """
    schemas = {"scenario": json_schema, "region": region_schema, "dialect": mapping_files.json_schema}
    out.print_json(json.dumps(schemas[kind]()))
