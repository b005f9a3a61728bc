"""A back end on a fake link and a store in a temporary folder, with frames to feed it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from fleet.backend.config import BackendConfig
from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Arrival, Batch
from fleet.backend.write_buffer import BUFFERED, IN_MEMORY
from fleet.cloud.twin import origin_of
from fleet.runtime.backend_configs import live_backend
from fleet.runtime.clocks import wall_us
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    AnnounceClock,
    Command,
    CommandRequest,
    DeskAnswer,
    DeskRequest,
    Event,
    FromCar,
    Presence,
    Response,
    SetSpin,
    Status,
)
from tests.backend.fake_link import FakeSession

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
BOOT = 1_772_000_000_000_000
DIALECT = FleetDialect()
ANSWERS = DIALECT.topics.desk_answer("test")
WHERE = {"latitude": 41.5, "longitude": 2.0}

buffered = partial(SqliteStore, policy=BUFFERED)
in_memory = partial(SqliteStore, policy=IN_MEMORY)
OpenSqlite = Callable[..., SqliteStore]


def status(seq: int, vin: str = VIN, boot: int = BOOT, **more: Any) -> Status:
    fields: dict[str, Any] = {
        "vin": vin, "boot": boot, "seq": seq, "captured_at": 1_000 * seq, "trigger": "engine_off", "state": "parked",
        "due_wall_us": 1, "mileage_km": float(seq),
    }  # fmt: skip
    return msgspec.convert(fields | more, Status)


def event(seq: int, vin: str = VIN, **more: Any) -> Event:
    return Event(vin=vin, boot=BOOT, seq=seq, captured_at=1_000 * seq, name="trip", data={"km": seq}, **more)


def presence(connection: Any = "online", vin: str = VIN, **more: Any) -> Presence:
    return Presence(vin=vin, boot=BOOT, seq=0, captured_at=1, connection=connection, **more)


def response(seq: int, command: Command, state: Any, **more: Any) -> Response:
    more = {"awake": True} | more
    return Response(
        vin=command.vin,
        boot=BOOT,
        seq=seq,
        captured_at=1,
        command_id=command.id,
        name=command.name,
        state=state,
        awake=more.pop("awake", True),
        **more,
    )


def arrival(message: Status | Event) -> Arrival:
    kind, name, trigger = ("status", None, message.trigger) if isinstance(message, Status) else ("event", message.name, None)
    origin = origin_of(message) if isinstance(message, Status) else None
    return Arrival(
        message.vin, message.boot, message.seq, kind, name, trigger, message.captured_at, message.due_wall_us,
        message.sent_wall_us, 7, "application/vnd.msgpack", msgspec.msgpack.encode(message), origin,
    )  # fmt: skip


def batch(*messages: Status | Event) -> Batch:
    return Batch(arrivals=[arrival(message) for message in messages])


def car(*messages: FromCar) -> list[Frame]:
    return [DIALECT.from_car(message) for message in messages]


def config(path: Path, session: FakeSession, **changes: Any) -> BackendConfig:
    return replace(live_backend(path, session, key=0, password=None), **({"echo": None} | changes))


def changed(frame: Frame, **changes: Any) -> Frame:
    return msgspec.structs.replace(frame, **changes)


def kept_answers(path: Path) -> list[tuple[str, str]]:
    """Return id and state of the answers that the store keeps."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT answer FROM answer ORDER BY request_id").fetchall()
    connection.close()
    return [(answer["id"], answer["state"]) for (row,) in rows if (answer := json.loads(row))]


class BackendLab:
    """A running back end, its broker's side, and what tools and cars would do."""

    def __init__(self, path: Path, session: FakeSession, backend: Backend) -> None:
        self.path = path
        self.session = session
        self.backend = backend

    def ask(self, request: DeskRequest, answers: str = ANSWERS) -> None:
        self.session.deliver(DIALECT.desk_request(request, answer_topic=answers))

    def command(self, request_id: str, name: str = "honk", **more: Any) -> None:
        parameters = more.pop("parameters", WHERE if name == "honk" else {})
        self.ask(CommandRequest(id=request_id, vin=more.pop("vin", VIN), name=name, parameters=parameters, **more))

    def answers(self, request_id: str) -> list[DeskAnswer]:
        frames = [frame for frame in self.session.published if frame.topic.startswith("fleet/v1/desk/answer/")]
        return [answer for answer in map(DIALECT.read_desk_answer, frames) if answer.id == request_id]

    def commands(self) -> list[Command]:
        frames = [frame for frame in self.session.published if "/command/" in frame.topic]
        return [message for frame in frames if isinstance(message := DIALECT.read_to_car(frame), Command)]

    async def state(self, request_id: str, *states: str) -> DeskAnswer:
        """Return the answer that brings the command into one of the states."""
        found: list[DeskAnswer] = []

        def arrived() -> bool:
            found[:] = [answer for answer in self.answers(request_id) if answer.state in states]
            return bool(found)

        await self.session.wait_for(arrived)
        return found[-1]

    async def set_spin(self, spin: str, request_id: str) -> None:
        self.ask(SetSpin(id=request_id, vin=VIN, spin=spin))
        await self.state(request_id, "succeeded")

    async def announce(self, factor: float) -> None:
        self.ask(AnnounceClock(id="clock", start=BOOT, epoch_wall_us=wall_us(), factor=factor))
        await self.state("clock", "succeeded")

    def reader(self) -> StoreReader:
        return StoreReader(self.path)


@asynccontextmanager
async def running(path: Path, session: FakeSession | None = None, **changes: Any) -> AsyncIterator[BackendLab]:
    """Run a back end until the end of the block; stopped as a user would stop it."""
    session = session or FakeSession()
    backend = Backend(config(path, session, **changes))
    await backend.start()
    try:
        yield BackendLab(path, session, backend)
    finally:
        await backend.stop()


def statuses(*numbers: int, vin: str = VIN, boot: int = BOOT) -> Batch:
    """Return a batch of statuses with these numbers."""
    return Batch(arrivals=[arrival(status(number, vin, boot)) for number in numbers])


def count(path: Path, what: str) -> int:
    """Count rows of the store's file."""
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
        return found
