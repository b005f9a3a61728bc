"""`fleet run`: a whole fleet, its broker and its back end, and the report at the end."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer

from fleet.backend.reader import StoreReader
from fleet.cli.common import (
    RUN,
    AsJson,
    Cars,
    ChosenDialect,
    Clock,
    Delivery,
    DeliveryMode,
    Mail,
    Push,
    ScenarioName,
    Seed,
    Set,
    err,
    load_scenario,
    need_marks,
    need_no_broker_of_ours,
    out,
    tell_tracks,
)
from fleet.cli.completing import LATEST
from fleet.cli.connecting import EVERYWHERE, OF_CARS, BrokerOptions, connecting, without_effect
from fleet.errors import UsageError
from fleet.kernel.instants import format_duration
from fleet.observe import report as reports
from fleet.runtime.access import need_users
from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.clocks import local_time
from fleet.runtime.confirmations import checked_filter
from fleet.runtime.fault_injector import harms_network
from fleet.runtime.limits import need_open_files
from fleet.runtime.live_stage import LiveOptions, live_run
from fleet.runtime.mail_ways import NOWHERE, is_local, mail_folder, open_ways
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import Run, RunConfig
from fleet.runtime.signals import ending_signals
from fleet.runtime.streams import need_no_reader
from fleet.runtime.view import View, make_view
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.following import followed_tracks, rows_left_out, track_findings
from fleet.scenario.loader import find_scenario
from fleet.scenario.schema import Scenario
from fleet.wire.topics import checked_prefix

app = typer.Typer()

PRIVATE: Final = "mqtt://127.0.0.1"
"""Stands for the address of a private broker while options are checked, before it runs."""
PRIVATE_KINDS: Final = ("auto", "embedded")
RunBroker = Annotated[
    str,
    typer.Option(
        "--broker",
        metavar="auto|embedded|URL",
        help="auto starts a private Mosquitto, or without one the embedded broker; a URL uses a running broker.",
    ),
]


@app.command(rich_help_panel=RUN)
@connecting(*OF_CARS, broker=RunBroker, default="auto")
def run(
    *,
    scenario: ScenarioName,
    cars: Cars = None,
    settings: Set = None,
    seed: Seed = None,
    clock: Clock = None,
    connection: BrokerOptions,
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for report and store \\[default: runs/SCENARIO-TIME].")
    ] = None,
    no_backend: Annotated[bool, typer.Option("--no-backend", help="Run only cars: the back end under test is yours.")] = False,
    ask_desk: Annotated[
        bool,
        typer.Option(
            "--ask-desk", help="With --no-backend: users ask your back end on PREFIX/desk/request; it answers as ours does."
        ),
    ] = False,
    confirm_topic: Annotated[
        str | None,
        typer.Option(
            "--confirm-topic",
            metavar="FILTER",
            help="With --no-backend: each message there says that your back end has stored one of a car.",
        ),
    ] = None,
    keep_sessions: Annotated[bool, typer.Option("--keep-sessions", help="Leave the cars' sessions with the broker.")] = False,
    mail: Mail = None,
    push: Push = None,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Write no journal.")] = False,
    delivery: Delivery = DeliveryMode.PUBACK,
    dialect: ChosenDialect = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario: broker, back end and cars, until its end or Ctrl-C; then the report.

    Examples: fleet run rush-hour --cars 100 --clock x600

    fleet run long-weekend --clock virtual

    fleet run my/own.yaml --set cars=5000 --broker mqtt://localhost:1883 --no-backend
    """
    if ask_desk and not no_backend:
        raise without_effect("--ask-desk", "users ask our own back end anyway", "give --no-backend for one of yours")
    for option, given in (("--mail", mail), ("--push", push)):
        if given is not None and no_backend:
            raise without_effect(option, "it is for our own back end", "leave --no-backend out")
    if confirm_topic is not None and not no_backend:
        raise without_effect("--confirm-topic", "our own back end's store is counted", "give --no-backend for one of yours")
    loaded = load_scenario(find_scenario(scenario, resource_dir("scenarios")), cars, seed, clock, settings, dialect)
    need_marks(loaded, delivery)
    tracks = followed_tracks(loaded, vocabulary())
    tell_tracks(rows_left_out(tracks), track_findings(tracks))
    if loaded.clock.is_virtual:
        broker = () if connection.broker == "auto" else ("broker",)
        connection.refuse(
            (*broker, "no_backend", "ask_desk", "confirm_topic", "keep_sessions", *OF_CARS, *EVERYWHERE),
            "with --clock virtual broker, network and back end are part of the run",
            "give a live clock such as --clock x600",
        )
        mail = _virtual_mail(mail, push, out_dir)
        make: Callable[[RunConfig, View], Run] = virtual_run
    else:
        open_ways(mail or NOWHERE, push)  # a fault in them ends the command before anything starts
        tools = ("tool", "backend") if not no_backend else ("tool",) if ask_desk or confirm_topic else ()
        options = _live_options(connection, loaded, tools=tools, keep_sessions=keep_sessions)
        make = partial(live_run, options=options)
    config = RunConfig(
        scenario=loaded,
        out=out_dir or _new_folder(loaded.scenario),  # made when all options are right
        until_stored=delivery is DeliveryMode.STORED,
        with_backend=not no_backend,
        asks_desk=ask_desk,
        confirm_topic=None if confirm_topic is None else checked_filter(confirm_topic),
        journal=not no_journal,
        mail=mail,
        push=push,
    )
    _start(config, make, as_json=as_json)


