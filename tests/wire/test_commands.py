"""The commands' names, S-PINs and times to live."""

from __future__ import annotations

import pytest

from fleet.errors import UnknownName
from fleet.kernel.instants import DAY, MINUTE, SECOND
from fleet.wire.commands import COMMANDS, command_type


def test_times_to_live_are_the_contracts() -> None:
    """Honk and lock 60 s, routes and what the back end has to say 7 days, others 10 min."""
    special = {"honk": 60 * SECOND, "lock": 60 * SECOND, "unlock": 60 * SECOND, "route_import": 7 * DAY}
    special |= {"enrol_user": 7 * DAY, "show_notice": 7 * DAY}
    assert {name: command.time_to_live for name, command in COMMANDS.items()} == dict.fromkeys(COMMANDS, 10 * MINUTE) | special


def test_the_spin_is_for_what_opens_or_conditions_the_car() -> None:
    comfort = {"heater", "ventilation", "ventilation_timers", "climatisation", "departure_timers"}
    assert {name for name, command in COMMANDS.items() if command.needs_spin} == {"lock", "unlock"} | comfort


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    """For people at the prompt."""
    with pytest.raises(UnknownName) as caught:
        command_type("hnok")
    assert "honk" in caught.value.hint
