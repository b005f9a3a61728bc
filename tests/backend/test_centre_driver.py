"""The service centre in the back end: a message, what comes of it and the rules' notes are one commit; replies outlive a kill."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, Committed
from fleet.cloud.rule import AskCar, CommandEnded, Done, Notify, RequestRefused, Rule, RuleOutput, SendReply
from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.wire.messages import EnrolCar, Event, Reply, Request, ServiceRequest
from tests.backend.fake_link import FakeSession
from tests.backend.lab import (
    BOOT,
    DIALECT,
    OTHER,
    VIN,
    BackendLab,
    OpenSqlite,
    arrival,
    buffered,
    car,
    config,
    event,
    presence,
    response,
    running,
    status,
)


class Echo(Rule):
    """Replies with how many requests of the car came, tells of trips, commands a car on demand, and fails on demand."""

    name: ClassVar[str] = "echo"
    events: ClassVar[frozenset[str]] = frozenset({"trip"})
    requests: ClassVar[frozenset[str]] = frozenset({"echo"})

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        if event.data["km"] == 13:
            raise ValueError("thirteen")
        self.notes["trips"] = self.notes.get("trips", 0) + 1
        return [Notify(event.vin, "primary_user", "trip", event.data)]

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:
        if request.data:
            raise ValueError(request.data)
        self.notes[request.vin] = self.notes.get(request.vin, 0) + 1
        return [SendReply(request.vin, Reply(id=request.id, name="echo", data={"count": self.notes[request.vin]}), 10 * MINUTE)]

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:
        if request.action == "wait":
            self.notes["due"] = now + request.data["s"] * SECOND
            return Done()
        return Done([AskCar(request.action, VIN, "unlock", {})], {"asked": request.action})

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:
        return [Notify(ended.vin, "operator", "ended", {"id": ended.id, "state": ended.state, "reason": ended.reason})]

    def deadline(self) -> Instant | None:
        due: Instant | None = self.notes.get("due")
        return due

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        del self.notes["due"]
        return [Notify(VIN, "operator", "woken", {})]


RULES: dict[str, Any] = {"rules": (Echo,)}


def request(seq: int, request_id: str = "r1", **more: Any) -> Request:
    return Request(vin=VIN, boot=BOOT, seq=seq, captured_at=1_000 * seq, id=request_id, name="echo", **more)


def replies(session: FakeSession) -> list[Reply]:
    frames = [frame for frame in session.published if "/reply/" in frame.topic]
    return [message for frame in frames if isinstance(message := DIALECT.read_to_car(frame), Reply)]


async def wait_for_replies(session: FakeSession, count: int) -> None:
    await session.wait_for(lambda: len(replies(session)) >= count)


async def ask(lab: BackendLab, action: str, request_id: str, **data: Any) -> None:
    lab.ask(ServiceRequest(id=request_id, service="echo", action=action, data=data))
    await lab.state(request_id, "succeeded")


def kinds(path: Path) -> list[str]:
    with BackendLab(path, FakeSession(), None).reader() as reader:  # type: ignore[arg-type]
        return [notice.kind for notice in reader.notices(vin=VIN)]


async def test_a_request_is_replied_once_after_its_commit(path: Path) -> None:
    """However often it is delivered; with the id of the request, an expiry, and a row in the store."""
    async with running(path, **RULES) as lab:
        lab.session.deliver(*car(request(1), request(1)))
        await wait_for_replies(lab.session, 1)
        lab.session.deliver(*car(request(1)))
        await lab.session.wait_for_acknowledged(3)
        (frame,) = [frame for frame in lab.session.published if "/reply/" in frame.topic]
        assert (frame.topic, frame.qos, frame.correlation) == (f"fleet/v1/{VIN}/reply/echo", 1, b"r1")
        assert frame.expiry_s is not None
        assert 590 <= frame.expiry_s <= 600
        assert replies(lab.session) == [Reply(id="r1", name="echo", data={"count": 1})]
    with lab.reader() as reader:
        (row,) = reader.replies(VIN)
        assert (row.request_id, row.data, row.error) == ("r1", {"count": 1}, None)
        assert row.published_wall_us is not None
        assert reader.service_state("echo") == {VIN: 1}


async def test_events_make_notices_and_leave_the_twin_alone(path: Path) -> None:
    async with running(path, **RULES) as lab:
        lab.session.deliver(*car(status(1), event(2), event(2), event(3)))
        await lab.session.wait_for_acknowledged(4)
    with lab.reader() as reader:
        assert [(notice.to, notice.kind, notice.data) for notice in reader.notices()] == [
            ("primary_user", "trip", {"km": 3}),
            ("primary_user", "trip", {"km": 2}),
        ]
        assert reader.notices(vin="VSSZZZKMZPR000002") == []
        twin = reader.status(VIN)
        assert twin is not None
        assert twin.stamps.keys() == {"state", "mileage_km"}


async def test_what_comes_before_the_scenario_time_is_known_has_its_own(path: Path) -> None:
    """Cars may be heard before the simulator has announced its clock; then the back end's clock says nothing about them."""
    async with running(path, **RULES) as lab:
        lab.session.deliver(*car(event(7)))
        await lab.session.wait_for_acknowledged(1)
        await lab.announce(1)
        lab.session.deliver(*car(event(8)))
        await lab.session.wait_for_acknowledged(3)
    with lab.reader() as reader:
        later, earlier = reader.notices()
        assert earlier.at == 7_000
        assert BOOT <= later.at < BOOT + 60 * SECOND


