"""The names that a mapping may use."""

from __future__ import annotations

import pytest

from fleet.dialects.names import group_of, in_message, in_payload, listed, words_of
from fleet.errors import UsageError


def test_paths_are_followed_to_their_type() -> None:
    status = in_message("status")
    assert words_of(status("doors.front_left.locked")) == ("true", "false")
    assert words_of(status("state")) == ("offline", "parked", "ignition_on", "driving")
    assert words_of(status("mileage_km")) == ()
    assert words_of(in_message("events", ("trip", "fault"))("name")) == ("trip", "fault")


def test_what_an_entry_is_for_narrows_its_words() -> None:
    """A value map need not have words that never come."""
    assert words_of(in_message("responses", ("succeeded", "failed"))("state")) == ("succeeded", "failed")
    assert words_of(in_message("status", ("left",))("trigger")) == ("left",)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("charge_percent", "Did you mean 'energy.charge_percent'?"),
        ("doors.front_lft", "Did you mean 'doors.front_left'?"),
        ("doors.tailgate_lid", "Known: doors.bonnet, doors.boot, "),
        ("colour", "Known: adblue, boot, "),
    ],
)
def test_the_nearest_path_is_named(path: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        in_message("status")(path)
    assert caught.value.hint.startswith(hint)


def test_data_are_known_by_the_catalogue() -> None:
    """The names in the data of an event, and the parameters of a request; what lies deeper only the message knows."""
    assert in_message("events", ("trip",))("data.distance_km").kind
    assert in_message("events")("data.position.latitude").kind
    assert in_message("requests", ("traffic",))("data")
    with pytest.raises(UsageError, match=r"data\.distance_km"):
        in_message("events", ("fault",))("data.distance_km")


def test_what_a_car_receives_begins_in_four_ways() -> None:
    heard = in_payload(("action",))
    for path in ("payload", "payload.a.0", "topic.action", "properties.x", "correlation"):
        assert heard(path)
    for path, hint in (("paylod.a", "Did you mean 'payload'?"), ("topic.acton", "Did you mean 'topic.action'?")):
        with pytest.raises(UsageError) as caught:
            heard(path)
        assert caught.value.hint == hint


def test_groups_and_lists() -> None:
    assert (group_of("doors.front_left"), group_of("mileage_km"), group_of("trigger")) == ("doors", "mileage_km", None)
    assert (listed("abc"), listed("abcdefgh", 3)) == ("a, b, c", "a, b, c and 5 more")
