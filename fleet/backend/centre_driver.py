"""Runs the service centre: gives it what is new and the time, and passes on what it wants stored, sent and asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from fleet.backend.batching import Pending
from fleet.backend.decisions import ReplyGiven, ReplyPublished
from fleet.backend.store import Loaded
from fleet.cloud.centre import (
    AskCar,
    CentreInput,
    CentreOutput,
    CommandEnded,
    Keep,
    Notify,
    Rule,
    SendReply,
    ServiceAsked,
    ServiceCentre,
    vins_of,
)
from fleet.cloud.desk import LONGEST_EXPIRY_S, SHORTEST_EXPIRY_S
from fleet.cloud.desk_io import Answer
from fleet.cloud.registry import RULES
from fleet.kernel.instants import LATEST, SECOND, Clock, Instant
from fleet.wire.messages import DeskAnswer, Event, Reply, Request, ServiceRequest

_LONGEST_SLEEP_S: Final = 3600.0
_AFTER_FAILURE_S: Final = 60.0
_log = structlog.get_logger(__name__)


class CentreFactory(Protocol):
    """Makes service centres; `ServiceCentre` is one."""

    def __call__(self, rules: Sequence[type[Rule]], state: Mapping[str, Mapping[str, Any]]) -> ServiceCentre: ...


class CentreDriver:
    """The service centre in an event loop. What it decides goes into the batch that `collecting` returns."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        clock: Callable[[], Clock],
        now: Callable[[], Instant],
        clock_is_known: Callable[[], bool],
        wall_us: Callable[[], int],
        collecting: Callable[[], Pending],
        changed: Callable[[], None],
        knows: Callable[[str], bool],
        ask_car: Callable[[AskCar], None],
        warn: Callable[[str], None],
        make_centre: CentreFactory = ServiceCentre,
        rules: Sequence[type[Rule]] = RULES,
    ) -> None:
        """Take the centre up where the store left it; `clock` and `now` bring the time, `knows` tells whether a VIN is
        that of a car, `ask_car` has the desk send a command, the rest is as for the desk.

        Until `clock_is_known`, what a car says happened when it says so: cars may be heard before scenario time is announced.
        """
        self._clock = clock
        self._now = now
        self._clock_is_known = clock_is_known
        self._wall_us = wall_us
        self._collecting = collecting
        self._changed = changed
        self._knows = knows
        self._ask_car = ask_car
        self._warn = warn
        self._centre = make_centre(rules, loaded.services)
        self.wants = self._centre.wants
        """Tells whether the centre is to be given a message, should it be new."""
        self._unpublished = loaded.replies
        self._timer: asyncio.TimerHandle | None = None
        self._failed: set[str] = set()

    def start(self) -> None:
        """Publish again the replies of which nobody knows whether the broker took them, as long as they are of use."""
        unpublished, self._unpublished = self._unpublished, []
        now = self._now()
        for given in unpublished:
            if given.expires_at > now:
                self._collecting().after_commit(given)
        self._rearm()
        self._changed()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def feed(self, message: Event | Request | CommandEnded) -> None:
        """Give the centre an input and perform what comes out."""
        if not self._give(message) and isinstance(message, Request):
            reply = Reply(id=message.id, name=message.name, error="internal")
            self._perform([SendReply(message.vin, reply, 5 * 60 * SECOND)])

    def ask(self, request: ServiceRequest, answer_topic: str) -> None:
        """Take what a tool asks."""
        unknown = tuple(vin for vin in vins_of(request) if not self._knows(vin))
        if self._give(ServiceAsked(request, answer_topic, unknown)):
            return
        detail = "the service failed; what was asked may have been done in part"
        answer = DeskAnswer(id=request.id[:100], state="failed", reason="internal", detail=detail, final=True, at=self._now())
        self._perform([Answer(answer_topic, answer)])

    def replied(self, given: ReplyGiven) -> None:
        """Note that the broker knows of a reply."""
        self._collecting().write(ReplyPublished(given.vin, given.reply.id), self._wall_us())
        self._changed()

    def expiry_s(self, until: Instant) -> int:
        """Return how many wall seconds the broker keeps what is of use until then."""
        wall_s = (until - self._now()) / (SECOND * self._clock().factor)
        return min(max(math.ceil(wall_s), SHORTEST_EXPIRY_S), LONGEST_EXPIRY_S)

    def clock_changed(self) -> None:
        """See when the next deadline comes now."""
        self._rearm()

    def _give(self, message: CentreInput) -> bool:
        """Tell whether the centre took it. What one message or one rule has wrong must not stop the others."""
        now = self._now()
        if isinstance(message, Event | Request) and not self._clock_is_known():
            now = min(message.captured_at, LATEST)
        return self._try(lambda: self._centre.receive(message, now), type(message).__name__)

    def _wake(self) -> None:
        self._timer = None
        if not self._try(lambda: self._centre.wake(self._now()), "deadline"):
            self._timer = asyncio.get_running_loop().call_later(_AFTER_FAILURE_S, self._wake)

    def _try(self, step: Callable[[], Sequence[CentreOutput]], what: str) -> bool:
        try:
            outputs = step()
        except Exception as error:  # noqa: BLE001 (it is told; the other messages and rules go on)
            _log.exception("a rule of the service centre failed", input=what)
            if what not in self._failed:
                self._failed.add(what)
                self._warn(f"a rule of the service centre failed on a {what}: {type(error).__name__}: {error}"[:300])
            return False
        self._perform(outputs)
        return True

    def _perform(self, outputs: Iterable[CentreOutput]) -> None:
        pending, now, wall_us = self._collecting(), self._now(), self._wall_us()
        asked: list[AskCar] = []
        for output in outputs:
            match output:
                case SendReply():
                    given = ReplyGiven(output.vin, output.reply, now, now + output.lifetime)
                    pending.write(given, wall_us)
                    pending.after_commit(given)
                case Notify() | Keep():
                    pending.write(output, wall_us)
                case Answer(topic=topic, answer=answer):
                    pending.answer(topic, answer, wall_us)
                case AskCar():
                    asked.append(output)
        for command in asked:  # last, since its end can come back at once
            self._ask_car(command)
        self._rearm()
        self._changed()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._centre.deadline()
        if deadline is not None:
            clock = self._clock()
            wait_s = (clock.wall_us_at(deadline) - clock.wall_us()) / 1_000_000
            self._timer = asyncio.get_running_loop().call_later(min(max(wait_s, 0.0), _LONGEST_SLEEP_S), self._wake)
