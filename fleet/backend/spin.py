"""Hashes and verifies S-PINs away from the event loop. Knows no car and counts no tries: the desk does.

Four digits are guessed in an instant by whoever holds the hashes, however slow each is. So the hash takes a pepper,
too, which is kept elsewhere than the store.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from fleet.cloud.desk_io import SpinHash
from fleet.errors import UsageError

_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_MEMORY: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpinCost:
    """How slow a hash is, in scrypt's words: `n` a power of two; memory is 128·n·r bytes."""

    n: int = 1 << 14
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        if self.n < 2 or self.n & (self.n - 1) or self.r < 1 or self.p < 1 or 128 * self.n * self.r > _MEMORY // 2:
            raise UsageError(
                f"n={self.n}, r={self.r}, p={self.p} is no usable cost for scrypt",
                hint="n is a power of two above 1, r and p are at least 1, and 128·n·r stays below 128 MiB.",
            )

    def __str__(self) -> str:
        return f"scrypt:{self.n}:{self.r}:{self.p}"

    @staticmethod
    def parse(text: str) -> SpinCost:
        """Read the text of `str`, so that a hash is verified at its own cost."""
        _, n, r, p = text.split(":")
        return SpinCost(int(n), int(r), int(p))


class SpinVault:
    """Creates and checks hashes; every method is slow and safe to call from any thread."""

    def __init__(self, pepper: bytes, cost: SpinCost | None = None) -> None:
        """Take the pepper, at least 16 bytes that are not in the store, and the cost of new hashes."""
        if len(pepper) < 16:
            raise UsageError(
                "the pepper of the S-PINs is too short", hint="Use at least 16 random bytes, kept outside the store."
            )
        self._pepper = pepper
        self._cost = cost or SpinCost()

    def hash(self, vin: str, user: str, spin: str) -> SpinHash:
        """Hash with a fresh salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return SpinHash(salt, self._digest(vin, user, spin, salt, self._cost), str(self._cost))

    def verify(self, vin: str, user: str, spin: str, against: SpinHash) -> bool:
        """Compare in constant time."""
        digest = self._digest(vin, user, spin, against.salt, SpinCost.parse(against.cost))
        return hmac.compare_digest(digest, against.digest)

    def token(self) -> str:
        """Return what spares the S-PIN for a while."""
        return secrets.token_urlsafe(18)

    def _digest(self, vin: str, user: str, spin: str, salt: bytes, cost: SpinCost) -> bytes:
        # VIN and user go in, so that nobody's hash can be put in the place of another's.
        keyed = hmac.digest(self._pepper, f"{vin}\0{user}\0{spin}".encode(), "sha256")
        return hashlib.scrypt(keyed, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=_MEMORY, dklen=_DIGEST_BYTES)
