"""Frames of cars read back: which entry of a mapping wrote one, and which values of ours are in it. Remembers nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from fleet.dialects.compiled import Compiled
from fleet.dialects.paths import find_place, required_paths
from fleet.dialects.payloads import written
from fleet.dialects.spec import Entry
from fleet.dialects.values import ABSENT, GROUPS, OutgoingField
from fleet.dialects.writing import EntryWriter, StatusWriter
from fleet.errors import Undecodable
from fleet.wire.frame import Frame
from fleet.wire.messages import TERMINAL_STATES, Event, FromCar, Presence, Request, Response, Status

UNREADABLE: Final = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)
Values = dict[str, Any]
"""Values of ours by their path in the message."""
_LEVELS: Final = (
    (Event, "name", "event"),
    (Request, "name", "request"),
    (Response, "name", "command"),
    (Response, "command_id", "id"),
)
"""What levels of a topic say of a message."""


class EntryReader:
    """Reads what an entry writes. `fixed` are values that follow from the entry itself; `choices` those that it may have."""

    def __init__(self, writer: EntryWriter, kind: type[FromCar], fixed: Values, choices: Mapping[str, frozenset[str]]) -> None:
        """Take the entry's writer, the kind of its messages, and what it is restricted to."""
        self.writer = writer
        self.kind = kind
        self.pattern = writer.pattern
        self.fixed = fixed
        self._choices = choices
        nested = writer.entry.nested
        self._fields = [(field, field.target.split(".") if nested else [field.target]) for field in writer.fields]
        self._by_target = {field.target: field for field in writer.fields}
        self._frames = writer.entry_of_status.frames if isinstance(writer, StatusWriter) else "one"
        self._value_steps = _value_steps(writer.entry)

    @property
    def readable(self) -> frozenset[str]:
        """The paths of ours that can be read back."""
        in_topic = frozenset(ours for kind, ours, level in _LEVELS if kind is self.kind and level in self.pattern.free)
        return in_topic | frozenset(self.fixed) | {
            field.source for field in self.writer.all_fields if field.source is not None and field.read is not None
        }  # fmt: skip

    def read(self, frame: Frame, levels: Mapping[str, str]) -> Values | None:
        """Return the values in a frame, None for one that another entry must have written.

        Raises Undecodable, and what is `UNREADABLE` for a value that is none.
        """
        found = dict(self.fixed)
        found |= {ours: levels[level] for kind, ours, level in _LEVELS if kind is self.kind and level in levels}
        body = self.writer.codec.decode(frame.payload)
        if not self._read_body(body, levels, found):
            return None
        for path, allowed in self._choices.items():
            if path in found and found[path] not in allowed:
                return None
        if self.kind is Response and "state" not in found and not TERMINAL_STATES & self._choices.get("state", TERMINAL_STATES):
            found["state"] = "accepted"  # it is under way, whatever else may be said of it
        return found

    def _read_body(self, body: Any, levels: Mapping[str, str], found: Values) -> bool:
        value = self.writer.value
        if value is not None:
            return _read_value(value, body, found)
        if self._frames == "field":
            field = self._by_target.get(levels["field"])
            if field is None:
                return False
            for step in self._value_steps:
                body = body[step]
            return _read_value(field, body, found)
        if not isinstance(body, dict):
            raise Undecodable("type", "the payload is no mapping of fields")
        group = levels.get("group") if self._frames == "group" else None
        for field, steps in self._fields:
            if group is not None and field.group not in {None, group}:
                continue
            at: Any = body
            for step in steps:
                at = at.get(step, ABSENT) if isinstance(at, dict) else ABSENT
            if at is ABSENT:
                if field.constant is not ABSENT:
                    return False
            elif not _read_value(field, at, found):
                return False
        return True


def _value_steps(entry: Entry) -> list[str]:
    each = getattr(entry, "each", {})
    target = next((key for key, field in each.items() if (field if isinstance(field, str) else field.path) == "value"), None)
    return [] if target is None else target.split(".") if entry.nested else [target]


