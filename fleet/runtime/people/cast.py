"""Who there is in a scenario: the people of each car by their roles, drawn or named. The same seed gives the same people.

Each draw is a stream of its own, so that another share, or people at all, changes nobody else and no car.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import Duration
from fleet.runtime.people.person import Manner, Person, make_person
from fleet.scenario.actions import Action
from fleet.scenario.people import Household, NamedPerson
from fleet.scenario.persons import ROLES, PersonRole
from fleet.vehicle.catalogue import Equipment
from fleet.wire.privacy import PrivacyMode

_SLOTS: Final = ("primary", "additional", "guest", "buyer")
"""People that a car can have by draws."""
_NAMED_FROM: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class CastCar:
    """A car that is given people: its place in the scenario, what it is, and where it is registered."""

    place: int
    vin: str
    equipment: Equipment
    country: str


@dataclass(slots=True)
class CarCast:
    """The people of one car. `enrolled` tells whether its primary user has enrolled; `age` is the time since its registration.

    `allowed` are the services of additional users to whom they were allowed one by one, by their names.
    """

    vin: str
    equipment: Equipment
    country: str
    enrolled: bool = True
    age: Duration = 0
    mode: PrivacyMode | None = None
    roles: dict[PersonRole, list[Person]] = field(default_factory=dict)
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def first(self, role: PersonRole) -> Person | None:
        """Return the first person of a role."""
        return next(iter(self.roles.get(role, ())), None)

    def users(self) -> list[tuple[PersonRole, Person]]:
        """Return the users of the car; none while nobody has enrolled it."""
        if not self.enrolled:
            return []
        return [(role, person) for role in ROLES[:3] for person in self.roles.get(role, ())]

    def is_taken_by(self, person: Person) -> None:
        """Note that somebody has enrolled as primary: whoever was a user is none any more."""
        before = self.first("primary")
        if before is person:
            self.enrolled = True
            return
        buyers = [other for other in self.roles.get("buyer", ()) if other is not person]
        self.roles = {"primary": [person], "buyer": buyers}
        if before is not None and self.enrolled:
            self.roles["previous_owner"] = [before]
        self.enrolled = True


class Cast:
    """All people of a scenario, as far as one process knows them."""

    def __init__(self, seed: int) -> None:
        """Begin with nobody."""
        self._seed = seed
        self.cars: dict[str, CarCast] = {}
        self.named: dict[str, Person] = {}

    def acting(self, action: Action, vin: str | None) -> Person | None:
        """Return who does a step with a car: somebody named or of a role, else the primary user; None where there is nobody."""
        if action.person is not None:
            return self.named.get(action.person)
        return None if vin is None else self.of_role(action.by or "primary", vin)

    def can_act(self, action: Action, vin: str | None) -> bool:
        """Tell whether there is somebody who does a step with a car and somebody to whom it is done, where it wants them."""
        if action.whom is not None and self.called(action.whom, vin) is None:
            return False
        return (action.by or action.person or action.whom) is None or self.acting(action, vin) is not None

    def of_role(self, role: str, vin: str) -> Person | None:
        """Return the first person of a role on a car."""
        car = self.cars.get(vin)
        known = next((each for each in ROLES if each == role), None)
        return None if car is None or known is None else car.first(known)

    def called(self, name: str, vin: str | None) -> Person | None:
        """Return somebody by a name, or by a role on a car."""
        return self.named.get(name) or (None if vin is None else self.of_role(name, vin))

    def add_household(self, household: Household, cars: Iterable[CastCar]) -> None:
        """Draw the people of these cars, but for those that have people already."""
        for car in cars:
            if car.vin not in self.cars:
                self.cars[car.vin] = _draw_car(self._seed, household, car)

    def add_named(self, number: int, person: NamedPerson, country: str, cars: Iterable[CastCar]) -> None:
        """Add somebody with a name, as a user of these cars: in the place of who was drawn, if there is one."""
        manner = Manner(
            language=person.language, country=person.country or country, verified=person.verified, registered=person.registered,
            app=person.app,
        )  # fmt: skip
        made = make_person(person.name, stream_key(self._seed, "person", person.name), _NAMED_FROM + number, manner)
        self.named[person.name] = made
        for each in cars:
            assert person.role is not None
            car = self.cars.setdefault(each.vin, CarCast(each.vin, each.equipment, each.country))
            others = [other for other in car.roles.get(person.role, ()) if other.name in self.named]
            car.roles[person.role] = [*others, made]
            if person.allowed is not None:
                car.allowed[made.name] = person.allowed
            if not person.registered and person.role == "primary":
                car.enrolled = False

    def people(self) -> list[Person]:
        """Return everybody once: those of cars first."""
        of_cars = (person for car in self.cars.values() for people in car.roles.values() for person in people)
        return list(dict.fromkeys((*of_cars, *self.named.values())))


def _draw_car(seed: int, household: Household, of: CastCar) -> CarCast:
    key = stream_key(seed, "people", of.vin)

    def drawn(share: float, what: str) -> bool:
        return Draws(key, what).chance(share)

    def person(slot: int, language: str, *, registered: bool = True, app: bool = False) -> list[Person]:
        role = _SLOTS[slot]
        verified = not Draws(key, "unverified", slot).chance(household.unverified)
        manner = Manner(language=language, country=of.country, verified=verified, registered=registered, app=app)
        number = of.place * len(_SLOTS) + slot
        return [make_person(f"{role} of {of.vin}", stream_key(seed, "people", of.vin, role), number, manner)]

    languages = list(household.languages)
    home, other = (languages[Draws(key, "language", n).weighted(tuple(household.languages.values()))] for n in range(2))
    car = CarCast(of.vin, of.equipment, of.country, enrolled=drawn(household.enrolled, "enrolled"))
    registered = car.enrolled or drawn(household.registered, "registered")
    car.roles["primary"] = person(0, home, registered=registered, app=registered and drawn(household.apps, "app"))
    if drawn(household.buyers, "buyer"):
        car.roles["buyer"] = person(3, other)
    if not car.enrolled:
        return car
    car.age = household.licence_age.draw(Draws(key, "licence-age"))
    if household.privacy is not None:
        car.mode = household.privacy.draw(Draws(key, "app-privacy"))
    kind = Draws(key, "family").unit()
    family = kind < household.families
    if family or kind < household.families + household.additional:
        car.roles["additional"] = person(1, home)
    if family or Draws(key, "guest").unit() * (1 - household.families) < household.guests:
        car.roles["guest"] = person(2, home)
    return car
