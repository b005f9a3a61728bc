"""clean: what a broken run left with a broker."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from fleet.backend.config import CLIENT_ID
from fleet.cli.common import (
    PARTS,
    BackendClientId,
    Cars,
    ChosenDialect,
    Seed,
    Set,
    err,
    load_scenario,
    no_folder,
    out,
)
from fleet.cli.completing import complete_scenario
from fleet.cli.connecting import BrokerOptions, connecting
from fleet.errors import UsageError
from fleet.runtime.access import need_users
from fleet.runtime.assembly import vins
from fleet.runtime.cleaning import VISITS_MAX, Cleaned, Visitor, cars_of, clean, left_behind, left_by
from fleet.runtime.limits import need_open_files, run_fast
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import find_scenario
from fleet.wire.clients import client_id_of

app = typer.Typer()

MaybeScenario = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCENARIO]",
        help="Scenario whose cars to remove, shipped or a file. Without it: the cars whose presence the broker retains.",
        autocompletion=complete_scenario,
    ),
]


@app.command("clean", rich_help_panel=PARTS)
@connecting("tools_broker", "vin_as_client_id")
def clean_broker(
    *,
    scenario: MaybeScenario = None,
    connection: BrokerOptions,
    cars: Cars = None,
    settings: Set = None,
    seed: Seed = None,
    backend: Annotated[
        bool, typer.Option("--backend", help="End the back end's session as well; what waits in it is never stored.")
    ] = False,
    client_id: BackendClientId = None,
    dialect: ChosenDialect = None,
) -> None:
    """Remove what a broken run left with a broker: its cars' sessions and their retained presence.

    A car that is connected meanwhile loses its connection.

    Examples: fleet clean --broker mqtt://localhost:1883 --tools-broker mqtt://localhost:1884

    fleet clean rush-hour --cars 5000 --broker mqtt://broker.example:1883 --credentials cars.csv
    """
    if scenario is None and (cars is not None or settings or seed is not None):
        raise UsageError("--cars, --set and --seed change a scenario, and none is named", hint="Name the scenario that was run.")
    known = None
    if scenario is not None:
        known = vins(load_scenario(find_scenario(no_folder(scenario), resource_dir("scenarios")), cars, seed, None, settings))
    need_open_files(VISITS_MAX)
    if not backend:
        connection.refuse(("client_id",), "the back end's session is left alone", "give --backend, too")
        if known is not None and dialect is None:
            connection.refuse(("tools_broker",), "only the named cars come, and they connect elsewhere", "give --backend, too")
    connection.refuse_secret_beside_credentials()
    access = replace(connection.open(), dialects=() if dialect is None else (dialect,))
    listens = known is None or access.dialect().access is not None
    asked = (*(("tool",) if listens else ()), *(("backend",) if backend else ()))
    need_users(access, cars=known or (), tools=asked)
    backend_id = client_id or client_id_of(CLIENT_ID, access.prefix)

    async def main() -> tuple[Cleaned, Cleaned]:
        """Clean up after the cars first, then the back end's session."""
        left = await left_behind(access) if known is None else await left_by(access, known)
        of_cars = await clean(access.car_links(), cars_of(access, left))
        session = (Visitor(backend_id, "backend", access.password_for("backend")),) if backend else ()
        return of_cars, await clean(access.consumer_links(), session)

    of_cars, of_backend = run_fast(main())
    if of_cars.done or not of_cars.failed:
        out.say(f"sessions and presence of {of_cars.done} cars removed")
    if of_backend.done:
        out.say(f"the session {backend_id!r} of the back end removed")
    error = of_cars.first_error or of_backend.first_error
    if error is None:
        return
    if not of_cars.done:
        raise error
    left = ", ".join(f"{count} {name}" for name, count in (of_cars.failed + of_backend.failed).items())
    err.say(f"not removed: {left}; the first: {error}")
    raise typer.Exit(1)
