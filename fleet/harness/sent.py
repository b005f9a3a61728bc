"""Something that was asked of the desk in a test: its answers, and what is expected of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.harness.durations import duration
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import Surroundings
from fleet.wire.messages import DeskAnswer

if TYPE_CHECKING:
    from fleet.harness.car import HarnessCar


class Sent:
    """A request on its way; `outcome` is its end."""

    def __init__(self, world: Surroundings, request_id: str, what: str, car: HarnessCar | None = None) -> None:
        """Take its id, and in words what it is; the story of the car is told where it ends otherwise than expected."""
        self._world = world
        self._what = what
        self._car = car
        self.id = request_id

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def states(self) -> list[str]:
        """The states in the answers of the desk so far, oldest first."""
        return [answer.state for answer in self._answers]

    @property
    def _answers(self) -> list[DeskAnswer]:
        return self._world.asker.answers.get(self.id, [])

    @step
    async def outcome(self, *, within: str | float = "10 min") -> DeskAnswer:
        """Return the final answer: `state` and `reason`. Time moves as far as needed, at most `within`."""
        return await self.end(within)

    async def end(self, within: str | float = "10 min") -> DeskAnswer:
        """Wait for the final answer, within a step."""

        def ended() -> bool:
            return any(answer.final for answer in self._answers)

        if not await self._world.until(ended, self._world.now + duration(within)):
            told = " → ".join(self.states) or "nothing"
            self._world.fail(f"{self._what} has no outcome within {within}; the desk told {told}", self._car)
        return next(answer for answer in self._answers if answer.final)

    @step
    async def succeeds(self, *, within: str | float = "10 min") -> DeskAnswer:
        """Expect that it succeeds."""
        answer = await self.end(within)
        if answer.state != "succeeded":
            self._world.fail(f"{self._what} was expected to succeed, and is {shown(answer)}", self._car)
        return answer

    @step
    async def is_rejected(self, reason: str, *, within: str | float = "10 min") -> DeskAnswer:
        """Expect that it is rejected for that reason."""
        return await self._refused(reason, within)

    @step
    async def is_refused(self, reason: str, *, within: str | float = "10 min") -> DeskAnswer:
        """Expect that it is rejected for that reason: the word where people are refused something."""
        return await self._refused(reason, within)

    async def _refused(self, reason: str, within: str | float) -> DeskAnswer:
        answer = await self.end(within)
        if (answer.state, answer.reason) != ("rejected", reason):
            self._world.fail(f"{self._what} was expected to be rejected({reason}), and is {shown(answer)}", self._car)
        return answer


def shown(answer: DeskAnswer) -> str:
    """Write how something ended."""
    reason = f"({answer.reason})" if answer.reason else ""
    return f"{answer.state}{reason}" + (f": {answer.detail}" if answer.detail else "")
