"""Makes the people of a process known to the back end, many in one request; and knows them by their accounts then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fleet.kernel.draws import stream_key
from fleet.kernel.instants import Instant
from fleet.runtime.people.cast import CarCast, Cast
from fleet.runtime.people.person import Person, password_of

CARS_PER_REQUEST: Final = 100


@dataclass(frozen=True, slots=True)
class Seed:
    """One request: its words, whose accounts the answer names (in their order), and the key of the password that they have."""

    data: dict[str, Any] = field(repr=False)
    persons: tuple[Person, ...]
    password_key: int = field(repr=False)

    @property
    def password(self) -> str:
        """The password of all of them, until they change it: a hash for each of thousands would take its time."""
        return password_of(self.password_key, 0)

    def is_known(self, accounts: Sequence[str]) -> None:
        """Take the accounts that the back end has made of the persons."""
        for person, account in zip(self.persons, accounts, strict=True):
            person.account = account
            person.password_key = self.password_key


def seeds_of(cast: Cast, *, seed: int, start: Instant) -> list[Seed]:
    """Return the requests that make everybody known, in their order: people with names, then cars and all others.

    Several processes may each make the people with names known: those who are known already stay as they are.
    """
    cars = list(cast.cars.values())
    parts = [cars[first : first + CARS_PER_REQUEST] for first in range(0, len(cars), CARS_PER_REQUEST)]
    named = tuple(person for person in cast.named.values() if person.registered)
    found = (
        [Seed({"persons": [_person(person) for person in named]}, named, stream_key(seed, "people", "named"))] if named else []
    )
    for part in parts:
        drawn = (person for car in part for people in car.roles.values() for person in people)
        persons = tuple(person for person in drawn if person.registered and person.name not in cast.named)
        data: dict[str, Any] = {"vehicles": [_car(car, start) for car in part]}
        if persons:
            data["persons"] = [_person(person) for person in persons]
        found.append(Seed(data, persons, stream_key(seed, "people", "of", part[0].vin)))
    return found


def _person(person: Person) -> dict[str, Any]:
    return {
        "email": person.email, "language": person.language, "country": person.country, "first_name": person.first_name,
        "last_name": person.last_name, "birth_date": person.birth_date, "identified": person.verified,
    }  # fmt: skip


def _car(car: CarCast, start: Instant) -> dict[str, Any]:
    equipment = car.equipment
    told: dict[str, Any] = {
        "vin": car.vin, "model": equipment.model, "generation": equipment.generation, "navi": equipment.navi_system,
        "country": car.country,
    }  # fmt: skip
    users = car.users()
    if not users:
        return told
    told |= {"registered": start - car.age, "users": [_user(car, role, person) for role, person in users]}
    return told if car.mode is None else told | {"mode": car.mode}


def _user(car: CarCast, role: str, person: Person) -> dict[str, Any]:
    told: dict[str, Any] = {"email": person.email, "role": role}
    allowed = car.allowed.get(person.name)
    return told if allowed is None else told | {"allowed": list(allowed)}
