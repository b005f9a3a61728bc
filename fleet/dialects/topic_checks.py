"""Checks of the topics of a mapping: placeholders that exist, topics of the car's own, and none that two entries share."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Final

from fleet.dialects.patterns import IDENTIFYING, PLACEHOLDER, expanded, placeholders
from fleet.dialects.spec import CAR_PLACEHOLDERS
from fleet.errors import nearest_hint
from fleet.scenario.problems import Problem, Steps
from fleet.scenario.scalars import shown

OF_ANY: Final = (*CAR_PLACEHOLDERS, "base")
"""The placeholders of any topic."""
_LONGEST: Final = 1_000
_ANY: Final = "\0"
_SEVERAL: Final = "\0\0"
"""Stand for one level, and for one or more, that may be anything."""


def levels_of(topic: str) -> tuple[str, ...]:
    """Return the words in braces of a topic that are not the car's."""
    return tuple(word for word in placeholders(topic) if word not in OF_ANY)


def check_form(at: Steps, topic: str) -> Iterator[Problem]:
    """Check what any topic must be, before it has placeholders."""
    rest = PLACEHOLDER.sub("", topic)
    if not topic:
        yield Problem(at, "a topic is expected, not nothing")
    elif len(topic) > _LONGEST:
        yield Problem(at, f"a topic of {len(topic)} characters is too long: at most {_LONGEST} are expected")
    elif "{" in rest or "}" in rest:
        yield Problem(at, f"the braces of {shown(topic)} hold no placeholder", 'A placeholder is a word, such as "{vin}".')
    elif not topic.isprintable() or any(character in rest for character in "+#"):
        hint = "A level that may be anything is a word in braces, such as {action}."
        yield Problem(at, f"{shown(topic)} is no topic: '+', '#' and control characters cannot be in one", hint)
    elif topic.startswith("$"):
        yield Problem(at, f"{shown(topic)} is a topic of the broker's own: it begins with '$'")


def check_placeholders(at: Steps, topic: str, known: Collection[str]) -> Iterator[Problem]:
    """Check that each word in braces is a placeholder that there is."""
    for word in placeholders(topic):
        if word not in known:
            yield Problem(at, f"there is no placeholder {{{word}}} here", nearest_hint(word, known))


def check_levels(at: Steps, topic: str, read: Collection[str]) -> Iterator[Problem]:
    """Check the words in braces of a topic that a car hears: those of the car, or whole levels. `read` are those in use."""
    for word in levels_of(topic):
        if f"/{{{word}}}/" not in f"/{topic}/":
            hint = "Only placeholders of the car may stand within a level."
            yield Problem(at, f"{{{word}}} is part of a level, and what may be anything is a whole one", hint)
            continue
        near = difflib.get_close_matches(word, OF_ANY, n=1)
        if near and word not in read:
            yield Problem(at, f"{{{word}}} is a level that may be anything, and nothing reads it", f"Did you mean {{{near[0]}}}?")


def check_own(at: Steps, topic: str, base: str) -> Iterator[Problem]:
    """Check that a topic is the car's own."""
    if IDENTIFYING.isdisjoint(placeholders(expanded(topic, base))):
        hint = "Put {vin} or {client_id} into it; or say 'shared: true', if that is what the system wants."
        yield Problem(at, f"{shown(topic)} is not the car's own: all cars have the same topic", hint)


def overlap(one: str, other: str) -> bool:
    """Tell whether one topic can be both, for the same car."""
    mine, theirs = _levels(one), _levels(other)
    shorter = min(len(mine), len(theirs))
    for index in range(shorter):
        if _SEVERAL in (mine[index], theirs[index]):
            return True
        if mine[index] != theirs[index] and _ANY not in (mine[index], theirs[index]):
            return False
    return len(mine) == len(theirs)


def _levels(topic: str) -> list[str]:
    """Return the levels of a topic with its base; one with a placeholder that is not the car's may be anything."""
    found = []
    for level in topic.split("/"):
        words = levels_of(level)
        found.append(_SEVERAL if "field" in words else _ANY if words else level)
    return found
