"""Links that are mailed: each with a secret, of use once, for a while, and only the newest of its kind."""

from __future__ import annotations

from typing import Final, Literal

from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.part import Asking, Refused
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, Link
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import RuleOutput
from fleet.kernel.instants import MINUTE

Purpose = Literal["confirm", "reset"]

PAUSE: Final = MINUTE
"""Who asks again within that time gets no second mail (ours): nobody's mailbox is flooded."""
_MAIL: Final[dict[Purpose, str]] = {"confirm": "confirm_address", "reset": "password_reset"}


def send_link(people: People, account: Account, purpose: Purpose, asking: Asking) -> list[RuleOutput]:
    """Return the mail with a new link; none so soon after the last one."""
    until = asking.now + people.figures.link_lifetime(purpose)
    people.links.drop_ended(asking.now)
    for key in people.links.of(account.id):
        link = people.links[key]
        if link.purpose == purpose:
            if until - link.until < PAUSE:
                return []
            people.links.drop(key)
    secret = asking.fresh(0)
    people.links.put(digest_of(secret), Link(account=account.id, purpose=purpose, until=until))
    return [mail_to(account, _MAIL[purpose], secret=secret, until=until)]


def follow(people: People, purpose: Purpose, asking: Asking) -> Account:
    """Return whose link it is, which is of no use any more then. Raises Refused."""
    digest = asking.proof("link").digest
    link = people.links.get(digest)
    account = None if link is None else people.accounts.get(link.account)
    if link is None or account is None or link.purpose != purpose or asking.now >= link.until:
        raise Refused("link_invalid", "this link was used, is too old, or there is a newer one; ask for another")
    people.links.drop(digest)
    return account


def forget_links(people: People, account: str, purpose: Purpose | None = None) -> None:
    """Drop the links of an account, of one purpose or of all."""
    for key in people.links.of(account):
        if purpose in {None, people.links[key].purpose}:
            people.links.drop(key)
