"""Vehicle identification numbers: the check that stands before a VIN becomes part of a topic."""

from __future__ import annotations

import re
from functools import lru_cache

from fleet.errors import InvalidVin

_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")


def is_vin(text: str) -> bool:
    """Tell whether `text` has the length and the alphabet of a VIN (ISO 3779: no I, O, Q)."""
    return _VIN.fullmatch(text) is not None


@lru_cache(maxsize=1 << 16)
def checked_vin(text: str) -> str:
    """Return `text` when it is a VIN, else raise InvalidVin saying what is wrong with it."""
    if is_vin(text):
        return text
    if len(text) != 17:
        raise InvalidVin(text, f"it has {len(text)} characters instead of 17")
    wrong = sorted({c for c in text if _VIN.fullmatch(c * 17) is None})
    raise InvalidVin(text, f"it holds {', '.join(map(repr, wrong))}")
