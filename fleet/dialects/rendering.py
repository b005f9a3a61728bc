"""Values of a message as the nested fields of a payload. What a car says again and again is rendered once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from fleet.dialects.payloads import Codec
from fleet.dialects.values import ABSENT, GROUPS, Convert, OutgoingField, same

Item = tuple[int, str, Any]
"""A value with its place: the parent by number, and the key there."""
_DIFFERING: Final = frozenset({"seq", "captured_at", "due_wall_us", "sent_wall_us"})
"""Fields of a header that differ from one message of a car to the next."""
_PARTS: Final = ("vin", *GROUPS)
_HOLE: Final = re.compile(rb"\xff(\d+)\xff")
"""Stands for a value that differs each time, by its number: no byte of JSON is so."""


class Tree:
    """Where values go in a payload: nested by the dots of their targets, or flat."""

    def __init__(self, targets: Sequence[str], *, nested: bool) -> None:
        """Take the targets of all fields; a place is known by the field's index."""
        self._parents: list[tuple[int, str]] = [(0, "")]
        known: dict[tuple[str, ...], int] = {(): 0}
        self.places: list[tuple[int, str]] = []
        for target in targets:
            *steps, key = target.split(".") if nested else [target]
            parent = 0
            for depth in range(len(steps)):
                path = tuple(steps[: depth + 1])
                if path not in known:
                    known[path] = len(self._parents)
                    self._parents.append((parent, steps[depth]))
                parent = known[path]
            self.places.append((parent, key))

    def build(self, values: Iterable[tuple[int, Any]]) -> dict[str, Any]:
        """Return the payload with these values, by the index of their field."""
        return self.put_together((*self.places[index], value) for index, value in values)

    def put_together(self, items: Iterable[Item]) -> dict[str, Any]:
        """Return the payload with these items."""
        root: dict[str, Any] = {}
        made: list[dict[str, Any] | None] = [root, *[None] * (len(self._parents) - 1)]
        for parent, key, value in items:
            at = made[parent]
            if at is None:
                at = self._make(made, parent)
            at[key] = value
        return root

    def _make(self, made: list[dict[str, Any] | None], index: int) -> dict[str, Any]:
        parent, key = self._parents[index]
        above = made[parent]
        if above is None:
            above = self._make(made, parent)
        found: dict[str, Any] = {}
        above[key] = found
        made[index] = found
        return found


class _Leaf(NamedTuple):
    """A value of a payload: its place, how to get and convert it, and what is written where it is not there."""

    parent: int
    key: str
    get: Convert
    convert: Convert | None
    absent: Any


class _Root(NamedTuple):
    """The values that come from one part of a message, None for the whole of it."""

    name: str | None
    is_news: bool
    leaves: list[_Leaf]


class Repeated:
    """The last status of a car for an entry: what it was made of, and its payload once the same has come twice."""

    __slots__ = ("made_of", "order", "pieces")

    def __init__(self) -> None:
        self.made_of: tuple[Any, ...] = ()
        self.pieces: list[bytes] = []
        """The payload around what differs each time."""
        self.order: tuple[int, ...] | None = None
        """Which value is between which pieces; None before there are any."""


