"""The agenda gives everything back in the order of time, and always knows when the next is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.vehicle.agenda import NEVER, Agenda


def act(_car: Any, _data: Any, _now: int) -> None:
    """Do nothing: the agenda only keeps it."""


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
