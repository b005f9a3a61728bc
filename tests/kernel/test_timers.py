"""One heap for many deadlines: ordered, replaceable, and no larger than its keys."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.timers import TimerHeap

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["set", "set", "set", "remove", "pop"]), st.integers(0, 6), st.integers(0, 12)), max_size=60
)


@settings(deadline=None, max_examples=300)
@given(ACTIONS)
def test_behaves_like_a_sorted_list(actions: list[tuple[str, int, int]]) -> None:
    """Set, replaced, removed and popped at random, it gives what a sorted list of (time, sequence, key) gives."""
    heap: TimerHeap[int] = TimerHeap()
    model: dict[int, tuple[int, int]] = {}
    for sequence, (action, key, at) in enumerate(actions):
        if action == "set":
            heap.set(key, at)
            if key not in model or model[key][0] != at:
                model[key] = (at, sequence)
        elif action == "remove":
            heap.set(key, None)
            model.pop(key, None)
        else:
            due = sorted((order, key) for key, order in model.items() if order[0] <= at)[:2]
            assert list(heap.pop_due(at, 2)) == [(order[0], key) for order, key in due]
            for _, popped in due:
                del model[popped]
        assert len(heap) == len(model)
        assert heap.next_deadline() == min((order[0] for order in model.values()), default=None)


def test_equal_times_keep_the_order_in_which_they_were_set() -> None:
    """First set, first out; setting the same instant again does not lose the place."""
    heap: TimerHeap[str] = TimerHeap()
    for key in "abc":
        heap.set(key, 5)
    heap.set("a", 5)
    assert [key for _, key in heap.pop_due(5, 10)] == ["a", "b", "c"]


def test_a_deadline_set_while_popping_is_seen() -> None:
    """A machine that wants to be woken again before `now` is, within the limit."""
    heap: TimerHeap[str] = TimerHeap()
    heap.set("a", 1)
    woken = []
    for at, key in heap.pop_due(10, 4):
        woken.append(at)
        heap.set(key, at + 3)
    assert woken == [1, 4, 7, 10]
    assert heap.next_deadline() == 13


def test_memory_follows_the_number_of_keys() -> None:
    """A hundred thousand replaced deadlines of ten keys leave no trace."""
    heap: TimerHeap[int] = TimerHeap()
    for n in range(100_000):
        heap.set(n % 10, n)
        assert len(heap._heap) <= 65
