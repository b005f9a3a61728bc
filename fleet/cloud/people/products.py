"""The products that licences are for, from products.toml: what each opens, which cars it fits, how long it is free."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec

from fleet.cloud.people.records import CarPeople


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all entries: a misspelt key is an error."""


class Product(_Data, frozen=True, kw_only=True):
    """A product that opens packages of services. What is empty or None fits every car.

    `free`: every car that it fits has it from its registration. `subscription`: it is of no use without one with somebody else.
    """

    packages: tuple[str, ...]
    generation: str = ""
    navi: bool | None = None
    equipment: str = ""
    free: bool = False
    reminded: bool = False
    subscription: bool = False

    def misfit(self, car: CarPeople) -> str | None:
        """Return why it is nothing for this car, in words; None when it fits. What nobody knows of a car fits."""
        if self.generation and car.generation and car.generation != self.generation:
            return f"it is for cars of the generation {self.generation}, and this one is {car.generation}"
        if self.navi is not None and car.generation and car.navi != self.navi:
            return f"it is for cars {'with' if self.navi else 'without'} navigation system"
        if self.equipment and self.equipment not in car.equipment:
            return f"the car has no {self.equipment}"
        return None


class _Longer(_Data, frozen=True, kw_only=True):
    generation: str
    months: int
    countries: tuple[str, ...] = ()
    equipment: str = ""

    def holds(self, car: CarPeople) -> bool:
        return (
            car.generation == self.generation
            and (not self.countries or car.country in self.countries)
            and (not self.equipment or self.equipment in car.equipment)
        )


class _DataPlan(_Data, frozen=True, kw_only=True):
    countries: tuple[str, ...]


class Products(_Data, frozen=True, kw_only=True):
    """All of products.toml."""

    products: dict[str, Product]
    free_months: dict[str, int]
    longer: tuple[_Longer, ...]
    data_plan: _DataPlan

    def free_for(self, car: CarPeople) -> tuple[str, ...]:
        """Return the products that the car has from its registration; none while nobody knows what car it is."""
        if not car.generation:
            return ()
        return tuple(name for name, product in self.products.items() if product.free and product.misfit(car) is None)

    def free_months_of(self, car: CarPeople) -> int:
        """Return how long they are free."""
        return max(self.free_months[car.generation], *(each.months for each in self.longer if each.holds(car)), 0)


@cache
def load_products() -> Products:
    """Return the products, from the package's own file."""
    text = resources.files("fleet.cloud.people").joinpath("products.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=Products)
