"""Proves who somebody is by a password, and bounds how often that can be tried: for each account, and for each origin.

A try counts when its proof comes in, so guesses that are hashed side by side do not pass the bound. A name that nobody has is
counted and refused as one that somebody has. All figures are ours, see `figures.py`.
"""

from __future__ import annotations

import hashlib
from typing import Final

from fleet.cloud.people.names import folded
from fleet.cloud.people.part import Asking, Refused
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, Tries
from fleet.kernel.instants import Duration, Instant

KEPT: Final = 10_000
"""Counts that are kept: who tries more names than that has forgotten ones counted anew, those that lock something last."""


def signed_in(people: People, asking: Asking, name: str) -> Account:
    """Return the account of who asks, once its password is proven; `name` is by what it was named.

    Raises Refused: for a wrong password, or one that was changed meanwhile, as for a name that nobody has; and locked, for any.
    """
    proof = asking.proof("password")
    account = people.accounts.get(asking.asked.person)
    of_account, of_origin = _account_key(account, name), f"origin/{_short(asking.asked.request.origin or '')}"
    figures = people.figures
    bounds = ((of_account, figures.tries), (of_origin, figures.tries_of_origin))
    for key, bound in bounds:
        if count_of(people, key, asking.now) >= bound:
            again = f"try again in {figures.locked_min} minutes, or reset it by a link to the e-mail"
            raise Refused("too_many_tries", f"too many wrong passwords; {again}")
    if account is None or not proof.right or (proof.account, proof.against) != (account.id, account.password_version):
        for key, bound in bounds:
            count(people, key, asking.now, figures.locked, bound)
        raise Refused("wrong_credentials", "the name or the password is wrong")
    people.tries.drop(of_account)
    return account


def check_registrations(people: People, asking: Asking) -> None:
    """Count one more that registers from an origin. Raises Refused after as many as it may guess passwords, for as long.

    A tool that names no origin is of whoever runs the service, and is not counted.
    """
    origin = asking.asked.request.origin
    if origin is None:
        return
    key, figures = f"registers/{_short(origin)}", people.figures
    if count_of(people, key, asking.now) >= figures.tries_of_origin:
        raise Refused("too_many_tries", f"too many people register from there; try again in {figures.locked_min} minutes")
    count(people, key, asking.now, figures.locked, figures.tries_of_origin, renews=False)


def unlock(people: People, account: Account) -> None:
    """Count the wrong passwords of an account anew."""
    people.tries.drop(_account_key(account, ""))


def count_of(people: People, key: str, now: Instant) -> int:
    """Return how much of something there was lately."""
    tries = people.tries.get(key)
    return 0 if tries is None or now >= tries.until else tries.count


def count(people: People, key: str, now: Instant, remembered: Duration, bound: int, *, renews: bool = True) -> None:
    """Count one more, to be remembered for so long from now, or from the first where none `renews` that; at `bound` it locks."""
    before, number = people.tries.get(key), count_of(people, key, now) + 1
    until = now + remembered if renews or before is None or number == 1 else before.until
    if key not in people.tries and len(people.tries) >= KEPT:
        people.tries.make_room(now)
    people.tries.put(key, Tries(count=number, until=until, locks=number >= bound))


def _account_key(account: Account | None, name: str) -> str:
    return f"account/{account.id}" if account is not None else f"name/{_short(folded(name))}"


def _short(text: str) -> str:
    """Return a word of a fixed length for a text of any."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
