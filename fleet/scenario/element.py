"""The base of all elements of a scenario file."""

from __future__ import annotations

import msgspec


class Element(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a scenario."""
