"""Reads the nodes of a YAML file into types and checks them, for any language of ours that people write.

Walks the nodes beside the types, because only nodes know line and column, and so that one pass finds every error and not just
the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Any, Final, Generic, Literal, TypeVar, get_args, get_origin

import msgspec
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.errors import FileError, nearest_hint
from fleet.scenario.drawn import Plain
from fleet.scenario.element import without_none
from fleet.scenario.problems import UNKNOWN, Problem, Steps, ValueUnknown
from fleet.scenario.scalars import Misread, Readable, shown
from fleet.wire.services import whole_number

WordsT = TypeVar("WordsT")
RootT = TypeVar("RootT", bound=msgspec.Struct)
_DEEPEST: Final = 4
"""How deep plain data may nest inside one value; more is an alias bomb or a mistake."""


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands for a value that was reported as wrong; `partial` is what can be said of it nevertheless, for further checks."""

    partial: Any = None

    @property
    def known(self) -> Any:
        """The value that stands in its place in the element that holds it."""
        return UNKNOWN if self.partial is None else self.partial


BROKEN: Final = _Broken()


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the keys of a part as they are written; looked up once, for a long file has thousands of parts."""
    return {each.encode_name: each for each in msgspec.structs.fields(kind)}


@dataclass(frozen=True, kw_only=True)
class Language(Generic[WordsT]):
    """The rules of one kind of file: the checks of each part, by its type, and keys that must be there unless another one is.

    The checks of a part are independent: one goes on where another needs a value that is broken.
    """

    checks: Mapping[type[msgspec.Struct], tuple[Callable[[Any, WordsT], Iterable[Problem]], ...]]
    error: type[FileError]
    instead: Mapping[type[msgspec.Struct], Mapping[str, str]] = field(default_factory=dict)


class Reader(Generic[WordsT]):
    """Reads nodes into types and gathers what is wrong, each with the place it was found at."""

    def __init__(self, language: Language[WordsT], words: WordsT, errors: list[FileError]) -> None:
        """Take the rules, the names that the file may use, and the list for what is wrong."""
        self.language = language
        self.words = words
        self.errors = errors

    def read_root(self, node: Node, wanted: type[RootT]) -> RootT | None:
        """Return the whole file, None when nothing can be said of it; what is broken in it has been reported."""
        value = self.read(node, wanted, ())
        root: RootT | None = value.partial if isinstance(value, _Broken) else value
        return root

    def fail(self, node: Node, steps: Steps, message: str, hint: str = "") -> _Broken:
        """Note an error at the place of the node, and return BROKEN."""
        label = _label(steps)
        mark = node.start_mark
        text = f"{label}: {message}" if label else message
        self.errors.append(self.language.error(text, file=str(mark.name), line=mark.line + 1, column=mark.column + 1, hint=hint))
        return BROKEN

    def read(self, node: Node, wanted: Any, steps: Steps) -> Any:
        """Return the value of `node` as `wanted`, or BROKEN after reporting why not."""
        wanted = without_none(wanted)
        if wanted == Plain:
            return self._anything(node, steps)
        if isinstance(wanted, UnionType):
            return self._text_or_part(node, wanted, steps)
        origin = get_origin(wanted)
        if origin is tuple:
            return self._list(node, get_args(wanted)[0], steps)
        if origin is dict:
            return self._table(node, get_args(wanted)[1], steps)
        if origin is Literal:
            return self._word(node, get_args(wanted), steps)
        if issubclass(wanted, msgspec.Struct):
            return self._struct(node, wanted, steps)
        if issubclass(wanted, Readable):
            return self._readable(node, wanted, steps)
        return self._scalar(node, wanted, steps)

    def _text_or_part(self, node: Node, wanted: UnionType, steps: Steps) -> object:
        """Read what may be written as a text alone, or as a part with keys of its own."""
        (part,) = (option for option in get_args(wanted) if option is not str)
        if isinstance(node, SequenceNode):
            return self.fail(node, steps, "a text or a mapping (key: value) is expected, not a list")
        return self.read(node, part if isinstance(node, MappingNode) else str, steps)

    def _readable(self, node: Node, wanted: type[Readable], steps: Steps) -> object:
        if isinstance(node, MappingNode):
            self._entries(node, steps)  # only for keys that come twice
        try:
            return wanted.parse(plain(node))
        except Misread as error:
            return self.fail(descend(node, error.at), (*steps, *error.at), str(error), error.hint)

    def _word(self, node: Node, words: tuple[str | int, ...], steps: Steps) -> object:
        value = plain(node)
        if value in words and type(value) in map(type, words):
            return value
        names = [str(word) for word in words]
        return self.fail(node, steps, f"{shown(value)} is not one of {', '.join(names)}", nearest_hint(str(value), names))

    def _scalar(self, node: Node, wanted: type, steps: Steps) -> object:
        value = plain(node)
        expected = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[wanted]
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            return self.fail(node, steps, f"{expected} is expected, not {shown(value)}")
        return value

    def _anything(self, node: Node, steps: Steps) -> object:
        value = plain(node)
        if value is None or isinstance(value, list | dict):
            return self.fail(node, steps, f"a word, a number, true or false is expected, not {shown(value)}")
        return value

    def _list(self, node: Node, item: Any, steps: Steps) -> object:
        if not isinstance(node, SequenceNode):
            return self.fail(node, steps, f"a list is expected, not {shown(plain(node))}")
        values = [self.read(child, item, (*steps, index)) for index, child in enumerate(node.value)]
        if not any(isinstance(value, _Broken) for value in values):
            return tuple(values)
        return _Broken(tuple(value.known if isinstance(value, _Broken) else value for value in values))

    def _table(self, node: Node, item: Any, steps: Steps) -> object:
        entries = self._entries(node, steps)
        if entries is None:
            return BROKEN
        values = {key: self.read(child, item, (*steps, key)) for key, (_, child) in entries.items()}
        if not any(isinstance(value, _Broken) for value in values.values()):
            return values
        return _Broken({key: value.known if isinstance(value, _Broken) else value for key, value in values.items()})

    def _entries(self, node: Node, steps: Steps) -> dict[str, tuple[Node, Node]] | None:
        """Return key -> (key node, value node), reporting keys that come twice or are no text."""
        if not isinstance(node, MappingNode):
            self.fail(node, steps, f"a mapping (key: value) is expected, not {shown(plain(node))}")
            return None
        entries: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.fail(key_node, steps, f"a key is a word, not {shown(plain(key_node))}")
            elif key_node.value in entries:
                first = entries[key_node.value][0].start_mark.line + 1
                self.fail(key_node, steps, f"the key {shown(key_node.value)} comes twice, first in line {first}")
            else:
                if isinstance(value_node, ScalarNode) and value_node.start_mark.index == value_node.end_mark.index:
                    value_node.start_mark = key_node.start_mark  # nothing is written: the key is what there is to see
                entries[key_node.value] = (key_node, value_node)
        return entries

    def _struct(self, node: Node, wanted: type[msgspec.Struct], steps: Steps) -> object:
        entries = self._entries(node, steps)
        if entries is None:
            return BROKEN
        fields = _fields(wanted)
        hints = []
        for key, (key_node, _) in entries.items():
            if key not in fields:
                hints.append(nearest_hint(key, fields))
                self.fail(key_node, steps, f"unknown key {shown(key)}", hints[-1])
        instead = self.language.instead.get(wanted, {})
        values: dict[str, Any] = {}
        broken = False
        for key, described in fields.items():
            if key in entries:
                value = self.read(entries[key][1], described.type, (*steps, key))
            elif hints and nearest_hint(key, [key]) in hints:
                value = BROKEN  # it is there, misspelt, and that has been said
            elif described.required or (key in instead and instead[key] not in entries):
                value = self.fail(node, steps, f"the key {key!r} is missing{_wanted(described.type)}")
            else:
                continue
            if not isinstance(value, _Broken):
                values[described.name] = value
                continue
            broken = True
            if value.partial is not None or described.required:
                values[described.name] = value.known
        part = wanted(**values)
        self._check(node, part, steps, broken=broken)
        return _Broken(part) if broken else part

    def _check(self, node: Node, part: msgspec.Struct, steps: Steps, *, broken: bool) -> None:
        """Report what is wrong with a part; of a broken one, where a default fills the gap, only what it does say."""
        ended_by = (ValueUnknown, TypeError) if broken else ()  # what is written in C says so in its own way
        for check in self.language.checks.get(type(part), ()):
            with suppress(*ended_by):
                for problem in check(part, self.words):
                    if problem.at or not broken:
                        place = descend(node, problem.at, key=problem.is_key)
                        self.fail(place, (*steps, *problem.at), problem.message, problem.hint)


def plain(node: Node, depth: int = 0) -> Any:
    """Return the node as plain data; what lies too deep becomes a list that no type reads."""
    if depth > _DEEPEST:
        return []
    if isinstance(node, SequenceNode):
        return [plain(child, depth + 1) for child in node.value]
    if isinstance(node, MappingNode):
        return {str(key.value): plain(child, depth + 1) for key, child in node.value}
    return _plain_scalar(str(node.tag).rpartition(":")[2], str(node.value))


def _plain_scalar(kind: str, text: str) -> str | int | float | bool | None:
    """Return a scalar of a YAML kind; what YAML calls a number or a truth but is not spelt plainly stays text."""
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in ("int", "float"):
        try:
            return whole_number(text.replace("_", "")) if kind == "int" else float(text.replace("_", ""))
        except ValueError:
            return text
    return text


def descend(node: Node, at: Steps, *, key: bool = False) -> Node:
    """Return the node that `at` leads to, or the last one on the way that exists; `key` asks for the key itself."""
    for index, step in enumerate(at):
        found: Node | None = None
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = node.value[step]
        elif isinstance(node, MappingNode):
            pairs = [pair for pair in node.value if pair[0].value == step]
            if pairs:
                found = pairs[0][0 if key and index == len(at) - 1 else 1]
        if found is None:
            return node
        node = found
    return node


def _label(steps: Steps) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _wanted(kind: Any) -> str:
    kind = without_none(kind)
    if isinstance(kind, type) and issubclass(kind, Readable):
        return f": {kind.expected} is expected"
    return ""
