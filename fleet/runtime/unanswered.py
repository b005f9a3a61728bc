"""Requests to the desk that it has not answered, and are sent again: those that no broker keeps, and those one should have kept.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.kernel.timers import TimerHeap
from fleet.wire.dialect import is_secret
from fleet.wire.messages import CommandRequest, DeskRequest, EnrolCar, SetSpin

AGAIN_AFTER: Final = 2 * SECOND
LONGEST_PAUSE: Final = 8 * SECOND
KEPT_AGAIN_AFTER: Final = 5 * SECOND
"""For a request that the broker keeps: it gets lost only where the broker has forgotten the desk's session (ours)."""
KEPT_MOST: Final = 50_000
"""Requests that a broker keeps and that are sent again; more are sent once."""
GIVEN_UP_AFTER: Final = 120 * SECOND
"""As long as a request lives that a broker keeps."""

CarRequest = EnrolCar | SetSpin | CommandRequest


@dataclass(slots=True)
class _Entry:
    """A request that was sent: when it is given up, and how long to wait before it is sent again."""

    request: CarRequest
    until: Instant
    pause: Duration = AGAIN_AFTER


@dataclass(slots=True)
class _Car:
    """Requests about one car: the enrolment or setting under way (its id), and those after it."""

    step: str | None = None
    queue: deque[CarRequest] = field(default_factory=deque)


class Unanswered:
    """Requests under way, the secret ones sent again under their ids after 2, 4, 8, 8 … s. Times are wall microseconds.

    Of two requests the first may be lost and the second not. So a car's S-PIN is set when its enrolment is answered, and
    commands go out when that is answered, too. What is no secret is sent once, as the broker keeps it.
    """

    def __init__(self, send: Callable[[CarRequest], None]) -> None:
        """Take what sends a request, or leaves it when there is no connection."""
        self._send = send
        self._entries: dict[str, _Entry] = {}
        self._cars: dict[str, _Car] = {}
        self._timers: TimerHeap[str] = TimerHeap()
        self.given_up = 0

    def ask(self, request: CarRequest, now: Instant) -> None:
        """Send it as soon as its turn comes, and again while there is no answer."""
        self._cars.setdefault(request.vin, _Car()).queue.append(request)
        self._advance(request.vin, now)

    def answered(self, request_id: str, now: Instant) -> None:
        """Send it no more, the desk knows of it; and send what comes after it."""
        if (entry := self._entries.get(request_id)) is not None:
            self._timers.set(request_id, None)
            self._end(entry, now)

    def send_all(self) -> None:
        """Send all secrets again at once, in their order: there is a new connection."""
        for entry in list(self._entries.values()):
            if is_secret(entry.request):
                self._send(entry.request)

    def deadline(self) -> Instant | None:
        """Return when the next one is due."""
        return self._timers.next_deadline()

    def wake(self, now: Instant) -> None:
        """Send those that are due, and give up those that nobody has answered for two minutes."""
        for _, request_id in self._timers.pop_due(now, limit=len(self._entries)):
            entry = self._entries[request_id]
            if now >= entry.until:
                self.given_up += 1
                self._end(entry, now)
                continue
            entry.pause = min(2 * entry.pause, LONGEST_PAUSE)
            self._timers.set(request_id, min(now + entry.pause, entry.until))
            self._send(entry.request)

    def clear(self) -> None:
        """Let go of all."""
        self._entries.clear()
        self._cars.clear()
        self._timers = TimerHeap()

    def _advance(self, vin: str, now: Instant) -> None:
        car = self._cars[vin]
        while car.queue and car.step is None:
            request = car.queue.popleft()
            if not isinstance(request, CommandRequest):
                car.step = request.id
            entry = self._entries[request.id] = _Entry(request, now + GIVEN_UP_AFTER)
            self._timers.set(request.id, now + AGAIN_AFTER if is_secret(request) else entry.until)
            self._send(request)
        if car.step is None:
            self._cars.pop(vin, None)

    def _end(self, entry: _Entry, now: Instant) -> None:
        request = entry.request
        del self._entries[request.id]
        car = self._cars.get(request.vin)
        if car is not None and car.step == request.id:
            car.step = None
            self._advance(request.vin, now)


class Kept:
    """Requests that the broker keeps for the desk, sent again under their ids after 5, 8, 8 … s without an answer.

    A broker that has died has forgotten for whom it keeps them: until the desk is back it takes them for nobody. Times are as
    those of `Unanswered`.
    """

    def __init__(self, send_again: Callable[[DeskRequest], None]) -> None:
        """Take what sends a request again, or leaves it when there is no connection."""
        self._send_again = send_again
        self._entries: dict[str, _KeptEntry] = {}
        self._timers: TimerHeap[str] = TimerHeap()
        self.given_up = 0

    def follow(self, request: DeskRequest, now: Instant) -> None:
        """Have a request that was sent sent again, unless that is so already, or there are too many."""
        if request.id not in self._entries and len(self._entries) < KEPT_MOST:
            self._entries[request.id] = _KeptEntry(request, now + GIVEN_UP_AFTER)
            self._timers.set(request.id, now + KEPT_AGAIN_AFTER)

    def answered(self, request_id: str) -> None:
        """Send it no more: the desk knows of it."""
        if self._entries.pop(request_id, None) is not None:
            self._timers.set(request_id, None)

    def deadline(self) -> Instant | None:
        """Return when the next one is due."""
        return self._timers.next_deadline()

    def wake(self, now: Instant) -> None:
        """Send those that are due, and give up those that nobody has answered for two minutes."""
        for _, request_id in self._timers.pop_due(now, limit=len(self._entries)):
            entry = self._entries[request_id]
            if now >= entry.until:
                self.given_up += 1
                del self._entries[request_id]
                continue
            self._timers.set(request_id, min(now + LONGEST_PAUSE, entry.until))
            self._send_again(entry.request)

    def clear(self) -> None:
        """Let go of all."""
        self._entries.clear()
        self._timers = TimerHeap()


@dataclass(frozen=True, slots=True)
class _KeptEntry:
    """A request that was sent, and when it is given up."""

    request: DeskRequest
    until: Instant
