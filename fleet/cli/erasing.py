"""export and erase: a person's data in one archive, or gone; what is left is looked for and named."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

import typer

from fleet.backend.needles import Needle
from fleet.backend.reader import StoreReader
from fleet.cli.common import WATCH, AsJson, StorePath, err, out
from fleet.cli.connecting import BrokerOptions
from fleet.cli.printing import json_text
from fleet.cli.tools import asking_desk, find_store, reach_desk, tell_outcome
from fleet.errors import FleetError, UsageError
from fleet.runtime.access import Access
from fleet.runtime.asking import ask_desk
from fleet.runtime.exporting import counts_of, tables_of, write_archive
from fleet.runtime.traces import Subject, Trace, files_of, needles_by_name, needles_of, retained, rewrite, search, subject_of
from fleet.wire.messages import DeskAnswer, ServiceRequest
from fleet.wire.vin import is_vin

app = typer.Typer()
PATIENCE_S: Final = 120.0
LAW: Final = (
    "kept: of invoices number, amount and date, as the law wants; and the record of the erasure, "
    "in which keyed digests stand for whoever it was"
)
_LOOK_AGAIN_S: Final = 0.25


def _ask(access: Access, action: str, **more: Any) -> DeskAnswer:
    request = ServiceRequest(id=secrets.token_hex(12), service="erasure", action=action, **more)
    return asyncio.run(ask_desk(access, request, timeout_s=PATIENCE_S))


@app.command(rich_help_panel=WATCH)
@asking_desk
def export(
    *,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="E-mail, user name, mobile number or account.")],
    archive: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.zip", help="The archive \\[default: export-ACCOUNT.zip].")
    ] = None,
    connection: BrokerOptions,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Write all of a person's data into one archive, each table as JSON and CSV: what that person may see, and no secret.

    The desk says who it is; the back end goes on meanwhile.

    Examples: fleet export anna@example.com

    fleet export p17 --out anna.zip --json
    """
    answer = _ask(reach_desk(connection, store), "export", user=person)
    if answer.state != "succeeded" or answer.data is None:
        tell_outcome("export", answer, as_json)
    account = str(answer.data["account"])
    path = archive or Path(f"export-{account}.zip")
    if path.exists():
        raise UsageError(f"{path} is there already", hint="Name another file with --out.")
    with StoreReader(find_store(store)) as reader:
        tables = tables_of(reader, account)
    write_archive(path, tables)
    counts = counts_of(tables)
    if as_json:
        out.print_json(json_text({"archive": str(path), "account": account, "rows": counts}))
        return
    out.say(f"{path}: {', '.join(f'{count} {name}' for name, count in counts.items() if count)}")


