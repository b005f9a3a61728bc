"""A journal run again: the same decisions, or the first that is not, with what went before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from fleet import cli
from fleet.cloud.desk_io import CarSeen, ClockChanged, CommandAsked, PresenceChanged
from fleet.errors import JournalError
from fleet.kernel.instants import MINUTE
from fleet.observe.journal import JOURNAL, Begin, JournalReader, JournalWriter, Output, Record
from fleet.observe.packing import packed, read_lines
from fleet.runtime.journalling import begin_of
from fleet.runtime.reexecution import Agreement, Difference, Reexecution
from fleet.vehicle.car import Car
from fleet.vehicle.status import build_status
from fleet.wire.messages import CommandRequest, Status
from tests.cli.lab import fleet
from tests.cloud.desk_lab import TOPIC, VIN, DeskLab
from tests.runtime.test_journalling import SPIN, desk_lab, lived, secretive

COMMANDED = """\
scenario: commanded
purpose: Cars in the open that drive and are commanded, with right and wrong S-PINs.
seed: 11
start: 2026-03-02T05:00
duration: 6 h
clock: x3600
region: munich
fleets:
  - {name: driven, count: 12, models: {Leon: 1, Born: 1}, profile: commuter}
commands:
  - {name: lock, count: 20, time_to_live: 5 h, spin: {right: 60 %, wrong: 40 %}}
  - {name: refresh, count: 20, time_to_live: 5 h}
load:
  - {do: ask_status, rate: 60 per hour}
"""


def write(path: Path, begin: Begin, records: list[Record]) -> Path:
    writer = JournalWriter(path, begin)
    for record in records:
        writer.write(record)
    writer.close(records[-1].t, {})
    return path


@pytest.fixture
async def of_cars(tmp_path: Path) -> Path:
    """The journal of some cars that have lived for a while."""
    records: list[Record] = []
    lab = await lived(records)
    begin = begin_of(lab.scenario, parts=("simulator",), start=lab.clock.start, boot=7, until_stored=False)
    return write(tmp_path / JOURNAL, begin, records)


def of_desk(path: Path, story: Callable[[DeskLab], object]) -> Path:
    """The journal of a desk to which this happened."""
    records: list[Record] = []
    story(desk_lab(records))
    return write(path, Begin(0, "run", "begin", version="0.1.0", parts=("backend",)), records)


def changed(path: Path, change: Callable[[list[bytes]], None]) -> Path:
    """Change the lines of a journal."""
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))
    return path


def difference_of(found: Agreement) -> Difference:
    assert found.difference is not None
    return found.difference


# --- cars -------------------------------------------------------------------------------------------------------------


def test_cars_decide_the_same_again(of_cars: Path) -> None:
    """All machines, inputs and outputs of the journal are gone through, and agree."""
    found = Reexecution(of_cars).run()
    records = list(JournalReader(of_cars))
    assert found.difference is None
    assert found.warnings == []
    assert found.machines == 5
    assert found.inputs == sum(record.k in {"in", "wake"} for record in records)
    assert found.outputs == sum(isinstance(record, Output) for record in records) > 30


def test_a_changed_rule_is_found(of_cars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first status that comes out otherwise is shown: where, which car, which field, and the car's story before it."""

    def dishonest(car: Car, *arguments: Any) -> Status:
        status = build_status(car, *arguments)
        return status if status.mileage_km is None else msgspec.structs.replace(status, mileage_km=status.mileage_km + 1000)

    monkeypatch.setattr("fleet.vehicle.car.build_status", dishonest)
    found = difference_of(Reexecution(of_cars).run())
    records = list(JournalReader(of_cars))
    recorded = records[found.line - 1]
    built = [r for r in records if isinstance(r, Output) and r.of == "Status" and r.data["message"]["trigger"] != "load"]
    assert recorded == next(r for r in built if "mileage_km" in r.data["message"])
    assert (found.machine, found.expected, found.got) == (recorded.m, "Transmit Status", "Transmit Status")
    ((name, before, now),) = found.fields
    assert name == "message.mileage_km"
    assert float(now) - float(before) == pytest.approx(1000)
    assert 2 < len(found.story) <= 20
    assert found.story[-1].startswith(f"{found.line}: 2026-03-02T")
    assert all(machine in {found.machine, f"link/{found.machine[4:]}"} for machine in machines_of(of_cars, found.story))


def machines_of(path: Path, story: Any) -> set[str]:
    records = list(JournalReader(path))
    return {records[int(line.partition(":")[0]) - 1].m for line in story}


