"""Steps of a test: coroutines that notice when they are not awaited, at the next step or at the end of the test."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from fleet.harness.errors import ForgottenAwait

P = ParamSpec("P")
T = TypeVar("T")


class Steps:
    """Knows the step that was made last and not awaited yet."""

    def __init__(self) -> None:
        self._waiting: Step[Any] | None = None

    def made(self, step: Step[Any]) -> None:
        """A step was called: the one before must have been awaited."""
        self.check()
        self._waiting = step

    def begun(self, step: Step[Any]) -> None:
        """A step is awaited."""
        if self._waiting is step:
            self._waiting = None

    def check(self) -> None:
        """Raise ForgottenAwait for a step that nobody awaits."""
        forgotten, self._waiting = self._waiting, None
        if forgotten is not None:
            forgotten.forget()
            raise ForgottenAwait(
                f"{forgotten.where}: {forgotten.name}(…) was not awaited, so it has done nothing",
                hint=f"Write `await {forgotten.name}(…)`; of several steps one is awaited after the other.",
            )


class HasSteps(Protocol):
    """Whoever has steps keeps track of them."""

    @property
    def steps(self) -> Steps: ...


SelfT = TypeVar("SelfT", bound=HasSteps)


class Step(Awaitable[T], Generic[T]):
    """A step that has been called: to be awaited, once."""

    __slots__ = ("_coroutine", "_steps", "name", "where")

    def __init__(self, steps: Steps, name: str, where: str, coroutine: Coroutine[Any, Any, T]) -> None:
        self._steps = steps
        self._coroutine = coroutine
        self.name = name
        self.where = where
        try:
            steps.made(self)
        except ForgottenAwait:
            coroutine.close()
            raise

    if not TYPE_CHECKING:  # a type checker is to find this mistake by itself

        def __getattr__(self, name: str) -> Any:
            """Tell who takes it for what it will return, such as the car of `fleet.car()`."""
            if name.startswith("_"):
                raise AttributeError(name)
            self._steps.check()
            raise AttributeError(f"{self.name}(…) returns something to be awaited, once; that has no {name!r}")

    def forget(self) -> None:
        """Close the coroutine, which would complain once more at an instant of its own."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, T]:
        self._steps.begun(self)
        return self._coroutine.__await__()


def step(
    function: Callable[Concatenate[SelfT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SelfT, P], Step[T]]:
    """Make a method a step: it returns something that has to be awaited, and says so when it is not."""

    def called(self: SelfT, /, *args: P.args, **kwargs: P.kwargs) -> Step[T]:
        caller = sys._getframe(1)
        where = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        return Step(self.steps, function.__name__, where, function(self, *args, **kwargs))

    update_wrapper(called, function)
    return called
