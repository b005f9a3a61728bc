"""The car's modem: numbers its messages, keeps them until the broker has them, and knows whether there is coverage."""

from __future__ import annotations

from collections import deque
from typing import Final

from fleet.kernel.instants import Instant
from fleet.vehicle.signals import Transmit
from fleet.wire.messages import CarMessage, Status

OUTBOX_LIMIT: Final = 10_000
"""Messages a car keeps; then the oldest status goes, never an event or a response."""


class Telematics:
    """An outbox with one message under way, so that messages of a car arrive in their order.

    The counters make the car's part of the account: created = acknowledged + refused + dropped + in_outbox.
    """

    __slots__ = (
        "_in_flight",
        "_waiting",
        "acknowledged",
        "boot",
        "covered",
        "created",
        "dropped",
        "is_up",
        "limit",
        "published",
        "reachable_since",
        "refused",
        "repeated",
        "up_since",
        "wanted",
    )  # fmt: skip

    def __init__(self, boot: int, *, limit: int = OUTBOX_LIMIT) -> None:
        """Start a run of the car's computer; `boot` must differ from every earlier one of this car."""
        self.boot = boot
        self.limit = limit
        self.covered = True
        self.wanted = False
        self.is_up = False
        self.reachable_since: Instant = 0
        self.up_since: Instant = 0
        self.created = 0
        self.published = 0
        self.acknowledged = 0
        self.refused = 0
        self.dropped = 0
        self.repeated = 0
        self._in_flight: CarMessage | None = None
        self._waiting: deque[CarMessage] | None = None  # made when first needed: an empty deque is 760 bytes

    def next_seq(self) -> int:
        """Number the next message; every number is used."""
        self.created += 1
        return self.created

    def put(self, message: CarMessage) -> Transmit | None:
        """Take a new message; returns its transmission when nothing is before it."""
        if self.is_up and self._in_flight is None and not self._waiting:
            return self._first(message)
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) + (self._in_flight is not None) >= self.limit and self._drop_oldest_status(message):
            return None
        self._waiting.append(message)
        return None

    def _drop_oldest_status(self, newcomer: CarMessage) -> bool:
        """Make room; True when the newcomer itself is what has to go. Events and responses are never dropped."""
        assert self._waiting is not None
        for index, held in enumerate(self._waiting):
            if isinstance(held, Status):
                del self._waiting[index]
                self.dropped += 1
                return False
        if isinstance(newcomer, Status):
            self.dropped += 1
            return True
        return False

    def link_up(self, now: Instant) -> Transmit | None:
        """Go on where the connection broke: repeat what has no outcome, else send the oldest."""
        self.is_up = True
        self.up_since = now
        if self._in_flight is not None:
            self.repeated += 1
            return Transmit(self._in_flight, self._due(self._in_flight), again=True)
        return self._next()

    def link_down(self) -> None:
        """Keep what was under way: it may not have arrived."""
        self.is_up = False

    def acknowledge(self, seq: int, *, refused: bool) -> Transmit | None:
        """Forget the message under way when `seq` is its number, and send the next."""
        if self._in_flight is None or self._in_flight.seq != seq:
            return None  # an answer to an earlier connection's copy
        self._in_flight = None
        if refused:
            self.refused += 1
        else:
            self.acknowledged += 1
        return self._next()

    def _next(self) -> Transmit | None:
        if not self._waiting or not self.is_up:
            return None
        message = self._waiting.popleft()
        if not self._waiting:
            self._waiting = None
        return self._first(message)

    def _first(self, message: CarMessage) -> Transmit:
        self._in_flight = message
        self.published += 1
        return Transmit(message, self._due(message))

    def _due(self, message: CarMessage) -> Instant:
        return max(message.captured_at, self.reachable_since)

    @property
    def in_outbox(self) -> int:
        """How many messages have no outcome yet, the one under way included."""
        return (self._in_flight is not None) + (len(self._waiting) if self._waiting else 0)

    @property
    def outbox_seqs(self) -> list[int]:
        """The sequence numbers of the messages without outcome, oldest first."""
        held = [self._in_flight] if self._in_flight is not None else []
        return [message.seq for message in (*held, *(self._waiting or ()))]
