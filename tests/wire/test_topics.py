"""Topics: built in one place, read back to what they were built from, and never from an invalid VIN."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InvalidVin, Undecodable, UsageError
from fleet.wire.topics import Address, Topics

VIN = "VSSZZZKMZPR000001"
TOPICS = Topics()


@pytest.mark.parametrize(
    ("topic", "channel", "name"),
    [
        (TOPICS.status(VIN), "status", ""),
        (TOPICS.event(VIN, "trip"), "event", "trip"),
        (TOPICS.presence(VIN), "presence", ""),
        (TOPICS.command(VIN, "honk"), "command", "honk"),
        (TOPICS.response(VIN, "honk"), "response", "honk"),
        (TOPICS.request(VIN, "poi"), "request", "poi"),
        (TOPICS.reply(VIN, "poi"), "reply", "poi"),
        (TOPICS.stored(VIN), "stored", ""),
    ],
)
def test_each_topic_is_the_contracts_and_reads_back(topic: str, channel: str, name: str) -> None:
    """`fleet/v1/{vin}/{channel}[/{name}]`."""
    assert topic == f"fleet/v1/{VIN}/{channel}" + (f"/{name}" if name else "")
    assert TOPICS.parse(topic) == Address(channel, VIN, name)  # type: ignore[arg-type]


def test_the_desk_has_its_own() -> None:
    """`{p}/desk/request`, and an answer topic for each tool."""
    assert TOPICS.desk_request() == "fleet/v1/desk/request"
    assert TOPICS.parse(TOPICS.desk_answer("tool-1")) == Address("desk", "", "answer/tool-1")


@pytest.mark.parametrize("build", [TOPICS.status, TOPICS.presence, TOPICS.stored, TOPICS.car_subscriptions])
@pytest.mark.parametrize("vin", ["", "+", "#", VIN + "/x", VIN[:-1] + "O"])
def test_no_topic_of_an_invalid_vin(build: object, vin: str) -> None:
    """The check stands before the topic."""
    with pytest.raises(InvalidVin):
        build(vin)  # type: ignore[operator]


@pytest.mark.parametrize("prefix", ["", "/a", "a/", "a/+/b", "#", "$share/x", "a\0", "a\x1b[31m/v1", "a\n", "\udc80", "a" * 201])
def test_prefixes_that_are_none(prefix: str) -> None:
    """Refused with a hint."""
    with pytest.raises(UsageError) as caught:
        Topics(prefix)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("topic", "reason"),
    [("other/v1/x", "topic"), ("fleet/v1", "topic"), ("fleet/v1/", "vin"), (f"fleet/v1/{VIN}", "topic"),
     (f"fleet/v1/{VIN}/status/x", "topic"), (f"fleet/v1/{VIN}/event", "topic"), (f"fleet/v1/{VIN}/event/", "topic"),
     (f"fleet/v1/{VIN}/event/a/b", "topic"), (f"fleet/v1/{VIN}/nonsense", "topic"), ("fleet/v1/short/status", "vin")],
)  # fmt: skip
def test_what_is_no_topic_is_told_apart(topic: str, reason: str) -> None:
    """Not under the prefix, no such channel, a name too many or too few; an invalid VIN."""
    with pytest.raises(Undecodable) as caught:
        TOPICS.parse(topic)
    assert caught.value.reason == reason


@given(st.text(max_size=60))
def test_no_topic_does_harm(text: str) -> None:
    """Only Undecodable ever comes out."""
    for topic in (text, f"fleet/v1/{text}", f"fleet/v1/{VIN}/{text}"):
        with suppress(Undecodable):
            TOPICS.parse(topic)


def test_a_car_subscribes_to_nothing_but_its_own() -> None:
    """Its commands and replies at QoS 1, storage marks at 0."""
    assert TOPICS.car_subscriptions(VIN) == (
        (f"fleet/v1/{VIN}/command/+", 1),
        (f"fleet/v1/{VIN}/reply/+", 1),
        (f"fleet/v1/{VIN}/stored", 0),
    )
    assert all(qos == 1 for _, qos in TOPICS.backend_subscriptions())


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (TOPICS.status(VIN), "fleet/v1/+/status"),
        (Topics("a/b/c").command(VIN, "honk"), "a/b/c/+/command/honk"),
        (TOPICS.desk_answer("tool-17"), "fleet/v1/desk/answer/+"),
        (TOPICS.desk_request(), "fleet/v1/desk/request"),
        ("elsewhere", "elsewhere"),
    ],
)
def test_topics_of_all_are_counted_together(topic: str, kind: str) -> None:
    """Whose it is does not matter for what is wrong with it."""
    assert Topics().kind_of(topic) == kind
