"""Commands, replies and confirmations of another system, compiled for all cars: read by them, and written for our own desk."""

from __future__ import annotations

from collections.abc import Mapping as Table
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

import msgspec

from fleet.dialects.incoming import Incoming, IncomingField, Outgoing, route
from fleet.dialects.patterns import TopicPattern, level
from fleet.dialects.payloads import CODECS, Codec, written
from fleet.dialects.spec import CommandEntry, Confirm, Mapping, Payload, ReplyEntry, full
from fleet.dialects.values import ABSENT
from fleet.errors import Undecodable, Unwritable
from fleet.kernel.instants import LATEST, Instant
from fleet.wire.commands import COMMANDS
from fleet.wire.frame import Frame
from fleet.wire.intake import NOT_PLAIN, check_fields, misfit
from fleet.wire.messages import Command, Reply, Stored

LONGEST_ID: Final = 100
UNREADABLE: Final = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, Unwritable)


class _Part:
    """An entry for what comes to cars: its topic and payload."""

    def __init__(self, topic: TopicPattern, payload: Payload, qos: int) -> None:
        self.pattern = topic
        self.qos = qos
        self._is_text = payload == "text"
        self.codec: Codec = CODECS[payload]

    def frame(self, outgoing: Outgoing, facts: Table[str, str], **properties: Any) -> Frame:
        """Return the frame of what was put together. Raises Unwritable."""
        return Frame(
            topic=self.pattern.fill({**facts, **{name: level(value) for name, value in outgoing.topic.items()}}),
            payload=self.codec.encode(outgoing.body(text=self._is_text)),
            qos=self.qos,
            content_type=self.codec.content_type,
            user_properties=tuple(outgoing.properties.items()),
            **properties,
        )


class CommandPart(_Part):
    """One command of theirs that is one of ours."""

    def __init__(self, entry: CommandEntry, mapping: Mapping, pattern: TopicPattern) -> None:
        """Compile an entry of a mapping that has been checked."""
        super().__init__(pattern, entry.payload or mapping.payload, entry.qos)
        self.entry = entry
        self._when = [(route(path), TopicPattern(written(value))) for path, value in entry.when.items()]
        self._id = None if entry.id is None else IncomingField("id", full(entry.id), str)
        self._expires = None if entry.expires is None else IncomingField("expires_at", full(entry.expires), int)
        known = COMMANDS[entry.command]
        kinds = {name: _without_none(kind) for name, kind in get_type_hints(known.parameters).items()}
        self._defaults = {field.name: field.default for field in msgspec.structs.fields(known.parameters)}
        self._parameters = {name: IncomingField(name, full(field), kinds.get(name)) for name, field in entry.parameters.items()}
        self._time_to_live = entry.time_to_live or known.time_to_live

    def fits(self, came: Incoming, facts: Table[str, str]) -> bool:
        """Tell whether all conditions are met; a placeholder in one is a fact about the car."""
        return all(written(follow(came)) == wanted.fill(facts, partly=True) for follow, wanted in self._when)

    def read(self, came: Incoming, vin: str, now: Instant, invented: str) -> Command:
        """Return our command; parameters that cannot be read are the car's to answer. Raises Undecodable."""
        command_id, expires_at = invented, now + self._time_to_live
        try:
            if self._id is not None:
                found = self._id.read(came)
                command_id = "" if found is ABSENT else written(found)
            if self._expires is not None and (found := self._expires.read(came)) is not ABSENT:
                expires_at = msgspec.convert(found, int)
        except UNREADABLE as error:
            raise Undecodable("type", f"{self.entry.command}: {error}") from None
        if not 0 < len(command_id) <= LONGEST_ID:
            raise Undecodable("id", f"{self.entry.command}: an id has 1 to {LONGEST_ID} characters, not {len(command_id)}")
        command = Command(
            id=command_id, vin=vin, name=self.entry.command, issued_at=now, expires_at=min(max(0, expires_at), LATEST),
            parameters=self._read_parameters(came),
        )  # fmt: skip
        check_fields(command, but="parameters")
        return command

    def _read_parameters(self, came: Incoming) -> dict[str, Any]:
        try:
            read = {name: field.read(came) for name, field in self._parameters.items()}
        except UNREADABLE:
            return NOT_PLAIN
        found = {name: value for name, value in read.items() if value is not ABSENT}
        return found if misfit(found) is None else NOT_PLAIN

    def write(self, command: Command, facts: Table[str, str], **properties: Any) -> Frame | None:
        """Return the frame of one of our commands, None where this is not its entry. Raises Unwritable."""
        if command.parameters.keys() - self._parameters.keys():
            return None
        outgoing = Outgoing()
        for path, value in self.entry.when.items():
            outgoing.put(path, TopicPattern(value).fill(facts) if isinstance(value, str) else value)
        for name, field in self._parameters.items():
            value = command.parameters.get(name, self._defaults.get(name, msgspec.NODEFAULT))
            if field.constant is not ABSENT:
                if field.constant != value:
                    return None
            elif name in command.parameters:
                if field.path is None:
                    raise Unwritable("expression", f"{name} of {command.name} is computed, and cannot be written")
                outgoing.put(field.path, field.write_value(command.parameters[name]))
        for our, theirs in ((command.id, self._id), (command.expires_at, self._expires)):
            if theirs is not None and theirs.path is not None:
                outgoing.put(theirs.path, theirs.write_value(our))
        correlation = outgoing.correlation or command.id.encode()
        return self.frame(outgoing, facts, correlation=correlation, **properties)


