"""The shape of every state machine here: inputs and time in, outputs and the next deadline out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from fleet.kernel.instants import Instant

InputT = TypeVar("InputT", contravariant=True)
OutputT = TypeVar("OutputT", covariant=True)


class Machine(Protocol[InputT, OutputT]):
    """Decides; performs nothing. It never reads a clock: `now` never runs back between calls.

    A driver calls `receive` for each input, `wake` once `deadline()` has come, and performs the outputs
    in their order. The same inputs at the same times give the same outputs.
    """

    def receive(self, message: InputT, now: Instant) -> Sequence[OutputT]:
        """Take one input and return what is to be done."""
        ...

    def deadline(self) -> Instant | None:
        """Return when the machine wants to be woken, or None while nothing is due."""
        ...

    def wake(self, now: Instant) -> Sequence[OutputT]:
        """Do what is due at `now`; does nothing when called early."""
        ...
