"""The command line: reads options, calls `runtime`, prints. Decides nothing itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Never

import msgspec
import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fleet import __version__
from fleet.backend.reader import StoreReader
from fleet.backend.spin import SpinCost
from fleet.errors import FleetError, UsageError
from fleet.kernel.instants import format_duration, format_instant
from fleet.observe import report as reports
from fleet.runtime.access import Access, find_secret, open_access, read_endpoint
from fleet.runtime.asking import ask_desk
from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.clocks import local_time
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.processes import pepper_of, run_backend, run_broker, run_simulator, stop_on_signals
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import Run, RunConfig
from fleet.runtime.view import make_view
from fleet.scenario.loader import Overrides, check, find_scenario, load, read_text, shipped
from fleet.scenario.scalars import ClockFactor, Misread
from fleet.scenario.schema import Scenario, json_schema
from fleet.wire.commands import command_type
from fleet.wire.messages import CommandRequest, DeskAnswer, SetSpin
from fleet.wire.topics import DEFAULT_PREFIX, Topics
from fleet.wire.vin import checked_vin


class DeliveryMode(StrEnum):
    """What ends a message's stay in the car's outbox."""

    PUBACK = "puback"
    STORED = "stored"


LATEST: Final = Path("runs") / "latest"

app = typer.Typer(
    name="fleet",
    help="Simulates fleets of CUPRA CONNECT cars over MQTT. Start with: fleet run rush-hour",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
user_app = typer.Typer(help="People of a car.", no_args_is_help=True)
RUN, PARTS, WATCH = "Run a fleet", "Its parts alone", "Look at it and command it"
app.add_typer(user_app, name="user", rich_help_panel=WATCH)

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, soft_wrap=True)

# --- options that several commands share ------------------------------------------------------------------------

ScenarioName = Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped scenario (see: fleet scenarios) or a file.")]
Cars = Annotated[int | None, typer.Option("--cars", min=1, help="So many cars in all; the fleets keep their proportions.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Another seed makes another day.")]
Clock = Annotated[str | None, typer.Option("--clock", metavar="real|xFACTOR", help="How fast the cars' time runs.")]
Broker = Annotated[str, typer.Option("--broker", metavar="URL", help="mqtt://HOST:PORT or mqtts://HOST:PORT.")]
ToolsBroker = Annotated[str | None, typer.Option("--tools-broker", metavar="URL", help="Where tools connect, if elsewhere.")]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Certificate authority (PEM) to trust for mqtts.")]
Credentials = Annotated[Path | None, typer.Option("--credentials", metavar="FILE.csv", help="Lines of user,password.")]
SecretFile = Annotated[
    Path | None, typer.Option("--secret-file", metavar="FILE", help="The fleet's secret [env: FLEET_SECRET_FILE, FLEET_SECRET].")
]
Delivery = Annotated[
    DeliveryMode, typer.Option("--delivery", help="When a car may forget a message: at the broker's word, or once it is stored.")
]
Prefix = Annotated[str, typer.Option("--topic-prefix", metavar="PREFIX", help="First levels of all topics.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
UntilEof = Annotated[bool, typer.Option("--until-eof", help="End when standard input closes.", hidden=True)]
StorePath = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", envvar="FLEET_STORE", help="The back end's store [default: that of the latest run]."),
]
Vin = Annotated[str, typer.Argument(metavar="VIN", callback=checked_vin, help="Which car; fleet cars lists them.")]


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"fleet {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,  # noqa: ARG001
) -> None:
    level = getattr(logging, os.environ.get("FLEET_LOG", "warning").upper(), logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


# --- run ----------------------------------------------------------------------------------------------------------


@app.command(rich_help_panel=RUN)
def run(
    scenario: ScenarioName,
    cars: Cars = None,
    seed: Seed = None,
    clock: Clock = None,
    broker: Annotated[
        str, typer.Option("--broker", metavar="auto|URL", help="auto starts a private Mosquitto; a URL uses a running broker.")
    ] = "auto",
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where report and store go [default: runs/SCENARIO-TIME].")
    ] = None,
    no_backend: Annotated[bool, typer.Option("--no-backend", help="Only cars: the back end under test is yours.")] = False,
    keep_sessions: Annotated[bool, typer.Option("--keep-sessions", help="Leave the cars' sessions with the broker.")] = False,
    delivery: Delivery = DeliveryMode.PUBACK,
    ca: Ca = None,
    credentials: Credentials = None,
    secret_file: SecretFile = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
    as_json: AsJson = False,
) -> None:
    """Run a scenario: broker, back end and cars, until its end or Ctrl-C; then the report.

    Example: fleet run rush-hour --cars 100 --clock x600
    """
    if broker == "auto" and (ca or credentials):
        raise UsageError("--ca and --credentials are for a broker of yours", hint="Name it with --broker URL.")
    prefix = Topics(topic_prefix).prefix
    file = find_scenario(scenario, resource_dir("scenarios"))
    loaded = _load(file, cars, seed, clock)
    secret = find_secret(secret_file)
    access = None
    if broker != "auto":
        access = open_access(broker=broker, ca=ca, credentials=credentials, secret=secret, prefix=prefix)
    folder = out_dir or Path("runs") / f"{loaded.scenario}-{local_time()}"
    passthrough = [
        *(["--ca", str(ca)] if ca else []),
        *(["--credentials", str(credentials)] if credentials else []),
        *(["--delivery", delivery.value] if delivery is not DeliveryMode.PUBACK else []),
        *(["--topic-prefix", topic_prefix] if topic_prefix != DEFAULT_PREFIX else []),
    ]
    config = RunConfig(
        scenario=loaded,
        scenario_file=file,
        out=folder,
        broker=None if broker == "auto" else broker,
        access=access,
        prefix=prefix,
        passthrough=tuple(passthrough),
        with_backend=not no_backend,
        keep_sessions=keep_sessions,
        secret=secret,
    )
    folder.mkdir(parents=True, exist_ok=True)
    _remember(folder)
    console = err if as_json else out
    if not as_json:
        console.print(f"{loaded.scenario}: {loaded.cars} cars, {format_duration(loaded.duration)} at clock {loaded.clock}, "
                      f"seed {loaded.seed}", highlight=False)  # fmt: skip
    report = asyncio.run(_run(Run(config, make_view(console))))
    if as_json:
        out.print_json(msgspec.json.encode(report).decode())
    else:
        _summarise(report, folder, with_backend=not no_backend)
    raise typer.Exit(reports.EXIT_CODES[report["verdict"]])


async def _run(running: Run) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.interrupt)
    return await running.run()


def _load(file: Path, cars: int | None, seed: int | None, clock: str | None) -> Scenario:
    try:
        factor = None if clock is None else ClockFactor.parse(clock)
    except Misread as error:
        raise UsageError(f"--clock: {error}", hint=error.hint) from None
    return load(file, vocabulary(), Overrides(cars=cars, seed=seed, clock=factor))


def _remember(folder: Path) -> None:
    """Point runs/latest at the run, for the tools that look at a store."""
    if folder.parent == LATEST.parent:
        link = folder.with_name(f".latest-{os.getpid()}")
        link.symlink_to(folder.name, target_is_directory=True)
        link.replace(LATEST)  # in one step: another run may be starting, or a tool be looking


def _summarise(report: dict[str, Any], folder: Path, *, with_backend: bool) -> None:
    colour = {"passed": "green", "interrupted": "yellow"}.get(report["verdict"], "red")
    out.print(f"\n[bold {colour}]{report['verdict']}[/]: {report['reason']}", highlight=False)
    account = " · ".join(
        f"{report[name]} {name.replace('_', ' ')}"
        for name in ("created", "stored", "in_outbox", "dropped", "quarantined", "refused", "lost", "duplicates")
    )
    out.print(f"messages   {account}", highlight=False)
    commands = " · ".join(f"{count} {name}" for name, count in reports.command_rows(report["commands"]))
    out.print(f"commands   {commands}", highlight=False)
    for name, figures in report["latency_ms"].items():
        if figures:
            values = "  ".join(f"{key} {value:.1f}" for key, value in figures.items())
            out.print(f"{name.replace('_', ' ')} (ms)   {values}", highlight=False)
    for expectation in report["expectations"]:
        if not expectation["passed"] and report["verdict"] != "interrupted":
            out.print(f"[red]not met[/]   {expectation['text']}   (it was {expectation['value']})", highlight=False)
    for outage in report["outages"]:
        length = "until the end" if outage["seconds"] is None else f"for {outage['seconds']:.1f} s"
        out.print(f"outage     no car connected from {outage['scenario_time']} {length}", highlight=False)
    out.print(f"report     {folder / 'report.md'}, {folder / 'report.json'}", highlight=False)
    if with_backend:
        store = folder / "store.sqlite"
        with StoreReader(store) as reader:
            rows = reader.cars()
        option = "" if folder.parent == LATEST.parent else f" --store {store}"
        out.print(f"store      {store}", highlight=False)
        if rows:
            out.print(f"next       fleet status {max(rows, key=lambda row: row.captured_at).vin}{option}", highlight=False)


@app.command(rich_help_panel=RUN)
def scenarios(as_json: AsJson = False) -> None:
    """List the shipped scenarios."""
    found = shipped(resource_dir("scenarios"), vocabulary())
    if as_json:
        lines = [{"name": s.name, "purpose": s.purpose, "cars": s.cars, "duration_us": s.duration_us} for s in found]
        out.print_json(json.dumps(lines))
        return
    table = _table("scenario", "cars", "duration")
    table.add_column("purpose", overflow="fold")
    for s in found:
        table.add_row(s.name, str(s.cars), format_duration(s.duration_us), s.purpose)
    out.print(table)


def _table(*names: str) -> Table:
    """Return a table in which only `content` gives way to the width: VINs and times are there to be copied."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name != "content", overflow="fold" if name == "content" else "ignore")
    return table


