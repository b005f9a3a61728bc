"""Looks at a store, and asks the desk of a running fleet."""

from __future__ import annotations

import asyncio
import math
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Never

import msgspec
import typer

from fleet.backend.reader import ClockAhead, StoreReader
from fleet.backend.seeing import NotVisible, SeenBy
from fleet.cli.common import MOST_ROWS, WATCH, AsJson, StorePath, Vin, err, make_table, out
from fleet.cli.completing import LATEST, complete_command
from fleet.cli.connecting import BrokerOptions, connecting, without_effect
from fleet.cli.printing import json_text
from fleet.cli.secrecy import read_session
from fleet.cli.words import lacking, read_words
from fleet.cloud.spin_guard import looks_like_spin
from fleet.errors import UsageError
from fleet.kernel.instants import format_instant
from fleet.runtime.access import Access, EndpointFile, need_users, read_endpoint
from fleet.runtime.asking import ask_desk
from fleet.wire.commands import command_type
from fleet.wire.messages import CommandRequest, DeskAnswer, SetSpin

app = typer.Typer()
user_app = typer.Typer(help="Users of a car.", no_args_is_help=True)
app.add_typer(user_app, name="user", rich_help_panel=WATCH)


# --- looking at the store -----------------------------------------------------------------------------------------


def find_store(path: Path | None) -> Path:
    """Return the store that was named, or that of the latest run; raises UsageError without one."""
    if path is not None:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and a store is one file", hint=f"Is {path / 'store.sqlite'} the one you mean?")
        return path
    latest = LATEST / "store.sqlite"
    if not latest.exists():
        raise UsageError(
            "there is no store to look at",
            hint="Run a scenario first (fleet run rush-hour), or give --store DIR/store.sqlite for a run with --out DIR.",
        )
    return latest


As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PERSON",
        help="Only what this person may see: an account, e-mail, user name or mobile number, or 'primary'.",
    ),
]


@contextmanager
def seen(store: Path | None, person: str | None, *, as_json: bool) -> Iterator[StoreReader | SeenBy]:
    """Open a store, as a person may see it; one that may see nothing of what is wanted is told why, with exit code 1."""
    with StoreReader(find_store(store)) as reader:
        try:
            yield reader if person is None else SeenBy(reader, person)
        except NotVisible as error:
            if as_json:
                out.print_json(json_text({"reason": error.reason, "detail": error.detail}))
            else:
                err.say(str(error))
            raise typer.Exit(1) from None


def ahead_of(reader: StoreReader | SeenBy, vins: Iterable[str]) -> dict[str, ClockAhead]:
    """Return of these cars those whose clock was ahead; to whom a part alone is shown, nothing."""
    return reader.clocks_ahead(vins) if isinstance(reader, StoreReader) else {}


