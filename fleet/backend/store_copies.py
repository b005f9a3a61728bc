"""Copies of a store as it was before a migration: made whole or not at all, and never in place of another one."""

from __future__ import annotations

import filecmp
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".schema-"
_UNFINISHED: Final = ".part"
_MOST: Final = 100


def keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Write a copy of the store beside it, with its schema version in the name, and return where it is.

    A copy that is there already stays: the new one gets the next free name, unless both are the same. Raises sqlite3.Error or
    OSError when it cannot be written whole; then nothing of it is left, and the store is as it was.
    """
    unfinished = path.with_name(f"{path.name}{_SUFFIX}{version}{_UNFINISHED}")
    unfinished.unlink(missing_ok=True)  # of a migration that was killed
    try:
        connection.execute("VACUUM INTO ?", (str(unfinished),))
        _sync(unfinished)
        for name in _names(path, version):
            if not name.exists():
                unfinished.rename(name)
                _sync(path.parent)
                return name
            if filecmp.cmp(unfinished, name, shallow=False):
                return name
        raise FileExistsError(f"there are {_MOST} copies of schema {version} beside {path}")
    finally:
        unfinished.unlink(missing_ok=True)


def copies_of(path: Path) -> list[Path]:
    """Return the copies that stand beside a store, unfinished ones among them."""
    return sorted(found for found in path.parent.glob(f"{_escaped(path.name)}{_SUFFIX}*") if found.is_file())


def _names(path: Path, version: int) -> Iterator[Path]:
    first = f"{path.name}{_SUFFIX}{version}"
    yield path.with_name(first)
    for number in range(2, _MOST + 1):
        yield path.with_name(f"{first}.{number}")


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _escaped(name: str) -> str:
    """Return a name as a pattern of it alone."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
