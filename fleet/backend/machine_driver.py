"""Drives a pure machine of the back end: inputs and the time in, outputs performed, and a call at its deadline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic

from fleet.backend.batching import pause_s
from fleet.backend.context import BackendContext
from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.instants import Cancellable, Instant
from fleet.kernel.machine import InputT, Machine, OutputT

_LONGEST_WAIT_S: Final = 3600.0


class MachineDriver(Generic[InputT, OutputT]):
    """One machine at a time, and its deadline. A deadline at which it fails is tried again after a pause that grows."""

    def __init__(
        self,
        name: str,
        machine: Machine[InputT, OutputT],
        context: BackendContext,
        perform: Callable[[Sequence[OutputT]], None],
    ) -> None:
        """Take the machine and its `name` for people, and the function that performs its outputs."""
        self._name = name
        self._machine = machine
        self._context = context
        self._clock = context.clock
        self._perform = perform
        self._failures = 0
        self._timer = DeadlineTimer(self._call_at, self.deadline, self._look, longest_wait_s=_LONGEST_WAIT_S)

    def replace(self, machine: Machine[InputT, OutputT]) -> None:
        """Drive another machine from now on."""
        self._timer.cancel()
        self._machine = machine

    def give(self, message: InputT, now: Instant | None = None) -> None:
        """Give the machine an input, as of now or of another instant, and perform what comes out."""
        self._take(self._machine.receive(message, self._clock.now() if now is None else now))

    def rearm(self) -> None:
        """Set the timer to the deadline as it is now."""
        self._timer.rearm(pause_s(self._failures))

    def cancel(self) -> None:
        """Set no timer before the next input: the clock is being set, or it is the end."""
        self._timer.cancel()

    def look_at_clock(self) -> None:
        """Do what is due by now, whatever the timer was set to."""
        self._timer.cancel()
        self._look()

    def deadline(self) -> Instant | None:
        """Return when the machine wants to be woken, None while nothing is due."""
        return self._machine.deadline()

    def _call_at(self, at: Instant, callback: Callable[[], object], not_before_s: float, not_after_s: float) -> Cancellable:
        return self._clock.clock.call_at(at, callback, not_before_s, not_after_s)

    def _look(self) -> None:
        self._context.attempt(f"a deadline of the {self._name}", self._wake)

    def _wake(self) -> None:
        failures, self._failures = self._failures, 0
        try:
            self._take(self._machine.wake(self._clock.now()))
        except Exception:
            self._failures = failures + 1
            raise

    def _take(self, outputs: Sequence[OutputT]) -> None:
        if outputs:
            self._perform(outputs)
        self.rearm()
        if outputs:
            self._context.changed()
