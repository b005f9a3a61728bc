"""What a journal holds of cars, links and desk: everything that went in and out, and no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from fleet.backend.store import Arrival, Batch, Committed, QuarantinedFrame
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import CommandAsked, SpinVerified, StoreUser
from fleet.errors import ConnectionLost
from fleet.kernel.instants import MINUTE
from fleet.observe.journal import (
    NOT_YET,
    Begin,
    Down,
    Dropped,
    Input,
    JournalReader,
    JournalWriter,
    Opened,
    Output,
    Published,
    ReceivedFrame,
    Record,
    Refused,
    StoredBatch,
    Up,
    Wake,
)
from fleet.runtime.assembly import vocabulary
from fleet.runtime.car_codec import recorded_car
from fleet.runtime.desk_codec import DeskCodec
from fleet.runtime.journalling import BackendRecorder, begin_of, scenario_of
from fleet.runtime.recorded_link import recorded_links
from fleet.runtime.recording import Recorded
from fleet.scenario.loader import load
from fleet.vehicle.signals import Acknowledged, AskStatus, PowerOn, SetCoverage
from fleet.wire.messages import CommandRequest
from tests.cloud.desk_lab import START, TOPIC, VIN, DeskLab
from tests.runtime.pure_lab import DIALECT, PARKED, HandLinks, ShardLab, cars_of, scenario, users_of

ROOT = Path(__file__).parents[2]
SPIN, WRONG_SPIN = "4719", "9361"


async def lived(records: list[Record] | None, cars: int = 3) -> ShardLab:
    """Let some cars live for a while: a command, a load, no network, a message that is refused. None keeps no journal."""
    fleets = PARKED.replace("3", str(cars)) + "  - {name: driven, count: 2, models: {Born: 1}, profile: courier}\n"
    lab = ShardLab(scenario(fleets), write=None if records is None else records.append)
    lab.live()
    held = lab.shard.cars[lab.vin]
    lab.pass_for(MINUTE)
    lab.refresh()
    for _ in range(20):
        lab.pass_for(30 * MINUTE)
        for link in lab.links.made.values():
            for _, token in list(link.published):
                link.take(token)
    held.put(AskStatus())
    lab.link.refuse(lab.link.published[-1][1])
    held.put(SetCoverage(False))
    lab.pass_for(MINUTE)
    held.put(SetCoverage(True))
    lab.link.come_up()
    lab.link.go_down()
    return lab


def of(records: list[Record], machine: str) -> list[Record]:
    return [record for record in records if record.m == machine]


# --- cars and their links ---------------------------------------------------------------------------------------------


def test_a_cars_story_is_complete() -> None:
    """From switching on to the acknowledged status: each input, wake, output, connection and frame once, in its order."""
    records: list[Record] = []
    lab = ShardLab(write=records.append)
    lab.shard.connect()
    lab.links.all_up()
    lab.shard.cars[lab.vin].put(AskStatus())
    (frame, token) = lab.link.published[-1]
    lab.link.take(token)
    ours = [record for record in records if record.m.endswith(lab.vin)]
    kinds = [(record.m.partition("/")[0], type(record), getattr(record, "type", None)) for record in ours]
    assert kinds == [
        ("car", Input, "PowerOn"), ("car", Output, "Connect"), ("link", Opened, None), ("link", Up, None),
        ("car", Input, "LinkUp"), ("car", Output, "Announce"), ("link", Published, None),
        ("car", Input, "AskStatus"), ("car", Output, "Transmit"), ("link", Published, None), ("car", Input, "Acknowledged"),
    ]  # fmt: skip
    assert ours[-1] == Input(lab.clock.now(), f"car/{lab.vin}", "in", "Acknowledged", data=Acknowledged(token))
    assert ours[-2] == Published(
        lab.clock.now(), f"link/{lab.vin}", "publish", frame.topic, len(frame.payload), crc32(frame.payload), token
    )
    opened = ours[2]
    assert isinstance(opened, Opened)
    assert opened.will is not None
    assert opened.will.topic == f"fleet/v1/{lab.vin}/presence"
    assert opened.subscriptions == lab.link.settings.subscriptions


def test_what_comes_late_is_written_as_the_car_takes_it() -> None:
    """A load's request has the instant at which it was due; a car that knows of a later one does not go back to it."""
    records: list[Record] = []
    start = vocabulary().start_of(scenario())
    car = recorded_car(cars_of(scenario())[0], records.append)
    car.receive(PowerOn(), start + MINUTE)
    car.receive(AskStatus(), start + MINUTE - 1)
    car.wake(start)
    assert {record.t for record in records} == {start + MINUTE}


