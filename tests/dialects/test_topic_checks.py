"""Topics with placeholders: whose they are, and which can be one."""

from __future__ import annotations

import pytest

from fleet.dialects.topic_checks import check_form, check_levels, check_own, levels_of, overlap


@pytest.mark.parametrize(
    ("one", "other", "can_be_one"),
    [
        ("a/{vin}/b", "a/{vin}/b", True),
        ("a/{vin}/b", "a/{vin}/c", False),
        ("a/{vin}/{event}", "a/{vin}/c", True),
        ("a/{vin}/{event}", "a/{vin}/{request}", True),
        ("a/{vin}/x/{event}", "a/{vin}/{request}", False),
        ("a/{vin}/{event}", "b/{vin}/{request}", False),
        ("a/{vin}/{field}", "a/{vin}/b/c", True),
        ("a/{vin}/f/{field}", "a/{vin}/f", False),
        ("{vin}/a", "{client_id}/a", False),
    ],
)
def test_topics_that_can_be_one(one: str, other: str, can_be_one: bool) -> None:
    """A field's name may have several levels; a placeholder of the car is the same in both."""
    assert overlap(one, other) is overlap(other, one) is can_be_one


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#", "$SYS/x", "a/{b", "a/{b c}", "a\nb", "x" * 1001])
def test_what_is_no_topic(topic: str) -> None:
    assert len(list(check_form(("topic",), topic))) == 1


@pytest.mark.parametrize("topic", ["/a/{vin}", "a b/ü", "{base}/x"])
def test_what_is_one(topic: str) -> None:
    assert list(check_form(("topic",), topic)) == []


@pytest.mark.parametrize(
    ("topic", "base", "own"),
    [("{base}/x", "a/{vin}", True), ("{base}/x", "a/{fleet}", False), ("{client_id}/x", "a", True), ("x", "{vin}", False)],
)
def test_a_topic_is_the_cars_own_by_its_placeholders(topic: str, base: str, own: bool) -> None:
    assert (list(check_own((), topic, base)) == []) is own


def test_levels_that_may_be_anything_are_whole_and_read() -> None:
    assert levels_of("{base}/{vin}/{action}/{id}") == ("action", "id")
    assert list(check_levels((), "{vin}/{action}", set())) == []
    (part,) = check_levels((), "{vin}/do-{action}", {"action"})
    assert "part of a level" in part.message
    (slip,) = check_levels((), "{vni}/{action}", set())
    assert slip.hint == "Did you mean {vin}?"
