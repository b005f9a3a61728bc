"""Clocks that follow the wall: scaled, held before the day, ended after it."""

from __future__ import annotations

import time

import pytest

from fleet.kernel.instants import HOUR, SECOND
from fleet.runtime.clocks import ScaledClock, wall_us

START = 1_772_427_600_000_000


class Monotonic:
    """Stands in for the monotonic clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 5_000
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.ns)

    def pass_s(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    return Monotonic(monkeypatch)


@pytest.mark.parametrize("factor", [0.001, 1.0, 60.0, 1800.0, 100_000.0])
def test_scenario_time_runs_by_the_factor(monotonic: Monotonic, factor: float) -> None:
    """So many scenario seconds pass in a wall second, at any factor the command line takes."""
    clock = ScaledClock(START, factor=factor)
    monotonic.pass_s(10)
    assert clock.now() == pytest.approx(START + 10 * SECOND * factor, abs=factor)
    assert clock.factor == factor


def test_wall_time_at_an_instant_is_the_inverse(monotonic: Monotonic) -> None:
    """The wall time of an instant, before or after now, is when `now` shows it."""
    clock = ScaledClock(START, factor=1800.0)
    for seconds in (-7, 0, 12.5, 3600):
        at = START + int(seconds * 1800) * SECOND
        assert clock.wall_us_at(at) - clock.epoch_wall_us == pytest.approx(seconds * 1e6, abs=1e3)
    monotonic.pass_s(3)
    assert clock.wall_us_at(clock.now()) == pytest.approx(clock.wall_us(), abs=1)


def test_a_corrected_system_clock_moves_no_car(monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once made, a clock follows the monotonic clock alone."""
    clock = ScaledClock(START, factor=2.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monotonic.pass_s(1)
    assert clock.now() == START + 2 * SECOND


def test_two_processes_with_one_epoch_agree(monotonic: Monotonic) -> None:
    """A clock made later with the epoch of an earlier one shows the same scenario time."""
    first = ScaledClock(START, factor=60.0)
    monotonic.pass_s(4)
    second = ScaledClock(START, factor=60.0, epoch_wall_us=first.epoch_wall_us + int(4e6))
    assert second.wall_us_at(START) == first.wall_us_at(START) + int(4e6)


def test_a_held_clock_stands_until_it_begins(monotonic: Monotonic) -> None:
    """Cars connect before their day starts; from `begin` on it runs, and begins at the start."""
    clock = ScaledClock(START, factor=100.0, held=True)
    monotonic.pass_s(5)
    assert clock.now() == START
    assert clock.wall_us_at(START + 100 * SECOND) == clock.wall_us() + SECOND
    clock.begin()
    assert clock.now() == START
    monotonic.pass_s(2)
    assert clock.now() == START + 200 * SECOND


def test_an_ended_clock_stands_and_keeps_the_wall_times(monotonic: Monotonic) -> None:
    """After the end no scenario time passes, wall time does, and what was due keeps its wall time."""
    clock = ScaledClock(START, factor=3600.0)
    monotonic.pass_s(1)
    clock.end()
    due = clock.wall_us_at(START + HOUR)
    monotonic.pass_s(9)
    assert clock.now() == START + HOUR
    assert clock.wall_us() == due + 9 * SECOND
    assert clock.wall_us_at(START + HOUR) == due


def test_wall_time_is_in_microseconds() -> None:
    """The unit of every wall time in a message."""
    assert abs(wall_us() - time.time_ns() // 1000) < SECOND
