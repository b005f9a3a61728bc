"""A VIN tells the model, and the model the way; what a car says of itself agrees, or nobody is enrolled."""

from __future__ import annotations

from typing import get_args

import pytest

from fleet.cloud.people.models import check_told, check_way, model_of
from fleet.cloud.people.part import Refused
from fleet.vehicle.catalogue import load_catalogue
from fleet.wire.enrolment import Way
from tests.cloud.people.enrolling import ATECA, BORN, FORMENTOR, LEON, TAVASCAN

OF_MODELS = {"Ateca": ATECA, "Leon": LEON, "Formentor": FORMENTOR, "Born": BORN, "Tavascan": TAVASCAN}


@pytest.mark.parametrize("name", OF_MODELS)
def test_models_are_those_of_the_cars(name: str) -> None:
    catalogue = load_catalogue().model(name)
    model = model_of(f"VSSZZZ{catalogue.vin_code}ZP{catalogue.plant}000001")
    assert (model.name, model.generation) == (name, catalogue.generation)
    assert model == model_of(OF_MODELS[name])


def test_every_model_can_be_enrolled() -> None:
    assert set(load_catalogue().models) == set(OF_MODELS)


@pytest.mark.parametrize("vin", ["WVWZZZKMZPR000001", "VSSZZZ5FZPR000001", "WBA00000000000000"])
def test_other_cars_have_no_such_services(vin: str) -> None:
    with pytest.raises(Refused) as refused:
        model_of(vin)
    assert refused.value.reason == "incompatible_car"


@pytest.mark.parametrize(
    ("vin", "ways"),
    [
        (BORN, {"qr"}),
        (TAVASCAN, {"qr"}),
        (LEON, {"two_keys", "assistant"}),
        (FORMENTOR, {"two_keys", "assistant"}),
        (ATECA, {"code", "assistant"}),
    ],
)
def test_each_model_has_its_ways(vin: str, ways: set[str]) -> None:
    for way in get_args(Way):
        if way in ways:
            check_way(vin, way)
            continue
        with pytest.raises(Refused) as refused:
            check_way(vin, way)
        assert refused.value.reason == "wrong_way"


@pytest.mark.parametrize(
    ("vin", "way", "told", "navi", "reason"),
    [
        (LEON, "two_keys", "Leon", False, None),
        (LEON, "two_keys", None, None, None),
        (LEON, "two_keys", "Ateca", False, "incompatible_car"),
        (LEON, "two_keys", "Leon", True, "wrong_way"),
        (LEON, "assistant", "Leon", True, None),
        (LEON, "assistant", "Leon", False, "wrong_way"),
        (BORN, "qr", "Born", True, None),
        (BORN, "qr", "Born", False, None),
        (BORN, "qr", "Tavascan", False, "incompatible_car"),
    ],
)
def test_a_car_that_says_otherwise_than_its_vin_is_not_enrolled(
    vin: str, way: Way, told: str | None, navi: bool | None, reason: str | None
) -> None:
    if reason is None:
        check_told(model_of(vin), way, told, navi)
        return
    with pytest.raises(Refused) as refused:
        check_told(model_of(vin), way, told, navi)
    assert refused.value.reason == reason
