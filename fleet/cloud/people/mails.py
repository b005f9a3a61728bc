"""The mails and pushes that people get: each kind with the names of its data. Their words are the driver's affair."""

from __future__ import annotations

from typing import Any, Final

from fleet.cloud.people.records import Account
from fleet.cloud.rule import Mail

WITH_SECRET: Final = frozenset({"confirm_address", "password_reset"})
"""Kinds with a link that holds a secret."""
MAILS: Final[dict[str, tuple[str, ...]]] = {
    "confirm_address": ("until",),
    "address_known": (),
    "new_device": ("device", "at"),
    "password_reset": ("until",),
    "password_changed": ("at",),
    "spin_locked": ("vin",),
    "enrolled": ("vin", "model"),
    "taken_over": ("vin", "at"),
    "user_added": ("vin", "role"),
    "user_removed": ("vin",),
    "licence_reminder": ("vin", "product", "when", "ends"),
    "licence_renewed": ("vin", "product", "begins", "ends"),
    "licence_withdrawn": ("vin", "product"),
    "invoice": ("number", "cents", "product", "vin"),
    "refund": ("number", "cents", "product", "vin"),
    "purchase_cancelled": ("product", "vin"),
    "partner_closed": ("vin", "partner"),
    "consent_withdrawn": ("what",),
    "export_ready": (),
    "erased": ("scope",),
}
"""Each kind with the names of its data; times are scenario µs, amounts euro cents, `when` is month, 15_days, 48_hours or end."""


def mail_to(account: Account, kind: str, *, secret: str = "", vin: str = "", **data: Any) -> Mail:
    """Return a mail to a person, in the language of the account. A car it is about stands in the data, too."""
    about = {"vin": vin} if "vin" in MAILS[kind] else {}
    return Mail(account.id, account.email, account.language, kind, {**about, **data}, vin=vin, secret=secret)