@app.command(rich_help_panel=WATCH)
@asking_desk
def erase(
    *,
    whom: Annotated[str, typer.Argument(metavar="PERSON|VIN", help="E-mail, user name, mobile number or account; or a car.")],
    scope: Annotated[
        Literal["car", "data", "person"] | None,
        typer.Option(help="A car and its people, the data alone, or the person \\[default: car for a VIN, else person]."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", metavar="S", min=0, max=3600, help="Seconds for cars to say that they have obeyed.")
    ] = 20.0,
    files_only: Annotated[
        bool, typer.Option("--files", help="Ask nobody: write the journals of a run that has ended anew, and search its files.")
    ] = False,
    connection: BrokerOptions,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person, a car or the data alone, everywhere; then search store, files of the run and broker for what is left.

    Journals of the run that have ended are written anew without the lines about whoever it was. One that is still written cannot
    be; it is named: once the run has ended, ask again with --files.

    Exit code 0 when nothing is found but what is named as waiting for a car.

    Examples: fleet erase anna@example.com

    fleet erase VIN --scope data --yes --json
    """
    path = find_store(store)
    whole = scope != "data"
    if files_only:
        connection.refuse(("broker",), "nobody is asked", "leave --files out")
        _tell_all(_of_files(path, Subject("", (whom,) if is_vin(whom) else (), () if is_vin(whom) else (whom,))), as_json=as_json)
    with StoreReader(path) as reader:
        subject = subject_of(reader, whom)
        needles = needles_of(reader, subject, whole=whole)
    if not yes:
        _confirm(whom, subject, scope)
    access = reach_desk(connection, store)
    about: dict[str, Any] = {"vin": whom} if is_vin(whom) else {"user": whom}
    answer = _ask(access, "erase", data={} if scope is None else {"scope": scope}, **about)
    if answer.state != "succeeded" or answer.data is None:
        tell_outcome("erase", answer, as_json)
    waiting = _wait_for_cars(access, str(answer.data["id"]), wait_s)
    told = _of_files(path, subject, needles, whole=whole)
    told["found"] += [trace._asdict() for trace in _at_broker(access, subject, whole=whole)]
    waits = [trace for trace in told["found"] if waiting and _is_waiting(trace, path)]
    told["found"] = [trace for trace in told["found"] if trace not in waits]
    _tell_all({**answer.data, **told, "waiting": waiting, "waits_for_a_car": waits}, as_json=as_json)


def _of_files(path: Path, subject: Subject, needles: list[Needle] | None = None, *, whole: bool = True) -> dict[str, Any]:
    """Rewrite what can be, and tell that and what is still found in the files of a run."""
    rewritten = rewrite(files_of(path.parent, path), path, subject.in_journals) if whole else None
    sought = needles_by_name(subject) if needles is None else needles
    files = files_of(path.parent, path)
    return {
        "searched": {"folder": str(path.parent), "files": len(files), "for": [needle.what for needle in sought]},
        "found": [trace._asdict() for trace in search(files, sought)],
        "journals": {} if rewritten is None else rewritten.journals,
        "removed": [] if rewritten is None else list(rewritten.removed),
        "refused": {} if rewritten is None else rewritten.refused,
        "kept": LAW,
    }


def _tell_all(told: dict[str, Any], *, as_json: bool) -> NoReturn:
    """Print what was done and found, and end with exit code 1 where something is left."""
    if as_json:
        out.print_json(json_text(told))
    else:
        _tell(told)
    raise typer.Exit(1 if told["found"] else 0)


def _confirm(whom: str, subject: Subject, scope: str | None) -> None:
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked whether that is meant", hint="Give --yes.")
    what = scope or ("car" if not subject.account else "person")
    typer.confirm(f"Erase {what} {whom} with {len(subject.vins)} cars for good?", abort=True)


def _wait_for_cars(access: Access, erasure: str, wait_s: float) -> int:
    """Return how many cars have not said in time that they have forgotten their people."""
    until = time.monotonic() + wait_s
    while True:
        answer = _ask(access, "records")
        kept = {each["id"]: each for each in (answer.data or {}).get("erasures", ())}
        waiting = int(kept.get(erasure, {}).get("waiting", 0))
        if not waiting or time.monotonic() >= until:
            return waiting
        time.sleep(_LOOK_AGAIN_S)


def _at_broker(access: Access, subject: Subject, *, whole: bool) -> list[Trace]:
    if not whole or not subject.vins:
        return []
    try:
        return asyncio.run(retained(access, subject.vins))
    except FleetError as error:
        err.say(f"the broker could not be asked what it retains: {error}")
        return []


def _is_waiting(trace: dict[str, str], store: Path) -> bool:
    """Tell whether a VIN is where a reset that waits for its car has it: in the store, with the command."""
    return trace["what"].startswith("a VIN") and Path(trace["where"]).name.startswith(store.name)


def _tell(told: dict[str, Any]) -> None:
    if "id" in told:
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in told["counts"].items() if count)
        out.say(f"erased ({told['scope']}, record {told['id']}): {counts}")
    for file, lines in told["journals"].items():
        out.say(f"  {file}: written anew without {lines} lines")
    for file in told["removed"]:
        out.say(f"  {file}: removed, a copy of the store as it was")
    for file, why in told["refused"].items():
        out.say(f"  {file}: not rewritten: {why}")
    searched = told["searched"]
    kinds = Counter(what.split(" (")[0].rstrip(" 0123456789") for what in searched["for"])
    sought = ", ".join(f"{count} × {kind}" for kind, count in kinds.items()) or "nothing: no position is known"
    and_broker = ", and what the broker retains" if "id" in told else ""
    out.say(f"searched {searched['files']} files of {searched['folder']}{and_broker}, for {sought}")
    if told.get("waiting"):
        out.say(f"{told['waiting']} cars have not said yet that they obeyed; until then the command to them has their VIN")
    for trace in told["found"]:
        out.say(f"FOUND {trace['what']}: {trace['where']}")
    if not told["found"]:
        out.say("found nothing else" if told.get("waits_for_a_car") else "found nothing")
    out.say(told["kept"])
