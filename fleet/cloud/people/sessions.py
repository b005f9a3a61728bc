"""Sessions of apps: opened by a log-in, renewed by a secret that does so once, ended by many things. See `figures.py`, too.

Of a session that ends when nobody uses it, each use would be a note in the store; so it is noted when the last one is some
seconds old.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fleet.cloud.people.part import Asking, Refused
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, Session
from fleet.cloud.people.tokens import digest_of
from fleet.kernel.instants import SECOND, Duration, Instant

NOTED_EVERY: Final = 15 * SECOND
"""How old the last noted use is, at most, in a session that ends when nobody uses it."""


def open_session(people: People, account: Account, device: str, asking: Asking) -> dict[str, str]:
    """Begin a session, and return its secrets: what to ask in it with, and what renews it."""
    for key in people.sessions.of(account.id)[: 1 - people.figures.sessions or None]:
        people.sessions.drop(key)  # the oldest make room
    return _put(people, Session(account=account.id, device=device, began=asking.now, used=0, ends=0), asking)


def renew(people: People, asking: Asking) -> tuple[Session, dict[str, str]]:
    """Renew a session by its secret, which holds no more then, and return it with its new secrets. Raises Refused."""
    key = people.sessions.renewed_by(asking.proof("refresh").digest)
    session = people.sessions.get(key)
    if key is None or session is None or asking.now >= session.refresh_ends or people.is_idle(session, asking.now):
        raise Refused("session_ended", "this session is over, or was renewed by somebody else; log in again")
    people.sessions.drop(key)
    secrets = _put(people, session, asking)
    return session, secrets


def _put(people: People, session: Session, asking: Asking) -> dict[str, str]:
    token, refresh = asking.fresh(0), asking.fresh(1)
    renewed = replace(
        session,
        used=asking.now,
        ends=asking.now + people.figures.token_lifetime,
        refresh=digest_of(refresh),
        refresh_ends=asking.now + people.figures.renewed_for,
    )
    people.sessions.put(digest_of(token), renewed)
    return {"session": token, "refresh": refresh}


def end_sessions(people: People, account: str, *, but: str | None = None, device: str | None = None) -> int:
    """End the sessions of an account, of one device or of all, but for one; return how many."""
    ended = [
        key for key in people.sessions.of(account) if key != but and device in {None, people.sessions[key].device}
    ]  # fmt: skip
    for key in ended:
        people.sessions.drop(key)
    return len(ended)


def is_to_be_noted(people: People, digest: str, now: Instant) -> bool:
    """Tell whether the use of a session is to be noted."""
    session = people.sessions.get(digest)
    account = None if session is None else people.accounts.get(session.account)
    if session is None or account is None or account.relogin_min is None:
        return False
    return now - session.used >= NOTED_EVERY


def used(people: People, digest: str, now: Instant) -> None:
    """Note that somebody does something in a session."""
    if is_to_be_noted(people, digest, now) and people.in_session(digest, now) is not None:
        people.sessions.put(digest, replace(people.sessions[digest], used=now))


def use_all(people: People, account: str, now: Instant) -> None:
    """Count from now on for how long nobody uses a session: until now it did not matter."""
    for key in people.sessions.of(account):
        people.sessions.put(key, replace(people.sessions[key], used=now))


def shift(people: People, by: Duration) -> None:
    """Move all times of sessions, as scenario time was set anew: what was left of them is left."""
    for key, session in list(people.sessions.items()):
        moved = replace(
            session,
            began=session.began + by,
            used=session.used + by,
            ends=session.ends + by,
            refresh_ends=session.refresh_ends + by,
        )
        people.sessions.put(key, moved)
