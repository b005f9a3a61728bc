"""Child processes that tell what they do as JSON lines, and end when their parent does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

import msgspec

from fleet.errors import FleetError
from fleet.runtime.signals import how_ended

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes; the result of a process with many full outboxes is one long line."""


MORE_HINT: Final = "FLEET_LOG=info in the environment lets every part tell more."


class ChildFailed(FleetError):
    """A process of the run ended with an error; the message is what it said last.

    `error` is that error as it was raised there, None when the process had no time to tell.
    """

    def __init__(self, message: str, *, hint: str = "", error: FleetError | None = None) -> None:
        self.error = error
        super().__init__(message, hint=hint)


class ChildDied(ChildFailed):
    """A process of the run was killed, or ended without an error of its own."""


class Child:
    """`python -m fleet …` in a session of its own, so that Ctrl-C reaches the parent alone, which ends them in order.

    Each line it writes is a JSON object with a `type`; `seen` keeps the newest of each, and `failed` is its last word.
    Its standard input stays open as long as the parent lives: it ends in order when that closes (--until-eof), which,
    unlike a signal, waits for a child that is still starting.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, listen: Callable[[dict[str, Any]], None]) -> None:
        self.name = name
        self.seen: dict[str, dict[str, Any]] = {}
        self._process = process
        self._listen = listen
        self._errors: list[str] = []
        self._arrived = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read_lines(), name=f"{name} lines"),
            asyncio.create_task(self._read_errors(), name=f"{name} errors"),
        ]

    @classmethod
    async def start(
        cls, name: str, arguments: Sequence[str], *, environment: Mapping[str, str], listen: Callable[[dict[str, Any]], None],
        first_line: bytes = b"",
    ) -> Self:  # fmt: skip
        """Start `fleet ARGUMENTS` with the same Python; `first_line`, unless empty, is the first line of its standard input."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fleet",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        if first_line:
            assert process.stdin is not None
            process.stdin.write(first_line + b"\n")
        return cls(name, process, listen)

    async def _read_lines(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = msgspec.json.decode(line)
            self.seen[message["type"]] = message
            self._listen(message)
            self._arrived.set()
        await self._process.wait()
        self._arrived.set()

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            self._errors = [*self._errors[-19:], text]
            self._listen({"type": "log", "from": self.name, "text": text})

    @property
    def pid(self) -> int:
        """The process id; of an ended process the one it had."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def wait_for(self, kind: str, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the first line of that type. Raises ChildFailed when the process ends without it, or takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                while kind not in self.seen:
                    if not self.is_running:
                        raise self._failure()
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise self._too_late(kind, timeout_s) from None
        return self.seen[kind]

    def _too_late(self, kind: str, timeout_s: float | None) -> ChildFailed:
        """Return why it was not ready: by the trouble it reported, or by the last that it wrote."""
        what = f"the {self.name} was not {kind} within {timeout_s:g} s"
        trouble = self.seen.get("progress", {}).get("trouble")
        if trouble is not None:
            error = FleetError.from_plain(trouble)
            return ChildFailed(f"{what}: {error}", hint=error.hint, error=error)
        return ChildFailed("\n".join((what, *self._errors[-6:])), hint=MORE_HINT)

    def _failure(self) -> ChildFailed:
        """Return why it ended: in its own words, or by what the system says and what it wrote last."""
        failed = self.seen.get("failed")
        if failed is not None:
            error = FleetError.from_plain(failed["error"])
            return ChildFailed(str(error), hint=error.hint, error=error)
        end = how_ended(self._process.returncode or 0)
        return ChildDied("\n".join((f"the {self.name} {end}", *self._errors[-6:])), hint=MORE_HINT)

    def interrupt(self) -> None:
        """Ask it to end in order; safe to call twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self, timeout_s: float = 20.0) -> int:
        """Ask it to end, wait, and kill it when it does not; returns the exit code."""
        self.interrupt()
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await asyncio.gather(*self._readers)
        return self._process.returncode or 0
