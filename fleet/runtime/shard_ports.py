"""Others that a shard works with: who is woken, who remembers, who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.vehicle.signals import Executed
from fleet.wire.frame import Frame
from fleet.wire.messages import ToCar


class Actor(Protocol):
    """A member of the shard's timer heap: a car on its link, or the users."""

    def deadline(self) -> Instant | None: ...
    def wake(self, at: Instant) -> None: ...
    def __hash__(self) -> int: ...


Arrives = Callable[[str, Frame, ToCar | Undecodable], None]
"""Is told the VIN, the frame, and the message or why it cannot be read."""


class Memory(Protocol):
    """Executed commands of this process's cars, kept beyond its life."""

    def recall(self, vin: str) -> tuple[Executed, ...]: ...
    def remember(self, vin: str, done: Executed, until_wall_us: int) -> None: ...
