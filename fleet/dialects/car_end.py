"""A car's end of a mapped dialect: what it writes, what it hears, and the little that it must remember of either."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, assert_never

from fleet.dialects.commands import LONGEST_ID, CommandPart, ConfirmPart, ReplyPart
from fleet.dialects.compiled import Compiled
from fleet.dialects.confirming import Unconfirmed
from fleet.dialects.incoming import Incoming, incoming
from fleet.dialects.patterns import level
from fleet.dialects.payloads import Codec
from fleet.dialects.rendering import Repeated
from fleet.dialects.spec import CAR_PLACEHOLDERS, PresenceEntry
from fleet.dialects.writing import Answered, Draft, EntryWriter, Memory, StatusWriter
from fleet.errors import Undecodable, Unwritable
from fleet.kernel.instants import Instant
from fleet.wire.dialect import CarFacts, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import TERMINAL_STATES, Command, Event, FromCar, Presence, Request, Response, Status
from fleet.wire.numbering import number_of
from fleet.wire.privacy import SHARING

OPEN_COMMANDS: Final = 100
"""Commands of which a car remembers how to answer them; the oldest is forgotten."""
ANSWERED_COMMANDS: Final = 32
"""Commands that have had their last answer, which may have to be sent again; the oldest is forgotten."""


class Asked(NamedTuple):
    """How a command came: where its answers go, the data they echo, and the levels of its topic."""

    response_topic: str | None
    correlation: bytes | None
    levels: dict[str, str]


class MappedEnd:
    """A car's end."""

    __slots__ = (
        "_answered", "_compiled", "_facts", "_highest", "_invented", "_last", "_open", "_snapshot", "_statuses", "_unconfirmed",
        "_vin", "_withdraws",
    )  # fmt: skip

    def __init__(self, compiled: Compiled, car: CarFacts, snapshot: Callable[[], Status]) -> None:
        """Take what all cars share, the facts about this one, and its status on request."""
        self._compiled = compiled
        self._vin = car.vin
        self._facts = facts_of(car)
        self._snapshot = snapshot
        self._statuses: list[tuple[StatusWriter, str, Memory | Repeated]] = []
        self._begin()
        self._open: dict[str, Asked] = {}
        self._answered: dict[str, Asked] | None = None
        self._invented = 0
        self._withdraws = False
        self._highest = (0, 0)
        self._unconfirmed = None if compiled.confirm is None else Unconfirmed(cumulative=compiled.confirm.is_cumulative)

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """The filters of the car, with their QoS."""
        found: dict[str, int] = {}
        for part in self._compiled.incoming:
            for topic in part.pattern.with_values(self._facts).filters():
                found[topic] = max(part.qos, found.get(topic, 0))
        return tuple(found.items())

    # --- connections

    def will(self, presence: Presence) -> Frame | None:
        """Return the will of a connection, None where no entry has one."""
        for entry, writer in self._compiled.presences:
            if entry.will and _fits(entry, presence):
                with suppress(Unwritable):  # the presence itself has the same reason, and is counted
                    return self._frames([writer.write(presence, writer.pattern.fill(self._facts))], presence)[0]
        return None

    def connected(self, now: Instant) -> Sequence[Frame]:
        """Begin a connection: all is unknown to the system, and the whole status is sent where an entry wants it."""
        self._begin()
        if not any(writer.on_connect for writer in self._compiled.statuses):
            return ()
        try:
            return [draft.entry.frame(draft) for draft in self._status_drafts(self._snapshot(), now, connecting=True)]
        except Unwritable:
            self._begin()
            return ()  # the next status of the car has the same reason, and is counted

    def _begin(self) -> None:
        """Know nothing of what the system knows."""
        self._last: Status | None = None
        self._statuses = [
            (
                writer,
                writer.pattern.fill(self._facts, partly=True),
                Memory(len(writer.fields)) if writer.remembers else Repeated(),
            )
            for writer in self._compiled.statuses
        ]

    def clear(self) -> Sequence[Frame]:
        """Return empty retained frames for all that the broker retains of this car."""
        return self._emptied(self._compiled.outgoing)

    def _emptied(self, outgoing: Iterable[tuple[EntryWriter, Collection[str]]]) -> Sequence[Frame]:
        """Return empty frames for all that the broker retains of these entries, by the values of their one placeholder."""
        found: dict[str, None] = {}
        for writer, names in outgoing:
            if writer.entry.retain:
                pattern = writer.pattern.with_values(self._facts)
                for values in (dict.fromkeys(pattern.free, each) for each in names or ("",)):
                    found[pattern.fill({name: value for name, value in values.items() if value}, partly=True)] = None
        return [Frame(topic=topic, payload=b"", retain=True) for topic in found if "{" not in topic]

    # --- messages of the car

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        """Write a message; empty where nothing of it is sent. Raises Unwritable."""
        if type(message) is Status:  # nearly all there is under load
            number = (message.boot, message.seq)
            if number <= self._highest:
                self._begin()  # it comes again, as nobody has it: what was written with it is not known
            else:
                self._highest = number
            try:
                frames = self._frames(self._status_drafts(message, now), message)
            except Unwritable:
                self._begin()  # what was noted as sent was not
                raise
        else:
            match message:
                case Event(name=name):
                    if name in SHARING:
                        self._begin()  # a silent car has noted as sent what its link held back
                        self._withdraws = self._snapshot().position is None
                    frames = self._frames(self._named(self._compiled.events_of(name), message, "event", name), message)
                case Request(name=name):
                    frames = self._frames(self._named(self._compiled.requests_of(name), message, "request", name), message)
                case Response():
                    return self._respond(message)
                case Presence():
                    drafts = [
                        writer.write(message, writer.pattern.fill(self._facts))
                        for entry, writer in self._compiled.presences
                        if _fits(entry, message)
                    ]
                    return self._withdrawn(self._frames(drafts, message))
                case _:
                    assert_never(message)
        self._await(message, frames)
        return self._withdrawn(frames)

    def _withdrawn(self, frames: list[Frame]) -> Sequence[Frame]:
        """Return the frames behind those that take back the retained position of a car that tells it no more."""
        if not (self._withdraws and frames):
            return frames
        self._withdraws = False
        return [*self._emptied(self._compiled.places), *frames]

    def _status_drafts(self, message: Status, now: Instant, *, connecting: bool = False) -> list[Draft]:
        drafts: list[Draft] = []
        for writer, topic, memory in self._statuses:
            triggers = writer.triggers
            if writer.on_connect if connecting else (not triggers or message.trigger in triggers):
                if isinstance(memory, Memory):
                    drafts += writer.changes(message, topic, memory, now)
                else:
                    drafts += writer.drafts(message, topic, memory)
        if self._compiled.holds_back:
            self._last = message
        return drafts

    def _named(self, writers: Sequence[EntryWriter], message: Event | Request, placeholder: str, name: str) -> Iterator[Draft]:
        for writer in writers:
            yield writer.write(message, writer.pattern.fill({**self._facts, placeholder: level(name)}))

    def _respond(self, message: Response) -> Sequence[Frame]:
        asked = self._asked(message.command_id)
        levels = {} if asked is None else asked.levels
        values = {"command": level(message.name), "id": level(message.command_id), **levels, **self._facts}
        drafts = []
        for entry, writer in self._compiled.responses:
            if (entry.states and message.state not in entry.states) or (entry.commands and message.name not in entry.commands):
                continue
            to_asker = asked.response_topic if entry.to_response_topic and asked is not None else None
            source = Answered(message, levels) if writer.needs_levels else message
            drafts.append(writer.write(source, to_asker or writer.pattern.fill(values)))
        frames = self._frames(drafts, message, None if asked is None else asked.correlation)
        self._await(message, frames)
        if message.state in TERMINAL_STATES and (ended := self._open.pop(message.command_id, None)) is not None:
            self._keep(message.command_id, ended)
        return frames

    def _asked(self, command_id: str) -> Asked | None:
        """Return how a command came, None for one that is unknown or forgotten."""
        found = self._open.get(command_id)
        return self._answered.get(command_id) if found is None and self._answered else found

    def _keep(self, command_id: str, asked: Asked) -> None:
        """Remember a command beyond its last answer: a lost connection or a second delivery has it sent again."""
        if self._answered is None:
            self._answered = {}
        self._answered.pop(command_id, None)
        if len(self._answered) >= ANSWERED_COMMANDS:
            del self._answered[next(iter(self._answered))]
        self._answered[command_id] = asked

    def _frames(self, drafts: Iterator[Draft] | list[Draft], message: FromCar, correlation: bytes | None = None) -> list[Frame]:
        """Return the frames of a message, each with its place in it."""
        drafts = drafts if isinstance(drafts, list) else list(drafts)
        if not self._compiled.is_numbered:
            return [draft.entry.frame(draft, (), correlation) for draft in drafts]
        parts = len(drafts)
        if parts == 1:  # nearly all there is under load
            return [drafts[0].entry.frame(drafts[0], (number_of(message),), correlation)]
        numbers = [(number_of(message, part, parts),) for part in range(1, parts + 1)]
        return [draft.entry.frame(draft, number, correlation) for draft, number in zip(drafts, numbers, strict=True)]

    def _await(self, message: FromCar, frames: Sequence[Frame]) -> None:
        if self._unconfirmed is not None and frames:
            self._unconfirmed.sent(message.boot, message.seq)

    # --- what it sends by itself

    def deadline(self) -> Instant | None:
        """Return when a value that came too soon may be sent, None without one."""
        if not self._compiled.holds_back or self._last is None:
            return None
        due = [
            at
            for writer, _, memory in self._statuses
            if isinstance(memory, Memory) and memory.held and (at := writer.deadline(memory)) is not None
        ]
        return min(due, default=None)

    def wake(self, now: Instant) -> Sequence[Frame]:
        """Return the values that may be sent by `now`."""
        frames: list[Frame] = []
        if self._last is not None:
            for writer, topic, memory in self._statuses:
                if isinstance(memory, Memory) and memory.held:
                    frames += [writer.frame(draft) for draft in writer.held_back(self._last, topic, memory, now)]
        return frames

    # --- what comes for it

    def read(self, frame: Frame, now: Instant) -> Heard:
        """Read a frame for the car. Raises Undecodable: `topic`, `retained`, `unmapped`, and as payloads and values do."""
        came: Incoming | None = None
        for part, came in self.parts_for(frame):
            match part:
                case CommandPart():
                    if part.fits(came, self._facts):
                        return Heard((self._command(part, came, frame, now),))
                case ReplyPart():
                    return Heard((part.read(came),))
                case ConfirmPart():
                    assert self._unconfirmed is not None
                    return Heard(self._unconfirmed.confirmed(*part.read(came)))
                case _:
                    assert_never(part)
        if came is None:
            raise Undecodable("topic", f"{frame.topic[:120]!r} is no topic for this car")
        raise Undecodable("unmapped", f"{frame.topic[:120]!r}: no entry of the mapping is for this command")

    def parts_for(self, frame: Frame) -> Iterator[tuple[CommandPart | ReplyPart | ConfirmPart, Incoming]]:
        """Yield the entries for a topic, with the frame as their payload has it. Raises Undecodable."""
        decoded: dict[str, Incoming] = {}
        for part in self._compiled.incoming:
            levels = part.pattern.match(frame.topic)
            if levels is None or any(levels[name] != self._facts[name] for name in CAR_PLACEHOLDERS if name in levels):
                continue
            codec: Codec = part.codec
            if codec.content_type not in decoded:
                decoded[codec.content_type] = incoming(frame, codec.decode(frame.payload), levels)
            came = decoded[codec.content_type]
            yield part, came if came.topic == levels else incoming(frame, came.payload, levels)

    def _command(self, part: CommandPart, came: Incoming, frame: Frame, now: Instant) -> Command:
        if frame.retain:
            raise Undecodable("retained", "a retained command is refused: it would run again at every connect")
        self._invented += 1
        command = part.read(came, self._vin, now, _id_in(frame) or f"{now:x}-{self._invented}")
        if len(self._open) >= OPEN_COMMANDS:
            del self._open[next(iter(self._open))]
        own = frame.response_topic
        levels = {name: level(value) for name, value in came.topic.items() if name not in CAR_PLACEHOLDERS}
        self._open[command.id] = Asked(own if own is not None and self._is_own(own) else None, frame.correlation, levels)
        return command

    def _is_own(self, topic: str) -> bool:
        """Tell whether a response topic is below what only this car writes to."""
        return self._compiled.is_below_own(topic, self._facts)


def facts_of(car: CarFacts) -> dict[str, str]:
    """Return the facts about a car as levels of topics."""
    return {name: level(str(getattr(car, name))) for name in CAR_PLACEHOLDERS}


def _id_in(frame: Frame) -> str:
    """Return the correlation data as the id of a command that has no other, empty where they are none."""
    try:
        text = (frame.correlation or b"").decode()
    except UnicodeDecodeError:
        return ""
    return text if len(text) <= LONGEST_ID and text.isprintable() else ""


def _fits(entry: PresenceEntry, presence: Presence) -> bool:
    return not entry.connection or presence.connection in entry.connection
