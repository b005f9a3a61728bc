"""The mails and pushes that people get: each kind with the names of its data. Their words are the driver's affair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from fleet.cloud.calendar import zone_of
from fleet.cloud.people.records import Account
from fleet.cloud.rule import Mail, RuleOutput

PARTNER_CLOSED: Final = "partner_closed"
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
    PARTNER_CLOSED: ("vin", "partner"),
    "consent_withdrawn": ("what",),
    "export_ready": (),
    "erased": ("scope",),
}
"""Each kind with the names of its data; times are scenario µs, amounts euro cents, `when` is month, 15_days, 48_hours or end.

With times there is a `zone`, in which they are told.
"""
TIMES: Final = frozenset({"until", "at", "begins", "ends"})
PUSHED: Final = frozenset({
    "new_device", "spin_locked", "enrolled", "taken_over", "user_added", "user_removed", "licence_reminder", PARTNER_CLOSED,
    "export_ready",
})  # fmt: skip
"""Kinds that are pushed to the app, too, if the person wants that (ours): what calls for a look, and holds no secret."""


def mail_to(account: Account, kind: str, *, secret: str = "", vin: str = "", **data: Any) -> Mail:
    """Return a mail to a person, in the language of the account. A car it is about stands in the data, too."""
    about = {"vin": vin} if "vin" in MAILS[kind] else {}
    zone = {"zone": str(zone_of(account.country))} if account.country and TIMES.intersection(data) else {}
    return Mail(account.id, account.email, account.language, kind, {**about, **data, **zone}, vin=vin, secret=secret)


def with_pushes(outputs: Sequence[RuleOutput], account_of: Callable[[str], Account | None]) -> list[RuleOutput]:
    """Return the outputs, and after each mail the push that says the same to who wants pushes."""
    found: list[RuleOutput] = []
    for output in outputs:
        found.append(output)
        if isinstance(output, Mail) and output.kind in PUSHED and output.channel == "mail":
            account = account_of(output.account)
            if account is not None and account.push:
                found.append(replace(output, address="", channel="push"))
    return found
