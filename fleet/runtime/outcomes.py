"""Outcomes of commands, and of all else that users ask: counted by state and reason, with how long round trips took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fleet.observe.histogram import Histogram
from fleet.wire.messages import DeskAnswer


class Outcomes:
    """Outcomes of commands, and how long their round trips took."""

    def __init__(self) -> None:
        self.asked = 0
        self.outcomes: Counter[str] = Counter()
        self.round_trip = Histogram()
        self.round_trip_waking = Histogram()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many ended in each state, by reason ("" without one)."""
        return by_state(self.outcomes)


def outcome_of(answer: DeskAnswer) -> str:
    """Return a final answer in a word, such as `rejected(too_far)`."""
    return answer.state if answer.reason is None else f"{answer.state}({answer.reason})"


def by_state(outcomes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return counts of outcomes such as `rejected(too_far)` by state and reason ("" without one)."""
    found: dict[str, dict[str, int]] = {}
    for outcome, count in outcomes.items():
        state, _, reason = outcome.removesuffix(")").partition("(")
        found.setdefault(state, {})[reason] = count
    return found
