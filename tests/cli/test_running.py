"""The command line from end to end: whole runs as processes, with a private Mosquitto each."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fleet.backend.sqlite_store import SqliteStore
from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto, free_port
from fleet.scenario.loader import load
from tests.cli.lab import Done, Running, alive, children_of, fleet, is_command, running, wait_until_gone

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module")]

REPORT_KEYS = {
    "schema", "verdict", "reason", "seed", "scenario", "version", "machine", "cars", "connected", "created", "published",
    "acknowledged", "stored", "in_outbox", "dropped", "quarantined", "refused", "lost", "duplicates", "commands", "latency_ms",
    "expectations", "generator",
}  # fmt: skip
SPIN, OTHER_SPIN, WRONG_SPIN = "4719", "0000", "9361"
STREET = """\
scenario: street
purpose: Cars of two kinds that stand in a street, and nobody who commands them.
seed: 3
start: 2026-03-07T10:00Z
duration: {duration}
clock: {clock}
region: munich
fleets:
  - name: heated
    count: 6
    models: {{Leon: 1}}
    energies: {{Leon: {{petrol: 1}}}}
    equipment: {{parking_heater: true}}
    profile: parked
    places: {{parked_at: {{latitude: 48.1374, longitude: 11.5755, spread: 100 m}}}}
  - name: electric
    count: 2
    models: {{Born: 1}}
    profile: parked
    places: {{parked_at: {{latitude: 48.1374, longitude: 11.5755, spread: 100 m}}}}
{more}
"""


ONE_MODEL = """\
scenario: one-model
purpose: Eight parked cars of one model, asked for their status.
seed: 3
start: 2026-03-07T10:00Z
duration: 4 min
clock: x60
region: munich
fleets:
  - {{name: parked, count: 8, models: {{{model}: 1}}, profile: parked}}
