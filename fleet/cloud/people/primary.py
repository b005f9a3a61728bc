"""Makes somebody the primary user of a car that is free, or in place of the one before, who has nothing of it from then on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec.structs import replace

from fleet.cloud.car_settings import Number
from fleet.cloud.people import at_home, licences
from fleet.cloud.people.consents import consented
from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.models import model_of
from fleet.cloud.people.part import Refused
from fleet.cloud.people.people import People
from fleet.cloud.people.privacy import opened
from fleet.cloud.people.records import Account, CarPeople, CarUser
from fleet.cloud.rule import RuleOutput
from fleet.kernel.instants import Instant
from fleet.wire.privacy import SILENT_MODES

GARAGE: Final = 50
"""Cars of which somebody is a user, or has begun to enrol."""
CONTRACT: Final = "contract"
TEXTS: Final = {"privacy": "1", "terms": "1", CONTRACT: "1"}
"""The texts that are accepted, each with its version; the contract is for 0 €, and the only one that is about a car."""
_OF_ACCOUNT: Final = ("privacy", "terms")
"""Those that are accepted with an account, too: by keys and by code nobody is shown texts, so these must have been (ours)."""


def check_person(people: People, car: CarPeople, account_id: str, now: Instant) -> Account:
    """Return the account of somebody who can become the primary user of a car. Raises Refused."""
    account = people.accounts.get(account_id)
    if account is None or account.confirmed is None:
        raise Refused("address_not_confirmed", "follow the link in the mail first")
    if car.primary == account_id:
        raise Refused("already_enrolled", f"this person is the primary user of {car.vin}")
    check_garage(people, car.vin, account_id, now)
    return account


def check_texts(account: Account, accepted: Iterable[str] = ()) -> None:
    """Raise Refused unless terms and privacy notice are accepted: now, or before with the account and not taken back since."""
    given = {each.what: each.given for each in account.consents} | dict.fromkeys(accepted, True)
    missing = [text for text in _OF_ACCOUNT if not given.get(text)]
    if missing:
        raise Refused("consent_missing", f"this person has not accepted {' and '.join(missing)}; complete the account")


def check_garage(people: People, vin: str, account_id: str, now: Instant) -> None:
    """Raise Refused where the garage of a person has no room for a car."""
    begun = {each for each in people.enrolling_of(account_id) if now < people.cars[each].enrolments[account_id].until}
    if len((people.cars_of(account_id) | begun) - {vin}) >= GARAGE:
        raise Refused("garage_full", f"a garage holds {GARAGE} cars; take one out of it first")


def make_primary(
    people: People, car: CarPeople, account_id: str, number: Number, now: Instant, *,
    accepted: Collection[str] = (), navi: bool | None = None,
) -> list[RuleOutput]:  # fmt: skip
    """Make somebody the primary user, by the message `number` of the car; who was a user before is none any more.

    `accepted`: the texts that the person has accepted by that; no others are recorded. `navi`: the car has the navi system, None
    where it has not said.
    Raises Refused, and then nothing has changed.
    """
    account = check_person(people, car, account_id, now)
    check_texts(account, accepted)
    if car.reported is not None and car.reported.mode in SILENT_MODES:
        raise Refused("privacy_offline", f"the privacy mode of the car is {car.reported.mode}")
    model = model_of(car.vin)
    before = car.users
    takes_over = any(user.role == "primary" for user in before.values())
    car = replace(
        opened(at_home.free(without_begun(car, account_id)), now),
        managed=True,
        model=model.name,
        generation=model.generation,
        navi=car.navi if navi is None else navi,
        country=car.country or account.country,
        forgetting=(),
        tell_again=None,
    )
    car = licences.for_enrolment(car, now)
    people.put_car(at_home.with_user(car, account_id, CarUser(role="primary", since=now, given=number, takes_over=takes_over)))
    for text in accepted:
        account = consented(account, text, TEXTS[text], given=True, now=now, vin=car.vin if text == CONTRACT else "")
    people.put_account(account)
    outputs: list[RuleOutput] = [
        at_home.welcome(people, car.vin, account_id),
        mail_to(account, "enrolled", vin=car.vin, model=model.name),
    ]
    for each, user in before.items():
        gone = people.accounts.get(each)
        if gone is not None and each != account_id:
            outputs.append(
                mail_to(gone, "taken_over", vin=car.vin, at=now)
                if user.role == "primary"
                else mail_to(gone, "user_removed", vin=car.vin)
            )
    return outputs


def without_begun(car: CarPeople, account: str) -> CarPeople:
    """Return a car that this person is not enrolling any more."""
    return replace(car, enrolments={each: begun for each, begun in car.enrolments.items() if each != account})
