"""Plants an exception at each step of a message's path, in turn: the back end lives, the next good message is stored, and the
planted one is in quarantine or answered `failed(internal)`, whether it fails once or each time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from fleet.backend import batching, reading
from fleet.backend.known_numbers import KnownNumbers
from fleet.backend.publisher import Publisher
from fleet.backend.recorder import NoRecorder
from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Arrival, Batch, Committed
from fleet.cloud import desk
from fleet.cloud.calls import CallRule
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import CarAnswered, CommandAsked, CommandPublished, EnrolmentAsked, PresenceChanged
from fleet.cloud.online import OnlineRule
from fleet.cloud.partners import PartnerRule
from fleet.cloud.twin import Newest
from fleet.runtime.clocks import wall_us
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.messages import AnnounceClock, EnrolCar, Event, Request, ServiceRequest
from tests.backend.fake_link import WITHIN_S
from tests.backend.lab import BOOT, OTHER, VIN, BackendLab, car, presence, response, running, status

EVERY_TIME = 10**9


class Planted(Exception):
    """What no code expects."""


@dataclass
class Plant:
    """Makes a function fail for chosen arguments, so many times."""

    owner: Any
    name: str
    chooses: Callable[..., bool] = lambda *_, **__: True
    error: type[Exception] = Planted
    times: int = EVERY_TIME
    struck: int = field(default=0)

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(self.owner, self.name)

        def planted(*arguments: Any, **named: Any) -> Any:
            if self.struck < self.times and self.chooses(*arguments, **named):
                self.struck += 1
                raise self.error("planted")
            return real(*arguments, **named)

        monkeypatch.setattr(self.owner, self.name, planted)


def of(kind: type) -> Callable[..., bool]:
    """Choose calls of a machine (self, message, now) with a message of this kind."""
    return lambda _self, message, *_: isinstance(message, kind)


def trip(seq: int, vin: str = VIN) -> Event:
    return Event(vin=vin, boot=BOOT, seq=seq, captured_at=seq, name="ecall", data={"id": f"c{seq}"})


async def the_next_is_stored(lab: BackendLab, seq: int = 77) -> None:
    """The back end lives: a message of another car and a command are handled as ever."""
    before = len(lab.session.acknowledged)
    waiting = len(lab.session.unacknowledged)
    lab.session.deliver(*car(status(seq, OTHER)))
    await lab.session.wait_for(lambda: len(lab.session.acknowledged) > before + waiting)
    assert not lab.session.unacknowledged


def rows(path: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def stored_numbers(path: Path) -> set[tuple[str, int]]:
    return set(rows(path, "SELECT vin, seq FROM message"))


# --- what a car says

IN_QUARANTINE = {
    "decode": Plant(FleetDialect, "read_from_car", lambda _, frame: b"poison" in frame.payload),
    "its row": Plant(Arrival, "_make", lambda fields: fields[2] == 2 and fields[0] == VIN),
    "the overview of it": Plant(reading, "origin_of", lambda message: message.seq == 2 and message.vin == VIN),
    "the overview at the commit": Plant(Newest, "take", lambda _, origin, _key: origin.mileage_km == 2.0),
    "its number at the commit": Plant(KnownNumbers, "of", lambda _, key: key[0] == VIN),
    "the desk's decision": Plant(Desk, "receive", lambda _s, message, _n: isinstance(message, CarAnswered | PresenceChanged)),
}  # fmt: skip


def messages() -> list[Any]:
    """A message that is hit by each of the plants above, whatever kind it has to be of, between two good ones of another car."""
    return [status(1, OTHER), status(2, software={"system": "poison"}), presence(), trip(3, OTHER)]


@pytest.mark.parametrize("name", IN_QUARANTINE)
async def test_a_message_at_which_something_fails_each_time_is_in_quarantine_and_no_other(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is acknowledged, so that nobody sends it again, and does not end the next back end either."""
    plant = IN_QUARANTINE[name]
    plant.struck = 0
    plant.put(monkeypatch)
    async with running(path) as lab:
        lab.session.deliver(*car(*messages()))
        await the_next_is_stored(lab)
        assert plant.struck
        assert lab.backend.snapshot().quarantined == {"internal": 1}
        assert lab.backend.snapshot().warnings
    monkeypatch.undo()
    assert rows(path, "SELECT reason FROM quarantine") == [("internal",)]
    assert stored_numbers(path) >= {(OTHER, 1), (OTHER, 3), (OTHER, 77)}
    assert [row[0] for row in rows(path, "SELECT recipient FROM notice")] == ["emergency_centre"]


