"""S-PINs as the desk handles them: tries, locks, tokens, and one verification at a time per user. Hashes nothing.

Verifications of one user wait for each other, because guesses that run side by side would all see the same count.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from itertools import dropwhile
from typing import Final

from msgspec.structs import replace

from fleet.cloud.car_settings import NEVER, Number
from fleet.cloud.desk_io import DeskOutput, HashSpin, RemoveUser, SpinHash, StoreUser, UserRecord, VerifySpin
from fleet.kernel.instants import MINUTE, Duration, Instant

PRIMARY: Final = "primary"
"""The name of the user that every car has until accounts exist."""
TRIES: Final = 3
TOKEN_LIFETIME: Final = 5 * MINUTE
TOKENS_PER_USER: Final = 4
WAITING_PER_USER: Final = 8
JOBS: Final = 1_000
"""Verifications under way or waiting, of all users."""

UserKey = tuple[str, str]
"""VIN and user name."""

_HOW_TO_SET: Final = "no S-PIN is set for this car; set one: fleet user set-spin {}"
_FORMAT: Final = re.compile(r"[0-9]{4}")
_LIKE_ONE: Final = re.compile(r"\s*(\d\s*){4}")


@dataclass(frozen=True, slots=True)
class DeskRefusal:
    """Why not: a reason of the contract and words for people."""

    reason: str
    detail: str


FOREVER: Final[Number] = (2**63, 0)
"""After every message of a car."""
BUSY: Final = DeskRefusal("busy", "too many S-PINs are being checked; ask again in a moment")
LOCKED: Final = DeskRefusal("spin_locked", "three wrong S-PINs locked it; setting a new one unlocks it")
FORGOTTEN: Final = DeskRefusal("insufficient_rights", "this user was deleted meanwhile")
BAD_FORMAT: Final = DeskRefusal("malformed", "an S-PIN has exactly 4 digits")
MISPLACED: Final = DeskRefusal("malformed", "VIN, name or user has the form of an S-PIN (4 digits); it is kept nowhere")


@dataclass(frozen=True, slots=True)
class SpinJob:
    """One S-PIN to be verified for a command, or (`sets`) to be hashed and kept; `given` is as of a `UserRecord`."""

    job: int
    request_id: str
    spin: str = field(repr=False)
    sets: bool
    answer_topic: str = ""
    given: Number = NEVER


@dataclass(frozen=True, slots=True)
class Decision:
    """How a job ended: passed when `refusal` is None; a right S-PIN brings a token."""

    job: SpinJob
    refusal: DeskRefusal | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Lane:
    """One user's jobs: the one under way, and those that wait for it."""

    running: SpinJob
    waiting: deque[SpinJob] = field(default_factory=deque)


