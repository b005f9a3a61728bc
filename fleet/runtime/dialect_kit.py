"""The conformance kit of dialects: what any of them must hold, whoever wrote it, tried with all that cars send and get.

`check_dialect` tries messages, topics, commands and the account. A message that a dialect has no place for is declared in its
`leaves_out`, in the words of mapping files: `status.health`, `triggers.load`, `events.trip`, `responses.accepted`, `presence` …
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from fleet.errors import InvalidVin, Undecodable, Unwritable
from fleet.runtime.broker_acl import acl_text
from fleet.runtime.dialect_days import live_through, sample_day
from fleet.runtime.dialect_samples import Sample, end_of, label_of, samples_of_rule_book
from fleet.runtime.dialects import open_dialect
from fleet.transport.simulated_access import AccessControl
from fleet.wire.dialect import CarEnd, CarFacts, Dialect
from fleet.wire.frame import Frame
from fleet.wire.messages import STATUS_GROUPS, TERMINAL_STATES, Command, FromCar, Presence, Reply, Response, Status, Stored, ToCar
from fleet.wire.vin import is_vin

MOST_SHOWN: Final = 20
_OTHER_VIN: Final = "VSSZZZK1ZZZ999999"
_NUMBERS: Final = ("boot", "seq", "captured_at")
_CLOUD: Final = "cloud"
_DEEP: Final = 8
"""Groups whose influence is tried for each kind of status, so many times at most."""
Make = Callable[[], Dialect]


@dataclass
class KitCheck:
    """One promise, how often it was tried, what breaks it (each with how often), and what is worth knowing beside."""

    name: str
    promise: str
    tried: int = 0
    breaches: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether nothing breaks it."""
        return not self.breaches


@dataclass
class KitReport:
    """The outcome of all checks of a dialect."""

    dialect: str
    checks: list[KitCheck]

    @property
    def holds(self) -> bool:
        """Whether all hold."""
        return all(check.holds for check in self.checks)

    def lines(self) -> Iterator[str]:
        """Yield the outcome in words."""
        for check in self.checks:
            yield f"{'ok   ' if check.holds else 'FAILS'} {check.name}: {check.promise} ({check.tried} tried)"
            yield from _counted("      breach: ", check.breaches)
            yield from _counted("      ", check.notes)

    def to_plain(self) -> dict[str, Any]:
        """Return it for machines."""
        checks = [
            {
                "name": each.name, "promise": each.promise, "holds": each.holds, "tried": each.tried,
                "breaches": dict(each.breaches), "notes": dict(each.notes),
            }
            for each in self.checks
        ]  # fmt: skip
        return {"dialect": self.dialect, "holds": self.holds, "checks": checks}


def _counted(head: str, texts: Counter[str]) -> Iterator[str]:
    for text, count in texts.most_common(MOST_SHOWN):
        yield f"{head}{text}" + (f" ({count} times)" if count > 1 else "")
    if len(texts) > MOST_SHOWN:
        yield f"{head}and {len(texts) - MOST_SHOWN} more"


def check_dialect(choice: str) -> KitReport:
    """Put the kit to a dialect by its name, mapping file or `module:Class`; takes some seconds. Raises UsageError."""
    judge = _Judge(partial(open_dialect, choice), samples_of_rule_book())
    judge.run()
    checks = [judge.messages, judge.topics, judge.commands]
    return KitReport(choice, [*checks, check_account(choice)] if judge.is_read else checks)


def check_account(choice: str) -> KitCheck:
    """Let an ordinary day pass in a dialect, with a back end of ours that reads it."""
    check = KitCheck("account", "in a run, what was created is stored, left out or on its way, and the checks hold")
    day = live_through(sample_day(dialect=choice), journal=True)
    report = day.report
    check.tried = report["created"]
    parts = ("stored", "in_outbox", "dropped", "quarantined", "refused", "left_out", "lost")
    whole = sum(report[part] or 0 for part in parts)
    if whole != report["created"]:
        shown = " + ".join(f"{report[part]} {part}" for part in parts)
        check.breaches[f"{report['created']} created are not {shown}"] += 1
    for part in ("lost", "quarantined", "refused"):
        if report[part]:
            check.breaches[f"{report[part]} messages are {part}"] += 1
    check.breaches.update(day.breaches)
    for kind, count in (report.get("left_out_by") or {}).items():
        check.notes[f"left out: {kind}"] = count
    return check


