"""The back end is killed with -9 again and again under load: nothing is lost, and nothing is stored twice."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleet.backend.reader import StoreReader
from fleet.runtime.clocks import wall_us
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import Link
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.messages import Command, CommandRequest, DeskRequest, EnrolCar, Event, Response, SetSpin
from tests.lab import VINS, Lab, LiveBroker
from tests.nightly import draws
from tests.recording_owner import RecordingOwner

pytestmark = pytest.mark.live

KILLS = draws(8, 20)
CARS = 4
PER_ROUND = 300
ASKED_PER_ROUND = 25
BOOT = 1_772_000_000_000_000
DIALECT = FleetDialect()


class Process:
    """The back end's process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, store: Path) -> None:
        self._process = process
        self._store = store
        self._said = ""

    async def wait_for_stored(self, count: int) -> None:
        """Return once it says that it has stored so many, this time."""
        await self._wait_for_line(f"{count} stored", lambda line: line.startswith("stored ") and int(line[7:]) >= count)

    async def wait_for_ready(self) -> None:
        await self._wait_for_line("ready", lambda line: line == "ready")

    async def _wait_for_line(self, what: str, is_it: Callable[[str], bool]) -> None:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(30):
                while line := (await self._process.stdout.readline()).decode().strip():
                    self._said = line
                    if is_it(line):
                        return
        except TimeoutError:
            raise AssertionError(f"not {what} within 30 s; {self._findings()}") from None
        raise AssertionError(f"the back end ended by itself; {self._findings()}")

    def _findings(self) -> str:
        """Tell lost messages, quarantined ones and a stalled process apart."""
        with StoreReader(self._store) as reader:
            account = reader.account()
        gaps = {vin: (of_boot.high, of_boot.gaps[:5]) for (vin, _), of_boot in account.boots.items()}
        return (
            f"last said {self._said!r}; stored {account.stored}, duplicates {account.duplicates}, "
            f"quarantined {account.quarantined_by_reason}, high and gaps {gaps}"
        )

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def back_end(store: Path, live: LiveBroker) -> AsyncIterator[Process]:
    tools = live.mosquitto.tools
    arguments = [str(store), tools.host, str(tools.port)]
    environment = {**os.environ, "BACKEND_PASSWORD": live.secret.password_for("backend")}
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.backend.backend_process", *arguments, stdout=asyncio.subprocess.PIPE, env=environment
        ),
        store,
    )
    try:
        yield process
    finally:
        await process.kill()


class Car:
    """Publishes numbered events; the broker's word is waited for at the end."""

    def __init__(self, vin: str, link: Link, owner: RecordingOwner) -> None:
        self.vin = vin
        self.link = link
        self.owner = owner
        self.seq = 0

    def publish(self, count: int) -> None:
        for _ in range(count):
            self.seq += 1
            message = Event(vin=self.vin, boot=BOOT, seq=self.seq, captured_at=self.seq, name="trip", due_wall_us=wall_us())
            self.link.publish(DIALECT.from_car(message), self.seq)

    async def wait_until_taken(self) -> None:
        await self.owner.wait_for("acknowledgement of all", lambda: len(self.owner.outcomes) == self.seq, 30)
        assert all(error is None for _, error in self.owner.outcomes)


@pytest.fixture
async def lab(own_broker: LiveBroker) -> AsyncIterator[Lab]:
    lab = Lab(own_broker, aiomqtt_links)
    yield lab
    await lab.close()


def rows(store: Path) -> tuple[int, int]:
    with sqlite3.connect(store) as connection:
        found: tuple[int, int] = connection.execute(
            "SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT vin, boot, seq FROM message)) FROM message"
        ).fetchone()
    connection.close()
    return found


@pytest.mark.random
async def test_killed_again_and_again_nothing_lost_nothing_twice(lab: Lab, own_broker: LiveBroker, tmp_path: Path) -> None:
    """Every message the broker took is one row, whenever the process dies between arrival, commit and acknowledgement."""
    store = tmp_path / "fleet.sqlite"
    async with back_end(store, own_broker) as process:
        await process.wait_for_ready()  # from now on the broker keeps a session
    cars = [Car(vin, *await lab.car_up(vin)) for vin in VINS[:CARS]]
    for number in range(KILLS):
        async with back_end(store, own_broker) as process:
            for car in cars:
                car.publish(PER_ROUND)
            await process.wait_for_stored(1 + number * 47)
    for car in cars:
        await car.wait_until_taken()
    created = CARS * PER_ROUND * KILLS
    before = rows(store)[0]
    async with back_end(store, own_broker) as process:
        await process.wait_for_stored(created - before)
    assert rows(store) == (created, created)
    with StoreReader(store) as reader:
        account = reader.account()
        assert account.stored == created
        assert [(of_boot.high, of_boot.gaps) for of_boot in account.boots.values()] == [(PER_ROUND * KILLS, ())] * CARS
        assert account.duplicates > 0, "no kill met a batch between its commit and its acknowledgement: kill more often"


