"""Outcomes by state and reason."""

from __future__ import annotations

from fleet.runtime.outcomes import Outcomes, by_state, outcome_of
from fleet.wire.messages import DeskAnswer


def test_an_outcome_is_a_word_with_its_reason() -> None:
    assert outcome_of(DeskAnswer(id="a", state="succeeded")) == "succeeded"
    assert outcome_of(DeskAnswer(id="a", state="rejected", reason="too_far")) == "rejected(too_far)"


def test_outcomes_are_counted_by_state_and_reason() -> None:
    counted = {"succeeded": 3, "rejected(too_far)": 2, "rejected(busy)": 1}
    assert by_state(counted) == {"succeeded": {"": 3}, "rejected": {"too_far": 2, "busy": 1}}
    outcomes = Outcomes()
    outcomes.outcomes.update(counted)
    assert outcomes.counts() == by_state(counted)
