"""What the benchmarks share: a broker and a fresh process for each line, CPU, memory and lag, and the words about the machine."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvloop

from fleet.runtime.limits import look_for_garbage_rarely
from fleet.runtime.mosquitto import find_mosquitto, free_port

PROBE_S = 0.005
SOURCES = tuple(f"127.0.1.{number}" for number in range(1, 17))
ONE_SOURCE_CLIENTS = 5_000
"""Beyond it several source addresses are used: each costs the kernel a little, but ports get scarce."""
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 4000
max_queued_messages 100000
log_type error
"""

Measured = dict[str, Any]


class Broker:
    """A Mosquitto without persistence and access control, so that it is as fast as it can be."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port("127.0.0.1")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(CONFIGURATION.format(port=self.port), encoding="utf-8")
        folder.chmod(0o755)  # started by root, Mosquitto drops its rights
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, also again."""
        self._process = subprocess.Popen([find_mosquitto(), "-c", self._configuration], stdout=subprocess.DEVNULL)
        time.sleep(0.5)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@contextmanager
def broker() -> Iterator[Broker]:
    """Run a broker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Broker(Path(folder))
        made.start()
        try:
            yield made
        finally:
            made.kill()


class LagProbe:
    """How late a timer of 5 ms comes: what a deadline of a car would have to wait."""

    def __init__(self) -> None:
        self._lags_s: list[float] = []
        self._due = 0.0
        self._running = True

    def start(self) -> None:
        """Probe from now on."""
        now = time.perf_counter()
        if self._due:
            self._lags_s.append(max(0.0, now - self._due))
        self._due = now + PROBE_S
        if self._running:
            asyncio.get_running_loop().call_later(PROBE_S, self.start)

    def stop(self) -> None:
        """Let the next probe be the last."""
        self._running = False

    def percentile_ms(self, share: float) -> float:
        """Return the lag that so many of the timers did not exceed."""
        lags = sorted(self._lags_s)
        return 1e3 * lags[min(len(lags) - 1, int(len(lags) * share))]


class Usage:
    """CPU seconds and wall seconds of this process and the broker, from here on."""

    def __init__(self, broker_pid: int) -> None:
        self._broker_pid = broker_pid
        self._own, self._broker, self._wall = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.process_time(), cpu_of(self._broker_pid), time.perf_counter()

    def so_far(self) -> tuple[float, float, float]:
        """Return own CPU, the broker's CPU and wall time, in seconds."""
        own, broker, wall = self._now()
        return own - self._own, broker - self._broker, wall - self._wall


def resident_bytes(pid: int | str = "self") -> int:
    """Return the resident memory of a process, this one by default."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_of(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_fresh_process(program: str, *arguments: object) -> Measured:
    """Run `program --part ARGUMENTS…` and return what it printed."""
    command = [sys.executable, program, "--part", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=400)
    result: Measured = json.loads(done.stdout)
    return result


def be_part(main: Callable[..., Coroutine[Any, Any, Measured]], *arguments: Any, loop: str = "uvloop") -> None:
    """Be the fresh process: open as many files as allowed, run and print the result."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        look_for_garbage_rarely()  # as the simulator's process does
        print(json.dumps(runner.run(main(*arguments))), flush=True)
        os._exit(0)  # ten thousand links whose broker is gone need no orderly end


def medians(found: Sequence[Measured]) -> Mapping[str, float]:
    """Return the median of each number that all runs have."""
    return {
        name: statistics.median(one[name] for one in found)
        for name, value in found[0].items()
        if isinstance(value, int | float) and all(name in one for one in found)
    }


def surroundings(*more: str) -> str:
    """Say on what and with what this was measured."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in about if line.startswith("model name")), "?")
    packages = ("aiomqtt", "paho-mqtt", "mqtt5", "msgspec", "uvloop")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    said = subprocess.run([find_mosquitto(), "-h"], capture_output=True, text=True, check=False).stdout
    return "\n".join(
        (
            f"{os.cpu_count()} cores ({model}) for client and broker together, {platform.system()} {platform.release()}",
            f"Python {platform.python_version()}, {versions}; {said.splitlines()[0]}",
            *more,
        )
    )


def about_the_broker() -> str:
    """Say how the plain broker is set."""
    return f"Mosquitto: {', '.join(CONFIGURATION.splitlines()[1:-1])}"
