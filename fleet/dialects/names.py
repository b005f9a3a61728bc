"""The names that a mapping may use: paths into messages that cars send, and into what they receive."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, Final, Literal

import msgspec

from fleet.dialects.paths import Place, all_paths, find_place
from fleet.dialects.payloads import written
from fleet.errors import UsageError, nearest_hint
from fleet.scenario.scalars import shown
from fleet.wire.messages import STATUS_GROUPS, Event, Presence, Request, Response, Status
from fleet.wire.services import load_services

Sending = Literal["status", "events", "responses", "requests", "presence"]
SENT: Final[dict[Sending, type[msgspec.Struct]]] = {
    "status": Status,
    "events": Event,
    "responses": Response,
    "requests": Request,
    "presence": Presence,
}
"""The lists of a mapping for what a car sends, with the kind of message of their entries."""
HEARD: Final = ("payload", "topic", "properties", "correlation")
"""The beginnings of paths in what a car receives."""
OF_EACH: Final = ("value", "field")
"""Beside the message, what a frame for one field is built of."""
_ANY: Final = Place(Any, True)

Follow = Callable[[str], Place]
"""Follows a path; raises UsageError with the nearest one that there is."""


def in_message(
    sending: Sending, chosen: tuple[str, ...] = (), beside: Collection[str] = (), commands: tuple[str, ...] = ()
) -> Follow:
    """Return the function that follows paths in a message of a car; of free data only the first step is known.

    `chosen` are the triggers, names, states or connections that the entry is for, all where there are none. `beside` are further
    paths: what a field's frame is built of, and the levels of the topic of a command that is answered. `commands` are those that
    an answer may be for.
    """
    narrowed = _chosen(sending, chosen)
    if commands:
        narrowed["name"] = Place(Literal[commands], False)

    def follow(path: str) -> Place:
        """Return the place of a path; raises UsageError with the nearest one."""
        if path in beside:
            return _ANY
        if path in narrowed:
            return narrowed[path]
        place = find_place(SENT[sending], path)
        if place is None:
            raise UsageError(f"unknown field {shown(path)}", hint=_nearest(path, _paths(sending)))
        data, _, rest = path.partition(".")
        step = rest.partition(".")[0]
        if data == "data" and step and step not in (known := _data_names(sending, chosen)):
            raise UsageError(f"unknown field {shown(path)}", hint=_nearest(path, tuple(f"data.{name}" for name in known)))
        return place

    return follow


def in_payload(levels: tuple[str, ...]) -> Follow:
    """Return the function that follows paths in what a car receives, on a topic with these levels in braces."""

    def follow(path: str) -> Place:
        """Accept any path whose root is known; raises UsageError for another one."""
        root, _, rest = path.partition(".")
        if root not in HEARD:
            hint = nearest_hint(root, HEARD)
            raise UsageError(
                f"{shown(path)} is nothing that a car receives: a path begins with one of {', '.join(HEARD)}", hint=hint
            )
        if root == "topic" and rest not in levels:
            hint = nearest_hint(path, [f"topic.{level}" for level in levels])
            raise UsageError(f"the topic has no level {{{rest}}}", hint=hint or "Write the level in braces, such as {action}.")
        return _ANY

    return follow


def listed(words: Collection[str], most: int = 6) -> str:
    """Return words for a message, the first ones of many."""
    shown_words = ", ".join(list(words)[:most])
    return f"{shown_words} and {len(words) - most} more" if len(words) > most else shown_words


def words_of(place: Place) -> tuple[str, ...]:
    """Return all that a value can be, as value maps write it; empty where nobody can list it."""
    return tuple(written(option) for option in place.options)


def group_of(path: str) -> str | None:
    """Return the group of a status that a path leads into, None for its header, trigger and state."""
    first = path.partition(".")[0]
    return first if first in STATUS_GROUPS else None


def _chosen(sending: Sending, chosen: tuple[str, ...]) -> dict[str, Place]:
    """Return the path by which an entry chooses its messages, with the words that it chooses."""
    services = load_services()
    known: dict[Sending, tuple[str, tuple[str, ...]]] = {
        "status": ("trigger", ()),
        "events": ("name", tuple(services.events)),
        "requests": ("name", tuple(services.requests)),
        "responses": ("state", ()),
        "presence": ("connection", ()),
    }
    path, all_words = known[sending]
    words = chosen or all_words
    return {path: Place(Literal[words], False)} if words else {}


@cache
def _paths(sending: Sending) -> tuple[str, ...]:
    return tuple(all_paths(SENT[sending]))


def _nearest(path: str, known: tuple[str, ...]) -> str:
    """Suggest a path with the same last step, else a similar one, else those that begin as it does."""
    last = path.rpartition(".")[2]
    near = [each for each in known if each.rpartition(".")[2] == last][:1] or difflib.get_close_matches(
        path, known, n=1, cutoff=0.7
    )
    if near:
        return f"Did you mean {near[0]!r}?"
    head = path.rpartition(".")[0]
    beside = [each for each in known if each.rpartition(".")[0] == head]
    return nearest_hint(path, beside or [each for each in known if "." not in each])


def _data_names(sending: Sending, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first steps into the data of events, or the parameters of requests."""
    services = load_services()
    described: Mapping[str, tuple[str, ...]] = (
        {key: entry.data for key, entry in services.events.items()}
        if sending == "events"
        else {key: tuple(entry.parameters) for key, entry in services.requests.items()}
    )
    return tuple(dict.fromkeys(name for key, known in described.items() if not names or key in names for name in known))