@pytest.mark.parametrize("name", [name for name in IN_QUARANTINE if name not in {"decode", "its row", "the overview of it"}])
async def test_what_fails_once_is_taken_again_and_stored(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decided beside it is decided anew, once."""
    plant = IN_QUARANTINE[name]
    once = Plant(plant.owner, plant.name, plant.chooses, times=1)
    once.put(monkeypatch)
    async with running(path) as lab:
        lab.session.deliver(*car(*messages()))
        await the_next_is_stored(lab)
        assert once.struck == 1
        assert lab.backend.snapshot().quarantined == {}
    assert stored_numbers(path) == {(OTHER, 1), (VIN, 2), (OTHER, 3), (OTHER, 77)}
    assert [row[0] for row in rows(path, "SELECT recipient FROM notice")] == ["emergency_centre"]


async def test_a_thousand_messages_around_a_poisoned_one_are_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, and each once."""
    Plant(Newest, "take", lambda _self, origin, _key: origin.mileage_km == 500.0).put(monkeypatch)
    async with running(path) as lab:
        lab.session.deliver(*car(*[status(n) for n in range(1, 1_001)]))
        await lab.session.wait_for_acknowledged(1_000)
        assert lab.session.acknowledged == list(range(1, 1_001))
    with lab.reader() as reader:
        account = reader.account(boots={BOOT})
        assert (account.stored, account.quarantined_of_boots, account.duplicates) == (999, 1, 0)


# --- each kind of write

WRITES = {
    "a command": "INSERT INTO command (",
    "a step of one": "INSERT INTO command_transition",
    "its state": "UPDATE command SET state",
    "a user": "INSERT OR REPLACE INTO user",
    "a note": "INSERT OR REPLACE INTO service_state",
    "a notice": "INSERT INTO notice",
    "a reply": "INSERT OR IGNORE INTO reply",
    "an answer": "INSERT OR REPLACE INTO answer",
    "the clock": "INSERT OR REPLACE INTO meta",
    "a message": "INSERT OR ROLLBACK INTO message",
    "its number": "INSERT OR REPLACE INTO sequence",
    "the car": "INSERT INTO newest",
}
ERRORS: list[type[Exception]] = [OverflowError, TypeError, sqlite3.IntegrityError, sqlite3.OperationalError]


class Fragile:
    """A connection whose statements can be made to fail."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.fails: Callable[[str, Any], type[Exception] | None] = lambda *_: None

    def execute(self, sql: str, *values: Any) -> Any:
        self._check(sql, values[0] if values else ())
        return self.real.execute(sql, *values)

    def executemany(self, sql: str, values: Any) -> Any:
        self._check(sql, values)
        return self.real.executemany(sql, values)

    def _check(self, sql: str, values: Any) -> None:
        error = self.fails(sql, values)
        if error is not None:
            raise error("planted")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class FragileStore(SqliteStore):
    """A store with such a connection."""

    def __init__(self, path: Path, /, *, created_by: str) -> None:
        super().__init__(path, created_by=created_by)
        self.fragile = Fragile(self.database.writer)
        self.database.writer = cast("sqlite3.Connection", self.fragile)


def fragile_of(backend: Backend) -> Fragile:
    store = backend._store
    assert isinstance(store, FragileStore)
    return store.fragile


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_fails_costs_what_brought_it_and_nothing_else(path: Path, name: str, error: type[Exception]) -> None:
    """Each kind of write in turn, with each kind of error: what is asked is answered, and all else goes on."""
    async with running(path, open_store=FragileStore) as lab:
        lab.session.deliver(*car(presence(), status(1)))
        await lab.session.wait_for_acknowledged(2)
        fragile = fragile_of(lab.backend)
        struck: list[str] = []

        def fails(sql: str, values: Any) -> type[Exception] | None:
            # A quarantine of its own, or nothing could be stored of what is wrong.
            if sql.startswith(WRITES[name]) and not (name == "an answer" and "internal" in str(values)):
                struck.append(sql)
                return error
            return None

        fragile.fails = fails
        lab.command("c", "refresh")
        lab.ask(EnrolCar(id="e", vin="VSSZZZKMZPR000009"))
        lab.ask(ServiceRequest(id="s", service="online", action="set_holder", vin=VIN, data={"name": "Anna"}))
        request = Request(
            vin=VIN, boot=BOOT, seq=2, captured_at=2, id="r", name="traffic", data={"latitude": 48.1, "longitude": 11.5}
        )
        lab.session.deliver(*car(trip(3), request))
        lab.ask(announce())
        await lab.session.wait_for(lambda: not lab.session.unacknowledged)
        fragile.fails = lambda *_: None
        assert struck
        await the_next_is_stored(lab)
        lab.command("d", "refresh")
        await lab.state("d", "sent")
        await answered(lab)
    assert rows(path, "SELECT count(*) FROM message WHERE seq = 77") == [(1,)]


def announce() -> AnnounceClock:
    return AnnounceClock(id="k", start=BOOT, epoch_wall_us=wall_us(), factor=2.0)


async def answered(lab: BackendLab) -> None:
    """Everybody who asked has an answer."""
    for asked in ("c", "e", "s", "k"):
        await lab.session.wait_for(lambda asked=asked: bool(lab.answers(asked)))  # type: ignore[misc]


# --- desk and centre

ASKED: dict[str, tuple[Any, str, Callable[..., bool], Callable[[BackendLab], None]]] = {
    "a command": (Desk, "receive", of(CommandAsked), lambda lab: lab.command("a", "refresh")),
    "an enrolment": (Desk, "receive", of(EnrolmentAsked), lambda lab: lab.ask(EnrolCar(id="a", vin=VIN))),
    "a service": (
        OnlineRule, "asked", lambda *_: True,
        lambda lab: lab.ask(ServiceRequest(id="a", service="online", action="set_holder", vin=VIN, data={"name": "A"})),
    ),
    "the whole centre": (
        ServiceCentre, "receive", lambda *_: True,
        lambda lab: lab.ask(ServiceRequest(id="a", service="online", action="set_holder", vin=VIN, data={"name": "A"})),
    ),
    "a write of it": (
        batching, "decided", lambda write, _: type(write).__name__ == "CommandOpened",
        lambda lab: lab.command("a", "refresh"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
async def test_who_asks_for_what_fails_is_told_so(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`failed(internal)`, a warning that names it, and nothing half done; the same may be asked again when it is mended."""
    owner, function, chooses, ask = ASKED[name]
    async with running(path) as lab:
        lab.session.deliver(*car(presence(), status(1)))
        await lab.session.wait_for_acknowledged(2)
        plant = Plant(owner, function, chooses)
        plant.put(monkeypatch)
        ask(lab)
        answer = await lab.state("a", "failed")
        assert (answer.reason, answer.final) == ("internal", True)
        assert any("Planted" in warning for warning in lab.backend.snapshot().warnings)
        assert lab.backend.snapshot().commands_open == 0
        monkeypatch.undo()
        assert rows(path, "SELECT count(*) FROM command") == [(0,)]
        assert rows(path, "SELECT count(*) FROM service_state") == [(0,)]
        ask(lab)
        await lab.state("a", "sent", "succeeded")
        await the_next_is_stored(lab)


async def test_commands_under_way_survive_what_fails_beside_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are taken up from the store, and end as the car says."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        lab.command("open", "refresh")
        await lab.state("open", "sent")
        Plant(Desk, "receive", of(EnrolmentAsked)).put(monkeypatch)
        lab.ask(EnrolCar(id="poison", vin=VIN))
        await lab.state("poison", "failed")
        (command, *_again) = lab.commands()
        lab.session.deliver(*car(response(5, command, "succeeded")))
        await lab.state("open", "succeeded")
    with lab.reader() as reader:
        steps = [step.state for step in reader.transitions("open")]
        assert (steps[0], steps[-1], steps.count("succeeded")) == ("queued", "succeeded", 1)


async def test_an_emergency_goes_on_when_its_rule_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with what is written in it; the message is stored."""
    Plant(CallRule, "event").put(monkeypatch)
    async with running(path) as lab:
        lab.session.deliver(*car(trip(1)))
        await the_next_is_stored(lab)
    told = rows(path, "SELECT recipient, kind FROM notice WHERE vin <> ''")
    assert told == [("emergency_centre", "ecall")]
    assert (VIN, 1) in stored_numbers(path)


async def test_an_emergency_goes_on_when_the_whole_centre_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Plant(ServiceCentre, "receive").put(monkeypatch)
    async with running(path) as lab:
        lab.session.deliver(*car(trip(1)))
        await the_next_is_stored(lab)
    assert rows(path, "SELECT recipient, kind FROM notice") == [("emergency_centre", "ecall")]


async def test_a_rule_that_failed_is_tried_again_also_by_the_next_back_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had begun is undone; once it can, it has happened once."""
    light = Event(vin=VIN, boot=BOOT, seq=1, captured_at=1, name="warning_light", data={})
    real = PartnerRule.event

    def begun(rule: PartnerRule, event: Event, now: int) -> Any:
        rule.notes["half"] = "done"
        raise Planted

    monkeypatch.setattr(PartnerRule, "events", frozenset({"warning_light"}))
    monkeypatch.setattr(PartnerRule, "event", begun)
    async with running(path) as lab:
        await lab.announce(60.0)
        lab.session.deliver(*car(light))
        await the_next_is_stored(lab)
    assert rows(path, "SELECT module FROM service_state") == [("failures",)]
    given: list[Event] = []
    monkeypatch.setattr(PartnerRule, "event", lambda rule, event, now: (*note(given, event), *real(rule, event, now)))
    async with running(path) as lab:
        await lab.announce(100_000.0)
        await until(lambda: bool(given))
        await the_next_is_stored(lab, 78)
    assert given == [light]
    assert rows(path, "SELECT module FROM service_state") == []


# --- afterwards


@pytest.mark.parametrize("what", ["command", "answer", "reply"])
async def test_what_cannot_be_published_is_told(path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command has failed, the asker hears of it, the car's request is answered: each `internal`."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence(), status(1)))
        if what == "command":
            Plant(Publisher, "_frame", lambda _, action: type(action).__name__ == "SendCommand").put(monkeypatch)
            lab.command("a", "refresh")
            answer = await lab.state("a", "failed")
        elif what == "answer":
            Plant(Publisher, "_frame", lambda _, action: action.answer.reason != "internal").put(monkeypatch)
            lab.ask(EnrolCar(id="a", vin=VIN))
            answer = await lab.state("a", "failed")
        else:
            Plant(Publisher, "_frame", lambda _, action: action.reply.error != "internal").put(monkeypatch)
            request = Request(vin=VIN, boot=BOOT, seq=2, captured_at=2, id="r", name="traffic", data={})
            lab.session.deliver(*car(request))
            await lab.session.wait_for(lambda: any("/reply/" in frame.topic for frame in lab.session.published))
            answer = None
        assert answer is None or (answer.reason, answer.final) == ("internal", True)
        monkeypatch.undo()
        await the_next_is_stored(lab)


class BrokenRecorder(NoRecorder):
    """A journal that fails at each commit."""

    def committed(self, batch: Batch, done: Committed) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["the record of a commit", "the outcome of a publish"])
async def test_what_fails_after_a_commit_stops_nothing(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: dict[str, Any] = {}
    if name == "the record of a commit":
        changes["recorder"] = BrokenRecorder()
    async with running(path, **changes) as lab:
        lab.session.deliver(*car(presence()))
        if name == "the outcome of a publish":
            Plant(Desk, "receive", of(CommandPublished), times=1).put(monkeypatch)
        lab.command("a", "refresh")
        await lab.state("a", "sent")
        await the_next_is_stored(lab)


@pytest.mark.parametrize("machine", [Desk, ServiceCentre])
async def test_a_deadline_at_which_something_fails_is_looked_at_again(
    path: Path, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, each time a longer one; then what was due is done."""
    monkeypatch.setattr(batching, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(desk, "_SKEW", 0)
    monkeypatch.setattr(desk, "_SKEW_WALL", 0)
    woken: list[int] = []
    monkeypatch.setattr(PartnerRule, "deadline", lambda _: None if woken else 1)
    monkeypatch.setattr(PartnerRule, "wake", lambda _, now: note(woken, now))
    plant = Plant(machine, "wake", times=3)
    plant.put(monkeypatch)
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.announce(1_000_000.0)
        lab.command("a", "refresh", ttl_s=1.0)
        await lab.state("a", "unknown")
        await until(lambda: bool(woken))
        assert plant.struck == 3
        await the_next_is_stored(lab)


@pytest.mark.parametrize("step", ["wake", "deadline"])
async def test_a_rule_that_fails_at_its_deadline_pauses_and_stops_no_other(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, and woken again when scenario time has gone on."""
    woken: list[int] = []
    monkeypatch.setattr(OnlineRule, "deadline", lambda _: None if woken else 1)
    monkeypatch.setattr(OnlineRule, "wake", lambda _, now: note(woken, now))
    monkeypatch.setattr(PartnerRule, "deadline", lambda _: 1)
    Plant(PartnerRule, "wake").put(monkeypatch)
    if step == "deadline":
        Plant(PartnerRule, "deadline").put(monkeypatch)
    async with running(path) as lab:
        await lab.announce(60.0)
        await until(lambda: bool(woken))
        await the_next_is_stored(lab)
    assert rows(path, "SELECT recipient, kind FROM notice") == [("operator", "rule_failed")]


def note(noted: list[Any], value: Any) -> tuple[()]:
    """Note a value, and want nothing."""
    noted.append(value)
    return ()


async def until(condition: Callable[[], bool]) -> None:
    """Return when something holds that no message tells."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 (what is waited for happens in a machine that tells nobody)
            await asyncio.sleep(0.005)
