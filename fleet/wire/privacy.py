"""The privacy modes of a car, and what may leave it in each. Source: the privacy switch of the domain description."""

from __future__ import annotations

from typing import Final, Literal

PrivacyMode = Literal["online_with_location", "online", "offline", "maximum_privacy"]
"""`online` lets no position leave the car, `offline` nothing but what the law requires; `maximum_privacy` is the third
generation's word for that (ours: it has no mode between the two)."""

OPEN: Final[PrivacyMode] = "online_with_location"
"""The mode that holds back nothing; every car comes with it (ours)."""
SILENT_MODES: Final[frozenset[PrivacyMode]] = frozenset({"offline", "maximum_privacy"})
SHARING: Final = frozenset({"privacy_changed", "car_reset", "car_paired"})
"""Events after which a car may tell more or less than before."""
MODES: Final[dict[str, tuple[PrivacyMode, ...]]] = {
    "G3": ("online_with_location", "maximum_privacy"),
    "G4": ("online_with_location", "online", "offline"),
}
"""The positions of the switch, by generation."""


def mode_of(asked: PrivacyMode, generation: str) -> PrivacyMode | None:
    """Return what a car of this generation makes of a mode, None where its switch has none like it.

    The two words for silence mean each other, so that one word can be said to cars of both generations.
    """
    modes = MODES[generation]
    if asked in modes:
        return asked
    return next((mode for mode in modes if mode in SILENT_MODES), None) if asked in SILENT_MODES else None