@app.command("check", rich_help_panel=RUN)
def check_file(scenario: ScenarioName, as_json: AsJson = False) -> None:
    """Check a scenario file and give all its errors."""
    file = find_scenario(scenario, resource_dir("scenarios"))
    errors = check(read_text(file), str(file), vocabulary())
    if as_json:
        found = [{"message": str(e), "hint": e.hint, "line": e.line, "column": e.column} for e in errors]
        out.print_json(json.dumps({"file": str(file), "ok": not errors, "errors": found}))
    else:
        for error in errors:
            _complain(error)
        if not errors:
            out.print(f"{file}: ok", highlight=False)
    if errors:
        raise typer.Exit(2)


@app.command(rich_help_panel=RUN)
def schema(as_json: AsJson = True) -> None:  # noqa: ARG001  accepted as everywhere; it is JSON anyway
    """Print the JSON Schema of scenario files, for editors."""
    out.print_json(json.dumps(json_schema()))


# --- the parts alone ----------------------------------------------------------------------------------------------


@app.command(rich_help_panel=PARTS)
def simulate(
    scenario: ScenarioName,
    broker: Broker,
    tools_broker: ToolsBroker = None,
    cars: Cars = None,
    seed: Seed = None,
    clock: Clock = None,
    no_backend: Annotated[bool, typer.Option("--no-backend", help="There is no desk: send no commands.")] = False,
    keep_sessions: Annotated[bool, typer.Option("--keep-sessions", help="Leave the cars' sessions with the broker.")] = False,
    delivery: Delivery = DeliveryMode.PUBACK,
    ca: Ca = None,
    credentials: Credentials = None,
    secret_file: SecretFile = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
    as_json: AsJson = False,
    until_eof: UntilEof = False,
) -> None:
    """Let a scenario's cars live against a running broker.

    Example: fleet simulate rush-hour --broker mqtt://localhost:1883 --tools-broker mqtt://localhost:1884
    """
    file = find_scenario(scenario, resource_dir("scenarios"))
    loaded = _load(file, cars, seed, clock)
    access = open_access(
        broker=broker,
        tools_broker=tools_broker,
        ca=ca,
        credentials=credentials,
        secret=find_secret(secret_file),
        prefix=topic_prefix,
    )

    async def main() -> dict[str, Any]:
        stop = stop_on_signals(until_eof=until_eof)
        if as_json:
            return await run_simulator(
                access,
                loaded,
                with_desk=not no_backend,
                keep_sessions=keep_sessions,
                until_stored=delivery is DeliveryMode.STORED,
                stop=stop,
                emit=_emit,
            )
        view = make_view(out)
        with view:
            return await run_simulator(
                access, loaded, with_desk=not no_backend, keep_sessions=keep_sessions,
                until_stored=delivery is DeliveryMode.STORED, stop=stop,
                emit=lambda message: view.update(message, {}) if message["type"] == "progress" else None,
            )  # fmt: skip

    with _telling_failure(as_json):
        result = asyncio.run(main())
    if not as_json:
        account = " · ".join(f"{count} {name.replace('_', ' ')}" for name, count in result["account"].items())
        out.print(f"{result['cars']} cars, {result['wall_s']:.1f} s: {account}", highlight=False)


