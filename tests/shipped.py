"""The shipped scenarios, read once in a process: the rule book alone takes seconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import Shipped, load, shipped
from fleet.scenario.schema import Scenario

DIRECTORY: Final = resource_dir("scenarios")
FILES: Final = sorted(DIRECTORY.glob("*.yaml"))


@cache
def listing() -> list[Shipped]:
    """Return what `fleet scenarios` lists."""
    return shipped(DIRECTORY, vocabulary())


@cache
def loaded(path: Path) -> Scenario:
    """Return a scenario as its file has it."""
    return load(path, vocabulary())
