"""The way in which a model gets its primary user. Source: enrolment of the domain description."""

from __future__ import annotations

from typing import Final, Literal

Way = Literal["qr", "assistant", "two_keys", "code"]
BY_KEYS: Final = frozenset({"Leon", "Formentor"})
"""Models that are enrolled by both keys where they have no navi system; the Formentor is ours."""


def way_of(model: str, generation: str, *, navi: bool) -> Way:
    """Return the way of a car: a QR code (G4), the assistant (G3 with navi), both keys, or a pairing code."""
    if generation == "G4":
        return "qr"
    if navi:
        return "assistant"
    return "two_keys" if model in BY_KEYS else "code"