def _virtual_mail(mail: str | None, push: str | None, out_dir: Path | None) -> str:
    """Return where the mails of a virtual run go: into a folder that was named, or nowhere; years of them are many files."""
    if push is not None or not is_local(mail or NOWHERE):
        raise UsageError(
            "a virtual run sends nothing to a server: its days take seconds",
            hint="Name a folder with --mail DIR, or give a live clock such as --clock x600.",
        )
    if mail is None:
        return NOWHERE if out_dir is None else mail_folder(out_dir / "store.sqlite")
    open_ways(mail, None)
    return mail


def _live_options(connection: BrokerOptions, scenario: Scenario, *, tools: tuple[str, ...], keep_sessions: bool) -> LiveOptions:
    """Return how a live run reaches its broker, on which these `tools` log in. Raises UsageError for what cannot be used."""
    prefix = checked_prefix(connection.topic_prefix)
    private = connection.broker in PRIVATE_KINDS
    access = None
    if private:
        connection.refuse(
            ("ca", "cert_dir", "server_name", "credentials", "keep_sessions", "vin_as_client_id"),
            "the private broker lives only as long as this run",
            "name a broker of yours with --broker URL",
        )
        replace(connection, broker=PRIVATE).open()  # a fault in the other options ends the command before anything starts
    else:
        need_no_broker_of_ours(scenario)
        if "backend" not in tools:
            connection.refuse_secret_beside_credentials()
        access = connection.open()
        need_users(access, cars=vins(scenario), tools=tools)
    need_open_files(scenario.cars * (3 if harms_network(scenario) else 1))  # the proxy has two more for each car
    return LiveOptions(
        broker=None if private else connection.broker,
        embedded=connection.broker == "embedded",
        access=access,
        prefix=prefix,
        passthrough=tuple(connection.words("link")),
        for_simulator=tuple(connection.words_of("source", "connect_rate", "vin_as_client_id")),
        keep_sessions=keep_sessions,
        secret=connection.secret(),
        files=connection.files(),
    )


def _start(config: RunConfig, make: Callable[[RunConfig, View], Run], *, as_json: bool) -> NoReturn:
    """Run, show the end, and leave with the verdict's exit code."""
    scenario, folder = config.scenario, config.out
    folder.mkdir(parents=True, exist_ok=True)
    latest_before = _remember(folder)
    console = err if as_json else out
    if not as_json:
        need_no_reader()
        console.say(f"{scenario.scenario}: {scenario.cars} cars, {format_duration(scenario.duration)} at clock "
                      f"{scenario.clock}, seed {scenario.seed}")  # fmt: skip
    try:
        report = make(config, make_view(console)).execute(signals=ending_signals())
    except BaseException:
        _forget_if_empty(folder, latest_before)
        raise
    if as_json:
        out.print_json(msgspec.json.encode(report).decode())
    else:
        _summarise(report, folder, with_backend=config.with_backend)
    raise typer.Exit(reports.EXIT_CODES[report["verdict"]])


