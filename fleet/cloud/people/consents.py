"""Consents: what somebody agreed to, in which version, when; and when that was taken back. Each change is a record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, Consent
from fleet.cloud.rights import PURPOSES
from fleet.cloud.rule import AskCar, RuleOutput
from fleet.kernel.instants import Instant
from fleet.wire.services import load_services

KEPT: Final = 200
"""Records of one account that are kept (ours): the newest for each text longest."""
_STOPS: Final[dict[str, dict[str, Any]]] = {"area_alert": {"zones": []}, "speed_alert": {"action": "stop"}}
"""How services end in the car that go on there by themselves."""


def consented(account: Account, what: str, version: str, *, given: bool, now: Instant, vin: str = "") -> Account:
    """Return the account with one more record; `vin` is of the car that a contract is about."""
    consents = (*account.consents, Consent(what=what, version=version, given=given, at=now, vin=vin))
    if len(consents) > KEPT:
        newest = {(each.what, each.vin): each for each in consents}
        surplus = next((each for each in consents if newest[each.what, each.vin] is not each), consents[0])
        consents = tuple(each for each in consents if each is not surplus)
    return replace(account, consents=consents)


def decide(people: People, account: Account, what: str, version: str, *, given: bool, now: Instant) -> list[RuleOutput]:
    """Keep what somebody decides about a text or a purpose, and return what follows.

    What is taken back is mailed, of a purpose once; then the services end that need it, wherever the person is the primary user.
    """
    was_given = what not in PURPOSES or what not in people.refused_by(account)
    people.put_account(consented(account, what, version, given=given, now=now))
    if given or not was_given:
        return []
    commands = load_services().commands
    names = {name for name in _STOPS if commands[name].consent == what}
    mine = [vin for vin in sorted(people.cars_of(account.id)) if people.car(vin).primary == account.id]
    return [mail_to(account, "consent_withdrawn", what=what), *(stop for vin in mine for stop in stops(people, vin, names))]


def stops(people: People, vin: str, services: Iterable[str]) -> list[RuleOutput]:
    """Return what ends these services in a car where they go on by themselves."""
    return [
        AskCar(f"privacy-{people.next_number('stop')}", vin, name, parameters)
        for name, parameters in _STOPS.items()
        if name in services
    ]
