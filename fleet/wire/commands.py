"""The remote commands: names, parameters with their types, time to live. What a car makes of them is `vehicle`'s.

Ranges are not checked here: the car does at the moment of execution, so that its reasons are the car's own.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from fleet.errors import Undecodable, UnknownName
from fleet.kernel.instants import DAY, MINUTE, SECOND, Duration


class _Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameters: an unknown one is malformed, not ignored."""


class HonkAndFlash(_Parameters, frozen=True, kw_only=True):
    """`latitude`, `longitude`: the user's own position in WGS 84 degrees."""

    latitude: float
    longitude: float
    mode: Literal["flash", "honk_and_flash"] = "honk_and_flash"
    duration_s: float = 10


class Lock(_Parameters, frozen=True, kw_only=True):
    pass


class Unlock(_Parameters, frozen=True, kw_only=True):
    pass


class Heater(_Parameters, frozen=True, kw_only=True):
    """`minutes` counts for a start only: 10 to 60 in steps of 10."""

    action: Literal["start", "stop"] = "start"
    minutes: int = 30


class Refresh(_Parameters, frozen=True, kw_only=True):
    pass


Parameters = HonkAndFlash | Lock | Unlock | Heater | Refresh


class CommandType(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a command before it reaches a car.

    Commands of one `kind` exclude each other while one of them is not terminal; `time_to_live` is scenario time.
    """

    name: str
    parameters: type[Parameters]
    kind: str
    time_to_live: Duration
    needs_spin: bool
    summary: str


COMMANDS: Final = {
    command.name: command
    for command in (
        CommandType(name="honk", parameters=HonkAndFlash, kind="honk", time_to_live=60 * SECOND, needs_spin=False,
                    summary="honk and flash, or flash alone, for a user within 500 m"),
        CommandType(name="lock", parameters=Lock, kind="lock", time_to_live=60 * SECOND, needs_spin=True,
                    summary="lock all doors of the parked car"),
        CommandType(name="unlock", parameters=Unlock, kind="lock", time_to_live=60 * SECOND, needs_spin=True,
                    summary="unlock all doors of the parked car"),
        CommandType(name="heater", parameters=Heater, kind="heater", time_to_live=10 * MINUTE, needs_spin=True,
                    summary="start the parking heater for 10 to 60 minutes, or stop it"),
        CommandType(name="refresh", parameters=Refresh, kind="refresh", time_to_live=10 * MINUTE, needs_spin=False,
                    summary="ask for the whole status now"),
    )
}  # fmt: skip

LONGEST_TIME_TO_LIVE: Final = 7 * DAY


def command_type(name: str) -> CommandType:
    """Return what is known of the command, or raise UnknownName with the nearest one."""
    found = COMMANDS.get(name)
    if found is None:
        raise UnknownName("command", name, COMMANDS)
    return found


def read_parameters(name: str, parameters: dict[str, Any]) -> Parameters:
    """Convert to the command's own type; raises Undecodable `unsupported` or `malformed`."""
    known = COMMANDS.get(name)
    if known is None:
        raise Undecodable("unsupported", f"this car does not know the command {name[:40]!r}")
    try:
        return msgspec.convert(parameters, known.parameters)
    except msgspec.ValidationError as error:
        raise Undecodable("malformed", str(error)) from None
