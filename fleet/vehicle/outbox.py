"""The car's outbox: numbers its messages, keeps them until the broker or the store has them, knows the connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from fleet.kernel.instants import Instant
from fleet.vehicle.signals import Transmit
from fleet.wire.commands import COMMANDS
from fleet.wire.messages import CarMessage, Event, Request, Response, Status, Stored
from fleet.wire.services import load_services

OUTBOX_LIMIT: Final = 10_000
"""Messages a car keeps; then the oldest status goes, never an event or a response."""


UNSTORED_LIMIT: Final = 1_000
"""Messages the broker took that are not yet known to be stored; beyond it the car waits before it sends more."""


HELLO: Final = 0
"""Number of the presence, which the outbox does not count: once the broker has acknowledged it, what it held has come before."""
UNTIL_HELLO, UNTIL_RESET = 1, 2
"""Why an outbox is held: the broker may hold a reset that the car has not seen, or the car is to wake for one."""

LEGAL_EVENTS: Final = frozenset(name for name, entry in load_services().events.items() if entry.legal)
URGENT_EVENTS: Final = frozenset(name for name, entry in load_services().events.items() if entry.legal or entry.enrols)
URGENT_COMMANDS: Final = frozenset(name for name, each in COMMANDS.items() if each.entry.legal or each.entry.enrols)
URGENT_REQUESTS: Final = frozenset(name for name, entry in load_services().requests.items() if entry.enrols)
"""All that leaves a car in which nobody is at home: required by law, or part of enrolment, for which somebody stands there."""
MUTED_REASONS: Final = frozenset({"privacy_offline", "not_paired"})
"""Reasons with which a car that is silent refuses what still reaches it."""


def is_priority(message: CarMessage) -> bool:
    """Tell whether a message leaves a car in which nobody is at home, and so before all that may have to wait."""
    match message:
        case Event(name=name):
            return name in URGENT_EVENTS
        case Response(name=name, reason=reason):
            return reason in MUTED_REASONS or name in URGENT_COMMANDS
        case Request(name=name):
            return name in URGENT_REQUESTS
        case _:
            return False


class Entry(msgspec.Struct, gc=False):
    """A message in the outbox, and the course of its delivery.

    The wall times, in µs, are those at which it was due and first sent: the driver notes them here, for the car knows none.
    `was_acknowledged`: the broker took it once, and it goes again until it is stored.
    """

    message: CarMessage
    due_wall_us: int | None = None
    sent_wall_us: int | None = None
    was_acknowledged: bool = False


def _waits(entry: Entry) -> bool:
    return not is_priority(entry.message)


class Outbox:
    """An outbox with one message under way, so that messages of a car arrive in their order.

    With `until_stored` a message the broker took stays here until the back end has said that it is stored; at every
    new connection, and when asked to, each message that is not stored is sent again under its number. Without, the broker's
    acknowledgement is its end. The counters make the car's part of the account:
    created = done + refused + dropped + left_out + in_outbox, where done is `stored` or `acknowledged`.

    Priority messages stand before all else that waits. Numbers follow the order of sending: a priority message gets the
    lowest number that was never sent, and those behind it move up by one. While the car is `muted` the rest stays here, and so it
    does while it is `held` (bits of the causes): a reset that waits for the car is obeyed before anything of the past leaves it.
    """

    __slots__ = (
        "_highest_sent", "_in_flight", "_unstored", "_waiting", "acknowledged", "boot", "connected_since", "created", "dropped",
        "held", "is_connected", "left_out", "limit", "muted", "published", "reachable_since", "refused", "repeated", "stored",
        "uncovered", "until_stored", "wants_connection",
    )  # fmt: skip

    def __init__(self, boot: int, *, limit: int = OUTBOX_LIMIT, until_stored: bool = False) -> None:
        """Start a run of the car's computer; `boot` must differ from every earlier one of this car."""
        self.boot = boot
        self.limit = limit
        self.until_stored = until_stored
        self.uncovered = 0
        self.wants_connection = False
        self.is_connected = False
        self.muted = False
        self.held = 0
        self.reachable_since: Instant = 0
        self.connected_since: Instant = 0
        self.created = 0
        self.published = 0
        self.acknowledged = 0
        self.stored = 0
        self.refused = 0
        self.dropped = 0
        self.left_out = 0
        self.repeated = 0
        self._highest_sent = 0
        self._in_flight: Entry | None = None
        # Made when first needed: an empty deque is 760 bytes.
        self._waiting: deque[Entry] | None = None
        self._unstored: deque[Entry] | None = None

    @property
    def has_coverage(self) -> bool:
        """Whether there is a network here: `uncovered` has a bit for each cause of having none."""
        return not self.uncovered

    def next_seq(self) -> int:
        """Number the next message; every number is used."""
        self.created += 1
        return self.created

    @property
    def is_free(self) -> bool:
        """Whether a message that is put now is sent at once."""
        return (
            self._in_flight is None
            and self._waiting is None
            and self.is_connected
            and not (self.muted or self.held)
            and (self._unstored is None or self._has_room())
        )

    def enqueue(self, message: CarMessage) -> Transmit | None:
        """Take a new message; returns its transmission when nothing is before it."""
        if self.is_free:
            return self._send(Entry(message))
        if self.in_outbox >= self.limit and self._drop_oldest_status(message):
            return None
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(Entry(message))
        return None

    def enqueue_priority(self, message: CarMessage) -> Transmit | None:
        """Take a new message to send before all that waits; returns its transmission when none is under way.

        What was sent before keeps its number, and so its bytes; the others, and the gaps between them, move up by one.
        """
        if self._waiting and self.in_outbox >= self.limit:
            self._drop_oldest_status(message)
        waiting = self._waiting or ()
        ahead = [held for held in waiting if not _waits(held)]
        again = [held for held in waiting if _waits(held) and held.message.seq <= self._highest_sent]
        fresh = [held.message for held in waiting if _waits(held) and held.message.seq > self._highest_sent]
        first = replace(message, seq=fresh[0].seq) if fresh else message
        moved = (Entry(replace(held, seq=held.seq + 1)) for held in fresh)
        self._waiting = deque((*ahead, Entry(first), *again, *moved))
        return self._next() if self._in_flight is None else None

    def redact_unsent(self, change: Callable[[CarMessage], CarMessage | None]) -> None:
        """Put what was never sent through `change`: it stays as it is, becomes another message, or (None) is dropped.

        What was sent stays as it is: it may be stored, and a repetition has the bytes of the first time.
        """
        kept: deque[Entry] = deque()
        for held in self._waiting or ():
            if held.message.seq <= self._highest_sent:
                kept.append(held)
            elif (changed := change(held.message)) is None:
                self.dropped += 1
            else:
                kept.append(Entry(changed))
        self._waiting = kept or None

    def unmute(self) -> Transmit | None:
        """Send what had to wait while muted."""
        self.muted = False
        return self._next() if self._in_flight is None else None

    def hold(self, cause: int) -> None:
        """Send nothing but priority messages before `release` of this cause."""
        self.held |= cause

    def release(self, cause: int) -> Transmit | None:
        """Go on unless there is another cause; returns what is sent now."""
        if not self.held & cause:
            return None
        self.held &= ~cause
        return self._next() if self._in_flight is None else None

    def _drop_oldest_status(self, newcomer: CarMessage) -> bool:
        """Make room; True when the newcomer itself is what has to go. Events and responses are never dropped.

        Nor is what was sent before: it may be stored already.
        """
        for index, held in enumerate(self._waiting or ()):
            if isinstance(held.message, Status) and held.message.seq > self._highest_sent:
                assert self._waiting is not None
                del self._waiting[index]
                self.dropped += 1
                return False
        if isinstance(newcomer, Status):
            self.dropped += 1
            return True
        return False

    def connection_made(self, now: Instant) -> Transmit | None:
        """Go on where the connection broke: repeat what has no outcome, then what is not stored, then send the oldest."""
        self.is_connected = True
        self.connected_since = now
        return self.repeat_unstored()

    def connection_lost(self) -> None:
        """Keep what was under way: it may not have arrived."""
        self.is_connected = False
        self.held &= ~UNTIL_HELLO

    def repeat_unstored(self) -> Transmit | None:
        """Send again, in their order, all that was sent and may not be stored; priority messages first."""
        held = deque(filter(_waits, self._unstored or ())) if self.muted else deque[Entry]()
        again = [entry for entry in self._unstored or () if not held or not _waits(entry)]
        if self._in_flight is not None:
            again.append(self._in_flight)
        self._unstored, self._in_flight = held or None, None
        if again:
            self._waiting = deque(sorted((*again, *(self._waiting or ())), key=_waits))
        return self._next()

    def acknowledge(self, seq: int, *, refused: bool) -> Transmit | None:
        """Take the broker's word for the message under way when `seq` is its number, or for the presence, and send the next."""
        if seq == HELLO:
            return self.release(UNTIL_HELLO)
        entry = self._in_flight
        if entry is None or entry.message.seq != seq:
            return None  # an answer to an earlier connection's copy
        self._in_flight = None
        if refused:
            self.refused += 1
            return self._next()
        if not entry.was_acknowledged:
            self.acknowledged += 1
        if self.until_stored:
            entry.was_acknowledged = True
            if self._unstored is None:
                self._unstored = deque()
            self._unstored.append(entry)
        return self._next() if self._waiting else None

    def leave_out(self, seq: int) -> Transmit | None:
        """Forget the message under way when `seq` is its number: it was not sent in any form. Send the next."""
        entry = self._in_flight
        if entry is None or entry.message.seq != seq:
            return None
        self._in_flight = None
        self.published -= 1
        self.left_out += 1
        return self._next()

    def mark_stored(self, mark: Stored) -> Transmit | None:
        """Forget what the back end has committed; send more where that makes room."""
        if mark.boot != self.boot or self._unstored is None:
            return None
        kept = deque(entry for entry in self._unstored if not mark.covers(entry.message.seq))
        self.stored += len(self._unstored) - len(kept)
        self._unstored = kept or None
        return self._next() if self._in_flight is None else None

    def _has_room(self) -> bool:
        """Tell whether one more may be sent before the back end has said what it has stored."""
        return self.unstored < self.limit and self.unstored < UNSTORED_LIMIT

    def _next(self) -> Transmit | None:
        if not self._waiting or not self.is_connected:
            return None
        if (self.muted or self.held or self.unstored >= UNSTORED_LIMIT) and _waits(self._waiting[0]):
            return None
        entry = self._waiting.popleft()
        if not self._waiting:
            self._waiting = None
        return self._send(entry)

    def _send(self, entry: Entry) -> Transmit:
        self._in_flight = entry
        message = entry.message
        again = message.seq <= self._highest_sent
        if again:
            self.repeated += 1
        else:
            self.published += 1
            self._highest_sent = message.seq
        due_at = message.captured_at
        if due_at < self.reachable_since:  # noqa: PLR1730 (a third of the cost of max())
            due_at = self.reachable_since
        return Transmit(message, due_at, again)

    def entry(self, seq: int) -> Entry:
        """Return the entry of a message that was handed out for sending; raises KeyError when it is no longer here."""
        entry = self._in_flight
        if entry is not None and entry.message.seq == seq:
            return entry
        for held in self._waiting or ():
            if held.message.seq == seq:
                return held
        raise KeyError(seq)

    def awaiting(self, seq: int) -> Entry | None:
        """Return the entry under way with this number, None when there is none or the broker took it before."""
        entry = self._in_flight
        return entry if entry is not None and entry.message.seq == seq and not entry.was_acknowledged else None

    @property
    def oldest_unstored(self) -> int:
        """The number of the first message that the broker took and that is not known to be stored; 0 when there is none."""
        return self._unstored[0].message.seq if self._unstored else 0

    @property
    def unstored(self) -> int:
        """How many messages the broker took that are not yet known to be stored."""
        return len(self._unstored) if self._unstored else 0

    @property
    def in_outbox(self) -> int:
        """How many messages have no final outcome yet, the one under way included."""
        waiting, unstored = self._waiting, self._unstored
        return (self._in_flight is not None) + (len(unstored) if unstored else 0) + (len(waiting) if waiting else 0)

    @property
    def is_sending(self) -> bool:
        """Whether something is still to come of the outbox as things stand; what a silent car holds back is not."""
        if not self.muted or self._in_flight is not None:
            return self.in_outbox > 0
        return not all(map(_waits, (*(self._unstored or ()), *(self._waiting or ()))))

    @property
    def open_seqs(self) -> list[int]:
        """The sequence numbers of the messages without outcome, oldest first."""
        in_flight = (self._in_flight,) if self._in_flight is not None else ()
        return [entry.message.seq for entry in (*(self._unstored or ()), *in_flight, *(self._waiting or ()))]