def _new_folder(scenario: str) -> Path:
    """Return a folder of its own for this run; two may start in one second."""
    name = f"{scenario}-{local_time()}"
    for number in itertools.count(1):
        folder = LATEST.parent / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


def _remember(folder: Path) -> Path | None:
    """Point runs/latest at the run, for the tools that look at a store; return where it pointed before."""
    if folder.parent != LATEST.parent:
        return None
    before = LATEST.readlink() if LATEST.is_symlink() else None
    _point_latest_at(Path(folder.name))
    return before


def _point_latest_at(name: Path) -> None:
    link = LATEST.with_name(f".latest-{os.getpid()}")
    link.symlink_to(name, target_is_directory=True)
    link.replace(LATEST)  # in one step: another run may be starting, or a tool be looking


def _forget_if_empty(folder: Path, latest_before: Path | None) -> None:
    """Take away the folder of a run that did not begin, so that the latest is again the one before."""
    if folder.parent != LATEST.parent or any(folder.iterdir()):
        return
    if LATEST.is_symlink() and LATEST.readlink() == Path(folder.name):
        if latest_before is None:
            LATEST.unlink()
        else:
            _point_latest_at(latest_before)
    folder.rmdir()
    with contextlib.suppress(OSError):  # others may have theirs in it
        folder.parent.rmdir()


def _summarise(report: dict[str, Any], folder: Path, *, with_backend: bool) -> None:
    colour = {"passed": "green", "interrupted": "yellow"}.get(report["verdict"], "red")
    out.say("\n", (report["verdict"], f"bold {colour}"), f": {report['reason']}")
    account = " · ".join(
        f"{report[name]} {name.replace('_', ' ')}"
        for name in (
            "created",
            "acknowledged",
            "stored",
            "in_outbox",
            "dropped",
            "quarantined",
            "refused",
            "left_out",
            "erased",
            "lost",
            "duplicates",
        )
        if report.get(name) is not None and (name not in {"left_out", "erased"} or report[name])
    )
    out.say(f"messages   {account}")
    out.say(f"counted    by {report['counted_by']}")
    commands = " · ".join(f"{count} {name}" for name, count in reports.command_rows(report["commands"]))
    out.say(f"commands   {commands}")
    for name, figures in report["latency_ms"].items():
        if figures:
            values = "  ".join(f"{key} {value:.1f}" for key, value in figures.items())
            out.say(f"{name.replace('_', ' ')} (ms)   {values}")
    for expectation in report["expectations"]:
        if not expectation["passed"] and report["verdict"] != "interrupted":
            note = f", {expectation['note']}" if expectation["note"] else ""
            out.say(("not met", "red"), f"   {expectation['text']}   (it was {expectation['value']}{note})")
    for outage in report["outages"]:
        length = "until the end" if outage["seconds"] is None else f"for {outage['seconds']:.1f} s"
        out.say(f"outage     no car connected from {outage['scenario_time']} {length}")
    if report["clock"] == "virtual":
        if report["verdict"] != "interrupted":  # only part of it passed then
            out.say(f"speed      {report['scenario_duration']} in {report['wall_s']:.1f} s")
    else:
        health = " · ".join(f"{name} {text}" for name, text in reports.generator_rows(report))
        out.say(f"generator  {health}")
    for finding in report["findings"]:
        out.say(f"finding    {finding}")
    out.say(f"report     {folder / 'report.md'}, {folder / 'report.json'}")
    if with_backend and report["stored"] is not None:
        store = folder / "store.sqlite"
        with StoreReader(store) as reader:
            rows = reader.cars()
        option = "" if folder.parent == LATEST.parent else f" --store {store}"
        out.say(f"store      {store}")
        if rows:
            out.say(f"next       fleet status {max(rows, key=lambda row: row.captured_at).vin}{option}")
