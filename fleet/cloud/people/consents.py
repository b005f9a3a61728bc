"""Consents: what somebody agreed to, in which version, when; and when that was taken back. Each change is a record."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fleet.cloud.people.records import Account, Consent
from fleet.kernel.instants import Instant

KEPT: Final = 200
"""Records of one account that are kept (ours): the newest for each text longest."""


def consented(account: Account, what: str, version: str, *, given: bool, now: Instant, vin: str = "") -> Account:
    """Return the account with one more record; `vin` is of the car that a contract is about."""
    consents = (*account.consents, Consent(what=what, version=version, given=given, at=now, vin=vin))
    if len(consents) > KEPT:
        newest = {(each.what, each.vin): each for each in consents}
        surplus = next((each for each in consents if newest[each.what, each.vin] is not each), consents[0])
        consents = tuple(each for each in consents if each is not surplus)
    return replace(account, consents=consents)
