"""Chooses the dialect of a run: all other modules take it as an argument."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.dialects.many import ManyDialects
from fleet.dialects.opening import OWN, open_named
from fleet.scenario.schema import Scenario
from fleet.wire.dialect import Dialect
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.topics import DEFAULT_PREFIX, Topics


def open_dialect(choice: str | None = None, prefix: str = DEFAULT_PREFIX) -> Dialect:
    """Return the dialect of a name, None for ours, under a topic prefix.

    Raises UsageError for a prefix that no broker takes, and for a dialect that cannot be opened.
    """
    return open_named(choice, prefix)


def dialect_of(scenario: Scenario, prefix: str = DEFAULT_PREFIX) -> Dialect:
    """Return the dialect of a scenario's cars: one for all, or each fleet's own. Raises as `open_dialect` does."""
    by_fleet = scenario.dialects()
    opened = {choice: open_named(choice, prefix) for choice in by_fleet.values()}
    if len(opened) == 1:
        return next(iter(opened.values()))
    return ManyDialects(FleetDialect(Topics(prefix)), {fleet: opened[choice] for fleet, choice in by_fleet.items()})


def foreign_name(dialect: Dialect) -> str | None:
    """Return the name of a dialect with frames that are not ours, None for ours."""
    return None if dialect.access is None else dialect.name


def dialect_of_all(choices: Iterable[str], prefix: str = DEFAULT_PREFIX) -> Dialect:
    """Return what a back end takes whose cars speak any of these; ours for none. Raises as `open_dialect` does."""
    opened = [open_named(choice, prefix) for choice in choices]
    if len(opened) < 2:
        return opened[0] if opened else open_named(None, prefix)
    return ManyDialects(FleetDialect(Topics(prefix)), {}, opened)


def choices_of(scenario: Scenario) -> list[str]:
    """Return the names of the dialects in a scenario, each once, for the options of a back end; none where all speak ours."""
    found = list(dict.fromkeys(choice or OWN for choice in scenario.dialects().values()))
    return [] if found == [OWN] else found
