"""Commands on the journal of a run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.common import JOURNALS, AsJson, Full, err, make_table, out
from fleet.errors import UsageError
from fleet.observe.journal import JOURNAL, journal_lines
from fleet.observe.packing import find
from fleet.observe.story import story
from fleet.runtime.reexecution import Agreement, Difference, Reexecution

app = typer.Typer()


def existing_journal(path: Path) -> Path:
    """Return the file that is meant by its name, with or without the ending of its packing, or by the folder of a run.

    Raises UsageError when there is none.
    """
    found = find(path / JOURNAL if path.is_dir() else path)
    if found is None:
        hint = "`fleet run` leaves one in runs/latest, with --out DIR in DIR; not with --no-journal."
        raise UsageError(f"there is no journal at {path}", hint=hint)
    return found


JournalPath = Annotated[
    Path, typer.Argument(metavar="JOURNAL", help="The folder of a run, or its journal.", callback=existing_journal)
]


JournalPaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="JOURNAL…",
        help="The folder of a run, or its journal; several of one fleet, in their order.",
        callback=lambda paths: [existing_journal(path) for path in paths],
    ),
]


@app.command("journal", rich_help_panel=JOURNALS)
def print_journal(journal: JournalPath) -> None:
    """Print the lines of a journal, unpacked: JSON for grep, jq and eyes.

    Examples: fleet journal runs/latest

    fleet journal runs/latest/journal.jsonl
    """
    for line in journal_lines(journal):
        sys.stdout.buffer.write(line)
    sys.stdout.flush()


@app.command(rich_help_panel=JOURNALS)
def reexecute(journal: JournalPath, full: Full = False, as_json: AsJson = False) -> None:
    """Run cars and desk again on a journal's inputs: their outputs must be the same. Exit code 1 at the first difference.

    Example: fleet reexecute runs/latest
    """
    found = Reexecution(journal).run()
    if full and (difference := found.difference) is not None:
        told = story(difference.path, difference.machine, difference.line, full=True)
        found.difference = replace(difference, story=told)
    if as_json:
        out.print_json(json.dumps(asdict(found), default=str))
    else:
        _tell(found)
    raise typer.Exit(1 if found.difference else 0)


def _tell(found: Agreement) -> None:
    for warning in found.warnings:
        err.say(("warning:", "yellow"), f" {warning}")
    count = f"{found.machines} machines, {found.inputs} inputs, {found.outputs} outputs"
    if found.difference is None:
        out.say(f"{count}: all as recorded")
        return
    _tell_difference(found.difference)
    out.say(f"\n{count} run again up to there")


def _tell_difference(found: Difference) -> None:
    out.say(("difference", "red"), f" {found.path}:{found.line}: {found.machine}")
    out.say(f"  recorded {found.expected}, now {found.got}")
    table = make_table("  field", "recorded", "now")
    for name, expected, got in found.fields:
        table.add_row(f"  {name}", expected, got)
    out.print(table)
    out.say("\nits story before it")
    for line in found.story:
        out.say(f"  {line}")