commands: [{{name: refresh, count: 30}}]
"""


def street(folder: Path, *, duration: str = "1 h", clock: str = "real", more: str = "") -> Path:
    path = folder / "street.yaml"
    path.write_text(STREET.format(duration=duration, clock=clock, more=more), encoding="utf-8")
    return path


def vins_of(scenario: Path) -> list[str]:
    return vins(load(scenario, vocabulary()))


def is_mosquitto(pid: int) -> bool:
    """Tell whether a process is a Mosquitto; the launcher it begins as becomes one."""
    return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "mosquitto"


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def rows(store: Path) -> int:
    with sqlite3.connect(store) as connection:
        (count,) = connection.execute("SELECT count(*) FROM message").fetchone()
    connection.close()
    return int(count)


class TestARun:
    @pytest.mark.alone
    async def test_find_my_car(self, tmp_path: Path) -> None:
        """It passes, its account is the store's, all is in the folder, and the line it ends with works as it is."""
        done = await fleet("run", "find-my-car", "--cars", "20", "--clock", "x300", "--out", "out", cwd=tmp_path)
        assert (done.code, done.err) == (0, ""), done
        report = report_of(tmp_path / "out")
        assert set(report) >= REPORT_KEYS
        assert (report["schema"], report["verdict"], report["cars"]) == ("fleet-report/1", "passed", 20)
        assert report["stored"] == rows(tmp_path / "out" / "store.sqlite") == report["created"] > 200
        assert report["lost"] == report["duplicates"] == 0
        assert report["commands"]["total"] == 10 * 20
        assert report["latency_ms"]["command_round_trip"]["p99"] > 0
        generator = report["generator"]
        assert set(generator) >= {"cpu_percent", "loop_lag_ms_p99", "late_sends"}
        assert 0 < generator["cpu_percent"] <= generator["cpu_percent_peak"]
        assert 0 < generator["loop_lag_ms_p99"] <= generator["loop_lag_ms_max"]
        assert 20 < generator["memory_mb_peak"] < 1000
        assert report["backend"]["cpu_percent"] > 0
        assert "\ngenerator  CPU " in done.out
        left = {path.name for path in (tmp_path / "out").iterdir()}
        assert {"report.json", "report.md", "store.sqlite"} <= left
        assert not left & {"endpoint.json", "secret"}  # nothing runs any more that they could lead to
        store, line = done.out.splitlines()[-2:]
        assert store.split() == ["store", "out/store.sqlite"]
        following = line.removeprefix("next").split()
        assert following[:2] == ["fleet", "status"]
        status = await fleet(*following[1:], cwd=tmp_path)
        assert (status.code, status.out.splitlines()[0]) == (0, f"vin: {following[2]}")

    async def test_a_scenario_from_a_pipe(self, tmp_path: Path) -> None:
        """It is read once: the simulator is given the resolved scenario."""
        text = street(tmp_path, duration="10 min", clock="x600").read_text(encoding="utf-8")
        os.mkfifo(tmp_path / "pipe")
        writing = asyncio.create_task(asyncio.to_thread((tmp_path / "pipe").write_text, text, encoding="utf-8"))
        done = await fleet("run", "pipe", "--set", "cars=4", "--out", "run", cwd=tmp_path)
        await writing
        assert done.code == 0, done
        report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
        assert (report["cars"], report["scenario"]) == (4, "street")

    async def test_runs_are_found_without_their_names(self, tmp_path: Path) -> None:
        """Without --out the folder is named after scenario and time, and the tools look at the latest; --json is all JSON."""
        scenario = street(tmp_path, duration="1 min", clock="x60")
        first, second = [await fleet("run", scenario, "--json", cwd=tmp_path) for _ in range(2)]
        assert json.loads(first.out)["verdict"] == json.loads(second.out)["verdict"] == "passed"
        folders = sorted(path.name for path in (tmp_path / "runs").iterdir() if not path.is_symlink())
        assert (tmp_path / "runs" / "latest").resolve().name == folders[-1]
        assert all(re.fullmatch(r"street-\d{8}-\d{6}", name) for name in folders)
        listed = await fleet("cars", "--json", cwd=tmp_path)
        assert len(json.loads(listed.out)) == 8

    async def test_an_expectation_that_is_not_met(self, tmp_path: Path) -> None:
        """Exit code 1, the expectation with its value, and the broker's log in the folder."""
        scenario = street(tmp_path, duration="1 min", clock="x60", more="expectations: [lost == 0, cars >= 100]")
        done = await fleet("run", scenario, "--out", "out", cwd=tmp_path)
        assert done.code == 1
        assert "failed: not met: cars >= 100" in done.out
        assert "(it was 8" in done.out
        assert report_of(tmp_path / "out")["verdict"] == "failed"
        assert (tmp_path / "out" / "mosquitto.log").stat().st_size > 0

    @pytest.mark.alone
    async def test_a_simulator_that_gets_no_cpu(self, tmp_path: Path) -> None:
        """Frozen in mid-run it cannot notice, but the report does: invalid, exit code 3, and advice that fits."""
        scenario = street(tmp_path, duration="10 min", clock="x60", more="commands: [{name: refresh, count: 100}]")
        store = tmp_path / "out" / "store.sqlite"
        async with running("run", scenario, "--out", "out", cwd=tmp_path) as run:
            await run.says("online")
            await run.wait_for("a stored message", lambda: store.exists() and rows(store) > 0)
            (simulator,) = [pid for pid in children_of(run.process.pid) if is_command(pid, "simulate")]
            os.kill(simulator, signal.SIGSTOP)
            await asyncio.sleep(2.0)  # nothing to wait for: so long it is frozen
            os.kill(simulator, signal.SIGCONT)
            done = await run.done()
        assert done.code == 3, done
        report = report_of(tmp_path / "out")
        assert report["verdict"] == "invalid"
        assert report["reason"].startswith("the simulator's loop turned ")
        assert "the machine was busy with other things" in report["reason"]
        assert 1500 < report["generator"]["loop_lag_ms_p99"] <= report["generator"]["loop_lag_ms_max"]
        assert report["generator"]["late_sends"] > 0
        assert report["lost"] == 0

    async def test_an_interrupt_ends_it_with_a_report(self, tmp_path: Path) -> None:
        """Ctrl-C, even twice: exit code 130, the report of what ran, all processes gone, and the store is whole."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.says("online")
            started = children_of(run.process.pid)
            assert len(started) == 3  # broker, back end, simulator
            run.send(signal.SIGINT)
            run.send(signal.SIGINT)
            done = await run.done()
        assert done.code == 130, done
        report = report_of(tmp_path / "out")
        assert report["verdict"] == "interrupted"
        assert report["lost"] == 0
        assert report["stored"] == rows(tmp_path / "out" / "store.sqlite")
        assert "Traceback" not in done.text
        assert alive(started) == []

    async def test_an_interrupt_while_it_starts(self, tmp_path: Path) -> None:
        """Whenever it comes, nothing stays behind, and the exit code is 130; here while the back end starts."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.wait_for("broker and back end", lambda: len(children_of(run.process.pid)) >= 2)
            started = children_of(run.process.pid)
            run.send(signal.SIGINT)
            done = await run.done()
        assert done.code == 130, done
        assert "interrupted" in done.text
        assert "Traceback" not in done.text
        assert alive(started) == []

    async def test_the_death_of_its_back_end(self, tmp_path: Path) -> None:
        """Told in words, a report of what ran with verdict invalid, exit code 3, no traceback, no orphans."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.says("online")
            started = children_of(run.process.pid)
            (backend,) = [pid for pid in started if is_command(pid, "backend")]
            os.kill(backend, signal.SIGKILL)
            done = await run.done()
        assert done.code == 3
        assert "error: the backend was killed by SIGKILL" in done.out
        report = report_of(tmp_path / "out")
        assert report["verdict"] == "invalid"
        assert report["reason"].startswith("the backend was killed by SIGKILL")
        assert "Traceback" not in done.text
        assert alive(started) == []

    async def test_the_death_of_its_simulator(self, tmp_path: Path) -> None:
        """Told in words, a report of what is known with verdict invalid, exit code 3, no orphans; what was stored is counted."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.says("online")
            started = children_of(run.process.pid)
            (simulator,) = [pid for pid in started if is_command(pid, "simulate")]
            os.kill(simulator, signal.SIGKILL)
            done = await run.done()
        assert done.code == 3
        assert "error: the simulator was killed by SIGKILL" in done.out
        report = report_of(tmp_path / "out")
        assert (report["verdict"], report["cars"], report["connected"]) == ("invalid", 8, 8)
        assert report["reason"].startswith("the simulator was killed by SIGKILL")
        assert report["stored"] is not None
        assert (report["lost"], report["in_outbox"], report["expectations"]) == (None, None, [])
        assert any("the simulator's last word is of 2026-03-07T10:" in finding for finding in report["findings"])
        assert "Traceback" not in done.text
        assert alive(started) == []

    @pytest.mark.parametrize("part", ["simulate", "backend"])
    async def test_the_death_of_a_part_that_is_still_starting(self, tmp_path: Path, part: str) -> None:
        """It is no fault of what was asked for: exit code 3 and a report, which says that nothing is known."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:

            def starting() -> list[int]:
                return [pid for pid in children_of(run.process.pid) if is_command(pid, part)]

            await run.wait_for(f"the {part} process", lambda: bool(starting()))
            os.kill(starting()[0], signal.SIGKILL)
            done = await run.done()
        assert done.code == 3, done
        name = {"simulate": "simulator"}.get(part, part)
        report = report_of(tmp_path / "out")
        assert report["reason"].startswith(f"the {name} was killed by SIGKILL")
        assert (report["verdict"], report["created"], report["lost"]) == ("invalid", 0, None)
        assert "the run broke before the simulator told anything of its cars" in report["findings"][-1]

    @pytest.mark.parametrize("when", ["starting", "living"])
    async def test_the_death_of_its_broker(self, tmp_path: Path, when: str) -> None:
        """Not by a step of the scenario: it is named with how it ended, and nothing is said of client ids and topic prefixes."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.says("broker: private Mosquitto" if when == "starting" else "online")
            started = children_of(run.process.pid)
            (broker,) = [pid for pid in started if is_mosquitto(pid)]
            os.kill(broker, signal.SIGKILL)
            done = await run.done()
        assert done.code == 3, done
        assert "error: the private broker was killed by SIGKILL during the run" in done.out
        report = report_of(tmp_path / "out")
        assert report["verdict"] == "invalid"
        assert report["reason"].startswith("the private broker was killed by SIGKILL during the run")
        assert not any("client id" in finding or "--topic-prefix" in finding for finding in report["findings"])
        assert "--topic-prefix" not in done.text
        assert alive(started) == []

    async def test_its_own_death_leaves_nothing_running(self, tmp_path: Path) -> None:
        """Killed with -9 it can end nobody; broker, back end and simulator end by themselves."""
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.says("online")
            started = children_of(run.process.pid)
            run.send(signal.SIGKILL)
            await wait_until_gone(started)
            assert (await run.done()).code == -signal.SIGKILL

    async def test_a_reader_that_has_seen_enough(self, tmp_path: Path) -> None:
        """`fleet run … | head -1` goes on to its report, and its exit code is that of its verdict."""
        async with running("run", street(tmp_path, duration="5 min", clock="x60"), "--out", "out", cwd=tmp_path) as run:
            await run.says("broker: private Mosquitto")
            await run.stop_reading()
            done = await run.done()
        assert done.code == 0, done
        assert report_of(tmp_path / "out")["verdict"] == "passed"
        assert done.err == ""

    async def test_a_terminal_that_is_closed(self, tmp_path: Path) -> None:
        """SIGHUP ends it as SIGTERM does: with the report, and neither processes nor the secret stay behind."""
        inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests themselves run under nohup
        async with running("run", street(tmp_path), "--out", "out", cwd=tmp_path) as run:
            await run.says("online")
            signal.signal(signal.SIGHUP, inherited)
            started = children_of(run.process.pid)
            run.send(signal.SIGHUP)
            done = await run.done()
        assert done.code == 130, done
        assert report_of(tmp_path / "out")["verdict"] == "interrupted"
        assert not {"secret", "endpoint.json"} & {file.name for file in (tmp_path / "out").iterdir()}
        assert alive(started) == []

    async def test_stores_that_cannot_be_used(self, tmp_path: Path) -> None:
        """A folder in its place, a missing folder, another's file, a newer version: told in words, exit code 2."""
        (tmp_path / "folder.sqlite").mkdir()
        (tmp_path / "text.sqlite").write_text("no database, but something dear to somebody", encoding="utf-8")
        SqliteStore(tmp_path / "newer.sqlite", created_by="a fleet of the future").close()
        with sqlite3.connect(tmp_path / "newer.sqlite") as connection:
            connection.execute("PRAGMA user_version = 999")
        connection.close()
        stores = {
            "folder.sqlite": "folder.sqlite", "missing/store.sqlite": "the folder missing does not exist",
            "text.sqlite": "is not a database", "newer.sqlite": "has schema version 999",
        }  # fmt: skip
        ends = await asyncio.gather(
            *(fleet("backend", "--broker", "127.0.0.1:9", "--store", store, cwd=tmp_path) for store in stores)
        )
        for done, told in zip(ends, stores.values(), strict=True):
            assert done.code == 2, done
            assert told in done.err
            assert "Traceback" not in done.text


