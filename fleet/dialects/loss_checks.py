"""Checks of a mapping as a whole: no topic is used twice, and no message of ours is lost without being declared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Final, get_args

from fleet.dialects.expressions import Expression
from fleet.dialects.names import OF_EACH, SENT, Sending, group_of, listed
from fleet.dialects.paths import find_place
from fleet.dialects.patterns import expanded
from fleet.dialects.spec import CommandEntry, Entry, Field, Mapping, StatusEntry
from fleet.dialects.topic_checks import levels_of, overlap
from fleet.errors import UsageError, nearest_hint
from fleet.scenario.problems import Problem, Steps
from fleet.scenario.scalars import shown
from fleet.wire.messages import STATUS_GROUPS, Status, Trigger
from fleet.wire.services import Services

TRIGGERS: Final[tuple[str, ...]] = get_args(Trigger)
ANSWERED: Final = ("accepted", "in_progress", "succeeded", "rejected", "failed", "expired")
"""The states of a command that a car tells of."""
STATES: Final = (*ANSWERED, "queued", "sent", "unknown")
CONNECTIONS: Final = ("online", "offline")
Check = Callable[[Mapping, Services], Iterator[Problem]]
_NUMBER: Final = ("boot", "seq", "captured_at")
_SELECTORS: Final[dict[str, tuple[str, ...]]] = {
    "status": ("triggers",), "events": ("names",), "requests": ("names",), "responses": ("commands", "states"),
    "presence": ("connection",),
}  # fmt: skip
"""The keys by which entries of one list share messages among them."""
_MOST_NAMED: Final = 6


def entries(mapping: Mapping) -> Iterator[tuple[Steps, Entry]]:
    """Yield all entries for what a car sends, with their places."""
    for name in SENT:
        for index, entry in enumerate(getattr(mapping, name)):
            yield (name, index), entry


# --- topics


def _check_shared_topics(mapping: Mapping, _: Services) -> Iterator[Problem]:
    """Check that no topic is used by two entries, unless they share the messages of a list among them."""
    known = {"group", "field", "event", "request", "command", "id"}
    known.update(*(levels_of(command.topic) for command in mapping.commands))
    right = [(at, entry) for at, entry in entries(mapping) if known.issuperset(levels_of(entry.topic))]
    for (at, entry), (other_at, other) in combinations(right, 2):
        if _may_meet(_topics(entry, mapping), _topics(other, mapping)) and not _share(at, entry, other_at, other):
            yield Problem((*other_at, "topic"), f"{shown(other.topic)} may be the topic of {_label(at)}, too", _TELL_APART)


def _topics(entry: Entry, mapping: Mapping) -> list[str]:
    """Return the topics of an entry: those of its fields, where each has its own."""
    topic = expanded(entry.topic, mapping.base)
    if isinstance(entry, StatusEntry) and entry.frames == "field":
        return [topic.replace("{field}", name) for name in entry.fields]
    return [topic]


def _may_meet(topics: Iterable[str], others: Sequence[str]) -> bool:
    """Tell whether a topic of the one can be a topic of the other."""
    return any(overlap(topic, other) for topic in topics for other in others)


_TELL_APART: Final = "Nobody could tell them apart: give each a level of its own."


def _share(at: Steps, entry: Entry, other_at: Steps, other: Entry) -> bool:
    """Tell whether no message is for both entries of a list."""
    return at[0] == other_at[0] and any(
        getattr(entry, key) and getattr(other, key) and not set(getattr(entry, key)) & set(getattr(other, key))
        for key in _SELECTORS[str(at[0])]
    )


def _check_heard_topics(mapping: Mapping, _: Services) -> Iterator[Problem]:
    """Check that a car does not hear itself, and that no two commands are one for it."""
    heard: list[tuple[Steps, str]] = [(("commands", index), each.topic) for index, each in enumerate(mapping.commands)]
    heard += [(("replies", index), each.topic) for index, each in enumerate(mapping.replies)]
    if mapping.confirm is not None:
        heard.append((("confirm",), mapping.confirm.topic))
    for at, topic in heard:
        for sent_at, entry in entries(mapping):
            if _may_meet([expanded(topic, mapping.base)], _topics(entry, mapping)):
                yield Problem((*at, "topic"), f"{shown(topic)} may be the topic of {_label(sent_at)}: the car would hear itself")
    for (index, one), (later, other) in combinations(enumerate(mapping.commands), 2):
        if overlap(expanded(one.topic, mapping.base), expanded(other.topic, mapping.base)) and not _differ(one, other):
            hint = "Tell them apart by 'when'."
            yield Problem(("commands", later), f"what is {other.command!r} is {one.command!r} of commands[{index}] already", hint)


def _differ(one: CommandEntry, other: CommandEntry) -> bool:
    """Tell whether the later of two commands can be meant where the earlier is not: it goes by other conditions."""
    return any(other.when.get(path) != value for path, value in one.when.items())


# --- what gets lost


def _check_leaves_out(mapping: Mapping, services: Services) -> Iterator[Problem]:
    """Check that what is declared as left out is something of ours, and is not mapped."""
    known = _declarable(services)
    for index, name in enumerate(mapping.leaves_out):
        if name not in known:
            near = nearest_hint(name, known)
            yield Problem(
                ("leaves_out", index), f"{shown(name)} is nothing that a car sends", near if "mean" in near else _DECLARED
            )


_DECLARED: Final = "Such as status.health, triggers.load, events.trip, events, requests, responses.accepted, presence."


def _declarable(services: Services) -> set[str]:
    found = {*SENT, "triggers"}
    found |= {f"status.{group}" for group in STATUS_GROUPS} | {f"triggers.{trigger}" for trigger in TRIGGERS}
    found |= {f"events.{name}" for name in services.events} | {f"requests.{name}" for name in services.requests}
    return found | {f"responses.{state}" for state in STATES} | {f"presence.{each}" for each in CONNECTIONS}


def _check_groups(mapping: Mapping, _: Services) -> Iterator[Problem]:
    paths = [path for entry in mapping.status for path in _paths_of(entry)]
    if mapping.status and all(_leads_somewhere(path) for path in paths):  # else it is no loss, but a slip
        mapped = {group for path in paths if (group := group_of(path)) is not None}
        yield from _lost(mapping, "status", STATUS_GROUPS, mapped, noun="the status' group")
        yield from _declared_and_mapped(mapping, "status", mapped)


def _leads_somewhere(path: str) -> bool:
    return path.partition(".")[0] in OF_EACH or find_place(Status, path) is not None


def _paths_of(entry: Entry) -> Iterator[str]:
    """Yield all paths that an entry reads, those of expressions too."""
    tables = (entry.fields, entry.properties, entry.each if isinstance(entry, StatusEntry) else {})
    for field in chain(*(table.values() for table in tables), () if entry.value is None else (entry.value,)):
        if isinstance(field, str):
            yield field
        elif field.path is not None:
            yield field.path
        elif field.expression is not None:
            yield from _paths_of_expression(field)


def _paths_of_expression(field: Field) -> Iterator[str]:
    try:
        yield from Expression(field.expression or "").paths
    except UsageError:
        return  # that has been said where it stands


def _check_words(sending: Sending, noun: str, known: Callable[[Services], Collection[str]]) -> Check:
    """Return the check that each event, request, presence or trigger of the status has an entry that takes it."""
    head = "triggers" if sending == "status" else sending
    (key,) = _SELECTORS[sending]

    def check(mapping: Mapping, services: Services) -> Iterator[Problem]:
        """Yield the words that no entry takes."""
        words = known(services)
        chosen = [getattr(entry, key) for entry in getattr(mapping, sending)]
        mapped = set(words) if () in chosen else set(chain(*chosen))
        yield from _lost(mapping, sending, words, mapped, noun=noun, head=head)
        yield from _declared_and_mapped(mapping, head, mapped)

    return check


def _check_responses(mapping: Mapping, services: Services) -> Iterator[Problem]:
    """Check that each command that is mapped is answered, whatever becomes of it."""
    silent: dict[tuple[str, ...], list[str]] = {}
    for state in ANSWERED:
        if {"responses", f"responses.{state}"} & {*mapping.leaves_out}:
            continue
        answering = [entry.commands for entry in mapping.responses if not entry.states or state in entry.states]
        commands = dict.fromkeys(entry.command for entry in mapping.commands if entry.command in services.commands)
        unanswered = tuple(name for name in commands if () not in answering and name not in chain(*answering))
        if unanswered:
            silent.setdefault(unanswered, []).append(state)
    for commands_of, states in silent.items():
        hint = f"Map it under 'responses', or declare it: leaves_out: [{', '.join(f'responses.{state}' for state in states)}]"
        message = f"the mapping loses the answer {', '.join(states)} to {listed(commands_of)}"
        yield Problem(("responses",), message, hint, is_key=True)
    yield from _declared_and_mapped(mapping, "responses", set(chain(*(entry.states for entry in mapping.responses))))


def _lost(
    mapping: Mapping, sending: str, known: Collection[str], mapped: Collection[str], *, noun: str, head: str = ""
) -> Iterator[Problem]:
    """Report what is neither mapped nor declared."""
    head = head or sending
    declared = set(mapping.leaves_out)
    if {head, sending} & declared:
        return
    lost = [word for word in known if word not in mapped and f"{head}.{word}" not in declared]
    if lost:
        names = [sending] if len(lost) == len(known) else [f"{head}.{word}" for word in lost]
        declared_so = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
        hint = f"Map it, or declare it: leaves_out: [{declared_so}]"
        yield Problem((sending,), f"the mapping loses {noun} {listed(lost)}", hint, is_key=True)


def _declared_and_mapped(mapping: Mapping, head: str, mapped: Collection[str]) -> Iterator[Problem]:
    """Report what is declared as left out and named by an entry."""
    for index, name in enumerate(mapping.leaves_out):
        if name in {f"{head}.{word}" for word in mapped}:
            yield Problem(("leaves_out", index), f"{name} is mapped, too", "Leave it out here, or there.")


# --- the account


def _check_numbers(mapping: Mapping, _: Services) -> Iterator[Problem]:
    """Check that with `account: payload` each numbered message carries its number."""
    if mapping.account != "payload":
        return
    for at, entry in entries(mapping):
        if at[0] != "presence":
            absent = [name for name in _NUMBER if name not in _paths_of(entry)]
            if absent:
                hint = "Or take 'account: property', which puts the number beside the payload."
                yield Problem((*at, "topic"), f"{_label(at)} lacks {', '.join(absent)}, which 'account: payload' needs", hint)


def _label(at: Steps) -> str:
    return f"{at[0]}[{at[1]}]"


CHECKS: Final[tuple[Check, ...]] = (
    _check_shared_topics,
    _check_heard_topics,
    _check_leaves_out,
    _check_groups,
    _check_words("status", "the status with the trigger", lambda _: TRIGGERS),
    _check_words("events", "the event", lambda services: services.events),
    _check_words("requests", "the request", lambda services: services.requests),
    _check_words("presence", "the presence", lambda _: CONNECTIONS),
    _check_responses,
    _check_numbers,
)
