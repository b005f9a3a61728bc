"""Runs the machines of a journal again on what they were given, and compares what they want with what was written down.

Needs no broker, store or clock, and takes a live journal as well as a virtual one: what a clock, a thread or a person brought
in stands there as an input. Secrets do not; see `journalled_desk`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, get_args

import msgspec

from fleet import __version__
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import DeskInput, DeskOutput
from fleet.cloud.registry import RULES
from fleet.cloud.rule import CentreInput
from fleet.errors import JournalError
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input, JournalReader, Output, Record, Wake
from fleet.observe.story import CAR, named, short, story
from fleet.runtime.assembly import build_cars
from fleet.runtime.journalled_centre import CENTRE, CentreStart, centre_record, read_centre_input
from fleet.runtime.journalled_desk import DESK, DeskStart, DeskWords, Restored, read_desk_input, read_desk_start
from fleet.runtime.journalling import output_record, scenario_of
from fleet.runtime.limits import look_for_garbage_rarely
from fleet.vehicle.car import Car
from fleet.vehicle.signals import CarInput, CarOutput, Received
from fleet.wire.messages import ToCar

_NOTHING: Final[dict[str, Any]] = {}

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
    """What has been run again; without a `difference` all of it agreed."""

    machines: int = 0
    inputs: int = 0
    outputs: int = 0
    warnings: list[str] = field(default_factory=list)
    difference: Difference | None = None


class _Again(Protocol):
    """One machine that runs again."""

    def read(self, record: Input) -> Any: ...
    def take(self, message: Any, now: Instant) -> Sequence[Wanted]: ...
    def wake(self, now: Instant) -> Sequence[Wanted]: ...
    def recorded(self, record: Output) -> Wanted: ...


class _CarAgain:
    """A car, built anew."""

    def __init__(self, car: Car) -> None:
        self._car = car

    def read(self, record: Input) -> CarInput:
        """Return what the car was given. Raises KeyError, msgspec.ValidationError."""
        if record.type == Received.__name__:
            came: ToCar = msgspec.convert(record.data["message"], _TO_CAR[record.of])
            return Received(came, before=record.data.get("before", False))
        message: CarInput = msgspec.convert(record.data or {}, _CAR_INPUTS[record.type])
        return message

    def take(self, message: CarInput, now: Instant) -> Sequence[Wanted]:
        return self._wanted(self._car.receive(message, now), now)

    def wake(self, now: Instant) -> Sequence[Wanted]:
        return self._wanted(self._car.wake(now), now)

    def recorded(self, record: Output) -> Wanted:
        return named(record), record.data

    def _wanted(self, outputs: Sequence[CarOutput], now: Instant) -> Sequence[Wanted]:
        return [self.recorded(_as_read(output_record(output, "", now))) for output in outputs]


class _DeskAgain:
    """A desk that begins as the recorded one did. The words of a refusal that could have held an S-PIN are not compared."""

    def __init__(self) -> None:
        self._desk = Desk()
        self._words = DeskWords()
        self._unfit: set[str] = set()

    def read(self, record: Input) -> DeskInput | DeskStart | Restored:
        """Return what the desk was given. Raises KeyError, msgspec.ValidationError."""
        if record.type == DeskStart.__name__:
            return read_desk_start(record.data)
        if record.type == Restored.__name__:
            return msgspec.convert(record.data, Restored)
        request = record.data.get("request", _NOTHING)
        if "parameters" in request and request["parameters"] is None:
            self._unfit.add(request["id"])
        return read_desk_input(record.type, record.data)

    def take(self, message: DeskInput | DeskStart | Restored, now: Instant) -> Sequence[Wanted]:
        if isinstance(message, DeskStart):
            self._desk = message.desk()
            return ()
        if isinstance(message, Restored):
            return self._wanted(self._desk.restore(message.commands, now))
        self._words.of_input(message)  # so that they know the tokens that stand for the real ones
        return self._wanted(self._desk.receive(message, now))

    def wake(self, now: Instant) -> Sequence[Wanted]:
        return self._wanted(self._desk.wake(now))

    def _wanted(self, outputs: Sequence[DeskOutput]) -> Sequence[Wanted]:
        plain = [Output(0, DESK, "out", type(output).__name__, None, self._words.of_output(output)) for output in outputs]
        return [self.recorded(_as_read(record)) for record in plain]

    def recorded(self, record: Output) -> Wanted:
        for told in (record.data, record.data.get("answer", _NOTHING)):
            if told.get("command_id", told.get("id")) in self._unfit:
                told.pop("detail", None)
        return named(record), record.data


class _CentreAgain:
    """A service centre that begins as the recorded one did."""

    def __init__(self) -> None:
        self._centre = ServiceCentre(RULES)

    def read(self, record: Input) -> CentreInput | CentreStart:
        """Return what the centre was given. Raises KeyError, msgspec.ValidationError."""
        return read_centre_input(record.type, record.data)

    def take(self, message: CentreInput | CentreStart, now: Instant) -> Sequence[Wanted]:
        if isinstance(message, CentreStart):
            self._centre = ServiceCentre(RULES, message.state)
            return ()
        return [self.recorded(_as_read(centre_record(output, now))) for output in self._centre.receive(message, now)]

    def wake(self, now: Instant) -> Sequence[Wanted]:
        return [self.recorded(_as_read(centre_record(output, now))) for output in self._centre.wake(now)]

    def recorded(self, record: Output) -> Wanted:
        return named(record), record.data


_CAR_INPUTS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(CarInput)}
_TO_CAR: Final[dict[str | None, type[Any]]] = {kind.__name__: kind for kind in get_args(ToCar)}


_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Output).decode


def _as_read(record: Output) -> Output:
    """Return a record as it would be read from a file."""
    return _DECODE(_ENCODE(record))


class _Disagreed(Exception):
    """What was recorded of a machine, and what there is now; None is nothing."""

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
        self._machines: dict[str, _Again] = {}
        self._due: dict[str, deque[Wanted]] = {}
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
        gaps = [f"{self._path}:{gap.line}: {gap.told}" for gap in self._reader.gaps]
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
        try:
            due.extend(machine.wake(now) if message is None else machine.take(message, now))
        except Exception as error:
            error.add_note(f"{self._path}:{line}: {record.m} was given this")
            raise

    def _read(self, machine: _Again, record: Input, line: int) -> Any:
        try:
            return machine.read(record)
        except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
            raise self._unfit(f"{record.m} cannot be given a {named(record)}: {error}", line) from None

    def _unfit(self, message: str, line: int) -> JournalError:
        hint = f"It was written by fleet {self._reader.begin.version}; this is {__version__}."
        return JournalError(message, file=str(self._path), line=line, hint=hint)

    def _nothing_left(self, machine: str, due: deque[Wanted]) -> None:
        if due:
            raise _Disagreed(machine, None, due[0])

    def _compare(self, record: Output, line: int) -> None:
        expected = self._machine(record.m, line).recorded(record)
        due = self._due[record.m]
        got = due.popleft() if due else None
        if got != expected:
            raise _Disagreed(record.m, expected, got)

    # --- machines

    def _machine(self, name: str, line: int) -> _Again:
        machine = self._machines.get(name)
        if machine is None:
            machine = self._machines[name] = self._made(name, line)
            self._due[name] = deque()
        return machine

    def _made(self, name: str, line: int) -> _Again:
        if name == DESK:
            return _DeskAgain()
        return _CentreAgain() if name == CENTRE else self._car(name, line)

    def _car(self, name: str, line: int) -> _Again:
        if self._cars is None:
            self._cars = self._build(self._reader.begin)
        car = self._cars.get(name.removeprefix(CAR))
        if car is None or not name.startswith(CAR):
            raise self._unfit(f"{name} is no machine that the first line tells how to build", line)
        return _CarAgain(car)

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

    # --- what is told

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
