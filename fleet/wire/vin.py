"""Vehicle identification numbers: the check that stands before a VIN becomes part of a topic."""

from __future__ import annotations

import re
from functools import lru_cache

from fleet.errors import InvalidVin

LENGTH = 17
_VIN = re.compile(rf"[A-HJ-NPR-Z0-9]{{{LENGTH}}}")


def is_vin(text: str) -> bool:
    """Tell whether `text` has the length and the alphabet of a VIN (ISO 3779: no I, O, Q)."""
    return _VIN.fullmatch(text) is not None


def fault_of(text: str) -> str | None:
    """Return why `text` is no VIN, in words; None when it is one."""
    if is_vin(text):
        return None
    if text.isascii() and is_vin(text.strip().upper()):
        return "it is written in small letters" if text == text.strip() else "there are spaces around it"
    if len(text) != LENGTH:
        return f"it has {len(text)} characters instead of {LENGTH}"
    wrong = sorted({letter for letter in (text.upper() if text.isascii() else text) if not is_vin(letter * LENGTH)})
    return f"it holds {', '.join(map(repr, wrong))}"


@lru_cache(maxsize=1 << 16)
def checked_vin(text: str) -> str:
    """Return `text` when it is a VIN, else raise InvalidVin saying what is wrong with it."""
    if (fault := fault_of(text)) is not None:
        raise InvalidVin(text, fault)
    return text


def typed_vin(text: str) -> str:
    """Return the VIN that a person has typed, in capitals; raises InvalidVin when it is none."""
    return checked_vin(text.strip().upper() if text.isascii() else text)
