"""Keeps secrets off the command line, where all who can list processes see them: asks for them, and has sessions in files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from fleet.errors import UsageError

_OPTIONAL: Final = "?"
_NEW: Final = "new_"
SECRETS: Final = frozenset({"password", "new_password", "spin", "new_spin", "link", "refresh", "session", "token"})
"""Names of secrets; none of them is a parameter of an action."""
REFRESH: Final = "refresh"


def refuse_secrets(words: Iterable[str]) -> None:
    """Raise UsageError for a secret among KEY=VALUE, without showing it."""
    for word in words:
        name = word.partition("=")[0]
        if name in SECRETS:
            raise UsageError(
                f"{name} is a secret: on a command line all who can list processes see it, and the shell keeps it",
                hint="Leave it out: you are asked for it. If it was a real one, change it.",
            )


def read_secrets(names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Ask for each secret that is not known without showing it (a new one twice), or read a line of what is piped in.

    A name with `?` may be left out by an empty line. Raises UsageError without a needed one.
    """
    given: dict[str, str] = {}
    for wanted in names:
        name = wanted.removesuffix(_OPTIONAL)
        text = known.get(name) or _typed(wanted)
        if text:
            given[name] = text
        elif wanted == name:
            raise UsageError(f"no {name} was given", hint="Type it at the prompt, or pipe it in, a line for each secret.")
    return given


def _typed(wanted: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    name = wanted.removesuffix(_OPTIONAL)
    shown = name.replace("_", " ").capitalize() + (" (none: an empty line)" if wanted.endswith(_OPTIONAL) else "")
    text: str = typer.prompt(
        shown, hide_input=True, default="", show_default=False, confirmation_prompt=name.startswith(_NEW)
    )  # fmt: skip
    return text


def read_session(path: Path) -> dict[str, str]:
    """Read what `write_session` wrote. Raises UsageError."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="fleet account log-in --session-file writes one."
        ) from None
    if not lines:
        raise UsageError(f"{path} holds no session", hint="fleet account log-in --session-file writes one.")
    return dict(zip(("session", REFRESH), lines, strict=False))


def write_session(path: Path, told: Mapping[str, Any]) -> None:
    """Write a session's token and what renews it, a line each, for its owner alone to read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  an open descriptor, so that nobody else ever could
        os.fchmod(descriptor, 0o600)
        file.write(f"{told['session']}\n{told[REFRESH]}\n")
