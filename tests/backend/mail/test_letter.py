"""What a letter is known by, and how a way says that it could not deliver it."""

from __future__ import annotations

from fleet.backend.mail.letter import NotDelivered
from tests.backend.mail.lab import MADE, letter


def test_a_letter_has_a_name_that_no_other_has() -> None:
    """Not even one of the same number in another store, which was made at another time."""
    assert letter().name == f"mail-17.{MADE}"
    assert letter(channel="push").name == f"push-17.{MADE}"


def test_what_a_server_has_said_is_kept_within_bounds() -> None:
    """It comes from outside: it may be long, and no text that a store can keep."""
    error = NotDelivered("deferred", "450 \ud800" + "x" * 1_000)
    assert len(error.detail) == 300
    error.detail.encode()
