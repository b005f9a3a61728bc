"""How a process of the run fares: how late its event loop turns, how much CPU and memory it takes.

When the generator itself is the limit, all other figures are its own; the bounds stand in `fleet.observe.report`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

from fleet.observe.histogram import Histogram

PROBE_EVERY_US: Final = 20_000
"""Fine enough to see what moves a latency, and 50 wake-ups a second cost nothing that could be measured."""
CPU_WINDOW_US: Final = 1_000_000


class LoopLag:
    """Probes of the event loop, due at a fixed rate, and how late each of them was.

    The rate is kept whatever the loop does: a block of 500 ms swallows 25 probes, and all of them count with their own
    lateness. A timer that is set anew after each call would count that block once, and hide it among the good ones.
    """

    def __init__(self, now_us: int, cpu_us: int, every_us: int = PROBE_EVERY_US) -> None:
        """Let the first probe be due `every_us` after `now_us`; `cpu_us` is what the process has used so far."""
        self.lag = Histogram()
        self._every_us = every_us
        self._due_us = now_us + every_us
        self._last = (now_us, cpu_us)
        self._late_us = self._late_cpu_us = 0

    def look(self, now_us: int, cpu_us: int) -> int:
        """Count all probes that are due by now, and return the microseconds until the next one."""
        if now_us - self._due_us >= self._every_us:
            self._late_us += now_us - self._last[0]
            self._late_cpu_us += cpu_us - self._last[1]
        self._last = (now_us, cpu_us)
        while self._due_us <= now_us:
            self.lag.record(now_us - self._due_us)
            self._due_us += self._every_us
        return self._due_us - now_us

    @property
    def cpu_percent_late(self) -> float:
        """CPU over the turns that swallowed a probe: near 100 the process kept itself waiting, near 0 the machine did."""
        return 100 * self._late_cpu_us / self._late_us if self._late_us else 0.0


class CpuMeter:
    """A process's CPU in percent of one core: over all looks, and in its busiest second."""

    def __init__(self, now_us: int, cpu_us: int) -> None:
        """Begin with what the process has used so far."""
        self.percent_peak = 0.0
        self._began = self._window = self._last = (now_us, cpu_us)

    def look(self, now_us: int, cpu_us: int) -> None:
        """Note how much it has used by now; a second ends with the first look after it."""
        self._last = (now_us, cpu_us)
        if now_us - self._window[0] >= CPU_WINDOW_US:
            self.percent_peak = max(self.percent_peak, _percent(self._window, self._last))
            self._window = self._last

    @property
    def percent(self) -> float:
        """The mean from the beginning to the last look."""
        return _percent(self._began, self._last)

    def figures(self) -> dict[str, float]:
        """Return mean and peak; before the first second is over, the mean is the peak."""
        return {"cpu_percent": round(self.percent, 1), "cpu_percent_peak": round(max(self.percent_peak, self.percent), 1)}


class GeneratorHealth:
    """Watches this process from `start` to `stop`, on its event loop."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._loop_lag = LoopLag(0, 0)
        self._cpu = CpuMeter(0, 0)
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin anew, from now on."""
        now_us, cpu_us = monotonic_us(), _own_cpu_us()
        self._loop_lag = LoopLag(now_us, cpu_us)
        self._cpu = CpuMeter(now_us, cpu_us)
        self._look_again()

    def stop(self) -> None:
        """Count what is due by now, and look no more; safe to call at any time."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._look()

    def _look_again(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._look() / 1e6, self._look_again)

    def _look(self) -> int:
        """Return the microseconds until there is something to see again."""
        now_us, cpu_us = monotonic_us(), _own_cpu_us()
        self._cpu.look(now_us, cpu_us)
        return self._loop_lag.look(now_us, cpu_us)

    def figures(self) -> dict[str, Any]:
        """Return what was seen, as plain numbers; the histogram travels whole."""
        return {
            "loop_lag": self._loop_lag.lag.to_dict(),
            **self._cpu.figures(),
            "cpu_percent_late": round(self._loop_lag.cpu_percent_late, 1),
            "memory_mb_peak": round(own_memory_bytes_peak() / 1e6, 1),
        }


def monotonic_us() -> int:
    """Return microseconds that only ever grow, from an unknown beginning."""
    return time.monotonic_ns() // 1000


def cpu_us_of(pid: int) -> int | None:
    """Return the CPU time another process has used, all its threads together; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, fields 14 and 15 of proc(5)
    return ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")


def own_memory_bytes_peak() -> int:
    """Return the most memory this process has ever had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _own_cpu_us() -> int:
    return time.process_time_ns() // 1000


def _percent(begin: tuple[int, int], end: tuple[int, int]) -> float:
    passed_us = end[0] - begin[0]
    return 100 * (end[1] - begin[1]) / passed_us if passed_us > 0 else 0.0
