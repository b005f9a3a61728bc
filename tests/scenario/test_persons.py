"""The words of steps about people."""

from __future__ import annotations

from fleet.scenario.persons import MISTAKES, WAYS, whom_word


def test_each_way_has_mistakes_of_its_own() -> None:
    """No way is without one; a key in the wrong order, and a code, only where there is one."""
    assert tuple(MISTAKES) == WAYS
    assert all(MISTAKES.values())
    assert [way for way in WAYS if "second_key_first" in MISTAKES[way]] == ["two_keys"]
    assert [way for way in WAYS if "wrong_code" in MISTAKES[way]] == ["qr", "code"]


def test_somebody_stands_in_the_word_that_an_action_has() -> None:
    """An invitation goes to an address, all else is about a user; other actions are about nobody."""
    assert whom_word({"email": 1, "role": 1}) == "email"
    assert whom_word({"services": 1, "user": 1}) == "user"
    assert whom_word({"partner": 1}) is None
