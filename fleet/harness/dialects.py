"""The conformance kit of dialects as one call in a test."""

from __future__ import annotations

from typing import Any

from fleet.errors import UsageError
from fleet.harness.errors import ExpectationFailed
from fleet.runtime import dialect_kit
from fleet.runtime.dialect_kit import KitReport


def check_dialect(dialect: str | type[Any]) -> KitReport:
    """Put the kit to a dialect: a name, a mapping file, `module:Class`, or a class at the top of a module; takes seconds.

    Returns the report. Raises ExpectationFailed with all that breaks a promise, and UsageError for what cannot be opened.
    """
    report = dialect_kit.check_dialect(dialect if isinstance(dialect, str) else _named(dialect))
    if not report.holds:
        raise ExpectationFailed("\n".join([f"the dialect {report.dialect} does not conform:", *report.lines()]))
    return report


def _named(dialect: type[Any]) -> str:
    if "." in dialect.__qualname__:
        raise UsageError(f"{dialect.__qualname__} is no class at the top of its module", hint="Move it there: it is made anew.")
    return f"{dialect.__module__}:{dialect.__qualname__}"