class _Judge:
    """Tries messages, topics and commands of a dialect with samples."""

    def __init__(self, make: Make, found: Iterable[Sample]) -> None:
        self._make = make
        self._samples = list(found)
        self._dialect = make()
        self._cloud = make()
        self._left_out = frozenset(getattr(self._dialect, "leaves_out", ()))
        filters = [
            each for each, _ in self._dialect.topics.backend_subscriptions() if each != self._dialect.topics.desk_request()
        ]
        self._hears = AccessControl.parse("\n".join([f"user {_CLOUD}", *(f"topic read {each}" for each in filters)]))
        self.is_read = bool(filters)
        """Whether a back end of ours subscribes to what cars send in it."""
        self._access = None if self._dialect.access is None else AccessControl.parse(acl_text(topics=self._dialect.access))
        self._ends: dict[str, CarEnd] = {}
        self._answering: set[str] = set()
        self._influences: Counter[str] = Counter()
        self._seen_groups: set[str] = set()
        self.messages = KitCheck("messages", "every message of ours survives, or is declared in leaves_out")
        self.topics = KitCheck("topics", "no frame leaves the car's own topics")
        self.commands = KitCheck("commands", "every command arrives as it was sent, and every answer goes out")

    def run(self) -> None:
        """Try all samples, in their order."""
        for sample in self._samples:
            if isinstance(sample.message, Command | Reply | Stored):
                self._to_car(sample, sample.message)
            else:
                self._from_car(sample, sample.message)
        self._judge_groups()

    def _end_of(self, sample: Sample) -> CarEnd:
        car = sample.car
        end = self._ends.get(car.vin)
        if end is None:
            end = self._ends[car.vin] = self._new_end(sample)
            for frame in (*end.connected(sample.at), *filter(None, (end.will(_lost(sample)),))):
                self._judge_topic(car, frame)
        return end

    def _new_end(self, sample: Sample) -> CarEnd:
        return end_of(self._dialect, sample)

    # --- from cars

    def _from_car(self, sample: Sample, message: FromCar) -> None:
        if isinstance(message, Response) and message.command_id not in self._answering:
            return  # its command cannot be said in this dialect
        check = self.commands if isinstance(message, Response) else self.messages
        check.tried += 1
        label = label_of(message)
        try:
            frames = self._end_of(sample).write(message, sample.at)
        except Unwritable as error:
            check.breaches[f"{label} cannot be written: {error}"] += 1
            return
        for frame in frames:
            self._judge_topic(sample.car, frame)
        if frames:
            self._judge_return(check, label, message, frames)
            if isinstance(message, Status):
                self._try_groups(sample, message)
        elif self._is_declared(message):
            check.notes[f"left out, as declared: {label}"] += 1
        elif not (isinstance(message, Status) and self._says_nothing_new(sample, message)):
            check.breaches[f"{label} is not sent, and not declared in leaves_out"] += 1

    def _is_declared(self, message: FromCar) -> bool:
        return not self._left_out.isdisjoint(_declarations(message))

    def _says_nothing_new(self, sample: Sample, message: Status) -> bool:
        """Tell whether a status is sent by a car of which nothing is known, so that all in it was known."""
        end = self._new_end(sample)
        groups = [name for name in STATUS_GROUPS if getattr(message, name) is not None]
        declared = all(f"status.{name}" in self._left_out for name in groups)
        return declared or bool(end.write(message, sample.at))

    def _judge_return(self, check: KitCheck, label: str, message: FromCar, frames: Sequence[Frame]) -> None:
        """Hold what a back end reads of the frames against what was written."""
        found: list[FromCar] = []
        heard = [frame for frame in frames if self._hears.allows("read", frame.topic, _CLOUD, _CLOUD)]
        if not self.is_read:
            check.notes["no back end of ours reads cars in this dialect: run it with --no-backend"] += 1
            return
        for frame in heard:
            try:
                read = self._cloud.read_from_car(frame)
            except Undecodable as error:
                check.breaches[f"{label} cannot be read again: {error}"] += 1
                return
            if read is not None:
                found.append(read)
        same = [each for each in found if type(each) is type(message) and each.vin == message.vin]
        if not same:
            check.breaches[f"{label} is sent, and a back end cannot tell that it came"] += 1
            return
        different = list(_differences(message, same[-1]))
        if self._cloud.header_of(heard[-1]) is None and any(path == "seq" for path, _, _ in different):
            check.notes["no place for numbers: a back end cannot tell which message was lost"] += 1
            different = [each for each in different if each[0] not in _NUMBERS]
        for path, ours, theirs in different:
            if _matters(path, ours, theirs):
                check.breaches[f"{label} comes back with another {path}: {theirs!r} for {ours!r}"[:200]] += 1
            else:
                check.notes[f"not told apart: {path} {ours!r} is read as {theirs!r}"[:200]] += 1

    def _try_groups(self, sample: Sample, message: Status) -> None:
        """See which groups of a status have a part in its frames: those without which they are other ones."""
        for name in STATUS_GROUPS:
            if getattr(message, name) is None or self._influences[name] >= _DEEP:
                continue
            self._influences[name] += 1
            with_it, without = (self._written_anew(sample, each) for each in (message, replace(message, **{name: None})))
            if with_it != without:
                self._seen_groups.add(name)

    def _written_anew(self, sample: Sample, message: Status) -> list[tuple[str, bytes]]:
        end = self._new_end(sample)
        return [(frame.topic, frame.payload) for frame in end.write(message, sample.at)]

    def _judge_groups(self) -> None:
        for name in STATUS_GROUPS:
            if self._influences[name] and name not in self._seen_groups:
                if {f"status.{name}", "status"} & self._left_out:
                    self.messages.notes[f"left out, as declared: status.{name}"] += 1
                else:
                    self.messages.breaches[f"the status' group {name} is lost, and not declared in leaves_out"] += 1

    # --- topics

    def _judge_topic(self, car: CarFacts, frame: Frame) -> None:
        self.topics.tried += 1
        kind = "/".join("+" if is_vin(level) else level for level in frame.topic.split("/"))
        if self._access is None:
            if not self._dialect.topics.belongs_to(frame.topic, car.vin):
                self.topics.breaches[f"{kind} is not the car's own"] += 1
            return
        if not self._access.allows("write", frame.topic, car.vin, car.client_id):
            self.topics.breaches[f"{kind} is not among the topics that `access` lets cars write"] += 1
        elif self._access.allows("write", frame.topic, _OTHER_VIN, _OTHER_VIN):
            self.topics.notes[f"{kind} is shared: any car may write there"] += 1

    # --- to cars

    def _to_car(self, sample: Sample, message: ToCar) -> None:
        label = label_of(message)
        end = self._end_of(sample)
        try:
            frame = self._cloud.to_car(sample.car.vin, message)
        except (Unwritable, InvalidVin):
            self.commands.notes[f"not in this dialect: {label}"] += 1
            return
        self.commands.tried += 1
        try:
            heard = end.read(frame, sample.at)
        except Undecodable as error:
            self.commands.breaches[f"{label} cannot be read by the car: {error}"] += 1
            return
        came = next((each for each in heard.messages if type(each) is type(message)), None)
        if came is None:
            self.commands.breaches[f"{label} does not arrive"] += 1
        elif isinstance(message, Command) and isinstance(came, Command):
            self._judge_command(label, message, came)

    def _judge_command(self, label: str, sent: Command, came: Command) -> None:
        if (came.id, came.name) != (sent.id, sent.name):
            self.commands.breaches[f"{label} arrives as {came.name}, with another id or name"] += 1
            return
        self._answering.add(sent.id)
        for path, ours, theirs in _different("parameters", sent.parameters, came.parameters):
            self.commands.breaches[f"{label} arrives with another {path}: {theirs!r} for {ours!r}"[:200]] += 1


