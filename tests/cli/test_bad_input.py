"""What is wrong on the command line is told in words, with the nearest right one, and ends with exit code 2."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fleet import __version__
from fleet.cli.common import FILE_HINTS, about_file, complain
from fleet.errors import ScenarioError
from fleet.runtime.mosquitto import free_port
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.scalars import ClockFactor
from tests.cli.lab import call, clean_environment, fleet
from tests.runtime.pure_lab import scenario
from tests.runtime.test_virtual_stage import Quiet

VIN = "VSSZZZKMZPR000001"


GOOD_SCENARIO = """
scenario: piped
purpose: to be read from anywhere
seed: 1
start: 2026-03-02T05:00
duration: 1 h
region: munich
fleets:
  - {name: cars, count: 2, models: {Leon: 1}}
"""


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
        ("run rush-hour --cars 100000000", "at most 1000000 are expected"),
        (f"run rush-hour --cars {10**23}", "at most 1000000 are expected"),
        ("run rush-hour --set cars=100000000", "at most 1000000 are expected"),
        ("run rush-hour --clock virtual --cars 1000000", "at most 250000 are expected, with 4 fleets"),
        (f"run rush-hour --seed {10**23}", "less than or equal to 9223372036854775807"),
        (f"cars --limit {10**23}", "less than or equal to 1000000000"),
        (f"history {VIN} --limit {10**23}", "less than or equal to 1000000000"),
        (f"notices --limit {10**23}", "less than or equal to 1000000000"),
        (f"proxy --to localhost:1 --seed {10**23}", "less than or equal to 9223372036854775807"),
        (f"backend --broker mqtt://localhost --spin-cost {10**23}", "no usable cost"),
        (f"command {VIN} heater --minutes {10**23}", "less than or equal to 1000000"),
        (f"command {VIN} refresh --ttl nan", "--ttl"),
        (f"command {VIN} refresh --ttl 1e400", "--ttl"),
        ("run rush-hour --seed -1", "greater than or equal to 0"),
        ("run rush-hour --clock fast", "'real', 'virtual', or 'x60'"),
        ("run rush-hour --clock x0", "out of range"),
        ("run rush-hour --clock x1000000", "x0.001 to x100000"),
        ("run rush-hour --clock x0.0000001", "x0.001 to x100000"),
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
        ("broker --port 1883 --tools-port 1883", "--port and --tools-port are both 1883"),
        ("cars", "Run a scenario first"),
        ("cars --limit 0", "--limit"),
        ("cars --store none.sqlite", "no store at none.sqlite"),
        ("status VIN", "3 characters instead of 17"),
        ("status VSSZZZKMZPR00000I", "it holds 'I'"),
        ("history vsszzzkmzpr00000i", "A-Z and 0-9"),
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
        (f"command {VIN} refresh --spin -", "--spin has no effect: refresh needs no S-PIN"),
        (f"user set-spin {VIN} --spin 1234", "no fleet is running"),
        ("notices", "Run a scenario first"),
        ("notices VIN", "3 characters instead of 17"),
        ("service onlin", "Did you mean 'online'"),
        ("service online show VIN", "3 characters instead of 17"),
        (f"service online show {VIN} name", "neither a VIN in the first place nor KEY=VALUE"),
        (f"service online show {VIN} name=a", "takes no parameters"),
        (f"service online set_holder {VIN} name=a name=b", "given twice"),
        (f"service online show {VIN}", "no fleet is running"),
        (f"service onlien show {VIN}", "Did you mean 'online'?"),
        (f"service online shwo {VIN}", "unknown action of online 'shwo' Did you mean 'show'?"),
        ("verify none.jsonl", "there is no journal at none.jsonl `fleet run` leaves one"),
        ("reexecute none.jsonl", "there is no journal at none.jsonl `fleet run` leaves one"),
        ("clean none.yaml --broker localhost", "no such file"),
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
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD_SCENARIO.replace("Leon: 1", "Tavaskan: 1").replace("duration: 1 h", "duration: soon"), encoding="utf-8")
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
    hint = "There is a file of that name, and a folder is needed: name another."
    assert (done.code, done.err) == (2, f"error: taken: File exists\n  {hint}\n")
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


def test_a_run_tells_that_there_are_more_errors(tmp_path: Path) -> None:
    """It stops at the first, and says who gives all."""
    path = tmp_path / "broken.yaml"
    path.write_text("scenario: broken\nduration: 10\nsed: 1\n", encoding="utf-8")
    done = call("run", str(path))
    assert done.code == 2
    assert f"more: fleet check {path}" in done.text


def test_the_live_run_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """A virtual clock, and a broker that is not ours to be killed, are told before anything starts."""
    path = tmp_path / "outage.yaml"
    path.write_text(GOOD_SCENARIO + "timeline: [{at: 5 min, broker: kill}]\n", encoding="utf-8")
    assert "cannot have a virtual clock" in call("simulate", str(path), "--broker", "localhost", "--clock", "virtual").text
    for line in (("run", str(path), "--broker", "localhost"), ("simulate", str(path), "--broker", "localhost")):
        done = call(*line)
        assert done.code == 2
        assert "does something to its broker (kill)" in done.text
    path.write_text(GOOD_SCENARIO + "timeline: [{at: 5 min, network: {stall: true}}]\n", encoding="utf-8")
    done = call("run", str(path), "--broker", "localhost")
    assert (done.code, "does something to the network" in done.text, "fleet proxy" in done.text) == (2, True, True)
    assert not (tmp_path / "runs").exists()


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


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    """With the file in it that may be meant: scenarios, stores and journals."""
    for name in ("days/mine.yaml", "run/store.sqlite", "run/journal.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "rush-hour").mkdir()
    (tmp_path / "bare").mkdir()
    for line, told in [
        ("check days", "days is a folder, and a scenario is one file Name a file in it, such as days/mine.yaml."),
        ("run bare", "bare is a folder, and a scenario is one file `fleet scenarios` lists"),
        ("broker --scenario days", "days is a folder"),
        ("simulate days --broker localhost", "days is a folder"),
        ("clean days --broker localhost", "days is a folder"),
        ("cars --store run", "run is a folder, and a store is one file Is run/store.sqlite the one you mean?"),
        (f"history {VIN} --store run", "run is a folder"),
        ("verify days", "there is no journal at days"),
        ("reexecute bare", "there is no journal at bare"),
        ("verify run", "this is no journal"),
    ]:
        done = call(*line.split())
        assert (done.code, told in done.text) == (2, True), (line, done)
    assert call("check", "rush-hour").code == 0  # a shipped one comes first


@pytest.mark.parametrize("number", sorted(FILE_HINTS))
def test_what_is_wrong_with_a_file_is_told_with_what_to_do(number: int) -> None:
    error = about_file(OSError(number, os.strerror(number), "there"))
    assert (str(error), len(error.hint) > 20) == (f"there: {os.strerror(number)}", True)


@pytest.mark.live
@pytest.mark.parametrize("command", ["simulate find-my-car", "backend --store new.sqlite"])
async def test_a_journal_that_cannot_be_written_is_told_to_machines_too(command: str, tmp_path: Path) -> None:
    """On standard output, as the last line."""
    line = [*command.split(), "--broker", "mqtt://127.0.0.1:1", "--journal", "nowhere/j"]
    hint = "Is it written rightly? The folder above it must be there already."
    done = await fleet(*line, cwd=tmp_path)
    assert (done.code, done.err) == (2, f"error: nowhere/j: No such file or directory\n  {hint}\n")
    done = await fleet(*line, "--json", cwd=tmp_path)
    told = json.loads(done.out.splitlines()[-1])
    assert (done.code, told["type"], told["text"], told["hint"]) == (2, "failed", "nowhere/j: No such file or directory", hint)
    assert told["error"] == {"kind": "FleetError", "text": told["text"], "hint": hint, "fields": {}}


@pytest.mark.live
async def test_a_run_that_does_not_begin_leaves_nothing(tmp_path: Path) -> None:
    """No empty folder, and the latest run is the one before."""
    refused = ("run", "find-my-car", "--broker", f"mqtt://127.0.0.1:{free_port('127.0.0.1')}")
    done = await fleet(*refused, cwd=tmp_path)
    assert (done.code, "Connection refused" in done.err) == (2, True)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
    assert (await fleet("run", "find-my-car", "--clock", "virtual", "--cars", "6", cwd=tmp_path)).code in {0, 1}
    before = {path.name: path.resolve().name for path in (tmp_path / "runs").iterdir()}
    assert (await fleet(*refused, cwd=tmp_path)).code == 2
    assert {path.name: path.resolve().name for path in (tmp_path / "runs").iterdir()} == before
    assert set(before) == {"latest", before["latest"]}


@pytest.mark.live
async def test_an_s_pin_that_nobody_types_is_told(tmp_path: Path) -> None:
    """Standard input has ended, and there is no terminal."""
    for line in (f"user set-spin {VIN}", f"command {VIN} lock --spin -"):
        done = await fleet(*line.split(), cwd=tmp_path)
        assert done.code == 2, done
        assert done.err.endswith("error: no S-PIN was given\n  Type it at the prompt, or pipe it in: --spin - reads a line.\n")


@pytest.mark.live
async def test_an_s_pin_on_the_command_line_is_warned_of_and_none_is_taken_for_a_user(tmp_path: Path) -> None:
    """Everybody may list processes; and what has the form of an S-PIN is not told again by the error."""
    for line in (f"user set-spin {VIN} --spin 7391", f"command {VIN} lock --spin 7391"):
        done = await fleet(*line.split(), cwd=tmp_path)
        assert "warning: an S-PIN on the command line is seen by all" in done.err
        assert "no fleet is running" in done.err
    for line in (
        f"command {VIN} honk --user 7391 --from 48,11",
        f"user set-spin {VIN} --user 7391",
        "service campaign list --user 7391",
    ):
        done = await fleet(*line.split(), cwd=tmp_path)
        assert done.code == 2
        assert done.err == "error: --user has the form of an S-PIN (4 digits)\n  Name the user; --spin - asks for the S-PIN.\n"


def test_of_a_car_that_nobody_knows_there_are_no_notices(tmp_path: Path) -> None:
    """It is told as by status and history; of a known one there may be none."""
    made = scenario(clock=ClockFactor.parse("virtual"))
    virtual_run(RunConfig(scenario=made, out=tmp_path / "run", journal=False), Quiet()).execute()
    store = ("--store", str(tmp_path / "run" / "store.sqlite"))
    done = call("notices", VIN, *store)
    assert (done.code, done.text) == (2, f"error: nothing is stored of {VIN} fleet cars lists the cars that are known.")
    assert call("notices", VIN, "--json", *store).out == "[]\n"
    known = json.loads(call("cars", "--json", *store).out)[0]["vin"]
    assert call("notices", known, *store).code == 0


@pytest.mark.parametrize("level", ["debgu", "basic_format"])
def test_a_level_that_does_not_exist_is_told(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the variable is for is not lost in silence."""
    monkeypatch.setenv("FLEET_LOG", level)
    done = call("catalogue", "honk")
    assert (done.code, f"unknown level in FLEET_LOG {level!r}" in done.text) == (2, True)
    for right in ("DEBUG", "warn", ""):
        monkeypatch.setenv("FLEET_LOG", right)
        assert call("catalogue", "honk").code == 0


@pytest.mark.live
def test_closed_standard_streams_are_no_end(tmp_path: Path) -> None:
    """As some supervisors start programs: what is wrong is told all the same."""
    line = f"exec {shlex.quote(sys.executable)} -m fleet backend --broker localhost --store . <&-"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: . is a folder\n  Name a file in it, such as fleet.sqlite.\n")


def test_a_simulator_is_given_a_resolved_scenario_or_says_so(tmp_path: Path) -> None:
    """Whoever finds the option of the simulator's parent reads what it takes."""
    command = f"echo {{}} | {sys.executable} -m fleet simulate piped --resolved --broker mqtt://localhost:1 --no-backend"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "--resolved: standard input does not begin with a resolved scenario: Object missing required field" in done.stderr
    assert "leave --resolved out" in done.stderr
