"""The things that the parts of a back end share: store, dialect, times, journal, the batch being collected, and warnings.

Each part gets this one object when it is made. Consumer, desk, service centre and publisher put what they decide into the same
batch, so that it is committed, or undone, together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog

from fleet.backend.announced_clock import AnnouncedClock
from fleet.backend.batching import BATCH_MESSAGES, Action, Pending
from fleet.backend.decisions import StoredWrite
from fleet.backend.forgotten import ForgottenCars
from fleet.backend.recorder import Recorder
from fleet.backend.store import Store
from fleet.cloud.rule import CommandEnded
from fleet.errors import error_place
from fleet.wire.dialect import Dialect
from fleet.wire.messages import DeskAnswer

_WARNINGS: Final = 20

_log = structlog.get_logger(__name__)


class BackendContext:
    """The shared part of one back end.

    `due` is set when the batch is to be committed. `in_doubt` is True from a failure until all that is not committed was undone;
    `cause` is the last failure.
    """

    def __init__(
        self,
        store: Store,
        dialect: Dialect,
        clock: AnnouncedClock,
        wall_us: Callable[[], int],
        *,
        recorder: Recorder,
        batch_wait_s: float,
        forgotten: ForgottenCars,
    ) -> None:
        """Take the shared parts; what nobody waits for is committed at the latest after `batch_wait_s`."""
        self.store = store
        self.dialect = dialect
        self.clock = clock
        self.wall_us = wall_us
        self.recorder = recorder
        self.forgotten = forgotten
        self.pending = Pending()
        self.due = asyncio.Event()
        self.is_stopping = False
        self.in_doubt = False
        self.cause: Exception | None = None
        self.warnings: deque[str] = deque(maxlen=_WARNINGS)
        self.command_ended: list[Callable[[CommandEnded], None]] = []
        """Called with the end of each command that the service centre sent."""
        self.car_erased: list[Callable[[str], None]] = []
        """Called with the VIN of each car of which nothing stays, as soon as that is decided."""
        self._batch_wait_s = batch_wait_s
        self._timer: asyncio.TimerHandle | None = None
        self._warned: dict[str, int] = {}

    # --- the batch

    def write(self, write: StoredWrite) -> None:
        """Have a decision stored with the next commit."""
        self.pending.write(write, self.wall_us())

    def answer(self, topic: str, answer: DeskAnswer) -> None:
        """Answer a tool once everything collected so far is stored; without a topic nobody listens."""
        self.pending.answer(topic, answer, self.wall_us())
        self.changed()

    def after_commit(self, action: Action) -> None:
        """Publish once everything collected so far is stored."""
        self.pending.after_commit(action)

    def changed(self) -> None:
        """Set `due` when the batch is: by size, by its oldest, or because somebody waits for an answer."""
        pending = self.pending
        if pending.urgent or self.is_stopping or len(pending.deliveries) >= BATCH_MESSAGES:
            self.due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._batch_wait_s, self.due.set)

    async def wait_until_due(self) -> None:
        """Wait for `due`, and clear it."""
        await self.due.wait()
        self.due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_batch(self) -> Pending:
        """Return the batch, and begin to collect another one."""
        pending, self.pending = self.pending, Pending()
        return pending

    # --- failures

    def attempt(self, what: str, step: Callable[..., None], *arguments: Any) -> None:
        """Have desk or centre decide; a failure is undone with all that is not committed, and not tried before that is done."""
        if self.in_doubt:
            return
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001 (it is undone, warned of, and tried again)
            self.doubt(what, error)

    def doubt(self, what: str, error: Exception) -> None:
        """Have all that is not committed undone."""
        self.in_doubt = True
        self.cause = error
        self.due.set()
        place = error_place(error)
        self.warn(f"{what} failed: {place}; what is not committed is undone, and taken again message by message")

    # --- warnings

    def warn(self, text: str) -> None:
        """Log a warning and keep it for the progress view."""
        _log.warning(text)
        self.warnings.append(text)

    def warn_of(self, what: str, count: int) -> None:
        """Warn of something that happens again and again: at the first time, and at ten times as many."""
        warned = self._warned.get(what, 0)
        if count >= 10 * warned and count > warned:
            self._warned[what] = count
            self.warn(f"{count} {what}")
