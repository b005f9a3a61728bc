"""Shows the catalogue of services: what cars can be asked, what they tell, and what they ask."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from fleet.cli.common import WATCH, AsJson, make_table, out
from fleet.cli.completing import complete_service
from fleet.cli.connecting import without_effect
from fleet.errors import UnknownName
from fleet.wire.services import CommandEntry, EventEntry, Parameter, RequestEntry, load_services

app = typer.Typer()


@app.command(rich_help_panel=WATCH)
def catalogue(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A command, event or request.", autocompletion=complete_service)
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The whole catalogue as a page.")] = False,
) -> None:
    """List all commands, events and requests of cars, or describe one.

    Examples: fleet catalogue

    fleet catalogue heater
    """
    if markdown and (name is not None or as_json):
        raise without_effect("--markdown", "it prints the whole catalogue, and not as JSON", "leave NAME and --json out")
    services = load_services()
    if name is not None:
        _show(name, as_json=as_json)
        return
    if as_json:
        out.print_json(msgspec.json.encode(services).decode())
        return
    if markdown:
        out.say(page(), end="")
        return
    for title, entries in (("command", services.commands), ("event", services.events), ("request", services.requests)):
        table = make_table(title)
        table.add_column("what it is", overflow="fold")
        for key, entry in entries.items():
            table.add_row(key, entry.summary)
        out.print(table)


def _show(name: str, *, as_json: bool) -> None:
    services = load_services()
    kinds: dict[str, dict[str, Any]] = {
        "command": services.commands,
        "event": services.events,
        "request": services.requests,
    }
    found = {kind: entries[name] for kind, entries in kinds.items() if name in entries}
    if not found:
        raise UnknownName("command, event or request", name, {*services.commands, *services.events, *services.requests})
    if as_json:
        out.print_json(msgspec.json.encode(found).decode())
        return
    for kind, entry in found.items():
        out.say(f"{kind} {name}: {entry.summary}")
        for line in described(entry):
            out.say(f"  {line}")


def page() -> str:
    """Return the catalogue as a page of Markdown: docs/services.md."""
    services = load_services()
    lines = [
        "# Services",
        "",
        "What a car can be asked to do, what it tells by itself, and what it asks of the back end. This page is made from the",
        "catalogue (`fleet catalogue --markdown`), which cars, checks, command line and scenarios share. Ranges hold both ends.",
    ]
    groups = dict.fromkeys(entry.group for entry in services.commands.values())
    for group in groups:
        lines += ["", f"## Commands: {group}"]
        for name, command in services.commands.items():
            if command.group == group:
                lines += _paragraph(name, command)
    for title, entries in (("Events", services.events), ("Online services", services.requests)):
        lines += ["", f"## {title}"]
        for name, entry in entries.items():
            lines += _paragraph(name, entry)
    return "\n".join(lines) + "\n"


def _paragraph(name: str, entry: CommandEntry | EventEntry | RequestEntry) -> list[str]:
    told = described(entry)
    head = ["", f"**{name}**: {entry.summary}"]
    return [*head, "", *(f"{line[: len(line) - len(line.lstrip())]}- {line.lstrip()}" for line in told)] if told else head


def described(entry: CommandEntry | EventEntry | RequestEntry) -> list[str]:
    """Return what the catalogue says of an entry, a line for each thing worth saying."""
    lines: list[str] = []
    if isinstance(entry, EventEntry):
        lines += [f"data: {', '.join(entry.data)}"] if entry.data else []
    else:
        lines += parameter_lines(entry.parameters)
        lines += [f"equipment: {', '.join(entry.equipment)}"] if entry.equipment else []
    lines += _people(entry)
    if isinstance(entry, CommandEntry):
        lines += _rules(entry)
    elif isinstance(entry, RequestEntry):
        lines += [f"answer: {', '.join(entry.answer)}"] if entry.answer else []
        lines += [f"errors: {', '.join(entry.errors)}"] if entry.errors else []
        lines.append(f"waits for its answer: {entry.time_out_s} s")
    if entry.tells_position:
        lines.append("tells a position: not while privacy forbids it")
    if isinstance(entry, CommandEntry | EventEntry) and entry.legal:
        lines.append("required by law: in every privacy mode")
    return lines


def _people(entry: CommandEntry | EventEntry | RequestEntry) -> list[str]:
    """Return who may, and what a car with people needs for it."""
    if isinstance(entry, EventEntry):
        return [f"licence: {entry.package}"] if entry.package else []
    lines = [f"may be asked by: {', '.join(entry.may).replace('_', ' ')}"] if entry.may else []
    if isinstance(entry, CommandEntry):
        lines += [f"in the third generation also: {', '.join(entry.may_in_g3)}"] if entry.may_in_g3 else []
        lines += ["a user whom a dealer has identified"] if entry.identity else []
    lines += [f"licence: {entry.package}"] if entry.package else []
    lines += [f"consent: {entry.consent.replace('_', ' ')}"] if entry.consent else []
    return lines


def _rules(entry: CommandEntry) -> list[str]:
    lines = [f"built in week {entry.built_from} or later"] if entry.built_from is not None else []
    lines += ["parked, engine off"] if entry.state == "parked" else []
    lines += ["S-PIN"] if entry.spin else []
    lines += ["12 V battery not low"] if entry.needs_12v else []
    lines += ["counts as a wake-up without a drive"] if entry.budget else []
    lines.append(f"time to live: {entry.time_to_live_s} s")
    lines += [f"publishes: {', '.join(entry.publishes)}"] if entry.publishes else []
    lines += [f"own reasons: {', '.join(entry.reasons)}"] if entry.reasons else []
    return lines


def parameter_lines(parameters: dict[str, Parameter], indent: str = "") -> list[str]:
    """Return a line for each parameter, those in lists indented."""
    lines = []
    for name, parameter in parameters.items():
        told = [parameter.type, parameter.range_text, "required" if parameter.required else ""]
        if parameter.default is not None:
            told.append(f"default {parameter.default}")
        summary = f": {parameter.summary}" if parameter.summary else ""
        lines.append(f"{indent}{name} ({', '.join(word for word in told if word)}){summary}")
        lines += parameter_lines(parameter.items, indent + "  ")
    return lines
