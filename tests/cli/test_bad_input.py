"""What is wrong on the command line is told in words, with the nearest right one, and ends with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet import __version__, cli
from fleet.cli.common import complain
from fleet.errors import FleetError, ScenarioError
from tests.cli.lab import Done, fleet

VIN = "VSSZZZKMZPR000001"


def call(*arguments: str) -> Done:
    """Call the command line in this process, errors included as `main` tells them."""
    result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    if isinstance(result.exception, FleetError):
        return Done(2, result.stdout, f"error: {result.exception}\n  {result.exception.hint}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, where no fleet ever ran."""
    monkeypatch.chdir(tmp_path)
    for name in ("FLEET_STORE", "FLEET_BROKER", "FLEET_SECRET", "FLEET_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rnu", "'run'"),
        ("user set-pin", "'set-spin'"),
        ("run rush-hour --carz 5", "--cars"),
        ("run rush-huor", "'rush-hour'"),
        ("run none.yaml", "no such file"),
        ("run rush-hour --cars none", "valid integer"),
        ("run rush-hour --cars 0", "greater than or equal to 1"),
        ("run rush-hour --cars 2", "too few for 4 fleets"),
        ("run rush-hour --seed -1", "greater than or equal to 0"),
        ("run rush-hour --clock fast", "'real', 'virtual', or 'x60'"),
        ("run rush-hour --clock x0", "out of range"),
        ("run rush-hour --clock x1000000", "at most x100000"),
        ("run rush-hour --clock 60", "or 'x60'"),
        ("run rush-hour --broker http://host", "mqtt://HOST:PORT"),
        ("run rush-hour --broker mqtt://me:pass@host", "not from a URL"),
        ("run rush-hour --credentials users.csv", "--broker URL"),
        ("run rush-hour --topic-prefix a/#", "topic prefix"),
        ("run rush-hour --secret-file none", "cannot be read"),
        ("check rush-huor", "'rush-hour'"),
        ("simulate rush-hour", "--broker"),
        ("simulate rush-hour --broker host:x", "port"),
        ("backend --broker host --spin-cost 3", "power of two"),
        ("broker --scenario rush-huor", "'rush-hour'"),
        ("broker --port 99999", "65535"),
        ("cars", "Run a scenario first"),
        ("cars --limit 0", "--limit"),
        ("cars --store none.sqlite", "no store at none.sqlite"),
        ("status VIN", "3 characters instead of 17"),
        ("status VSSZZZKMZPR00000I", "it holds 'I'"),
        ("history vsszzzkmzpr000001", "A-Z and 0-9"),
        (f"status {VIN}", "Run a scenario first"),
        (f"history {VIN} --kind evnt", "'event'"),
        (f"command {VIN} honc", "'honk'"),
        ("command VIN honk --from 48,11", "17 characters"),
        (f"command {VIN} honk", "--from LAT,LON"),
        (f"command {VIN} honk --from here", "is no position"),
        (f"command {VIN} honk --from 48", "is no position"),
        (f"command {VIN} honk --from 48,11,5", "is no position"),
        (f"command {VIN} honk --from 91,0", "-90 to 90"),
        (f"command {VIN} honk --from nan,0", "-90 to 90"),
        (f"command {VIN} honk --from 48,11 --mode flsh", "'honk_and_flash'"),
        (f"command {VIN} honk --from 48,11 --minutes 10", "honk has no --minutes"),
        (f"command {VIN} lock --from 48,11", "lock has no --from"),
        (f"command {VIN} honk --from 48,11 latitude=48", "latitude is given twice"),
        (f"command {VIN} system_update campaign=spring version=2", "system_update lacks size_mb"),
        (f"command {VIN} area_alert", "area_alert lacks zones"),
        (f'command {VIN} route_import trips=[{{"waypoints":[{{"latitude":48}}]}}]',
         "route_import lacks longitude in item 1 of waypoints in item 1 of trips"),
        (f"command {VIN} heater --minutes ten", "valid integer"),
        (f"command {VIN} heater --minutes 10 minutes=20", "minutes is given twice"),
        ("catalogue area", "unknown command, event or request 'area'"),
        (f"command {VIN} heater --action strat", "'start'"),
        (f"command {VIN} refresh", "no fleet is running"),
        (f"command {VIN} refresh --ttl soon", "--ttl"),
        (f"user set-spin {VIN} --spin 1234", "no fleet is running"),
        ("notices", "Run a scenario first"),
        ("notices VIN", "3 characters instead of 17"),
        ("service onlin", "Did you mean 'online'"),
        ("service online show VIN", "3 characters instead of 17"),
        (f"service online show {VIN} name", "neither a VIN in the first place nor KEY=VALUE"),
        (f"service online show {VIN} name=a name=b", "given twice"),
        (f"service online show {VIN}", "no fleet is running"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_words(line: str, told: str) -> None:
    """The message names the nearest right name or what was expected; the exit code is 2; nothing is left behind."""
    done = call(*line.split())
    assert done.code == 2, done
    assert told in done.text, done
    assert "Traceback" not in done.text
    assert list(Path().iterdir()) == []


def test_a_wrong_model_in_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    """File, line and column, what was expected and the nearest right name; `check --json` gives them as fields."""
    text = (Path(__file__).parents[2] / "scenarios" / "find-my-car.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("Tavascan: 1", "Tavaskan: 1").replace("duration: 30 min", "duration: soon"), encoding="utf-8")
    done = call("check", str(path))
    assert done.code == 2
    assert f"{path}:" in done.text.replace("\n", "")
    assert "Tavascan" in done.text
    assert "'soon'" in done.text
    plain = json.loads(call("check", str(path), "--json").out)
    assert plain["ok"] is False
    assert [error["line"] for error in plain["errors"]] == sorted(error["line"] for error in plain["errors"])
    assert len(plain["errors"]) == 2
    assert call("run", str(path)).code == 2


def test_a_place_in_a_file_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Line 100 of a file is no emoji, and a bracket no colour."""
    complain(ScenarioError("'[b]' is no number", file="own.yaml", line=100, column=7, hint="See own.yaml:100: it is."))
    assert capsys.readouterr().err == "error: own.yaml:100:7: '[b]' is no number\n  See own.yaml:100: it is.\n"


def test_an_out_that_is_a_file_is_told() -> None:
    """In words, and before anything is started."""
    Path("taken").write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="taken"):  # told by main, see below
        call("run", "find-my-car", "--out", "taken")


@pytest.mark.live
async def test_errors_of_files_and_ours_are_told_by_main(tmp_path: Path) -> None:
    """As a process: an error of ours and one of a file are one line each, and no traceback."""
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    done = await fleet("run", "find-my-car", "--out", "taken", cwd=tmp_path)
    assert (done.code, done.err) == (2, "error: taken: File exists\n")
    done = await fleet("run", "find-my-cat", cwd=tmp_path)
    assert (done.code, done.err) == (2, "error: unknown scenario 'find-my-cat'\n  Did you mean 'find-my-car'?\n")


@pytest.mark.live
async def test_an_out_of_an_earlier_run_is_kept(tmp_path: Path) -> None:
    """A store is never written over by another run; the message says what to do."""
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "store.sqlite").write_bytes(b"dear data")
    done = await fleet("run", "find-my-car", "--out", "earlier", cwd=tmp_path)
    assert done.code == 2
    assert "is of an earlier run" in done.err
    assert "another --out" in done.err
    assert (tmp_path / "earlier" / "store.sqlite").read_bytes() == b"dear data"


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
    (tmp_path / "t.csv").write_text(f"lat,lon,time\n48,11,0\n{rows}48.01,11,60\n", encoding="utf-8")
    text = (Path(__file__).parents[2] / "scenarios" / "find-my-car.yaml").read_text(encoding="utf-8")
    made = text.replace("    profile: parked\n", "    tracks: {files: [t.csv]}\n")
    path = tmp_path / "followers.yaml"
    path.write_text(made[: made.index("    places:")] + made[made.index("commands:") :], encoding="utf-8")
    done = call("check", str(path))
    assert done.code == 0, done
    assert "left out: t.csv:3: 'no' is no latitude" in done.text.replace(f"{tmp_path}/", "")
    assert "and 10 more rows" in done.text
    assert len(json.loads(call("check", str(path), "--json").out)["left_out"]) == 30


def test_a_run_tells_that_there_are_more_errors(tmp_path: Path) -> None:
    """It stops at the first, and says who gives all."""
    path = tmp_path / "broken.yaml"
    path.write_text("scenario: broken\nduration: 10\nsed: 1\n", encoding="utf-8")
    done = call("run", str(path))
    assert done.code == 2
    assert f"more: fleet check {path}" in done.text


def test_the_live_run_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """A virtual clock, and a broker that is not ours to be killed, are told before anything starts."""
    text = (Path(__file__).parents[2] / "scenarios" / "find-my-car.yaml").read_text(encoding="utf-8")
    path = tmp_path / "outage.yaml"
    path.write_text(text + "timeline: [{at: 5 min, broker: kill}]\n", encoding="utf-8")
    assert "no virtual clock" in call("simulate", str(path), "--broker", "localhost", "--clock", "virtual").text
    for line in (("run", str(path), "--broker", "localhost"), ("simulate", str(path), "--broker", "localhost")):
        done = call(*line)
        assert done.code == 2
        assert "does something to its broker (kill)" in done.text
    path.write_text(text + "timeline: [{at: 5 min, network: {stall: true}}]\n", encoding="utf-8")
    done = call("run", str(path), "--broker", "localhost")
    assert (done.code, "does something to the network" in done.text, "fleet proxy" in done.text) == (2, True, True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("line", ["schema", "schema --json"])
def test_the_schema_is_json(line: str) -> None:
    """It is the schema of scenario files, with or without --json."""
    schema = json.loads(call(*line.split()).out)
    assert schema["title"] == "fleet scenario"
    assert {"fleets", "commands", "expectations"} <= set(schema["properties"])


@pytest.mark.live
def test_help_and_version() -> None:
    """Each command has a help that names its arguments; the version is the package's."""
    assert call("--version").out == f"fleet {__version__}\n"
    for name in ("run", "simulate", "backend", "broker", "cars", "status", "history", "command", "scenarios", "check", "schema"):
        assert call(name, "--help").code == 0
        assert name in call("--help").text


@pytest.mark.live
async def test_python_dash_m_is_the_command_line(tmp_path: Path) -> None:
    """`python -m fleet` does what `fleet` does."""
    done = await fleet("--version", cwd=tmp_path)
    assert (done.code, done.out) == (0, f"fleet {__version__}\n")
