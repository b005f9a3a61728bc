"""The command line as a user has it: processes of `python -m fleet`, what they print, and what they leave behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from fleet import cli
from fleet.errors import FleetError
from fleet.runtime.shard import wait_until

WITHIN_S = 60.0
_REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it said, on one line, without the frames that are drawn around errors."""
        return " ".join((self.out + self.err).translate(dict.fromkeys(map(ord, "│╭╮╰╯─"), " ")).split())


class Running:
    """A command that is still running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = bytearray()
        self.err = bytearray()
        self._changed = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    async def _read(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        while chunk := await stream.read(4096):
            into += chunk
            self._changed.set()
        self._changed.set()

    async def says(self, text: str, within_s: float = WITHIN_S) -> None:
        """Return as soon as the text was printed; fail when it is not, or when the command ends without it."""
        await self.wait_for(text, lambda: text.encode() in self.out + self.err, within_s)

    async def wait_for(self, what: str, condition: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Look at the condition whenever something is printed, and every 50 ms."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    assert not all(reader.done() for reader in self._readers), f"ended without {what!r}: {self.out + self.err!r}"
                    self._changed.clear()
                    await asyncio.wait({asyncio.ensure_future(self._changed.wait())}, timeout=0.05)
        except TimeoutError:
            raise AssertionError(f"no {what!r} within {within_s} s: {(self.out + self.err)!r}") from None

    async def stop_reading(self) -> None:
        """Close our end of its standard output, as `head` does when it has seen enough."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.wait(self._readers)
        self.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def done(self, within_s: float = WITHIN_S) -> Done:
        async with asyncio.timeout(within_s):
            await asyncio.gather(*self._readers, return_exceptions=True)
            code = await self.process.wait()
        return Done(code, self.out.decode(), self.err.decode())


@asynccontextmanager
async def running(*arguments: str | Path, cwd: Path, ulimit: str = "", **environment: str) -> AsyncIterator[Running]:
    """Start `fleet ARGUMENTS`, with a limit such as `-Sn 60` if one is given, and see to it that it is gone at the end."""
    limited = ("bash", "-c", f'ulimit {ulimit}; exec "$@"', "bash") if ulimit else ()
    process = await asyncio.create_subprocess_exec(
        *limited,
        sys.executable,
        "-m",
        "fleet",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**clean_environment(), **environment},
        start_new_session=True,
    )
    made = Running(process)
    try:
        yield made
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await made.done(30)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise


async def fleet(*arguments: str | Path, cwd: Path, **environment: str) -> Done:
    """Run `fleet ARGUMENTS` to its end."""
    async with running(*arguments, cwd=cwd, **environment) as made:
        return await made.done()


def call(*arguments: str) -> Done:
    """Call the command line in this process; an error is in `err`, as `main` tells it."""
    result = CliRunner().invoke(
        cli.application(next(iter(arguments), None)), arguments, env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    )
    if isinstance(result.exception, FleetError):
        return Done(2, result.stdout, f"error: {result.exception}\n  {result.exception.hint}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what fleet reads, and wide enough for errors to stay on one line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    return {"PYTHONPATH": str(_REPO), **kept, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONWARNINGS": "error"}


def is_command(pid: int, name: str) -> bool:
    """Tell whether the process is `python -m fleet NAME …`."""
    return f"\0fleet\0{name}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


def children_of(pid: int) -> list[int]:
    """Return the processes that `pid` has started, theirs included."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    own = [int(part) for part in text.split()]
    return own + [child for each in own for child in children_of(each)]


def alive(pids: list[int]) -> list[int]:
    """Return those that still run; a zombie does not."""
    left = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            left.append(pid)
    return left


async def wait_until_gone(pids: list[int], within_s: float = 30.0) -> None:
    """Return as soon as none of them runs; fail when some still do in the end."""
    assert await wait_until(lambda: not alive(pids), within_s), f"still running after {within_s} s: {alive(pids)}"
