"""Checks of a mapping whose shape is right, each of one part: names nobody knows, topics that collide, messages that get lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Table
from typing import Any, Final

import msgspec

from fleet.dialects import loss_checks
from fleet.dialects.field_checks import check_heard, check_path, check_sent, check_sources
from fleet.dialects.names import OF_EACH, Follow, in_message, in_payload
from fleet.dialects.patterns import placeholders
from fleet.dialects.spec import (
    CommandEntry,
    Confirm,
    Entry,
    EventEntry,
    Field,
    Intervals,
    Mapping,
    PresenceEntry,
    ReplyEntry,
    RequestEntry,
    ResponseEntry,
    StatusEntry,
)
from fleet.dialects.topic_checks import (
    OF_ANY,
    check_form,
    check_levels,
    check_own,
    check_placeholders,
    levels_of,
)
from fleet.scenario.problems import UNKNOWN, Problem, Steps, check_known, check_name
from fleet.wire.services import Services

_OF_FRAMES: Final = {"one": (), "group": ("group",), "field": ("field",)}
_TABLES: Final = ("fields", "properties")


# --- the whole mapping


def _check_head(mapping: Mapping, _: Services) -> Iterator[Problem]:
    yield from check_name(("mapping",), mapping.mapping)
    if not mapping.purpose.strip():
        yield Problem(("purpose",), "a sentence is expected, not nothing")
    yield from check_form(("base",), mapping.base)
    yield from check_placeholders(("base",), mapping.base, OF_ANY[:-1])


def _check_owners(mapping: Mapping, _: Services) -> Iterator[Problem]:
    topics = [((*at, "topic"), entry.topic) for at, entry in loss_checks.entries(mapping) if not entry.shared]
    topics += [(("commands", index, "topic"), each.topic) for index, each in enumerate(mapping.commands) if not each.shared]
    topics += [(("replies", index, "topic"), each.topic) for index, each in enumerate(mapping.replies)]
    topics += [(("confirm", "topic"), mapping.confirm.topic)] if mapping.confirm is not None else []
    misspelt = not set(placeholders(mapping.base)) <= {*OF_ANY}
    for at, topic in topics:
        if not (misspelt and "{base}" in topic):
            yield from check_own(at, topic, mapping.base)


def _check_levels(mapping: Mapping, _: Services) -> Iterator[Problem]:
    """Check the words in braces of the topics of commands; answers may name them, too."""
    answered = {word for entry in mapping.responses for word in placeholders(entry.topic)}
    for index, entry in enumerate(mapping.commands):
        fields = [entry.id, entry.expires, *entry.parameters.values(), *entry.when]
        texts = [field.path or field.expression or "" if isinstance(field, Field) else field or "" for field in fields]
        levels = levels_of(entry.topic)
        read = answered | {level for level in levels if any(f"topic.{level}" in text for text in texts)}
        yield from check_levels(("commands", index, "topic"), entry.topic, read)


def _check_answer_topics(mapping: Mapping, _: Services) -> Iterator[Problem]:
    """Check the placeholders of answers: those of the commands that they answer, too."""
    for index, entry in enumerate(mapping.responses):
        known = {*OF_ANY, "command", "id"}
        for command in mapping.commands:
            if not entry.commands or command.command in entry.commands:
                known |= set(levels_of(command.topic))
        yield from check_placeholders(("responses", index, "topic"), entry.topic, known)


def _check_answer_fields(mapping: Mapping, _: Services) -> Iterator[Problem]:
    levels = {f"topic.{level}" for command in mapping.commands for level in levels_of(command.topic)}
    mapped = tuple(dict.fromkeys(command.command for command in mapping.commands))
    for index, entry in enumerate(mapping.responses):
        follow = in_message("responses", entry.states, levels, entry.commands or mapped)
        yield from _check_fields(("responses", index), entry, follow)


def _check_wills(mapping: Mapping, _: Services) -> Iterator[Problem]:
    wills = [
        index for index, entry in enumerate(mapping.presence) if entry.will and "offline" in (entry.connection or ("offline",))
    ]
    for index in wills[1:]:
        hint = "'will: false' leaves this one to the car itself."
        yield Problem(("presence", index), f"presence[{wills[0]}] is the will already, and a connection has one", hint)


# --- what a car sends


def _check_topic(*known: str) -> Callable[[Entry, Services], Iterator[Problem]]:
    def check(entry: Entry, _: Services) -> Iterator[Problem]:
        yield from check_form(("topic",), entry.topic)
        yield from check_placeholders(("topic",), entry.topic, {*OF_ANY, *known})

    return check


def _check_form(entry: Entry, _: Services) -> Iterator[Problem]:
    yield from check_form(("topic",), entry.topic)


def _check_entry(entry: Entry, _: Services) -> Iterator[Problem]:
    """Check what the keys of an entry mean together."""
    if entry.expiry is not None and entry.expiry <= 0:
        yield Problem(("expiry",), "a duration above 0 is expected")
    if entry.value is not None and entry.fields:
        yield Problem(("value",), "'value' and 'fields' exclude each other: a value is the whole payload", is_key=True)
    for path in entry.fields if entry.nested else ():
        inner = [other for other in entry.fields if other.startswith(f"{path}.")]
        if inner:
            hint = "With 'nested: false' dots are part of the name."
            yield Problem(("fields", path), f"{inner[0]!r} is within it, so that it cannot be a value", hint, is_key=True)


def _check_payload(entry: Entry, _: Services) -> Iterator[Problem]:
    if entry.value is None and not entry.fields:
        yield Problem((), "it has no payload: 'fields' or 'value' are missing")


def _check_fields(at: Steps, entry: Entry, follow: Follow, *, interval: bool = False) -> Iterator[Problem]:
    for name in _TABLES:
        for key, field in _known(getattr(entry, name)):
            yield from check_sent((*at, name, key), field, follow, interval=interval and name == "fields")
    if entry.value is not None:
        yield from check_sent((*at, "value"), entry.value, follow)


def _known(table: Table[str, str | Field]) -> Iterator[tuple[str, str | Field]]:
    """Yield the fields that could be read; of the others that has been said."""
    return ((key, field) for key, field in table.items() if not isinstance(field, type(UNKNOWN)))


def _check_status_topic(entry: StatusEntry, _: Services) -> Iterator[Problem]:
    yield from check_form(("topic",), entry.topic)
    wanted = _OF_FRAMES[entry.frames]
    yield from check_placeholders(("topic",), entry.topic, {*OF_ANY, *wanted})
    for word in wanted:
        if word not in levels_of(entry.topic):
            yield Problem(("topic",), f"a frame for each {word} needs {{{word}}} in its topic")


def _check_status(entry: StatusEntry, _: Services) -> Iterator[Problem]:
    if entry.each and entry.frames != "field":
        yield Problem(("each",), "'each' is the payload of a field: it needs 'frames: field'", is_key=True)
    if entry.frames == "field" and entry.value is not None:
        yield Problem(("value",), "with 'frames: field' each of 'fields' is a value", is_key=True)
    if entry.frames == "group" and entry.value is not None:
        yield Problem(("value",), "with 'frames: group' there are 'fields' for each group", is_key=True)


def _check_status_fields(entry: StatusEntry, _: Services) -> Iterator[Problem]:
    yield from _check_fields((), entry, in_message("status", entry.triggers), interval=entry.changes_only)


def _check_each(entry: StatusEntry, _: Services) -> Iterator[Problem]:
    for key, field in _known(entry.each):
        yield from check_sent(("each", key), field, in_message("status", entry.triggers, OF_EACH))


def _check_events(entry: EventEntry, services: Services) -> Iterator[Problem]:
    for index, name in enumerate(entry.names):
        yield from check_known(("names", index), "event", name, services.events)


def _check_event_fields(entry: EventEntry, _: Services) -> Iterator[Problem]:
    yield from _check_fields((), entry, in_message("events", entry.names))


def _check_requests(entry: RequestEntry, services: Services) -> Iterator[Problem]:
    for index, name in enumerate(entry.names):
        yield from check_known(("names", index), "request", name, services.requests)


def _check_request_fields(entry: RequestEntry, _: Services) -> Iterator[Problem]:
    yield from _check_fields((), entry, in_message("requests", entry.names))


def _check_response_commands(entry: ResponseEntry, services: Services) -> Iterator[Problem]:
    for index, name in enumerate(entry.commands):
        yield from check_known(("commands", index), "command", name, services.commands)


def _check_presence_fields(entry: PresenceEntry, _: Services) -> Iterator[Problem]:
    yield from _check_fields((), entry, in_message("presence", entry.connection))


# --- what it receives


def _check_command(entry: CommandEntry, services: Services) -> Iterator[Problem]:
    yield from check_known(("command",), "command", entry.command, services.commands)
    if entry.time_to_live is not None and entry.time_to_live <= 0:
        yield Problem(("time_to_live",), "a duration above 0 is expected")


def _check_command_topic(entry: CommandEntry, _: Services) -> Iterator[Problem]:
    yield from check_form(("topic",), entry.topic)


def _check_when(entry: CommandEntry, _: Services) -> Iterator[Problem]:
    follow = in_payload(levels_of(entry.topic))
    for path in entry.when:
        yield from (_at_key(problem) for problem in check_path(("when", path), path, follow))


def _at_key(problem: Problem) -> Problem:
    """Blame the key: there the path stands."""
    return Problem(problem.at, problem.message, problem.hint, is_key=True)


def _check_parameters(entry: CommandEntry, services: Services) -> Iterator[Problem]:
    known = services.commands[entry.command].parameters if entry.command in services.commands else None
    if known is None:
        return
    follow = in_payload(levels_of(entry.topic))
    for name, field in _known(entry.parameters):
        at = ("parameters", name)
        yield from check_known(at, f"parameter of {entry.command}", name, known, is_key=True)
        yield from check_heard(at, field, follow, name, known.get(name))
    missing = [name for name, parameter in known.items() if parameter.required and name not in entry.parameters]
    if missing:
        hint = f"`fleet catalogue {entry.command}` tells more."
        yield Problem(("command",), f"{entry.command} needs {', '.join(missing)}, which 'parameters' do not have", hint)


def _check_command_fields(entry: CommandEntry, _: Services) -> Iterator[Problem]:
    follow = in_payload(levels_of(entry.topic))
    for name, ours in (("id", "id"), ("expires", "expires_at")):
        field = getattr(entry, name)
        if field is not None:
            yield from check_heard((name,), field, follow, ours)


def _check_reply(entry: ReplyEntry, _: Services) -> Iterator[Problem]:
    yield from check_form(("topic",), entry.topic)
    follow = in_payload(levels_of(entry.topic))
    for name in ("id", "name", "data", "error"):
        yield from check_heard((name,), getattr(entry, name), follow, name)


def _check_confirm(entry: Confirm, _: Services) -> Iterator[Problem]:
    yield from check_form(("topic",), entry.topic)
    follow = in_payload(levels_of(entry.topic))
    yield from check_path(("number",), entry.number, follow)
    if entry.boot is not None:
        yield from check_path(("boot",), entry.boot, follow)


def _check_intervals(entry: Intervals, _: Services) -> Iterator[Problem]:
    for name in ("driving", "charging"):
        value = getattr(entry, name)
        if value is not None and value <= 0:
            yield Problem((name,), "a duration above 0 is expected")


Check = Callable[[Any, Services], Iterable[Problem]]

CHECKS: Final[dict[type[msgspec.Struct], tuple[Check, ...]]] = {
    Mapping: (
        _check_head, _check_owners, _check_levels, _check_answer_topics, _check_answer_fields, _check_wills, *loss_checks.CHECKS,
    ),
    StatusEntry: (_check_status_topic, _check_entry, _check_payload, _check_status, _check_status_fields, _check_each),
    EventEntry: (_check_topic("event"), _check_entry, _check_events, _check_event_fields),
    RequestEntry: (_check_topic("request"), _check_entry, _check_requests, _check_request_fields),
    ResponseEntry: (_check_form, _check_entry, _check_response_commands),
    PresenceEntry: (_check_topic(), _check_entry, _check_payload, _check_presence_fields),
    CommandEntry: (_check_command, _check_command_topic, _check_when, _check_parameters, _check_command_fields),
    ReplyEntry: (_check_reply,),
    Confirm: (_check_confirm,),
    Intervals: (_check_intervals,),
    Field: (check_sources,),
}  # fmt: skip
"""The checks of each kind of part, independent of each other."""