class Stopped(BaseException):
    """The back end was killed."""


class MortalStore(SqliteStore):
    """Commits, and dies before anybody hears of it."""

    def commit(self, batch: Batch, stored_at: int) -> Committed:
        committed = super().commit(batch, stored_at)
        if any(arrival.kind == "request" for arrival in batch.arrivals):
            raise Stopped
        return committed


async def test_killed_between_commit_and_reply_the_reply_comes_after_the_restart(path: Path) -> None:
    """The message is stored and not acknowledged: it comes again, is not handled again, and its stored reply goes out."""
    session = FakeSession()
    dying = Backend(config(path, session, open_store=MortalStore, **RULES))
    await dying.start()
    session.deliver(*car(request(1)))
    with pytest.raises(Stopped):
        await dying.run()
    with pytest.raises(Stopped):
        await dying.stop()
    assert replies(session) == []
    assert len(session.unacknowledged) == 1
    async with running(path, session, **RULES) as lab:  # the session delivers again what was not acknowledged
        await wait_for_replies(session, 1)
        await session.wait_for_acknowledged(1)
        session.deliver(*car(request(2, "r2")))
        await wait_for_replies(session, 2)
    assert [reply.data for reply in replies(session)] == [{"count": 1}, {"count": 2}]
    with lab.reader() as reader:
        assert reader.account().duplicates == 1
        assert all(row.published_wall_us is not None for row in reader.replies(VIN))


async def test_killed_before_the_commit_nothing_is_left_and_it_is_handled_when_it_comes_again(path: Path) -> None:
    class Deaf(SqliteStore):
        def commit(self, batch: Batch, stored_at: int) -> Committed:
            raise Stopped

    session = FakeSession()
    dying = Backend(config(path, session, open_store=Deaf, **RULES))
    await dying.start()
    session.deliver(*car(request(1)))
    with pytest.raises(Stopped):
        await dying.run()
    with pytest.raises(Stopped):
        await dying.stop()
    async with running(path, session, **RULES):
        await wait_for_replies(session, 1)
    assert [reply.data for reply in replies(session)] == [{"count": 1}]


async def test_a_reply_the_broker_never_took_goes_out_again_unless_it_is_of_no_more_use(path: Path) -> None:
    session = FakeSession()
    session.takes_publishes = False
    async with running(path, session, **RULES):
        session.deliver(*car(request(1)))
        await wait_for_replies(session, 1)
    session.takes_publishes = True
    async with running(path, session, **RULES):
        await wait_for_replies(session, 2)
        session.takes_publishes = False
        session.deliver(*car(request(2, "r2")))
        await wait_for_replies(session, 3)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE reply SET expires_at = 1")
    connection.close()
    session.takes_publishes = True
    async with running(path, session, **RULES) as lab:
        lab.session.deliver(*car(status(3)))
        await lab.session.wait_for_acknowledged(3)
    assert len(replies(session)) == 3


