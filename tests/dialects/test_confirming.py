"""What a system's confirmation covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.dialects.confirming import MOST_GAPS, Unconfirmed
from fleet.wire.messages import Stored


def sent(*numbers: int, cumulative: bool = False, boot: int = 1) -> Unconfirmed:
    found = Unconfirmed(cumulative=cumulative)
    for number in numbers:
        found.sent(boot, number)
    return found


def test_one_number_confirms_all_before_it() -> None:
    found = sent(1, 2, 3, cumulative=True)
    assert found.confirmed(2, None) == (Stored(boot=1, through=2),)
    assert found.confirmed(9, None) == (Stored(boot=1, through=3),), "no more than was sent"
    assert found.confirmed(0, None) == ()
    assert found.confirmed(1, 7) == (), "of another run of the car's computer"


def test_a_number_confirms_itself_and_leaves_gaps() -> None:
    found = sent(1, 2, 3, 4)
    assert found.confirmed(3, 1) == (Stored(boot=1, through=0, high=3, gaps=((1, 2),)),)
    assert found.confirmed(3, 1) == (), "it was confirmed before"
    assert found.confirmed(1, None) == (Stored(boot=1, through=1, high=3, gaps=((2, 2),)),)
    assert found.confirmed(2, None) == (Stored(boot=1, through=3),)
    assert found.confirmed(5, None) == (), "it was never sent"


@given(st.sets(st.integers(1, 1_000), min_size=1), st.data())
def test_nothing_is_covered_that_was_not_confirmed(numbers: set[int], data: st.DataObject) -> None:
    """Of what was sent; and all that was confirmed is, by one answer or another, however many gaps there are."""
    found = sent(*sorted(numbers))
    confirmed = data.draw(st.lists(st.sampled_from(sorted(numbers)), unique=True))
    covered: set[int] = set()
    for index, number in enumerate(confirmed, start=1):
        for mark in found.confirmed(number, None):
            assert len(mark.gaps) <= MOST_GAPS
            covered |= {each for each in numbers if mark.covers(each)}
        assert covered == set(confirmed[:index])


def test_a_new_run_of_the_computer_counts_anew() -> None:
    found = sent(1, 2)
    found.sent(2, 1)
    assert found.confirmed(1, None) == (Stored(boot=2, through=1),)
    assert found.confirmed(2, 1) == (Stored(boot=1, through=0, high=2, gaps=((1, 1),)),)
