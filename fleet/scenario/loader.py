"""Scenario files: found, read, checked and changed by what the command line overrides.

Reading walks the YAML nodes beside the types, because only nodes know line and column, and so that one pass
finds every error and not just the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.errors import ScenarioError, UnknownName, UsageError, nearest_hint
from fleet.scenario.checks import CHECKS, oversized
from fleet.scenario.composing import compose
from fleet.scenario.drawn import Plain
from fleet.scenario.problems import UNKNOWN, Steps, ValueUnknown
from fleet.scenario.scalars import ClockFactor, Misread, Readable, shown
from fleet.scenario.schema import INSTEAD, Fleet, Scenario, Vocabulary, without_none
from fleet.scenario.text import STANDARD_INPUT, read_text
from fleet.scenario.tracks import read_track
from fleet.wire.services import whole_number

_SUFFIXES: Final = (".yaml", ".yml")
_DEEPEST: Final = 4
"""How deep plain data may nest inside one value; more is an alias bomb or a mistake."""


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Changes of the command line to a scenario; None leaves a property as it is. `settings` are values of its parameters.

    `dialect` is that of all its fleets.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    cars: int | None = None
    seed: int | None = None
    clock: float | None = None
    dialect: str | None = None


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """One line of the list of scenarios; `duration_us` is scenario time."""

    name: str
    purpose: str
    cars: int
    duration_us: int
    clock: ClockFactor
    path: Path


# --- public -----------------------------------------------------------------------------------------------------


def find_scenario(name_or_path: str, directory: Path) -> Path:
    """Return the file: a path when it looks like one or exists (a pipe, too), else the shipped scenario of that name.

    "-" is standard input.

    Raises UsageError for a path that leads nowhere, and UnknownName with the nearest shipped name.
    """
    path = Path(name_or_path)
    if path == STANDARD_INPUT:
        return path
    is_there = path.exists() and not path.is_dir()
    if "/" in name_or_path or path.suffix in _SUFFIXES:
        if is_there:
            return path
        problem = "is a directory" if path.is_dir() else "there is no such file"
        raise UsageError(f"{name_or_path}: {problem}", hint=f"Shipped scenarios: {', '.join(_names(directory))}.")
    shipped_path = directory / f"{name_or_path}.yaml"
    if shipped_path.is_file():
        return shipped_path
    if is_there:
        return path
    raise UnknownName("scenario", name_or_path, _names(directory))


def shipped(directory: Path, vocabulary: Vocabulary) -> list[Shipped]:
    """Return the scenarios in `directory`, by name; raises ScenarioError for a broken one."""
    found = []
    for name in _names(directory):
        path = directory / f"{name}.yaml"
        scenario = load(path, vocabulary)
        found.append(
            Shipped(
                name=name,
                purpose=" ".join(scenario.purpose.split()),
                cars=scenario.cars,
                duration_us=scenario.duration,
                clock=scenario.clock,
                path=path,
            )
        )
    return found


def load(path: Path, vocabulary: Vocabulary, overrides: Overrides | None = None) -> Scenario:
    """Read, check and override the scenario in `path`.

    Raises UsageError when the file cannot be read or an override cannot be met, and the first ScenarioError of a
    file that is wrong; `check` gives them all.
    """
    return load_text(read_text(path), str(path), vocabulary, overrides)


def load_text(text: str, file: str, vocabulary: Vocabulary, overrides: Overrides | None = None) -> Scenario:
    """Read, check and override a scenario whose text was read from `file`; raises as `load` does."""
    overrides = overrides or Overrides()
    scenario = parse(text, file, vocabulary, overrides.settings)
    return override(scenario, _with_cars(overrides, scenario.parameters))


def parse(text: str, file: str, vocabulary: Vocabulary, settings: Mapping[str, str] | None = None) -> Scenario:
    """Return the scenario in `text`; raises its first ScenarioError. `file` is the name that errors give.

    `settings` are values for its parameters, as they would be written in the file.
    """
    scenario, errors = _read(text, file, vocabulary, settings or {})
    if len(errors) > 1:
        first = errors[0]
        more = f"And {len(errors) - 1} more: fleet check {file}"
        message = str(first).removeprefix(f"{first.file}:{first.line}:{first.column}: ")
        hint = f"{first.hint} {more}".strip()
        raise ScenarioError(message, file=first.file, line=first.line, column=first.column, hint=hint)
    if errors:
        raise errors[0]
    assert scenario is not None, "without an error there is a scenario"
    return scenario


def check(text: str, file: str, vocabulary: Vocabulary, settings: Mapping[str, str] | None = None) -> list[ScenarioError]:
    """Return everything that is wrong with a scenario file and what it imports, by its lines; empty when it is right."""
    return _read(text, file, vocabulary, settings or {})[1]


def read_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Read `name=value` of the command line; raises UsageError for what is no such pair."""
    settings: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value:
            raise UsageError(f"--set {pair!r} sets nothing", hint="Such as --set cars=5000 or --set 'pause=10 min'.")
        settings[name] = value
    return settings


