"""Runs on the embedded broker, and that broker by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.runtime import mosquitto
from tests.cli.lab import call, fleet, running
from tests.cli.test_running import report_of, street

pytestmark = pytest.mark.live


async def test_a_run_on_it(tmp_path: Path) -> None:
    """It says on which broker it is, loses nothing, and leaves the broker's log where something failed."""
    scenario = street(tmp_path, duration="1 min", clock="x60", more="expectations: [lost == 0, cars >= 100]")
    done = await fleet("run", scenario, "--broker", "embedded", "--out", "out", cwd=tmp_path)
    assert done.code == 1, done
    assert "broker: the embedded one on mqtt://127.0.0.1:" in done.out
    assert (tmp_path / "out" / "broker.log").exists()
    report = report_of(tmp_path / "out")
    assert (report["verdict"], report["lost"]) == ("failed", 0)


def test_without_a_mosquitto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is installed a run takes it by itself, and says so in one line."""
    monkeypatch.setattr(mosquitto, "_EXTRA_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call("run", str(street(tmp_path, duration="1 min", clock="x60")), "--out", str(tmp_path / "out"))
    assert done.code == 0, done
    assert "broker: no Mosquitto is installed, so it is the embedded one on mqtt://127.0.0.1:" in done.out
    assert report_of(tmp_path / "out")["verdict"] == "passed"


async def test_a_broker_that_is_stopped_and_started(tmp_path: Path) -> None:
    """Steps of a scenario do to it what they do to a Mosquitto: cars come back, and nothing is lost."""
    steps = "timeline: [{at: 1 min, broker: stop}, {at: 2 min, broker: start}]\ncommands: [{name: refresh, count: 20}]\n"
    steps += "expectations: [lost == 0, stored >= 10, connected == 8]"
    scenario = street(tmp_path, duration="10 min", clock="x60", more=steps)
    done = await fleet("run", scenario, "--broker", "embedded", "--out", "out", cwd=tmp_path)
    assert done.code == 0, done
    assert "broker: start, as the scenario says" in done.out


async def test_by_hand(tmp_path: Path) -> None:
    """`fleet broker --embedded` says where it listens, and at the end what came."""
    cars, tools = (str(mosquitto.free_port("127.0.0.1")) for _ in range(2))
    async with running("broker", "--embedded", "--anonymous", "--port", cars, "--tools-port", tools, cwd=tmp_path) as run:
        await run.says(f"the embedded broker listens on mqtt://127.0.0.1:{cars} (cars)")
        run.process.terminate()
        done = await run.done()
    assert done.code == 0, done
    assert "0 connections" in done.out
    assert (tmp_path / "fleet-broker" / "sessions").exists()


async def test_virtual_time_has_a_broker_of_its_own(tmp_path: Path) -> None:
    done = await fleet("run", "rush-hour", "--clock", "virtual", "--broker", "embedded", cwd=tmp_path)
    assert done.code == 2
    assert "--broker has no effect" in done.text


@pytest.mark.parametrize("option", ["--anonymous", "--cert-dir=certs", "--need-certificates"])
async def test_options_that_would_change_nothing(option: str, tmp_path: Path) -> None:
    done = await fleet("broker", option, cwd=tmp_path)
    assert done.code == 2
    assert "has no effect" in done.text
