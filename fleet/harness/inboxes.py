"""Inboxes of a world's cars: commands from the back end, whoever that is, and messages that no car can read."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.errors import Undecodable
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, ToCar


@dataclass(frozen=True, slots=True)
class ArrivedCommand:
    """A command that came to a car, and how: `frame` has topic, response topic, correlation data and expiry."""

    command: Command
    frame: Frame


class Inboxes:
    """Keeps what comes, by VIN."""

    def __init__(self) -> None:
        self._commands: dict[str, list[ArrivedCommand]] = {}
        self._unreadable: dict[str, list[str]] = {}

    def arrived(self, vin: str, frame: Frame, message: ToCar | Undecodable) -> None:
        """Note what comes for a car: a message, or why it cannot read the frame."""
        if isinstance(message, Undecodable):
            self._unreadable.setdefault(vin, []).append(f"{frame.topic}: {message.detail}")
        elif isinstance(message, Command):
            self.commands(vin).append(ArrivedCommand(message, frame))

    def commands(self, vin: str) -> list[ArrivedCommand]:
        """Return the commands that came to a car, oldest first; the list grows as they come."""
        return self._commands.setdefault(vin, [])

    def unreadable(self, vin: str) -> list[str]:
        """Return what came and the car could not read, topic and reason."""
        return self._unreadable.get(vin, [])
