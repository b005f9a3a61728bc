"""The parts of a fleet alone: simulate, backend, broker."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fleet.addresses import NoAddress, read_host
from fleet.backend.config import CLIENT_ID
from fleet.backend.passwords import LEAST, PasswordCost
from fleet.backend.spin import SpinCost
from fleet.cli.common import (
    PARTS,
    AsJson,
    BackendClientId,
    Cars,
    ChosenDialect,
    Clock,
    Delivery,
    DeliveryMode,
    JournalFile,
    Mail,
    Push,
    Resolved,
    ScenarioName,
    Seed,
    Set,
    UntilEof,
    about_file,
    emit_line,
    err,
    load_scenario,
    need_live_clock,
    need_marks,
    need_no_broker_of_ours,
    no_folder,
    out,
)
from fleet.cli.connecting import OF_CARS, BrokerOptions, SecretFile, TopicPrefix, connecting, without_effect
from fleet.errors import FleetError, UsageError
from fleet.observe.journal import set_aside
from fleet.runtime.access import find_secret, need_users
from fleet.runtime.assembly import vins
from fleet.runtime.certificates import AUTHORITY
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded import EMBEDDED_STATE, EmbeddedOptions, run_embedded
from fleet.runtime.limits import lack_of_open_files, run_fast
from fleet.runtime.mail_ways import mail_folder, open_ways
from fleet.runtime.mosquitto import BrokerCertificates, PrivateMosquitto
from fleet.runtime.processes import pepper_of, read_resolved_scenario, run_backend, run_broker, run_simulator, stop_on_signals
from fleet.runtime.resources import resource_dir
from fleet.runtime.streams import need_no_reader
from fleet.runtime.view import View, make_view
from fleet.scenario.loader import find_scenario
from fleet.transport.embedded_server import EmbeddedServer
from fleet.transport.link import Endpoint
from fleet.wire.clients import client_id_of
from fleet.wire.topics import DEFAULT_PREFIX

app = typer.Typer()

STATE: Final = Path("fleet-state")


def _telling_failure(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command tell whoever reads its JSON lines why they end."""

    @functools.wraps(command)
    def told(**options: Any) -> None:
        try:
            command(**options)
        except (FleetError, OSError) as error:
            if not options["as_json"] or (isinstance(error, OSError) and error.filename is None):
                raise
            failure = error if isinstance(error, FleetError) else about_file(error)
            emit_line({"type": "failed", "text": str(failure), "hint": failure.hint, "error": failure.to_plain()})
            raise typer.Exit(2) from None

    return told


@app.command(rich_help_panel=PARTS)
@_telling_failure
@connecting("tools_broker", *OF_CARS)
def simulate(
    *,
    scenario: ScenarioName,
    connection: BrokerOptions,
    cars: Cars = None,
    settings: Set = None,
    seed: Seed = None,
    clock: Clock = None,
    no_backend: Annotated[bool, typer.Option("--no-backend", help="Send no commands, as there is no desk.")] = False,
    keep_sessions: Annotated[bool, typer.Option("--keep-sessions", help="Leave the cars' sessions with the broker.")] = False,
    delivery: Delivery = DeliveryMode.PUBACK,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="DIR", help=f"Folder that remembers executed commands for the next start \\[default: {STATE}]."
        ),
    ] = None,
    no_state: Annotated[bool, typer.Option("--no-state", help="Remember nothing for the next start.")] = False,
    journal: JournalFile = None,
    read_mail: Annotated[
        Path | None,
        typer.Option("--read-mail", metavar="DIR", help="Folder of the back end's mails, which people of the scenario read."),
    ] = None,
    dialect: ChosenDialect = None,
    as_json: AsJson = False,
    until_eof: UntilEof = False,
    resolved: Resolved = False,
) -> None:
    """Let a scenario's cars live against a running broker.

    A command that cars have executed is not executed again when this process is killed and started anew: see `--state`.

    Examples: fleet simulate rush-hour --broker mqtt://localhost:1883 --tools-broker mqtt://localhost:1884

    fleet simulate my/own.yaml --broker mqtts://broker.example:8883 --ca ca.pem --credentials cars.csv --no-backend
    """
    _refuse_two_states(state, no_state)
    if resolved:
        loaded = read_resolved_scenario()
    else:
        loaded = load_scenario(find_scenario(scenario, resource_dir("scenarios")), cars, seed, clock, settings, dialect)
    need_live_clock(loaded)
    need_marks(loaded, delivery)
    if journal is not None and not until_eof:
        _keep_journal(journal, as_json)
    memory = None if no_state else (state or STATE) / _memory_name(loaded.scenario, connection.topic_prefix)
    if not as_json:  # whoever reads our lines is told what is to be done to the broker
        need_no_broker_of_ours(loaded)
        need_no_reader()
    if no_backend:
        connection.refuse(("tools_broker",), "without a back end no commands are sent", "leave --no-backend out")
    connection.refuse_secret_beside_credentials()
    access = connection.open()
    need_users(access, cars=vins(loaded), tools=() if no_backend else ("tool",))

    async def main() -> dict[str, Any]:
        simulator = partial(
            run_simulator, access, loaded, with_desk=not no_backend, keep_sessions=keep_sessions,
            until_stored=delivery is DeliveryMode.STORED, stop=stop_on_signals(until_eof=until_eof), state=memory,
            journal=journal, mails=read_mail,
        )  # fmt: skip
        if as_json:
            return await simulator(emit=emit_line)
        with make_view(out) as view:
            return await simulator(emit=partial(_show, view))

    result = run_fast(main(), fast=connection.link == "swarm")
    if not as_json:
        _summarise(result)


