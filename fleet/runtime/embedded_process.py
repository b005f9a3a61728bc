"""The embedded broker in a process of its own, as a run has it; run as a module it is that process.

The process reads its options as a line of its standard input, answers with a line, and ends in good order when that input closes:
so it outlives nobody who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from fleet.errors import BrokerError
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded import EMBEDDED_STATE, EmbeddedOptions, reachable, run_embedded
from fleet.runtime.limits import leave_no_core, raise_open_files, run_fast
from fleet.runtime.mosquitto import free_port
from fleet.runtime.signals import how_ended
from fleet.transport.link import Endpoint
from fleet.wire.dialect import TopicAccess
from fleet.wire.topics import DEFAULT_PREFIX, checked_prefix

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 15.0
_PORT_ATTEMPTS: Final = 5


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """The first line to the process. It holds the secret, and goes through a pipe only."""

    secret: str
    users: list[str]
    prefix: str
    topics: TopicAccess | None
    listen: str
    ports: tuple[int, int]
    state: str


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The line of the process: an error in words, or none once it listens."""

    error: str = ""
    hint: str = ""


class EmbeddedProcess:
    """An embedded broker that lives while this object is entered, and no longer than this process.

    After `stop` or `kill`, `start` runs it again on the same ports, with what it kept at its last `stop`.
    """

    def __init__(
        self,
        *,
        secret: FleetSecret,
        vins: Iterable[str] = (),
        prefix: str = DEFAULT_PREFIX,
        topics: TopicAccess | None = None,
        listen: str = "127.0.0.1",
    ) -> None:
        """Take the users' VINs, topics of a dialect that has its own, and where to listen. Nothing is touched before `start`."""
        self._topics = topics
        self._secret = secret
        self._vins = list(vins)
        self._prefix = checked_prefix(prefix)
        self._listen = listen
        self._ports: tuple[int, int] | None = None
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def cars(self) -> Endpoint:
        """Where cars connect: the client id is the user name."""
        return Endpoint(reachable(self._listen), self._known_ports()[0])

    @property
    def tools(self) -> Endpoint:
        """Where backend, desk and tool connect."""
        return Endpoint(reachable(self._listen), self._known_ports()[1])

    @property
    def pid(self) -> int | None:
        """The process while it runs, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def end(self) -> str | None:
        """How the process ended, in words, when nobody ended it here; None while it runs, and after `stop` and `kill`."""
        code = self._process.poll() if self._process is not None else None
        return None if code is None else how_ended(code)

    @property
    def log_path(self) -> Path:
        """The broker's log, kept over restarts until the folder goes."""
        if self._folder is None:
            raise BrokerError("the embedded broker was not started")
        return self._folder / "broker.log"

    def _known_ports(self) -> tuple[int, int]:
        if self._ports is None:
            raise BrokerError("the embedded broker was not started")
        return self._ports

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.discard()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.stop()
        finally:
            self.discard()

    async def start(self) -> None:
        """Run it and wait until it listens. Does nothing while it runs. Raises BrokerError."""
        if self.pid is not None:
            return
        raise_open_files()  # it has one for each client
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fleet-broker-"))
        attempts = _PORT_ATTEMPTS if self._ports is None else 1
        for attempt in range(attempts):
            ports = self._ports or self._choose_ports()
            answer = await self._launch(ports)
            if not answer.error:
                self._ports = ports
                return
            self.kill()
            if attempt == attempts - 1:
                raise BrokerError(answer.error, hint=answer.hint)

    def _choose_ports(self) -> tuple[int, int]:
        cars = free_port(self._listen)
        return cars, free_port(self._listen, avoid=cars)

    async def _launch(self, ports: tuple[int, int]) -> _Answer:
        order = _Order(
            secret=self._secret.reveal(),
            users=self._vins,
            prefix=self._prefix,
            topics=self._topics,
            listen=self._listen,
            ports=ports,
            state=str(self.log_path.with_name(EMBEDDED_STATE)),
        )
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  our own command; it does not wait
                [sys.executable, "-m", "fleet.runtime.embedded_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C of the terminal is for the run, which then stops its broker
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await asyncio.to_thread(_exchange, self._process.stdin, self._process.stdout, msgspec.json.encode(order))
        except TimeoutError:
            return _Answer(error=f"the embedded broker did not listen within {START_TIMEOUT_S:g} s")
        except BaseException:
            self.kill()
            raise
        if not line:
            return _Answer(error=f"the embedded broker ended at once:\n{self.log_tail()}", hint="Its last lines are above.")
        return msgspec.json.decode(line, type=_Answer)

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""

    async def stop(self) -> None:
        """End it in good order, so that it writes down what must persist. Safe to call twice."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            self._signal("SIGCONT")  # one that is paused would not see the end coming
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None
        _close_pipes(process)

    def kill(self) -> None:
        """End it at once: what came since its last `stop` is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            _close_pipes(process)

    def pause(self) -> None:
        """Stop the process without ending it: it keeps its connections and answers nothing. Raises BrokerError."""
        self._need_running()
        if not self._signal("SIGSTOP"):
            raise BrokerError("a process cannot be paused on this system", hint="Leave the step `broker: pause` out.")

    def resume(self) -> None:
        """Let a paused broker go on."""
        self._need_running()
        self._signal("SIGCONT")

    def _need_running(self) -> None:
        if self.pid is None:
            raise BrokerError("the embedded broker does not run")

    def _signal(self, name: str) -> bool:
        """Send a signal, if this system has one of that name."""
        number = getattr(signal, name, None)
        if number is not None and self._process is not None:
            self._process.send_signal(number)
        return number is not None

    def discard(self) -> None:
        """Kill it if it still runs, and remove its folder."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self._ports = None


def _exchange(stdin: IO[bytes], stdout: IO[bytes], order: bytes) -> bytes:
    """Hand over the order and return the answer; empty when the process ends without one."""
    try:
        stdin.write(order + b"\n")
        stdin.flush()
    except BrokenPipeError:
        return b""
    return stdout.readline()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


# --- the process ----------------------------------------------------------------------------------------------------


def _answer(**said: str) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(_Answer(**said)) + b"\n")
    sys.stdout.buffer.flush()


async def _serve(order: _Order) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait_for_the_end() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_the_end, name="end of standard input", daemon=True).start()
    options = EmbeddedOptions(
        secret=FleetSecret(order.secret),
        users=set(order.users),
        prefix=order.prefix,
        topics=order.topics,
        listen=order.listen,
        cars_port=order.ports[0],
        tools_port=order.ports[1],
    )
    server = await run_embedded(options, stop=stop, started=lambda *_: _answer(), state=Path(order.state))
    sys.stderr.write(f"{server.machine.counts}\n{server.machine.broker.counts}\n")


def _main() -> None:
    raise_open_files()
    leave_no_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Order)
    try:
        run_fast(_serve(order))
    except BrokerError as error:
        _answer(error=str(error), hint=error.hint)


if __name__ == "__main__":
    _main()
