"""Sees to it that nothing of what was erased stays in the files of a store, beside commits that go on.

SQLite overwrites what is deleted (`secure_delete`), but its log has earlier pages, and where it moved rows within a page it may
leave a copy of one. So the log is emptied, the files are searched, and when something is found the file is written anew, which
alone has commits wait. Whoever asked for the erasure is answered after that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from fleet.backend.context import BackendContext
from fleet.backend.needles import Needle
from fleet.cloud.desk_io import Answer

TRIES: Final = 100
"""How often the log is to be emptied while readers need it; 10 s in all."""
_TRY_AGAIN_S: Final = 0.1


class _Job:
    """One erasure: what is looked for, the answers that wait for it, and how far it has come."""

    def __init__(self, needles: Sequence[Needle], answers: Sequence[Answer]) -> None:
        self.needles = needles
        self.answers = answers
        self.tries = 0
        self.is_rewritten = False
        self.search: asyncio.Future[list[str]] | None = None


class Wiper:
    """The erasures whose traces are still looked for. `go_on` is called between two commits."""

    def __init__(self, context: BackendContext, send: Callable[[Answer], None], searcher: Executor, writer: Executor) -> None:
        """Take where answers go, the thread that searches, and the thread of the commits."""
        self._context = context
        self._store = context.store
        self._send = send
        self._searcher = searcher
        self._writer = writer
        self._jobs: deque[_Job] = deque()

    @property
    def is_idle(self) -> bool:
        """True while there is nothing to look for."""
        return not self._jobs

    def begin(self, needles: Sequence[Needle], answers: Sequence[Answer]) -> None:
        """Take an erasure that was committed, and the answers that wait for it."""
        self._jobs.append(_Job(needles, answers))
        self._context.due.set()

    async def go_on(self, *, to_the_end: bool = False) -> None:
        """Do what can be done now without waiting for a search; `to_the_end` waits for all of it."""
        while self._jobs:
            job = self._jobs[0]
            if job.search is None and not self._begin_search(job):
                if not to_the_end:
                    return
                await asyncio.sleep(_TRY_AGAIN_S)
                continue
            assert job.search is not None
            if not job.search.done():
                if not to_the_end:
                    return
                await asyncio.wait({job.search})
            await self._judge(job, job.search.result())

    def _begin_search(self, job: _Job) -> bool:
        """Empty the log and search; False while a reader needs the log."""
        loop = asyncio.get_running_loop()
        if not self._store.truncate_log() and job.tries < TRIES:
            job.tries += 1
            loop.call_later(_TRY_AGAIN_S, self._context.due.set)
            return False
        if self._store.has_log:
            job.search = loop.run_in_executor(self._searcher, self._store.traces, job.needles)
            job.search.add_done_callback(lambda _: self._context.due.set())
        else:  # of a virtual run: nobody waits there
            job.search = loop.create_future()
            job.search.set_result(self._store.traces(job.needles))
        return True

    async def _judge(self, job: _Job, found: Sequence[str]) -> None:
        """End a search: with nothing found it is over; else the file is written anew, once."""
        if found and not job.is_rewritten:
            job.is_rewritten, job.search, job.tries = True, None, 0
            if self._store.has_log:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._store.rewrite)
            else:
                self._store.rewrite()
            return
        if found:
            self._context.warn(f"of what was erased the store's files still hold {', '.join(found[:5])}")
        self._jobs.popleft()
        for answer in job.answers:
            self._send(answer)
