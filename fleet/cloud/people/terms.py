"""The terms of a car's licences: how one begins, goes on and ends, and when its end is told. Pure functions of the car's record.

A term is counted in months of the car's market. It ends by itself; what is bought meanwhile begins where the last one ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from fleet.cloud.calendar import days_later, end_of_day, months_later, zone_of
from fleet.cloud.people.products import load_products
from fleet.cloud.people.records import CarPeople, Licence
from fleet.kernel.instants import HOUR, Instant

WITHDRAWAL_DAYS: Final = 14
"""Whole days after that of the activation, by the market's calendar, in which one may withdraw."""
END: Final = "end"
_STAGES: Final[dict[str, Callable[[Instant, str], Instant]]] = {
    "month": lambda ends, country: months_later(ends, -1, zone_of(country)),
    "15_days": lambda ends, country: days_later(ends, -15, zone_of(country)),
    "48_hours": lambda ends, _: ends - 48 * HOUR,
    END: lambda ends, _: ends,
}
"""The reminders of an end, and when they are due: in this order."""


def with_free_term(car: CarPeople, at: Instant, months: int | None = None) -> CarPeople:
    """Return the car with its free licences from its registration; the same car when it was registered before."""
    if car.registered is not None:
        return car
    products = load_products()
    car = replace(car, registered=at)
    for name in products.free_for(car):
        car, _ = with_licence(car, name, products.free_months_of(car) if months is None else months, at)
    return car


def with_licence(
    car: CarPeople, product: str, months: int, now: Instant, *, purchase: str = "", active: bool = True
) -> tuple[CarPeople, Licence]:
    """Return the car with one licence more, which begins where the product's last one ends, or now; and that licence."""
    last = max((int(held.id.rpartition("-")[2]) for held in car.licences if held.product == product), default=0)
    licence = Licence(
        id=f"{product}-{last + 1}", product=product, packages=load_products().products[product].packages,
        begins=0, ends=0, state="inactive", months=months, purchase=purchase,
    )  # fmt: skip
    if active:
        licence = activated(car, licence, now)
    return replace(car, licences=(*car.licences, licence)), licence


def activated(car: CarPeople, licence: Licence, now: Instant) -> Licence:
    """Return the licence with its term."""
    return replace(_begun(car, licence, max(now, covered_until(car, licence.product)), now), activated=now)


def _begun(car: CarPeople, licence: Licence, begins: Instant, now: Instant) -> Licence:
    ends = months_later(begins, licence.months, zone_of(car.country))
    begun = replace(licence, state="active", begins=begins, ends=ends, reminded=())
    return replace(begun, reminded=tuple(over_by(car, begun, now)))


def with_changed(car: CarPeople, licence: Licence) -> CarPeople:
    """Return the car with this licence in place of the one of the same id."""
    return replace(car, licences=tuple(licence if held.id == licence.id else held for held in car.licences))


def covered_until(car: CarPeople, product: str) -> Instant:
    """Return when the last term of a product ends or has ended, 0 without one."""
    return max((held.ends for held in car.licences if held.product == product and held.state == "active"), default=0)


def withdrawable_until(car: CarPeople, licence: Licence) -> Instant | None:
    """Return until when one may withdraw from a licence; None while nobody has activated it: at any time."""
    return None if licence.activated is None else withdrawal_end(car, licence.activated)


def withdrawal_end(car: CarPeople, since: Instant) -> Instant:
    """Return until when one may withdraw from what has begun then."""
    return end_of_day(since, WITHDRAWAL_DAYS, zone_of(car.country))


def withdrawn(car: CarPeople, licence: Licence, now: Instant) -> CarPeople:
    """Return the car without the licence from now on; terms of the product that had not begun move up (ours).

    The withdrawal itself tells that services stop: of an end before it nobody is reminded any more.
    """
    later = [held for held in car.licences if held.product == licence.product and held.state == "active" and held.begins > now]
    car = with_changed(car, replace(licence, state="withdrawn", ends=min(licence.ends, now), begins=min(licence.begins, now)))
    waiting = sorted((held for held in later if held.id != licence.id), key=lambda held: held.begins)
    for held in waiting:
        car = with_changed(car, replace(held, ends=0))
    for held in waiting:
        car = with_changed(car, _begun(car, held, max(now, covered_until(car, held.product)), now))
    for held in reminded_of(car):
        if held.product == licence.product:
            car = with_changed(car, replace(held, reminded=tuple(over_by(car, held, now))))
    return car


# --- reminders


def over_by(car: CarPeople, licence: Licence, now: Instant) -> Iterator[str]:
    """Yield the reminders of a licence whose time has come by now."""
    return (stage for stage, at in _STAGES.items() if at(licence.ends, car.country) <= now)


def reminded_of(car: CarPeople) -> list[Licence]:
    """Return the licences whose ends are told: of each product with reminders the one that ends last."""
    products = load_products().products
    last: dict[str, Licence] = {}
    for held in car.licences:
        if held.state == "active" and products[held.product].reminded:
            before = last.get(held.product)
            last[held.product] = held if before is None or held.ends >= before.ends else before
    return list(last.values())


def next_reminder(car: CarPeople) -> Instant | None:
    """Return when the next reminder of one of the car's licences is due."""
    dues = (
        at(licence.ends, car.country)
        for licence in reminded_of(car)
        for stage, at in _STAGES.items()
        if stage not in licence.reminded
    )
    return min(dues, default=None)
