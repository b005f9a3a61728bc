"""Runs the machines of a journal again on what they were given, and compares what they want with what was written down.

Needs no broker, store or clock, and takes a live journal as well as a virtual one: what a clock, a thread or a person brought
in stands there as an input. Secrets do not; see `desk_codec`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fleet import __version__
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk import Desk
from fleet.cloud.registry import RULES
from fleet.errors import JournalError
from fleet.observe.journal import Begin, Input, JournalReader, Output, Record, Wake
from fleet.observe.story import CAR, named, short, story
from fleet.runtime.assembly import build_cars
from fleet.runtime.car_codec import CarCodec
from fleet.runtime.centre_codec import CENTRE, CentreCodec
from fleet.runtime.desk_codec import DESK, DeskCodec
from fleet.runtime.journalling import scenario_of
from fleet.runtime.limits import look_for_garbage_rarely
from fleet.runtime.recording import Replayed
from fleet.vehicle.car import Car

Wanted = tuple[str, Any]
"""The type of an output (with that of its message), and its fields."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first output that is not the recorded one. `fields` has name, recorded value and value now; "–" is nothing."""

    path: Path
    line: int
    machine: str
    expected: str
    got: str
    fields: Sequence[tuple[str, str, str]]
    story: Sequence[str]


@dataclass(kw_only=True)
class Agreement:
    """The machines that were run again; without a `difference` all outputs agreed."""

    machines: int = 0
    inputs: int = 0
    outputs: int = 0
    warnings: list[str] = field(default_factory=list)
    difference: Difference | None = None


class _Disagreed(Exception):
    """A recorded output of a machine and the one that came now; None is no output."""

    def __init__(self, machine: str, expected: Wanted | None, got: Wanted | None) -> None:
        self.machine = machine
        self.expected = expected
        self.got = got


class Reexecution:
    """One journal, run again by `run`."""

    def __init__(self, path: Path) -> None:
        """Read the first line. Raises JournalError, OSError."""
        self._path = path
        self._reader = JournalReader(path)
        self._cars: dict[str, Car] | None = None
        self._machines: dict[str, Replayed[Any, Any]] = {}
        self._due: dict[str, deque[Output]] = {}
        self._found = Agreement()

    def run(self) -> Agreement:
        """Run all machines to the journal's end, or to the first difference. Raises JournalError where a line is none."""
        found, line = self._found, 0
        begin = self._reader.begin
        if begin.version != __version__:
            self._reader.warnings.append(
                f"{self._path}: written by fleet {begin.version}, and this is {__version__}: differences may come from that"
            )
        try:
            for line, record in enumerate(self._reader, 1):
                self._step(record, line)
            if self._reader.end is not None and self._reader.end.complete:
                for machine, due in self._due.items():
                    self._nothing_left(machine, due)
        except _Disagreed as disagreed:
            found.difference = self._difference(disagreed, line)
        found.machines = len(self._machines)
        gaps = [f"{self._path}:{gap.line}: {gap.finding}" for gap in self._reader.gaps]
        found.warnings = [*self._reader.warnings, *gaps]
        return found

    def _step(self, record: Record, line: int) -> None:
        match record:
            case Input() | Wake():
                self._run_again(record, line)
                self._found.inputs += 1
            case Output():
                self._compare(record, line)
                self._found.outputs += 1
            case _:
                pass  # links and store are not machines of this kind

    def _run_again(self, record: Input | Wake, line: int) -> None:
        machine = self._machine(record.m, line)
        due = self._due[record.m]
        self._nothing_left(record.m, due)
        now = record.t if record.now is None else record.now
        message = self._read(machine, record, line) if isinstance(record, Input) else None
        if message is None and isinstance(record, Input):
            return  # it begins anew
        try:
            due.extend(machine.wake(now) if message is None else machine.receive(message, now))
        except Exception as error:
            error.add_note(f"{self._path}:{line}: {record.m} was given this")
            raise

    def _read(self, machine: Replayed[Any, Any], record: Input, line: int) -> Any:
        try:
            return machine.read(record)
        except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
            raise self._unfit(f"{record.m} cannot be given a {named(record)}: {error}", line) from None

    def _unfit(self, message: str, line: int) -> JournalError:
        hint = f"It was written by fleet {self._reader.begin.version}; this is {__version__}."
        return JournalError(message, file=str(self._path), line=line, hint=hint)

    def _nothing_left(self, machine: str, due: deque[Output]) -> None:
        if due:
            raise _Disagreed(machine, None, (named(due[0]), self._machines[machine].comparable(due[0])))

    def _compare(self, record: Output, line: int) -> None:
        machine = self._machine(record.m, line)
        due = self._due[record.m]
        expected = named(record), machine.comparable(record)
        output = due.popleft() if due else None
        got = None if output is None else (named(output), machine.comparable(output))
        if got != expected:
            raise _Disagreed(record.m, expected, got)

    # --- machines

    def _machine(self, name: str, line: int) -> Replayed[Any, Any]:
        machine = self._machines.get(name)
        if machine is None:
            machine = self._machines[name] = self._new(name, line)
            self._due[name] = deque()
        return machine

    def _new(self, name: str, line: int) -> Replayed[Any, Any]:
        if name == DESK:
            return Replayed(Desk(), DeskCodec())
        if name == CENTRE:
            return Replayed(ServiceCentre(RULES), CentreCodec())
        return Replayed(self._car(name, line), CarCodec(name.removeprefix(CAR)))

    def _car(self, name: str, line: int) -> Car:
        if self._cars is None:
            self._cars = self._build(self._reader.begin)
        car = self._cars.get(name.removeprefix(CAR))
        if car is None or not name.startswith(CAR):
            raise self._unfit(f"{name} is no machine that the first line tells how to build", line)
        return car

    def _build(self, begin: Begin) -> dict[str, Car]:
        if begin.scenario is None or begin.start is None or begin.boot is None:
            raise self._unfit("the first line does not tell how to build cars", 1)
        try:
            scenario = scenario_of(begin)
        except (msgspec.ValidationError, ValueError) as error:
            raise self._unfit(f"the scenario cannot be read: {error}", 1) from None
        cars = build_cars(
            scenario,
            start=begin.start,
            boot=begin.boot,
            index=begin.index,
            count=begin.count,
            until_stored=begin.until_stored,
            remembers=begin.remembers,
        )
        machines = {car.vin: car for car in cars}
        look_for_garbage_rarely()
        return machines

    # --- the difference

    def _difference(self, disagreed: _Disagreed, line: int) -> Difference:
        expected, got = disagreed.expected, disagreed.got
        return Difference(
            path=self._path,
            line=line,
            machine=disagreed.machine,
            expected="nothing more" if expected is None else expected[0],
            got="nothing more" if got is None else got[0],
            fields=list(_differing(expected and expected[1], got and got[1])),
            story=story(self._path, disagreed.machine, line),
        )


def _differing(expected: Any, got: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each field in which two values differ, by its path."""
    if isinstance(expected, dict | None) and isinstance(got, dict | None) and (expected or got):
        left, right = expected or {}, got or {}
        for key in dict.fromkeys((*left, *right)):
            yield from _differing(left.get(key), right.get(key), f"{name}.{key}" if name else str(key))
    elif expected != got:
        yield name, _shown(expected), _shown(got)


def _shown(value: Any) -> str:
    return "–" if value is None else short(msgspec.json.encode(value).decode())