def _with_cars(overrides: Overrides, declared: Collection[str]) -> Overrides:
    """Return the overrides with `cars=N` as the number of cars, for a scenario that has no parameter of that name.

    Raises UsageError when it is no number, or another one than that of the overrides.
    """
    text = overrides.settings.get("cars")
    if text is None or "cars" in declared:
        return overrides
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--set cars={text}: a whole number above 0 is expected")
    if overrides.cars not in (None, int(text)):
        raise UsageError(f"--cars {overrides.cars} and --set cars={text} contradict each other", hint="Give one of them.")
    return replace(overrides, cars=int(text))


def override(scenario: Scenario, overrides: Overrides) -> Scenario:
    """Return the scenario with another number of cars, seed, clock or dialect; raises UsageError for what cannot be."""
    changes: dict[str, Any] = {}
    if overrides.cars is not None:
        counts = scale([fleet.count for fleet in scenario.fleets], overrides.cars)
        changes["fleets"] = tuple(
            msgspec.structs.replace(fleet, count=count) for fleet, count in zip(scenario.fleets, counts, strict=True)
        )
        if (told := oversized(changes["fleets"])) is not None:
            raise UsageError(told)
    if overrides.seed is not None:
        if not 0 <= overrides.seed < 1 << 63:
            raise UsageError(f"the seed {overrides.seed} is out of range", hint="A whole number from 0 to 2^63 - 1.")
        changes["seed"] = overrides.seed
    if overrides.dialect is not None:
        fleets = changes.get("fleets", scenario.fleets)
        changes["fleets"] = tuple(msgspec.structs.replace(fleet, dialect=None) for fleet in fleets)
        changes["dialect"] = overrides.dialect
    if overrides.clock is not None:
        changes["clock"] = type(scenario.clock)(overrides.clock)
    return msgspec.structs.replace(scenario, **changes)


