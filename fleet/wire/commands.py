"""The remote commands, with the types of their parameters; all else that is known of them stands in the catalogue."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fleet.errors import Undecodable, UnknownName
from fleet.kernel.instants import DAY, Duration
from fleet.wire.parameters import PARAMETERS, Parameters
from fleet.wire.services import CommandEntry, load_services


class CommandType(msgspec.Struct, frozen=True, kw_only=True):
    """A command of the catalogue with the type of its parameters. Commands of one `kind` exclude each other."""

    name: str
    kind: str
    parameters: type[Parameters]
    entry: CommandEntry

    @property
    def time_to_live(self) -> Duration:
        """Scenario time, unless whoever asks says otherwise."""
        return self.entry.time_to_live

    @property
    def needs_spin(self) -> bool:
        return self.entry.spin


COMMANDS: Final = {
    name: CommandType(name=name, kind=entry.kind or name, parameters=PARAMETERS[name], entry=entry)
    for name, entry in load_services().commands.items()
}

LONGEST_TIME_TO_LIVE: Final = 7 * DAY


def command_type(name: str) -> CommandType:
    """Return what is known of the command, or raise UnknownName with the nearest one."""
    found = COMMANDS.get(name)
    if found is None:
        raise UnknownName("command", name, COMMANDS)
    return found


def is_stop(parameters: Parameters) -> bool:
    """Tell whether this ends what another command began: that is never busy, and possible in any state."""
    return getattr(parameters, "action", None) == "stop"


def read_parameters(name: str, parameters: dict[str, Any]) -> Parameters:
    """Convert to the command's own type; raises Undecodable `unsupported` or `malformed`."""
    known = COMMANDS.get(name)
    if known is None:
        raise Undecodable("unsupported", f"this car does not know the command {name[:40]!r}")
    try:
        return msgspec.convert(parameters, known.parameters)
    except msgspec.ValidationError as error:
        raise Undecodable("malformed", str(error)) from None
