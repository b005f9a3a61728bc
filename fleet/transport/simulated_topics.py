"""Topic names and filters as MQTT has them, who subscribes to a topic, and what is kept for those who will.

Both indexes are there so that neither a publish nor a subscription of a car looks at the other cars.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

import msgspec

SHARED_PREFIX: Final = "$share/"
_LENGTH_MAX: Final = 65_535
LEVELS_MAX: Final = 200
"""Levels of a topic or filter, as many as Mosquitto takes: what walks through them does so by recursion."""
_REMEMBERED: Final = 1 << 16
"""Topics whose way is remembered; when there are more it begins anew."""
_REMEMBERED_LENGTH: Final = 200

SubscriberT = TypeVar("SubscriberT", bound=Hashable)
ValueT = TypeVar("ValueT")

Client = tuple[str | None, str]
"""User name and client id."""
Options = int
"""Options of a subscription as MQTT writes them in a byte (QoS, NO_LOCAL, RETAIN_AS_PUBLISHED, retain handling), and above
that byte the subscription identifier, 0 for none. One without options is its QoS."""
QOS: Final = 0x03
NO_LOCAL: Final = 0x04
RETAIN_AS_PUBLISHED: Final = 0x08
RETAIN_HANDLING: Final = 0x30
SEND_IF_NEW: Final = 0x10
SEND_NEVER: Final = 0x20
SUBSCRIPTION_ID: Final = 8
"""Bits before the subscription identifier."""

Shape = tuple[tuple[int, ...], int, bool]
"""Where a filter has its `+`, how many levels it has without a `#`, and whether that follows."""


def is_topic_name(topic: str) -> bool:
    """Return whether one may publish to it."""
    if not topic or "+" in topic or "#" in topic or "\0" in topic or len(topic) > _LENGTH_MAX:
        return False
    return topic.count("/") < LEVELS_MAX


def is_topic_filter(topic_filter: str) -> bool:
    """Return whether one may subscribe to it: wildcards fill whole levels, and `#` is the last."""
    if not topic_filter or "\0" in topic_filter or len(topic_filter) > _LENGTH_MAX:
        return False
    levels = topic_filter.split("/")
    if len(levels) > LEVELS_MAX:
        return False
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        return False
    return "#" not in levels[:-1]


def split_shared(topic_filter: str) -> tuple[str, str] | None:
    """Return group and filter of a shared subscription, `$share/GROUP/FILTER`; None if it is no such."""
    _, _, rest = topic_filter.partition("/")
    group, slash, inner = rest.partition("/")
    if not group or not slash or "+" in group or "#" in group or not is_topic_filter(inner):
        return None
    return group, inner


class Way(msgspec.Struct):
    """Knowledge about a topic: the filters that match it, and the last clients found to be allowed to write and to read it."""

    filters: list[str]
    writer: Client | None = None
    reader: Client | None = None


class SubscriptionIndex(Generic[SubscriberT]):
    """All subscriptions.

    Filters lie in one dictionary under their own text. For a topic, each shape that filters have gives the one filter of
    that shape which could match it; a fleet has a handful of shapes, however many cars it has. The same topics come again
    and again, so their ways are remembered for as long as there is no filter of another shape.
    """

    __slots__ = ("_shapes", "_ways", "by_filter", "shared")

    def __init__(self) -> None:
        self.by_filter: dict[str, dict[SubscriberT, Options]] = {}
        """The subscribers of each filter, with their options; not to be changed, nor kept."""
        self.shared: dict[str, dict[str, dict[SubscriberT, Options]]] = {}
        """The groups of each filter, and the members of each, the one first that was served longest ago."""
        self._shapes: dict[Shape, int] = {}
        self._ways: dict[str, Way] = {}

    def add(self, topic_filter: str, subscriber: SubscriberT, options: Options) -> None:
        """Subscribe, or change the options of a subscription."""
        if topic_filter.startswith(SHARED_PREFIX) and (split := split_shared(topic_filter)) is not None:
            self._add_shared(split, subscriber, options)
            return
        held = self.by_filter.get(topic_filter)
        if held is None:
            self.by_filter[topic_filter] = {subscriber: options}
            self._count_shape(topic_filter)
        else:
            held[subscriber] = options

    def _add_shared(self, split: tuple[str, str], subscriber: SubscriberT, options: Options) -> None:
        group, topic_filter = split
        groups = self.shared.get(topic_filter)
        if groups is None:
            groups = self.shared[topic_filter] = {}
            self._count_shape(topic_filter)
        groups.setdefault(group, {})[subscriber] = options

    def _count_shape(self, topic_filter: str) -> None:
        shape = _shape_of(topic_filter)
        count = self._shapes[shape] = self._shapes.get(shape, 0) + 1
        if count == 1:
            self._ways.clear()

    def remove(self, topic_filter: str, subscriber: SubscriberT) -> None:
        """End a subscription."""
        if topic_filter.startswith(SHARED_PREFIX) and (split := split_shared(topic_filter)) is not None:
            self._remove_shared(split, subscriber)
            return
        held = self.by_filter[topic_filter]
        del held[subscriber]
        if not held:
            del self.by_filter[topic_filter]
            self._uncount_shape(topic_filter)

    def _remove_shared(self, split: tuple[str, str], subscriber: SubscriberT) -> None:
        group, topic_filter = split
        groups = self.shared[topic_filter]
        del groups[group][subscriber]
        if not groups[group]:
            del groups[group]
        if not groups:
            del self.shared[topic_filter]
            self._uncount_shape(topic_filter)

    def _uncount_shape(self, topic_filter: str) -> None:
        shape = _shape_of(topic_filter)
        self._shapes[shape] -= 1
        if not self._shapes[shape]:
            del self._shapes[shape]
            self._ways.clear()

    def matching(self, topic: str) -> list[dict[SubscriberT, int]]:
        """Return for each filter that matches who subscribes to it, and with which options. Not to be changed, nor kept."""
        way = self.way_of(topic)
        return [self.by_filter[text] for text in way.filters if text in self.by_filter] if way is not None else []

    def way_of(self, topic: str) -> Way | None:
        """Return what is known of a topic; None if it is no topic name."""
        way = self._ways.get(topic)
        return way if way is not None else self._find_way(topic)

    def _find_way(self, topic: str) -> Way | None:
        if not is_topic_name(topic):
            return None
        way = Way(self._filters_for(topic))
        if len(topic) <= _REMEMBERED_LENGTH:
            if len(self._ways) >= _REMEMBERED:
                self._ways.clear()
            self._ways[topic] = way
        return way

    def _filters_for(self, topic: str) -> list[str]:
        filters = []
        levels = topic.split("/")
        count = len(levels)
        for pluses, length, rest in self._shapes:
            if length != count and not (rest and length < count):  # `a/#` matches `a` too
                continue
            if not pluses and not rest:
                filters.append(topic)
            elif topic[0] != "$" or (length and 0 not in pluses):
                parts = [*levels[:length], "#"] if rest else levels.copy()
                for place in pluses:
                    parts[place] = "+"
                filters.append("/".join(parts))
        return filters if len(filters) < 2 else sorted(filters, key=lambda topic_filter: _rank(topic_filter, count))


def _shape_of(topic_filter: str) -> Shape:
    levels = topic_filter.split("/")
    rest = levels[-1] == "#"
    return tuple(place for place, level in enumerate(levels) if level == "+"), len(levels) - rest, rest


def _rank(topic_filter: str, levels_of_topic: int) -> tuple[int, ...]:
    """Return the place of a filter among those that match a topic, as Mosquitto serves them: at each level the name, `+`, `#`.

    Beyond the topic's last level `#` comes before the filter that ends there.
    """
    ranks = [{"+": 1, "#": 2}.get(level, 0) for level in topic_filter.split("/")]
    if len(ranks) > levels_of_topic:
        ranks[-1] = 0
    elif ranks[-1] != 2:
        ranks.append(1)
    return tuple(ranks)


class _Node(Generic[ValueT]):
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.value: ValueT | None = None
        self.children: dict[str, _Node[ValueT]] | None = None


class TopicTree(Generic[ValueT]):
    """A value for each of some topics, found again by filters."""

    __slots__ = ("_count", "_root")

    def __init__(self) -> None:
        self._root: _Node[ValueT] = _Node()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def set(self, topic: str, value: ValueT) -> None:
        """Set or replace the value of a topic."""
        node = self._root
        for level in topic.split("/"):
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        self._count += node.value is None
        node.value = value

    def remove(self, topic: str) -> None:
        """Forget the topic, if there is one."""
        path = [self._root]
        levels = topic.split("/")
        for level in levels:
            child = path[-1].children.get(level) if path[-1].children else None
            if child is None:
                return
            path.append(child)
        self._count -= path[-1].value is not None
        path[-1].value = None
        while len(path) > 1 and path[-1].value is None and not path[-1].children:
            path.pop()
            children = path[-1].children
            assert children is not None
            del children[levels[len(path) - 1]]

    def matching(self, topic_filter: str) -> Iterator[ValueT]:
        """Yield the values of all topics that the filter matches, in the order in which their levels came."""
        return self._under(self._root, topic_filter.split("/"), 0)

    def __iter__(self) -> Iterator[ValueT]:
        return self._all(self._root, first=False)

    def _under(self, node: _Node[ValueT], levels: list[str], depth: int) -> Iterator[ValueT]:
        if depth == len(levels):
            if node.value is not None:
                yield node.value
            return
        level = levels[depth]
        if level == "#":
            yield from self._all(node, first=depth == 0)
        elif node.children is None:
            return
        elif level == "+":
            for name, child in node.children.items():
                if depth or not name.startswith("$"):
                    yield from self._under(child, levels, depth + 1)
        elif level in node.children:
            yield from self._under(node.children[level], levels, depth + 1)

    def _all(self, node: _Node[ValueT], *, first: bool) -> Iterator[ValueT]:
        if node.value is not None:
            yield node.value
        for name, child in (node.children or {}).items():
            if not (first and name.startswith("$")):
                yield from self._all(child, first=False)
