"""The consumer: acknowledged is stored, in order; nothing that arrives stops it; what is in quarantine has a reason."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import threading
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.backend import consumer
from fleet.backend.consumer import RECEIVE_MAXIMUM
from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, Committed
from fleet.errors import StoreError, StoreFull
from fleet.kernel.instants import DAY
from fleet.runtime.clocks import wall_us
from fleet.wire.fleet_dialect import FleetDialect, json_codec
from fleet.wire.frame import Frame
from fleet.wire.messages import AnnounceClock, Event, SetSpin
from tests.backend.fake_link import FakeSession
from tests.backend.lab import ANSWERS, BOOT, DIALECT, OTHER, VIN, car, changed, config, event, presence, response, running, status
from tests.cli.lab import call


class Gate:
    """Holds every commit until it is opened, and can let them fail. All of them go to the writer thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self._begun = threading.Event()
        self.errors: list[Exception] = []
        self.sizes: list[int] = []
        self.commit: Callable[[SqliteStore, Batch, int], Committed] = SqliteStore.commit

        def commit(store: SqliteStore, batch: Batch, stored_at: int) -> Committed:
            return self._gated(store, batch, stored_at)

        monkeypatch.setattr(SqliteStore, "commit", commit)
        monkeypatch.setattr(consumer, "LOOP_ROWS_MAX", -1)

    def _gated(self, store: SqliteStore, batch: Batch, stored_at: int) -> Committed:
        self._begun.set()
        assert self.opened.wait(8)
        self.sizes.append(len(batch.arrivals))
        if self.errors:
            raise self.errors.pop(0)
        return self.commit(store, batch, stored_at)

    async def wait_for_commit(self) -> None:
        """Return once a commit has begun; it stands at the gate."""
        assert await asyncio.to_thread(self._begun.wait, 8)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


# --- acknowledgement


async def test_nothing_is_acknowledged_before_the_commit(path: Path, gate: Gate) -> None:
    """While the commit is held nothing is acknowledged; afterwards all of it, in the order of arrival."""
    async with running(path) as lab:
        lab.session.deliver(*car(status(1), presence(), event(2)), Frame(topic="fleet/v1/x/status", payload=b"?"))
        lab.ask(AnnounceClock(id="c", start=1, epoch_wall_us=1, factor=1.0))
        await gate.wait_for_commit()
        assert lab.session.acknowledged == []
        gate.opened.set()
        await lab.session.wait_for_acknowledged(5)
        assert lab.session.acknowledged == [1, 2, 3, 4, 5]


async def test_while_a_commit_runs_the_next_batch_collects(path: Path, gate: Gate) -> None:
    """A full batch goes at once; what comes meanwhile is one further commit."""
    async with running(path) as lab:
        lab.session.deliver(*car(*[status(n) for n in range(1, 1_001)]))
        await gate.wait_for_commit()
        lab.session.deliver(*car(*[status(n) for n in range(1_001, 2_001)]))
        gate.opened.set()
        await lab.session.wait_for_acknowledged(2_000)
        assert gate.sizes == [1_000, 1_000]
        assert lab.session.acknowledged == list(range(1, 2_001))
        snapshot = lab.backend.snapshot()
        assert (snapshot.stored, snapshot.publish_to_stored.count, snapshot.commit_us.count) == (2_000, 2_000, 2)


