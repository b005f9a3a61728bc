"""An asyncio event loop without a selector, whose time is that of a schedule: it jumps from one call to the next.

What runs on it is the code that runs live, coroutines and all, in one thread: callbacks, tasks and the simulated network
share one heap ordered by (instant, sequence), so the same inputs give the same order. Work for other threads is done at
once, in place. There are no sockets, pipes, signals or processes here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, cast

from fleet.errors import FleetError
from fleet.kernel.instants import SECOND, Instant
from fleet.kernel.schedule import END_OF_TIME, Schedule, ScheduledCall

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class NothingToCome(FleetError):
    """Everybody waits, and there is nothing left that could end it: the run would wait for ever."""


class _Handle(ScheduledCall, eq=False):
    """A scheduled call as asyncio expects it."""

    _when: float
    _was_cancelled: bool = False

    def when(self) -> float:
        """Return the loop's time of the call."""
        return self._when

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it was made."""
        return self._was_cancelled

    def cancel(self) -> None:
        self._was_cancelled |= self._callback is not None
        super().cancel()


class VirtualLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that needs no operating system. Its `time` is in seconds from the schedule's start."""

    def __init__(self, schedule: Schedule) -> None:
        """Take the schedule; others may put calls on it as well."""
        self.schedule = schedule
        self._start = schedule.now
        self._running = False
        self._closed = False
        self._defect: dict[str, Any] | None = None

    # --- time and calls

    def time(self) -> float:
        return (self.schedule.now - self._start) / SECOND

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self._put(self.schedule.now, callback, args, context)

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self._put(self.schedule.now + round(max(0.0, delay) * SECOND), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self._put(self._start + round(when * SECOND), callback, args, context)

    def _put(
        self, at: Instant, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> asyncio.TimerHandle:
        """Put the call on the schedule. What it raises ends the run there; without a context it has that of the run."""
        if context is not None:
            callback, args = context.run, (callback, *args)
        handle = _Handle(self.schedule, callback, args, (at - self._start) / SECOND)
        self.schedule.put_at(at, handle)
        return cast("asyncio.TimerHandle", handle)  # all that anybody asks of one, without its cost

    # --- tasks and futures

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]
        self, _executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Do the work at once: a thread would finish whenever it liked."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it belongs to whoever awaits
            future.set_exception(error)
        return future

    # --- running

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Let time jump until the future is done. Raises NothingToCome when it never will be, or what a callback raised."""
        task = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]  # it takes generators too
        if not self._run(task.done, END_OF_TIME) and not task.done():
            raise NothingToCome("everything waits, and nothing is left that could happen")
        return task.result()

    def run_while(self, wanted: Callable[[], bool], limit: Instant) -> None:
        """Let time jump from call to call as long as that is wanted, but not beyond `limit`. Raises what a callback raised."""
        if not self._run(lambda: not wanted(), limit) and wanted():
            self.schedule.run_until(limit)

    def _run(self, done: Callable[[], bool], limit: Instant) -> bool:
        with self.inside():
            left = self._defect is not None or self.schedule.run_till(done, limit)
        if self._defect is not None:
            self._raise_defect()
        return left

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be the running loop for a while, also in the place of another one that waits meanwhile."""
        outer = asyncio.events._get_running_loop()
        was_running, self._running = self._running, True
        asyncio.events._set_running_loop(self)
        try:
            yield
        finally:
            self._running = was_running
            asyncio.events._set_running_loop(outer)

    def _raise_defect(self) -> None:
        defect, self._defect = self._defect, None
        assert defect is not None
        error = defect.get("exception")
        raise error if isinstance(error, BaseException) else RuntimeError(defect["message"])

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """End the run with the first defect: in a run that can be repeated there is none to be lived with."""
        self._defect = self._defect or context
        self.schedule.halt()

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators end with the run."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio's signature
        """Nothing to do: there is no executor."""


def run_virtually(main: Coroutine[Any, Any, T], schedule: Schedule) -> T:
    """Run a coroutine to its end on the schedule's time, and cancel what it leaves behind."""
    loop = VirtualLoop(schedule)  # type: ignore[abstract]  # what needs an operating system is left out on purpose
    try:
        return loop.run_until_complete(main)
    finally:
        _cancel_the_rest(loop)
        loop.close()


def _cancel_the_rest(loop: VirtualLoop) -> None:
    rest = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in rest:
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