async def test_what_a_link_meets_is_written_down() -> None:
    """A frame that comes in, a refusal, a loss with its reason, a car that cuts its connection."""
    records: list[Record] = []
    lab = await lived(records)
    found = {type(record): record for record in of(records, f"link/{lab.vin}")}
    assert isinstance(refused := found[Refused], Refused)
    assert refused.reason == "Not authorized"
    assert isinstance(down := found[Down], Down)
    assert (down.reason, down.detail) == (ConnectionLost.__name__, "pulled")
    assert isinstance(received := found[ReceivedFrame], ReceivedFrame)
    assert received.topic.endswith("/command/refresh")
    assert Dropped in found
    assert any(isinstance(record, Wake) for record in of(records, f"car/{lab.vin}"))


async def test_a_message_is_written_once() -> None:
    """The frame of a message is told by length and checksum; the message itself is in what the car wanted."""
    records: list[Record] = []
    lab = await lived(records)
    text = msgspec.json.encode([record for record in records if record.m.endswith(lab.vin)]).decode()
    created = lab.shard.cars[lab.vin].car.outbox.created
    repeated = lab.shard.cars[lab.vin].car.outbox.repeated
    assert created > 3
    assert text.count('"captured_at":') == created + repeated + text.count('"presence":{')


async def test_a_journal_changes_nothing() -> None:
    """The same frames leave the same cars with and without it."""
    records: list[Record] = []
    noted, plain = await lived(records), await lived(None)
    assert records
    assert [link.published for link in noted.links.made.values()] == [link.published for link in plain.links.made.values()]


async def test_another_car_changes_no_cars_story() -> None:
    """Records of a car are the same when there is one more of its fleet."""
    few: list[Record] = []
    many: list[Record] = []
    lab = await lived(few, cars=3)
    await lived(many, cars=4)
    assert len(many) > len(few)
    for vin in lab.vins:
        for machine in (f"car/{vin}", f"link/{vin}"):
            assert msgspec.json.encode(of(few, machine)) == msgspec.json.encode(of(many, machine)), machine


STORY = """
import asyncio
import sys
from pathlib import Path
from fleet.observe.journal import JournalWriter
from fleet.runtime.journalling import begin_of
from tests.runtime.test_journalling import lived
records = []
lab = asyncio.run(lived(records))
begin = begin_of(lab.scenario, parts=("simulator",), start=lab.clock.start, boot=7, until_stored=False)
writer = JournalWriter(Path(sys.argv[1]), begin)
for record in records:
    writer.write(record)
writer.close(lab.clock.now(), lab.shard.account())
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Whatever order their hashes have: the same seed and version give the same journal."""
    written = []
    for seed in ("1", "4711"):
        path = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", STORY, str(path)], check=True, env=environment, cwd=ROOT, timeout=60)
        written.append(path.read_bytes())
    assert written[0].count(b"\n") > 100
    assert written[0] == written[1]


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_first_line_holds_the_whole_scenario(file: Path, tmp_path: Path) -> None:
    """Every shipped scenario is read back as it was resolved, so that its very cars can be built again."""
    made = load(file, vocabulary())
    begin = begin_of(made, parts=("simulator",), start=vocabulary().start_of(made), boot=7, until_stored=True)
    JournalWriter(tmp_path / "journal.jsonl", begin).close(0, {})
    found = JournalReader(tmp_path / "journal.jsonl").begin
    assert scenario_of(found) == made
    assert (found.boot, found.until_stored, found.seed, found.clock) == (7, True, made.seed, str(made.clock))


# --- the desk ---------------------------------------------------------------------------------------------------------


def desk_lab(records: list[Record]) -> DeskLab:
    return DeskLab(write=records.append)


def secretive(lab: DeskLab) -> str:
    """Let a user set, give and mistake the S-PIN in every way; return the token that was given out."""
    lab.set_spin(SPIN)
    lab.ask("right", "lock", spin=SPIN)
    lab.ask("wrong", "unlock", spin=WRONG_SPIN)
    lab.ask("no spin", "lock", spin=f"{SPIN}x")
    lab.ask("misplaced", "lock", spin=SPIN, parameters={"spin": SPIN})
    token = next(answer.token for answer in lab.answers("right") if answer.token)
    lab.published("right")
    lab.car("right", "succeeded")
    lab.ask("by token", "lock", token=token)
    lab.ask("by no token", "unlock", token="made up")
    lab.ask("as user", user=SPIN)
    lab.ask("as name", SPIN)
    lab.ask("as vin", vin=SPIN)
    lab.ask("as parameter", "reset", parameters={"user": SPIN})
    lab.set_spin(SPIN, user=SPIN)
    return token


