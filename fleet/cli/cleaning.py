"""clean: what a broken run left with a broker."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.backend.service import CLIENT_ID
from fleet.cli.common import (
    PARTS,
    BackendClientId,
    Broker,
    Ca,
    Cars,
    Credentials,
    Prefix,
    SecretFile,
    Seed,
    Set,
    ToolsBroker,
    VinAsClientId,
    err,
    load_scenario,
    no_folder,
    out,
)
from fleet.cli.completing import complete_scenario
from fleet.errors import UsageError
from fleet.runtime.access import find_secret, need_passwords, open_access
from fleet.runtime.assembly import vins
from fleet.runtime.cleaning import AT_ONCE, Cleaned, Visitor, cars_of, clean, left_behind
from fleet.runtime.limits import need_open_files, run_fast
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import find_scenario
from fleet.wire.clients import client_id_of
from fleet.wire.topics import DEFAULT_PREFIX

app = typer.Typer()

MaybeScenario = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCENARIO]",
        help="Whose cars: a shipped scenario or a file. Without it those whose presence the broker retains.",
        autocompletion=complete_scenario,
    ),
]


@app.command("clean", rich_help_panel=PARTS)
def clean_broker(
    broker: Broker,
    scenario: MaybeScenario = None,
    tools_broker: ToolsBroker = None,
    cars: Cars = None,
    settings: Set = None,
    seed: Seed = None,
    backend: Annotated[
        bool, typer.Option("--backend", help="End the back end's session as well; what waits in it is never stored.")
    ] = False,
    client_id: BackendClientId = None,
    ca: Ca = None,
    credentials: Credentials = None,
    secret_file: SecretFile = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
    vin_as_client_id: VinAsClientId = False,
) -> None:
    """Remove what a broken run left with a broker: its cars' sessions and their retained presence.

    A car that is connected meanwhile loses its connection.

    Examples: fleet clean --broker mqtt://localhost:1883 --tools-broker mqtt://localhost:1884

    fleet clean rush-hour --cars 5000 --broker mqtt://broker.example:1883 --credentials cars.csv
    """
    if scenario is None and (cars is not None or settings or seed is not None):
        raise UsageError("--cars, --set and --seed are of a scenario, and none is named", hint="Name the scenario that was run.")
    known = None
    if scenario is not None:
        known = vins(load_scenario(find_scenario(no_folder(scenario), resource_dir("scenarios")), cars, seed, None, settings))
    need_open_files(AT_ONCE)
    access = open_access(
        broker=broker,
        tools_broker=tools_broker,
        ca=ca,
        credentials=credentials,
        secret=find_secret(secret_file),
        prefix=topic_prefix,
        vin_is_client_id=vin_as_client_id,
    )
    need_passwords(access.password_for, known or ())

    backend_id = client_id or client_id_of(CLIENT_ID, access.prefix)

    async def main() -> tuple[Cleaned, Cleaned]:
        cars_left = await left_behind(access) if known is None else known
        of_cars = await clean(access.car_links(), cars_of(access, cars_left))
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