async def test_a_batch_is_committed_at_once_and_what_piled_up_in_the_writer_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either way it is acknowledged only when that is through."""
    commits: list[tuple[int, bool, int]] = []
    commit = SqliteStore.commit

    def seen(store: SqliteStore, batch: Batch, stored_at: int) -> Committed:
        on_the_loop = threading.current_thread() is threading.main_thread()
        commits.append((batch.size, on_the_loop, len(lab.session.acknowledged)))
        return commit(store, batch, stored_at)

    monkeypatch.setattr(SqliteStore, "commit", seen)
    async with running(path) as lab:
        lab.session.deliver(*car(*[status(n) for n in range(1, 1_001)]))
        await lab.session.wait_for_acknowledged(1_000)
        lab.session.deliver(*car(*[status(n) for n in range(1_001, 1_002 + consumer.LOOP_ROWS_MAX)]))
        await lab.session.wait_for_acknowledged(1_001 + consumer.LOOP_ROWS_MAX)
    assert commits == [(1_000, True, 0), (consumer.LOOP_ROWS_MAX + 1, False, 1_000)]
    assert lab.session.acknowledged == list(range(1, 1_002 + consumer.LOOP_ROWS_MAX))


async def test_what_was_not_acknowledged_comes_again_and_is_stored_once(path: Path, gate: Gate) -> None:
    """The connection is lost while the commit runs: its messages come again, and are known."""
    async with running(path) as lab:
        lab.session.deliver(*car(status(1), event(2)))
        await gate.wait_for_commit()
        lab.session.lose_connection()
        gate.opened.set()
        lab.session.reconnect()
        await lab.session.wait_for_acknowledged(2)
        assert not lab.session.unacknowledged
    with lab.reader() as reader:
        account = reader.account()
        assert (account.stored, account.duplicates) == (2, 2)


async def test_an_outage_is_told_once(path: Path) -> None:
    """However many attempts fail alike; the next outage is told again."""
    async with running(path) as lab:
        for _ in range(3):
            lab.session.lose_connection()
        assert len(lab.backend.snapshot().warnings) == 1
        lab.session.reconnect()
        lab.session.lose_connection()
        assert len(lab.backend.snapshot().warnings) == 2
        lab.session.reconnect()


async def test_duplicates_are_acknowledged_counted_and_not_stored(path: Path) -> None:
    async with running(path) as lab:
        lab.session.deliver(*car(status(1), status(1), event(2), status(1)))
        await lab.session.wait_for_acknowledged(4)
        snapshot = lab.backend.snapshot()
        assert (snapshot.stored, snapshot.duplicates, snapshot.cars) == (2, 2, 1)
        assert msgspec.json.encode(snapshot.to_dict())


async def test_a_stopped_back_end_has_stored_what_arrived_and_keeps_its_session(path: Path) -> None:
    session = FakeSession()
    async with running(path, session) as lab:
        lab.session.deliver(*car(*[status(n) for n in range(1, 51)]))
    assert not session.unacknowledged
    assert not session.ended
    assert session.link is not None
    assert not session.link.settings.clean_start
    assert session.link.settings.receive_maximum == RECEIVE_MAXIMUM
    with lab.reader() as reader:
        assert reader.account().stored == 50


# --- quarantine


STATUS = DIALECT.from_car(status(1))
EVENT = DIALECT.from_car(event(1))
EVENT_PLAIN = msgspec.msgpack.decode(EVENT.payload)
REASONS = {"key": "type", "ext": "type", "infinite": "range", "future": "range"}
"""Where the name of a bad frame is not its reason."""
BAD = {
    "encoding": changed(STATUS, payload=b"\xc1 not MessagePack"),
    "type": changed(STATUS, payload=msgspec.msgpack.encode({"vin": VIN, "boot": BOOT, "seq": 1, "captured_at": 1})),
    "size": changed(STATUS, payload=b"\x00" * 70_000),
    "foreign_vin": changed(STATUS, topic=DIALECT.topics.status(OTHER)),
    "vin": changed(STATUS, topic="fleet/v1/nobody/status"),
    "topic": changed(STATUS, topic=f"fleet/v1/{VIN}/stored"),
    "name": changed(DIALECT.from_car(event(1)), topic=DIALECT.topics.event(VIN, "other")),
    "content_type": changed(STATUS, content_type="text/plain"),
    "range": DIALECT.from_car(status(0)),
    "key": changed(EVENT, payload=msgspec.msgpack.encode(EVENT_PLAIN | {"data": {"x": {None: 1}}})),
    "ext": changed(EVENT, payload=msgspec.msgpack.encode(EVENT_PLAIN | {"data": {"x": msgspec.msgpack.Ext(1, b"")}})),
    "infinite": changed(EVENT, payload=msgspec.msgpack.encode(EVENT_PLAIN | {"data": {"x": math.inf}})),
    "future": DIALECT.from_car(status(1, boot=BOOT + 50 * 365 * DAY)),
    "answer_topic": changed(
        DIALECT.desk_request(SetSpin(id="x", vin=VIN, spin="4711"), answer_topic=DIALECT.topics.command(VIN, "lock")), qos=1
    ),
    "retained": changed(DIALECT.desk_request(SetSpin(id="x", vin=VIN, spin="4711"), answer_topic=ANSWERS), retain=True, qos=1),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_not_understood_goes_to_quarantine(path: Path, name: str) -> None:
    """One row with the reason, acknowledged like everything else, and the next message is stored as if nothing was."""
    bad, reason = BAD[name], REASONS.get(name, name)
    async with running(path) as lab:
        lab.session.deliver(bad, *car(event(2)))
        await lab.session.wait_for_acknowledged(2)
        assert lab.backend.snapshot().quarantined == {reason: 1}
        assert len(lab.backend.snapshot().warnings) == 1
    with lab.reader() as reader:
        assert (reader.account().stored, reader.account().quarantined_by_reason) == (1, {reason: 1})
    with sqlite3.connect(path) as connection:
        ((topic, size, payload),) = connection.execute("SELECT topic, size, payload FROM quarantine").fetchall()
    connection.close()
    assert topic == bad.topic
    assert size == len(bad.payload)
    assert payload == (None if reason in {"answer_topic", "retained"} else bad.payload[:4096])


async def test_a_readable_header_is_accounted_for(path: Path) -> None:
    async with running(path) as lab:
        lab.session.deliver(BAD["type"], BAD["type"])
        await lab.session.wait_for_acknowledged(2)
    with lab.reader() as reader:
        assert reader.account(boots={BOOT}).quarantined_of_boots == 1


async def test_an_unreadable_request_is_answered_and_its_payload_not_kept(path: Path) -> None:
    """It may hold an S-PIN, so nothing of it is written anywhere; the asker still learns of it."""
    async with running(path) as lab:
        request = DIALECT.desk_request(SetSpin(id="x", vin=VIN, spin="4711"), answer_topic=ANSWERS)
        lab.session.deliver(changed(request, payload=request.payload + b"4711"))
        answer = await lab.state("x", "rejected")
        assert (answer.reason, answer.final) == ("malformed", True)
    with sqlite3.connect(path) as connection:
        ((payload, detail),) = connection.execute("SELECT payload, detail FROM quarantine").fetchall()
    connection.close()
    assert payload is None
    assert "4711" not in detail


async def test_a_defect_costs_one_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever our own code raises for one message, the others are stored."""
    async with running(path) as lab:
        monkeypatch.setattr(FleetDialect, "read_from_car", lambda *_: 1 / 0)
        lab.session.deliver(*car(event(1)))
        monkeypatch.undo()
        lab.session.deliver(*car(event(2)))
        await lab.session.wait_for_acknowledged(2)
        assert lab.backend.snapshot().quarantined == {"internal": 1}
        assert lab.backend.snapshot().stored == 1