@app.command(rich_help_panel=WATCH)
def cars(
    store: StorePath = None,
    person: As = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Most rows to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the cars that the back end knows, with their newest state.

    Examples: fleet cars

    fleet cars --limit 5 --store runs/latest/store.sqlite

    fleet cars --as anna@example.com
    """
    with seen(store, person, as_json=as_json) as reader:
        rows = reader.cars()
        ahead = ahead_of(reader, (row.vin for row in rows[:limit]))
    if as_json:
        plain = [msgspec.to_builtins(row) | {"clock_ahead": row.vin in ahead} for row in rows[:limit]]
        out.print_json(msgspec.json.encode(plain).decode())
        return
    table = make_table("VIN", "state", "connection", "km", "position", "as of")
    for row in rows[:limit]:
        where = "" if row.latitude is None or row.longitude is None else f"{row.latitude:.5f},{row.longitude:.5f}"
        km = "" if row.mileage_km is None else f"{row.mileage_km:.0f}"
        table.add_row(
            row.vin, row.state or "", row.connection or "", km, where, _as_of(row.captured_at, is_ahead=row.vin in ahead)
        )
    out.print(table)
    if len(rows) > limit:
        out.say(f"… and {len(rows) - limit} more; --limit {len(rows)} shows all")


def _as_of(captured_at: int, *, is_ahead: bool) -> str:
    told = format_instant(captured_at)[:19] if captured_at else "no status yet"
    return f"{told}, a clock is off" if is_ahead else told


@app.command(rich_help_panel=WATCH)
def status(vin: Vin, store: StorePath = None, person: As = None, as_json: AsJson = False) -> None:
    """Show the newest known state of a car.

    Examples: fleet status VIN

    fleet status VIN --as anna@example.com --json
    """
    with seen(store, person, as_json=as_json) as reader:
        twin = reader.status(vin)
        ahead = ahead_of(reader, [vin]).get(vin)
    if twin is None:
        raise UsageError(f"nothing is stored of {vin}", hint="fleet cars lists the cars that are known.")
    plain = msgspec.to_builtins(twin)
    plain.pop("stamps", None)  # which message told each group is the back end's own business
    if ahead is not None:
        plain["clock_ahead"] = msgspec.to_builtins(ahead)
    if as_json:
        out.print_json(msgspec.json.encode(plain).decode())
        return
    plain.pop("clock_ahead", None)
    for line in _lines(plain):
        out.say(line)
    if ahead is not None:
        said, stored = format_instant(ahead.captured_at), format_instant(ahead.stored_when)
        out.say(
            f"a clock is off: message {ahead.seq} of boot {ahead.boot} was measured at {said}, and stored when it was {stored}"
        )


def _lines(value: Any, name: str = "", indent: int = 0) -> list[str]:
    """Write nested plain data for people: what has no further levels on one line, instants by their names' ending."""
    pad = "  " * indent
    if isinstance(value, dict) and (not name or any(isinstance(item, dict | list) for item in value.values())):
        head = [f"{pad}{name}"] if name else []
        return head + [line for key, item in value.items() for line in _lines(item, str(key), indent + bool(name))]
    if isinstance(value, dict):
        return [f"{pad}{name}: {', '.join(f'{key} {_shown(key, item)}' for key, item in value.items())}"]
    if isinstance(value, list):
        return [f"{pad}{name}: none"] if not value else [line for item in value for line in _lines(item, name, indent)]
    return [f"{pad}{name}: {_shown(name, value)}"]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_instant(value) if isinstance(value, int) and name.endswith("_at") else str(value)


@app.command(rich_help_panel=WATCH)
def history(
    vin: Vin,
    store: StorePath = None,
    person: As = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Most rows to show, the newest first.")] = 20,
    kind: Annotated[
        Literal["status", "event", "response", "request"] | None, typer.Option(help="Only messages of this kind.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a car has sent, the newest first.

    Examples: fleet history VIN --limit 5

    fleet history VIN --kind event --json
    """
    with seen(store, person, as_json=as_json) as reader:
        rows = reader.history(vin, limit=limit, kind=kind)
    if as_json:
        out.print_json(json_text([asdict(row) for row in rows]))
        return
    if not rows:
        what = f"no {kind} is stored" if kind else "nothing is stored"
        raise UsageError(f"{what} of {vin}", hint="fleet cars lists the cars that are known.")
    table = make_table("captured", "seq", "what", "content")
    for row in rows:
        content = {k: v for k, v in row.content.items() if k not in _HEADER}
        what = f"{row.kind} {row.name or row.trigger or ''}"
        table.add_row(format_instant(row.captured_at)[:19], str(row.seq), what, json_text(content))
    out.print(table)


_HEADER: Final = {"vin", "boot", "seq", "captured_at", "due_wall_us", "sent_wall_us", "name", "trigger"}

# --- asking the desk ----------------------------------------------------------------------------------------------

DeskBroker = Annotated[
    str | None,
    typer.Option("--broker", metavar="URL", envvar="FLEET_BROKER", help="The tools' listener \\[default: the running fleet's]."),
]
asking_desk = connecting(broker=DeskBroker, default=None)
"""Gives a command the options of a connection to the desk."""
POSITION: Final = frozenset({"latitude", "longitude"})
"""The values of --from."""
COMMAND_PATIENCE_S: Final = 900.0
"""Longer than the default time to live of any command that a person waits for, in wall seconds."""


def reach_desk(connection: BrokerOptions, store: Path | None) -> Access:
    """Reach the desk by options, or by what a running fleet left beside its store; options come before that."""
    stored = "store" in connection.given
    if connection.broker is not None and not (stored and "broker" not in connection.given):  # FLEET_BROKER gives way to --store
        connection.refuse(("store",), "--broker says already where to ask", "leave --broker out")
        return _opened(connection)
    folder = (store or LATEST / "store.sqlite").parent
    word = read_endpoint(folder)
    if word is None:
        raise UsageError(
            "no fleet is running that could take a command",
            hint="Start one (fleet run rush-hour --clock real), give --store DIR/store.sqlite for one with --out DIR, "
            "or --broker URL and --secret-file FILE.",
        )
    return _opened(_completed(connection, word))


def _completed(connection: BrokerOptions, word: EndpointFile) -> BrokerOptions:
    """Return the connection with what a running fleet has left, as far as no option says otherwise."""
    left: dict[str, Any] = {
        name: Path(path)
        for name, path in (("ca", word.ca), ("cert_dir", word.cert_dir), ("credentials", word.credentials))
        if path is not None
    }
    if word.secret_file and "credentials" not in (left.keys() | connection.given):
        left["secret_file"] = Path(word.secret_file)
    left |= {"server_name": word.server_name, "topic_prefix": word.prefix}
    if "secret_file" in connection.given:
        left.pop("credentials", None)
    left = {name: value for name, value in left.items() if name not in connection.given}
    return replace(connection, broker=word.tools, **left)


def _opened(connection: BrokerOptions) -> Access:
    connection.refuse_secret_beside_credentials()
    access = connection.open()
    need_users(access, tools=("tool",))
    return access


def ask_spin(prompt: str, *, twice: bool = False) -> str:
    """Ask for an S-PIN at the terminal, without showing it, or read a line of what is piped in. Raises UsageError without one."""
    try:
        if not sys.stdin.isatty():
            answer = sys.stdin.readline().strip()
        else:
            answer = typer.prompt(prompt, hide_input=True, confirmation_prompt=twice)
    except typer.Abort as abort:
        if not isinstance(abort.__context__, EOFError):  # Ctrl-C
            raise
        answer = ""
    if not answer:
        raise UsageError("no S-PIN was given", hint="Type it at the prompt, or pipe it in: --spin - reads a line.")
    return answer


def given_spin(spin: str) -> str:
    """Return the S-PIN that stands on the command line, with a warning of who sees it there; `-` asks for it."""
    if spin == "-":
        return ask_spin("S-PIN")
    err.say(
        ("warning:", "yellow"),
        " an S-PIN on the command line is seen by all who can list processes, and kept in the shell's history; "
        "--spin - asks for it",
    )
    return spin


def checked_user(user: str | None) -> str | None:
    """Return who asks; raises UsageError for what looks like an S-PIN, which the desk would not keep either."""
    if looks_like_spin(user):
        raise UsageError("--user has the form of an S-PIN (4 digits)", hint="Name the user; --spin - asks for the S-PIN.")
    return user


User = Annotated[
    str | None, typer.Option("--user", help="The user who asks \\[default: the primary user].", callback=checked_user)
]


def finite(number: float | None) -> float | None:
    """Return a number that is one; raises UsageError for nan and infinity."""
    if number is not None and not math.isfinite(number):
        raise UsageError(f"--ttl {number} is no time", hint="Such as --ttl 600.")
    return number


@app.command("command", rich_help_panel=WATCH)
@asking_desk
def command(
    *,
    vin: Vin,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="honk, lock, heater …: fleet catalogue lists them.", autocompletion=complete_command),
    ],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Parameters; fleet catalogue NAME lists them.")
    ] = None,
    position: Annotated[str | None, typer.Option("--from", metavar="LAT,LON", help="honk: where the user is.")] = None,
    mode: Annotated[
        Literal["flash", "honk_and_flash"] | None, typer.Option("--mode", help="honk \\[default: honk_and_flash].")
    ] = None,
    minutes: Annotated[
        int | None, typer.Option("--minutes", min=0, max=1_000_000, help="heater: 10 to 60 in steps of 10.")
    ] = None,
    action: Annotated[Literal["start", "stop"] | None, typer.Option("--action", help="heater \\[default: start].")] = None,
    spin: Annotated[str | None, typer.Option("--spin", metavar="-", help="The car's S-PIN: '-' asks for it.")] = None,
    user: User = None,
    session_file: Annotated[
        Path | None,
        typer.Option(
            "--session-file", metavar="FILE", help="Ask as the app whose session is in this file (fleet account log-in)."
        ),
    ] = None,
    ttl: Annotated[
        float | None, typer.Option("--ttl", metavar="SECONDS", callback=finite, help="Time in which the car may execute it.")
    ] = None,
    connection: BrokerOptions,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Send a remote command as the car's user, and wait for its outcome; exit code 0 only for success.

    Examples: fleet command VIN honk --mode flash --from 48.1371,11.5753

    fleet command VIN lock --spin -

    fleet command VIN heater minutes=30 --spin -

    fleet command VIN climatisation --session-file anna.session
    """
    if session_file is not None and user is not None:
        raise UsageError("--user and --session-file exclude each other", hint="A session says whose it is.")
    if spin is not None and not command_type(name).needs_spin:
        raise without_effect("--spin", f"{name} needs no S-PIN", "name a command that needs one")
    request = CommandRequest(
        id=secrets.token_hex(12),
        vin=vin,
        name=command_type(name).name,
        parameters=_parameters(name, words or [], {"mode": mode, "minutes": minutes, "action": action}, position),
        spin=None if spin is None else given_spin(spin),
        user=user,
        session=None if session_file is None else read_session(session_file)["session"],
        ttl_s=ttl,
    )
    access = reach_desk(connection, store)

    def told(answer: DeskAnswer) -> None:
        if not as_json and not answer.final:
            out.say((answer.state, "dim"))

    answer = asyncio.run(ask_desk(access, request, timeout_s=COMMAND_PATIENCE_S, told=told))
    tell_outcome(name, answer, as_json)


def tell_outcome(name: str, answer: DeskAnswer, as_json: bool) -> Never:
    """Print the desk's final answer, and end with exit code 0 for success only."""
    if as_json:
        out.print_json(msgspec.json.encode(answer).decode())
    else:
        reason = f"({answer.reason})" if answer.reason else ""
        detail = f": {answer.detail}" if answer.detail else ""
        out.say(f"{name} {answer.state}{reason}{detail}")
    raise typer.Exit(0 if answer.state == "succeeded" else 1)


def _parameters(name: str, words: list[str], given: dict[str, Any], position: str | None) -> dict[str, Any]:
    """Return what was given as the command's parameters; raises UsageError for an option that the command has not."""
    known = command_type(name).entry.parameters
    parameters = {key: value for key, value in given.items() if value is not None}
    if position is not None:
        parameters |= _read_position(position)
    read = read_words(name, words, known)
    for key in read.keys() & parameters.keys():
        raise UsageError(f"{key} is given twice", hint=f"Leave {'--from' if key in POSITION else f'--{key}'} or {key}=… out.")
    parameters |= read
    if looks_like_spin(parameters.get("user")):
        raise UsageError("user has the form of an S-PIN (4 digits)", hint="Name the user; --spin - asks for the S-PIN.")
    for key in parameters:
        if key not in known:
            option = "from" if key in POSITION else key
            raise UsageError(f"{name} has no --{option}", hint=f"fleet command --help tells what belongs to {name}.")
    if "latitude" in known and not parameters.keys() >= POSITION:
        raise UsageError(f"{name} needs the user's position", hint="Add --from LAT,LON, such as --from 48.1371,11.5753")
    missing = lacking(known, parameters)
    if missing is not None:
        raise UsageError(
            f"{name} lacks {missing}", hint=f"Write KEY=VALUE, lists in JSON; fleet catalogue {name} tells all that it takes."
        )
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
@asking_desk
def set_spin(
    *,
    vin: Vin,
    spin: Annotated[str | None, typer.Option("--spin", metavar="-", help="4 digits; asked for when not given.")] = None,
    user: User = None,
    connection: BrokerOptions,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Set the S-PIN of a car's user; unlocks it after three wrong tries.

    Examples: fleet user set-spin VIN

    fleet user set-spin VIN --user anna
    """
    request = SetSpin(
        id=secrets.token_hex(12),
        vin=vin,
        spin=ask_spin("New S-PIN", twice=True) if spin in {None, "", "-"} else given_spin(spin),
        user=user,
    )
    access = reach_desk(connection, store)
    tell_outcome("set-spin", asyncio.run(ask_desk(access, request, timeout_s=COMMAND_PATIENCE_S)), as_json)
