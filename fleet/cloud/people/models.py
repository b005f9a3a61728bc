"""The models that can be enrolled, told by their VINs, and how. What a car itself says must agree with its VIN.

Source: enrolment of the domain description; positions 7 and 8 of a VIN name the model.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from fleet.cloud.people.part import Refused
from fleet.wire.enrolment import Way, way_of

Generation = Literal["G3", "G4"]
MAKER: Final = "VSS"
"""The first three characters of the VINs of this maker."""


class Model(NamedTuple):
    """A model, as its VIN tells it."""

    name: str
    generation: Generation

    def way(self, *, navi: bool) -> Way:
        """Return how it is enrolled, with or without a navi system."""
        return way_of(self.name, self.generation, navi=navi)


_BY_VIN: Final = {
    "KH": Model("Ateca", "G3"),
    "KL": Model("Leon", "G3"),
    "KM": Model("Formentor", "G3"),
    "K1": Model("Born", "G4"),
    "KR": Model("Tavascan", "G4"),
}


def model_of(vin: str) -> Model:
    """Return the model of a car. Raises Refused for one that has no such services."""
    model = _BY_VIN.get(vin[6:8])
    if model is None or not vin.startswith(MAKER):
        known = ", ".join(each.name for each in _BY_VIN.values())
        raise Refused("incompatible_car", f"{vin} is none of {known}; type the VIN as it stands in the registration papers")
    return model


def check_way(vin: str, way: Way) -> Model:
    """Return the model of a car that can be enrolled this way. Raises Refused for another way, or another car."""
    model = model_of(vin)
    ways = dict.fromkeys(model.way(navi=navi) for navi in (False, True))
    if way not in ways:
        raise Refused("wrong_way", f"a {model.name} is enrolled by {' or '.join(ways)}, not by {way}")
    return model


def check_told(model: Model, way: Way, told: str | None, navi: bool | None) -> None:
    """Hold what a car says of itself against its VIN. Raises Refused where they contradict each other."""
    if told is not None and told != model.name:
        raise Refused("incompatible_car", f"the car says that it is a {told[:40]}, and by its VIN it is a {model.name}")
    if navi is not None and way != model.way(navi=navi):
        fitted = "with a navi system" if navi else "without a navi system"
        raise Refused("wrong_way", f"a {model.name} {fitted} is enrolled by {model.way(navi=navi)}, not by {way}")
