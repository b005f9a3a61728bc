"""Words that nobody can guess (tokens of sessions, secrets of links), and what is kept of them. Makes none: drivers do.

What is secret can be told by its form: a journal leaves it out wherever it stands.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

PREFIX: Final = "fleet_"
"""Before each token, so that people and scanners of logs know one when they see it."""
LENGTH: Final = 24
"""Characters behind the prefix: letters, digits, `-` and `_`, at least 144 bits by chance."""
_HASH: Final = "sha256:"
SECRET: Final = re.compile(
    rf"{PREFIX}[A-Za-z0-9_-]{{{LENGTH}}}|{_HASH}[0-9a-f]{{64}}|\$argon2id?\$[A-Za-z0-9+/=,$-]+|scrypt:[0-9:]+\$[0-9a-f]+\$[0-9a-f]+"
)
"""A token, the digest of one, or the hash of a password or an S-PIN."""
_STAND_IN: Final = re.compile(rf"{PREFIX}0[0-9]{{{LENGTH - 1}}}")
_NUMBER: Final = re.compile(rf"(?:{_HASH}0{{48}}|\$argon2id\$)([0-9]+)")
"""What stands for a digest or a hash."""


def digest_of(token: str) -> str:
    """Return what is kept of a token: it is random enough that a quick hash of it tells nothing."""
    return _HASH + hashlib.sha256(token.encode()).hexdigest()


def pairing_code_of(word: str) -> str:
    """Return the 8 digits that a word nobody can guess makes: the pairing code of a car.

    So few are found by trying all, so `digest_of` is not for them: what is kept of one is made by the driver, with the pepper.
    """
    return f"{int.from_bytes(hashlib.sha256(word.encode()).digest()) % 10**8:08}"


class StandIns:
    """What stands for secrets where they must not: the same for the same, and a digest for the digest of its token.

    A stand-in stands for itself, and counts as what it stands for did: so where a journal is run again all get the same ones.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._tokens = 0
        self._others = 0

    def of(self, token: str) -> str:
        """Return what stands for a token, and from now on for its digest."""
        known = self._known.get(token)
        if known is None:
            is_stand_in = _STAND_IN.fullmatch(token) is not None
            known = token if is_stand_in else f"{PREFIX}{self._tokens:0{LENGTH}}"
            self._tokens = int(known.removeprefix(PREFIX)) + 1
            self._known[token] = known
            self._known[digest_of(token)] = digest_of(known)
        return known

    def without_secrets(self, text: str) -> str:
        """Return a text with stand-ins in place of all that is secret."""
        return SECRET.sub(self._replaced, text)

    def _replaced(self, found: re.Match[str]) -> str:
        secret = found.group()
        if secret.startswith(PREFIX):
            return self.of(secret)
        known = self._known.get(secret)
        if known is None:
            number = _NUMBER.fullmatch(secret)
            if number is None:
                known = f"{_HASH}{self._others:064}" if secret.startswith(_HASH) else f"$argon2id${self._others}"
                self._others += 1
            else:
                known = secret
                self._others = int(number[1]) + 1
            self._known[secret] = self._known[known] = known
        return known