async def test_a_removed_presence_is_no_message(path: Path) -> None:
    """Clearing a retained presence arrives as an empty payload."""
    async with running(path) as lab:
        lab.session.deliver(Frame(topic=DIALECT.topics.presence(VIN), payload=b""), *car(event(1)))
        await lab.session.wait_for_acknowledged(2)
        assert lab.backend.snapshot().quarantined == {}


async def test_json_is_kept_as_messagepack(path: Path) -> None:
    """Readers of the store need one codec only."""
    async with running(path) as lab:
        lab.session.deliver(FleetDialect(codec=json_codec()).from_car(status(1)))
        await lab.session.wait_for_acknowledged(1)
    with lab.reader() as reader:
        (row,) = reader.history(VIN)
        assert (row.content_type, row.content["mileage_km"]) == ("application/json", 1.0)


# --- no room, no store


async def test_a_full_disk_holds_acknowledgements_back_and_then_goes_on(path: Path, gate: Gate) -> None:
    """StoreFull is tried again with a warning until there is room."""
    gate.errors = [StoreFull(str(path))]
    gate.opened.set()
    async with running(path) as lab:
        lab.session.deliver(*car(status(1)))
        await lab.session.wait_for_acknowledged(1)
        assert gate.sizes == [1, 1]
        warnings = lab.backend.snapshot().warnings
        assert "no room left" in warnings[0]
        assert "room again" in warnings[1]


