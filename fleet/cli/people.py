"""Asks the services about people, each as a command of its own: `fleet enrol begin VIN way=qr`. Made from their catalogue.

No secret stands on a command line: passwords, S-PINs and links are asked for at the terminal or read from a pipe, a line for
each, and a session is kept in a file.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from fleet.cli.actions import described
from fleet.cli.centre import read_data
from fleet.cli.common import WATCH, AsJson, StorePath, out
from fleet.cli.completing import complete_vin
from fleet.cli.connecting import BrokerOptions
from fleet.cli.printing import json_text
from fleet.cli.secrecy import REFRESH, read_secrets, read_session, refuse_secrets, write_session
from fleet.cli.tools import User, asking_desk, reach_desk, tell_outcome
from fleet.cloud.actions import ActionEntry, load_actions
from fleet.errors import UsageError
from fleet.runtime.asking import ask_desk
from fleet.wire.messages import DeskAnswer, ServiceRequest
from fleet.wire.vin import typed_vin

SERVICES: Final = ("account", "enrol", "users", "privacy", "licence", "store")
"""The services that are commands, in the order of the help."""
PATIENCE_S: Final = 60.0
"""A password is slow to prove, and others may be waiting before it."""
LOG_INS: Final = frozenset({("account", "log_in"), ("account", "refresh")})
"""Actions that begin a session or renew one."""

Given = Annotated[
    list[str] | None,
    typer.Argument(metavar="[VIN] [KEY=VALUE]…", help="The car it is about, and the parameters.", autocompletion=complete_vin),
]
SessionFile = Annotated[
    Path | None,
    typer.Option(
        "--session-file", metavar="FILE", help="Ask in the session of this file; log-in and refresh of an account write it there."
    ),
]


def service_app(service: str) -> typer.Typer:
    """Return the command of a service, with a command for each of its actions."""
    entry = load_actions()[service]
    app = typer.Typer(no_args_is_help=True, help=f"{entry.summary[0].upper()}{entry.summary[1:]}.")
    for action, told in entry.actions.items():
        app.command(action.replace("_", "-"), help=_help(service, action, told))(_asking(service, action, told))
    return app


def _help(service: str, action: str, entry: ActionEntry) -> str:
    lines = [f"{entry.summary[0].upper()}{entry.summary[1:]}.", *(line.strip() for line in described(entry))]
    return "\n\n".join([*lines, f"Example: fleet {service} {action.replace('_', '-')} {entry.example}".rstrip()])


def _asking(service: str, action: str, entry: ActionEntry) -> Callable[..., None]:
    @asking_desk
    def ask(
        *,
        words: Given = None,
        user: User = None,
        session_file: SessionFile = None,
        connection: BrokerOptions,
        store: StorePath = None,
        as_json: AsJson = False,
    ) -> None:
        given = list(words or ())
        vin = typed_vin(given.pop(0)) if given and "=" not in given[0] else None
        if entry.car and vin is None:
            raise UsageError(f"{service} {action} is about a car", hint=f"Such as fleet {service} {action} {entry.example}")
        begins = (service, action) in LOG_INS
        if session_file is not None and user is not None and not begins:
            raise UsageError("--user and --session-file exclude each other", hint="A session says whose it is.")
        refuse_secrets(given)
        held = {} if session_file is None or (begins and REFRESH not in entry.secrets) else read_session(session_file)
        request = ServiceRequest(
            id=secrets.token_hex(12),
            service=service,
            action=action,
            vin=vin,
            data=read_data(service, action, given),
            user=user,
            session=None if begins else held.get("session"),
            secrets=read_secrets(entry.secrets, held),
        )
        access = reach_desk(connection, store)
        answer = asyncio.run(ask_desk(access, request, timeout_s=PATIENCE_S))
        if begins and session_file is not None and answer.secrets:
            write_session(session_file, answer.secrets)
            answer = msgspec.structs.replace(answer, secrets=None)
        tell(f"{service} {action}", answer, as_json=as_json)

    return ask


def tell(what: str, answer: DeskAnswer, *, as_json: bool) -> None:
    """Print an answer with all that it tells, and end with exit code 0 for success only."""
    told: dict[str, Any] = {**(answer.data or {}), **(answer.secrets or {})}
    if not as_json and told:
        out.print_json(json_text(msgspec.to_builtins(told)))
    tell_outcome(what, answer, as_json)


app = typer.Typer()
for _service in SERVICES:
    app.add_typer(service_app(_service), name=_service, rich_help_panel=WATCH)