class WholeStatus:
    """The fields of a status as one payload."""

    def __init__(self, fields: Sequence[OutgoingField], tree: Tree, codec: Codec, *, is_json: bool) -> None:
        """Take the fields of an entry; `is_json`: bytes that are no JSON may stand for what differs each time."""
        self._tree = tree
        self._encode = codec.encode
        self._is_json = is_json
        self._has_news = any(not field.accompanies for field in fields)
        self._fixed = [(*place, field.constant) for place, field in zip(tree.places, fields, strict=True) if field.is_constant]
        self._roots: list[_Root] = []
        self._differing: list[_Leaf] = []
        """Fields of the header, which no two messages have in common."""
        for place, field in zip(tree.places, fields, strict=True):
            if not field.is_constant:
                self._add(field, place)
        names = [name for name in _PARTS if any(name in field.roots for field in fields)]
        self._made_of = attrgetter("boot", "trigger", *names)

    def _add(self, field: OutgoingField, place: tuple[int, str]) -> None:
        absent = ABSENT if field.group is not None and field.root is None else field.absent
        if field.roots & _DIFFERING:
            self._differing.append(_Leaf(*place, field.get, field.convert, absent))
            return
        get = field.get if field.root is None else field.inner or same
        root = next((each for each in self._roots if each.name == field.root), None)
        if root is None:
            root = _Root(field.root, False, [])
            self._roots.append(root)
        root.leaves.append(_Leaf(*place, get, field.convert, absent))
        self._roots[self._roots.index(root)] = root._replace(is_news=root.is_news or not field.accompanies)

    def render(self, message: Any, repeated: Repeated) -> bytes | None:
        """Return the payload, None where the status has nothing for this entry. `repeated` is the car's own."""
        differing = self._differences(message)
        made_of = self._made_of(message)
        if made_of == repeated.made_of:
            if repeated.order is not None and (found := self._filled(repeated, differing)) is not None:
                return found
            if self._is_json:
                self._keep(repeated, message, differing)
        else:
            repeated.made_of, repeated.order = made_of, None
        items = self._items(message)
        return None if items is None else self._encode(self._tree.put_together([*items, *self._items_of(differing)]))

    def _filled(self, repeated: Repeated, differing: list[Any]) -> bytes | None:
        """Return the payload from its pieces, None where another number of values is there."""
        pieces, order = repeated.pieces, repeated.order
        assert order is not None
        if len(order) != len(differing) - differing.count(ABSENT):
            return None
        found = [pieces[0]]
        for index, piece in zip(order, pieces[1:], strict=True):
            value = differing[index]
            if value is ABSENT:
                return None
            found.append(self._encode(value))
            found.append(piece)
        return b"".join(found)

    def _keep(self, repeated: Repeated, message: Any, differing: list[Any]) -> None:
        """Keep the payload in pieces, without the values that differ each time."""
        items = self._items(message)
        if items is not None:
            holes: list[Any] = [
                value if value is ABSENT else msgspec.Raw(b"\xff%d\xff" % index) for index, value in enumerate(differing)
            ]
            pieces = _HOLE.split(self._encode(self._tree.put_together([*items, *self._items_of(holes)])))
            repeated.pieces, repeated.order = pieces[::2], tuple(map(int, pieces[1::2]))

    def _differences(self, message: Any) -> list[Any]:
        """Return the values that differ each time, ABSENT for what is not there."""
        found = []
        for _, _, get, convert, absent in self._differing:
            value = get(message)
            found.append(absent if value is None else value if convert is None else convert(value))
        return found

    def _items_of(self, differing: list[Any]) -> list[Item]:
        pairs = zip(self._differing, differing, strict=True)
        return [(leaf.parent, leaf.key, value) for leaf, value in pairs if value is not ABSENT]

    def _items(self, message: Any) -> list[Item] | None:
        """Return what does not differ each time, None where none of it is news."""
        items: list[Item] = self._fixed.copy()
        is_news = not self._has_news
        for name, is_new, leaves in self._roots:
            whole = message if name is None else getattr(message, name)
            if whole is None:
                if name not in GROUPS:  # a group that is no part of this status is not missing
                    items += [(leaf.parent, leaf.key, leaf.absent) for leaf in leaves if leaf.absent is not ABSENT]
                continue
            is_news = is_news or (is_new and name is not None)
            for parent, key, get, convert, absent in leaves:
                value = get(whole)
                is_news = is_news or (is_new and value is not None)  # of what is computed from many parts, some may be there
                if value is None:
                    value = absent
                elif convert is not None:
                    value = convert(value)
                if value is not ABSENT:
                    items.append((parent, key, value))
        return items if is_news else None
