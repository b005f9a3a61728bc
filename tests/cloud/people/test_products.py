"""The products: each opens packages, fits some cars, and every offer of the store is for one of them."""

from __future__ import annotations

import pytest

from fleet.cloud.countries import load_countries
from fleet.cloud.people.products import load_products
from fleet.cloud.people.records import CarPeople
from fleet.cloud.places import load_world
from fleet.wire.commands import COMMANDS
from fleet.wire.requests import requests


def test_every_offer_is_for_a_product_and_every_package_of_the_catalogue_is_in_a_product() -> None:
    products = load_products().products
    assert {offer.product for offer in load_world().store.values()} == set(products)
    wanted = {command.entry.package for command in COMMANDS.values()} | {request.entry.package for request in requests().values()}
    assert wanted - {None} <= {package for product in products.values() for package in product.packages}


@pytest.mark.parametrize(
    ("product", "car", "fits"),
    [
        ("g3_navi", CarPeople(vin="V", generation="G3", navi=True), True),
        ("g3_navi", CarPeople(vin="V", generation="G3"), False),
        ("g3_radio", CarPeople(vin="V", generation="G3", navi=True), False),
        ("connect", CarPeople(vin="V", generation="G3"), False),
        ("connect", CarPeople(vin="V", generation="G4", navi=True), True),
        ("travel_assist", CarPeople(vin="V", generation="G4", navi=True), False),
        ("travel_assist", CarPeople(vin="V", generation="G4", navi=True, equipment=("travel_assist",)), True),
        ("g3_navi", CarPeople(vin="V"), True),
    ],
)
def test_a_product_fits_some_cars(product: str, car: CarPeople, fits: bool) -> None:
    assert (load_products().products[product].misfit(car) is None) is fits


def test_nothing_is_free_for_a_car_of_which_nothing_is_known_and_no_free_term_is_short() -> None:
    products = load_products()
    assert products.free_for(CarPeople(vin="V")) == ()
    assert min(*products.free_months.values(), *(each.months for each in products.longer)) >= 12


def test_data_without_roaming_charge_is_for_markets() -> None:
    assert set(load_products().data_plan.countries) <= load_countries().keys()