class TestForeignBrokers:
    """With --broker URL: what is wrong there is told in words, and quickly."""

    async def test_nobody_is_there(self, tmp_path: Path) -> None:
        """Refused at once, though each part alone would go on trying."""
        port = free_port("127.0.0.1")
        done = await fleet("run", street(tmp_path), "--broker", f"mqtt://127.0.0.1:{port}", cwd=tmp_path)
        assert done.code == 2
        assert done.err.startswith(f"error: no connection to 127.0.0.1:{port}: Connection refused\n")

    async def test_a_wrong_password(self, tmp_path: Path) -> None:
        """The broker's refusal with its reason, for the back end and for cars."""
        async with PrivateMosquitto(secret=FleetSecret.new()) as broker:
            whole, cars = await asyncio.gather(
                fleet("run", street(tmp_path), "--broker", str(broker.tools), "--out", "out", cwd=tmp_path),
                fleet("simulate", street(tmp_path), "--broker", str(broker.cars), "--no-backend", cwd=tmp_path),
            )
        for done in (whole, cars):
            assert done.code == 2, done
            assert "Not authorized (0x87)" in done.err
            assert "password right" in done.err
            assert "Traceback" not in done.text

    async def test_two_runs_share_it_and_leave_it_clean(self, tmp_path: Path) -> None:
        """Each has a session of its own, loses nothing to the other, and leaves neither presence nor session behind."""
        secret = FleetSecret.new()
        secret.write(tmp_path / "secret")
        scenarios = {model: tmp_path / f"{model}.yaml" for model in ("Leon", "Born")}
        for model, file in scenarios.items():
            file.write_text(ONE_MODEL.format(model=model), encoding="utf-8")
        everybody = [vin for scenario in scenarios.values() for vin in vins_of(scenario)]
        async with PrivateMosquitto(secret=secret, vins=everybody) as broker:
            ends = await asyncio.gather(
                *(
                    fleet(
                        "run", scenario, "--broker", str(broker.tools), "--secret-file", "secret", "--out", f"out-{model}",
                        cwd=tmp_path,
                    )
                    for model, scenario in scenarios.items()
                )
            )  # fmt: skip
            await broker.stop()  # writes down the sessions and the retained messages there are
            kept = (broker.folder / "mosquitto.db").read_bytes()
        for model, done in zip(scenarios, ends, strict=True):
            assert done.code == 0, done
            report = report_of(tmp_path / f"out-{model}")
            assert report["lost"] == 0
            assert report["stored"] == report["created"] > 30
            assert report["statuses_asked"] > 0
        assert b"backend-" not in kept
        assert not any(vin.encode() in kept for vin in everybody)

    async def test_a_publish_that_is_refused(self, tmp_path: Path) -> None:
        """An access control without the cars' status: counted as refused, told once, and the account holds."""
        scenario = street(tmp_path, duration="4 min", clock="x60", more="commands: [{name: refresh, count: 12}]")
        secret = FleetSecret.new()
        secret.write(tmp_path / "secret")
        async with PrivateMosquitto(secret=secret, vins=vins_of(scenario)) as broker:
            acl = broker.folder / "acl"
            acl.write_text(acl.read_text("utf-8").replace("pattern write fleet/v1/%u/status\n", ""), encoding="utf-8")
            await broker.stop()
            await broker.start()
            async with running(
                "backend", "--broker", str(broker.tools), "--store", "store.sqlite", "--secret-file", "secret", cwd=tmp_path
            ) as backend:
                await backend.says("connected")
                done = await fleet(
                    "simulate", scenario, "--broker", str(broker.cars), "--tools-broker", str(broker.tools),
                    "--secret-file", "secret", "--json", cwd=tmp_path,
                )  # fmt: skip
                backend.send(signal.SIGTERM)
                assert (await backend.done()).code == 0
        assert done.code == 0, done
        result = json.loads(done.out.splitlines()[-1])
        account = result["account"]
        refused = {name: count for name, count in result["refusals"].items() if name.startswith("Not authorized")}
        assert account["refused"] == sum(refused.values()) > 0
        assert account["created"] == account["acknowledged"] + account["refused"] + account["in_outbox"]
        assert account["acknowledged"] == rows(tmp_path / "store.sqlite")
        assert done.err.count("publish refused") == 1
        assert "access control" in done.err


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder Mosquitto's user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