def line_of(lines: list[bytes], kind: bytes) -> int:
    return next(number for number, line in enumerate(lines) if kind in line)


def test_an_output_that_is_missing_is_found(of_cars: Path) -> None:
    """A car that wants more than was recorded differs at the next thing that is recorded of it."""

    def take_out(lines: list[bytes]) -> None:
        del lines[line_of(lines, b'"type":"Announce"')]

    found = difference_of(Reexecution(changed(of_cars, take_out)).run())
    assert (found.expected, found.got) == ("nothing more", "Announce")


def test_an_output_that_is_too_much_is_found(of_cars: Path) -> None:
    """So is one that was recorded and does not come."""

    def double(lines: list[bytes]) -> None:
        number = line_of(lines, b'"type":"Announce"')
        lines.insert(number, lines[number])

    found = difference_of(Reexecution(changed(of_cars, double)).run())
    assert (found.expected, found.got) == ("Announce", "nothing more")
    assert "presence.vin" in {name for name, _, _ in found.fields}


def test_a_journal_that_was_cut_off_agrees_up_to_there(of_cars: Path) -> None:
    """Even when the cut parts an input from its outputs; it is said."""

    def cut(lines: list[bytes]) -> None:
        del lines[line_of(lines, b'"type":"Announce"') :]

    found = Reexecution(changed(of_cars, cut)).run()
    assert found.difference is None
    assert "cut off" in found.warnings[0]


def test_another_version_is_said(of_cars: Path) -> None:
    """It may be why something differs; it is tried all the same."""

    def older(lines: list[bytes]) -> None:
        lines[0] = lines[0].replace(b'"version":"0.1.0"', b'"version":"0.0.1"')

    found = Reexecution(changed(of_cars, older)).run()
    assert "0.0.1" in found.warnings[0]
    assert found.difference is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"type":"PowerOn"', b'"type":"PowerUp"', "cannot be given a PowerUp"),
        (b'"session_present":true', b'"session_present":1', "cannot be given a LinkUp"),
        (b'"m":"car/VSS', b'"m":"car/WSS', "no machine that the first line tells how to build"),
    ],
)
def test_what_cannot_be_given_to_a_machine_is_said_with_its_line(of_cars: Path, old: bytes, new: bytes, said: str) -> None:
    """An input of another version, or of a car that is not there."""
    number = 0

    def spoil(lines: list[bytes]) -> None:
        nonlocal number
        number = next(n for n, line in enumerate(lines) if old in line and b'"m":"car/' in line)
        lines[number] = lines[number].replace(old, new)

    path = changed(of_cars, spoil)
    with pytest.raises(JournalError, match=said) as raised:
        Reexecution(path).run()
    assert raised.value.line == number + 1
    assert "0.1.0" in raised.value.hint


