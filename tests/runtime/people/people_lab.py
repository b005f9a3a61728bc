"""A world for simulated people under the control of a test: its desk, cars and mail are what the test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleet.kernel.instants import SECOND, Duration
from fleet.runtime.people.flows import Ask, Flow, Flows, InCar
from fleet.runtime.people.person import Manner, Person, make_person
from fleet.vehicle.services.online import Shown
from fleet.wire.messages import DeskAnswer, Event

VIN = "VSSZZZKMZPR000001"
START = 1_772_424_000_000_000


def answer(reason: str | None = None, *, secrets: dict[str, str] | None = None, **data: Any) -> DeskAnswer:
    """Return a final answer: succeeded, or rejected for a reason."""
    return DeskAnswer(
        id="", state="succeeded" if reason is None else "rejected", reason=reason, final=True, data=data or None, secrets=secrets
    )


def anna(**manner: Any) -> Person:
    """Return somebody."""
    return make_person("anna", 7, 1, Manner(**manner))


class PeopleWorld:
    """Answers what `answers` say, by service and action (the first one that is left), else that it succeeded."""

    def __init__(self) -> None:
        self.at = START
        self.asked: list[Ask] = []
        self.done: list[InCar] = []
        self.answers: dict[str, list[DeskAnswer]] = {}
        self.shows: dict[str, Event] = {}
        """What a car tells when something is done in it, by how that is written."""
        self.later: dict[str, Event] = {}
        """What it tells when that is done, but not as the first thing."""
        self.follows: dict[str, Event] = {}
        """What it tells when something asked has succeeded."""
        self.links: list[str] = []
        self.screens: list[Shown] = []
        self.outcomes: list[str | None] = []
        self.flows = Flows(self)

    def run(self, flow: Flow, person: Person | None = None, vin: str = VIN, *, until: Duration = 3600 * SECOND) -> str | None:
        """Run a flow to its end, and return how that was."""
        self.flows.start(person or anna(), flow, vin=vin, ended=self.outcomes.append)
        while (due := self.flows.deadline()) is not None and due <= START + until:
            self.at = max(self.at, due)
            self.flows.wake(self.at)
        (outcome,) = self.outcomes
        return outcome

    def event(self, name: str, **data: Any) -> Event:
        return Event(vin=VIN, boot=1, seq=1, captured_at=self.at, name=name, data=data)

    @property
    def words(self) -> list[str]:
        """What was asked, in short."""
        return [f"{ask.service} {ask.action}" for ask in self.asked]

    # --- World

    def ask(self, person: Person, want: Ask, answered: Callable[[DeskAnswer], None]) -> None:
        self.asked.append(want)
        left = self.answers.get(f"{want.service} {want.action}")
        told = left.pop(0) if left else answer()
        if told.state == "succeeded" and (shown := self.follows.get(f"{want.service} {want.action}")) is not None:
            self.flows.heard(shown)
        answered(told)

    def act(self, want: InCar) -> None:
        self.done.append(want)
        shown = self.shows.get("assistant" if callable(want.message) else repr(want.message))
        shown = shown or (self.later.get(repr(want.message)) if len(self.done) > 1 else None)
        if shown is not None:
            self.flows.heard(shown)

    def screen_of(self, vin: str) -> Shown | None:
        assert vin == VIN
        return self.screens.pop(0) if self.screens else None

    def take_link(self, person: Person, kind: str) -> str | None:
        return self.links.pop(0) if self.links else None

    def now(self) -> int:
        return self.at

    def rearm(self) -> None:
        """Nothing wakes it but `run`."""
