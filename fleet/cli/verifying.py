"""Puts the checks to the journal of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from fleet.checks.cars import Beginnings, unknown
from fleet.checks.check import Side, Tally
from fleet.checks.commands import Executions
from fleet.checks.verification import Judged, Verification, declared_rules, full_name, verify
from fleet.cli.common import JOURNALS, AsJson, Full, err, make_table, out
from fleet.cli.journals import JournalPaths
from fleet.errors import FleetError, JournalError, UsageError
from fleet.observe.journal import Begin, JournalReader
from fleet.observe.story import stories
from fleet.runtime.assembly import beginnings_of, equipment_of, privacy_of
from fleet.runtime.journalling import scenario_of
from fleet.runtime.limits import look_for_garbage_rarely
from fleet.scenario.schema import Scenario

app = typer.Typer()

SHOWN = 3
"""Breaches of each check that are shown with their story."""
STORY_RECORDS = 8


RequireJudged = Annotated[
    bool,
    typer.Option("--require-judged", help="Fail when a rule was never judged, on the side allowed or on the side refused."),
]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", metavar="RULE", help="Require this rule, or all of this check, to be judged. May be repeated."),
]
All = Annotated[
    bool, typer.Option("--all", help="Show for every rule how often it was judged, and how often that was not possible.")
]


@app.command("verify", rich_help_panel=JOURNALS)
def verify_journal(
    journals: JournalPaths,
    full: Full = False,
    every: All = False,
    require_judged: RequireJudged = False,
    rule: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Check a journal: account, commands, rules, states and frames. Exit code 1 when something does not hold.

    Each rule is counted on both its sides: what was allowed, and what was refused. Several journals, such as those of a simulator
    that was started anew, are each checked by themselves, and no command may be executed in two of them.

    Examples: fleet verify runs/latest --require-judged --rule "honk rule"

    fleet verify simulator.1.jsonl simulator.jsonl
    """
    required = _required(rule or [], all_of_them=require_judged)
    executions: Executions = {}
    holds, told = True, []
    look_for_garbage_rarely()  # what is read of a record leaves no cycles behind
    for journal in journals:
        found = _verified(journal, executions)
        missing = [judged for judged in found.rules if judged.never and (judged.check, judged.rule) in required]
        holds = holds and found.holds and not missing
        if as_json:
            never = {"never_judged": [judged.full_name for judged in missing]} if required else {}
            told.append({"holds": found.holds, **never, **msgspec.to_builtins(found)})
            continue
        if len(journals) > 1:
            out.say(f"\n{journal}")
        _tell(journal, found, full=full)
        _tell_rules(found.rules, every=every)
        _tell_missing(missing)
    if as_json:
        many = {"holds": holds, "journals": [{"journal": str(path), **each} for path, each in zip(journals, told, strict=True)]}
        out.print_json(json.dumps(told[0] if len(told) == 1 else many))
    raise typer.Exit(0 if holds else 1)


def _verified(journal: Path, executions: Executions) -> Verification:
    """Put the checks to one of several journals."""
    begin = JournalReader(journal).begin
    scenario = _scenario(journal, begin)
    if scenario is None:
        return verify(journal, {}, executions=executions)
    return verify(journal, equipment_of(scenario), privacy_of(scenario), _beginnings(scenario, begin), executions)


def _required(names: Sequence[str], *, all_of_them: bool) -> set[tuple[str, str]]:
    """Return which rules must be judged, by check and rule. Raises UsageError for a name that none has."""
    known = [(check, rule.name) for check, rule in declared_rules()]
    if not names:
        return set(known) if all_of_them else set()
    required = set()
    for name in names:
        meant = {pair for pair in known if name in {pair[0], full_name(*pair)}}
        if not meant:
            near = get_close_matches(name, [*dict(known), *(full_name(*pair) for pair in known)], n=1)
            hint = f"Do you mean {near[0]!r}?" if near else "`fleet verify JOURNAL --all` lists them."
            raise UsageError(f"there is no rule {name!r}", hint=hint)
        required |= meant
    return required


def _beginnings(scenario: Scenario, begin: Begin) -> Beginnings:
    """Return what tells how cars begin; nothing of all when the scenario's tracks are not here any more."""
    if begin.start is None:
        return unknown
    try:
        return beginnings_of(scenario, begin.start)
    except (FleetError, OSError):
        return unknown


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
        err.say(("warning:", "yellow"), f" {warning}")
    table = make_table("check", "looked at", "broken")
    for finding in found.findings:
        looked_at = f"{finding.looked_at} {finding.looks_at}" if finding.looked_at else "nothing"
        table.add_row(finding.check, looked_at, Text(str(finding.broken), "red") if finding.broken else "–")
    out.print(table)
    _tell_breaches(journal, found, full=full)
    words = "complete" if found.complete else "incomplete: what is there was checked"
    broken = sum(finding.broken for finding in found.findings)
    out.say(f"\n{found.records} records, {words}; {f'broken {broken} times' if broken else 'all holds'}")


def _tell_rules(rules: Sequence[Judged], *, every: bool) -> None:
    """Tell which rules were never judged on a side though there was something to judge, or (`every`) what became of each."""
    told = [judged for judged in rules if every or (judged.never and _has_to_do(judged))]
    if told:
        out.print("\njudged" if every else "\nnever judged on one side", highlight=False)
    for judged in told:
        sides = ", ".join(_side(side, tally, every=every) for side, tally in judged.sides.items())
        out.print(f"  {judged.full_name}: {sides}", highlight=False, markup=False, soft_wrap=True)
    idle = sum(not _has_to_do(judged) for judged in rules)
    if idle and not every:
        out.print(f"\n{idle} of {len(rules)} rules had nothing to judge; --all names them", highlight=False)


def _has_to_do(judged: Judged) -> bool:
    return any(tally.judged or tally.undecided for tally in judged.sides.values())


def _side(side: Side, tally: Tally, *, every: bool) -> str:
    """Say how often one side was judged, and where it never was, or all is shown, why not."""
    words = f"{side} {tally.judged}"
    if tally.undecided and (every or not tally.judged):
        reasons = "; ".join(f"{why}: {count}" if len(tally.undecided) > 1 else why for why, count in tally.undecided.items())
        words += f", not judged {sum(tally.undecided.values())} ({reasons})"
    return words


def _tell_missing(missing: Sequence[Judged]) -> None:
    if not missing:
        return
    out.say("\n", (f"{len(missing)} rules that are required were never judged", "red"))
    for judged in missing:
        out.say(f"  {judged.full_name}: never {' nor '.join(judged.never)}")


def _tell_breaches(journal: Path, found: Verification, *, full: bool) -> None:
    shown = [breach for finding in found.findings for breach in finding.breaches[:SHOWN]]
    told = stories(journal, [(breach.machine, breach.line) for breach in shown], records=STORY_RECORDS, full=full)
    for breach, lines in zip(shown, told, strict=True):
        out.say("\n", (breach.check, "red"), f" {journal}:{breach.line}: {breach.subject}")
        out.say(f"  {breach.told}")
        for line in lines:
            out.say(f"    {line}")
    for finding in found.findings:
        if finding.broken > SHOWN:
            out.say(f"\n… and {finding.broken - SHOWN} more breaches of: {finding.rule}")