async def test_stop_does_not_wait_for_room(path: Path, gate: Gate) -> None:
    """What cannot be stored stays with the broker."""
    gate.errors = [StoreFull(str(path))] * 100
    gate.opened.set()
    async with running(path) as lab:
        lab.session.deliver(*car(status(1)))
        await lab.backend.stop(limit_s=0.05)
        assert lab.session.unacknowledged


async def test_a_broken_store_ends_the_back_end(path: Path, gate: Gate) -> None:
    """`run` raises what happened, and nothing was acknowledged."""
    gate.errors = [StoreError("the disk is gone")] * 10
    gate.opened.set()
    session = FakeSession()
    backend = Backend(config(path, session))
    await backend.start()
    session.deliver(*car(status(1)))
    with pytest.raises(StoreError, match="disk is gone"):
        await backend.run()
    with pytest.raises(StoreError, match="disk is gone"):
        await backend.stop()
    assert session.unacknowledged


# --- commands


async def test_a_command_goes_to_the_car_and_its_answers_to_the_user(path: Path) -> None:
    """From the request to the car's end, each state is stored before it is told."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence(), status(1)))
        lab.command("a")
        await lab.state("a", "sent")
        (command,) = lab.commands()
        lab.session.deliver(*car(response(2, command, "accepted"), response(3, command, "succeeded")))
        answer = await lab.state("a", "succeeded")
        assert (answer.final, answer.by) == (True, "car")
        assert [given.state for given in lab.answers("a")] == ["queued", "sent", "accepted", "succeeded"]
        snapshot = lab.backend.snapshot()
        assert snapshot.commands_ended == {"succeeded": {"": 1}}
        assert (snapshot.round_trip.count, snapshot.commands_open) == (1, 0)
    with lab.reader() as reader:
        assert [step.state for step in reader.transitions("a")] == ["queued", "sent", "accepted", "succeeded"]
        assert reader.command_round_trip(awake=True).count == 1
        assert reader.account().stored == 3


async def test_a_command_is_stored_before_it_is_sent(path: Path, gate: Gate) -> None:
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        lab.command("a")
        await gate.wait_for_commit()
        assert lab.session.published == []
        gate.opened.set()
        await lab.state("a", "sent")


async def test_a_restart_sends_again_what_was_queued_and_answers_what_was_asked(path: Path) -> None:
    """A back end that dies between commit and publish leaves nobody waiting; the same id is never a second command."""
    session = FakeSession()
    session.takes_publishes = False
    async with running(path, session) as lab:
        lab.session.deliver(*car(presence()))
        lab.command("a")
        await session.wait_for(lambda: bool(lab.commands()))
    again = FakeSession()
    async with running(path, again) as lab:
        await lab.state("a", "sent")
        (command,) = lab.commands()
        lab.session.deliver(*car(response(1, command, "succeeded")))
        await lab.state("a", "succeeded")
    async with running(path) as lab:
        lab.command("a")
        await lab.state("a", "succeeded")
        assert lab.commands() == []


@pytest.mark.parametrize("frame", [*BAD.values()])
async def test_an_emergency_call_that_cannot_be_stored_is_passed_on(path: Path, frame: Frame) -> None:
    """The message goes to quarantine, and the emergency centre is told what can be told of it: the car by its topic at least."""
    call = changed(frame, topic=DIALECT.topics.event(VIN, "ecall"), qos=1, retain=False)
    async with running(path) as lab:
        lab.session.deliver(call, *car(event(2)))
        await lab.session.wait_for_acknowledged(2)
    with lab.reader() as reader:
        (notice,) = reader.notices()
        assert (notice.vin, notice.to, notice.kind) == (VIN, "emergency_centre", "ecall")
        assert reader.account().quarantined == 1


async def test_an_emergency_call_in_quarantine_is_passed_on_once(path: Path) -> None:
    """When its number can be read: sent again, also to another back end, it is the same call."""
    call = msgspec.msgpack.encode(EVENT_PLAIN | {"name": "ecall", "data": {"id": "c", "position": {"latitude": math.inf}}})
    frame = changed(EVENT, topic=DIALECT.topics.event(VIN, "ecall"), payload=call)
    async with running(path) as lab:
        lab.session.deliver(frame, frame)
        await lab.session.wait_for_acknowledged(2)
    async with running(path) as lab:
        lab.session.deliver(frame)
        await lab.session.wait_for_acknowledged(1)
    with lab.reader() as reader:
        (notice,) = reader.notices()
        assert notice.data == {"id": "c", "position": {"latitude": None}, "country": None}
        assert reader.account().quarantined == 1


async def test_cars_are_told_what_is_stored_where_they_want_it(path: Path) -> None:
    """Through the first gap, and what is beyond it: a number that was dropped must not hold up the others."""
    async with running(path, announce_stored=True) as lab:
        lab.session.deliver(*car(status(1), status(2), status(4)))
        await lab.session.wait_for(lambda: bool(lab.session.published))
        (frame,) = lab.session.published
        assert (frame.topic, frame.qos) == (DIALECT.topics.stored(VIN), 0)
        assert msgspec.msgpack.decode(frame.payload) == {"boot": BOOT, "through": 2, "high": 4, "gaps": [[3, 3]]}


# --- answers that outlive the back end


# --- messages that overtake each other


def said(name: str, seq: int, **data: Any) -> Event:
    return Event(vin=VIN, boot=BOOT, seq=seq, captured_at=seq, name=name, data=data)


RESET, PAIRED, CLOSED = said("car_reset", 3, by="car"), said("car_paired", 4), said("privacy_changed", 5, mode="online")
ORDERS = list(permutations((RESET, PAIRED, CLOSED)))


@pytest.mark.parametrize(
    "order", list(permutations((RESET, PAIRED, CLOSED))), ids=lambda order: str([each.seq for each in order])
)
async def test_a_reset_that_comes_late_takes_the_rights_of_before_it(path: Path, order: tuple[Event, ...]) -> None:
    """Lost behind the broker and repeated: the previous owner's S-PIN is worth nothing."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.set_spin("1111", "old owner")
        lab.session.deliver(*car(*order))
        await lab.session.wait_for_acknowledged(4)
        lab.command("old", name="unlock", spin="1111")
        assert (await lab.state("old", "rejected")).reason == "spin_required"


