"""The records of a service centre make another one decide the same, also one that was restarted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet import __version__
from fleet.backend.service import Backend
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.registry import RULES
from fleet.cloud.rule import CentreInput, CentreOutput, CommandEnded, Keep, ServiceAsked
from fleet.observe.journal import JOURNAL, Begin, JournalWriter, Record
from fleet.observe.packing import packed, read_lines
from fleet.runtime.assembly import vocabulary
from fleet.runtime.centre_codec import CENTRE, CentreCodec
from fleet.runtime.journalling import BackendRecorder
from fleet.runtime.recording import Recorded
from fleet.runtime.reexecution import Reexecution
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import Overrides, load
from fleet.scenario.scalars import ClockFactor
from fleet.wire.messages import Event, Request, ServiceRequest
from tests.backend.fake_link import FakeSession
from tests.backend.lab import BOOT, BackendLab, car, config, presence, status
from tests.backend.test_planted import FragileStore, fragile_of
from tests.runtime.test_virtual_stage import Quiet

VIN = "VSSZZZKMZPR000001"
NOW = 1_772_000_000_000_000
SETTINGS = [{"name": "seat", "value": "7"}]


@pytest.fixture(scope="module")
def of_a_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of the shipped day with online services."""
    out = tmp_path_factory.mktemp("online")
    overrides = Overrides(settings={}, cars=None, seed=None, clock=ClockFactor.parse("virtual"))
    scenario = load(resource_dir("scenarios") / "online-day.yaml", vocabulary(), overrides)
    virtual_run(RunConfig(scenario=scenario, out=out), Quiet()).execute()
    return packed(out / JOURNAL)


def records_of(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in read_lines(path)]


def test_a_day_of_requests_is_decided_again_alike(of_a_day: Path) -> None:
    given = [record for record in records_of(of_a_day) if record["m"] == CENTRE]
    assert {record["type"] for record in given if record["k"] == "in"} == {"Request", "ServiceAsked"}
    assert {record["type"] for record in given if record["k"] == "out"} == {"Keep", "SendReply", "Notify", "Answer"}
    found = Reexecution(of_a_day).run()
    assert found.difference is None
    assert found.machines == 27, "cars, desk and centre"


def test_another_answer_than_the_recorded_one_is_told(of_a_day: Path, tmp_path: Path) -> None:
    records = records_of(of_a_day)
    reply = next(record for record in records if record.get("type") == "SendReply")
    reply["data"]["reply"]["error"] = "internal"
    path = tmp_path / JOURNAL
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    difference = Reexecution(path).run().difference
    assert difference is not None
    assert (difference.machine, difference.expected) == (CENTRE, "SendReply")
    assert [name for name, *_ in difference.fields] == ["reply.error"]


def journalled(records: list[Record], state: dict[str, dict[str, Any]]) -> Recorded[CentreInput, CentreOutput]:
    codec = CentreCodec(lambda now: (now or NOW, None))
    records.append(codec.start_record(state))
    return Recorded(ServiceCentre(RULES, state), codec, records.append)


def test_a_centre_that_was_restarted_is_run_again_from_its_notes(tmp_path: Path) -> None:
    """Every kind of input is read back as it was."""
    saved: dict[str, dict[str, Any]] = {"online": {f"profile/{VIN}/primary": {"seat": "7"}}}
    records: list[Record] = []
    centre = journalled(records, saved)
    header: dict[str, Any] = {"vin": VIN, "boot": 1, "captured_at": NOW}
    outputs = centre.receive(Request(**header, seq=1, id="r1", name="personalisation"), NOW)
    assert msgspec.to_builtins(outputs[0])["reply"]["data"]["settings"] == SETTINGS
    centre.receive(Event(**header, seq=2, name="car_reset", data={"by": "car"}), NOW)
    centre.receive(ServiceAsked(ServiceRequest(id="a1", service="online", action="show", vin=VIN), "topic"), NOW)
    centre.receive(CommandEnded(f"centre-campaign-spring-{VIN}-1", VIN, "rejected", "busy"), NOW)
    centre.wake(NOW)
    assert any(isinstance(output, Keep) for output in centre.receive(Event(**header, seq=3, name="car_paired"), NOW))
    writer = JournalWriter(tmp_path / JOURNAL, Begin(0, "run", "begin", version="0.1.0", parts=("backend",)))
    for record in records:
        writer.write(record)
    writer.close(NOW, {})
    found = Reexecution(tmp_path / JOURNAL).run()
    assert found.difference is None
    assert (found.machines, found.inputs) == (1, 7)


async def test_a_back_end_that_begins_anew_in_mid_run_is_run_again_alike(tmp_path: Path) -> None:
    """A commit that failed is undone: desk and centre begin from the store, and the journal says so."""
    writer = JournalWriter(tmp_path / JOURNAL, Begin(0, "run", "begin", version=__version__, parts=("backend",)))
    hooks = BackendRecorder(writer)
    session = FakeSession()
    backend = Backend(hooks.applied(config(tmp_path / "fleet.sqlite", session, open_store=FragileStore)))
    hooks.follow(backend.clock.known_now)
    async with backend:
        lab = BackendLab(tmp_path / "fleet.sqlite", session, backend)
        await lab.announce(2.0)
        session.deliver(*car(presence(), status(1)))
        fragile_of(backend).fails = lambda sql, _: TypeError if "INSERT INTO notice" in sql else None
        call = Event(vin=VIN, boot=BOOT, seq=2, captured_at=2, name="ecall", data={})
        session.deliver(*car(call))
        lab.command("a", "refresh")
        await lab.state("a", "sent")
        await session.wait_for(lambda: not session.unacknowledged)
        assert backend.snapshot().quarantined == {"internal": 1}
    writer.close(NOW, {})
    found = Reexecution(tmp_path / JOURNAL).run()
    assert found.difference is None
    kinds = [record.get("type") for record in records_of(tmp_path / JOURNAL)]
    assert kinds.count("DeskStart") == kinds.count("CentreStart") + 1 > 1
