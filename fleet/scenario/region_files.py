"""Region files: read, and checked as scenario files are; a scenario or a test names them by their path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fleet.errors import FileError, RegionError, UnknownName
from fleet.scenario.reader import Language, Reader
from fleet.scenario.region_checks import REGION_CHECKS
from fleet.scenario.schema import RegionChoice, Vocabulary
from fleet.scenario.text import read_text
from fleet.scenario.yaml_nodes import FileKind, parse_nodes
from fleet.vehicle.place_region import RegionFile

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_KIND: Final = FileKind("region", RegionError)
_LANGUAGE: Final = Language(checks=REGION_CHECKS, error=RegionError)


def is_region_path(name: str) -> bool:
    """Tell whether a region is named by the path of its file."""
    return "/" in name or Path(name).suffix in _SUFFIXES


def read_region(path: Path, vocabulary: Vocabulary, errors: list[FileError]) -> RegionFile | None:
    """Return the region in a file, None after adding to `errors` all that is wrong with it. Raises UsageError for no file."""
    before = len(errors)
    region = None
    with _gathering(errors):
        text = read_text(path, missing="A path is relative to the file it stands in.", what="a region file")
        region = Reader(_LANGUAGE, vocabulary, errors).read_root(parse_nodes(text, str(path), _KIND), RegionFile)
    return region if len(errors) == before else None


@contextmanager
def _gathering(errors: list[FileError]) -> Iterator[None]:
    """Keep an error that ends the reading with the others."""
    try:
        yield
    except FileError as error:
        errors.append(error)


def load_region(name: str, folder: Path, vocabulary: Vocabulary) -> RegionChoice:
    """Return a shipped name as it is, or the region of a file, whose path is relative to `folder`.

    Raises UnknownName for another name, UsageError when a file cannot be read, and the first RegionError of one that is wrong.
    """
    if not is_region_path(name):
        if name not in vocabulary.regions:
            raise UnknownName("region", name, vocabulary.regions)
        return name
    errors: list[FileError] = []
    region = read_region(folder / name, vocabulary, errors)
    if region is None:
        errors.sort(key=lambda error: (error.line, error.column))
        raise (
            errors[0]
            if len(errors) == 1
            else errors[0].and_more(len(errors) - 1, f"name {name} in a scenario, and fleet check it")
        )
    return region
