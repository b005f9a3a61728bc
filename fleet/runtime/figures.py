"""The figures of a run while it lives, as conditions know them: how the cars are, and what they and their users did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fleet.kernel.instants import Instant
from fleet.runtime.outcomes import Outcomes
from fleet.vehicle.car import Car

ACCOUNT: Final = ("created", "published", "acknowledged", "refused", "dropped", "left_out", "in_outbox", "repeated")
"""The counters of a car's outbox."""
ENDS: Final = ("succeeded", "rejected", "failed", "expired", "unknown")


def live_figures(cars: Iterable[Car], outcomes: Outcomes | None, at: Instant) -> dict[str, float]:
    """Return the counts that conditions may name; see `fleet.scenario.conditions.FIGURES`."""
    names = (*ACCOUNT, "parked", "ignition_on", "driving", "online", "reachable", "offline")
    figures: dict[str, float] = {"cars": 0, **dict.fromkeys(names, 0)}
    for car in cars:
        figures["cars"] += 1
        figures[car.state(at)] += 1
        figures[car.connection(at)] += 1
        for name in ACCOUNT:
            figures[name] += getattr(car.outbox, name)
    figures["connected"] = figures["online"] + figures["reachable"]
    return figures | command_figures(outcomes)


def command_figures(outcomes: Outcomes | None) -> dict[str, float]:
    """Return `commands.total`, `.waiting`, and one for each end a command can have."""
    if outcomes is None:
        return {}
    counts = {state: sum(reasons.values()) for state, reasons in outcomes.counts().items()}
    ended = {f"commands.{state}": float(counts.get(state, 0)) for state in ENDS}
    return {"commands.total": outcomes.asked, "commands.waiting": outcomes.asked - sum(ended.values()), **ended}
