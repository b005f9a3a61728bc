"""Shared by all commands: consoles, options, and how errors and tables are written."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from fleet.cli.completing import complete_clock, complete_scenario, complete_vin
from fleet.cli.printing import PlainConsole
from fleet.errors import FleetError, UsageError
from fleet.runtime.access import LinkKind
from fleet.runtime.assembly import vocabulary
from fleet.runtime.dialects import dialect_of
from fleet.runtime.fault_injector import harms_network
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import Overrides, load, read_settings
from fleet.scenario.scalars import ClockFactor, Misread
from fleet.scenario.schema import Scenario
from fleet.wire.vin import typed_vin


class DeliveryMode(StrEnum):
    """The event that ends a message's stay in the car's outbox."""

    PUBACK = "puback"
    STORED = "stored"


LEFT_OUT_SHOWN: Final = 20

RUN, WATCH, SCENARIOS, DIALECTS, JOURNALS, PARTS = (
    "Run a fleet", "Look at it and command it", "Scenario files", "Dialects: topics and payloads of other systems",
    "Journals of runs", "The parts alone",
)  # fmt: skip
"""The groups of `fleet --help`."""
out = PlainConsole(width=None if sys.stdout.isatty() else 200)
err = PlainConsole(stderr=True)

# --- options that several commands share ------------------------------------------------------------------------


def no_folder(name: str) -> str:
    """Return the name of a scenario; raises UsageError for that of a folder, unless a shipped one has it too."""
    if Path(name).is_dir() and not (resource_dir("scenarios") / f"{name}.yaml").is_file():
        found = sorted(Path(name).glob("*.yaml"))
        hint = f"Name a file in it, such as {found[0]}." if found else "`fleet scenarios` lists those that are shipped."
        raise UsageError(f"{name} is a folder, and a scenario is one file", hint=hint)
    return name


ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="A shipped scenario (see: fleet scenarios) or a file.",
        autocompletion=complete_scenario,
        callback=no_folder,
    ),
]
MOST_ROWS: Final = 1_000_000_000
MOST_SEED: Final = 2**63 - 1
Cars = Annotated[int | None, typer.Option("--cars", min=1, help="Number of cars in all; the fleets keep their proportions.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another value for a parameter of the scenario, such as cars=5000."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of all random draws: another seed makes another day.")
]
Clock = Annotated[
    str | None,
    typer.Option(
        "--clock",
        metavar="real|xFACTOR|virtual",
        help="Speed of the cars' time; virtual is as fast as the machine can compute.",
        autocompletion=complete_clock,
    ),
]
BackendClientId = Annotated[
    str | None,
    typer.Option(
        "--client-id",
        metavar="ID",
        help="The name of the back end's session \\[default: backend, with six digits for another --topic-prefix].",
    ),
]
Delivery = Annotated[
    DeliveryMode,
    typer.Option("--delivery", help="A car keeps a message until the broker acknowledges it (puback) or it is stored."),
]
ChosenDialect = Annotated[
    str | None,
    typer.Option(
        "--dialect",
        metavar="NAME|FILE",
        help=r"Topics and payloads of the cars: see fleet dialects \[default: that of the scenario, or fleet].",
    ),
]
Link = Annotated[LinkKind, typer.Option("--link", help="swarm carries masses of cars; aiomqtt is the reference.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
Mail = Annotated[
    str | None,
    typer.Option(
        "--mail",
        metavar="DIR|smtp://HOST:PORT|none",
        help="Where mails go; smtp://USER@HOST wants FLEET_SMTP_PASSWORD \\[default: the folder mail beside the store].",
    ),
]
Push = Annotated[
    str | None,
    typer.Option(
        "--push",
        metavar="URL",
        help="Where pushes are posted, signed with FLEET_PUSH_SECRET \\[default: files beside the mails].",
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Show the whole story of a machine, without cuts.")]
JournalFile = Annotated[
    Path | None, typer.Option("--journal", metavar="FILE", help="Record all inputs and outputs there, see docs/journal.md.")
]
UntilEof = Annotated[bool, typer.Option("--until-eof", help="End when standard input closes.", hidden=True)]
Resolved = Annotated[
    bool,
    typer.Option("--resolved", help="Take the scenario from the first line of standard input, resolved.", hidden=True),
]
StorePath = Annotated[
    Path | None,
    typer.Option(
        "--store", metavar="FILE", envvar="FLEET_STORE", help="The back end's store \\[default: that of the latest run]."
    ),
]
Vin = Annotated[
    str,
    typer.Argument(metavar="VIN", callback=typed_vin, help="VIN of the car; fleet cars lists them.", autocompletion=complete_vin),
]


def make_table(*names: str) -> Table:
    """Return a table in which only `content` gives way to the width: VINs and times are there to be copied."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name != "content", overflow="fold" if name == "content" else "ignore")
    return table


