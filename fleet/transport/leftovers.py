"""Subscriptions that another client left in a session, and how a link lets go of them.

A broker tells that there is a session, never what it holds. So a link subscribes its own filters in each session in which
it has not done so, and ends those by which messages come that none of its own filters lets in. Nothing that waits in the
session is lost by that. Knows neither packets nor topics of cars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

TOPICS_TRIED_MAX: Final = 64
"""Topics of one session for which filters are sought; a filter that was found once lets in no further topic."""
VARIED_LEVELS: Final = 6
"""Of a longer topic only the last levels are sought as `+`: each level doubles the number of filters."""


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether a subscription to the filter lets the topic in."""
    if topic_filter[:1] in {"+", "#"} and topic.startswith("$"):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]  # `a/#` lets `a` in, too
    return len(wanted) == len(levels) and all(word in {"+", level} for word, level in zip(wanted, levels, strict=True))


def filters_matching(topic: str) -> list[str]:
    """Return the filters that let the topic in: all of them, as far as its last `VARIED_LEVELS` levels go."""
    levels = topic.split("/")
    fixed, varied = levels[:-VARIED_LEVELS], levels[-VARIED_LEVELS:]
    found = ["/".join([*fixed[:count], "#"]) for count in range(len(fixed))]
    heads = [fixed]
    for level in varied:
        found += ["/".join([*head, "#"]) for head in heads]
        heads = [[*head, word] for head in heads for word in (level, "+")]
    return found + ["/".join(head) for head in heads] + ["/".join([*head, "#"]) for head in heads]


class Leftovers:
    """Knowledge of one link about a session that it found, beyond its own filters."""

    __slots__ = ("_asked", "_ended", "_own", "_tried")

    def __init__(self, own: Iterable[str]) -> None:
        """Take the filters of the link itself."""
        self._own = tuple(own)
        self._tried: set[str] = set()
        self._ended: list[str] = []
        self._asked: list[str] = []

    def to_end(self, topic: str) -> list[str]:
        """Return the filters to unsubscribe after a message on this topic: none when it is ours or was tried, or a try lasts."""
        if self._asked or topic in self._tried or any(matches(own, topic) for own in self._own):
            return []
        if len(self._tried) >= TOPICS_TRIED_MAX or any(matches(ended, topic) for ended in self._ended):
            return []  # the latter was on its way already
        self._tried.add(topic)
        self._asked = filters_matching(topic)
        return self._asked

    def answered(self, codes: Sequence[int]) -> list[str] | None:
        """Take the reason codes of the UNSUBACK; return the filters that are ended, None when nothing was asked."""
        asked, self._asked = self._asked, []
        if not asked or len(asked) != len(codes):
            return None
        ended = [topic_filter for topic_filter, code in zip(asked, codes, strict=True) if code == 0]
        self._ended += ended
        return ended

    def cut_off(self) -> None:
        """The connection ended before the UNSUBACK came: what was asked is asked again."""
        if self._asked:
            self._tried.clear()
            self._asked = []