@pytest.mark.parametrize(
    "order", list(permutations((RESET, PAIRED, CLOSED))), ids=lambda order: str([each.seq for each in order])
)
async def test_what_is_given_after_the_pairing_stays_across_restarts(path: Path, order: tuple[Event, ...]) -> None:
    """Each message is heard by another back end, and all of them once more by the last one."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.set_spin("1111", "old owner")
    for message in order:
        async with running(path) as lab:
            lab.session.deliver(*car(message))
            await lab.session.wait_for_acknowledged(1)
            if message is PAIRED:
                await lab.set_spin("2222", "new owner")
    async with running(path) as lab:
        lab.session.deliver(*car(*order))
        await lab.session.wait_for_acknowledged(3)
        lab.command("old", name="unlock", spin="1111")
        assert (await lab.state("old", "rejected")).reason == "spin_wrong"
        lab.command("new", name="unlock", spin="2222")
        await lab.state("new", "sent")
        assert lab.backend.snapshot().duplicates == 3


async def test_the_presence_of_an_earlier_boot_is_old_after_a_restart_too(path: Path) -> None:
    """A will that comes late does not put a car to deep sleep that has started anew since."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.session.wait_for_acknowledged(1)
    async with running(path) as lab:
        late = msgspec.structs.replace(presence("offline", reason="deep_sleep"), boot=BOOT - 1)
        lab.session.deliver(*car(late))
        await lab.session.wait_for_acknowledged(1)
        lab.command("a")
        await lab.state("a", "sent")


