"""Proves the secrets of a request before the rules get it: slow hashes in threads, S-PINs at the desk, digests at once.

Knows what to do by a secret's name. `password` and `spin` are held against those of who asks, `new_password` and `new_spin` are
hashed to be kept, of others there is a digest by which they are looked up. A secret itself goes no farther.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from fleet.backend.context import BackendContext
from fleet.backend.passwords import PasswordVault, fault_of_length, fault_of_new
from fleet.backend.spin import SpinVault
from fleet.cloud.desk import LONGEST_ID, OF_ACCOUNTS
from fleet.cloud.desk_io import SpinChecked
from fleet.cloud.people.records import Account
from fleet.cloud.people.tokens import digest_of, pairing_code_of
from fleet.cloud.rule import Proof
from fleet.cloud.spin_guard import BAD_FORMAT, is_spin

MOST: Final = 64
"""Requests that are proven at a time (ours): at the recommended cost, a few seconds of work."""
WORKERS: Final = 2
NICE: Final = 10
LONGEST_WORD: Final = 200
"""Characters of a link, code or token."""
Proofs = Mapping[str, Proof]
SpinCheck = Callable[[str, str, str, Callable[[SpinChecked], None]], None]
"""Has the S-PIN of an account checked: an id of its own, the account, the S-PIN, and who is told."""
_BUSY: Final = Proof(refused="busy", detail="too many secrets are being checked; ask again in a moment")
_UNCHECKED: Final = Proof(refused="busy", detail="it could not be checked; ask again")
_NOBODY: Final = Proof(refused="insufficient_rights", detail="nobody of that name has an account, or the session is over")
_LOOKED_UP: Final = frozenset({"link", "refresh", "code"})

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Task:
    """The secrets of one request: what is known of them, and how many are still awaited."""

    done: Callable[[Proofs], None]
    proofs: dict[str, Proof] = field(default_factory=dict)
    awaited: int = 0


class Prover:
    """Proves secrets, those of one key once at a time. Each call of `done` is an attempt of the context."""

    def __init__(self, context: BackendContext, passwords: PasswordVault, spins: SpinVault, check_spin: SpinCheck) -> None:
        """Take what hashes and what checks S-PINs."""
        self._context = context
        self._passwords = passwords
        self._spins = spins
        self._check_spin = check_spin
        self._pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="fleet-secrets", initializer=_give_way)
        self._tasks: dict[str, _Task] = {}
        self._work: set[asyncio.Future[Proofs]] = set()

    @property
    def is_busy(self) -> bool:
        """True while something is being proven."""
        return bool(self._tasks)

    async def wait(self, limit_s: float) -> None:
        """Let what is under way in threads come to an end, for at most `limit_s`."""
        if self._work:
            await asyncio.wait(set(self._work), timeout=limit_s)

    def forget(self) -> None:
        """Let go of what is under way: nobody is told its outcome."""
        self._tasks.clear()

    def close(self) -> None:
        """Stop the threads."""
        self._tasks.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def prove(
        self, key: str, secrets: Mapping[str, str], account: Account | None, done: Callable[[Proofs], None]
    ) -> None:  # fmt: skip
        """Prove secrets of a person, None for nobody known, and call `done` once, now or later; not for a key under way."""
        if key in self._tasks:
            return  # it was asked again
        slow = {name: secret for name, secret in secrets.items() if name not in _LOOKED_UP}
        task = _Task(done, {name: self._looked_up(name, secret) for name, secret in secrets.items() if name in _LOOKED_UP})
        if not slow:
            done(task.proofs)
            return
        if len(self._tasks) >= MOST:
            done({**task.proofs, **dict.fromkeys(slow, _BUSY)})
            return
        self._tasks[key] = task
        spin = slow.pop("spin", None)
        task.awaited = (spin is not None) + bool(slow)
        if slow:
            work = asyncio.get_running_loop().run_in_executor(self._pool, partial(self._in_thread, slow, account))
            self._work.add(work)
            work.add_done_callback(partial(self._worked, key, task, tuple(slow)))
        if spin is not None:
            self._have_checked(key, task, spin, account)

    def of_fresh_code(self, word: str) -> Proof:
        """Return what is to be kept of the pairing code that a fresh word makes."""
        return Proof(digest=self._passwords.digest_of_code(pairing_code_of(word)))

    def _looked_up(self, name: str, secret: str) -> Proof:
        """Return the digest of what is kept as one. Of a link its last word is the secret: people paste it whole."""
        if name == "link":
            secret = secret.strip().rpartition("/")[2]
        if len(secret) > LONGEST_WORD:
            return Proof(refused="malformed", detail=f"it has at most {LONGEST_WORD} characters")
        return Proof(digest=self._passwords.digest_of_code(secret) if name == "code" else digest_of(secret))

    # --- in a thread

    def _in_thread(self, secrets: Mapping[str, str], account: Account | None) -> Proofs:
        return {name: self._proven(name, secret, account) for name, secret in secrets.items()}

    def _proven(self, name: str, secret: str, account: Account | None) -> Proof:
        match name:
            case "password":
                if (fault := fault_of_length(secret)) is not None:
                    return Proof(refused="malformed", detail=fault)
                if account is None:
                    return Proof(right=self._passwords.verify(secret, None))
                right = self._passwords.verify(secret, account.password or None)
                return Proof(right, account.id, account.password_version)
            case "new_password":
                fault = fault_of_new(secret)
                return Proof(digest=self._passwords.hash(secret)) if fault is None else Proof(refused="malformed", detail=fault)
            case "new_spin":
                if not is_spin(secret):
                    return Proof(refused=BAD_FORMAT.reason, detail=BAD_FORMAT.detail)
                return _NOBODY if account is None else Proof(digest=self._spins.hash(OF_ACCOUNTS, account.id, secret).text)
            case _:
                return Proof(refused="malformed", detail=f"there is no secret {name[:40]!r}")

    # --- outcomes

    def _worked(self, key: str, task: _Task, names: tuple[str, ...], work: asyncio.Future[Proofs]) -> None:
        self._work.discard(work)
        if work.cancelled():
            return
        error = work.exception()
        if error is None:
            self._conclude(key, task, work.result())
            return
        # Only the kind of error: its text or its frames could show what was hashed.
        _log.error("secrets could not be proven", error=type(error).__name__)
        self._conclude(key, task, dict.fromkeys(names, _UNCHECKED))

    def _have_checked(self, key: str, task: _Task, spin: str, account: Account | None) -> None:
        if account is None:
            self._conclude(key, task, {"spin": _NOBODY})
            return

        def checked(outcome: SpinChecked) -> None:
            proof = Proof(outcome.refused is None, account.id, refused=outcome.refused, detail=outcome.detail or "")
            self._conclude(key, task, {"spin": proof})

        # Longer than the id of any command, whose S-PINs the desk knows by their ids.
        self._check_spin(f"{key} ".ljust(LONGEST_ID + 1, "."), account.id, spin, checked)

    def _conclude(self, key: str, task: _Task, proofs: Proofs) -> None:
        task.proofs.update(proofs)
        task.awaited -= 1
        if task.awaited or self._tasks.get(key) is not task:
            return
        del self._tasks[key]
        self._context.attempt("a request whose secrets were proven", task.done, task.proofs)


def _give_way() -> None:
    """Have this thread, and those that hash for it, give way to the event loop: who waits for a car goes before who logs in."""
    if sys.platform == "linux":  # elsewhere the priority is that of the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
