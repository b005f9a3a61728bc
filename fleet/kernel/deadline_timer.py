"""When a machine is woken: one call of a clock at its deadline, asked for anew whenever that has moved."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from fleet.kernel.instants import Cancellable, Instant


class CallAt(Protocol):
    """Calls back when it is `instant`, but no earlier and no later than after so many wall seconds; see `Clock.call_at`."""

    def __call__(
        self, instant: Instant, callback: Callable[[], object], not_before_s: float, not_after_s: float, /
    ) -> Cancellable: ...


class DeadlineTimer:
    """The call that comes at the deadline of a machine, or of a heap of them. Its driver calls `rearm` after each input."""

    __slots__ = ("_armed_at", "_call_at", "_deadline", "_due", "_handle", "_keeps_early", "_keeps_same", "_longest_wait_s")

    def __init__(
        self,
        call_at: CallAt,
        deadline: Callable[[], Instant | None],
        due: Callable[[], object],
        *,
        longest_wait_s: float = inf,
        keeps_early: bool = False,
        keeps_same: bool = False,
    ) -> None:
        """Take a clock's `call_at`, a machine's `deadline`, and `due`, which wakes the machine, performs its outputs and rearms.

        After `longest_wait_s` `due` is called before the deadline has come. With `keeps_early` it is also when the deadline has
        moved away meanwhile: cheaper where that happens with nearly every input. With `keeps_same` the call of a
        deadline that has not moved keeps its place among calls of the same instant.
        """
        self._call_at = call_at
        self._deadline = deadline
        self._due = due
        self._longest_wait_s = longest_wait_s
        self._keeps_early = keeps_early
        self._keeps_same = keeps_same
        self._handle: Cancellable | None = None
        self._armed_at: Instant | None = None

    @property
    def armed_at(self) -> Instant | None:
        """The deadline for which a call is asked for; None for none."""
        return self._armed_at

    def rearm(self, not_before_s: float = 0.0) -> None:
        """Have `due` called at the deadline as it is now, after `not_before_s` wall seconds at the earliest."""
        at, armed_at = self._deadline(), self._armed_at
        if armed_at is None:
            if at is None:
                return
        elif (self._keeps_same and at == armed_at) or (self._keeps_early and (at is None or armed_at <= at)):
            return
        else:
            self.cancel()
        if at is not None:
            self._armed_at = at
            self._handle = self._call_at(at, self._call, not_before_s, self._longest_wait_s)

    def cancel(self) -> None:
        """Have nothing called before the next `rearm`. The clock was set, or it is the end."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._armed_at = None

    def _call(self) -> None:
        self._handle = self._armed_at = None
        self._due()