async def test_fields_that_nobody_knows_can_be_looked_at_whatever_they_hold(path: Path) -> None:
    """A status with them is a status; `fleet history` shows what is plain of them."""
    known = msgspec.to_builtins(status(1))
    odd = [{"more": {None: 1}}, {"more": msgspec.msgpack.Ext(-1, b"\xff" * 12)}, {"more": msgspec.msgpack.Ext(3, b"x")}]
    async with running(path) as lab:
        for seq, more in enumerate(odd, start=1):
            payload = msgspec.msgpack.encode(known | {"seq": seq} | more)
            lab.session.deliver(changed(STATUS, payload=payload))
        raw = msgspec.msgpack.encode(known | {"seq": 4, "more": "????"}).replace(b"????", b"\xff\xfe\xff\xfe")
        lab.session.deliver(changed(STATUS, payload=raw))
        await lab.session.wait_for_acknowledged(4)
    shown = call("history", VIN, "--json", "--store", str(path))
    assert len(json.loads(shown.out)) == lab.backend.snapshot().stored > 0
    assert call("history", VIN, "--store", str(path)).code == 0
    assert call("status", VIN, "--store", str(path)).code == 0


async def test_who_floods_with_unreadable_emergency_calls_does_not_fill_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones of a car are passed on; what is beyond is counted and told, and no other car's call suffers."""
    monkeypatch.setattr(consumer, "UNREADABLE_CALLS", 3)
    async with running(path) as lab:
        topics = [DIALECT.topics.event(vin, "ecall") for vin in (VIN, VIN, VIN, VIN, VIN, OTHER)]
        lab.session.deliver(*[Frame(topic=topic, payload=b"?") for topic in topics])
        await lab.session.wait_for_acknowledged(6)
        assert any("unreadable emergency calls" in warning for warning in lab.backend.snapshot().warnings)
    with lab.reader() as reader:
        assert sorted(notice.vin for notice in reader.notices()) == [VIN, VIN, VIN, OTHER]


# --- clocks that are off


@pytest.mark.parametrize("announced", [True, False])
async def test_a_status_twenty_years_ahead_holds_nothing_up_and_is_told(path: Path, announced: bool) -> None:
    """The car is shown as of its next status; `fleet cars` and `fleet status` say that a clock is off, and in which message."""
    now = wall_us()
    async with running(path) as lab:
        if announced:
            lab.ask(AnnounceClock(id="clock", start=now, epoch_wall_us=now, factor=1.0))
            await lab.state("clock", "succeeded")
        ahead = now + 20 * 365 * DAY
        lab.session.deliver(*car(status(1, captured_at=now), status(2, captured_at=ahead), status(1, OTHER, captured_at=now)))
        await lab.session.wait_for_acknowledged(3)
        assert any(f"a clock is off: {VIN}" in warning for warning in lab.backend.snapshot().warnings) == announced
        lab.session.deliver(*car(status(3, captured_at=now + 1)))
        await lab.session.wait_for_acknowledged(4)
    with lab.reader() as reader:
        twin = reader.status(VIN)
        assert twin is not None
        assert twin.captured_at == now + 1
        assert [row.captured_at for row in reader.cars()] == [now + 1, now]
        (found,) = reader.clocks_ahead([VIN, OTHER]).items()
        assert (found[0], found[1].seq, found[1].captured_at) == (VIN, 2, ahead)
    shown = call("status", VIN, "--store", str(path))
    assert "a clock is off: message 2" in shown.text
    assert json.loads(call("status", VIN, "--json", "--store", str(path)).out)["clock_ahead"]["seq"] == 2
    listed = json.loads(call("cars", "--json", "--store", str(path)).out)
    assert [(row["vin"], row["clock_ahead"]) for row in listed] == [(VIN, True), (OTHER, False)]
    assert "a clock is off" in call("cars", "--store", str(path)).text


async def test_what_was_stored_under_another_clock_is_not_called_ahead(path: Path) -> None:
    """A store that goes on with another scenario: only what came after the last announcement can be judged by it."""
    async with running(path) as lab:
        lab.session.deliver(*car(status(1, captured_at=BOOT)))
        await lab.session.wait_for_acknowledged(1)
        lab.ask(AnnounceClock(id="clock", start=1_000 * DAY, epoch_wall_us=wall_us(), factor=2.0))
        await lab.state("clock", "succeeded")
    with lab.reader() as reader:
        assert reader.clocks_ahead([VIN]) == {}
