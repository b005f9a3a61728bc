"""Cars' ends of a dialect in which a message is more than one frame: what of them is under way, and what they leave out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import structlog

from fleet.errors import PublishRefused, Undecodable, Unwritable, error_place
from fleet.kernel.instants import Clock, Instant
from fleet.vehicle.car import Car
from fleet.vehicle.rules import not_equipped
from fleet.vehicle.signals import Acknowledged, LeftOut
from fleet.wire.commands import COMMANDS
from fleet.wire.dialect import CarEnd, CarFacts, Dialect, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, FromCar, Presence, Status

REASONS_NAMED: Final = 100
"""Different reasons for leaving a message out that are counted apart."""

T = TypeVar("T")
_NOTHING: Final[Sequence[Frame | Command]] = ()

log = structlog.get_logger()


def facts_of(car: Car) -> CarFacts:
    """Return what topics and payloads may name of a car."""
    model = car.equipment.model
    commands = frozenset(name for name, known in COMMANDS.items() if not_equipped(car, known) is None)
    return CarFacts(
        vin=car.vin, client_id=car.vin, model=model, fleet=car.settings.fleet, name=f"{model} {car.vin[-6:]}", commands=commands
    )


class EndOnLink:
    """A car's end of a dialect on its link. One message is under way at a time; it is published when all its frames are.

    The end may be a user's: what it raises is counted and told, and costs one message, not the cars of this process.
    """

    __slots__ = ("_awaited", "_car", "_end", "_left_out", "_refusal", "waiting")

    def __init__(self, car: Car, end: CarEnd, left_out: Counter[str]) -> None:
        """Take the car, its end, and where to count what is left out."""
        self._car = car
        self._end = end
        self._left_out = left_out
        self._awaited = 0
        self._refusal: PublishRefused | None = None
        self.waiting: deque[LeftOut | Acknowledged] = deque()
        """The outcomes of messages without a frame, of which the car has not been told."""

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """The filters of the car."""
        return self._tried(lambda: self._end.subscriptions, ())

    def will(self, presence: Presence) -> Frame | None:
        """Return the will of a connection."""
        return self._tried(lambda: self._end.will(presence), None)

    # --- messages of the car

    def frames_of(self, message: FromCar, now: Instant, *, again: bool) -> Sequence[Frame]:
        """Return the frames of a numbered message, whose outcomes are awaited.

        Without frames its outcome waits: it is left out, and counted; or, when it was sent before, taken for acknowledged then.
        """
        self._refusal = None
        frames = self._tried(lambda: self._end.write(message, now), None)
        if frames is not None and not frames and not again:
            self._count(_kind_of(message))
        if not frames:
            self.waiting.append(Acknowledged(message.seq) if again else LeftOut(message.seq))
        self._awaited = len(frames or ())
        return frames or ()

    def announcement(self, presence: Presence, now: Instant) -> Sequence[Frame]:
        """Return the frames that begin a connection; a car that is silent says no more than that it is there."""
        begun: Sequence[Frame] = self._tried(lambda: self._end.connected(now), ())
        return (*(() if self._car.outbox.muted else begun), *self.farewell(presence, now))

    def farewell(self, presence: Presence, now: Instant) -> Sequence[Frame]:
        """Return the frames of a presence."""
        return self._tried(lambda: self._end.write(presence, now), ())

    def clear(self) -> Sequence[Frame]:
        """Return what makes the broker forget what it retains of the car."""
        return self._tried(self._end.clear, ())

    def _tried(self, call: Callable[[], T], otherwise: T) -> T:
        """Return what the end returns, or `otherwise` where it raises: that is counted."""
        try:
            return call()
        except Unwritable as error:
            self._count(f"{error.reason}: {error.detail}")
        except Exception as error:  # noqa: BLE001 (a user's end must not stop all the other cars)
            self._count(f"internal: {error_place(error)}")
        return otherwise

    def _count(self, reason: str) -> None:
        known = self._left_out
        if reason not in known and len(known) >= REASONS_NAMED:
            reason = "other reasons"
        if not known[reason]:
            log.info("the dialect leaves a message out", vin=self._car.vin, message=reason)
        known[reason] += 1

    # --- acknowledgements

    def outcome(self, error: PublishRefused | None) -> tuple[bool, PublishRefused | None]:
        """Take the outcome of a frame; tell whether it was the message's last, and the first refusal of one of them."""
        self._refusal = self._refusal or error
        self._awaited -= 1
        return self._awaited == 0, self._refusal

    # --- by itself

    def read(self, frame: Frame, now: Instant) -> Heard:
        """Read a frame for the car; a car that is silent answers nothing by itself. Raises Undecodable."""
        try:
            heard = self._end.read(frame, now)
        except Undecodable:
            raise
        except Exception as error:
            raise Undecodable("internal", error_place(error)) from error
        return Heard(heard.messages) if self._car.outbox.muted else heard

    def wake(self, now: Instant) -> Heard:
        """Return the commands and frames that are due; no frames of a car that is silent or has no connection."""
        due = self._tried(self._end.deadline, None)
        if due is None or due > now:
            return Heard()
        woken: Sequence[Frame | Command] = self._tried(lambda: self._end.wake(now), _NOTHING)
        commands = tuple(each for each in woken if isinstance(each, Command))
        outbox = self._car.outbox
        speaks = outbox.is_connected and not outbox.muted
        return Heard(commands, tuple(each for each in woken if isinstance(each, Frame)) if speaks else ())

    def sooner(self, deadline: Instant | None) -> Instant | None:
        """Return the earlier of the car's deadline and its own."""
        own = self._tried(self._end.deadline, None)
        return deadline if own is None else own if deadline is None else min(own, deadline)


def _kind_of(message: FromCar) -> str:
    kind = type(message).__name__.lower()
    return kind if isinstance(message, Status | Presence) else f"{kind} {message.name}"


def end_of(car: Car, dialect: Dialect, clock: Clock, left_out: Counter[str]) -> EndOnLink | None:
    """Return a car's end of a dialect, None where a message is a frame."""
    if not dialect.has_ends:
        return None
    end = dialect.car_end(facts_of(car), lambda: car.snapshot(clock.now()))
    return None if end is None else EndOnLink(car, end, left_out)
