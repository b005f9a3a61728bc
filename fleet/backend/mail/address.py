"""Checks the address that a mail goes to, and writes it as mail servers want it. Nothing that could end a line gets through."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

SENDER: Final = "no-reply@fleet.example"
"""Mails are from there, unless another address is configured."""
LONGEST: Final = 254
"""RFC 5321: a path has 256 octets, the angle brackets included."""
LONGEST_LOCAL: Final = 64
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff.-]+")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class BadAddress(ValueError):
    """No mail can go to this address; the text says why, without the address."""


def wire_address(address: str) -> tuple[str, bool]:
    """Return an address with its domain in ASCII, and whether the server must know SMTPUTF8 for what is left of the @.

    Raises BadAddress.
    """
    if not all(character.isprintable() for character in address) or " " in address:
        raise BadAddress("the address holds a blank, a line end or another character that no address has")
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise BadAddress("the address has no such form as name@domain.example")
    if len(local.encode()) > LONGEST_LOCAL:
        raise BadAddress(f"what is left of the @ is longer than {LONGEST_LOCAL} bytes")
    try:
        domain = (domain if domain.isascii() else domain.encode("idna").decode()).lower()
    except UnicodeError:
        raise BadAddress("the domain of the address is none") from None
    if not domain or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise BadAddress("the domain of the address is none")
    written = f"{local}@{domain}"
    if len(written.encode()) > LONGEST:
        raise BadAddress(f"the address is longer than {LONGEST} bytes")
    return written, not local.isascii()
