"""Mapping files: found wrong with every error at its line and column, or read as what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fleet.dialects.checks import CHECKS
from fleet.dialects.spec import Mapping
from fleet.errors import FileError, MappingError
from fleet.scenario.json_schema import schema_of_file
from fleet.scenario.reader import Language, Reader
from fleet.scenario.text import read_text
from fleet.scenario.yaml_nodes import FileKind, parse_nodes
from fleet.wire.services import load_services

SUFFIXES: Final = (".yaml", ".yml")
"""The endings of a mapping file's name."""
_KIND: Final = FileKind("mapping", MappingError, "docs/dialects.md begins with a small one.")
_LANGUAGE: Final = Language(checks=CHECKS, error=MappingError)


def read_mapping_file(path: Path) -> Mapping:
    """Read a mapping file. Raises UsageError for one that is not there, and the first MappingError of one that is wrong."""
    return parse_mapping(_text(path), str(path))


def parse_mapping(text: str, file: str) -> Mapping:
    """Return the mapping in `text`; raises its first MappingError. `file` is the name that errors give."""
    mapping, errors = _read(text, file)
    if len(errors) > 1:
        raise errors[0].and_more(len(errors) - 1, f"fleet dialect check {file}")
    if errors:
        raise errors[0]
    assert mapping is not None, "without an error there is a mapping"
    return mapping


def check_mapping_file(path: Path) -> list[FileError]:
    """Return all that is wrong with a mapping file, by its lines. Raises UsageError for one that cannot be read at all."""
    return check_text(_text(path), str(path))


def check_text(text: str, file: str) -> list[FileError]:
    """Return all that is wrong with the mapping in `text`, by its lines; empty when it is right."""
    return _read(text, file)[1]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of mapping files, for completion in editors."""
    return schema_of_file("fleet mapping", Mapping)


def _text(path: Path) -> str:
    return read_text(path, missing="`fleet dialects` lists those that are shipped.", what="a mapping file", error=MappingError)


def _read(text: str, file: str) -> tuple[Mapping | None, list[FileError]]:
    try:
        root = parse_nodes(text, file, _KIND)
    except FileError as error:
        return None, [error]
    reader = Reader(_LANGUAGE, load_services(), [])
    mapping = reader.read_root(root, Mapping)
    reader.errors.sort(key=lambda error: (error.line, error.column))
    return (None if reader.errors else mapping), reader.errors
