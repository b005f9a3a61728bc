"""Finds the folders that ship with the project: inside the installed package, or at the top of a checkout.

importlib.resources does not see force-included data in an editable install, so both places are looked at in order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from fleet.errors import UsageError

_PACKAGE: Final = Path(__file__).resolve().parent.parent

ResourceName = Literal["broker", "scenarios"]


def resource_dir(name: ResourceName, *, package: Path = _PACKAGE) -> Path:
    """Return the folder `broker` or `scenarios`. Raises UsageError when neither place has it."""
    candidates = (package / "_data" / name, package.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise UsageError(
        f"the folder {name!r} that ships with fleet is missing; looked for {candidates[0]} and {candidates[1]}",
        hint="Install fleet again, or run it from a complete checkout.",
    )
