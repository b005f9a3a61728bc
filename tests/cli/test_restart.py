"""A simulator that is killed and started again, as a restart policy does: its cars do nothing twice."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.scenario.loader import load
from tests.cli.lab import Running, fleet, running

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module")]

STREET = """\
scenario: street
purpose: Two cars that are awake, and whom somebody asks something.
seed: 3
start: 2026-03-07T10:00Z
duration: 1 h
clock: real
region: munich
fleets:
  - {name: parked, count: 2, models: {Leon: 1}, profile: parked}
"""


class Stage:
    """A broker, a back end, and a scenario of two cars."""

    def __init__(self, broker: PrivateMosquitto, folder: Path, vin: str) -> None:
        self.broker = broker
        self.folder = folder
        self.vin = vin

    @asynccontextmanager
    async def simulator(self, cars: str, *options: str) -> AsyncIterator[Running]:
        """Start a simulator, and see its cars connected."""
        arguments = ("simulate", "street.yaml", "--broker", cars, "--tools-broker", str(self.broker.tools), *options)
        async with running(
            *arguments, "--secret-file", "secret", "--journal", "cars.jsonl", "--json", cwd=self.folder
        ) as started:
            await started.says('"connections":{"reachable":2}')
            yield started

    async def command(self) -> str:
        """Ask a car for its status; return the id of the command."""
        done = await fleet(
            "command", self.vin, "refresh", "--broker", str(self.broker.tools), "--secret-file",
            "secret", "--json", cwd=self.folder,
        )  # fmt: skip
        assert done.code == 0, done
        return str(json.loads(done.out)["id"])

    def answers(self, command_id: str) -> list[tuple[str, str | None, int]]:
        """Return the answers that the back end has stored: state, reason and boot."""
        with closing(sqlite3.connect(self.folder / "store.sqlite")) as store:
            rows = store.execute("SELECT boot, payload FROM message WHERE kind = 'response' ORDER BY id").fetchall()
        read = [(boot, msgspec.msgpack.decode(payload)) for boot, payload in rows]
        return [(answer["state"], answer.get("reason"), boot) for boot, answer in read if answer["command_id"] == command_id]


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    scenario = folder / "street.yaml"
    scenario.write_text(STREET, encoding="utf-8")
    cars = list(vins(load(scenario, vocabulary())))
    secret = FleetSecret.new()
    secret.write(folder / "secret")
    async with PrivateMosquitto(secret=secret, vins=cars) as broker:
        arguments = (
            "--broker",
            str(broker.tools),
            "--store",
            "store.sqlite",
            "--secret-file",
            "secret",
            "--journal",
            "desk.jsonl",
        )
        async with running("backend", *arguments, cwd=folder) as backend:
            await backend.says("connected")
            yield Stage(broker, folder, cars[0])


async def executed_then_killed(here: Stage, *options: str) -> str:
    """Let a car execute a command whose acknowledgement the broker never gets, and kill the simulator."""
    arguments = ("--listen", "127.0.0.1:0", "--to", str(here.broker.cars), "--rule", "drop PUBACK to_broker", "--json")
    async with running("proxy", *arguments, cwd=here.folder) as proxy:
        await proxy.says("ready")
        address = json.loads(proxy.out.splitlines()[0])["listen"]
        async with here.simulator(f"mqtt://{address}", *options) as first:
            command_id = await here.command()
            journal = here.folder / "cars.jsonl"
            for _ in range(400):  # the journal of a simulator is written each second
                if journal.exists() and b'"state":"succeeded"' in journal.read_bytes():
                    break
                await asyncio.sleep(0.05)
            first.send(signal.SIGKILL)
            await first.done()
    return command_id


async def answered_again(here: Stage, command_id: str) -> tuple[list[tuple[str, str | None]], set[int]]:
    """Wait for the answer of a later boot, and return (state, reason) of all answers, and their boots."""
    for _ in range(400):
        answers = here.answers(command_id)
        if len({boot for _, _, boot in answers}) > 1:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # a second execution would be told in two answers
    answers = here.answers(command_id)
    return [(state, reason) for state, reason, _ in answers], {boot for _, _, boot in answers}


async def test_a_command_is_executed_once_whatever_is_killed(tmp_path: Path) -> None:
    """Its acknowledgement is lost and the simulator killed: the next one's car says again how it ended, and does nothing."""
    async with stage(tmp_path) as here:
        command_id = await executed_then_killed(here)
        async with here.simulator(str(here.broker.cars)):
            answers, boots = await answered_again(here, command_id)
    assert answers == [("accepted", None), ("succeeded", None), ("succeeded", None)]
    assert len(boots) == 2
    done = await fleet("verify", "cars.1.jsonl", "cars.jsonl", "desk.jsonl", cwd=tmp_path)
    assert done.code == 0, done.text
    again = await fleet("reexecute", "cars.jsonl", cwd=tmp_path)
    assert again.code == 0, again.text


async def test_without_a_memory_it_is_refused_with_a_reason(tmp_path: Path) -> None:
    """Whether it was done nobody knows any more, so it is not done, and its user is told so."""
    async with stage(tmp_path) as here:
        command_id = await executed_then_killed(here, "--no-state")
        async with here.simulator(str(here.broker.cars), "--no-state"):
            answers, boots = await answered_again(here, command_id)
            other = await here.command()
    assert answers == [("accepted", None), ("succeeded", None), ("failed", "interrupted")]
    assert len(boots) == 2
    assert here.answers(other)[-1][0] == "succeeded"
    assert not (tmp_path / "fleet-state").exists()
    done = await fleet("verify", "cars.1.jsonl", "cars.jsonl", "desk.jsonl", cwd=tmp_path)
    assert done.code == 0, done.text


async def test_a_second_execution_is_seen_by_verify(tmp_path: Path) -> None:
    """In the journal of the back end, which lives on, and in those of the simulators together."""
    async with stage(tmp_path) as here:
        command_id = await executed_then_killed(here)
        shutil.rmtree(tmp_path / "fleet-state")
        async with here.simulator(str(here.broker.cars)):
            answers, _ = await answered_again(here, command_id)
    assert answers == [("accepted", None), ("succeeded", None)] * 2
    for journals in (("desk.jsonl",), ("cars.1.jsonl", "cars.jsonl")):
        done = await fleet("verify", *journals, cwd=tmp_path)
        assert done.code == 1, done.text
        assert "executed once" in done.text
        assert f"command {command_id} of {here.vin} expected one execution, but boot" in done.text
    assert (await fleet("verify", "cars.jsonl", cwd=tmp_path)).code == 0