def scale(counts: list[int], total: int) -> list[int]:
    """Scale `counts` in proportion so that they sum to `total` exactly and none becomes 0 (largest remainder).

    Raises UsageError when there are fewer cars than fleets.
    """
    if total < len(counts):
        fleets = "1 fleet" if len(counts) == 1 else f"{len(counts)} fleets"
        raise UsageError(f"{total} cars are too few for {fleets}", hint=f"At least {len(counts)}, one for each fleet.")
    whole = sum(counts)
    scaled = [count * total // whole for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda i: (-(counts[i] * total % whole), i))
    for index in by_remainder[: total - sum(scaled)]:
        scaled[index] += 1
    while 0 in scaled:
        # From the largest, and of equals from the one that was smaller, so that the order of sizes stays.
        scaled[max(range(len(counts)), key=lambda i: (scaled[i], -counts[i]))] -= 1
        scaled[scaled.index(0)] += 1
    return scaled


# --- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands for a value that was reported as wrong; `partial` is what can be said of it nevertheless, for further checks."""

    partial: Any = None

    @property
    def known(self) -> Any:
        """The value that stands in its place in the element that holds it."""
        return UNKNOWN if self.partial is None else self.partial


_BROKEN: Final = _Broken()


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the keys of a part as they are written; looked up once, for a long file has thousands of parts."""
    return {each.encode_name: each for each in msgspec.structs.fields(kind)}


class _Reader:
    """Reads nodes into types and gathers what is wrong, each with the place it was found at."""

    def __init__(self, vocabulary: Vocabulary, errors: list[ScenarioError]) -> None:
        self.vocabulary = vocabulary
        self.errors = errors

    def fail(self, node: Node, steps: Steps, message: str, hint: str = "") -> _Broken:
        label = _label(steps)
        mark = node.start_mark
        text = f"{label}: {message}" if label else message
        self.errors.append(ScenarioError(text, file=str(mark.name), line=mark.line + 1, column=mark.column + 1, hint=hint))
        return _BROKEN

    def read(self, node: Node, wanted: Any, steps: Steps) -> Any:
        """Return the value of `node` as `wanted`, or _BROKEN after reporting why not."""
        if wanted == Plain:
            return self._anything(node, steps)
        wanted = without_none(wanted)
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

    def _readable(self, node: Node, wanted: type[Readable], steps: Steps) -> object:
        if isinstance(node, MappingNode):
            self._entries(node, steps)  # only for keys that come twice
        try:
            return wanted.parse(_plain(node))
        except Misread as error:
            return self.fail(_descend(node, error.at), (*steps, *error.at), str(error), error.hint)

    def _word(self, node: Node, words: tuple[str, ...], steps: Steps) -> object:
        value = _plain(node)
        if value in words:
            return value
        return self.fail(node, steps, f"{shown(value)} is not one of {', '.join(words)}", nearest_hint(str(value), words))

    def _scalar(self, node: Node, wanted: type, steps: Steps) -> object:
        value = _plain(node)
        expected = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[wanted]
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            return self.fail(node, steps, f"{expected} is expected, not {shown(value)}")
        return value

    def _anything(self, node: Node, steps: Steps) -> object:
        value = _plain(node)
        if value is None or isinstance(value, list | dict):
            return self.fail(node, steps, f"a word, a number, true or false is expected, not {shown(value)}")
        return value

    def _list(self, node: Node, item: Any, steps: Steps) -> object:
        if not isinstance(node, SequenceNode):
            return self.fail(node, steps, f"a list is expected, not {shown(_plain(node))}")
        values = [self.read(child, item, (*steps, index)) for index, child in enumerate(node.value)]
        if not any(isinstance(value, _Broken) for value in values):
            return tuple(values)
        return _Broken(tuple(value.known if isinstance(value, _Broken) else value for value in values))

    def _table(self, node: Node, item: Any, steps: Steps) -> object:
        entries = self._entries(node, steps)
        if entries is None:
            return _BROKEN
        values = {key: self.read(child, item, (*steps, key)) for key, (_, child) in entries.items()}
        return _BROKEN if any(isinstance(value, _Broken) for value in values.values()) else values

    def _entries(self, node: Node, steps: Steps) -> dict[str, tuple[Node, Node]] | None:
        """Return key -> (key node, value node), reporting keys that come twice or are no text."""
        if not isinstance(node, MappingNode):
            self.fail(node, steps, f"a mapping (key: value) is expected, not {shown(_plain(node))}")
            return None
        entries: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.fail(key_node, steps, f"a key is a word, not {shown(_plain(key_node))}")
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
            return _BROKEN
        fields = _fields(wanted)
        hints = []
        for key, (key_node, _) in entries.items():
            if key not in fields:
                hints.append(nearest_hint(key, fields))
                self.fail(key_node, steps, f"unknown key {shown(key)}", hints[-1])
        instead = INSTEAD.get(wanted, {})
        values: dict[str, Any] = {}
        broken = False
        for key, described in fields.items():
            if key in entries:
                value = self.read(entries[key][1], described.type, (*steps, key))
            elif hints and nearest_hint(key, [key]) in hints:
                value = _BROKEN  # it is there, misspelt, and that has been said
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

    def read_tracks(self, root: Node, scenario: Scenario) -> None:
        """Read the tracks that fleets follow, to tell at their names which cannot be used."""
        with suppress(ValueUnknown):
            for number, fleet in enumerate(scenario.fleets):
                self._read_tracks_of(fleet, root, ("fleets", number, "tracks", "files"))

    def _read_tracks_of(self, fleet: Fleet, root: Node, steps: Steps) -> None:
        with suppress(ValueUnknown):
            for index, file in enumerate(fleet.tracks.files if fleet.tracks is not None else ()):
                with suppress(ValueUnknown):
                    self._read_track(Path(str(file)), _descend(root, (*steps, index)), (*steps, index))

    def _read_track(self, file: Path, node: Node, steps: Steps) -> None:
        try:
            read_track(file)
        except UsageError as error:
            self.fail(node, steps, str(error), error.hint)

    def _check(self, node: Node, part: msgspec.Struct, steps: Steps, *, broken: bool) -> None:
        """Report what is wrong with a part; of a broken one, where a default fills the gap, only what it does say."""
        ended_by = (ValueUnknown, TypeError) if broken else ()  # what is written in C says so in its own way
        for check in CHECKS.get(type(part), ()):
            with suppress(*ended_by):
                for problem in check(part, self.vocabulary):
                    if problem.at or not broken:
                        place = _descend(node, problem.at, key=problem.is_key)
                        self.fail(place, (*steps, *problem.at), problem.message, problem.hint)


def _read(
    text: str, file: str, vocabulary: Vocabulary, settings: Mapping[str, str]
) -> tuple[Scenario | None, list[ScenarioError]]:
    composed = compose(text, file, settings, read_text)
    if composed.node is None:
        return None, composed.errors
    reader = _Reader(vocabulary, composed.errors)
    scenario = reader.read(composed.node, Scenario, ())
    part = scenario.partial if isinstance(scenario, _Broken) else scenario
    if part is not None:
        reader.read_tracks(composed.node, part)
    reader.errors.sort(key=lambda error: (composed.files.index(error.file), error.line, error.column))
    return (None if reader.errors else scenario), reader.errors


def _plain(node: Node, depth: int = 0) -> Any:
    """Return the node as plain data; what lies too deep becomes a list that no type reads."""
    if depth > _DEEPEST:
        return []
    if isinstance(node, SequenceNode):
        return [_plain(child, depth + 1) for child in node.value]
    if isinstance(node, MappingNode):
        return {str(key.value): _plain(child, depth + 1) for key, child in node.value}
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


def _descend(node: Node, at: Steps, *, key: bool = False) -> Node:
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


def _names(directory: Path) -> list[str]:
    return sorted(path.stem for path in directory.glob("*.yaml")) if directory.is_dir() else []
