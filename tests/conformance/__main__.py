"""`python -m tests.conformance [SUITE …]`: runs foreign suites and holds them against `known.toml`.

Exit code 0: everything ends as is known; 1: it does not, and each surprise is a line.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fleet.errors import UnknownName, UsageError
from tests.conformance.known import Book, proposed, read_book, surprises, tally
from tests.conformance.outcome import Outcome
from tests.conformance.running import SUITES, Suite, changed, run, targets_of
from tests.conformance.suites import VARIABLE, commit_of, folder_of
from tests.conformance.targets import LINK, TARGETS, mosquitto_version


class Report(msgspec.Struct):
    """One suite against one target; `changed` are the cases that a proxy in front changes."""

    suite: str
    target: str
    commit: str
    passed: int
    failed: int
    skipped: int
    surprises: list[str]
    changed: list[str]
    outcomes: list[Outcome]


def main() -> int:
    """Run what is asked for."""
    options = _options()
    try:
        _check_names(options)
        if not options.suites:
            raise UsageError("no folder of suites", hint=f"Give --suites DIR, or set {VARIABLE} (see CONTRIBUTING.md).")
        reports = asyncio.run(_run(options))
    except UsageError as error:
        sys.stderr.write(f"conformance: {error}. {error.hint}\n")
        return 2
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(reports), indent=1))
    return 1 if any(report.surprises or report.changed for report in reports) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("suite", nargs="*", help=f"{', '.join(SUITES)}; all, when none is given")
    parser.add_argument("--suites", type=Path, default=os.environ.get(VARIABLE), metavar="DIR", help="holds the clones")
    parser.add_argument("--target", action="append", help=f"{', '.join((*TARGETS, LINK))}; all, when none is given")
    parser.add_argument("--no-proxy", action="store_true", help="only the target itself, not through the proxy too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes")
    parser.add_argument("--propose", action="store_true", help="print entries of known.toml for what is not explained")
    options = parser.parse_args()
    options.suites = Path(options.suites) if options.suites else None
    return options


def _check_names(options: argparse.Namespace) -> None:
    """Raise UsageError for names that do not exist, and where nothing is left to run."""
    for name in options.suite:
        if name not in SUITES:
            raise UnknownName("suite", name, SUITES)
    for name in options.target or ():
        if name not in {*TARGETS, LINK}:
            raise UnknownName("target", name, (*TARGETS, LINK))
    if options.target and not any({*targets_of(SUITES[name])} & {*options.target} for name in options.suite or SUITES):
        raise UsageError("none of these suites has that target", hint=f"Only link-vectors is for the {LINK}.")


async def _run(options: argparse.Namespace) -> list[Report]:
    book, reports = read_book(), []
    for suite in [SUITES[name] for name in options.suite or SUITES]:
        for target in targets_of(suite):
            if options.target and target not in options.target:
                continue
            report = await _report(book, suite, target, options)
            reports.append(report)
            for line in _lines(book, report, propose=options.propose):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
    return reports


async def _report(book: Book, suite: Suite, target: str, options: argparse.Namespace) -> Report:
    folder = folder_of(suite.source, options.suites)
    direct = await run(suite, folder, target)
    different: list[str] = []
    if suite.of_brokers and not options.no_proxy:
        different = changed(direct, await run(suite, folder, target, through_proxy=True))
    counted = tally(suite.name, target, direct)
    return Report(
        suite.name, target, commit_of(folder) or "unknown", counted.passed, counted.failed, counted.skipped,
        list(surprises(book, suite.name, target, direct)), different, direct,
    )  # fmt: skip


def _lines(book: Book, report: Report, *, propose: bool) -> Iterator[str]:
    yield f"{report.suite} against {report.target}: {report.passed} passed, {report.failed} failed, {report.skipped} skipped"
    wanted = SUITES[report.suite].source.commit
    if report.commit not in {"unknown", wanted}:
        yield f"  the clone is at {report.commit[:7]}, and known.toml is for {wanted[:7]}: check that out"
    if report.target == "mosquitto" and (version := mosquitto_version()) != book.mosquitto:
        yield f"  the Mosquitto here is {version}, and known.toml is for {book.mosquitto}"
    yield from (f"  {surprise}" for surprise in report.surprises)
    yield from (f"  {case}: the proxy changes it" for case in report.changed)
    if propose:
        yield proposed(book, report.suite, report.target, report.outcomes)


if __name__ == "__main__":
    sys.exit(main())
