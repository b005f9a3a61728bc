"""The words of steps about people: who does something, on which way somebody enrols, and what goes wrong at first."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Literal, get_args

PersonRole = Literal["primary", "additional", "guest", "previous_owner", "buyer"]
"""Somebody of a car. The primary user is its owner, enrolled or not; a buyer has an account and may take the car over, and is
then its primary user, and the one before its previous owner.
"""
ROLES: Final[tuple[PersonRole, ...]] = get_args(PersonRole)
EnrolWay = Literal["qr", "assistant", "two_keys", "code"]
WAYS: Final[tuple[EnrolWay, ...]] = get_args(EnrolWay)
Mistake = Literal[
    "wrong_vin", "consent_missing", "expired_code", "wrong_code", "second_key_first", "wrong_spin"
]  # fmt: skip
"""A VIN with a letter that none has, no consent, a code that is over or of another car, the keys in the wrong order, another
S-PIN on the car's screen."""
MISTAKES: Final[dict[EnrolWay, tuple[Mistake, ...]]] = {
    "qr": ("wrong_vin", "consent_missing", "expired_code", "wrong_code"),
    "assistant": ("wrong_spin", "consent_missing"),
    "two_keys": ("wrong_vin", "second_key_first"),
    "code": ("wrong_vin", "wrong_code"),
}
"""What can go wrong on each way."""
SecretName = Literal["password", "new_password", "spin", "new_spin", "link", "refresh", "code"]
"""The secrets that go beside a request to a service."""


def whom_word(parameters: Container[str]) -> str | None:
    """Return the word of an action, by its parameters, in which somebody stands; None where it is about nobody."""
    return next((word for word in ("email", "user") if word in parameters), None)