@app.command(rich_help_panel=PARTS)
def backend(
    broker: Broker,
    store: Annotated[Path, typer.Option("--store", metavar="FILE", envvar="FLEET_STORE", help="Where to store.")] = Path(
        "fleet.sqlite"
    ),
    delivery: Delivery = DeliveryMode.PUBACK,
    spin_cost: Annotated[int, typer.Option("--spin-cost", help="scrypt's n for S-PINs, a power of two.")] = SpinCost().n,
    ca: Ca = None,
    credentials: Credentials = None,
    secret_file: SecretFile = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
    as_json: AsJson = False,
    until_eof: UntilEof = False,
) -> None:
    """Store what cars send, and run the command desk.

    Example: fleet backend --broker mqtt://localhost:1884 --store fleet.sqlite
    """
    secret = find_secret(secret_file)
    access = open_access(broker=broker, ca=ca, credentials=credentials, secret=secret, prefix=topic_prefix)

    async def main() -> None:
        await run_backend(
            access,
            store,
            pepper=pepper_of(secret),
            spin_cost=SpinCost(n=spin_cost),
            announce_stored=delivery is DeliveryMode.STORED,
            stop=stop_on_signals(until_eof=until_eof),
            emit=_emit if as_json else _tell_backend,
        )

    with _telling_failure(as_json):
        asyncio.run(main())