class SpinGuard:
    """All users with their S-PINs, tries and tokens."""

    def __init__(self, users: Iterable[UserRecord] = ()) -> None:
        """Start from the users the store holds. Tokens are not kept across a restart."""
        self._users = {(user.vin, user.name): user for user in users}
        self._tokens: dict[UserKey, list[tuple[str, Instant]]] = {}
        self._lanes: dict[UserKey, _Lane] = {}
        self._keys: dict[int, UserKey] = {}
        self._waiting = 0
        self._next_job = 1

    def enrol(self, vin: str, name: str, given: Number = NEVER) -> tuple[UserRecord | None, list[DeskOutput]]:
        """Return the user, or None when there is none of that name; the primary user is enrolled when first met."""
        user = self._users.get((vin, name))
        if user is not None or name != PRIMARY:
            return user, []
        user = self._users[vin, name] = UserRecord(vin, name, given=given)
        return user, [StoreUser(user)]

    def meet(self, key: UserKey) -> list[DeskOutput]:
        """Know an account from now on; one that is known stays as it is."""
        if key in self._users:
            return []
        return [self._change(key, UserRecord(*key))]

    def keep(self, key: UserKey, spin: SpinHash) -> tuple[list[Decision], list[DeskOutput]]:
        """Keep a new S-PIN that was hashed elsewhere; one that is being verified meanwhile has to be asked for again."""
        self._tokens.pop(key, None)
        user = self._users.get(key) or UserRecord(*key)
        changed = self._change(key, replace(user, spin=spin, wrong_tries=0, locked=False))
        lane = self._lanes.get(key)
        if lane is None:
            return [], [changed]
        return self._go_on(lane.running.job, Decision(lane.running, BUSY), [changed])

    def unlock(self, key: UserKey) -> list[DeskOutput]:
        """Count wrong tries anew."""
        user = self._users.get(key)
        if user is None or not (user.locked or user.wrong_tries):
            return []
        return [self._change(key, replace(user, wrong_tries=0, locked=False))]

    def forget_account(self, key: UserKey) -> tuple[list[Decision], list[DeskOutput]]:
        """Forget the S-PIN of an account and refuse what waits for it."""
        return self.forget(*key, before=FOREVER)

    def refusal(self, key: UserKey, spin: str | None) -> DeskRefusal | None:
        """Return why `spin` of a user need not be verified at all, None when it has to be."""
        standing = self._standing(key)
        if standing is not None and not self._is_being_set(key):
            return standing
        if spin is None:
            return DeskRefusal("spin_required", "this command needs the S-PIN, or a token that is still valid")
        return None if is_spin(spin) else BAD_FORMAT

    def _standing(self, key: UserKey) -> DeskRefusal | None:
        """Return why no S-PIN of this user can be right as things stand."""
        user = self._users[key]
        if user.locked:
            return LOCKED
        if user.spin is None:
            return DeskRefusal(
                "spin_required", _HOW_TO_SET.format(key[0]) if key[0] else "no S-PIN is set for this account; set one in the app"
            )
        return None

    def _is_being_set(self, key: UserKey) -> bool:
        """Tell whether a new S-PIN is being hashed: later requests are judged by it."""
        lane = self._lanes.get(key)
        return lane is not None and any(job.sets for job in (lane.running, *lane.waiting))

    def token_valid(self, key: UserKey, token: str | None, now: Instant) -> bool:
        """Tell whether `token` was given to this very user less than five minutes ago."""
        if token is None or self._users[key].locked:
            return False
        held = [entry for entry in self._tokens.get(key, ()) if now < entry[1]]
        if held:
            self._tokens[key] = held
        else:
            self._tokens.pop(key, None)
        return any(compare_digest(token.encode(), known.encode()) for known, _ in held)

    def submit(
        self, key: UserKey, request_id: str, spin: str, *, sets: bool, answer_topic: str = "", given: Number = NEVER
    ) -> list[DeskOutput] | None:
        """Take up a job; return what starts it (nothing when it waits its turn), or None when there is no room."""
        lane = self._lanes.get(key)
        if self._waiting >= JOBS or (lane is not None and len(lane.waiting) >= WAITING_PER_USER):
            return None
        job = SpinJob(self._next_job, request_id, spin, sets, answer_topic, given)
        self._next_job += 1
        self._waiting += 1
        if lane is not None:
            lane.waiting.append(job)
            return []
        self._lanes[key] = _Lane(job)
        return [self._start(key, job)]

    def verified(self, number: int, right: bool, token: str, now: Instant) -> tuple[list[Decision], list[DeskOutput]]:
        """Count the try and decide the job and, when it locked the S-PIN, all that wait behind it."""
        key = self._keys.get(number)
        if key is None:
            return [], []
        user = self._users[key]
        job = self._lanes[key].running
        outputs: list[DeskOutput] = []
        if right:
            if user.wrong_tries:
                outputs.append(self._change(key, replace(user, wrong_tries=0)))
            tokens = self._tokens.setdefault(key, [])
            tokens.append((token, now + TOKEN_LIFETIME))
            del tokens[:-TOKENS_PER_USER]
            decision = Decision(job, token=token)
        else:
            wrong = user.wrong_tries + 1
            outputs.append(self._change(key, replace(user, wrong_tries=wrong, locked=wrong >= TRIES)))
            decision = Decision(job, DeskRefusal("spin_wrong", _tries_left(TRIES - wrong)))
            if wrong >= TRIES:
                self._tokens.pop(key, None)
        return self._go_on(number, decision, outputs)

    def hashed(self, number: int, spin: SpinHash) -> tuple[list[Decision], list[DeskOutput]]:
        """Keep a new S-PIN: the count starts again, a lock ends, tokens of the old one are void."""
        key = self._keys.get(number)
        if key is None:
            return [], []
        self._tokens.pop(key, None)
        job = self._lanes[key].running
        changed = self._change(key, replace(self._users[key], spin=spin, wrong_tries=0, locked=False, given=job.given))
        return self._go_on(number, Decision(job), [changed])

    def failed(self, number: int) -> tuple[list[Decision], list[DeskOutput]]:
        """Give a job up without counting a try."""
        key = self._keys.get(number)
        if key is None:
            return [], []
        return self._go_on(number, Decision(self._lanes[key].running, BUSY), [])

    def shift(self, by: Duration) -> None:
        """Move the end of all tokens, because scenario time jumped."""
        for key, tokens in self._tokens.items():
            self._tokens[key] = [(token, until + by) for token, until in tokens]

    def forget(self, vin: str, name: str | None, before: Number) -> tuple[list[Decision], list[DeskOutput]]:
        """Take away the rights that were given `before` to a user, or (None) to all of a car; what they wait for is refused."""
        decisions: list[Decision] = []
        outputs: list[DeskOutput] = []
        for key in [key for key in self._users if key[0] == vin and name in {None, key[1]}]:
            if self._users[key].given < before:
                del self._users[key]
                self._tokens.pop(key, None)
                outputs.append(RemoveUser(*key))
            if key in self._lanes:
                decisions += self._thin_out(key, before, outputs)
        return decisions, outputs

    def _thin_out(self, key: UserKey, before: Number, outputs: list[DeskOutput]) -> list[Decision]:
        """Refuse the jobs that were given `before`; and where the user is gone, all up to the one that sets an S-PIN anew."""
        lane = self._lanes[key]
        jobs = [lane.running, *lane.waiting]
        kept = [job for job in jobs if job.given >= before]
        if key not in self._users:
            kept = list(dropwhile(lambda job: not job.sets, kept))
            if kept:
                outputs.append(self._change(key, UserRecord(*key, given=kept[0].given)))
        gone = [job for job in jobs if job not in kept]
        self._waiting -= len(gone)
        decisions = [Decision(job, FORGOTTEN) for job in gone]
        lane.waiting = deque(job for job in kept if job is not lane.running)
        if lane.running in gone:
            self._keys.pop(lane.running.job)
            decisions += self._start_next(key, outputs)
        return decisions

    def _change(self, key: UserKey, user: UserRecord) -> StoreUser:
        self._users[key] = user
        return StoreUser(user)

    def _start(self, key: UserKey, job: SpinJob) -> DeskOutput:
        self._keys[job.job] = key
        vin, user = key
        if job.sets:
            return HashSpin(job.job, vin, user, job.spin)
        against = self._users[key].spin
        assert against is not None, "a command without an S-PIN to check against is refused before it gets here"
        return VerifySpin(job.job, vin, user, job.spin, against)

    def _go_on(self, number: int, decision: Decision, outputs: list[DeskOutput]) -> tuple[list[Decision], list[DeskOutput]]:
        """End the running job and start the next one."""
        key = self._keys.pop(number)
        self._waiting -= 1
        return [decision, *self._start_next(key, outputs)], outputs

    def _start_next(self, key: UserKey, outputs: list[DeskOutput]) -> list[Decision]:
        """Start the next job that still has to be checked, and decide those before it."""
        lane = self._lanes[key]
        decisions: list[Decision] = []
        while lane.waiting:
            job = lane.waiting.popleft()
            refused = None if job.sets else self._standing(key)
            if refused is None:
                lane.running = job
                outputs.append(self._start(key, job))
                return decisions
            self._waiting -= 1
            decisions.append(Decision(job, refused))
        del self._lanes[key]
        return decisions


def is_spin(text: str) -> bool:
    """Tell whether `text` has the form of an S-PIN: four ASCII digits, 0000 included."""
    return _FORMAT.fullmatch(text) is not None


def looks_like_spin(text: object) -> bool:
    """Tell whether somebody may have typed an S-PIN where another word belongs: four digits of any script, spaces aside."""
    return isinstance(text, str) and _LIKE_ONE.fullmatch(text) is not None


def _tries_left(left: int) -> str:
    if left <= 0:
        return "no tries left: it is locked now; setting a new one unlocks it"
    return f"{left} {'try' if left == 1 else 'tries'} left"