def _read_value(field: OutgoingField, value: Any, found: Values) -> bool:
    """Note the value of a field; False where it is a constant of another entry."""
    if field.constant is not ABSENT:
        return written(field.constant) == written(value)
    if field.source is None or field.read is None:
        return True
    if field.absent is not ABSENT and written(field.absent) == written(value):
        found[field.source] = None
        return True
    if value is None:
        return True
    try:
        found[field.source] = field.read(value)
    except ValueError:
        if field.otherwise is ABSENT or written(field.otherwise) != written(value):
            raise
    return True


def readers_of(compiled: Compiled) -> Iterator[EntryReader]:
    """Yield a reader for each entry for what cars write."""
    mapping = compiled.mapping
    for status in compiled.statuses:
        yield EntryReader(status, Status, *_restricted("trigger", status.entry_of_status.triggers))
    for event, writer in zip(mapping.events, compiled.events, strict=True):
        yield EntryReader(writer, Event, *_restricted("name", event.names))
    for request, writer in zip(mapping.requests, compiled.requests, strict=True):
        yield EntryReader(writer, Request, *_restricted("name", request.names))
    for response, writer in compiled.responses:
        fixed, choices = _restricted("state", response.states)
        names_fixed, names = _restricted("name", response.commands)
        yield EntryReader(writer, Response, fixed | names_fixed, {**choices, **names})
    for presence, writer in compiled.presences:
        yield EntryReader(writer, Presence, *_restricted("connection", presence.connection))


def not_read_back(readers: Iterable[EntryReader]) -> Iterator[str]:
    """Yield the parts of messages that a mapping sends and that nobody can read from it: `status.health`, `events.name`."""
    readers = tuple(readers)
    statuses = [reader for reader in readers if reader.kind is Status]
    sent = {field.group for reader in statuses for field in reader.writer.all_fields} | ({"trigger"} if statuses else set())
    readable = frozenset[str]().union(*(reader.readable for reader in statuses))
    for name in ("trigger", *GROUPS):
        if name in sent and not _is_whole(name, readable):
            yield f"status.{name}"
    for kind, title, needed in (
        (Event, "events", ("name",)), (Request, "requests", ("id", "name")), (Response, "responses", ("state",)),
    ):  # fmt: skip
        for path in needed:
            if any(reader.kind is kind and path not in reader.readable for reader in readers):
                yield f"{title}.{path}"


def _is_whole(name: str, readable: frozenset[str]) -> bool:
    """Tell whether all that a part of a status cannot be without is readable, and anything of it."""
    place = find_place(Status, name)
    assert place is not None
    if name in readable or not place.is_struct:
        return name in readable
    needed = set(required_paths(place.kind, name))
    covered = {path for path in needed if any(path == each or path.startswith(f"{each}.") for each in readable)}
    return covered == needed and any(each.startswith(f"{name}.") for each in readable)


def _restricted(path: str, values: tuple[str, ...]) -> tuple[Values, dict[str, frozenset[str]]]:
    fixed = {path: values[0]} if len(values) == 1 else {}
    return fixed, {path: frozenset(values)} if values else {}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by path as the fields of a message."""
    found: dict[str, Any] = {}
    for path in sorted(values, key=len):
        if values[path] is None:
            continue  # it is not there, and neither need be what would be around it
        at = found
        *steps, last = path.split(".")
        for step in steps:
            inner = at.get(step)
            if not isinstance(inner, dict):
                inner = at[step] = {}
            at = inner
        value = values[path]
        at[last] = dict(value) if isinstance(value, dict) else value
    return found


def status_of(fields: dict[str, Any], header: Mapping[str, Any]) -> Status:
    """Return a status without the parts of which a required field is not there. Raises Undecodable for other misfits."""
    whole = {"trigger": "refresh", "state": "parked", **fields, **header}
    while True:
        try:
            return msgspec.convert(whole, Status)
        except msgspec.ValidationError as error:
            steps = _incomplete(str(error))
            if not steps:
                raise Undecodable("type", str(error)) from None
            _leave_out(whole, steps)


def _incomplete(error: str) -> list[str]:
    """Return the way to the part in which a required field is missing, nothing where something else is wrong."""
    message, _, place = error.partition(" - at `$.")
    return place.rstrip("`").split(".") if message.startswith("Object missing required field") and "[" not in place else []


def _leave_out(whole: dict[str, Any], steps: list[str]) -> None:
    *outer, last = steps
    for step in outer:
        whole = whole[step]
    del whole[last]
