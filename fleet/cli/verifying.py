"""Puts the checks to the journal of a run."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import typer
from rich.markup import escape

from fleet.checks.verification import Verification, verify
from fleet.cli.common import JOURNALS, AsJson, Full, err, make_table, out
from fleet.cli.journals import JournalPath
from fleet.errors import JournalError
from fleet.observe.journal import Begin, JournalReader
from fleet.observe.story import stories
from fleet.runtime.assembly import equipment_of, privacy_of
from fleet.runtime.journalling import scenario_of
from fleet.scenario.schema import Scenario

app = typer.Typer()

SHOWN = 3
"""Breaches of each check that are told with their story."""
STORY_RECORDS = 8


@app.command("verify", rich_help_panel=JOURNALS)
def verify_journal(journal: JournalPath, full: Full = False, as_json: AsJson = False) -> None:
    """Check a journal: account, commands, rules, states and frames. Exit code 1 when something does not hold.

    Example: fleet verify runs/latest/journal.jsonl
    """
    scenario = _scenario(journal, JournalReader(journal).begin)
    found = verify(journal, equipment_of(scenario), privacy_of(scenario)) if scenario is not None else verify(journal, {})
    if as_json:
        out.print_json(json.dumps({"holds": found.holds, **msgspec.to_builtins(found)}))
    else:
        _tell(journal, found, full=full)
    raise typer.Exit(0 if found.holds else 1)


def _scenario(journal: Path, begin: Begin) -> Scenario | None:
    """Return the scenario of the run, None for a journal that does not tell."""
    if begin.scenario is None:
        return None
    try:
        return scenario_of(begin)
    except (msgspec.ValidationError, ValueError) as error:
        hint = f"It was written by fleet {begin.version}."
        raise JournalError(f"the scenario cannot be read: {error}", file=str(journal), line=1, hint=hint) from None


def _tell(journal: Path, found: Verification, *, full: bool) -> None:
    for warning in found.warnings:
        err.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    table = make_table("check", "looked at", "broken")
    for finding in found.findings:
        looked_at = f"{finding.looked_at} {finding.looks_at}" if finding.looked_at else "nothing"
        table.add_row(finding.check, looked_at, f"[red]{finding.broken}[/]" if finding.broken else "–")
    out.print(table)
    _tell_breaches(journal, found, full=full)
    words = "complete" if found.complete else "incomplete: what is there was checked"
    broken = sum(finding.broken for finding in found.findings)
    out.print(f"\n{found.records} records, {words}; {f'broken {broken} times' if broken else 'all holds'}", highlight=False)


def _tell_breaches(journal: Path, found: Verification, *, full: bool) -> None:
    shown = [breach for finding in found.findings for breach in finding.breaches[:SHOWN]]
    told = stories(journal, [(breach.machine, breach.line) for breach in shown], records=STORY_RECORDS, full=full)
    for breach, lines in zip(shown, told, strict=True):
        out.print(f"\n[red]{breach.check}[/] {escape(str(journal))}:{breach.line}: {escape(breach.subject)}", highlight=False)
        out.print(f"  {breach.told}", highlight=False, markup=False)
        for line in lines:
            out.print(f"    {line}", highlight=False, markup=False)
    for finding in found.findings:
        if finding.broken > SHOWN:
            out.print(f"\n… and {finding.broken - SHOWN} more breaches of: {finding.rule}", highlight=False, markup=False)
