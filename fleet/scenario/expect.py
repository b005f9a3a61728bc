"""The expectations of a step on each of its cars: how its command ends, how the car stands then, what the car tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self, get_args

from fleet.scenario.conditions import Condition
from fleet.scenario.drawn import Given
from fleet.scenario.element import Element
from fleet.scenario.scalars import Duration, Misread, Readable, shown

EndState = Literal["succeeded", "rejected", "failed", "expired", "unknown"]
_STATES: Final[tuple[EndState, ...]] = get_args(EndState)
_REASONED: Final = ("rejected", "failed")
_ENDING: Final = re.compile(r"([a-z]+)(?:\s*\(\s*([a-z0-9_]+)\s*\))?")


@dataclass(frozen=True, slots=True)
class Ending(Readable):
    """The one terminal state of a command, or of what a service was asked, with the reason of a refusal or failure."""

    expected: ClassVar[str] = "succeeded, rejected(REASON), failed(REASON), expired or unknown"

    state: EndState
    reason: str | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `succeeded` or `rejected(too_far)`; raises Misread."""
        match = _ENDING.fullmatch(raw.strip()) if isinstance(raw, str) else None
        state = next((known for known in _STATES if match is not None and known == match[1]), None)
        if match is None or state is None:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        if (match[2] is None) is (state in _REASONED):
            if match[2] is not None:
                raise Misread(f"{state} has no reason: {cls.expected} is expected")
            raise Misread(f"{state} has a reason: {cls.expected} is expected", hint=f"Such as '{state}(too_far)'.")
        return cls(state=state, reason=match[2])

    def __str__(self) -> str:
        return self.state if self.reason is None else f"{self.state}({self.reason})"


class Expect(Element, frozen=True, kw_only=True):
    """All that is given must hold, for each car of the step.

    `outcome` is how what was asked ends. `then` is a condition on the car: when the outcome is there, or at once where nothing
    is asked. `event` is the next event of that name that the car makes, its data at least `data`; `no_event` none of that name.
    Both look `within` so long after the step, or to the end of the run.
    """

    outcome: Ending | None = None
    then: Condition | None = None
    event: str | None = None
    data: Given | None = None
    no_event: str | None = None
    within: Duration | None = None

    @property
    def wanted(self) -> dict[str, Any]:
        """The data that the event has at least."""
        return {} if self.data is None else self.data.values

    def __str__(self) -> str:
        parts = [str(self.outcome)] if self.outcome is not None else []
        if self.then is not None:
            parts.append(f"then {self.then}")
        if self.event is not None:
            parts.append(f"event {self.event}{told(self.wanted)}")
        if self.no_event is not None:
            parts.append(f"no event {self.no_event}")
        return ", ".join(parts) + (f" within {self.within}" if self.within is not None else "")


def told(data: dict[str, Any]) -> str:
    """Write an event's data for people; nothing when there is none."""
    return f" ({', '.join(f'{name} {value}' for name, value in data.items())})" if data else ""
