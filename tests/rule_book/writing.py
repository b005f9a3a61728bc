"""The rule book as a file: all chapters, and the head and the end that go around them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.rule_book.book import Book
from tests.rule_book.commands import write_commands
from tests.rule_book.knowledge import FLEETS
from tests.rule_book.own_rules import write_own_rules

FILE: Final = Path(__file__).parents[2] / "scenarios" / "rule-book.yaml"
DURATION_S: Final = 190 * 60
_HEAD: Final = """\
# The rule book: `fleet run rule-book` takes about a minute, with --clock virtual a few seconds.
# Written by `make rule-book` from the catalogue of services and tests/rule_book/, and held to both by a test: change those.
# What each key means is explained in docs/scenarios.md.

scenario: rule-book
purpose: >-
  Each rule on both sides of its boundary, one line each, with the exact outcome and reason: parameters, states, equipment,
  privacy, S-PIN, time to live, repetition, and what each command has of its own. A line that is not met names its rule.
seed: 500

start: 2026-03-02T08:00             # a Monday: cold enough for heaters
duration: 190 min
clock: x190
region: munich

"""
_EXPECTATIONS: Final = ("connected / cars == 1", "commands.unknown == 0", "lost == 0", "quarantined == 0", "refused == 0")


def book() -> Book:
    """Return the rule book with all its lines."""
    made = Book(FLEETS)
    write_commands(made)
    write_own_rules(made)
    return made


def written() -> str:
    """Return the text of the file."""
    return book().write(_HEAD, duration_s=DURATION_S, expectations=_EXPECTATIONS)
