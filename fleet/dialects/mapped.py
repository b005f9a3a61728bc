"""A dialect from a mapping file: cars' ends that write it, and the back end's side that reads it back into our messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from fleet.dialects.base import ForeignDialect, ForeignTopics
from fleet.dialects.car_end import MappedEnd, facts_of
from fleet.dialects.collecting import KNOWN_CARS, Bounded, LastKnown, Numbers, OpenCommands, Parts
from fleet.dialects.commands import CommandPart, ConfirmPart, ReplyPart
from fleet.dialects.compiled import Compiled
from fleet.dialects.patterns import level
from fleet.dialects.reading import UNREADABLE, EntryReader, Values, nested, not_read_back, readers_of, status_of
from fleet.dialects.spec import Mapping as MappingFile
from fleet.errors import Undecodable, Unwritable
from fleet.kernel.instants import Instant
from fleet.wire.clients import car_of
from fleet.wire.dialect import CarEnd, CarFacts, StatusIntervals, TopicAccess
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.intake import check_fields, plain_part
from fleet.wire.messages import (
    EMERGENCIES,
    Command,
    Event,
    FromCar,
    Header,
    Presence,
    Reply,
    Request,
    Response,
    Status,
    ToCar,
    WrittenStatus,
)
from fleet.wire.numbering import NUMBER, Part, read_number
from fleet.wire.topics import Address, Channel, Topics
from fleet.wire.vin import is_vin

_CHANNELS: Final[Mapping[type[FromCar], Channel]] = {
    Status: "status", Event: "event", Response: "response", Request: "request", Presence: "presence",
}  # fmt: skip
_TO_CARS: Final[Mapping[type[Any], Channel]] = {CommandPart: "command", ReplyPart: "reply", ConfirmPart: "stored"}
_HEADER: Final = ("boot", "seq", "captured_at", "due_wall_us", "sent_wall_us")
_LONGEST_TOPIC: Final = 200
Found = tuple[EntryReader, dict[str, str]]


class MappedTopics(ForeignTopics):
    """The topics of a mapping, beside those of our tools and desk."""

    def __init__(self, own: Topics, compiled: Compiled) -> None:
        """Take ours, and the mapping."""
        super().__init__(own)
        self._compiled = compiled
        self._readers = tuple(readers_of(compiled))
        self._known: Bounded[tuple[Found, ...]] = Bounded(KNOWN_CARS)

    @property
    def readers(self) -> tuple[EntryReader, ...]:
        """A reader for each entry for what cars write."""
        return self._readers

    def find(self, topic: str) -> tuple[Found, ...]:
        """Return the entries that may have written to a topic, with the levels that their patterns name."""
        found = self._known.get(topic)
        if found is None:
            matches = ((reader, reader.pattern.match(topic)) for reader in self._readers)
            found = tuple((reader, levels) for reader, levels in matches if levels is not None)
            if len(topic) <= _LONGEST_TOPIC:
                self._known.put(topic, found)
        return found

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:
        """Return the filters of a car of which no more is known than its VIN."""
        known = {"vin": vin, "client_id": vin}
        parts = self._compiled.incoming
        return tuple({(each, part.qos): None for part in parts for each in part.pattern.with_values(known).filters()})

    def backend_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Return the filters of a back end: all that cars send, and what tools ask of the desk."""
        filters = dict.fromkeys(self.car_writes())
        return (*((each, 1) for each in filters), (self.desk_request(), 1))

    def car_writes(self, *, user: bool = False) -> Iterator[str]:
        """Yield filters for all that cars write; with `user` the VIN is %u."""
        for writer, names in self._compiled.outgoing:
            several = writer.pattern.several
            yield from writer.pattern.filters(user=user, values={} if several is None else {several: names})

    def car_reads(self, *, user: bool = False) -> Iterator[str]:
        """Yield filters for all that cars read."""
        for part in self._compiled.incoming:
            yield from part.pattern.filters(user=user)

    def presence(self, vin: str) -> str:
        """Return the topic of a car's presence, as far as the VIN says it; ours where the system has none."""
        for _, writer in self._compiled.presences:
            return next(iter(writer.pattern.with_values({"vin": vin, "client_id": vin}).filters()))
        return super().presence(vin)

    def presence_of_all(self) -> str:
        """Return the filter for the presence of all cars."""
        for _, writer in self._compiled.presences:
            return next(iter(writer.pattern.filters()))
        return super().presence_of_all()

    def parse(self, topic: str) -> Address:
        """Read a topic. Raises Undecodable `topic`."""
        found = self.find(topic)
        if found:
            reader, levels = found[0]
            return Address(_CHANNELS[reader.kind], vin_in(levels) or "", levels.get("event", levels.get("request", "")))
        for part in self._compiled.incoming:
            came = part.pattern.match(topic)
            if came is not None:
                name = part.entry.command if isinstance(part, CommandPart) else ""
                return Address(_TO_CARS[type(part)], vin_in(came) or "", name)
        return super().parse(topic)

    def belongs_to(self, topic: str, vin: str) -> bool:
        """Tell whether only this car may write there; a topic without a VIN belongs to nobody for sure."""
        return any(vin_in(levels) == vin for _, levels in self.find(topic))

    def kind_of(self, topic: str) -> str:
        """Return the topic with + for each placeholder of its pattern."""
        for reader, _ in self.find(topic):
            return reader.pattern.kind
        for part in self._compiled.incoming:
            if part.pattern.match(topic) is not None:
                return part.pattern.kind
        return super().kind_of(topic)


