"""Topics with placeholders."""

from __future__ import annotations

import pytest

from fleet.dialects.patterns import TopicPattern, expanded, level
from fleet.errors import Unwritable
from tests.wire.test_dialect import VIN

CAR = {"vin": VIN, "client_id": VIN, "name": "Born 1", "model": "Born", "fleet": "north"}


def test_the_beginning_is_the_mappings_own() -> None:
    assert expanded("{base}/state", "acme/{vin}") == "acme/{vin}/state"


def test_filled_and_recognised() -> None:
    pattern = TopicPattern("acme/{fleet}/{vin}/event/{event}")
    topic = pattern.fill({**CAR, "event": "trip"})
    assert topic == f"acme/north/{VIN}/event/trip"
    assert pattern.match(topic) == {"fleet": "north", "vin": VIN, "event": "trip"}
    assert pattern.free == ("event",)
    for other in ("acme/north/event/trip", f"acme/north/{VIN}/event", f"{topic}/x", f"acme/north/{VIN[:-1]}/event/trip"):
        assert pattern.match(other) is None


def test_a_placeholder_that_comes_twice_is_the_same_both_times() -> None:
    pattern = TopicPattern("{vin}/x/{vin}")
    assert pattern.match(f"{VIN}/x/{VIN}") == {"vin": VIN}
    assert pattern.match(f"{VIN}/x/{VIN[:-1]}2") is None


def test_what_nobody_knows_is_unwritable() -> None:
    with pytest.raises(Unwritable, match="action"):
        TopicPattern("a/{vin}/{action}").fill(CAR)
    assert TopicPattern("a/{vin}/{action}").fill(CAR, partly=True) == f"a/{VIN}/{{action}}"


@pytest.mark.parametrize(
    ("text", "filters", "of_user"),
    [
        ("a/{vin}/s", ["a/+/s"], ["a/%u/s"]),
        ("a/car-{vin}/s", ["a/+/s"], ["a/+/s"]),
        ("a/{client_id}/{event}", ["a/+/+"], ["a/+/+"]),
        ("a/{vin}/v/{field}", ["a/+/v/#"], ["a/%u/v/#"]),
        ("a/{vin}/{field}/x", ["a/+/b/c/x", "a/+/d/x"], ["a/%u/b/c/x", "a/%u/d/x"]),
    ],
)
def test_filters(text: str, filters: list[str], of_user: list[str]) -> None:
    pattern = TopicPattern(text, several="field")
    values = {"field": ("b/c", "d")}
    assert list(pattern.filters(values=values)) == filters
    assert list(pattern.filters(values=values, user=True)) == of_user


def test_own_is_what_names_the_car() -> None:
    assert [TopicPattern(text).is_own for text in ("a/{vin}", "a/{client_id}/b", "a/{model}", "a")] == [True, True, False, False]


@pytest.mark.parametrize("value", ["a/b", "a+", "#", "", "{x}", "a\0"])
def test_no_value_makes_a_level_of_its_own(value: str) -> None:
    assert TopicPattern("x/{name}/y").match(f"x/{level(value)}/y") is not None
    assert not set(level(value)) & set("/+#{}\0")
