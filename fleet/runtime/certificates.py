"""The certificates of cars and tools in a folder, for a broker that wants one of every client.

DIR/NAME.pem holds the certificate of a user (a VIN, backend or tool) with those of the authorities between, and its key
unless that is in DIR/NAME.key. DIR/client.pem is for all who have none of their own, and DIR/ca.pem is the authority that is
trusted where --ca names no other. `fleet certificates` makes such a folder.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.errors import UsageError

AUTHORITY: Final = "ca"
SHARED: Final = "client"


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """Makes the TLS context of a connection. Each lives as long as its connection: there are never more than those."""

    folder: Path
    ca: Path | None

    def context(self, user: str | None) -> ssl.SSLContext:
        """Return a context with that user's certificate, which trusts the authority alone. Raises OSError."""
        certificate, key = self.files_of(user or SHARED)
        context = trusting(self.ca)
        context.load_cert_chain(certificate, key if key.exists() else None)
        return context

    def files_of(self, user: str) -> tuple[Path, Path]:
        """Return the files of the user's certificate and key, or those for all who have none of their own."""
        name = user if (self.folder / f"{user}.pem").exists() else SHARED
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def need(self, users: Sequence[str]) -> None:
        """Raise UsageError when users have no certificate, naming the first, or when one cannot be used."""
        lacking = [user for user in users if not self.files_of(user)[0].is_file()]
        if lacking:
            more = f", and none of {len(lacking) - 1} more of {len(users)}" if len(lacking) > 1 else ""
            raise UsageError(
                f"{self.folder} has no certificate {lacking[0]}.pem{more}",
                hint=f"Put {lacking[0]}.pem and .key there, or {SHARED}.pem for all; `fleet certificates` makes them for tests.",
            )
        for certificate, key in dict.fromkeys(map(self.files_of, users)):
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key if key.exists() else None)
            except OSError as error:
                raise UsageError(
                    f"{certificate} cannot be used with its key: {error.strerror or error}",
                    hint="Certificate and key are in PEM format, belong together, and the key has no passphrase.",
                ) from error


def open_certificates(folder: Path, ca: Path | None) -> ClientCertificates:
    """Take a folder of certificates, and the authority to trust. Raises UsageError."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder of certificates", hint="`fleet certificates SCENARIO --out DIR` makes one for tests."
        )
    own = folder / f"{AUTHORITY}.pem"
    found = ClientCertificates(folder, ca or (own if own.is_file() else None))
    trust(found.ca)
    return found


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the authority in a file, or those of the system. Raises UsageError."""
    try:
        return trusting(ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca} cannot be used as certificate authority: {error}", hint="Give a file in PEM format.") from error


def trusting(ca: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the authority in a file, or those of the system. Raises OSError."""
    return ssl.create_default_context(cafile=None if ca is None else str(ca))