async def obedient(lab: Lab, vin: str) -> Car:
    """Return a car that answers each command with success."""
    link, owner = await lab.car_up(vin)
    obeying = Car(vin, link, owner)

    def react(call: str) -> None:
        frame = owner.deliveries[-1].frame if call == "received" else None
        command = DIALECT.read_to_car(frame) if frame is not None else None
        if isinstance(command, Command):
            obeying.seq += 1
            answer = Response(
                vin=vin, boot=BOOT, seq=obeying.seq, captured_at=1, command_id=command.id, name=command.name,
                state="succeeded", awake=True,
            )  # fmt: skip
            link.publish(DIALECT.from_car(answer), obeying.seq)

    owner.react = react
    return obeying


def asked_of_the_desk(number: int) -> DeskRequest:
    """Return one of the things that a tool asks for: most succeed after a while, some are refused at once."""
    vin, request_id = VINS[number % CARS], f"ask-{number}"
    if number % 5 == 0:
        return EnrolCar(id=request_id, vin=vin)
    if number % 5 == 1:
        return SetSpin(id=request_id, vin=vin, spin="2580")
    if number % 5 == 2:
        return CommandRequest(id=request_id, vin=vin, name="lock")
    return CommandRequest(id=request_id, vin=vin, name="refresh")


@pytest.mark.random
async def test_killed_again_and_again_every_asker_gets_its_final_answer(lab: Lab, own_broker: LiveBroker, tmp_path: Path) -> None:
    """Whenever it dies between a commit and the publish: what was decided is told, always the same, and then forgotten."""
    store = tmp_path / "fleet.sqlite"
    async with back_end(store, own_broker) as process:
        await process.wait_for_ready()
    for vin in VINS[:CARS]:
        (await obedient(lab, vin)).publish(1)
    answers = DIALECT.topics.desk_answer("tool-kill")
    tool, heard = await lab.user_up("tool", "tool-kill", subscriptions=((answers, 1),))
    finals: dict[str, set[tuple[str, str | None]]] = {}

    def hear(call: str) -> None:
        if call == "received" and (answer := DIALECT.read_desk_answer(heard.deliveries[-1].frame)).final:
            finals.setdefault(answer.id, set()).add((answer.state, answer.reason))

    heard.react = hear
    asked = 0
    for number in range(KILLS):
        async with back_end(store, own_broker):
            for _ in range(ASKED_PER_ROUND):
                asked += 1
                request = DIALECT.desk_request(asked_of_the_desk(asked), answer_topic=answers)
                tool.publish(replace(request, qos=1), asked)  # this tool asks once, and trusts in the broker
            await heard.wait_for("some answers", more_than(finals, number * (ASKED_PER_ROUND + 1)), 30)
    async with back_end(store, own_broker):
        await heard.wait_for("an answer to each", lambda: len(finals) == asked, 60)
        while kept_answers(store):  # noqa: ASYNC110 (the store is a file)
            await asyncio.sleep(0.02)
    assert {request_id: told for request_id, told in finals.items() if len(told) > 1} == {}


def more_than(found: Sized, count: int) -> Callable[[], bool]:
    return lambda: len(found) > count


def kept_answers(store: Path) -> int:
    with sqlite3.connect(store) as connection:
        found: int = connection.execute("SELECT count(*) FROM answer").fetchone()[0]
    connection.close()
    return found


async def test_a_command_ends_once_whatever_dies(lab: Lab, own_broker: LiveBroker, tmp_path: Path) -> None:
    """A command asked just before the kill is taken up by the next process, sent, and answered."""
    store = tmp_path / "fleet.sqlite"
    vin = VINS[0]
    answers = DIALECT.topics.desk_answer("tool-kill")
    tool, heard = await lab.user_up("tool", "tool-kill", subscriptions=((answers, 1),))
    link, owner = await lab.car_up(vin)
    car = Car(vin, link, owner)
    async with back_end(store, own_broker) as process:
        await process.wait_for_ready()
        car.publish(1)
        await process.wait_for_stored(1)
        request = CommandRequest(id="kill-1", vin=vin, name="refresh")
        tool.publish(DIALECT.desk_request(request, answer_topic=answers), 1)
        await heard.wait_for("broker's word", lambda: len(heard.outcomes) == 1)
    async with back_end(store, own_broker) as process:
        await heard.wait_for("answer", answered(heard, "sent"))
    with StoreReader(store) as reader:
        assert [step.state for step in reader.transitions("kill-1")][:2] == ["queued", "sent"]


def answered(heard: RecordingOwner, state: str) -> Callable[[], bool]:
    return lambda: any(DIALECT.read_desk_answer(delivery.frame).state == state for delivery in heard.deliveries)
