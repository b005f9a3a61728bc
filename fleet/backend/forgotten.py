"""Knows cars that were erased, by the keyed digest of their VIN, and which of their messages are not taken any more.

A car that was erased whole has nobody at home. What it says is not kept before somebody begins to be, or it calls for help; and
what it has measured before the erasure is never kept, whenever it comes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from fleet.cloud.rule import ErasedCar
from fleet.kernel.instants import Instant
from fleet.wire.messages import Event, FromCar, Request

SPEAKS_AGAIN: Final = frozenset(
    {"car_paired", "user_enrolled", "qr_shown", "key_presented", "ecall", "breakdown_call", "info_call", "enrolment"}
)
"""Events and requests by which an erased car is heard of again: somebody makes it their own, or calls."""
_MARKS_HELD: Final = 100_000


def digest_of_subject(pepper: bytes, subject: str) -> str:
    """Return by what a VIN or an account is known again, and cannot be guessed without the pepper."""
    return "sha256:" + hmac.new(pepper, b"erased\0" + subject.encode(), hashlib.sha256).hexdigest()


class ForgottenCars:
    """The cars that were erased. Empty, it costs a message nothing but a look."""

    def __init__(self, pepper: bytes) -> None:
        """Take the pepper, with which nobody who has the store alone can tell whose digest it is."""
        self._pepper = pepper
        self._marks: dict[str, ErasedCar] = {}
        self._known: dict[str, ErasedCar | None] = {}

    def __bool__(self) -> bool:
        return bool(self._marks)

    def digest(self, subject: str) -> str:
        """Return the digest of a VIN or an account."""
        return digest_of_subject(self._pepper, subject)

    def begin(self, cars: Iterable[ErasedCar]) -> None:
        """Begin with those that the store knows, whose VIN it does not."""
        self._marks.clear()
        self._known.clear()
        self.note(cars)

    def note(self, cars: Iterable[ErasedCar]) -> None:
        """Know these from now on; of one that was erased before the later times hold."""
        for car in cars:
            before = self._marks.get(car.digest, car)
            self._marks[car.digest] = ErasedCar(
                "", car.whole or before.whole, max(car.until, before.until), car.digest, max(car.ahead_until, before.ahead_until)
            )
        self._known.clear()

    def mark(self, vin: str) -> ErasedCar | None:
        """Return how a car was erased, None for one that was not."""
        if not self._marks:
            return None
        if vin in self._known:
            return self._known[vin]
        if len(self._known) >= _MARKS_HELD:
            self._known.clear()
        found = self._known[vin] = self._marks.get(self.digest(vin))
        return found

    def refuses(self, message: FromCar, *, is_known: bool, plausible: Instant) -> bool:
        """Tell whether a message is not kept; `is_known` says that the car has been heard of (again).

        `plausible` is the latest time at which a car can have measured anything by now.
        """
        mark = self.mark(message.vin)
        if mark is None:
            return False
        if message.captured_at <= mark.until or plausible < message.captured_at <= mark.ahead_until:
            return True
        return mark.whole and not is_known and not speaks_again(message)


def speaks_again(message: object) -> bool:
    """Tell whether with this message an erased car is heard of again."""
    return isinstance(message, Event | Request) and message.name in SPEAKS_AGAIN
