"""A letter on its way: a row of the outbox, the ways that letters leave on, and what a way says when it could not deliver one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from fleet.cloud.dispatcher import Outcome
from fleet.cloud.rule import Erase
from fleet.kernel.instants import Instant
from fleet.wire.intake import storable

Channel = Literal["mail", "push"]
CHANNELS: Final[tuple[Channel, ...]] = ("mail", "push")
KIND_HEADER: Final = "X-Fleet-Kind"
"""Tells the kind of a mail, for whoever reads mails by machine."""
_LONGEST_DETAIL: Final = 300


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail or push as it is to be delivered. `at` is scenario µs, `made` wall µs; `secret` belongs to a link in it."""

    id: int
    account: str
    address: str
    language: str
    kind: str
    data: Mapping[str, Any]
    vin: str
    channel: Channel
    at: Instant
    made: int
    secret: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The letter's name, which no other has, in this store or another: a receiver knows a repetition by it."""
        return f"{self.channel}-{self.id}.{self.made}"


def is_about(letter: Letter, erased: Erase) -> bool:
    """Tell whether a letter is to somebody, or about a car, that is erased."""
    to_person = bool(erased.account) and letter.account == erased.account
    return to_person or letter.address in erased.words or letter.vin in erased.vins


class NotDelivered(Exception):
    """A try that did not succeed: its outcome, and why in words; neither holds what the letter says."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        self.outcome = outcome
        self.detail = storable(detail[:_LONGEST_DETAIL])
        super().__init__(self.detail)


class Way(Protocol):
    """Delivers letters of a channel. One that is not quick is used by several threads at the same time."""

    is_quick: bool
    """True where a letter is delivered in a moment, and without a network: then no thread is needed."""

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
        """Deliver, or raise NotDelivered; may take a while.

        `hand_over` is called before a letter leaves our hands for good, so that from then on nobody but its receiver can tell
        whether it has arrived. A way whose receiver knows a repetition does not call it. It raises NotDelivered when the letter
        must stay.
        """
        ...

    def remove(self, letter: Letter) -> None:
        """Take away what is kept here of a letter that is erased; nothing where what was delivered is out of reach."""
        ...
