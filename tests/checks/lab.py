"""Journals to be judged: real ones of virtual runs, in which faults are planted, and short ones written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from fleet.checks.cars import Beginnings, unknown
from fleet.checks.verification import Verification, verify
from fleet.kernel.instants import MINUTE, SECOND
from fleet.observe.journal import JOURNAL, JournalReader
from fleet.observe.packing import packed, read_lines
from fleet.runtime.assembly import beginnings_of, equipment_of, privacy_of, vocabulary
from fleet.runtime.journalling import scenario_of
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import parse
from fleet.vehicle.catalogue import Equipment
from fleet.wire.messages import Event, Request, Response, Status
from tests.runtime.test_virtual_stage import Quiet

Records = list[dict[str, Any]]
KINDS: dict[str, type[Any]] = {"Status": Status, "Event": Event, "Response": Response, "Request": Request}
START = 1_772_424_000_000_000
VIN = "VSSZZZKLZTR000000"
CAR = f"car/{VIN}"

DAY = """\
scenario: a-broken-day
purpose: All that the checks look at, with a broker that dies twice.
seed: 20
start: 2026-03-02T05:00Z
duration: 17 h
clock: virtual
region: munich
fleets:
  - {name: heated, count: 8, models: {Ateca: 2}, profile: commuter, coverage: {garages: 20 %, holes: 20 %},
     equipment: {parking_heater: true, remote_ventilation: true}}
  - {name: electric, count: 5, models: {Born: 1}, profile: commuter}
commands:
  - {name: refresh, count: 28}
  - {name: honk, count: 18, parameters: {mode: flash}, distance: {from: 0 m, to: 900 m}}
  - {name: lock, count: 28, spin: {right: 60 %, wrong: 40 %}}
  - {name: unlock, count: 10, spin: {right: 60 %, wrong: 40 %}}
  - {name: heater, count: 42, fleet: heated, spin: {right: 100 %},
     parameters: {action: [start, start, stop], minutes: [10, 20, 60]}}
  - {name: heater, count: 4, fleet: electric, parameters: {action: start, minutes: 10}, spin: {right: 100 %}}
  - {name: ventilation, count: 21, fleet: heated, spin: {right: 100 %},
     parameters: {action: [start, start, stop], minutes: [20, 30, 60]}}
  - {name: climatisation, count: 21, fleet: electric, spin: {right: 100 %}, parameters: {target_c: [18, 24.5, 29]}}
  - {name: charging, count: 14, fleet: electric, parameters: {action: [start, start, stop]}}
  - {name: charging_settings, count: 21, fleet: electric,
     parameters: {limit_percent: [60, 80, 100], max_current_a: {from: 6, to: 16}}}
  - {name: departure_timers, count: 14, fleet: electric, spin: right,
     parameters: {timers: [{at: "14:30", days: [monday]}, {at: "19:00", date: "2026-03-02"}]}}
load:
  - {do: ask_status, rate: 28 per hour}
timeline:
  - {at: 90 min, do: plug_in, cars: {fleet: electric, share: 50 %}}
  - {at: 3 h 10 min, do: unplug, cars: {fleet: electric}}
  - {at: 13 h, do: plug_in, cars: {fleet: electric, share: 50 %}}
  - {every: 50 min, do: ask, request: parking_places, data: {radius_km: 50}, cars: {share: 50 %}}
  - {at: 2 h, do: ask, request: traffic, cars: {share: 20 %}}
  - {at: 2 h, broker: kill}
  - {at: 2 h 2 min, broker: start}
  - {at: 11 h, broker: kill}
  - {at: 11 h 8 min, broker: start}
  - {every: 30 min, do: open, door: boot, cars: {share: 30 %}}
  - {every: 47 min, do: close, door: boot, cars: {share: 30 %}}
  - {every: 3 h, do: engine_on, cars: {count: 3}}
  - {at: 4 h, do: low_fuel, level: 4 %, cars: {share: 20 %}}
  - {at: 5 h, do: lose_coverage, cars: {share: 40 %}}
  - {at: 8 h, do: regain_coverage, cars: {share: 40 %}}
  - {at: 4 h, do: fault, fault: headlight, cars: {fleet: heated, count: 1}}
