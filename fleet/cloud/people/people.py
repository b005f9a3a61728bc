"""All that is known of people, typed, in the notes of one rule: accounts, sessions, links, cars with their users and licences.

Parts change it by `put` and `drop` of a shelf, so that what is stored and what is in memory are one thing. It notices which cars
a change concerns, and makes of each car's records the `CarRights` by which desk and centre judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from fleet.cloud.people.figures import Figures
from fleet.cloud.people.names import folded
from fleet.cloud.people.records import Account, CarPeople, Erasure, Invoice, Purchase, Session
from fleet.cloud.people.shelves import Links, Sessions, Shelf, TriesShelf
from fleet.cloud.rights import OPT_IN, CarRights, Private, Terms, UserRights
from fleet.cloud.rule import ErasedCar, Notes
from fleet.kernel.instants import MINUTE, Instant
from fleet.wire.privacy import OPEN

RULE: Final = "people"
"""The name of the rule, under which the store keeps its notes."""
_COUNTS: Final = "counts"
_FIGURES: Final = "figures"

CarFollower = Callable[[CarPeople | None, CarPeople | None], None]
"""Hears what was known of a car and what is: None for nothing."""


class People:
    """The state that all parts share. Accounts and cars are changed by its own methods, the rest on the shelves."""

    def __init__(self, notes: Notes) -> None:
        """Go on from the notes."""
        self._notes = notes
        self.accounts = Shelf(notes, "account", Account)
        self.sessions = Sessions(notes)
        self.links = Links(notes)
        self.tries = TriesShelf(notes)
        self.cars = Shelf(notes, "car", CarPeople)
        self.purchases = Shelf(notes, "purchase", Purchase)
        self.invoices = Shelf(notes, "invoice", Invoice)
        self.erasures = Shelf(notes, "erasure", Erasure)
        self.figures = msgspec.convert(notes.get(_FIGURES, {}), Figures)
        self._names: dict[str, str] = {}
        for account in self.accounts.values():
            self._names.update(dict.fromkeys(_names_of(account), account.id))
        self._cars_of: dict[str, set[str]] = {}
        self._enrolling: dict[str, set[str]] = {}
        for car in self.cars.values():
            self._enter(car)
        self._touched: set[str] = set()
        self._followers: list[CarFollower] = []

    def set_figures(self, figures: Figures) -> None:
        """Go by other figures from now on."""
        self.figures = figures
        self._notes[_FIGURES] = msgspec.to_builtins(figures)

    # --- accounts

    def named(self, name: str) -> Account | None:
        """Return the account with this id, e-mail, user name or mobile number; upper and lower case are one."""
        return self.accounts.get(name) or self.accounts.get(self._names.get(folded(name)))

    def in_session(self, digest: str, now: Instant) -> str | None:
        """Return whose session it is, by the digest of its token; None for one that is over, or never was."""
        session = self.sessions.get(digest)
        if session is None or now >= session.ends or self.is_idle(session, now):
            return None
        return session.account

    def is_idle(self, session: Session, now: Instant) -> bool:
        """Tell whether a session is over as nobody has used it for as long as its user has chosen, or has no account any more."""
        account = self.accounts.get(session.account)
        if account is None:
            return True
        return account.relogin_min is not None and now >= session.used + account.relogin_min * MINUTE

    def put_account(self, account: Account) -> None:
        """Keep an account, new or changed; its names are those of nobody else."""
        before = self.accounts.get(account.id)
        if before is not None:
            self._forget_names(before)
        self._names.update(dict.fromkeys(_names_of(account), account.id))
        self.accounts.put(account.id, account)
        self._touched |= self.cars_of(account.id)

    def drop_account(self, account_id: str) -> None:
        """Keep nothing of an account itself. Its cars, sessions and purchases are others' affair."""
        before = self.accounts.drop(account_id)
        if before is not None:
            self._forget_names(before)

    def _forget_names(self, account: Account) -> None:
        for name in _names_of(account):
            self._names.pop(name, None)

    # --- cars

    def cars_of(self, account_id: str) -> frozenset[str]:
        """Return the VINs of the cars of which the person is a user."""
        return frozenset(self._cars_of.get(account_id, ()))

    def car(self, vin: str) -> CarPeople:
        """Return what is known of a car, a new record where nothing is."""
        return self.cars.get(vin) or CarPeople(vin=vin)

    def enrolling_of(self, account_id: str) -> frozenset[str]:
        """Return the VINs of the cars that the person has begun to enrol."""
        return frozenset(self._enrolling.get(account_id, ()))

    def put_car(self, car: CarPeople) -> None:
        """Keep what is known of a car."""
        before = self.cars.get(car.vin)
        self._leave(before)
        self._enter(car)
        self.cars.put(car.vin, car)
        self._touched.add(car.vin)
        for follow in self._followers:
            follow(before, car)

    def drop_car(self, vin: str) -> None:
        """Keep nothing of a car."""
        before = self.cars.drop(vin)
        self._leave(before)
        self._touched.add(vin)
        for follow in self._followers:
            follow(before, None)

    def follow_cars(self, follow: CarFollower) -> None:
        """Have each change of a car heard of: by a part whose own order of cars follows from what stands in them."""
        self._followers.append(follow)

    def _enter(self, car: CarPeople) -> None:
        for index, accounts in ((self._cars_of, car.users), (self._enrolling, car.enrolments)):
            for account in accounts:
                index.setdefault(account, set()).add(car.vin)

    def _leave(self, car: CarPeople | None) -> None:
        if car is None:
            return
        for index, accounts in ((self._cars_of, car.users), (self._enrolling, car.enrolments)):
            for account in accounts:
                index[account].discard(car.vin)
                if not index[account]:
                    del index[account]

    # --- counting

    def next_number(self, what: str) -> int:
        """Return the next number of its kind, from 1; none comes twice, whatever is erased."""
        counts: dict[str, int] = self._notes.get(_COUNTS, {})
        number = counts.get(what, 0) + 1
        self._notes[_COUNTS] = counts | {what: number}
        return number

    # --- rights

    def take_touched(self) -> list[str]:
        """Return the cars whose rights may have changed since the last call."""
        touched, self._touched = sorted(self._touched), set()
        return touched

    def rights_of(self, vin: str) -> CarRights | None:
        """Return by what desk and centre judge who does something with a car; None for one of which nothing counts.

        Of a car that is not managed its licences count, where it has any, and what is switched off in the app.
        """
        car = self.cars.get(vin)
        if car is None or not (car.managed or car.licences or car.private or car.mode != OPEN or car.services_off):
            return None
        return CarRights(
            users={account: self._user_rights(account, car) for account in car.users} if car.managed else {},
            terms=_terms_of(car) if car.managed or car.licences else None,
            mode=car.mode,
            services_off=car.services_off,
            private=_private_of(car),
            generation=car.generation,
            people=car.managed,
        )

    def all_rights(self) -> dict[str, CarRights]:
        """Return the rights of all cars of which something counts."""
        return {vin: rights for vin in self.cars if (rights := self.rights_of(vin)) is not None}

    def refused_by(self, account: Account) -> tuple[str, ...]:
        """Return the purposes to which somebody does not consent: taken back, or never given where that is wanted."""
        newest = {consent.what: consent.given for consent in account.consents}
        return tuple(sorted(what for what in {*newest, *OPT_IN} if not newest.get(what, False)))

    def _user_rights(self, account_id: str, car: CarPeople) -> UserRights:
        user, account = car.users[account_id], self.accounts.get(account_id)
        return UserRights(
            role=user.role,
            allowed=user.allowed,
            identified=account is not None and account.identified is not None,
            refused=OPT_IN if account is None else self.refused_by(account),
            since=user.since,
        )


