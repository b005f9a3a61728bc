"""A publish that waits too long is noticed, one among many that are acknowledged in time is not."""

from __future__ import annotations

from fleet.transport.overdue import Overdue


def test_one_too_long_under_way() -> None:
    """It counts from the first look that finds it the oldest, and nothing is wrong while nothing waits."""
    overdue, waits = Overdue(30.0), {2: ("token", "topic")}
    assert [overdue.look(under_way, at) for under_way, at in ((None, 0), (waits, 40), (waits, 69))] == [None, None, None]
    assert overdue.look(waits, 70) == "the broker acknowledged no PUBLISH for 30 s while one was under way"


def test_others_under_the_same_number_begin_anew() -> None:
    """A busy link always has something under way, and uses its packet ids again and again."""
    overdue = Overdue(30.0)
    assert not any(overdue.look({2: (at, "topic")}, at) for at in range(0, 300, 10))
