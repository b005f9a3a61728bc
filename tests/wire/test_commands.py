"""The commands' names, parameters and times to live."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.errors import Undecodable, UnknownName
from fleet.kernel.instants import DAY, MINUTE, SECOND
from fleet.wire.commands import COMMANDS, command_type, read_parameters
from fleet.wire.parameters import HonkAndFlash


def test_times_to_live_are_the_contracts() -> None:
    """Honk and lock 60 s, routes 7 days, others 10 min."""
    special = {"honk": 60 * SECOND, "lock": 60 * SECOND, "unlock": 60 * SECOND, "route_import": 7 * DAY}
    assert {name: command.time_to_live for name, command in COMMANDS.items()} == dict.fromkeys(COMMANDS, 10 * MINUTE) | special


def test_the_spin_is_for_what_opens_or_conditions_the_car() -> None:
    comfort = {"heater", "ventilation", "ventilation_timers", "climatisation", "departure_timers"}
    assert {name for name, command in COMMANDS.items() if command.needs_spin} == {"lock", "unlock"} | comfort


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    """For people at the prompt."""
    with pytest.raises(UnknownName) as caught:
        command_type("hnok")
    assert "honk" in caught.value.hint


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
