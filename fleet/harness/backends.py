"""Our back end in a world: within the process of the test, which is quick, or in one of its own, which can be killed."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend
from fleet.errors import LinkError, UsageError
from fleet.kernel.instants import Instant
from fleet.runtime.children import Child
from fleet.runtime.journalling import backend_account

READY_S: Final = 20.0
OWN_PROCESS: Final = 'Give it a process of its own: @pytest.mark.fleet(backend="process"), or backend="process".'


class OwnBackend(Protocol):
    """Our back end as a world uses it."""

    store: Path
    is_process: bool

    @property
    def connected(self) -> bool: ...
    @property
    def is_storing(self) -> bool:
        """Whether it can store what comes: it has not been killed, and has room."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way in it, as far as can be known from here."""
        ...

    @property
    def arrived(self) -> int:
        """How many messages it was given."""
        ...

    @property
    def last_error(self) -> LinkError | None: ...
    async def start(self) -> None: ...
    async def stop(self) -> dict[str, int]:
        """End in order; return its part of the account, empty where that is not known."""
        ...

    async def kill(self) -> None:
        """End it at once. Raises UsageError where that cannot be."""
        ...

    def limit_disk(self, *, full: bool) -> None:
        """Let it find no room for what it writes, or room again. Raises UsageError where that cannot be."""
        ...

    def look_at_clock(self) -> None: ...
    def deadline(self) -> Instant | None:
        """When something is due in it by the cars' time, as far as can be known from here."""
        ...

    def reader(self) -> StoreReader: ...


class BackendHere:
    """Within this process."""

    is_process = False

    def __init__(self, backend: Backend, store: Path) -> None:
        self._backend = backend
        self.store = store

    @property
    def connected(self) -> bool:
        return self._backend.connected

    @property
    def is_storing(self) -> bool:
        return True

    @property
    def is_idle(self) -> bool:
        return self._backend.is_idle

    @property
    def arrived(self) -> int:
        return self._backend.snapshot().arrived

    @property
    def last_error(self) -> LinkError | None:
        return self._backend.last_error

    async def start(self) -> None:
        await self._backend.start()

    async def stop(self) -> dict[str, int]:
        await self._backend.stop(end_session=True)
        return backend_account(self._backend.snapshot())

    async def kill(self) -> None:
        raise UsageError("a back end within the test's own process cannot be killed", hint=OWN_PROCESS)

    def limit_disk(self, *, full: bool) -> None:  # noqa: ARG002
        raise UsageError("a back end within the test's own process has no disk of its own", hint=OWN_PROCESS)

    def look_at_clock(self) -> None:
        self._backend.look_at_clock()

    def deadline(self) -> Instant | None:
        return self._backend.deadline()

    def reader(self) -> StoreReader:
        self._backend.flush()
        return StoreReader(self.store)


@dataclass(frozen=True, slots=True)
class Launch:
    """How `fleet backend` reaches the broker: arguments, and what goes into its environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


class BackendProcess:
    """In a process of its own; its journal is not part of the test's."""

    is_process = True

    def __init__(self, launch: Launch, store: Path, *, until_stored: bool, clock_moved: Callable[[], None]) -> None:
        """Take how it is started; `clock_moved` tells it the cars' time, which it cannot see."""
        self._launch = launch
        self._until_stored = until_stored
        self._clock_moved = clock_moved
        self._child: Child | None = None
        self._disk_is_full = False
        self.store = store

    @property
    def connected(self) -> bool:
        return self._child is not None and self._child.is_running and "ready" in self._child.seen

    @property
    def is_storing(self) -> bool:
        return self.connected and not self._disk_is_full

    @property
    def is_idle(self) -> bool:
        return True

    @property
    def arrived(self) -> int:
        return 0

    @property
    def last_error(self) -> LinkError | None:
        return None

    async def start(self) -> None:
        """Start the process, and wait until it is ready."""
        delivery = "stored" if self._until_stored else "puback"
        quick = ["--spin-cost", "2", "--quick-passwords"]
        arguments = ["backend", "--store", str(self.store), "--delivery", delivery, *quick, "--json", "--until-eof"]
        self._child = await Child.start(
            "back end", [*arguments, *self._launch.arguments], environment=self._launch.environment, listen=_ignore
        )
        await self._child.wait_for("ready", READY_S)
        self._disk_is_full = False
        self._clock_moved()

    async def stop(self) -> dict[str, int]:
        if self._child is not None:
            await self._child.end()
        return {}

    def limit_disk(self, *, full: bool) -> None:
        """A limit of the size of files is to SQLite what a full disk is: what is written fails, what is there stays."""
        assert self._child is not None, "started with the world"
        if sys.platform != "linux":
            raise UsageError("the limits of a process that runs can be changed on Linux only")
        self._disk_is_full = full
        _, most = resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (0 if full else most, most))

    async def kill(self) -> None:
        assert self._child is not None, "started with the world"
        self._child.kill()
        await asyncio.wait_for(self._child.end(), READY_S)

    def look_at_clock(self) -> None:
        self._clock_moved()

    def deadline(self) -> Instant | None:
        return None  # it has a clock of its own, which goes on by itself

    def reader(self) -> StoreReader:
        return StoreReader(self.store)


def _ignore(_message: dict[str, Any]) -> None:
    """Drop a progress message."""