def _terms_of(car: CarPeople) -> dict[str, Terms]:
    spans: dict[str, list[tuple[Instant, Instant]]] = {}
    inactive: set[str] = set()
    for licence in car.licences:
        for package in licence.packages:
            if licence.state == "active":
                spans.setdefault(package, []).append((licence.begins, licence.ends))
            elif licence.state == "inactive":
                inactive.add(package)
            else:
                spans.setdefault(package, [])  # nothing, and that is known
    return {
        package: Terms(tuple(sorted(spans.get(package, ()))), package in inactive) for package in sorted(spans.keys() | inactive)
    }


def erased_cars_in(notes: Mapping[str, Any]) -> list[ErasedCar]:
    """Return the cars that were erased by the notes of the rule, as a store has them; without their VINs."""
    return erased_cars(msgspec.convert(value, Erasure) for key, value in notes.items() if key.startswith("erasure/"))


def erased_cars(erasures: Iterable[Erasure]) -> list[ErasedCar]:
    """Return the cars of these erasures, without their VINs."""
    return [ErasedCar("", car.whole, car.until, car.digest, car.ahead_until) for each in erasures for car in each.cars]


def _private_of(car: CarPeople) -> tuple[Private, ...]:
    """Return the private times of a car; a mode that nobody has turned to holds since ever."""
    if car.mode == OPEN or (car.private and car.private[-1].ends is None):
        return car.private
    return (*car.private, Private(0, None, car.mode))


def rights_in(notes: Mapping[str, Any]) -> dict[str, CarRights]:
    """Return the rights that the notes of the rule hold, as a store has them."""
    return People(Notes(notes)).all_rights()


def _names_of(account: Account) -> list[str]:
    return [folded(name) for name in (account.email, account.user_name, account.mobile) if name]