def test_a_defect_says_at_which_line_it_shows(of_cars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error itself goes on, with the place beside it."""

    def broken(*_: object) -> Status:
        raise ZeroDivisionError

    monkeypatch.setattr("fleet.vehicle.car.build_status", broken)
    with pytest.raises(ZeroDivisionError) as raised:
        Reexecution(of_cars).run()
    assert f"{of_cars}:" in raised.value.__notes__[0]


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_a_desk_decides_the_same_without_the_secrets(tmp_path: Path) -> None:
    """S-PINs, hashes and tokens are not in the journal; who was right, and which token was good, still comes out."""
    found = Reexecution(of_desk(tmp_path / JOURNAL, secretive)).run()
    assert found.difference is None
    assert (found.machines, found.outputs > 20) == (1, True)


def test_a_locked_spin_and_a_jump_of_the_clock_come_out_the_same(tmp_path: Path) -> None:
    """Three wrong tries lock it, time jumps, commands expire or stay unknown, an id is asked again."""

    def story(lab: DeskLab) -> None:
        lab.set_spin(SPIN)
        for number in range(4):
            lab.ask(f"guess {number}", "lock", spin=f"000{number}")
        lab.set_spin(SPIN)
        lab.ask("first", "lock", spin=SPIN)
        lab.ask("first", "lock", spin=SPIN)
        lab.give(ClockChanged(60.0, 5 * MINUTE))
        lab.now += 5 * MINUTE
        lab.give(PresenceChanged(VIN, "offline", "deep_sleep"))
        lab.ask("asleep")
        lab.give(CarSeen("VSSZZZKMZPR000003"))
        lab.ask("never connected", vin="VSSZZZKMZPR000003")
        lab.wake(90 * MINUTE)
        lab.car("first", "succeeded")

    found = Reexecution(of_desk(tmp_path / JOURNAL, story)).run()
    assert found.difference is None
    assert found.outputs > 20


def test_a_token_that_should_not_be_good_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk that took any token would show, though the journal knows tokens by number only."""
    path = of_desk(tmp_path / JOURNAL, secretive)
    monkeypatch.setattr("fleet.cloud.spin_guard.SpinGuard.token_valid", lambda *given: given[2] is not None)
    found = difference_of(Reexecution(path).run())
    assert found.machine == "desk"
    assert ("state", '"rejected"', '"queued"') in found.fields


def test_words_that_could_hold_a_spin_are_not_compared_and_the_decision_is(tmp_path: Path) -> None:
    """Parameters that no command has are not kept, so why they were refused in detail is taken as recorded."""

    def story(lab: DeskLab) -> None:
        request = CommandRequest(id="odd", vin=VIN, name="lock", parameters={"pin": SPIN}, spin="0001")
        lab.give(CommandAsked(request, TOPIC))

    path = of_desk(tmp_path / JOURNAL, story)
    assert Reexecution(path).run().difference is None
    changed(path, lambda lines: lines.__setitem__(slice(None), [line.replace(b'"malformed"', b'"busy"') for line in lines]))
    assert ("reason", '"busy"', '"malformed"') in difference_of(Reexecution(path).run()).fields


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_counts_what_agreed(of_cars: Path) -> None:
    """Exit code 0, and how much was gone through."""
    done = CliRunner().invoke(cli.application(), ["reexecute", str(of_cars)])
    assert done.exit_code == 0
    assert "5 machines, " in done.stdout
    assert "all as recorded" in done.stdout


def test_the_command_shows_the_first_difference(of_cars: Path) -> None:
    """Exit code 1; file and line, the field with both values, and the story. As JSON, too."""
    changed(
        of_cars, lambda lines: lines.__setitem__(slice(None), [line.replace(b'"again":false', b'"again":true') for line in lines])
    )
    done = CliRunner().invoke(cli.application(), ["reexecute", str(of_cars)])
    assert done.exit_code == 1
    assert f"difference {of_cars}:" in done.stdout
    assert ["again", "true", "false"] in [line.split() for line in done.stdout.splitlines()]
    assert "PowerOn" in done.stdout.partition("its story before it")[2]
    told = CliRunner().invoke(cli.application(), ["reexecute", str(of_cars), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["difference"]["fields"] == [["again", "true", "false"]]


# --- live -------------------------------------------------------------------------------------------------------------


@pytest.mark.live
async def test_a_live_run_is_run_again_without_a_difference(tmp_path: Path) -> None:
    """Broker, sockets, threads and wall times: all of them are inputs. No S-PIN of the users is in the file."""
    (tmp_path / "commanded.yaml").write_text(COMMANDED)
    ran = await fleet("run", "commanded.yaml", "--out", "out", cwd=tmp_path)
    assert ran.code in {0, 3}, ran.text  # a busy machine makes a run invalid, which is nothing to a journal
    path = tmp_path / "out" / JOURNAL
    again = await fleet("reexecute", path, "--json", cwd=tmp_path)
    assert again.code == 0, again.text
    found = json.loads(again.out)
    assert found["warnings"] == []
    assert found["machines"] == 13
    records = list(JournalReader(path))
    assert {record.m.partition("/")[0] for record in records} == {"run", "car", "link", "desk", "store"}
    assert not any(b'"digest"' in line for line in read_lines(packed(path)))
    last: Any = records[-1]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert last.complete
    for name in ("created", "stored", "duplicates"):
        assert last.account[name] == report[name]
    numbered = [message for record in records if record.k == "stored" for message in getattr(record, "messages", ())]
    assert len(set(map(tuple, numbered))) == len(numbered) == report["stored"]


@pytest.mark.live
async def test_without_a_journal_there_is_none(tmp_path: Path) -> None:
    """`--no-journal` leaves neither the whole nor a part."""
    (tmp_path / "commanded.yaml").write_text(COMMANDED.replace("6 h", "1 h"))
    ran = await fleet("run", "commanded.yaml", "--out", "out", "--no-journal", cwd=tmp_path)
    assert ran.code in {0, 3}, ran.text
    assert not list((tmp_path / "out").glob("journal*"))
