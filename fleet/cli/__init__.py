"""The command line: reads options, calls `runtime`, prints. Decides nothing itself."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import MutableMapping
from importlib import import_module
from typing import Annotated, Any, Final, NoReturn

import structlog
import typer

from fleet import __version__
from fleet.cli.common import about_file, complain, out
from fleet.cli.printing import NO_COLOUR, visible
from fleet.errors import FleetError, UnknownName
from fleet.runtime.limits import leave_no_core, raise_open_files
from fleet.runtime.live_stage import RunBroken
from fleet.runtime.streams import Streams

GROUPS: Final = {
    "running": ("run",),
    "tools": ("cars", "status", "history", "command", "user"),
    "centre": ("notices", "service"),
    "people": ("account", "enrol", "users", "privacy", "licence", "store"),
    "mails": ("mail",),
    "catalogue": ("catalogue",),
    "scenarios": ("scenarios", "check", "regions", "schema"),
    "dialects": ("dialects", "dialect"),
    "journals": ("journal", "reexecute"),
    "verifying": ("verify",),
    "parts": ("simulate", "backend", "broker"),
    "proxying": ("proxy",),
    "certifying": ("certificates",),
    "cleaning": ("clean",),
    "migrating": ("migrate",),
    "erasing": ("export", "erase"),
}
"""The modules and their commands, in the order of the groups in the help."""


def application(command: str | None = None) -> typer.Typer:
    """Return the command line, whole, or with the name of a command as much of it as that needs: half of a start is loading."""
    app = typer.Typer(
        name="fleet",
        help="Simulates fleets of CUPRA CONNECT cars over MQTT. Start with: fleet run rush-hour",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_main)
    for module in [module for module, commands in GROUPS.items() if command in commands] or GROUPS:
        app.add_typer(import_module(f"fleet.cli.{module}").app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        out.say(f"fleet {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,  # noqa: ARG001
) -> None:
    level = _log_level(os.environ.get("FLEET_LOG") or "warning")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _visible_values,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not NO_COLOUR, pad_event_to=0, pad_level=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is then: tests replace it
    )


def _visible_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take from what is logged the characters that would steer the terminal: topics and reasons come from outside."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}


def _log_level(name: str) -> int:
    levels = {known.lower(): level for known, level in logging.getLevelNamesMapping().items()}
    if name.lower() not in levels:
        raise UnknownName("level in FLEET_LOG", name, levels)
    return levels[name.lower()]


def main(streams: Streams) -> NoReturn:
    """Run the command line; errors raised on purpose, and those of files, are shown in words and end with exit code 2."""
    code = _exit_code()
    lost = streams.finish()
    if lost is not None:
        complain(lost)
    sys.exit(code or (2 if lost is not None else 0))


def _exit_code() -> int | str | None:
    """Run the command line, and return how it ends."""
    raise_open_files()
    leave_no_core()
    if NO_COLOUR:
        setattr(import_module("typer.rich_utils"), "COLOR_SYSTEM", None)  # noqa: B010 (of help and errors, which alone load it)
    try:
        application(next(iter(sys.argv[1:]), None))()
    except SystemExit as end:
        return end.code
    except FleetError as error:
        complain(error)
        return 3 if isinstance(error, RunBroken) else 2
    except asyncio.CancelledError:
        complain(FleetError("interrupted before the cars had started; there is no report"))
        return 130
    except OSError as error:
        if error.filename is None:
            raise
        complain(about_file(error))
        return 2
    return 0
