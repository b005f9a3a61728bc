"""Scenario files: found, read, checked and changed by what the command line overrides.

`reader` walks the YAML nodes beside the types of `schema`; a track that a fleet follows is an error at its name here, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from ruamel.yaml.nodes import Node

from fleet.errors import FileError, ScenarioError, UnknownName, UsageError
from fleet.scenario.checks import CHECKS, oversized
from fleet.scenario.composing import compose
from fleet.scenario.element import without_none
from fleet.scenario.problems import Steps, ValueUnknown
from fleet.scenario.reader import BROKEN, Language, Reader, descend, plain
from fleet.scenario.region_files import is_region_path, read_region
from fleet.scenario.scalars import ClockFactor, shown
from fleet.scenario.schema import INSTEAD, Fleet, RegionChoice, Scenario, Vocabulary
from fleet.scenario.text import STANDARD_INPUT, read_text
from fleet.scenario.tracks import read_track
from fleet.vehicle.place_region import RegionFile

_SUFFIXES: Final = (".yaml", ".yml")


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
        raise errors[0].and_more(len(errors) - 1, f"fleet check {file}")
    if errors:
        raise errors[0]
    assert scenario is not None, "without an error there is a scenario"
    return scenario


def check(text: str, file: str, vocabulary: Vocabulary, settings: Mapping[str, str] | None = None) -> list[FileError]:
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


_LANGUAGE: Final = Language(checks=CHECKS, error=ScenarioError, instead=INSTEAD)


class _ScenarioReader(Reader[Vocabulary]):
    """Reads a scenario; `regions` are those of the region files that it names."""

    def __init__(self, language: Language[Vocabulary], words: Vocabulary, errors: list[FileError]) -> None:
        super().__init__(language, words, errors)
        self.regions: dict[Path, RegionFile | None] = {}

    def read(self, node: Node, wanted: Any, steps: Steps) -> Any:
        return self._region(node, steps) if without_none(wanted) == RegionChoice else super().read(node, wanted, steps)

    def _region(self, node: Node, steps: Steps) -> object:
        """Return the name of a region, or the region in the file that is named; a path is relative to the file it stands in."""
        name = plain(node)
        if not isinstance(name, str):
            return self.fail(node, steps, f"the name of a region, or the path of a region file, is expected, not {shown(name)}")
        if not is_region_path(name):
            return name
        path = Path(node.start_mark.name).parent / name
        if path not in self.regions:
            try:
                self.regions[path] = read_region(path, self.words, self.errors)
            except UsageError as error:
                return self.fail(node, steps, str(error), error.hint)
        return self.regions[path] or BROKEN


def _read(text: str, file: str, vocabulary: Vocabulary, settings: Mapping[str, str]) -> tuple[Scenario | None, list[FileError]]:
    composed = compose(text, file, settings, read_text)
    if composed.node is None:
        return None, composed.errors
    reader = _ScenarioReader(_LANGUAGE, vocabulary, composed.errors)
    scenario = reader.read_root(composed.node, Scenario)
    if scenario is not None:
        _read_tracks(reader, composed.node, scenario)
    files = [*composed.files, *(str(path) for path in reader.regions)]
    reader.errors.sort(key=lambda error: (files.index(error.file), error.line, error.column))
    return (None if reader.errors else scenario), reader.errors


def _read_tracks(reader: Reader[Vocabulary], root: Node, scenario: Scenario) -> None:
    """Read the tracks that fleets follow, to report at their names which cannot be used."""
    with suppress(ValueUnknown):
        for number, fleet in enumerate(scenario.fleets):
            _read_tracks_of(reader, fleet, root, ("fleets", number, "tracks", "files"))


def _read_tracks_of(reader: Reader[Vocabulary], fleet: Fleet, root: Node, steps: Steps) -> None:
    with suppress(ValueUnknown):
        for index, file in enumerate(fleet.tracks.files if fleet.tracks is not None else ()):
            with suppress(ValueUnknown):
                try:
                    read_track(Path(str(file)))
                except UsageError as error:
                    at = (*steps, index)
                    reader.fail(descend(root, at), at, str(error), error.hint)


def _names(directory: Path) -> list[str]:
    return sorted(path.stem for path in directory.glob("*.yaml")) if directory.is_dir() else []
