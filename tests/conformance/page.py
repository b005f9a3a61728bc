"""`python -m tests.conformance.page`: writes the tables of docs/conformance.md anew, from `known.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.conformance.known import Book, Known, Whose, read_book
from tests.conformance.running import SUITES
from tests.conformance.suites import FUZZ, MOSQUITTO, PAHO

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
BEGINS: Final = "<!-- {} begins: python -m tests.conformance.page -->"
ENDS: Final = "<!-- {} ends -->"
_WHOSE: Final[dict[Whose, str]] = {
    "theirs": "theirs", "suite": "the suite's error", "ours": "ours", "not asked": "not run",
}  # fmt: skip
_SHOWN: Final = 2
"""Cases that are named as examples of a reason."""


def sources() -> str:
    """Return the table of where the suites come from."""
    rows = ["| suite | state | licence |", "|---|---|---|"]
    rows += [
        f"| [{source.folder}]({source.url}) | `{source.commit[:7]}`, {source.dated} | {source.licence} |"
        for source in (PAHO, MOSQUITTO, FUZZ)
    ]
    return "\n".join(rows)


def results(book: Book) -> str:
    """Return the table of how many cases end how."""
    rows = ["| suite | against | cases | passed | failed | not run |", "|---|---|---:|---:|---:|---:|"]
    for result in book.result:
        cases = result.passed + result.failed + result.skipped
        rows.append(
            f"| {SUITES[result.suite].title} | {_target(book, result.target)} | {cases} | {result.passed} | {result.failed} "
            f"| {result.skipped} |"
        )
    return "\n".join(rows)


def reasons(book: Book) -> str:
    """Return a table for each suite and target with failures: whose, how many, why and which."""
    parts = []
    for result in book.result:
        known = book.of(result.suite, result.target)
        if known:
            rows = ["| whose | cases | why | for example |", "|---|---:|---|---|", *map(_row, known)]
            parts.append("\n".join([f"### {SUITES[result.suite].title} against {_target(book, result.target)}", "", *rows]))
    return "\n\n".join(parts)


def _row(known: Known) -> str:
    names = [f"`{name.replace(' | ', ' / ').replace('|', '/')}`" for name in known.cases[:_SHOWN]]
    return f"| {_WHOSE[known.whose]} | {known.count} | {known.because} | {', '.join(names)} |"


def _target(book: Book, target: str) -> str:
    return {"mosquitto": f"Mosquitto {book.mosquitto}", "embedded": "the embedded broker"}.get(target, f"the {target}")


def rendered(text: str, book: Book) -> str:
    """Return the page with its tables written anew."""
    for name, table in (("sources", sources()), ("results", results(book)), ("reasons", reasons(book))):
        begins, ends = BEGINS.format(name), ENDS.format(name)
        head, _, rest = text.partition(begins)
        _, _, tail = rest.partition(ends)
        text = f"{head}{begins}\n\n{table}\n\n{ends}{tail}"
    return text


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), read_book()), encoding="utf-8")
