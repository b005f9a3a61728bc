"""Hashes and verifies passwords away from the event loop, with argon2id. Knows no account and counts no tries: the rules do.

A pepper that stands outside the store goes in, too, so that who holds the store alone cannot even begin to guess.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

SHORTEST: Final = 8
LONGEST: Final = 256
"""Characters of a password (ours). What is longer is refused before it costs anything."""


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """How slow a hash is, in argon2's words; as the library recommends: the second profile of RFC 9106, 64 MiB of memory."""

    time: int = RFC_9106_LOW_MEMORY.time_cost
    memory_kib: int = RFC_9106_LOW_MEMORY.memory_cost
    lanes: int = RFC_9106_LOW_MEMORY.parallelism


LEAST: Final = PasswordCost(time=1, memory_kib=8, lanes=1)
"""The least that argon2 can do, for people who are simulated."""


def fault_of_new(password: str) -> str | None:
    """Return what is wrong with a new password."""
    if len(password) < SHORTEST:
        return f"a password has at least {SHORTEST} characters"
    return fault_of_length(password)


def fault_of_length(password: str) -> str | None:
    """Return what is wrong with a password that nobody has to look at."""
    return f"a password has at most {LONGEST} characters" if len(password) > LONGEST else None


class PasswordVault:
    """Creates and checks hashes; every method is slow and safe to call from any thread. None may be called for one too long."""

    def __init__(self, pepper: bytes, cost: PasswordCost = PasswordCost()) -> None:
        """Take the pepper and the cost of new hashes."""
        self._pepper = pepper
        self._hasher = PasswordHasher(cost.time, cost.memory_kib, cost.lanes)
        self._of_nobody = self.hash("")

    def hash(self, password: str) -> str:
        """Return a hash with a fresh salt, which names its own cost."""
        return self._hasher.hash(self._peppered(password))

    def verify(self, password: str, against: str | None) -> bool:
        """Tell whether it is the password of a hash; of nobody's (None) it takes as long, and is never right."""
        try:
            self._hasher.verify(self._of_nobody if against is None else against, self._peppered(password))
        except VerificationError:
            return False
        return against is not None

    def digest_of_code(self, code: str) -> str:
        """Return by what a pairing code is looked up: quick to make, and without the pepper no code can be tried on it."""
        return "sha256:" + hmac.digest(self._pepper, b"pairing code\0" + code.encode(), "sha256").hex()

    def _peppered(self, password: str) -> bytes:
        # The same letters can be written in two ways (RFC 8265 wants NFC).
        return hmac.digest(self._pepper, b"password\0" + unicodedata.normalize("NFC", password).encode(), "sha256")
