"""Commands on dialects: list them, show one, check a mapping file, look at a day in it, put the conformance kit to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import cbor2
import msgspec
import typer

from fleet.cli.common import DIALECTS, AsJson, Seed, complain, emit_line, make_table, out
from fleet.cli.completing import complete_dialect, complete_model
from fleet.cli.printing import json_text
from fleet.dialects.mapped import MappedDialect
from fleet.dialects.mapping_files import check_mapping_file
from fleet.dialects.opening import described
from fleet.kernel.instants import format_instant
from fleet.runtime.dialect_days import Carried, live_through, sample_day
from fleet.runtime.dialect_examples import Example, examples
from fleet.runtime.dialect_kit import check_dialect
from fleet.runtime.dialects import open_dialect
from fleet.wire.dialect import Dialect
from fleet.wire.frame import Frame
from fleet.wire.numbering import NUMBER
from fleet.wire.services import load_services

app = typer.Typer()
dialect_app = typer.Typer(help="Show, check, try or test a dialect.", no_args_is_help=True)
app.add_typer(dialect_app, name="dialect", rich_help_panel=DIALECTS)

Named = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A dialect (see: fleet dialects), a mapping file, or module:Class.",
        autocompletion=complete_dialect,
    ),
]


@app.command(rich_help_panel=DIALECTS)
def dialects(as_json: AsJson = False) -> None:
    """List the dialects that cars can speak: those that are shipped, and those of installed packages.

    Examples: fleet dialects

    fleet dialects --json
    """
    found = described()
    if as_json:
        out.print_json(json.dumps([each._asdict() for each in found]))
        return
    table = make_table("dialect", "from")
    table.add_column("what it is", overflow="fold")
    for each in found:
        table.add_row(each.name, each.origin, each.summary)
    out.print(table)
    out.say("Your own: a mapping file (docs/dialects.md), or module:Class.")


# --- show


@dialect_app.command("show")
def show(dialect: Named, as_json: AsJson = False) -> None:
    """Print the topics of a dialect, and an example of each message: frames of simulated cars.

    Examples: fleet dialect show json

    fleet dialect show my/mapping.yaml
    """
    opened = open_dialect(dialect)
    found = examples(dialect)
    if as_json:
        out.print_json(json_text(_shown(opened, found)))
        return
    for line in _head(opened, found):
        out.say(line)
    for example in found:
        if example.frames:
            out.say(("\n" + example.label, "bold"), " (to the car)" if example.to_car else "")
            for frame in example.frames:
                _say_frame(frame)


def _head(opened: Dialect, found: list[Example]) -> Iterator[str]:
    purpose = f": {opened.mapping.purpose}" if isinstance(opened, MappedDialect) else ""
    yield f"{opened.name}{purpose}"
    for title, topics in _topics(opened, found).items():
        yield title
        yield from (f"  {topic}" for topic in topics)
    left_out = sorted(getattr(opened, "leaves_out", ()))
    if left_out:
        yield f"left out: {', '.join(left_out)}"
    unsaid = _unsaid(found)
    if unsaid:
        yield f"commands that it has no words for: {', '.join(unsaid)}"


def _topics(opened: Dialect, found: Iterable[Example]) -> dict[str, list[str]]:
    """Return the topics that cars write and read, with + for what differs from car to car."""
    kinds: dict[str, dict[str, None]] = {"topics that cars write": {}, "topics that cars read": {}}
    for example in found:
        kind = "topics that cars read" if example.to_car else "topics that cars write"
        for frame in example.frames:
            kinds[kind][opened.topics.kind_of(frame.topic)] = None
    return {title: sorted(topics) for title, topics in kinds.items() if topics}


def _unsaid(found: Iterable[Example]) -> list[str]:
    said = {example.label.removeprefix("command ") for example in found if example.frames}
    return [name for name in load_services().commands if name not in said]


def _shown(opened: Dialect, found: list[Example]) -> dict[str, Any]:
    messages = [
        {"message": each.label, "to_car": each.to_car, "frames": [_plain_frame(frame) for frame in each.frames]} for each in found
    ]
    return {
        "dialect": opened.name,
        "topics": _topics(opened, found),
        "leaves_out": sorted(getattr(opened, "leaves_out", ())),
        "unsaid_commands": _unsaid(found),
        "messages": messages,
    }


# --- check


@dialect_app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A mapping file; - is standard input.")], as_json: AsJson = False
) -> None:
    """Check a mapping file: give all its errors with line and column. Exit code 2 when it is wrong.

    Example: fleet dialect check my/mapping.yaml
    """
    errors = check_mapping_file(file)
    if as_json:
        found = [{"message": str(e), "hint": e.hint, "file": e.file, "line": e.line, "column": e.column} for e in errors]
        out.print_json(json.dumps({"file": str(file), "ok": not errors, "errors": found}))
    else:
        for error in errors:
            complain(error)
        if not errors:
            out.say(f"{file}: ok")
    if errors:
        raise typer.Exit(2)


# --- try


@dialect_app.command("try")
def try_out(
    dialect: Named,
    model: Annotated[
        str | None, typer.Option("--model", help="Which model \\[default: Formentor].", autocompletion=complete_model)
    ] = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Show the frames of one car's day in a dialect, in virtual time: it takes a second.

    Examples: fleet dialect try my/mapping.yaml

    fleet dialect try json --model Born --seed 7
    """
    day = live_through(sample_day(dialect=dialect, model=model, seed=seed))
    if as_json:
        for carried in day.carried:
            emit_line({"at": format_instant(carried.at), "from_car": carried.from_car, **_plain_frame(carried.frame)})
        return
    for carried in day.carried:
        _say_carried(carried)
    report = day.report
    out.say(f"\n{report['created']} messages in {len(day.carried)} frames; {report['stored']} stored")
    for label, count in (report.get("left_out_by") or {}).items():
        out.say(f"left out {count} times: {label}")


