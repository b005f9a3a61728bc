"""The failures that are known and explained: `known.toml`, against which each run is held, and of which the page is written."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.conformance.outcome import Outcome, Status

FILE: Final = Path(__file__).parent / "known.toml"

Whose = Literal["theirs", "suite", "ours", "not asked"]
"""The broker's or library's own choice or version; the suite's error; a choice or lack of ours; a case that is not run."""


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many cases of a suite end how against a target."""

    suite: str
    target: str
    passed: int
    failed: int
    skipped: int = 0


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cases that do not pass for one reason. A case that ends in `*` stands for all that begin so; none: all with that `seen`."""

    suite: str
    target: str
    whose: Whose
    because: str
    count: int
    seen: tuple[str, ...] = ()
    """The ways in which they fail; empty for any."""
    cases: tuple[str, ...] = ()

    def covers(self, outcome: Outcome) -> bool:
        """Return whether the outcome is one of these cases."""
        if not self.cases:
            return outcome.seen in self.seen
        return any(outcome.case.startswith(name[:-1]) if name.endswith("*") else outcome.case == name for name in self.cases)

    def explains(self, outcome: Outcome) -> bool:
        """Return whether a case that is covered ends as it is known to."""
        status: Status = "skipped" if self.whose == "not asked" else "failed"
        return outcome.status == status and (not self.seen or outcome.seen in self.seen)


class Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known, and of which Mosquitto."""

    mosquitto: str
    result: tuple[Result, ...] = ()
    known: tuple[Known, ...] = ()

    def of(self, suite: str, target: str) -> list[Known]:
        """Return what is known of a suite against a target."""
        return [known for known in self.known if (known.suite, known.target) == (suite, target)]


def read_book(file: Path = FILE) -> Book:
    """Read the file."""
    return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Book)


def surprises(book: Book, suite: str, target: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield, in words, each case that does not end as the book says, and each figure of the book that is wrong."""
    entries = book.of(suite, target)
    counts = dict.fromkeys(range(len(entries)), 0)
    for outcome in outcomes:
        covering = [number for number, entry in enumerate(entries) if entry.covers(outcome)]
        for number in covering:
            counts[number] += 1
        if len(covering) > 1:
            yield f"{outcome.case}: explained by {len(covering)} entries"
        elif covering:
            if not entries[covering[0]].explains(outcome):
                yield f"{outcome.case}: {in_words(outcome)}, but it is known to fail otherwise: {entries[covering[0]].because}"
        elif outcome.status != "passed":
            yield f"{outcome.case}: {in_words(outcome)}, which nothing explains"
    yield from (
        f"the entry {entry.because!r} counts {entry.count} cases, and there are {counts[number]}"
        for number, entry in enumerate(entries)
        if counts[number] != entry.count
    )
    tallied = tally(suite, target, outcomes)
    if tallied not in book.result:
        yield f"the book has no such result: {msgspec.json.encode(tallied).decode()}"


def tally(suite: str, target: str, outcomes: Sequence[Outcome]) -> Result:
    """Count the outcomes."""
    by = [outcome.status for outcome in outcomes]
    return Result(suite, target, by.count("passed"), by.count("failed"), by.count("skipped"))


def in_words(outcome: Outcome) -> str:
    """Say how a case ended."""
    if outcome.status != "failed":
        return f"{outcome.status} {outcome.seen}".strip()
    return f"failed (wanted {outcome.wanted}, saw {outcome.seen})"


def proposed(book: Book, suite: str, target: str, outcomes: Sequence[Outcome]) -> str:
    """Return entries for what the book does not explain, as TOML whose reasons are to be filled in."""
    entries = book.of(suite, target)
    open_cases: dict[tuple[str, str], list[str]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status == "failed" and not any(entry.covers(outcome) for entry in entries):
            open_cases[outcome.wanted, outcome.seen].append(outcome.case)
    blocks = []
    for (wanted, seen), cases in sorted(open_cases.items(), key=lambda item: -len(item[1])):
        lines = [f"# wanted {wanted}", "[[known]]", f'suite = "{suite}"', f'target = "{target}"', 'whose = ""', 'because = ""']
        lines += [f"count = {len(cases)}", f"seen = {msgspec.json.encode([seen]).decode()}", "cases = ["]
        lines += [
            f"    {msgspec.json.encode(name).decode()}," for name in shortened(cases, [outcome.case for outcome in outcomes])
        ]
        blocks.append("\n".join([*lines, "]", ""]))
    return "\n".join(blocks)


def shortened(cases: Sequence[str], everything: Sequence[str]) -> list[str]:
    """Return the cases, with one name for all of a group where they are all of it."""
    chosen = set(cases)
    found: list[str] = []
    for case in cases:
        head = case.rpartition(" | ")[0]
        group = f"{head} | *"
        if head and all(other in chosen for other in everything if other.startswith(group[:-1])):
            if group not in found:
                found.append(group)
        else:
            found.append(case)
    return found
