"""certificates: a test authority, and what it signs for a broker, its cars and its tools."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.addresses import NoAddress, bracketed, read_host
from fleet.cli.common import PARTS, Cars, ScenarioName, Seed, Set, load_scenario, out
from fleet.errors import UsageError
from fleet.runtime.assembly import vins
from fleet.runtime.mosquitto import TOOL_USERS
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import find_scenario

app = typer.Typer()


@app.command(rich_help_panel=PARTS)
def certificates(
    scenario: ScenarioName,
    folder: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder for the files; an authority that is there (ca.pem) is used again."),
    ],
    cars: Cars = None,
    settings: Set = None,
    seed: Seed = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME", help="Names and addresses of the broker \\[default: localhost, 127.0.0.1, ::1]."),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Days for which they are valid.")] = 30,
) -> None:
    """Make certificates for tests: an authority, a server, each car of a scenario and the tools, for --cert-dir.

    In DIR are then ca.pem (with ca.key), server.pem for the broker, VIN.pem of each car, backend.pem, desk.pem and tool.pem, each
    with its .key. The common name is the VIN or the user. They prove nothing to anybody who does not trust ca.pem.

    Example: fleet certificates rush-hour --cars 100 --out certs --host broker.example
    """
    from fleet.runtime.authority import LOCAL, Authority  # noqa: PLC0415  needs an extra

    names = [_host(text) for text in hosts] if hosts else LOCAL
    of_cars = vins(load_scenario(find_scenario(scenario, resource_dir("scenarios")), cars, seed, None, settings))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority(folder, valid=datetime.timedelta(days=days))
    server, key = authority.sign("server", names[0], names)
    for user in (*TOOL_USERS, *of_cars):
        authority.sign(user, user)
    out.say(f"the broker's: {server} and {key} for {', '.join(names)}; it is to trust {authority.file}")
    out.say(f"certificates of {len(of_cars)} cars and of {', '.join(TOOL_USERS)}")
    out.say(f"next  fleet run {scenario} --broker mqtts://{bracketed(names[0])}:8883 --cert-dir {folder}")


def _host(text: str) -> str:
    try:
        return read_host(text)
    except NoAddress as error:
        raise UsageError(f"--host: {text!r} is {error}", hint=error.hint) from None