@pytest.mark.parametrize("open_store", [SqliteStore, buffered])
async def test_a_message_that_a_store_of_an_earlier_run_holds_is_not_handled(path: Path, open_store: OpenSqlite) -> None:
    """Also when it comes first of all, and when the store is behind."""
    earlier = SqliteStore(path)
    earlier.commit(Batch(arrivals=[arrival(event(2))]), 1)
    earlier.close()
    async with running(path, open_store=open_store, **RULES) as lab:
        lab.session.deliver(*car(event(2), event(1), event(3)))
        await lab.session.wait_for_acknowledged(3)
    assert kinds(path) == ["trip", "trip"]


async def test_a_rule_that_fails_on_a_message_stops_no_other(path: Path) -> None:
    """The message is stored as ever and counted once; a request is told that it failed."""
    async with running(path, **RULES) as lab:
        lab.session.deliver(*car(event(13), request(1, data={"a": 1}), event(14)))
        await lab.session.wait_for_acknowledged(3)
        await wait_for_replies(lab.session, 1)
        assert replies(lab.session)[0].error == "internal"
        warnings = lab.backend.snapshot().warnings
        assert any("the service echo failed at trip" in warning and "ValueError" in warning for warning in warnings)
    with lab.reader() as reader:
        assert (reader.account().stored, reader.account().quarantined) == (3, 0)
        assert [notice.data for notice in reader.notices() if notice.kind == "trip"] == [{"km": 14}]
        failed = [notice for notice in reader.notices() if notice.kind == "rule_failed"]
        assert [(notice.to, notice.data["at"], notice.data["error"]) for notice in failed] == [
            ("operator", "echo", "ValueError"),
            ("operator", "trip", "ValueError"),
        ]


async def test_a_rule_commands_a_car_without_an_s_pin_and_learns_the_end(path: Path) -> None:
    async with running(path, **RULES) as lab:
        lab.session.deliver(*car(presence(), status(1)))
        await lab.session.wait_for_acknowledged(2)
        await ask(lab, "first", "a1")
        await lab.session.wait_for(lambda: bool(lab.commands()))
        (command,) = lab.commands()
        assert (command.id, command.name) == ("centre-echo-first", "unlock")
        await ask(lab, "first", "a2")  # one id is one command
        lab.session.deliver(*car(response(2, command, "accepted"), response(3, command, "rejected", reason="door_open")))
        await lab.session.wait_for_acknowledged(6)
        assert len(lab.commands()) == 1
    with lab.reader() as reader:
        assert [notice.data for notice in reader.notices()] == [{"id": "first", "state": "rejected", "reason": "door_open"}]
        (row,) = reader.commands()
        assert (row.user, row.state, row.reason) == ("back_end", "rejected", "door_open")


async def test_cars_that_nobody_knows_are_told_and_the_others_served(path: Path) -> None:
    """One alone is refused; of a list the known ones are taken, and a car is known once a message of it has come."""
    stranger = "VSSZZZKMZPR999999"
    async with running(path) as lab:
        lab.session.deliver(*car(presence(), status(1)))
        await lab.session.wait_for_acknowledged(2)
        lab.ask(ServiceRequest(id="a1", service="online", action="show", vin=stranger))
        refused = await lab.state("a1", "rejected")
        assert refused.reason == "unknown_vin"
        assert stranger in (refused.detail or "")
        lab.ask(ServiceRequest(id="a2", service="online", action="show", vin=VIN))
        assert (await lab.state("a2", "succeeded")).detail is None
        plan = {"campaign": "spring", "version": "2", "size_mb": 9, "cars": [stranger, VIN]}
        lab.ask(ServiceRequest(id="a3", service="campaign", action="plan", data=plan))
        done = await lab.state("a3", "succeeded")
        assert done.data == {"campaign": "spring", "phase": "planned", "cars": 1, "unknown": [stranger]}
        lab.ask(EnrolCar(id="a4", vin=stranger))
        await lab.state("a4", "succeeded")
        lab.ask(ServiceRequest(id="a5", service="campaign", action="plan", data=plan))
        assert (await lab.state("a5", "succeeded")).data == {"campaign": "spring", "phase": "planned", "cars": 2}