class TestPartsAlone:
    async def test_three_processes_and_a_secret_file(self, open_folder: Path) -> None:
        """Broker, back end and simulator find each other by address and FLEET_SECRET_FILE, and each ends on SIGTERM with 0."""
        here = open_folder
        scenario = street(here, duration="2 min", clock="x60", more="commands: [{name: refresh, count: 5}]")
        cars, tools = free_port("127.0.0.1"), free_port("127.0.0.1")
        async with running(
            "broker", "--scenario", scenario, "--port", str(cars), "--tools-port", str(tools), "--dir", "mosquitto", cwd=here
        ) as broker:
            await broker.says("FLEET_SECRET_FILE=")
            name, _, value = broker.out.decode().split()[-1].partition("=")
            secret = {name: value}
            async with running(
                "backend", "--broker", f"127.0.0.1:{tools}", "--store", "store.sqlite", cwd=here, **secret
            ) as backend:
                await backend.says("connected, storing")
                where = ["--broker", f"mqtt://127.0.0.1:{cars}", "--tools-broker", f"mqtt://127.0.0.1:{tools}"]
                simulated = await fleet("simulate", scenario, *where, cwd=here, **secret)
                assert simulated.code == 0, simulated
                assert "8 cars" in simulated.out
                endless = street(here)
                async with running("simulate", endless, *where, cwd=here, **secret) as simulator:
                    await simulator.says("online")
                    simulator.send(signal.SIGTERM)
                    assert (await simulator.done()).code == 0
                backend.send(signal.SIGTERM)
                stopped = await backend.done()
                assert (stopped.code, stopped.err) == (0, "")
                assert " stored, 0 duplicates, 0 quarantined" in stopped.out
            broker.send(signal.SIGTERM)
            assert (await broker.done()).code == 0
        assert rows(here / "store.sqlite") > 0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The working folder of a user, with a fleet of eight sleeping cars running."""
    folder = tmp_path_factory.mktemp("street")
    async with running("run", street(folder), "--out", "out", cwd=folder) as run:
        await run.says("asleep 8")
        yield folder
        run.send(signal.SIGINT)
        done = await run.done()
        assert done.code == 130, done
        _leaves_no_spin(run, folder)


@pytest.mark.xdist_group("street")  # one fleet for all
class TestCommands:
    """`fleet command` and its like beside a fleet that runs at the real clock."""

    async def test_a_users_story(self, folder: Path) -> None:
        """Each outcome with its reason; exit code 0 for success only. Most cars must wake first, so all goes on at once."""
        heated, electric = vins_of(folder / "street.yaml")[:6], vins_of(folder / "street.yaml")[6:]
        await asyncio.gather(
            self.honk_twice(folder, heated[0]),
            self.honk_from_afar(folder, heated[1]),
            self.lock(folder, heated[2]),
            self.heat(folder, heated[3]),
            self.heat_in_vain(folder, electric[0]),
            self.look(folder, heated[4]),
            self.be_served(folder, heated[5]),
        )

    async def ask(self, folder: Path, *line: str) -> Done:
        done = await fleet(*line, cwd=folder, FLEET_STORE="out/store.sqlite")
        assert not any(spin in done.text for spin in (SPIN, WRONG_SPIN))
        assert "Traceback" not in done.text
        return done

    async def command(self, folder: Path, vin: str, *line: str) -> tuple[int, str]:
        """Return exit code and outcome, such as `rejected(busy)`."""
        done = await self.ask(folder, "command", vin, *line)
        return done.code, done.out.splitlines()[-1].split()[1].rstrip(":") if done.out else done.err

    async def honk_twice(self, folder: Path, vin: str) -> None:
        """Two users at once: one is served, the other is told that the car is busy."""
        near = ("honk", "--mode", "flash", "--from", "48.1374,11.5755")
        outcomes = await asyncio.gather(*(self.command(folder, vin, *near) for _ in range(2)))
        assert sorted(outcomes) == [(0, "succeeded"), (1, "rejected(busy)")]

    async def honk_from_afar(self, folder: Path, vin: str) -> None:
        assert await self.command(folder, vin, "honk", "--from", "48.2374,11.5755") == (1, "rejected(too_far)")

    async def lock(self, folder: Path, vin: str) -> None:
        """Without, with wrong S-PINs until locked; set anew by the user it unlocks, and the car obeys."""
        assert await self.command(folder, vin, "lock") == (1, "rejected(spin_required)")
        assert (await self.ask(folder, "user", "set-spin", vin, "--spin", SPIN)).code == 0
        tries = [await self.command(folder, vin, "lock", "--spin", WRONG_SPIN) for _ in range(3)]
        assert [outcome for _, outcome in tries[:2]] == ["rejected(spin_wrong)"] * 2
        assert await self.command(folder, vin, "lock", "--spin", SPIN) == (1, "rejected(spin_locked)")
        answer = await self.ask(folder, "user", "set-spin", vin, "--spin", OTHER_SPIN, "--json")
        assert (answer.code, json.loads(answer.out)["state"]) == (0, "succeeded")
        assert await self.command(folder, vin, "lock", "--spin", OTHER_SPIN) == (0, "succeeded")

    async def heat(self, folder: Path, vin: str) -> None:
        """25 minutes are none of its steps, 30 are."""
        assert (await self.ask(folder, "user", "set-spin", vin, "--spin", SPIN)).code == 0
        rejected = await self.command(folder, vin, "heater", "--minutes", "25", "--spin", SPIN)
        assert rejected == (1, "rejected(argument_out_of_range)")
        assert await self.command(folder, vin, "heater", "--minutes", "30", "--spin", SPIN) == (0, "succeeded")

    async def heat_in_vain(self, folder: Path, vin: str) -> None:
        """An electric car has no parking heater."""
        assert (await self.ask(folder, "user", "set-spin", vin, "--spin", SPIN)).code == 0
        outcome = await self.command(folder, vin, "heater", "--minutes", "30", "--spin", SPIN)
        assert outcome == (1, "rejected(not_equipped)")

    async def look(self, folder: Path, vin: str) -> None:
        """A refresh brings a whole status, which status and history then show."""
        refreshed = await self.ask(folder, "command", vin, "refresh", "--json")
        assert (refreshed.code, json.loads(refreshed.out)["state"]) == (0, "succeeded")
        status = json.loads((await self.ask(folder, "status", vin, "--json")).out)
        assert status["vin"] == vin
        shown = await self.ask(folder, "status", vin)
        assert "mileage_km: " in shown.out
        history = json.loads((await self.ask(folder, "history", vin, "--json", "--kind", "status")).out)
        assert [row["trigger"] for row in history] == ["refresh"]
        assert "refresh" in (await self.ask(folder, "history", vin)).out
        assert vin in (await self.ask(folder, "cars")).out

    async def be_served(self, folder: Path, vin: str) -> None:
        """What a service did it shows, what it refuses has its reason, and nobody was told anything so far."""
        assert (await self.ask(folder, "service", "online", "set_holder", vin, "name=Anna Weiss")).code == 0
        done = await self.ask(folder, "service", "online", "install_certificate", vin, "contract=C-1", "--user", "guest")
        assert (done.code, done.out.partition(":")[0]) == (1, "online install_certificate rejected(insufficient_rights)")
        shown = await self.ask(folder, "service", "online", "show", vin, "--json")
        answer = json.loads(shown.out)
        assert (answer["state"], answer["data"]) == ("succeeded", {"certificate": False, "enrolled": True})
        assert json.loads((await self.ask(folder, "notices", vin, "--json")).out) == []
        assert "VIN" in (await self.ask(folder, "notices")).out

    async def test_a_car_nobody_knows(self, folder: Path) -> None:
        """A right VIN of no car of this fleet is refused by the desk, and not looked for in vain."""
        code, outcome = await self.command(folder, "VSSZZZKMZTP999999", "refresh")
        assert (code, outcome.startswith("rejected(")) == (1, True)
        shown = await self.ask(folder, "service", "online", "show", "VSSZZZKMZTP999999")
        assert (shown.code, shown.out.partition(":")[0]) == (1, "online show rejected(unknown_vin)")
        assert "fleet cars lists those that are known" in shown.out
        done = await self.ask(folder, "status", "VSSZZZKMZTP999999")
        assert (done.code, "nothing is stored of" in done.err) == (2, True)


def _leaves_no_spin(run: Running, folder: Path) -> None:
    """No file of the run and nothing that it printed holds an S-PIN."""
    pattern = re.compile(rb"(?<![0-9a-fA-F.])(%s)(?![0-9a-fA-F.])" % b"|".join(s.encode() for s in (SPIN, WRONG_SPIN)))
    for path in (folder / "out").rglob("*"):
        assert not pattern.search(path.read_bytes()), path
    assert not pattern.search(run.out + run.err)