def vin_in(levels: Mapping[str, str]) -> str | None:
    """Return the VIN of a topic, None where it has none."""
    if "vin" in levels:
        return levels["vin"]
    vin = car_of(levels.get("client_id", ""))
    return vin if is_vin(vin) else None


class MappedDialect(ForeignDialect):
    """A dialect from a mapping."""

    def __init__(self, mapping: MappingFile, own: FleetDialect) -> None:
        """Take a mapping that has been checked, and our own dialect for tools and desk."""
        self._compiled = compiled = Compiled(mapping)
        self._mapped_topics = MappedTopics(own.topics, compiled)
        super().__init__(own, self._mapped_topics)
        self.mapping = mapping
        self._parts = Parts()
        self._last_known = LastKnown()
        self._open = OpenCommands()
        self._numbers = Numbers()
        self._facts: Bounded[dict[str, str]] = Bounded(KNOWN_CARS)
        self._learns = not all(part.pattern.with_values({"vin": "", "client_id": ""}).is_filled for part in compiled.incoming)
        self._is_partial = any(writer.remembers or writer.entry_of_status.on_connect for writer in compiled.statuses)

    @property
    def name(self) -> str:
        """The name that the mapping gives itself."""
        return self.mapping.mapping

    @property
    def topics(self) -> MappedTopics:
        """The topics of the mapping."""
        return self._mapped_topics

    @property
    def access(self) -> TopicAccess:
        """The topics of the mapping, and those of our tools and desk."""
        topics = self._mapped_topics
        return TopicAccess(
            car_writes=tuple(dict.fromkeys(topics.car_writes(user=True))),
            car_reads=tuple(dict.fromkeys(topics.car_reads(user=True))),
            cloud_writes=tuple(dict.fromkeys(topics.car_reads())),
            cloud_reads=tuple(dict.fromkeys(topics.car_writes())),
        )

    @property
    def leaves_out(self) -> frozenset[str]:
        """The messages that the mapping declares as left out."""
        return frozenset(self.mapping.leaves_out)

    @property
    def says_stored(self) -> bool:
        """Whether one confirmation covers all messages before it, as our back end has them."""
        return self._compiled.confirm is not None and self._compiled.confirm.is_cumulative

    @property
    def status_intervals(self) -> StatusIntervals:
        """How often cars report while they drive or charge."""
        return StatusIntervals(self.mapping.intervals.driving, self.mapping.intervals.charging)

    @property
    def not_read_back(self) -> tuple[str, ...]:
        """The parts of messages that are sent and that our own back end cannot read, such as `status.health`."""
        return tuple(not_read_back(self._mapped_topics.readers))

    @property
    def compiled(self) -> Compiled:
        """The entries of the mapping."""
        return self._compiled

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd:
        """Return a new end for a car."""
        if self._learns:
            self._facts.put(car.vin, facts_of(car))
        return MappedEnd(self._compiled, car, snapshot)

    # --- car to cloud

    def from_car(self, message: FromCar | WrittenStatus) -> Frame:
        """Write a message that is one frame, as a car does that has sent nothing before. Raises Unwritable for any other."""
        if isinstance(message, WrittenStatus):
            return super().from_car(message)
        end = self.car_end(CarFacts(vin=message.vin, client_id=message.vin), lambda: _no_status(message.vin))
        frames = end.write(message, message.captured_at)
        if len(frames) != 1:
            raise Unwritable("frames", f"a {type(message).__name__} is {len(frames)} frames in this dialect")
        return frames[0]

    def read_from_car(self, frame: Frame) -> FromCar | None:
        """Read a message of a car with the last of its frames, None before, and for what clears a retained one.

        Raises Undecodable: `topic`, `size`, `encoding`, `type`, `number`, `foreign_vin`, `range`.
        """
        if not frame.payload and self._is_cleared(frame):
            return None
        reader, levels, values = self._read(frame)
        part = self._part_of(frame, reader, levels, values)
        if part is None:
            return None
        vin = part.header.vin
        if (named := vin_in(levels)) is not None and named != vin:
            raise Undecodable("foreign_vin", f"{vin[:40]!r} was sent on the topic of {named}")
        if self._learns:
            self._learn(vin, levels)
        whole = self._parts.add(part, values)
        return None if whole is None else self._message(reader, part.header, whole, frame)

    def _is_cleared(self, frame: Frame) -> bool:
        """Tell whether an empty frame only makes the broker forget what it retains, and is no part of a message."""
        retained = any(reader.writer.retain for reader, _ in self._mapped_topics.find(frame.topic))
        return retained and not any(name == NUMBER for name, _ in frame.user_properties)

    def _read(self, frame: Frame) -> tuple[EntryReader, dict[str, str], Values]:
        found = self._mapped_topics.find(frame.topic)
        if not found:
            raise Undecodable("topic", f"{frame.topic[:120]!r} is no topic of this mapping that cars write to")
        problem: Exception | None = None
        for reader, levels in found:
            try:
                values = reader.read(frame, levels)
            except (Undecodable, *UNREADABLE) as error:
                problem = error
                continue
            if values is not None:
                return reader, levels, values
        if isinstance(problem, Undecodable):
            raise problem
        raise Undecodable("type", f"no entry of the mapping writes so: {problem or 'other constants are expected'}")

    def _part_of(self, frame: Frame, reader: EntryReader, levels: Mapping[str, str], values: Values) -> Part | None:
        """Return number and place of a frame, None for one that only adds to what is known."""
        if self._compiled.is_numbered:
            part = read_number(frame)
            if part is None and reader.kind is Status and self._is_partial:
                vin = vin_in(levels)
                if vin is not None:
                    self._last_known.completed(vin, values)
                return None
            if part is None:
                raise Undecodable("number", "the frame has lost its user property: it cannot be told which message it is")
            return part
        vin = vin_in(levels) or values.get("vin")
        if not isinstance(vin, str) or not is_vin(vin):
            raise Undecodable("vin", "neither topic nor payload has a VIN")
        if self.mapping.account == "none" or reader.kind is Presence:
            captured_at = values.get("captured_at")
            captured_at = captured_at if isinstance(captured_at, int) else 0
            if reader.kind is Presence:
                return Part(_header({"vin": vin, "boot": 0, "seq": 0, "captured_at": captured_at, **_numbers(values)}), 1, 1)
            return Part(self._numbers.next(vin, captured_at), 1, 1)
        if reader.kind is Status and self._is_partial and values.get("seq") == 0:
            self._last_known.completed(vin, values)
            return None
        return Part(_header({"vin": vin, **_numbers(values)}), 1, 1)

    def _message(self, reader: EntryReader, header: Header, values: Values, frame: Frame) -> FromCar:
        values = {path: value for path, value in values.items() if path not in Header.__struct_fields__}
        fields = {name: getattr(header, name) for name in Header.__struct_fields__}
        if reader.kind is Status:
            if self._is_partial:
                values = self._last_known.completed(header.vin, values)
            return status_of(nested(values), fields)
        if reader.kind is Response:
            values = self._of_command(header.vin, values, frame)
        try:
            message: FromCar = msgspec.convert({**nested(values), **fields}, reader.kind)
        except msgspec.ValidationError as error:
            raise Undecodable("type", str(error)) from None
        check_fields(message)
        if isinstance(message, Response):
            self._open.ended(message.vin, message.command_id, message.state)
        return message

    def _of_command(self, vin: str, values: Values, frame: Frame) -> Values:
        """Return the values of an answer with the command that it is for."""
        echoed = None if frame.correlation is None else frame.correlation.decode(errors="replace")
        name = values.get("name")
        command = self._open.find(vin, correlation=echoed, command_id=values.get("command_id"), name=name)
        if command is not None:
            return {"awake": True, **values, "command_id": command[0], "name": command[1]}
        return {"awake": True, "name": "unknown", **values, "command_id": values.get("command_id") or echoed or "unknown"}

    def header_of(self, frame: Frame) -> Header | None:
        """Read the header alone of a frame that does not decode as a whole, None without one."""
        if self._compiled.is_numbered:
            return super().header_of(frame)
        with suppress(Undecodable):
            reader, levels, values = self._read(frame)
            if self.mapping.account == "payload" and reader.kind is not Presence:
                return _header({"vin": vin_in(levels) or values.get("vin"), **_numbers(values)})
        return None

    def emergency_of(self, frame: Frame, at: Instant) -> Event | None:
        """Return the readable part of an emergency call that does not decode as a whole; None for anything else."""
        for reader, levels in self._mapped_topics.find(frame.topic):
            named = levels.get("event") or reader.fixed.get("name")
            vin = vin_in(levels)
            values: Values = {}
            with suppress(Undecodable, *UNREADABLE):
                values = reader.read(frame, levels) or {}
            name = values.get("name", named)
            if reader.kind is not Event or not isinstance(name, str) or name not in EMERGENCIES or vin is None:
                continue
            header = self.header_of(frame)
            if header is None or header.vin != vin:
                header = Header(vin=vin, boot=0, seq=0, captured_at=at)
            data = nested(values).get("data")
            return Event(
                vin=vin, boot=header.boot, seq=header.seq, captured_at=header.captured_at, name=name,
                data=plain_part(data) if type(data) is dict else {},
            )  # fmt: skip
        return None

    # --- cloud to car

    def to_car(self, vin: str, message: ToCar, *, expiry_s: int | None = None) -> Frame:
        """Write a message to a car. Raises Unwritable for one that the mapping has no entry for."""
        facts = {"vin": vin, "client_id": vin, **(self._facts.get(vin) or {})}
        if isinstance(message, Command):
            return self._command(message, facts, expiry_s)
        if isinstance(message, Reply):
            for part in self._compiled.replies:
                return part.write(message, facts, expiry_s=expiry_s)
        elif self._compiled.confirm is not None:
            return self._compiled.confirm.write(message, facts)
        raise Unwritable("unmapped", f"the mapping has no entry for a {type(message).__name__}")

    def _command(self, command: Command, facts: Mapping[str, str], expiry_s: int | None) -> Frame:
        problem = f"the mapping has no entry for the command {command.name} with these parameters"
        for part in self._compiled.commands:
            if part.entry.command == command.name:
                try:
                    free = dict.fromkeys(part.pattern.free, level(command.id))  # of levels that may be anything
                    answer_topic = self._answer_topic(command, facts)
                    frame = part.write(command, {**free, **facts}, expiry_s=expiry_s, response_topic=answer_topic)
                except Unwritable as error:
                    problem = error.detail
                    continue
                if frame is not None:
                    self._open.sent(command)
                    return frame
        raise Unwritable("unmapped", problem)

    def _answer_topic(self, command: Command, facts: Mapping[str, str]) -> str | None:
        """Return where the car is asked to answer, None where the mapping has a topic of its own for that."""
        for entry, writer in self._compiled.responses:
            if entry.to_response_topic and (not entry.commands or command.name in entry.commands):
                with suppress(Unwritable):
                    return writer.pattern.fill({**facts, "command": command.name, "id": command.id})
        return None

    def read_to_car(self, frame: Frame) -> ToCar:
        """Read a message to a car, as one does that knows nothing of it but the topic. Raises Undecodable."""
        for part in self._compiled.incoming:
            levels = part.pattern.match(frame.topic)
            if levels is not None:
                vin = vin_in(levels) or ""
                name, model, fleet = (levels.get(each, "") for each in ("name", "model", "fleet"))
                facts = CarFacts(vin=vin, client_id=vin, name=name, model=model, fleet=fleet)
                end = MappedEnd(self._compiled, facts, partial(_no_status, vin))
                for message in end.read(frame, 0).messages:
                    return message
                raise Undecodable("number", "a confirmation for a message that was not sent")
        raise Undecodable("topic", f"{frame.topic[:120]!r} is no topic of this mapping that cars read")

    def _learn(self, vin: str, levels: Mapping[str, str]) -> None:
        known = self._facts.get(vin) or self._facts.put(vin, {})
        known.update((name, levels[name]) for name in ("name", "model", "fleet") if name in levels)


def mapped(mapping: MappingFile) -> Callable[[FleetDialect], MappedDialect]:
    """Return what makes the dialect of a mapping that has been checked, from ours."""
    return lambda own: MappedDialect(mapping, own)


def _no_status(vin: str) -> Status:
    return Status(vin=vin, boot=0, seq=0, captured_at=0, trigger="refresh", state="parked")


def _numbers(values: Values) -> Values:
    return {name: values[name] for name in _HEADER if name in values}


def _header(fields: Mapping[str, Any]) -> Header:
    try:
        return msgspec.convert(fields, Header)
    except msgspec.ValidationError as error:
        raise Undecodable("number", f"the payload has no number of a message: {error}") from None