def _without_none(kind: Any) -> Any:
    """Return the type of a parameter that may be left out as it is where it is not."""
    options = [option for option in get_args(kind) if option is not type(None)]
    return options[0] if isinstance(kind, UnionType) and len(options) == 1 else kind


class ReplyPart(_Part):
    """The answers of online services."""

    def __init__(self, entry: ReplyEntry, mapping: Mapping, pattern: TopicPattern) -> None:
        """Compile an entry of a mapping that has been checked."""
        super().__init__(pattern, entry.payload or mapping.payload, entry.qos)
        self._texts = {
            name: IncomingField(name, full(field), str)
            for name, field in (("id", entry.id), ("name", entry.name), ("error", entry.error))
        }
        self._data_path = entry.data
        self._data = route(entry.data)

    def read(self, came: Incoming) -> Reply:
        """Return our reply. Raises Undecodable."""
        try:
            found = {name: field.read(came) for name, field in self._texts.items()}
            texts = {name: value if value is ABSENT else written(value) for name, value in found.items()}
            given = {name: value for name, value in texts.items() if value is not ABSENT}
            reply = msgspec.convert({**given, "data": self._data(came) or {}}, Reply)
        except UNREADABLE as error:
            raise Undecodable("type", f"a reply: {error}") from None
        check_fields(reply)
        return reply

    def write(self, reply: Reply, facts: Table[str, str], **properties: Any) -> Frame:
        """Return the frame of one of our replies. Raises Unwritable."""
        outgoing = Outgoing()
        if reply.data:
            outgoing.put(self._data_path, dict(reply.data))
        for name, field in self._texts.items():
            value = getattr(reply, name)
            if value is not None and field.path is not None:
                outgoing.put(field.path, field.write_value(value))
        return self.frame(outgoing, facts, correlation=outgoing.correlation or reply.id.encode(), **properties)


class ConfirmPart(_Part):
    """The confirmation that messages are stored, up to a number."""

    def __init__(self, confirm: Confirm, mapping: Mapping, pattern: TopicPattern) -> None:
        """Compile an entry of a mapping that has been checked."""
        super().__init__(pattern, confirm.payload or mapping.payload, confirm.qos)
        self.is_cumulative = confirm.cumulative
        self._number = IncomingField("number", full(confirm.number), int)
        self._boot = None if confirm.boot is None else IncomingField("boot", full(confirm.boot), int)

    def read(self, came: Incoming) -> tuple[int, int | None]:
        """Return number and boot, as far as it is there. Raises Undecodable."""
        try:
            number = msgspec.convert(self._number.read(came), int)
            boot = None if self._boot is None else msgspec.convert(self._boot.read(came), int)
        except UNREADABLE as error:
            raise Undecodable("type", f"a confirmation: {error}") from None
        return number, boot

    def write(self, stored: Stored, facts: Table[str, str]) -> Frame:
        """Return the frame that confirms all up to a number. Raises Unwritable."""
        outgoing = Outgoing()
        for value, field in ((stored.through, self._number), (stored.boot, self._boot)):
            if field is not None and field.path is not None:
                outgoing.put(field.path, value)
        return self.frame(outgoing, facts)
