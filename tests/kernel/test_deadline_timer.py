"""The call at a machine's deadline comes once, at the deadline as it is then, and within its bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.instants import SECOND, Instant
from fleet.kernel.schedule import Schedule, ScheduledCall


class Lab:
    """A machine of which there is only the deadline, on a schedule; notes when it is called."""

    def __init__(self, **options: Any) -> None:
        self.schedule = Schedule()
        self.due_at: Instant | None = None
        self.called: list[Instant] = []
        self.asked = 0
        self.timer = DeadlineTimer(self.call_at, lambda: self.due_at, self.due, **options)

    def call_at(self, at: Instant, callback: Callable[[], object], not_before_s: float, not_after_s: float) -> ScheduledCall:
        self.asked += 1
        now = self.schedule.now
        return self.schedule.call_at(min(max(at, now + not_before_s * SECOND), now + not_after_s * SECOND), callback)  # type: ignore[arg-type]

    def due(self) -> None:
        self.called.append(self.schedule.now)
        if self.due_at is not None and self.due_at <= self.schedule.now:
            self.due_at = None
        self.timer.rearm()

    def moved(self, at: Instant | None, not_before_s: float = 0.0) -> None:
        self.due_at = at
        self.timer.rearm(not_before_s)


def test_the_call_comes_at_the_deadline_as_it_is_then() -> None:
    """Moved away, nearer or taken back, it comes once, and then only."""
    lab = Lab()
    for at in (50, 70, 70, 40):
        lab.moved(at)
    lab.schedule.run_until(100)
    assert lab.called == [40]
    lab.moved(120)
    lab.moved(None)
    lab.schedule.run_until(200)
    assert (lab.called, len(lab.schedule)) == ([40], 0)


def test_a_cancelled_one_is_asked_for_anew() -> None:
    """Nothing comes after a cancel, until it is armed again, for the same deadline, too."""
    lab = Lab()
    lab.moved(50)
    lab.timer.cancel()
    lab.schedule.run_until(60)
    assert lab.called == []
    lab.timer.rearm()
    lab.schedule.run_until(100)
    assert lab.called == [60]


def test_who_arms_again_comes_after_all_that_was_asked_for_before() -> None:
    """Of several calls at one instant the last one that was armed is the last."""
    lab = Lab()
    lab.moved(50)
    other: list[Instant] = []
    lab.schedule.call_at(50, lambda: other.append(len(lab.called)))
    lab.timer.rearm()
    lab.schedule.run_until(60)
    assert (other, lab.called) == ([0], [50])


def test_one_that_keeps_an_early_call_is_called_for_nothing() -> None:
    """It then asks for the deadline; a nearer one takes its place at once."""
    lab = Lab(keeps_early=True)
    for at in (50, 70, 90):
        lab.moved(at)
    assert lab.asked == 1
    lab.schedule.run_until(100)
    assert (lab.called, lab.asked) == ([50, 90], 2)
    lab.moved(150)
    lab.moved(120)
    lab.schedule.run_until(200)
    assert lab.called == [50, 90, 120]


def test_it_waits_within_its_bounds() -> None:
    """After the longest wait it is called for nothing, and it is not called before the pause is over."""
    lab = Lab(longest_wait_s=10)
    lab.moved(25 * SECOND)
    lab.schedule.run_until(30 * SECOND)
    assert lab.called == [10 * SECOND, 20 * SECOND, 25 * SECOND]
    lab.moved(31 * SECOND, not_before_s=4.0)
    lab.schedule.run_until(40 * SECOND)
    assert lab.called[3:] == [34 * SECOND]