def _refuse_two_states(state: Path | None, no_state: bool) -> None:
    if state is not None and no_state:
        raise UsageError("--state and --no-state exclude each other", hint="Give one of them.")


def _summarise(result: dict[str, Any]) -> None:
    account = " · ".join(f"{count} {name.replace('_', ' ')}" for name, count in result["account"].items())
    out.say(f"{result['cars']} cars, {result['wall_s']:.1f} s: {account}")


def _show(view: View, message: dict[str, Any]) -> None:
    if message["type"] == "progress":
        view.update(message, {})
    elif message["type"] == "waits":
        view.waits(message["what"], message["detail"])


def _keep_journal(journal: Path, as_json: bool) -> None:
    """Set aside what a process before this one has written: who was started anew has not to begin anew."""
    aside = set_aside(journal)
    if aside is not None and not as_json:
        err.say(f"the journal before this one is kept as {aside}")


def _memory_name(scenario: str, prefix: str) -> str:
    """Return the name of a file for the cars of a scenario under a prefix, whatever the address of their broker."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", f"{scenario} {prefix}") + ".commands"


@app.command(rich_help_panel=PARTS)
@_telling_failure
@connecting("link")
def backend(
    *,
    connection: BrokerOptions,
    store: Annotated[Path, typer.Option("--store", metavar="FILE", envvar="FLEET_STORE", help="The store's file.")] = Path(
        "fleet.sqlite"
    ),
    delivery: Delivery = DeliveryMode.PUBACK,
    client_id: BackendClientId = None,
    end_session: Annotated[bool, typer.Option("--end-session", help="Leave no session with the broker at the end.")] = False,
    spin_cost: Annotated[int, typer.Option("--spin-cost", help="scrypt's n for S-PINs, a power of two.")] = SpinCost().n,
    quick_passwords: Annotated[
        bool, typer.Option("--quick-passwords", help="Hash passwords at the least cost there is, for people who are simulated.")
    ] = False,
    mail: Mail = None,
    push: Push = None,
    journal: JournalFile = None,
    dialect: Annotated[
        list[str] | None,
        typer.Option("--dialect", metavar="NAME|FILE", help="Topics and payloads of cars; may be repeated, see fleet dialects."),
    ] = None,
    as_json: AsJson = False,
    until_eof: UntilEof = False,
) -> None:
    """Store what cars send, run the command desk, and deliver mails and pushes.

    Examples: fleet backend --broker mqtt://localhost:1884 --store fleet.sqlite

    fleet backend --broker mqtt://localhost:1884 --mail smtp://localhost:1025 --push http://localhost:8080/push
    """
    if not as_json:
        need_no_reader()
    access = replace(connection.open(), dialects=tuple(dialect or ()))
    need_users(access, tools=("backend",))
    ways = open_ways(mail_folder(store) if mail is None else mail, push)
    if journal is not None and not until_eof:
        _keep_journal(journal, as_json)

    async def main() -> None:
        await run_backend(
            access,
            store,
            pepper=pepper_of(connection.secret()),
            spin_cost=SpinCost(n=spin_cost),
            password_cost=LEAST if quick_passwords else PasswordCost(),
            announce_stored=delivery is DeliveryMode.STORED,
            client_id=client_id or client_id_of(CLIENT_ID, access.prefix),
            end_session=end_session,
            stop=stop_on_signals(until_eof=until_eof),
            emit=emit_line if as_json else _tell_backend,
            journal=journal,
            ways=ways,
        )

    run_fast(main(), fast=connection.link == "swarm")


def _tell_backend(message: dict[str, Any]) -> None:
    if message["type"] == "ready":
        out.say("connected, storing")
    elif message["type"] == "result":
        out.say(f"{message['stored']} stored, {message['duplicates']} duplicates, {sum(message['quarantined'].values())} "
                  "quarantined")  # fmt: skip


@app.command(rich_help_panel=PARTS)
def broker(
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", help="Scenario whose cars may connect; may be repeated.")
    ] = None,
    cars: Cars = None,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port for cars.")] = 1883,
    tools_port: Annotated[int, typer.Option("--tools-port", min=1, max=65535, help="Port for back end, desk and tools.")] = 1884,
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Folder for the broker's files; they stay.")] = Path(
        "fleet-broker"
    ),
    secret_file: SecretFile = None,
    topic_prefix: TopicPrefix = DEFAULT_PREFIX,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Run the broker of fleet itself, which needs no Mosquitto.")
    ] = False,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="With --embedded: anybody may connect, and do anything.")
    ] = False,
    cert_dir: Annotated[
        Path | None,
        typer.Option("--cert-dir", metavar="DIR", help="With --embedded: TLS for cars; DIR holds server.pem and server.key."),
    ] = None,
    need_certificates: Annotated[
        bool, typer.Option("--need-certificates", help="With --cert-dir: each car has a certificate, signed by its ca.pem.")
    ] = False,
) -> None:
    """Run a broker that knows the cars of some scenarios: a Mosquitto with the configuration of broker/, or the embedded one.

    Examples: fleet broker --scenario rush-hour --cars 1000

    fleet broker --embedded --anonymous
    """
    need_no_reader()
    listen = _host(listen)
    if port == tools_port:
        raise UsageError(f"--port and --tools-port are both {port}", hint="Cars and tools have a listener each: give two ports.")
    for option, is_given in (("--anonymous", anonymous), ("--cert-dir", cert_dir is not None)):
        if is_given and not embedded:
            raise without_effect(option, "it is for the embedded broker", "give --embedded")
    if need_certificates and cert_dir is None:
        raise without_effect("--need-certificates", "cars connect without TLS", "give --cert-dir")
    if anonymous:
        options = EmbeddedOptions(
            anonymous=True, prefix=topic_prefix, listen=listen, cars_port=port, tools_port=tools_port,
            certificates=_certificates(cert_dir, need_certificates),
        )  # fmt: skip
        _run_embedded(options, folder, "anybody")
        return
    secret = find_secret(secret_file)
    directory = resource_dir("scenarios")
    files = [find_scenario(no_folder(name), directory) for name in scenario or ["rush-hour"]]
    known = [vin for file in files for vin in vins(load_scenario(file, cars, None, None))]
    folder.mkdir(parents=True, exist_ok=True)
    hint = ""
    if secret is None:
        own = folder.with_name(folder.name + ".secret")
        if not own.exists():
            FleetSecret.new().write(own)
        secret = FleetSecret.from_file(own)
        hint = f"export FLEET_SECRET_FILE={own.resolve()}"
    if embedded:
        options = EmbeddedOptions(
            secret=secret, users=set(known), prefix=topic_prefix, listen=listen, cars_port=port, tools_port=tools_port,
            certificates=_certificates(cert_dir, need_certificates),
        )  # fmt: skip
        _run_embedded(options, folder, f"{len(known)} cars", hint)
        return
    mosquitto = PrivateMosquitto(
        secret=secret, vins=known, prefix=topic_prefix, listen=listen, cars_port=port, tools_port=tools_port, folder=folder
    )

    def started(running: PrivateMosquitto) -> None:
        out.say(f"Mosquitto listens on {running.cars} (cars) and {running.tools} (tools) for {len(known)} cars")
        if lack := lack_of_open_files(len(known)):
            err.say(f"warning: {lack}")
        if hint:
            out.say(f"for the other commands:  {hint}")

    async def main() -> None:
        await run_broker(mosquitto, stop=stop_on_signals(until_eof=False), started=started)

    asyncio.run(main())


def _certificates(folder: Path | None, of_clients: bool) -> BrokerCertificates | None:
    if folder is None:
        return None
    return BrokerCertificates(folder / "server.pem", folder / "server.key", folder / f"{AUTHORITY}.pem" if of_clients else None)


def _run_embedded(options: EmbeddedOptions, folder: Path, for_whom: str, hint: str = "") -> None:
    """Run the embedded broker until a signal, and say what came."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def started(cars: Endpoint, tools: Endpoint) -> None:
        """Say where the broker listens, and what other commands need to reach it."""
        scheme = "mqtts" if options.certificates is not None else "mqtt"
        where = f"{scheme}://{str(cars).partition('://')[2]}"
        out.say(f"the embedded broker listens on {where} (cars) and {tools} (tools) for {for_whom}")
        if lack := lack_of_open_files(len(options.users)):
            err.say(f"warning: {lack}")
        if hint:
            out.say(f"for the other commands:  {hint}")

    async def main() -> EmbeddedServer:
        return await run_embedded(options, stop=stop_on_signals(until_eof=False), started=started, state=folder / EMBEDDED_STATE)

    counts = run_fast(main()).machine.counts
    out.say(
        f"{counts.opened} connections; ended for what is no MQTT: {counts.bad_packets}, for another version of it: "
        f"{counts.refused_version}, for silence: {counts.timed_out}; times that a client did not read: {counts.held_up}"
    )


def _host(text: str) -> str:
    """Read what to listen on; raises UsageError."""
    try:
        return read_host(text)
    except NoAddress as error:
        raise UsageError(
            f"--listen: {text!r} is {error}", hint=f"{error.hint} Ports are given by --port and --tools-port."
        ) from None
