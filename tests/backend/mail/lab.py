"""Letters as tests need them, with data for every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fleet.backend.mail.letter import Letter
from fleet.kernel.instants import DAY, HOUR

VIN: Final = "VSSZZZKMZPR000001"
AT: Final = 1_772_352_000_000_000
"""2026-03-01 08:00 UTC."""
MADE: Final = 1_780_000_000_000_000
DATA: Final[dict[str, Any]] = {
    "until": AT + 2 * DAY,
    "device": "Pixel 9",
    "at": AT - HOUR,
    "vin": VIN,
    "model": "Formentor",
    "role": "guest",
    "product": "g3_navi",
    "when": "month",
    "begins": AT,
    "ends": AT + 30 * DAY,
    "number": "2026-000017",
    "cents": 13_505,
    "partner": "Autohaus Süd",
    "what": "location",
    "scope": "person",
}
SECRET: Final = "s3cret-word_of-a-link"
LETTER: Final = Letter(
    id=17, account="p1", address="anna@example.org", language="en", kind="licence_renewed", data=DATA, vin=VIN, channel="mail",
    at=AT, made=MADE,
)  # fmt: skip


def letter(kind: str = "licence_renewed", **changes: Any) -> Letter:
    return replace(LETTER, kind=kind, **changes)


def not_called() -> None:
    raise AssertionError("this way hands nothing over")
