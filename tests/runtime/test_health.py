"""Generator health: what a probe of the loop counts, what a process's CPU was, and that both are true of a real loop."""

from __future__ import annotations

import asyncio
import os

import pytest

from fleet.observe.histogram import Histogram
from fleet.runtime import health as health_module
from fleet.runtime.health import CpuMeter, GeneratorHealth, LoopLag, cpu_us_of, own_memory_bytes_peak
from fleet.runtime.shard import wait_until

MS = 1000
S = 1_000_000


class TestLoopLag:
    def test_a_loop_in_time(self) -> None:
        """Each probe counts once, with what it was late; the next is due on the grid, however late this one came."""
        probe = LoopLag(5 * S, 0, every_us=20 * MS)
        waits = [probe.look(5 * S + at, 0) for at in (20 * MS, 43 * MS, 60 * MS)]
        assert waits == [20 * MS, 17 * MS, 20 * MS]
        assert (probe.lag.count, probe.lag.maximum, probe.lag.total) == (3, 3 * MS, 3 * MS)

    def test_a_look_too_early_counts_nothing(self) -> None:
        """Event loops round their timers; the rest of the time is still to be waited."""
        probe = LoopLag(0, 0, every_us=20 * MS)
        assert probe.look(19_400, 0) == 600
        assert probe.lag.count == 0

    def test_a_block_counts_as_all_the_probes_it_swallowed(self) -> None:
        """500 ms without a turn are 25 probes, 500, 480, … 20 ms late: no coordinated omission."""
        probe = LoopLag(0, 0, every_us=20 * MS)
        probe.look(20 * MS, 0)
        assert probe.look(540 * MS, 0) == 20 * MS
        assert probe.lag.count == 27
        assert probe.lag.maximum == 500 * MS
        assert probe.lag.total == sum(range(0, 501, 20)) * MS

    def test_a_block_weighs_as_long_as_it_lasts(self) -> None:
        """Two seconds of a minute move the p99, though they are a single late turn among three thousand."""
        probe = LoopLag(0, 0, every_us=20 * MS)
        for at in range(20 * MS, 58 * S, 20 * MS):
            probe.look(at, 0)
        assert probe.lag.percentile(0.99) == 0
        probe.look(60 * S, 0)
        assert probe.lag.percentile(0.99) > 1.2 * S

    def test_whose_work_made_it_late(self) -> None:
        """CPU counts over the turns that swallowed a probe, and over no others: here 300 ms of 400."""
        probe = LoopLag(0, 100 * S, every_us=20 * MS)
        assert probe.cpu_percent_late == 0.0
        for at, used in ((20, 20), (59, 59), (159, 159), (459, 359), (460, 360)):
            probe.look(at * MS, 100 * S + used * MS)
        assert probe.cpu_percent_late == 75.0


class TestCpuMeter:
    def test_mean_and_busiest_second(self) -> None:
        """The mean counts from the beginning, what was used before it left out; the peak is that of a whole second."""
        meter = CpuMeter(7 * S, 100 * S)
        for at, used in ((500 * MS, 300 * MS), (1 * S, 400 * MS), (2 * S, 1300 * MS), (3 * S, 1300 * MS)):
            meter.look(7 * S + at, 100 * S + used)
        assert meter.figures() == {"cpu_percent": 43.3, "cpu_percent_peak": 90.0}

    def test_a_long_time_without_a_look(self) -> None:
        """Its mean is all that is known of it."""
        meter = CpuMeter(0, 0)
        meter.look(4 * S, 1 * S)
        assert meter.figures() == {"cpu_percent": 25.0, "cpu_percent_peak": 25.0}

    def test_less_than_a_second(self) -> None:
        """The peak is never below the mean, and nothing is divided by no time."""
        meter = CpuMeter(0, 0)
        assert meter.figures() == {"cpu_percent": 0.0, "cpu_percent_peak": 0.0}
        meter.look(500 * MS, 400 * MS)
        assert meter.figures() == {"cpu_percent": 80.0, "cpu_percent_peak": 80.0}


class TestHealth:
    async def test_it_watches_from_start_to_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A block is seen whole with what it used, also when the stop comes right after it; the rest is not counted."""
        at, used = 5 * S, 2 * S
        monkeypatch.setattr(health_module, "monotonic_us", lambda: at)
        monkeypatch.setattr(health_module, "_own_cpu_us", lambda: used)
        health = GeneratorHealth()
        health.stop()
        assert health.figures()["loop_lag"]["count"] == 0
        health.start()
        at, used = at + 300 * MS, used + 60 * MS
        health.stop()
        at, used = at + 9 * S, used + 9 * S
        health.stop()
        figures = health.figures()
        lag = Histogram.from_dict(figures["loop_lag"])
        assert (lag.count, lag.maximum) == (15, 280 * MS)
        assert (figures["cpu_percent"], figures["cpu_percent_late"]) == (20.0, 20.0)
        assert figures["memory_mb_peak"] == pytest.approx(own_memory_bytes_peak() / 1e6, abs=1)

    async def test_it_looks_by_itself(self) -> None:
        """Once started it needs nobody; once stopped it leaves no timer behind."""
        health = GeneratorHealth()
        health.start()
        assert await wait_until(lambda: health.figures()["loop_lag"]["count"] >= 5, 5)
        health.stop()
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [timer for timer in timers if not timer.cancelled()] == []


def test_memory_is_in_bytes() -> None:
    """A Python with its libraries takes tens of megabytes, not kilobytes or gigabytes."""
    assert 1e7 < own_memory_bytes_peak() < 1e10


def test_the_cpu_of_a_process() -> None:
    """As the system accounts for it; of a process that is not there, nothing is known."""
    known = cpu_us_of(os.getpid())
    if known is None:
        assert not os.path.exists("/proc/self/stat")  # noqa: PTH110
    else:
        assert known == pytest.approx(sum(os.times()[:2]) * 1e6, abs=50_000)
    assert cpu_us_of(2**22 + 1) is None
