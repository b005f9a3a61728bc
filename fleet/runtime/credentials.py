"""Passwords for the broker, all derived from one fleet secret, so that each process can make those it needs."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleet.errors import UsageError
from fleet.scenario.text import read_text

SECRET_VARIABLE: Final = "FLEET_SECRET"  # noqa: S105  the name of a variable
_LENGTH_MIN: Final = 16


class FleetSecret:
    """The secret of one fleet. Never shown: neither `repr` nor an error contains it."""

    __slots__ = ("_key",)

    def __init__(self, text: str) -> None:
        """Take the secret; raises UsageError when it is too short to be one."""
        text = text.strip()
        if len(text) < _LENGTH_MIN:
            raise UsageError(
                f"a fleet secret needs at least {_LENGTH_MIN} characters, this has {len(text)}",
                hint="Make one with: openssl rand -hex 32",
            )
        self._key = text.encode()

    @classmethod
    def new(cls) -> FleetSecret:
        """Draw a new secret from the operating system."""
        return cls(secrets.token_hex(32))

    @classmethod
    def from_file(cls, path: Path) -> FleetSecret:
        """Read a secret from a file that only its owner may read. Raises UsageError."""
        hint = "Name the file that fleet broker has told, with --secret-file or FLEET_SECRET_FILE."
        try:
            text = read_text(path, missing=hint, what="the file of a fleet secret")
        except UsageError as error:
            raise UsageError(f"the fleet secret cannot be read: {error}", hint=error.hint or hint) from error
        if path.stat().st_mode & 0o077:
            raise UsageError(f"others may read the fleet secret in {path}", hint=f"chmod 600 {path}")
        return cls(text)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> FleetSecret | None:
        """Read FLEET_SECRET; None when it is not set."""
        text = (os.environ if environment is None else environment).get(SECRET_VARIABLE)
        return None if text is None else cls(text)

    def write(self, path: Path) -> None:
        """Write a new file with mode 0600. Raises UsageError when there is one already."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise UsageError(
                f"the fleet secret cannot be written to {path}: {error.strerror}",
                hint="Is there such a folder, may it be written to, and is no file of that name there?",
            ) from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._key + b"\n")

    def reveal(self) -> str:
        """Return the secret itself, to be handed to a child process through its environment; nowhere else."""
        return self._key.decode()

    def password_for(self, user: str) -> str:
        """Return the password of a user: HMAC-SHA256(secret, user name) in hex."""
        return hmac.new(self._key, user.encode(), hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return "FleetSecret(…)"
