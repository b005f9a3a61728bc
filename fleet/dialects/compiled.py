"""A mapping, compiled once: all that its cars and its back end share, without anything of one car."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Mapping as Table

from fleet.dialects.commands import CommandPart, ConfirmPart, ReplyPart
from fleet.dialects.patterns import TopicPattern, expanded
from fleet.dialects.spec import (
    EventEntry,
    Mapping,
    PresenceEntry,
    RequestEntry,
    ResponseEntry,
)
from fleet.dialects.writing import EntryWriter, StatusWriter
from fleet.wire.messages import Event, FromCar, Presence, Request, Response
from fleet.wire.services import load_services


class Compiled:
    """The entries of a mapping that has been checked."""

    def __init__(self, mapping: Mapping) -> None:
        """Compile them."""
        self.mapping = mapping
        self.is_numbered = mapping.account == "property"
        self.statuses = tuple(StatusWriter(entry, mapping, self._pattern(entry.topic, "field")) for entry in mapping.status)
        self.events = tuple(self._writer(entry, Event) for entry in mapping.events)
        self.requests = tuple(self._writer(entry, Request) for entry in mapping.requests)
        self.responses = tuple((entry, self._writer(entry, Response)) for entry in mapping.responses)
        self.presences = tuple((entry, self._writer(entry, Presence)) for entry in mapping.presence)
        self.commands = tuple(CommandPart(entry, mapping, self._pattern(entry.topic)) for entry in mapping.commands)
        self.replies = tuple(ReplyPart(entry, mapping, self._pattern(entry.topic)) for entry in mapping.replies)
        confirm = mapping.confirm
        self.confirm = None if confirm is None else ConfirmPart(confirm, mapping, self._pattern(confirm.topic))
        self.holds_back = any(field.every is not None for writer in self.statuses if writer.remembers for field in writer.fields)
        self._events = _by_name(mapping.events, self.events)
        self._requests = _by_name(mapping.requests, self.requests)

    def _pattern(self, topic: str, several: str | None = None) -> TopicPattern:
        return TopicPattern(expanded(topic, self.mapping.base), several=several)

    def _writer(self, entry: EventEntry | RequestEntry | ResponseEntry | PresenceEntry, kind: type[FromCar]) -> EntryWriter:
        return EntryWriter(entry, self.mapping, self._pattern(entry.topic), kind)

    def is_below_own(self, topic: str, facts: Table[str, str]) -> bool:
        """Tell whether a topic is below the mapping's own beginning, where that is one car's."""
        base = self._pattern("{base}")
        return base.is_own and topic.startswith(base.fill(facts) + "/") and not any(each in topic for each in "+#")

    def events_of(self, name: str) -> Sequence[EntryWriter]:
        """Return the entries that send an event."""
        return self._events.get(name, self._events[""])

    def requests_of(self, name: str) -> Sequence[EntryWriter]:
        """Return the entries that send a request."""
        return self._requests.get(name, self._requests[""])

    @property
    def incoming(self) -> Iterator[CommandPart | ReplyPart | ConfirmPart]:
        """All that comes to cars."""
        yield from self.commands
        yield from self.replies
        if self.confirm is not None:
            yield self.confirm

    @property
    def places(self) -> Iterator[tuple[EntryWriter, Collection[str]]]:
        """The status entries that tell where a car is, with the values of their placeholder for which they do."""
        for status in self.statuses:
            fields = [field.target for field in status.all_fields if "position" in field.roots]
            if fields:
                frames = status.entry_of_status.frames
                yield status, fields if frames == "field" else ("position",) if frames == "group" else ()

    @property
    def outgoing(self) -> Iterator[tuple[EntryWriter, Collection[str]]]:
        """All that cars write, with the values of the one placeholder of a topic that may have a known set of them."""
        for status in self.statuses:
            yield status, status.names
        services = load_services()
        for event, writer in zip(self.mapping.events, self.events, strict=True):
            yield writer, event.names or tuple(services.events)
        for request, writer in zip(self.mapping.requests, self.requests, strict=True):
            yield writer, request.names or tuple(services.requests)
        for _, writer in (*self.responses, *self.presences):
            yield writer, ()


def _by_name(
    entries: Sequence[EventEntry] | Sequence[RequestEntry], writers: Sequence[EntryWriter]
) -> dict[str, tuple[EntryWriter, ...]]:
    """Return the writers by name; those for all others under the empty one."""
    found: dict[str, tuple[EntryWriter, ...]] = {"": ()}
    for index, writer in enumerate(writers):
        for name in entries[index].names or ("",):
            found[name] = (*found.get(name, ()), writer)
    return found