def test_no_secret_is_written_down() -> None:
    """No S-PIN, right, wrong or misplaced, no hash, salt or token; only whether there was one."""
    records: list[Record] = []
    token = secretive(desk_lab(records))
    text = msgspec.json.encode(records).decode()
    for secret in (SPIN, WRONG_SPIN, token, "made up", SPIN[::-1], "salt", "digest"):
        assert secret not in text, secret
    given = {
        record.data["request"]["id"]: record.data["request"]
        for record in records
        if isinstance(record, Input) and record.type == CommandAsked.__name__
    }
    assert (given["right"]["spin"], given["wrong"]["spin"], given["no spin"]["spin"]) == (True, True, False)
    assert given["misplaced"]["parameters"] is None
    verified = next(record.data for record in records if isinstance(record, Input) and record.type == SpinVerified.__name__)
    assert verified["right"] is True
    assert (given["by token"]["token"], given["by no token"]["token"]) == (verified["job"], 0)
    users = [record.data["user"] for record in records if isinstance(record, Output) and record.type == StoreUser.__name__]
    assert users[0]["spin"] is False
    assert users[-1]["spin"] is True


def test_a_request_to_the_desk_has_no_checksum() -> None:
    """Four digits would be found by trying ten thousand; all other frames have theirs."""
    records: list[Record] = []
    lab = ShardLab(write=records.append)
    hand = HandLinks()
    users = users_of(lab, [], recorded_links(hand, records.append, lab.clock.now, DIALECT.topics))  # type: ignore[arg-type]
    users.open()
    hand.all_up()
    lab.shard.connect()
    lab.links.all_up()
    sent = [record for record in records if isinstance(record, Published)]
    asked = [record for record in sent if record.topic == "fleet/v1/desk/request"]
    assert asked
    assert all(record.crc32 is None and record.bytes for record in asked)
    assert all(record.crc32 is not None for record in sent if record not in asked)


def test_a_desk_that_does_not_know_the_time_yet_says_what_it_took_for_it() -> None:
    """`t` is open until the clock has been announced; `now` is what the desk was told."""
    records: list[Record] = []
    desk = Recorded(Desk(), DeskCodec(lambda now: (NOT_YET, now)), records.append)
    desk.receive(CommandAsked(CommandRequest(id="c", vin=VIN, name="lock"), TOPIC), START)
    desk.wake(START + 1)
    asked, *outputs, woken = records
    assert isinstance(asked, Input)
    assert isinstance(woken, Wake)
    assert (asked.t, asked.now, woken.t, woken.now) == (NOT_YET, START, NOT_YET, START + 1)
    assert {record.t for record in outputs} == {NOT_YET}


# --- the store --------------------------------------------------------------------------------------------------------


def arrival(seq: int) -> Arrival:
    return Arrival(VIN, 7, seq, "status", None, "load", 1, None, None, 1, None, b"", None)


def test_a_commit_says_what_was_new_and_what_was_not(tmp_path: Path) -> None:
    """Number by number, in the order of arrival; quarantined messages with their reason."""
    writer = JournalWriter(tmp_path / "journal.jsonl", Begin(0, "run", "begin"))
    hooks = BackendRecorder(writer)
    hooks.follow(lambda: START)
    one, two, three = arrival(1), arrival(2), arrival(1)
    held = QuarantinedFrame(1, "a/topic", "encoding", "no MessagePack", 12, b"x", VIN, 7, 3)
    hooks.committed(Batch(arrivals=[one, two, three], quarantined=[held]), Committed([one, two], 1, []))
    writer.close(START, {})
    _, stored, known, quarantined, _ = JournalReader(tmp_path / "journal.jsonl")
    assert stored == StoredBatch(START, "store", "stored", ((VIN, 7, 1, "status"), (VIN, 7, 2, "status")))
    assert known == StoredBatch(START, "store", "duplicate", ((VIN, 7, 1, "status"),))
    assert (quarantined.m, quarantined.k) == ("store", "quarantine")
