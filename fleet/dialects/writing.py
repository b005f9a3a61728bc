"""Messages of cars as topics and payloads, by entries of a mapping that are compiled once and serve all cars.

An entry returns drafts: a topic, a payload, and the entry itself for the rest. What only changes send of a car is in a `Memory`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fleet.dialects.patterns import TopicPattern
from fleet.dialects.payloads import CODECS, Codec, written
from fleet.dialects.rendering import Repeated, Tree, WholeStatus
from fleet.dialects.spec import Entry, StatusEntry, full
from fleet.dialects.spec import Mapping as MappingFile
from fleet.dialects.values import ABSENT, GROUPS, OutgoingField
from fleet.errors import Unwritable
from fleet.kernel.instants import SECOND, Instant
from fleet.wire.frame import Frame
from fleet.wire.messages import FromCar, Response, Status

_FAULTS: Final = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
"""Raised by conversions of values that are of another type than they should be, as free data of events may be."""


class Draft(NamedTuple):
    """A frame that has no number yet."""

    topic: str
    payload: bytes
    entry: EntryWriter
    properties: tuple[tuple[str, str], ...]


class Answered:
    """A response, and the levels of the topic on which its command came as `topic`."""

    __slots__ = ("_message", "topic")

    def __init__(self, message: Response, levels: Mapping[str, str]) -> None:
        """Take the response and the levels."""
        self._message = message
        self.topic = levels

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


class EntryWriter:
    """An entry that sends one frame a message."""

    __slots__ = (
        "_needs_levels",
        "_tree",
        "_value",
        "codec",
        "content_type",
        "encode",
        "entry",
        "expiry_s",
        "fields",
        "pattern",
        "properties",
        "qos",
        "retain",
    )

    def __init__(self, entry: Entry, mapping: MappingFile, pattern: TopicPattern, message: type[FromCar]) -> None:
        """Compile an entry of a mapping that has been checked."""
        self.entry = entry
        self.pattern = pattern
        payload = entry.payload or mapping.payload
        self.codec: Codec = CODECS[payload]
        self.encode = self.codec.encode
        self.qos, self.retain = entry.qos, entry.retain
        self.expiry_s = None if entry.expiry is None else max(1, entry.expiry // SECOND)
        self.content_type = (self.codec.content_type if entry.content_type is None else entry.content_type) or None
        null, plain = entry.missing == "null", payload == "cbor"
        self.fields = tuple(
            OutgoingField(target, full(field), message, null=null, plain=plain) for target, field in entry.fields.items()
        )
        self._tree = Tree([field.target for field in self.fields], nested=entry.nested)
        self._value = None if entry.value is None else OutgoingField("", full(entry.value), message, null=True, plain=plain)
        self.properties = tuple(
            OutgoingField(name, full(field), message, null=False, plain=True) for name, field in entry.properties.items()
        )
        self._needs_levels = any("topic" in field.roots for field in (*self.all_fields, *self.properties))

    @property
    def all_fields(self) -> tuple[OutgoingField, ...]:
        """All fields of the payload, the whole of it among them."""
        return self.fields if self._value is None else (*self.fields, self._value)

    @property
    def value(self) -> OutgoingField | None:
        """The field that is the whole payload."""
        return self._value

    @property
    def needs_levels(self) -> bool:
        """Whether a field is a level of the topic of the command that is answered."""
        return self._needs_levels

    def write(self, message: Any, topic: str) -> Draft:
        """Return the draft of a message for a topic. Raises Unwritable."""
        try:
            body = self._body(message) if self._value is None else self._value.value_in(message)
            return Draft(topic, self.encode(body), self, self.properties_of(message) if self.properties else ())
        except _FAULTS as error:
            raise Unwritable("value", f"{type(error).__name__}: {error}") from None

    def _body(self, message: Any) -> dict[str, Any]:
        return self._tree.build(present(self.fields, message))

    def properties_of(self, message: Any) -> tuple[tuple[str, str], ...]:
        """Return the user properties of a message."""
        found = []
        for field in self.properties:
            value = field.value_in(message)
            if value is not ABSENT and value is not None:
                found.append((field.target, written(value)))
        return tuple(found)

    def frame(self, draft: Draft, numbered: tuple[tuple[str, str], ...] = (), correlation: bytes | None = None) -> Frame:
        """Return the frame of a draft, with a number or without."""
        return Frame(
            topic=draft.topic,
            payload=draft.payload,
            qos=self.qos,
            retain=self.retain,
            expiry_s=self.expiry_s,
            correlation=correlation,
            content_type=self.content_type,
            user_properties=draft.properties + numbered,
        )


def present(fields: Sequence[OutgoingField], message: Any) -> Iterator[tuple[int, Any]]:
    """Yield index and value of the fields that have one."""
    for index, field in enumerate(fields):
        value = field.value_in(message)
        if value is not ABSENT:
            yield index, value


class Memory:
    """The values of a car that were sent in this connection, for an entry that sends changes only."""

    __slots__ = ("held", "last", "sent_at")

    def __init__(self, fields: int) -> None:
        self.last: list[Any] = [ABSENT] * fields
        self.sent_at: dict[int, Instant] = {}
        self.held: dict[int, Any] = {}
        """Values that came too soon after the last one, by their field."""


class StatusWriter(EntryWriter):
    """An entry of the status: as one frame, a frame for each group or field, whole or what has changed."""

    __slots__ = ("_by_group", "_each", "_is_news", "_whole", "entry_of_status", "on_connect", "triggers")

    def __init__(self, entry: StatusEntry, mapping: MappingFile, pattern: TopicPattern) -> None:
        """Compile an entry of a mapping that has been checked."""
        super().__init__(entry, mapping, pattern, Status)
        self.entry_of_status = entry
        self.triggers = frozenset(entry.triggers)
        self.on_connect = entry.on_connect
        self._each = _Each(entry, self.codec is CODECS["cbor"]) if entry.each else None
        self._is_news = [entry.frames == "field" or not field.accompanies for field in self.fields]
        common = [index for index, field in enumerate(self.fields) if field.group is None]
        self._by_group = {
            name: (*common, *own)
            for name in GROUPS
            if (own := [index for index, field in enumerate(self.fields) if field.group == name])
        }
        self._whole = WholeStatus(self.fields, self._tree, self.codec, is_json=self.codec is CODECS["json"])

    @property
    def names(self) -> tuple[str, ...]:
        """The values of the placeholder for a group or field."""
        frames = self.entry_of_status.frames
        if frames == "field":
            return tuple(field.target for field in self.fields)
        return tuple(self._by_group) if frames == "group" else ()

    @property
    def remembers(self) -> bool:
        """Whether a car needs a memory for it."""
        return self.entry_of_status.changes_only

    def drafts(self, message: Status, topic: str, repeated: Repeated) -> Sequence[Draft]:
        """Return the drafts of a status, whole; `repeated` is the car's own. Raises Unwritable."""
        if self._value is not None:
            return (self.write(message, topic),)
        try:
            if self.entry_of_status.frames == "one":
                payload = self._whole.render(message, repeated)
                properties = self.properties_of(message) if self.properties else ()
                return () if payload is None else (Draft(topic, payload, self, properties),)
            values = self._values(message)
            return self._drafts(message, topic, values, [index for index, value in enumerate(values) if value is not ABSENT])
        except _FAULTS as error:
            raise Unwritable("value", f"{type(error).__name__}: {error}") from None

    def changes(self, message: Status, topic: str, memory: Memory, now: Instant) -> Sequence[Draft]:
        """Return the drafts of what differs from what was sent, but for fields that were sent too short a time ago."""
        try:
            values = self._values(message)
        except _FAULTS as error:
            raise Unwritable("value", f"{type(error).__name__}: {error}") from None
        changed, last = [], memory.last
        for index, value in enumerate(values):
            if value is ABSENT or not self._is_news[index]:
                continue
            if value == last[index] and type(value) is type(last[index]):
                memory.held.pop(index, None)
            elif self._must_wait(index, memory, now):
                memory.held[index] = value
            else:
                changed.append(index)
        drafts = self._sent(message, topic, values, changed)
        self._note(memory, values, changed, now)
        return drafts

    def _must_wait(self, index: int, memory: Memory, now: Instant) -> bool:
        every, sent_at = self.fields[index].every, memory.sent_at.get(index)
        return every is not None and sent_at is not None and now < sent_at + every

    def deadline(self, memory: Memory) -> Instant | None:
        """Return when the first value that is held may be sent."""
        return min((memory.sent_at[index] + (self.fields[index].every or 0) for index in memory.held), default=None)

    def held_back(self, message: Status, topic: str, memory: Memory, now: Instant) -> Sequence[Draft]:
        """Return the drafts of the values that may be sent at `now`; `message` is the newest status."""
        due = [index for index in memory.held if not self._must_wait(index, memory, now)]
        # The rest could be written with `message` itself, or it would not be held.
        values = [ABSENT if news else field.value_in(message) for field, news in zip(self.fields, self._is_news, strict=True)]
        for index in due:
            values[index] = memory.held[index]
        drafts = self._sent(message, topic, values, due)
        self._note(memory, values, due, now)
        return drafts

    def _sent(self, message: Status, topic: str, values: list[Any], changed: list[int]) -> Sequence[Draft]:
        """Return the drafts of what has changed, with what accompanies it."""
        if not changed:
            return ()
        companions = [index for index, news in enumerate(self._is_news) if not news and values[index] is not ABSENT]
        return self._drafts(message, topic, values, [*companions, *changed])

    def _note(self, memory: Memory, values: list[Any], sent: list[int], now: Instant) -> None:
        for index in sent:
            memory.last[index] = values[index]
            memory.held.pop(index, None)
            if self.fields[index].every is not None:
                memory.sent_at[index] = now

    def _values(self, message: Status) -> list[Any]:
        return [field.value_in(message) for field in self.fields]

    def _drafts(self, message: Status, topic: str, values: list[Any], indices: Sequence[int]) -> Sequence[Draft]:
        """Return the drafts of some of the values."""
        properties = self.properties_of(message) if self.properties else ()
        frames = self.entry_of_status.frames
        if frames == "field":
            return [self._field_draft(message, topic, index, values[index], properties) for index in indices]
        if frames == "one":
            return (self._draft(topic, values, indices, properties),)
        chosen, drafts = set(indices), []
        for name, members in self._by_group.items():
            own = [index for index in members if index in chosen]
            if any(self.fields[index].group is not None for index in own):
                drafts.append(self._draft(topic.replace("{group}", name), values, own, properties))
        return drafts

    def _draft(self, topic: str, values: list[Any], indices: Iterable[int], properties: tuple[tuple[str, str], ...]) -> Draft:
        return Draft(topic, self.encode(self._tree.build((index, values[index]) for index in sorted(indices))), self, properties)

    def _field_draft(self, message: Status, topic: str, index: int, value: Any, properties: tuple[tuple[str, str], ...]) -> Draft:
        name = self.fields[index].target
        body = value if self._each is None else self._each.build(message, name, value)
        return Draft(topic.replace("{field}", name), self.encode(body), self, properties)


class _Each:
    """The payload of a field's frame: the value among others."""

    def __init__(self, entry: StatusEntry, plain: bool) -> None:
        self._fields = [OutgoingField(key, full(field), Status, null=False, plain=plain) for key, field in entry.each.items()]
        self._tree = Tree(list(entry.each), nested=entry.nested)

    def build(self, message: Status, name: str, value: Any) -> dict[str, Any]:
        """Return the payload for the value of a field."""
        special = {"value": value, "field": name}
        found = []
        for index, field in enumerate(self._fields):
            part = special[field.source] if field.source in special else field.value_in(message)
            if part is not ABSENT:
                found.append((index, part))
        return self._tree.build(found)