async def test_a_command_of_a_rule_for_a_car_that_nobody_knows_ends_at_once(path: Path) -> None:
    async with running(path, **RULES) as lab:
        await ask(lab, "lost", "a1")
    with lab.reader() as reader:
        assert [notice.data["reason"] for notice in reader.notices()] == ["unknown_vin"]


async def test_after_a_restart_the_end_of_a_command_still_reaches_its_rule(path: Path) -> None:
    session = FakeSession()
    async with running(path, session, **RULES) as lab:
        session.deliver(*car(presence(), status(1)))
        await ask(lab, "first", "a1")
        await session.wait_for(lambda: bool(lab.commands()))
        (command,) = lab.commands()
    async with running(path, session, **RULES) as lab:
        session.deliver(*car(response(2, command, "accepted"), response(3, command, "succeeded")))
        await session.wait_for_acknowledged(5)
    assert kinds(path) == ["ended"]


async def wait_for_notices(lab: BackendLab, count: int) -> None:
    """Return once there are so many; statuses make the back end commit what nobody waits for."""
    async with asyncio.timeout(8):
        while len(kinds(lab.path)) < count:
            lab.session.deliver(*car(status(1)))
            await lab.session.wait_for(lambda: not lab.session.unacknowledged)


async def test_a_rule_is_woken_at_its_deadline_in_scenario_time_also_after_a_restart(path: Path) -> None:
    """Ten scenario minutes at a factor of 60 are 10 s, and at one of 60 000 they are 10 ms."""
    session = FakeSession()
    async with running(path, session, **RULES) as lab:
        await lab.announce(60)
        await ask(lab, "wait", "a1", s=600)
        await lab.announce(60_000)
        await wait_for_notices(lab, 1)
        await ask(lab, "wait", "a2", s=60_000)
    async with running(path, session, **RULES) as lab:
        await wait_for_notices(lab, 2)
    assert kinds(path) == ["woken", "woken"]


async def test_a_service_that_fails_answers_so(path: Path) -> None:
    """`wait` without its data raises in the rule."""
    async with running(path, **RULES) as lab:
        lab.ask(ServiceRequest(id="a1", service="echo", action="wait"))
        answer = await lab.state("a1", "failed")
        assert (answer.reason, answer.final) == ("internal", True)


async def test_a_request_to_a_service_that_nests_deeply_is_refused(path: Path) -> None:
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    async with running(path, **RULES) as lab:
        lab.ask(ServiceRequest(id="a1", service="echo", action="first", data=deep))
        answer = await lab.state("a1", "rejected")
        assert answer.reason == "malformed"
        assert msgspec.json.encode(answer)


async def test_who_asks_about_people_brings_what_the_car_has_said_of_its_switches(path: Path) -> None:
    """Whoever asks with a secret in the car, and whoever asks with a tool: the record begins with what the desk knows."""

    def turned(vin: str) -> Event:
        return Event(
            vin=vin, boot=BOOT, seq=1, captured_at=1, name="privacy_changed", data={"mode": "offline", "services_off": []}
        )

    async with running(path) as lab:
        lab.session.deliver(*car(turned(VIN), turned(OTHER)))
        await lab.session.wait_for_acknowledged(2)
        lab.ask(ServiceRequest(id="r1", service="licence", action="register", vin=VIN, data={}))
        await lab.state("r1", "succeeded")
        shown = Event(vin=OTHER, boot=BOOT, seq=2, captured_at=2, name="qr_shown", data={"code": "C0DE", "until": 9})
        typed = Request(
            vin=OTHER, boot=BOOT, seq=3, captured_at=3, id="q", name="enrolment", data={"way": "code", "code": "12345678"}
        )
        lab.session.deliver(*car(shown, typed))
        await wait_for_replies(lab.session, 1)
    with lab.reader() as reader:
        notes = reader.service_state("people")
    for vin in (VIN, OTHER):
        assert notes[f"car/{vin}"]["reported"]["mode"] == "offline"
