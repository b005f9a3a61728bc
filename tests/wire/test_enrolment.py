"""Which model is enrolled in which way."""

from __future__ import annotations

import pytest

from fleet.wire.enrolment import Way, way_of


@pytest.mark.parametrize(
    ("model", "generation", "navi", "way"),
    [
        ("Born", "G4", True, "qr"),
        ("Born", "G4", False, "qr"),
        ("Tavascan", "G4", True, "qr"),
        ("Leon", "G3", True, "assistant"),
        ("Formentor", "G3", True, "assistant"),
        ("Ateca", "G3", True, "assistant"),
        ("Leon", "G3", False, "two_keys"),
        ("Formentor", "G3", False, "two_keys"),
        ("Ateca", "G3", False, "code"),
    ],
)
def test_each_model_has_one_way(model: str, generation: str, *, navi: bool, way: Way) -> None:
    assert way_of(model, generation, navi=navi) == way