"""


def run_day(out: Path, text: str = DAY, *, until_stored: bool = False) -> Path:
    """Run a scenario virtually and return its journal."""
    scenario = parse(text, "day.yaml", vocabulary())
    virtual_run(RunConfig(scenario=scenario, out=out, until_stored=until_stored), Quiet()).execute()
    return packed(out / JOURNAL)


def equipment_in(path: Path) -> dict[str, Equipment]:
    return equipment_of(scenario_of(JournalReader(path).begin))


def judged(path: Path, equipment: Mapping[str, Equipment] | None = None) -> Verification:
    begin = JournalReader(path).begin
    if begin.scenario is None or begin.start is None:
        return verify(path, equipment or {})
    scenario = scenario_of(begin)
    fitted = equipment_of(scenario) if equipment is None else equipment
    return verify(path, fitted, privacy_of(scenario), beginnings_of(scenario, begin.start))


def broken(found: Verification) -> set[str]:
    """Return the names of the checks that found something."""
    return {finding.check for finding in found.findings if finding.broken}


def told(found: Verification, check: str) -> list[str]:
    """Return what one check says."""
    return [breach.told for finding in found.findings if finding.check == check for breach in finding.breaches]


def read_records(path: Path) -> Records:
    """Return the records of a journal without its marks, so that what is planted breaks no more than it is meant to."""
    records = [msgspec.json.decode(line) for line in read_lines(path)]
    for name in ("line", "crc32"):
        records[-1].pop(name, None)
    return [record for record in records if record["k"] != "mark"]


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return path


# --- planting ------------------------------------------------------------------------------------------------------


def find(records: Records, where: Callable[[dict[str, Any]], object], **fields: Any) -> int:
    """Return the place of the first record with these fields for which `where` holds."""
    for index, record in enumerate(records):
        if all(record.get(name) == value for name, value in fields.items()) and where(record):
            return index
    raise AssertionError(f"the journal has no {fields} such as is wanted")


def find_message(records: Records, of: str, where: Callable[[dict[str, Any]], object], *, after: int = 0) -> int:
    """Return the place of the first message of this kind that was sent once and for which `where` holds."""
    again = {(r["m"], r["data"]["message"]["seq"]) for r in records if r.get("type") == "Transmit" and r["data"]["again"]}
    return after + find(
        records[after:],
        lambda r: (r["m"], r["data"]["message"]["seq"]) not in again and where(r["data"]["message"]),
        k="out",
        type="Transmit",
        of=of,
    )


def reframe(records: Records, index: int) -> None:
    """Give the frame of a changed message the bytes that it would have."""
    record = records[index]
    message, link = record["data"]["message"], record["m"].replace("car/", "link/")
    payload = msgspec.msgpack.encode(msgspec.convert(message, KINDS[record["of"]]))
    frame = index + find(records[index:], lambda r: r["token"] == message["seq"], k="publish", m=link)
    records[frame] |= {"bytes": len(payload), "crc32": crc32(payload)}


# --- by hand -------------------------------------------------------------------------------------------------------


class Paper:
    """The journal of one car and its desk, written by hand. Time passes by a second with each record."""

    def __init__(self, clock: str = "virtual") -> None:
        self.now = START
        self._seq = 0
        self._records: Records = [
            {"t": START, "m": "run", "k": "begin", "format": "fleet-journal/1", "parts": ["simulator"], "clock": clock}
        ]
        self.write(CAR, "in", "LinkUp", {"session_present": False})

    def begin(self, **fields: Any) -> None:
        """Add to what the first line says."""
        self._records[0] |= fields

    def write(self, machine: str, kind: str, type_: str, data: Any, of: str | None = None) -> None:
        self.now += SECOND
        self._records.append({"t": self.now, "m": machine, "k": kind, "type": type_, "of": of, "data": data})

    @property
    def last(self) -> dict[str, Any]:
        """The message written last."""
        message: dict[str, Any] = self._records[-1]["data"]["message"]
        return message

    def receive(self, link: str, topic: str) -> None:
        """Let a link receive a frame of which nothing else matters."""
        self.now += SECOND
        self._records.append({"t": self.now, "m": link, "k": "received", "topic": topic, "bytes": 1})

    def pass_time(self, minutes: float) -> None:
        self.now += int(minutes * MINUTE)

    def send(self, of: str, *, seq: int | None = None, **fields: Any) -> None:
        """Let the car send a message that it measures now."""
        self._seq = self._seq + 1 if seq is None else seq
        header = {"vin": VIN, "boot": 7, "seq": self._seq, "captured_at": self.now + SECOND}
        self.write(CAR, "out", "Transmit", {"message": header | fields, "due_at": self.now, "again": False}, of)

    def event(self, name: str, **data: Any) -> None:
        self.send("Event", name=name, data=data)

    def status(self, trigger: str = "load", state: str = "parked", **groups: Any) -> None:
        self.send("Status", trigger=trigger, state=state, **groups)

    def get(self, command_id: str, name: str, valid_min: float = 60, **parameters: Any) -> None:
        """Let the car receive a command."""
        expires_at = self.now + int(valid_min * MINUTE)
        command = {"id": command_id, "vin": VIN, "name": name, "issued_at": self.now, "expires_at": expires_at}
        self.write(CAR, "in", "Received", {"message": command | {"parameters": parameters}}, "Command")

    def answer(self, command_id: str, name: str, *states: str, reason: str | None = None, detail: str = "", **more: Any) -> None:
        said: dict[str, Any] = {"awake": True} | ({"detail": detail} if detail else {}) | more
        before = None
        for state in states:
            if before == "accepted" and state in {"succeeded", "failed"} and reason != "interrupted":
                self.send("Response", command_id=command_id, name=name, state="in_progress", reason=reason, **said)
            before = state
            self.send("Response", command_id=command_id, name=name, state=state, reason=reason, **said)

    def move_door(self, name: str, *, opened: bool) -> None:
        self.write(CAR, "in", "SetOpening", {"name": name, "opened": opened})

    def desk(self, kind: str, type_: str, **data: Any) -> None:
        self.write("desk", kind, type_, data)

    def judge(
        self,
        folder: Path,
        *,
        end: dict[str, int] | None = None,
        equipment: Mapping[str, Equipment] | None = None,
        beginnings: Beginnings = unknown,
    ) -> Verification:
        """Write the journal, with an end when there is an account, and judge it."""
        records = [*self._records]
        if end is not None:
            records.append({"t": self.now, "m": "run", "k": "end", "complete": True, "account": end})
        return verify(write_records(folder / JOURNAL, records), equipment or {}, beginnings=beginnings)
