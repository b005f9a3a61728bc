"""Topics with placeholders: filled for a car, recognised when they come, and as filters for subscriptions and access lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from fleet.dialects.spec import CAR_PLACEHOLDERS
from fleet.errors import Unwritable

PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_VIN: Final = "[A-HJ-NPR-Z0-9]{17}"
_UNFIT: Final = re.compile(r"[/+#{}\x00-\x1f\x7f]")
IDENTIFYING: Final = frozenset({"vin", "client_id", "name"})
"""The placeholders that make a topic one car's own."""


def expanded(topic: str, base: str) -> str:
    """Return the topic with the mapping's own beginning."""
    return topic.replace("{base}", base)


def placeholders(topic: str) -> list[str]:
    """Return the names in braces, in their order."""
    return PLACEHOLDER.findall(topic)


def level(value: str) -> str:
    """Return a value as a level of a topic."""
    return _UNFIT.sub("_", value) or "_"


class TopicPattern:
    """A topic with placeholders; `free` are those that no fact about a car fills.

    `several` is one of them whose value may have several levels, such as a field's name.
    """

    __slots__ = ("_parts", "_regex", "free", "several", "text")

    _regex: re.Pattern[str] | None

    def __init__(self, text: str, *, several: str | None = None) -> None:
        """Compile the text."""
        self.text = text
        self.several = several
        self._parts = PLACEHOLDER.split(text)
        self.free = tuple(dict.fromkeys(name for name in self._parts[1::2] if name not in CAR_PLACEHOLDERS))
        self._regex = None  # few are matched of those that are made for one car

    def _pattern(self) -> str:
        found, seen = [], set()
        for index, part in enumerate(self._parts):
            if index % 2 == 0:
                found.append(re.escape(part))
            elif part in seen:
                found.append(f"(?P={part})")
            else:
                seen.add(part)
                inner = _VIN if part == "vin" else ".+" if part == self.several else "[^/]+"
                found.append(f"(?P<{part}>{inner})")
        return "".join(found)

    @property
    def is_own(self) -> bool:
        """Whether it belongs to one car."""
        return not IDENTIFYING.isdisjoint(self._parts[1::2])

    @property
    def is_filled(self) -> bool:
        """Whether no fact about a car is wanting."""
        return not any(name in CAR_PLACEHOLDERS for name in self._parts[1::2])

    def with_values(self, values: Mapping[str, str]) -> TopicPattern:
        """Return the pattern with some of its placeholders filled in."""
        return TopicPattern(self.fill(values, partly=True), several=self.several)

    def fill(self, values: Mapping[str, str], *, partly: bool = False) -> str:
        """Return the topic with values for its placeholders; raises Unwritable for one without, unless `partly`."""
        parts = list(self._parts)
        for index in range(1, len(parts), 2):
            name = parts[index]
            if name in values:
                parts[index] = values[name]
            elif partly:
                parts[index] = f"{{{name}}}"
            else:
                raise Unwritable("topic", f"nobody knows {{{name}}} of {self.text!r}")
        return "".join(parts)

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the values of the placeholders in a topic, None for a topic that is none of these."""
        if self._regex is None:
            self._regex = re.compile(self._pattern())
        found = self._regex.fullmatch(topic)
        return None if found is None else found.groupdict()

    def filters(self, *, user: bool = False, values: Mapping[str, Collection[str]] | None = None) -> Iterator[str]:
        """Yield topic filters for it; with `user` the VIN is %u, as access lists have it.

        `values` are all those of a placeholder with several levels, where it is not the end.
        """
        levels = [_filter_level(each, user=user) for each in self.text.split("/")]
        several = f"{{{self.several}}}"
        if self.several is None or several not in self.text:
            yield "/".join(levels)
        elif self.text.endswith("/" + several):
            yield "/".join([*levels[:-1], "#"])
        else:
            for value in (values or {}).get(self.several, ()):
                yield "/".join(_filter_level(each, user=user) for each in self.text.replace(several, value).split("/"))

    @property
    def kind(self) -> str:
        """The topic with + for each placeholder."""
        return PLACEHOLDER.sub("+", self.text)


def _filter_level(text: str, *, user: bool) -> str:
    if user and text == "{vin}":
        return "%u"
    return "+" if PLACEHOLDER.search(text) else text
