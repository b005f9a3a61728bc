"""The rule book as a file: all chapters, and the head and the end that go around them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.rule_book.book import Book
from tests.rule_book.commands import write_commands
from tests.rule_book.events import TOLD_PARTNER, write_events
from tests.rule_book.knowledge import FLEETS
from tests.rule_book.licences import write_licences
from tests.rule_book.own_rules import write_own_rules
from tests.rule_book.requests import write_requests

FILE: Final = Path(__file__).parents[2] / "scenarios" / "rule-book.yaml"
DURATION_S: Final = 190 * 60
_HEAD: Final = """\
# The rule book: `fleet run rule-book` takes about a minute, with --clock virtual a few seconds.
# Written by `make rule-book` from the catalogue of services and tests/rule_book/, and held to both by a test: change those.
# What each key means is explained in docs/scenarios.md.

scenario: rule-book
purpose: >-
  Each rule on both sides of its boundary, one line each, with the exact outcome and reason: of commands the parameters, states,
  equipment, privacy, S-PIN, time to live, repetition and what each has of its own; online services with each error; events that
  come, and that do not; services of the back end. A line that is not met names its rule.
seed: 500

start: 2026-03-02T08:00             # a Monday: cold enough for heaters
duration: 190 min
clock: x190
region: munich

"""
_EXPECTATIONS: Final = (
    "connected / cars == 1",
    "commands.unknown == 0",
    "lost == 0",
    "quarantined == 0",
    "refused == 0",
    f"notices.fault == {TOLD_PARTNER}",
    "notices.partner_closed == 1",
    "notices.ecall / events.ecall == 1",
    "notices.info_call / events.info_call == 1",
    "notices.campaign_finished == 1",
    "notices.update_installed == 2",
)


def book() -> Book:
    """Return the rule book with all its lines."""
    made = Book(FLEETS)
    for write in (write_commands, write_own_rules, write_requests, write_events, write_licences):
        write(made)
    return made


def written() -> str:
    """Return the text of the file."""
    made = book()
    told = sorted({line.event for line in made.lines if line.event and not line.unwanted and line.only is None})
    stored = [f"events.{event} >= 1" for event in told]
    return made.write(_HEAD, duration_s=DURATION_S, expectations=[*_EXPECTATIONS, *stored])
