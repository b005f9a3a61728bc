"""Confirmations of a back end under test: one for each message that bears a number, and one for each that does not."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError
from fleet.runtime.confirmations import Confirmations, checked_filter
from fleet.transport.link import BackOff, Delivery, Link, LinkOwner, LinkSettings
from fleet.wire.frame import Frame
from fleet.wire.messages import Event
from fleet.wire.numbering import NUMBER, number_of

VIN = "VSSZZZKMZRR000001"


class NoLink:
    """A link that is never there, and remembers what it was to subscribe."""

    is_up = False

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.acknowledged = 0

    def open(self) -> None: ...

    def publish(self, frame: Frame, token: int) -> None: ...

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged += 1

    def drop(self) -> None: ...

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None: ...


def counting() -> tuple[Confirmations, NoLink]:
    made: list[NoLink] = []

    def links(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:
        made.append(NoLink(settings))
        return made[0]

    confirmations = Confirmations(links, "acks/+", username="tool", password=None, wall_us=lambda: 1_500)
    return confirmations, made[0]


def confirm(confirmations: Confirmations, *properties: tuple[str, str]) -> None:
    frame = Frame(topic=f"acks/{VIN}", payload=b"", user_properties=properties)
    confirmations.link_received(Delivery(frame, 1, 1))


def numbered(seq: int) -> tuple[str, str]:
    return number_of(Event(vin=VIN, boot=1, seq=seq, captured_at=1, due_wall_us=1_000, sent_wall_us=1_100, name="trip"))


def test_a_number_is_counted_once_and_tells_how_long_it_took() -> None:
    """A confirmation that comes twice is a duplicate."""
    confirmations, link = counting()
    for seq in (1, 2, 2, 5):
        confirm(confirmations, ("other", "x"), numbered(seq))
    found = confirmations.to_plain()
    assert (found["stored"], found["duplicates"], found["numbered"]) == (3, 1, 4)
    assert confirmations.latency.count == 3
    assert link.acknowledged == 4
    assert link.settings.subscriptions == (("acks/+", 1),)


def test_a_message_of_several_frames_is_stored_once_and_no_duplicate() -> None:
    """A back end confirms each frame that it gets; only the same frame again is a duplicate."""
    confirmations, _ = counting()
    event = Event(vin=VIN, boot=1, seq=3, captured_at=1, name="trip")
    for part in (1, 2, 3, 2):
        confirm(confirmations, number_of(event, part, 3))
    confirm(confirmations, numbered(2))
    confirm(confirmations, numbered(0))
    told = confirmations.to_plain()
    assert (told["stored"], told["duplicates"]) == (2, 1)


def test_without_numbers_each_is_a_message() -> None:
    """Nor is a number that cannot be read one."""
    confirmations, _ = counting()
    confirm(confirmations)
    confirm(confirmations, (NUMBER, "nonsense"))
    found = confirmations.to_plain()
    assert (found["stored"], found["duplicates"], found["numbered"]) == (2, 0, 0)
    assert confirmations.latency.count == 0


def test_a_confirmed_presence_is_no_duplicate() -> None:
    """It has no number of its own, and stands in no account."""
    confirmations, link = counting()
    for seq in (0, 1, 0):
        confirm(confirmations, numbered(seq))
    found = confirmations.to_plain()
    assert (found["stored"], found["duplicates"]) == (1, 0)
    assert link.acknowledged == 3


@pytest.mark.parametrize("topic", ["acks/+", "acks/#", "#", "+/x/+", "acks"])
def test_a_filter_is_taken_as_it_is(topic: str) -> None:
    assert checked_filter(topic) == topic


@pytest.mark.parametrize("topic", ["", "a+/b", "#/a", "a/#b", "a\x00b", "x" * 2_000])
def test_what_is_no_filter_is_refused(topic: str) -> None:
    with pytest.raises(UsageError, match="is no topic filter"):
        checked_filter(topic)