def _lost(sample: Sample) -> Presence:
    boot = getattr(sample.message, "boot", 1)
    return Presence(vin=sample.car.vin, boot=boot, seq=0, captured_at=sample.at, connection="offline", reason="lost")


def _declarations(message: FromCar) -> set[str]:
    """Return the words that declare a message as left out."""
    if isinstance(message, Status):
        return {"status", "triggers", f"triggers.{message.trigger}"}
    if isinstance(message, Presence):
        return {"presence", f"presence.{message.connection}"}
    if isinstance(message, Response):
        return {"responses", f"responses.{message.state}"}
    kind = f"{type(message).__name__.lower()}s"
    return {kind, f"{kind}.{message.name}"}


# --- differences


def _differences(ours: FromCar, theirs: FromCar) -> Iterator[tuple[str, Any, Any]]:
    """Yield what has come back as something else; what has not come back is judged elsewhere."""
    wanted, found = msgspec.to_builtins(ours), msgspec.to_builtins(theirs)
    for name in found.keys() & wanted.keys():
        yield from _different(name, wanted[name], found[name])


def _different(path: str, ours: Any, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in ours.keys() & theirs.keys():
            yield from _different(f"{path}.{name}", ours[name], theirs[name])
    elif not _alike(path, ours, theirs):
        yield path, ours, theirs


def _matters(path: str, ours: Any, theirs: Any) -> bool:
    """Tell whether a difference is wrong, and not merely two words or flags of ours that are one in the other system."""
    if path == "state" and {ours, theirs} & TERMINAL_STATES:
        return True
    return path in {*_NUMBERS, "name", "command_id", "id", "connection"} or not isinstance(ours, bool | str)


def _alike(path: str, ours: Any, theirs: Any) -> bool:
    """Tell whether two values are the same but for rounding: an instant to a second, another number to a part in fifty, or 1."""
    if isinstance(ours, bool) or not isinstance(ours, int | float):
        return bool(ours == theirs)
    if isinstance(theirs, bool) or not isinstance(theirs, int | float):
        return False
    if path in {"boot", "seq"}:
        return bool(ours == theirs)
    allowed = 1_000_000 if path.endswith("_at") else max(1.0, abs(ours) / 50)
    return abs(ours - theirs) <= allowed