def _tell_backend(message: dict[str, Any]) -> None:
    if message["type"] == "ready":
        out.print("connected, storing", highlight=False)
    elif message["type"] == "result":
        out.print(f"{message['stored']} stored, {message['duplicates']} duplicates, {sum(message['quarantined'].values())} "
                  "quarantined", highlight=False)  # fmt: skip


@app.command(rich_help_panel=PARTS)
def broker(
    scenario: Annotated[list[str] | None, typer.Option("--scenario", help="Whose cars may connect.")] = None,
    cars: Cars = None,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="For cars.")] = 1883,
    tools_port: Annotated[int, typer.Option("--tools-port", min=1, max=65535, help="For back end, desk and tools.")] = 1884,
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Its files, kept.")] = Path("fleet-broker"),
    secret_file: SecretFile = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
) -> None:
    """Run a Mosquitto with the configuration of broker/ that knows the cars of some scenarios.

    Example: fleet broker --scenario rush-hour --cars 1000
    """
    secret = find_secret(secret_file)
    directory = resource_dir("scenarios")
    known = [vin for name in scenario or ["rush-hour"] for vin in vins(_load(find_scenario(name, directory), cars, None, None))]
    folder.mkdir(parents=True, exist_ok=True)
    hint = ""
    if secret is None:
        own = folder.with_name(folder.name + ".secret")
        if not own.exists():
            FleetSecret.new().write(own)
        secret = FleetSecret.from_file(own)
        hint = f"export FLEET_SECRET_FILE={own.resolve()}"
    mosquitto = PrivateMosquitto(
        secret=secret, vins=known, prefix=topic_prefix, listen=listen, cars_port=port, tools_port=tools_port, folder=folder
    )

    def started(running: PrivateMosquitto) -> None:
        out.print(
            f"Mosquitto listens on {running.cars} (cars) and {running.tools} (tools) for {len(known)} cars", highlight=False
        )
        if hint:
            out.print(f"for the other commands:  {hint}", highlight=False)

    async def main() -> None:
        await run_broker(mosquitto, stop=stop_on_signals(until_eof=False), started=started)

    asyncio.run(main())


