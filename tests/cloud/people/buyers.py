"""People with cars for the tests of licences and store: a lab in which some have enrolled theirs."""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.cloud.people.records import Account, CarPeople, CarUser
from fleet.cloud.people.terms import with_free_term
from fleet.kernel.instants import Instant
from tests.cloud.people.lab import OTHER, START, VIN, PeopleLab

ANNA = Account(
    id="p1", email="anna@example.com", registered=START, first_name="Anna", last_name="Weiss", birth_date="1990-05-01",
    language="de", confirmed=START,
)  # fmt: skip
BEN = Account(
    id="p2",
    email="ben@example.com",
    registered=START,
    first_name="Ben",
    last_name="Adler",
    birth_date="1985-01-31",
    confirmed=START,
)
LISTED = Account(
    id="p3", email="d@example.com", registered=START, first_name="Dmitriy", last_name="Wolkonin", birth_date="1961-08-23"
)
CAR = CarPeople(
    vin=VIN, managed=True, model="Formentor", generation="G3", navi=True, country="DE",
    users={"p1": CarUser(role="primary", since=START), "p2": CarUser(role="additional", since=START)},
)  # fmt: skip


def lab_with(*cars: CarPeople, now: Instant = START, accounts: tuple[Account, ...] = (ANNA, BEN, LISTED)) -> PeopleLab:
    """Return a lab with these cars and accounts."""
    notes: dict[str, Any] = {f"account/{each.id}": msgspec.to_builtins(each) for each in accounts}
    notes |= {f"car/{each.vin}": msgspec.to_builtins(each) for each in cars}
    lab = PeopleLab(notes)
    lab.now = now
    return lab


def anna_and_her_car(now: Instant = START) -> PeopleLab:
    """Return a lab in which Anna has enrolled a car that was registered now; Ben is its additional user."""
    return lab_with(with_free_term(CAR, now), now=now)


def car_of(account: str, vin: str = OTHER, **more: Any) -> CarPeople:
    """Return the car of one primary user."""
    user = {account: CarUser(role="primary", since=START)}
    return CarPeople(vin=vin, managed=True, generation="G3", navi=True, country="DE", users=user, **more)


def enrolled(lab: PeopleLab, *, registered: bool = True) -> None:
    """Have Anna enrol a car in a lab without people, registered now or not at all."""
    for account in (ANNA, BEN):
        lab.people.put_account(account)
    lab.people.put_car(with_free_term(CAR, lab.now) if registered else CAR)
