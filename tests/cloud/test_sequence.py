"""High-water mark and gaps say the same as a plain set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.cloud.sequence import SeenSequence


@given(st.lists(st.integers(1, 60), max_size=120))
def test_agrees_with_a_set(numbers: list[int]) -> None:
    """Whatever comes in whatever order, newness, gaps, count and mark agree with the set of what came."""
    seen, model = SeenSequence(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number not in model)
        model.add(number)
        missing = set(range(1, max(model) + 1)) - model
        assert seen.high == max(model)
        assert {n for first, last in seen.gaps for n in range(first, last + 1)} == missing
        assert seen.missing == len(missing)
        assert {n for n in range(1, 63) if n in seen} == model
        assert seen.through == min(missing, default=seen.high + 1) - 1
        assert all(before[1] + 1 < after[0] for before, after in zip(seen.gaps, seen.gaps[1:], strict=False))


def test_a_million_in_order_is_one_number() -> None:
    """Memory does not grow with what arrived in order."""
    seen = SeenSequence(high=1_000_000)
    assert seen.add(1_000_001)
    assert not seen.add(7)
    assert seen.gaps == []
