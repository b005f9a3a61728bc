"""Makes many people and cars known in one request, as if all had registered and enrolled before: for scenarios and tests.

All of a request is taken, or nothing. Nobody gets a mail of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec
from msgspec.structs import replace

from fleet.cloud.people import names
from fleet.cloud.people.consents import consented
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words
from fleet.cloud.people.privacy import with_mode
from fleet.cloud.people.records import Account, CarPeople, CarUser, Switch
from fleet.cloud.people.terms import over_by, with_free_term
from fleet.cloud.rights import Role
from fleet.cloud.rule import Done
from fleet.kernel.instants import Instant
from fleet.wire.privacy import PrivacyMode
from fleet.wire.vin import is_vin

USERS_MOST: Final = 5
"""Of a car: the primary user and four more."""
_TEXTS: Final = ("terms", "privacy")
_VERSION: Final = "1"


class _Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is told of people and cars."""


class SeededPerson(_Told, frozen=True, kw_only=True):
    """Somebody with a confirmed account. One that there is already stays as it is."""

    email: str
    language: str = "en"
    country: str = ""
    first_name: str = ""
    last_name: str = ""
    birth_date: str = ""
    identified: bool = False


class SeededUser(_Told, frozen=True, kw_only=True):
    """A user of a car, by the e-mail; `allowed` are services of an additional one, None those of the role."""

    email: str
    role: Role
    allowed: tuple[str, ...] | None = None


class SeededVehicle(_Told, frozen=True, kw_only=True):
    """A car whose people are known from now on: none, where nobody has enrolled it.

    `registered` is when its free licences began; None: they have not.
    """

    vin: str
    model: str
    generation: str
    navi: bool = False
    country: str = ""
    registered: Instant | None = None
    mode: PrivacyMode | None = None
    users: tuple[SeededUser, ...] = ()


class _Seed(Words, frozen=True, kw_only=True):
    persons: tuple[SeededPerson, ...] | None = None
    vehicles: tuple[SeededVehicle, ...] | None = None


class Seeding(Part):
    """People and cars that are there already."""

    service: ClassVar[str] = "people"

    def actions(self) -> Mapping[str, Action]:
        return {"seed": self._seed}

    def _seed(self, asking: Asking) -> Done:
        words = asking.words(_Seed)
        password = asking.proof("new_password").digest
        persons, vehicles = words.persons or (), words.vehicles or ()
        known = {_address(person.email) for person in persons}
        for vehicle in vehicles:
            self._check_vehicle(vehicle, known)
        ids = [self._account(person, password, asking.now) for person in persons]
        for vehicle in vehicles:
            self.people.put_car(self._car(vehicle, asking.now))
        return Done(data={"accounts": ids, "vehicles": len(vehicles)})

    def _check_vehicle(self, vehicle: SeededVehicle, known: set[str]) -> None:
        _check(is_vin(vehicle.vin), f"{vehicle.vin[:20]!r} is no VIN")
        _check(not self.people.car(vehicle.vin).managed, f"{vehicle.vin} has people already")
        _check(len(vehicle.users) <= USERS_MOST, f"{vehicle.vin} has more than {USERS_MOST} users")
        _check(len({user.email for user in vehicle.users}) == len(vehicle.users), f"{vehicle.vin} has a user twice")
        primaries = sum(user.role == "primary" for user in vehicle.users)
        _check(
            primaries == (1 if vehicle.users else 0), f"{vehicle.vin} has {primaries} primary users: one is expected, or no user"
        )
        for user in vehicle.users:
            is_known = _address(user.email) in known or self.people.named(user.email) is not None
            _check(is_known, f"a user of {vehicle.vin} has no account")

    def _account(self, person: SeededPerson, password: str, now: Instant) -> str:
        before = self.people.named(person.email)
        if before is not None:
            return before.id
        account = Account(
            id=f"p{self.people.next_number('account')}",
            email=_address(person.email),
            registered=now,
            password=password,
            password_version=1,
            language=person.language,
            country=person.country,
            first_name=person.first_name,
            last_name=person.last_name,
            birth_date=person.birth_date,
            confirmed=now,
            identified=now if person.identified else None,
        )
        for text in _TEXTS:
            account = consented(account, text, _VERSION, given=True, now=now)
        self.people.put_account(account)
        return account.id

    def _car(self, vehicle: SeededVehicle, now: Instant) -> CarPeople:
        users: dict[str, CarUser] = {}
        for user in vehicle.users:
            account = self.people.named(user.email)
            assert account is not None
            users[account.id] = CarUser(role=user.role, since=now, allowed=user.allowed)
        car = replace(
            self.people.car(vehicle.vin),
            managed=True,
            model=vehicle.model,
            generation=vehicle.generation,
            navi=vehicle.navi,
            country=vehicle.country,
            users=users,
        )
        if vehicle.registered is not None:
            car = with_free_term(car, vehicle.registered)
            # Nobody is reminded now of what was due before.
            car = replace(car, licences=tuple(replace(each, reminded=tuple(over_by(car, each, now))) for each in car.licences))
        primary = car.primary
        if vehicle.mode is not None and primary is not None:
            switch = Switch(what="mode", value=vehicle.mode, by="app", who=primary, at=now)
            car = replace(with_mode(car, vehicle.mode, now), mode_by="app", switches=(*car.switches, switch))
        return car


def _address(email: str) -> str:
    try:
        return names.mail_address(email)
    except ValueError as error:
        raise Refused("malformed", f"email: {error}") from None


def _check(holds: bool, detail: str) -> None:
    if not holds:
        raise Refused("malformed", detail)