def load_scenario(
    file: Path,
    cars: int | None,
    seed: int | None,
    clock: str | None,
    settings: Iterable[str] | None = None,
    dialect: str | None = None,
) -> Scenario:
    """Load a scenario with what the command line changes in it. Raises UsageError."""
    try:
        factor = None if clock is None else ClockFactor.parse(clock)
    except Misread as error:
        raise UsageError(f"--clock: {error}", hint=error.hint) from None
    changes = Overrides(settings=read_settings(settings or ()), cars=cars, seed=seed, clock=factor, dialect=dialect)
    return load(file, vocabulary(), changes)


def need_live_clock(scenario: Scenario) -> None:
    """Raise UsageError for a virtual clock: cars on real links need a real or a scaled one."""
    if scenario.clock.is_virtual:
        raise UsageError(
            "a run against a broker cannot have a virtual clock", hint="Give --clock real, or a fast one such as --clock x600."
        )


def need_marks(scenario: Scenario, delivery: DeliveryMode) -> None:
    """Raise UsageError for delivery until stored in a dialect that knows no word for it."""
    if delivery is DeliveryMode.STORED and not dialect_of(scenario).says_stored:
        raise UsageError(
            "--delivery stored: in the cars' dialect no back end can say what it has stored",
            hint="Leave --delivery out, or give the mapping file a `confirm` with `cumulative: true`.",
        )


def need_no_broker_of_ours(scenario: Scenario) -> None:
    """Raise UsageError for a scenario that harms its broker or network: only `fleet run` with a private broker can."""
    done = [step.broker for step in scenario.steps() if step.broker is not None]
    if done:
        raise UsageError(
            f"{scenario.scenario} does something to its broker ({', '.join(dict.fromkeys(done))}), and this one is not ours",
            hint="Run it without --broker, or with --broker embedded, on a private broker.",
        )
    if harms_network(scenario):
        raise UsageError(
            f"{scenario.scenario} does something to the network, and this broker is not ours",
            hint="Run it without --broker; or put a `fleet proxy` in front of the broker, and leave that out of the scenario.",
        )


def tell_tracks(left_out: Sequence[str], findings: Sequence[str]) -> None:
    """Name the rows of tracks that are not used, the first ones of many, and what else there is to know of them."""
    for row in left_out[:LEFT_OUT_SHOWN]:
        err.say(("left out:", "yellow"), f" {row}")
    if len(left_out) > LEFT_OUT_SHOWN:
        err.say(f"… and {len(left_out) - LEFT_OUT_SHOWN} more rows")
    for finding in findings:
        err.say(("finding:", "yellow"), f" {finding}")


def emit_line(message: dict[str, Any]) -> None:
    """Write a line for machines, at once."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


NOT_ALLOWED: Final = "May this user do that there? Every folder above it must be open to him, too."
FILE_HINTS: Final[Mapping[int, str]] = {
    errno.ENOENT: "Is it written rightly? The folder above it must be there already.",
    errno.EEXIST: "There is a file of that name, and a folder is needed: name another.",
    errno.ENOTDIR: "A file stands in its path where a folder is needed: name another.",
    errno.EISDIR: "That is a folder: name a file in it.",
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
    errno.EROFS: "Nothing can be written there: name another place.",
    errno.ENOSPC: "Make room there, or name another place.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def about_file(error: OSError) -> FleetError:
    """Return an error of a file as one of ours, with what to do about it."""
    return FleetError(f"{error.filename}: {error.strerror}", hint=FILE_HINTS.get(error.errno or 0, "Name another file."))


def complain(error: FleetError) -> None:
    """Tell an error and what to do next."""
    err.say(("error:", "red"), f" {error}")
    if error.hint:
        err.say(f"  {error.hint}")
