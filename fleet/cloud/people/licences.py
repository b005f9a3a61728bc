"""Licences of cars: the free term from the registration, renewal, activation, withdrawal, and the four reminders of an end.

A licence is the car's, whoever its users are. What it opens is judged by `fleet.cloud.rights`, by its term alone: an end needs no
deed of ours, but that people are told. Who is told is the primary user at that moment; without one, nobody is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec.structs import replace

from fleet.cloud.calendar import local_text, zone_of
from fleet.cloud.countries import load_countries
from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.models import model_of
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words
from fleet.cloud.people.people import People
from fleet.cloud.people.products import load_products
from fleet.cloud.people.records import CarPeople, Licence
from fleet.cloud.people.sales import Sale, buyer_of, outputs_of_sale, sell, take_back
from fleet.cloud.people.terms import (
    END,
    activated,
    next_reminder,
    over_by,
    reminded_of,
    with_changed,
    with_free_term,
    with_licence,
    withdrawable_until,
)
from fleet.cloud.places import load_world
from fleet.cloud.rule import AskCar, Done, Notify, RuleOutput
from fleet.kernel.instants import DAY, Instant, format_instant
from fleet.kernel.timers import TimerHeap

_BEFORE: Final = 365 * DAY
"""How long ago a licence began that a test sets."""


class _Register(Words, frozen=True, kw_only=True):
    country: str = ""
    generation: Literal["G3", "G4"] | None = None
    navi: bool | None = None
    equipment: tuple[str, ...] | None = None
    months: int | None = None


class _Renew(Words, frozen=True, kw_only=True):
    years: int = 1
    product: str | None = None


class _Withdraw(Words, frozen=True, kw_only=True):
    licence: str
    statement: str


class _Activate(Words, frozen=True, kw_only=True):
    licence: str | None = None


class _Set(Words, frozen=True, kw_only=True):
    product: str
    state: Literal["active", "inactive", "expired", "missing"] = "active"
    days_left: float = 30.0
    months: int = 12


def for_enrolment(car: CarPeople, now: Instant) -> CarPeople:
    """Return the car with what an enrolment needs: a licence, or the free term that begins now. Raises Refused without one."""
    if any(held.state == "inactive" or (held.state == "active" and now < held.ends) for held in car.licences):
        return car
    if car.registered is None and not car.licences:
        return with_free_term(car, now)
    raise Refused("licence_expired", "all licences of the car are over; one must be renewed in the web shop first")


def activation(car: CarPeople, now: Instant) -> list[RuleOutput]:
    """Return what has the car show that its services are active."""
    return [AskCar(f"licence-activation-{car.vin}-{now}", car.vin, "show_notice", {"kind": "activation"})]


class Licences(Part):
    """The licences of all cars. Its deadline is the next reminder of any of them."""

    service = "licence"

    def __init__(self, people: People) -> None:
        super().__init__(people)
        self._reminders: TimerHeap[str] = TimerHeap()
        for car in people.cars.values():
            self._reminders.set(car.vin, next_reminder(car))
        people.follow_cars(self._car_changed)

    def _car_changed(self, before: CarPeople | None, after: CarPeople | None) -> None:
        if after is None:
            if before is not None:
                self._reminders.set(before.vin, None)
        elif before is None or before.licences is not after.licences or before.country != after.country:
            self._reminders.set(after.vin, next_reminder(after))

    def actions(self) -> Mapping[str, Action]:
        return {
            "list": self._list,
            "register": self._register,
            "renew": self._renew,
            "withdraw": self._withdraw,
            "activate": self._activate,
            "set": self._set,
        }

    # --- reminders

    def deadline(self) -> Instant | None:
        return self._reminders.next_deadline()

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        """Remind of ends. Of several that have come at once, as after a jump of the clock, the newest alone is true."""
        outputs: list[RuleOutput] = []
        for _, vin in list(self._reminders.pop_due(now, len(self._reminders))):
            car = self.people.cars[vin]
            for licence in reminded_of(car):
                over = tuple(over_by(car, licence, now))
                if len(over) > len(licence.reminded):
                    car = with_changed(car, replace(licence, reminded=over))
                    outputs += self._reminder(car, licence, over[-1])
            self.people.put_car(car)
        return outputs

    def _reminder(self, car: CarPeople, licence: Licence, when: str) -> list[RuleOutput]:
        primary = self.people.accounts.get(car.primary)
        if primary is None:
            return []
        product, ends = licence.product, licence.ends
        mail = mail_to(primary, "licence_reminder", vin=car.vin, product=product, when=when, ends=ends)
        if when != END:
            return [mail]
        return [
            mail,
            Notify(car.vin, "primary_user", "licence_ended", {"product": product, "ends": ends}),
            AskCar(f"licence-ended-{car.vin}-{licence.id}-{ends}", car.vin, "show_notice", {"kind": "licence_ended"}),
        ]

    # --- actions

    def _list(self, asking: Asking) -> Done:
        """Show the licences of a car to its users: what they bought, and when, tells of them."""
        asking.words(Words)
        car = self.people.car(asking.vin)
        asking.as_user_of(car)
        return self._changed(car, asking.now)

    def _shown(self, car: CarPeople, now: Instant) -> dict[str, Any]:
        return {"registered": car.registered, "licences": [shown(car, held, now) for held in car.licences]}

    def _changed(self, car: CarPeople, now: Instant, outputs: Sequence[RuleOutput] = ()) -> Done:
        return Done(outputs, self._shown(car, now), in_words(car, now))

    def _register(self, asking: Asking) -> Done:
        """Begin the free term, as the warranty was signed."""
        words, car = asking.words(_Register), self.people.car(asking.vin)
        if words.country and words.country not in load_countries():
            raise Refused(
                "argument_out_of_range", f"country: {words.country!r} is no market; possible: {', '.join(load_countries())}"
            )
        if car.registered is not None:
            raise Refused(
                "already_registered", f"the car was registered on {format_instant(car.registered)[:10]}, once and for all"
            )
        car = replace(
            car,
            country=words.country or car.country,
            generation=words.generation or car.generation or model_of(car.vin).generation,
            navi=car.navi if words.navi is None else words.navi,
            equipment=car.equipment if words.equipment is None else words.equipment,
        )
        car = with_free_term(car, asking.now, words.months)
        self.people.put_car(car)
        return self._changed(car, asking.now)

    def _renew(self, asking: Asking) -> Done:
        words, (car, buyer) = asking.words(_Renew), buyer_of(self.people, asking)
        held = [licence.product for licence in car.licences if load_products().products[licence.product].free]
        product = words.product or (held[0] if held else None)
        if product is None or product not in {licence.product for licence in car.licences}:
            raise Refused(
                "licence_missing", "there is no licence of it to be renewed; the store has offers: fleet store offers VIN"
            )
        offers = load_world().store
        offer = next((n for n, each in offers.items() if each.product == product and each.months == 12 * words.years), None)
        if offer is None:
            raise Refused("not_found", f"{product} is not offered for {words.years} years")
        sale = sell(self.people, car, buyer, offer, asking.now)
        data = self._shown(sale.car, asking.now) | _bought(sale)
        return Done(outputs_of_sale(self.people, sale, asking.now), data, in_words(sale.car, asking.now))

    def _withdraw(self, asking: Asking) -> Done:
        words, (car, person) = asking.words(_Withdraw), buyer_of(self.people, asking)
        if not words.statement.strip():
            raise Refused("malformed", "a withdrawal is a statement in words")
        licence = _found(car, words.licence)
        if licence.state == "withdrawn":
            raise Refused("already_withdrawn", f"{licence.id} was withdrawn from before")
        outputs = take_back(self.people, car, person, asking.now, licence=licence)
        return self._changed(self.people.car(car.vin), asking.now, outputs)

    def _activate(self, asking: Asking) -> Done:
        words, (car, _) = asking.words(_Activate), buyer_of(self.people, asking)
        waiting = [held.id for held in car.licences if held.state == "inactive"]
        if words.licence is None and len(waiting) != 1:
            raise Refused("not_found", f"which licence? Not activated: {', '.join(waiting) or 'none'}")
        licence = _found(car, words.licence or waiting[0])
        if licence.state != "inactive":
            raise Refused("not_possible", f"{licence.id} was activated before")
        car = with_changed(car, activated(car, licence, asking.now))
        self.people.put_car(car)
        return self._changed(car, asking.now, activation(car, asking.now))

    def _set(self, asking: Asking) -> Done:
        """Make the state that a test wants, in place of all licences of the product."""
        words, now = asking.words(_Set), asking.now
        if words.product not in load_products().products:
            raise Refused(
                "not_found", f"there is no product {words.product[:40]!r}; known: {', '.join(load_products().products)}"
            )
        car = self.people.car(asking.vin)
        others = tuple(held for held in car.licences if held.product != words.product)
        _, made = with_licence(car, words.product, words.months, now, active=False)
        if words.state != "inactive":
            ends = now + round(words.days_left * DAY) if words.state == "active" else now - DAY
            made = replace(made, state="active", begins=min(now, ends) - _BEFORE, ends=ends)
            made = replace(made, reminded=tuple(over_by(car, made, now)))
        if words.state == "missing":
            made = replace(made, state="withdrawn")
        car = replace(car, licences=(*others, made))
        self.people.put_car(car)
        return self._changed(car, now)


def shown(car: CarPeople, licence: Licence, now: Instant) -> dict[str, Any]:
    """Return a licence as people see it; that one is over follows from the time."""
    state = str(licence.state)
    if licence.state == "active" and not licence.begins <= now < licence.ends:
        state = "expired" if licence.ends <= now else "pending"
    term = {} if licence.state == "inactive" else {"begins": licence.begins, "ends": licence.ends}
    until = withdrawable_until(car, licence) if licence.state != "withdrawn" else None
    return {
        "licence": licence.id, "product": licence.product, "packages": list(licence.packages), "state": state, **term,
        **({} if until is None else {"withdrawable_until": until}),
        **({"months": licence.months} if licence.state == "inactive" else {}),
    }  # fmt: skip


def in_words(car: CarPeople, now: Instant) -> str:
    """Return the licences of a car in a line for people, by the clock of its market."""
    zone = zone_of(car.country)
    told = []
    for held in car.licences:
        state = shown(car, held, now)["state"]
        term = f" {local_text(held.begins, zone)} to {local_text(held.ends, zone)}" if state != "inactive" else ""
        told.append(f"{held.id} {state}{term}")
    return "; ".join(told) or "the car has no licence"


def _found(car: CarPeople, licence_id: str) -> Licence:
    found = next((held for held in car.licences if held.id == licence_id), None)
    if found is None:
        held = ", ".join(licence.id for licence in car.licences) or "none"
        raise Refused("not_found", f"the car has no licence {licence_id[:40]!r}; it has: {held}")
    return found


def _bought(sale: Sale) -> dict[str, Any]:
    return {"purchase": sale.purchase.id, "price_cents": sale.purchase.price_cents, "invoice": sale.purchase.invoice}
