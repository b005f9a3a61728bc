"""Bounds how often a pairing code can be guessed, in one car and in all together, and addresses. All figures are ours.

A code has 8 digits and counts in its own car alone: who guesses in that car for a whole year is right once in 50 000 times.
"""

from __future__ import annotations

from typing import Final

from fleet.cloud.people.part import Refused
from fleet.cloud.people.people import People
from fleet.cloud.people.sign_in import count, count_of
from fleet.kernel.instants import DAY, Duration, Instant

WRONG_IN_CAR: Final = 5
"""Wrong codes in one car until it takes none for a while, right or wrong."""
WRONG_IN_ALL: Final = 10_000
"""Wrong codes in all cars together, within a day from the first of them."""
LOCKED: Final[Duration] = DAY
"""How long, from the last wrong one in a car; all cars together until that day is over."""
ADDRESSES: Final = 20
"""Addresses that somebody can invite in a day: of each the person learns whether it has an account."""
_ALL: Final = "code"


def check_guesses(people: People, vin: str, now: Instant) -> None:
    """Raise Refused where no code is taken now."""
    for key, most in _bounds(vin):
        if count_of(people, key, now) >= most:
            raise Refused("code_locked", "too many wrong codes were typed; wait for a day")


def wrong_guess(people: People, vin: str, now: Instant) -> None:
    """Count a wrong code."""
    for key, most in _bounds(vin):
        count(people, key, now, LOCKED, most, renews=key != _ALL)


def forget_guesses(people: People, vin: str) -> None:
    """Count anew in a car in which the right code was typed."""
    people.tries.drop(_of_car(vin))


def look_up_address(people: People, account: str, now: Instant) -> None:
    """Count an address of which a person learns whether it has an account. Raises Refused where that were too many."""
    key = f"invited/{account}"
    if count_of(people, key, now) >= ADDRESSES:
        raise Refused("too_many_tries", f"this person has invited {ADDRESSES} addresses; wait for a day")
    count(people, key, now, DAY, ADDRESSES)


def _bounds(vin: str) -> tuple[tuple[str, int], ...]:
    return (_of_car(vin), WRONG_IN_CAR), (_ALL, WRONG_IN_ALL)


def _of_car(vin: str) -> str:
    return f"code/{vin}"