@contextlib.contextmanager
def _telling_failure(as_json: bool) -> Iterator[None]:
    """Tell whoever reads our JSON lines why they end."""
    try:
        yield
    except FleetError as error:
        if not as_json:
            raise
        _emit({"type": "failed", "text": str(error), "hint": error.hint})
        raise typer.Exit(2) from None


def _emit(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


# --- looking at the store -----------------------------------------------------------------------------------------


def _store(path: Path | None) -> Path:
    if path is not None:
        return path
    latest = LATEST / "store.sqlite"
    if not latest.exists():
        raise UsageError("there is no store to look at", hint="Run a scenario first (fleet run rush-hour), or give --store FILE.")
    return latest


@app.command(rich_help_panel=WATCH)
def cars(
    store: StorePath = None, limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 50, as_json: AsJson = False
) -> None:
    """List the cars that the back end knows, with their newest state."""
    with StoreReader(_store(store)) as reader:
        rows = reader.cars()
    if as_json:
        out.print_json(msgspec.json.encode(rows[:limit]).decode())
        return
    table = _table("VIN", "state", "connection", "km", "position", "as of")
    for row in rows[:limit]:
        where = "" if row.latitude is None or row.longitude is None else f"{row.latitude:.5f},{row.longitude:.5f}"
        km = "" if row.mileage_km is None else f"{row.mileage_km:.0f}"
        table.add_row(row.vin, row.state or "", row.connection or "", km, where, _as_of(row.captured_at))
    out.print(table)
    if len(rows) > limit:
        out.print(f"… and {len(rows) - limit} more; --limit {len(rows)} shows all", highlight=False)


def _as_of(captured_at: int) -> str:
    return format_instant(captured_at)[:19] if captured_at else "no status yet"


@app.command(rich_help_panel=WATCH)
def status(vin: Vin, store: StorePath = None, as_json: AsJson = False) -> None:
    """Show the newest known state of a car."""
    with StoreReader(_store(store)) as reader:
        twin = reader.status(vin)
    if twin is None:
        raise UsageError(f"nothing is stored of {vin}", hint="fleet cars lists the cars that are known.")
    plain = msgspec.to_builtins(twin)
    plain.pop("stamps", None)  # which message told each group is the back end's own business
    if as_json:
        out.print_json(msgspec.json.encode(plain).decode())
        return
    for line in _lines(plain):
        out.print(line, highlight=False, markup=False)


def _lines(value: Any, name: str = "", indent: int = 0) -> list[str]:
    """Write nested plain data for people; instants by their names' ending."""
    pad = "  " * indent
    if isinstance(value, dict):
        head = [f"{pad}{name}"] if name else []
        return head + [line for key, item in value.items() for line in _lines(item, str(key), indent + bool(name))]
    if isinstance(value, list):
        return [f"{pad}{name}: none"] if not value else [line for item in value for line in _lines(item, name, indent)]
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith("_at"):
        value = format_instant(value)
    return [f"{pad}{name}: {value}"]


@app.command(rich_help_panel=WATCH)
def history(
    vin: Vin,
    store: StorePath = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
    kind: Annotated[Literal["status", "event", "response", "request"] | None, typer.Option(help="Only these.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a car has sent, the newest first."""
    with StoreReader(_store(store)) as reader:
        rows = reader.history(vin, limit=limit, kind=kind)
    if as_json:
        out.print_json(msgspec.json.encode(rows).decode())
        return
    if not rows:
        what = f"no {kind} is stored" if kind else "nothing is stored"
        raise UsageError(f"{what} of {vin}", hint="fleet cars lists the cars that are known.")
    table = _table("captured", "seq", "what", "content")
    for row in rows:
        content = {k: v for k, v in row.content.items() if k not in _HEADER}
        what = f"{row.kind} {row.name or row.trigger or ''}"
        table.add_row(format_instant(row.captured_at)[:19], str(row.seq), what, json.dumps(content))
    out.print(table)


_HEADER: Final = {"vin", "boot", "seq", "captured_at", "due_wall_us", "sent_wall_us", "name", "trigger"}

# --- asking the desk ----------------------------------------------------------------------------------------------

DeskBroker = Annotated[
    str | None,
    typer.Option("--broker", metavar="URL", envvar="FLEET_BROKER", help="The tools' listener [default: the running fleet's]."),
]
COMMAND_PATIENCE_S: Final = 900.0
"""Longer than the default time to live of any command that a person waits for, in wall seconds."""


def _access(broker: str | None, secret_file: Path | None, credentials: Path | None, store: Path | None, prefix: str) -> Access:
    """Reach the desk by options, or by what a running fleet left beside its store."""
    if broker is not None:
        return open_access(broker=broker, credentials=credentials, secret=find_secret(secret_file), prefix=prefix)
    folder = (store or LATEST / "store.sqlite").parent
    word = read_endpoint(folder)
    if word is None:
        raise UsageError(
            "no fleet is running that could take a command",
            hint="Start one (fleet run rush-hour --clock real), or give --broker URL and --secret-file FILE.",
        )
    secret = FleetSecret.from_file(Path(word.secret_file)) if word.secret_file else find_secret(secret_file)
    return open_access(broker=word.tools, credentials=credentials, secret=secret, prefix=word.prefix)


@app.command("command", rich_help_panel=WATCH)
def command(
    vin: Vin,
    name: Annotated[str, typer.Argument(metavar="NAME", help="honk, lock, unlock, heater or refresh.")],
    position: Annotated[str | None, typer.Option("--from", metavar="LAT,LON", help="honk: where the user is.")] = None,
    mode: Annotated[
        Literal["flash", "honk_and_flash"] | None, typer.Option("--mode", help="honk [default: honk_and_flash].")
    ] = None,
    minutes: Annotated[int | None, typer.Option("--minutes", help="heater: 10 to 60 in steps of 10.")] = None,
    action: Annotated[Literal["start", "stop"] | None, typer.Option("--action", help="heater [default: start].")] = None,
    spin: Annotated[str | None, typer.Option("--spin", metavar="PIN", help="The car's S-PIN; '-' asks for it.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Who asks [default: the primary user].")] = None,
    ttl: Annotated[float | None, typer.Option("--ttl", metavar="SECONDS", help="How long the car may act on it.")] = None,
    broker: DeskBroker = None,
    secret_file: SecretFile = None,
    credentials: Credentials = None,
    store: StorePath = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
    as_json: AsJson = False,
) -> None:
    """Send a remote command as the car's user, and wait for its outcome; exit code 0 only for success.

    Examples: fleet command VIN honk --mode flash --from 48.1371,11.5753

    fleet command VIN lock --spin 1234

    fleet command VIN heater --minutes 30 --spin 1234
    """
    request = CommandRequest(
        id=secrets.token_hex(12),
        vin=vin,
        name=command_type(name).name,
        parameters=_parameters(name, {"mode": mode, "minutes": minutes, "action": action}, position),
        spin=typer.prompt("S-PIN", hide_input=True) if spin == "-" else spin,
        user=user,
        ttl_s=ttl,
    )
    access = _access(broker, secret_file, credentials, store, topic_prefix)

    def told(answer: DeskAnswer) -> None:
        if not as_json and not answer.final:
            out.print(answer.state, style="dim", highlight=False)

    answer = asyncio.run(ask_desk(access, request, timeout_s=COMMAND_PATIENCE_S, told=told))
    _tell_outcome(name, answer, as_json)


def _tell_outcome(name: str, answer: DeskAnswer, as_json: bool) -> Never:
    """Print the desk's final answer, and end with exit code 0 for success only."""
    if as_json:
        out.print_json(msgspec.json.encode(answer).decode())
    else:
        reason = f"({answer.reason})" if answer.reason else ""
        detail = f": {answer.detail}" if answer.detail else ""
        out.print(f"{name} {answer.state}{reason}{detail}", highlight=False, markup=False)
    raise typer.Exit(0 if answer.state == "succeeded" else 1)


def _parameters(name: str, given: dict[str, Any], position: str | None) -> dict[str, Any]:
    """Return what was given as the command's parameters; raises UsageError for an option that the command has not."""
    parameters = {key: value for key, value in given.items() if value is not None}
    if position is not None:
        parameters |= _read_position(position)
    known = command_type(name).parameters.__struct_fields__
    for key in parameters:
        if key not in known:
            option = "from" if key in {"latitude", "longitude"} else key
            raise UsageError(f"{name} has no --{option}", hint=f"fleet command --help tells what belongs to {name}.")
    if "latitude" in known and position is None:
        raise UsageError(f"{name} needs the user's position", hint="Add --from LAT,LON, such as --from 48.1371,11.5753")
    return parameters


def _read_position(text: str) -> dict[str, float]:
    """Read LAT,LON; raises UsageError for what is no place on earth."""
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no position", hint="Write --from LAT,LON, such as --from 48.1371,11.5753") from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise UsageError(
            f"{text!r} is no position on earth", hint="The latitude is from -90 to 90, the longitude from -180 to 180 degrees."
        )
    return {"latitude": latitude, "longitude": longitude}


@user_app.command("set-spin")
def set_spin(
    vin: Vin,
    spin: Annotated[str | None, typer.Option("--spin", metavar="PIN", help="4 digits; asked for when not given.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Whose [default: the primary user].")] = None,
    broker: DeskBroker = None,
    secret_file: SecretFile = None,
    credentials: Credentials = None,
    store: StorePath = None,
    topic_prefix: Prefix = DEFAULT_PREFIX,
    as_json: AsJson = False,
) -> None:
    """Set the S-PIN of a car's user; unlocks it after three wrong tries."""
    request = SetSpin(
        id=secrets.token_hex(12),
        vin=vin,
        spin=spin or typer.prompt("New S-PIN", hide_input=True, confirmation_prompt=True),
        user=user,
    )
    access = _access(broker, secret_file, credentials, store, topic_prefix)
    _tell_outcome("set-spin", asyncio.run(ask_desk(access, request, timeout_s=COMMAND_PATIENCE_S)), as_json)


# --- entry --------------------------------------------------------------------------------------------------------


def _complain(error: FleetError) -> None:
    err.print(f"[red]error:[/] {escape(str(error))}", highlight=False)
    if error.hint:
        err.print(f"  {error.hint}", highlight=False, markup=False)


def main() -> None:
    """Run the command line; errors raised on purpose, and those of files, are told in words and end with exit code 2."""
    try:
        app()
    except FleetError as error:
        _complain(error)
        raise SystemExit(2) from None
    except asyncio.CancelledError:
        _complain(FleetError("interrupted before the cars had started; there is no report"))
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        raise SystemExit(0) from None
    except OSError as error:
        if error.filename is None:
            raise
        _complain(FleetError(f"{error.filename}: {error.strerror}"))
        raise SystemExit(2) from None
