"""Shows what the services of the back end can be asked: for the help, for who asks, and as a page."""

from __future__ import annotations

import msgspec

from fleet.cli.catalogue import parameter_lines
from fleet.cli.common import make_table, out
from fleet.cloud.actions import ActionEntry, ServiceEntry, load_actions
from fleet.cloud.people.registry import PARTS
from fleet.cloud.registry import RULES
from fleet.errors import UnknownName


def help_text(text: str) -> str:
    """Return a help with a line and an example for each service that can be asked."""
    lines = []
    for name, entry in load_actions().items():
        for action, first in list(entry.actions.items())[:1]:
            lines += [f"{name}: {entry.summary}.", f"fleet service {name} {action} {first.example}"]
    return "\n\n".join([text, *lines])


def show(name: str | None, *, as_json: bool) -> None:
    """Print all services with their actions, or all there is to know of one. Raises UnknownName."""
    services = load_actions()
    if name is not None and name not in services:
        raise UnknownName("service of the back end", name, services)
    if as_json:
        out.print_json(msgspec.json.encode(services if name is None else services[name]).decode())
    elif name is None:
        table = make_table("service", "action", "what it is")
        for key, entry in services.items():
            table.add_row(key, "", entry.summary)
            for action, told in entry.actions.items():
                table.add_row("", action, told.summary)
        out.print(table)
    else:
        for line in _service_lines(name, services[name]):
            out.say(line)


def _service_lines(name: str, entry: ServiceEntry) -> list[str]:
    lines = [f"{name}: {entry.summary}", *(f"  {line}" for line in _told_of(name, entry))]
    for action, told in entry.actions.items():
        lines += ["", f"{name} {action}: {told.summary}"]
        lines += [f"  fleet service {name} {action} {told.example}", *(f"  {line}" for line in described(told))]
    return lines


def _told_of(name: str, entry: ServiceEntry) -> list[str]:
    """Return what a service does by itself, a line for each thing worth saying."""
    rule = next((part for part in PARTS if part.service == name), None) or next(rule for rule in RULES if rule.name == name)
    lines = [f"takes from cars: {', '.join(sorted(rule.events))}"] if rule.events else []
    lines += [f"replies to: {', '.join(sorted(rule.requests))}"] if rule.requests else []
    lines += [f"tells the {who.replace('_', ' ')}: {', '.join(kinds)}" for who, kinds in entry.notices.items()]
    lines += [f"of a car with people, with the consent: {entry.consent.replace('_', ' ')}"] if entry.consent else []
    return lines if entry.actions else [*lines, "nothing can be asked of it"]


def described(entry: ActionEntry) -> list[str]:
    """Return what is to be known of an action, a line for each thing worth saying."""
    lines = ["about one car: its VIN comes first"] if entry.car else []
    lines += parameter_lines(entry.parameters)
    if entry.plans_as is not None:
        lines.append(f"with any further word, all that {entry.plans_as} takes")
    if entry.answer:
        lines += ["answers", *(f"  {name}: {meaning}" for name, meaning in entry.answer.items())]
    if entry.answers_as is not None:
        lines.append(f"answers as {entry.answers_as}")
    lines += [f"of a car with people, for: {', '.join(entry.may)}"] if entry.may else []
    lines += ["for whoever runs the service; no app may ask it"] if entry.operator else []
    lines += [f"consent: {entry.consent.replace('_', ' ')}"] if entry.consent else []
    lines += [f"own reasons: {', '.join(entry.reasons)}"] if entry.reasons else []
    lines += [f"secrets: {', '.join(entry.secrets)}".replace("?", " (may be left out)")] if entry.secrets else []
    return lines


def page() -> str:
    """Return all of it as a page of Markdown: docs/backend-services.md."""
    lines = [
        "# Services of the back end",
        "",
        "What the back end makes of cars' events and requests, whom it tells, and what tools and scenarios can ask it: with",
        "`fleet service NAME ACTION [VIN] key=value …`, in a scenario with `service:` ([scenarios.md](scenarios.md)). This page",
        "is made from a catalogue (`fleet service --markdown`) that command line and `fleet check` share. Ranges hold both ends.",
        "",
        "An answer is `succeeded`, with what is told below, or `rejected` with a reason: `unsupported` (no such service or",
        "action), `malformed` (a word is missing, unknown or of another type), `argument_out_of_range`, `invalid_vin`,",
        "`unknown_vin` (nobody is enrolled on that car, and no message of it has ever arrived), or one of the action's own. Of a",
        "list of cars those that nobody knows are left out, and the answer names them in `unknown`. `fleet notices` shows whom",
        "the back end has told what.",
        "",
        "A service that fails at something is undone, and whoever asked is told `failed(internal)`. The operator gets the",
        "notice `rule_failed`; an event is given to the service again for half an hour of scenario time, and then",
        "`rule_gave_up` says that it is not any more. An emergency call goes to the emergency centre at once, whatever fails.",
        "An event whose data cannot be read, such as a breakdown call without an id, becomes the notice `unreadable_event`.",
    ]
    for name, entry in load_actions().items():
        lines += ["", f"## {name}", "", f"{entry.summary[0].upper()}{entry.summary[1:]}.", "", *map(_item, _told_of(name, entry))]
        for action, told in entry.actions.items():
            command = f"    fleet service {name} {action} {told.example}"
            lines += ["", f"**{action}**: {told.summary}", "", command]
            lines += ["", *map(_item, described(told))] if described(told) else []
    return "\n".join(lines) + "\n"


def _item(line: str) -> str:
    text = line.lstrip()
    return f"{line[: len(line) - len(text)]}- {text}"
