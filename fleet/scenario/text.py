"""Text files that people write, in whatever editor: UTF-8, with or without the mark that some put before it."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from fleet.errors import FileError, ScenarioError, UsageError

STANDARD_INPUT: Final = Path("-")
_LARGEST_BYTES: Final = 4_000_000
_SHIPPED: Final = "`fleet scenarios` lists those that are shipped."


def is_mapping_file(dialect: str) -> bool:
    """Tell whether the name of a dialect is the path of a mapping file."""
    return "/" in dialect or dialect.endswith((".yaml", ".yml"))


def read_text(
    path: Path, *, missing: str = _SHIPPED, what: str = "a scenario file", error: type[FileError] = ScenarioError
) -> str:
    """Read a file as UTF-8; raises UsageError when there is none to read, `error` where it is not UTF-8.

    `missing` is the hint for a file that is not there, `what` names what is expected in it.
    """
    try:
        with nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file", hint=missing) from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory", hint="Name a file in it.") from None
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from None
    if len(content) > _LARGEST_BYTES:
        raise UsageError(f"{path} is larger than {_LARGEST_BYTES // 1_000_000} MB", hint=f"Is it {what}?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        before = bad.object[: bad.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"byte 0x{bad.object[bad.start]:02X} is not UTF-8"
        raise error(message, file=str(path), line=line, column=column, hint="Save the file as UTF-8.") from None
