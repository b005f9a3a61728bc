"""The agenda gives everything back in the order of time, and always knows when the next is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.vehicle.agenda import NEVER, Agenda


def act(done: list[int], data: int, _now: int) -> None:
    """Write down that this one was done; `done` stands where the car would."""
    done.append(data)


def drain(agenda: Agenda, done: Any) -> list[int]:
    """Do all that is planned; return the instants."""
    instants = []
    while (at := agenda.next_at) != NEVER:
        do, data = agenda.pop()
        do(done, data, at)
        instants.append(at)
    return instants


@given(st.lists(st.one_of(st.integers(0, 20), st.none()), max_size=60))
def test_the_earliest_first_and_in_the_order_of_adding(steps: list[int | None]) -> None:
    """Whatever is added (a number) and taken (None): equal instants keep their order, and `next_at` is always the least."""
    agenda = Agenda()
    held: list[tuple[int, int]] = []
    for number, at in enumerate(steps):
        if at is not None:
            agenda.call(at, act, (at, number))
            held.append((at, number))
        elif held:
            held.sort()
            assert agenda.pop() == (act, held.pop(0))
        assert agenda.next_at == min((at for at, _ in held), default=NEVER)


@given(st.lists(st.tuples(st.sampled_from(["add", "replace", "cancel"]), st.sampled_from("abc"), st.integers(0, 9)), max_size=40))
def test_a_key_has_what_was_set_last(steps: list[tuple[str, str, int]]) -> None:
    """Entries added, replaced and cancelled by key: what still holds is done once, and in the order of time."""
    agenda, done, held = Agenda(), list[int](), dict[str, list[tuple[int, int]]]()
    for number, (step, key, at) in enumerate(steps):
        if step == "add":
            agenda.call(at, act, number, key=key)
            held.setdefault(key, []).append((at, number))
        elif step == "replace":
            agenda.replace(key, at, act, number)
            held[key] = [(at, number)]
        else:
            agenda.cancel(key)
            held.pop(key, None)
    instants = drain(agenda, done)
    assert instants == sorted(instants)
    expected = sorted((at, number) for entries in held.values() for at, number in entries)
    assert sorted((steps[number][2], number) for number in done) == expected


def test_the_same_instant_again_keeps_its_place() -> None:
    """A timer that is set again to its instant stays before what was added since."""
    agenda, done = Agenda(), list[int]()
    agenda.replace("trip", 5, act, 1)
    agenda.call(5, act, 2)
    agenda.replace("trip", 5, act, 3)
    assert drain(agenda, done) == [5, 5]
    assert done == [3, 2]


def test_a_key_of_none_is_no_key() -> None:
    """Entries without a key are beside all others."""
    agenda, done = Agenda(), list[int]()
    agenda.call(1, act, 1)
    agenda.call(2, act, 2, key="a")
    agenda.cancel("b")
    drain(agenda, done)
    assert done == [1, 2]
