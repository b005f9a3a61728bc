"""Asks the service centre of a running fleet, and shows its notices."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
import typer

from fleet.cli.actions import help_text, page, show
from fleet.cli.common import MOST_ROWS, WATCH, AsJson, StorePath, make_table, out
from fleet.cli.completing import complete_action, complete_rule, complete_vin
from fleet.cli.connecting import EVERYWHERE, BrokerOptions, without_effect
from fleet.cli.printing import json_text
from fleet.cli.secrecy import read_secrets, refuse_secrets
from fleet.cli.tools import As, User, asking_desk, reach_desk, seen, tell_outcome
from fleet.cli.words import lacking, read_words
from fleet.cloud.actions import load_actions
from fleet.errors import UnknownName, UsageError
from fleet.kernel.instants import format_instant
from fleet.runtime.asking import FIRST_ANSWER_S, ask_desk
from fleet.wire.messages import ServiceRequest
from fleet.wire.vin import typed_vin

app = typer.Typer()


def _typed(vin: str | None) -> str | None:
    return None if vin is None else typed_vin(vin)


@app.command(rich_help_panel=WATCH)
def notices(
    vin: Annotated[
        str | None, typer.Argument(metavar="[VIN]", callback=_typed, help="Only of this car.", autocompletion=complete_vin)
    ] = None,
    store: StorePath = None,
    person: As = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Most rows to show, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the notices that the back end sent to people about their cars, the newest first.

    Examples: fleet notices

    fleet notices VIN --json
    """
    with seen(store, person, as_json=as_json) as reader:
        rows = reader.notices(vin=vin, limit=limit)
        unknown = vin is not None and not rows and reader.status(vin) is None
    if as_json:
        out.print_json(json_text(msgspec.to_builtins(rows)))
        return
    if unknown:
        raise UsageError(f"nothing is stored of {vin}", hint="fleet cars lists the cars that are known.")
    table = make_table("at", "VIN", "to", "what", "content")
    for row in rows:
        table.add_row(format_instant(row.at)[:19], row.vin, row.to, row.kind, json_text(row.data))
    out.print(table)


_OF_ASKING: Final = ("user", "broker", *EVERYWHERE, "store")
_HELP: Final = (
    "Ask a service of the back end for an action; exit code 0 only for success.\n\n"
    "Each value is read as its parameter is declared: text as it stands, lists in JSON or with commas. Without ACTION it "
    "tells what can be asked of the service, without NAME of all of them.\n\nExamples:"
)


@app.command(rich_help_panel=WATCH, help=help_text(_HELP))
@asking_desk
def service(
    *,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the service.", autocompletion=complete_rule)] = None,
    action: Annotated[
        str | None, typer.Argument(metavar="ACTION", help="Action of the service.", autocompletion=complete_action)
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[VIN] [KEY=VALUE]…", help="The car it is about, and the action's parameters.")
    ] = None,
    user: User = None,
    connection: BrokerOptions,
    store: StorePath = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="All services and their actions, as a page.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a service of the back end, or tell what can be asked."""
    if markdown or name is None or action is None:
        connection.refuse(_OF_ASKING, "nothing is asked without an action", "name service and action")
    if markdown and (name is not None or as_json):
        raise without_effect("--markdown", "it prints all services, and not as JSON", "leave NAME and --json out")
    if markdown:
        out.say(page(), end="")
        return
    if name is None or action is None:
        show(name, as_json=as_json)
        return
    services = {each: entry for each, entry in load_actions().items() if entry.actions}
    if name not in services:
        raise UnknownName("service of the back end that can be asked", name, services)
    if action not in services[name].actions:
        raise UnknownName(f"action of {name}", action, services[name].actions)
    given = list(words or ())
    refuse_secrets(given)
    vin = typed_vin(given.pop(0)) if given and "=" not in given[0] else None
    request = ServiceRequest(
        id=secrets.token_hex(12), service=name, action=action, vin=vin, data=read_data(name, action, given), user=user,
        secrets=read_secrets(services[name].actions[action].secrets, {}),
    )  # fmt: skip
    access = reach_desk(connection, store)
    answer = asyncio.run(ask_desk(access, request, timeout_s=FIRST_ANSWER_S))
    if not as_json and answer.data is not None:
        out.print_json(json_text(answer.data))
    tell_outcome(f"{name} {action}", answer, as_json)


def read_data(service: str, action: str, words: Iterable[str]) -> dict[str, Any]:
    """Read KEY=VALUE words as the parameters of an action, each by its declared type; a text may stand in quotes of its own.

    Raises UsageError, with the example of the action: for a word that it has not, a value of another type, a required one that
    lacks.
    """
    entry = load_actions()[service]
    given = [_unquoted(word) for word in words]
    example = f"Such as fleet service {service} {action} {entry.actions[action].example}"
    parameters = entry.parameters(action, [word.partition("=")[0] for word in given])
    what = f"{service} {action}"
    try:
        data = read_words(what, given, parameters)
    except UsageError as error:
        raise UsageError(str(error), hint=f"{error.hint} {example}") from None
    missing = lacking(parameters, data)
    if missing is not None:
        told = parameters.get(missing)
        expected = "" if told is None else f": {told.range_text or told.summary}"
        raise UsageError(f"{what} needs {missing}{expected}", hint=example)
    return data


def _unquoted(word: str) -> str:
    """Return KEY=VALUE without the quotes around the value. Raises UsageError for what is no such word."""
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise UsageError(f"{word!r} is neither a VIN in the first place nor KEY=VALUE", hint="Such as name=value.")
    if text.startswith('"'):
        with suppress(ValueError):
            text = json.loads(text)
    return f"{key}={text}"
