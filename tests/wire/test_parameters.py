"""The parameters of commands: their defaults, and what a car cannot read."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.errors import Undecodable
from fleet.wire.commands import read_parameters
from fleet.wire.parameters import HonkAndFlash


def test_defaults() -> None:
    """10 s of horn and lights."""
    assert read_parameters("honk", {"latitude": 1, "longitude": 2.5}) == HonkAndFlash(latitude=1.0, longitude=2.5)


@pytest.mark.parametrize(
    ("name", "parameters", "reason"),
    [
        ("fly", {}, "unsupported"),
        ("honk", {}, "malformed"),
        ("honk", {"latitude": "48", "longitude": 11}, "malformed"),
        ("honk", {"latitude": 48, "longitude": 11, "mode": "sing"}, "malformed"),
        ("lock", {"spin": "1234"}, "malformed"),
        ("heater", {"minutes": 30.5}, "malformed"),
        ("heater", {"minutes": True}, "malformed"),
        ("heater", {"action": "pause"}, "malformed"),
        ("refresh", {"all": True}, "malformed"),
    ],
)
def test_what_a_car_cannot_read(name: str, parameters: dict[str, Any], reason: str) -> None:
    """Unsupported or malformed, an unknown parameter too: never ignored."""
    with pytest.raises(Undecodable) as caught:
        read_parameters(name, parameters)
    assert caught.value.reason == reason