def _say_carried(carried: Carried) -> None:
    out.say((format_instant(carried.at)[11:19], "dim"), " → " if carried.from_car else " ← ", end="")
    _say_frame(carried.frame, indent="           ", first="")


# --- test


@dialect_app.command("test")
def put_to_kit(dialect: Named, as_json: AsJson = False) -> None:
    """Put the conformance kit to a dialect: does every message survive, is every command answered? Exit code 1 when not.

    Examples: fleet dialect test my/mapping.yaml

    PYTHONPATH=. fleet dialect test my_package.my_module:MyDialect
    """
    report = check_dialect(dialect)
    if as_json:
        out.print_json(json.dumps(report.to_plain()))
    else:
        for line in report.lines():
            out.say(line)
    if not report.holds:
        raise typer.Exit(1)


# --- frames


def _say_frame(frame: Frame, *, indent: str = "  ", first: str = "  ") -> None:
    marks = [f"QoS {frame.qos}", *(["retained"] if frame.retain else [])]
    marks += [f"expires in {frame.expiry_s} s"] if frame.expiry_s is not None else []
    marks += [f"{name}={value}" for name, value in frame.user_properties if name != NUMBER]
    out.say(f"{first}{frame.topic}", (f"  ({', '.join(marks)})", "dim"))
    out.say(f"{indent}{_payload_text(frame)}")


def _payload_text(frame: Frame) -> str:
    value = _payload(frame)
    return value if isinstance(value, str) else json_text(value)


def _payload(frame: Frame) -> Any:
    """Return a payload as plain data, as text, or its bytes as hexadecimal digits."""
    if not frame.payload:
        return ""
    kind = frame.content_type or ""
    try:
        if "msgpack" in kind:
            return msgspec.msgpack.decode(frame.payload)
        if "cbor" in kind:
            return cbor2.loads(frame.payload)
        text = frame.payload.decode()
        return msgspec.json.decode(text) if "json" in kind or text[:1] in "{[" else text
    except (ValueError, msgspec.DecodeError, cbor2.CBORDecodeError):
        return frame.payload.hex()


def _plain_frame(frame: Frame) -> dict[str, Any]:
    return {
        "topic": frame.topic,
        "payload": _payload(frame),
        "qos": frame.qos,
        "retain": frame.retain,
        "expiry_s": frame.expiry_s,
        "content_type": frame.content_type,
        "properties": dict(frame.user_properties),
    }
