"""Runs what people do step by step: asks services and waits for answers, acts in cars and waits for what they show, reads mail.

A flow is a generator: it yields what it wants, is sent what came of it, and returns why it failed (None: it did not). Everything
waits in scenario time, so that a run in virtual time is the same each time. An actor of the shard's heap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final, Protocol, assert_never

from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant
from fleet.runtime.people.person import Person
from fleet.vehicle.car import Car
from fleet.vehicle.services.online import Shown
from fleet.vehicle.signals import WorldInput
from fleet.wire.messages import DeskAnswer, Event

MAIL_WITHIN: Final = 10 * MINUTE
ANSWER_WITHIN: Final = 10 * MINUTE
LOOK_EVERY: Final = 5 * SECOND
"""How often somebody looks into the mailbox, or at a screen."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a service as the person whose flow it is, with the secrets that the action wants; sent the final answer.

    Secrets in `wrong` are other ones, and some are `given`. With `in_session` the token of the last log-in says who asks.
    """

    service: str
    action: str
    vin: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    wrong: tuple[str, ...] = ()
    in_session: bool = False


@dataclass(frozen=True, slots=True)
class InCar:
    """Do something in a car; sent nothing. A function makes what depends on how the car is then, such as what is typed for it."""

    vin: str
    message: WorldInput | Callable[[Car], WorldInput]


@dataclass(frozen=True, slots=True)
class Seen:
    """Wait for an event of the flow's car of one of these names, since the flow last asked or acted; sent it, or None."""

    names: tuple[str, ...]
    within: Duration


@dataclass(frozen=True, slots=True)
class OnScreen:
    """Wait until a car's screen shows how that ended which was last asked in it; sent what it shows, or None in the end.

    An event of one of the names in `over` ends it, too: the car may show something else by then.
    """

    vin: str
    over: tuple[str, ...] = ()
    within: Duration = ANSWER_WITHIN


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass; sent nothing."""

    duration: Duration


@dataclass(frozen=True, slots=True)
class ReadMail:
    """Wait for a mail of a kind with a link; sent its secret, or None when the time is over."""

    kind: str
    within: Duration = MAIL_WITHIN


Want = Ask | InCar | Seen | OnScreen | Wait | ReadMail
_Looks = OnScreen | ReadMail
Flow = Generator[Want, Any, str | None]


class World(Protocol):
    """Where people act: the desk, their cars, their mailboxes."""

    def ask(self, person: Person, want: Ask, answered: Callable[[DeskAnswer], None]) -> None:
        """Ask a service in the person's name, and pass on the final answer."""
        ...

    def act(self, want: InCar) -> None:
        """Do something in a car."""
        ...

    def take_link(self, person: Person, kind: str) -> str | None:
        """Return the secret of the newest link of a kind in the person's mailbox, once."""
        ...

    def screen_of(self, vin: str) -> Shown | None:
        """Return what a car's screen shows of an answer; None while somebody waits for one."""
        ...

    def now(self) -> Instant:
        """Return the scenario time."""
        ...

    def rearm(self) -> None:
        """Look at the deadline of the flows: it may have changed."""
        ...


class _Running:
    """A flow on its way. `turn` tells its waits apart, so that a deadline that is over wakes nothing; `until` a wait goes on."""

    __slots__ = ("ended", "events", "flow", "person", "turn", "until", "vin", "want")

    def __init__(self, person: Person, vin: str, flow: Flow, ended: Callable[[str | None], None]) -> None:
        self.person = person
        self.vin = vin
        self.flow = flow
        self.ended = ended
        self.turn = 0
        self.until: Instant = 0
        self.want: Want | None = None
        self.events: list[Event] = []


class Flows:
    """All flows that are on their way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._due: list[tuple[Instant, int, int, _Running]] = []
        self._number = 0
        self._at_car: dict[str, dict[_Running, None]] = {}
        self._ready: deque[tuple[_Running, Any]] = deque()
        self._is_busy = False

    @property
    def open(self) -> int:
        """How many flows about cars have not ended."""
        return sum(map(len, self._at_car.values()))

    def start(
        self, person: Person, flow: Flow, *, vin: str = "", ended: Callable[[str | None], None] = lambda _reason: None
    ) -> None:
        """Begin a flow, about a car or none; `ended` is told why it failed, or None."""
        running = _Running(person, vin, flow, ended)
        self._at_car.setdefault(vin, {})[running] = None
        self._go_on(running, None)

    # --- actor

    def deadline(self) -> Instant | None:
        """Return when the first wait is over."""
        while self._due and self._due[0][3].turn != self._due[0][2]:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def wake(self, at: Instant) -> None:
        """Go on with those whose time has come."""
        while (due := self.deadline()) is not None and due <= at:
            _, _, _, running = heappop(self._due)
            if isinstance(running.want, _Looks):
                self._look(running, running.want)
            else:
                self._go_on(running, None)

    # --- what happens

    def heard(self, event: Event) -> None:
        """Show an event that a car has made to those who are at it."""
        for running in list(self._at_car.get(event.vin, ())):
            if isinstance(running.want, Seen) and event.name in running.want.names:
                self._go_on(running, event)
            else:
                running.events.append(event)

    def _answered(self, running: _Running, turn: int, answer: DeskAnswer) -> None:
        if running.turn == turn:
            self._go_on(running, answer)

    # --- steps

    def _go_on(self, running: _Running, value: Any) -> None:
        """Send a value into a flow, and do what it wants then. One at a time: what comes of a step may be there at once."""
        running.turn += 1
        running.want = None
        self._ready.append((running, value))
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._ready:
                self._step(*self._ready.popleft())
        finally:
            self._is_busy = False
        self._world.rearm()

    def _step(self, running: _Running, value: Any) -> None:
        try:
            running.want = want = running.flow.send(value)
        except StopIteration as ended:
            del self._at_car[running.vin][running]
            if not self._at_car[running.vin]:
                del self._at_car[running.vin]
            running.ended(ended.value)
            return
        now = self._world.now()
        match want:
            case Ask():
                running.events.clear()
                turn = running.turn
                self._world.ask(running.person, want, lambda answer: self._answered(running, turn, answer))
            case InCar():
                running.events.clear()
                self._world.act(want)
                self._go_on(running, None)
            case Seen(names=names, within=within):
                seen = next((event for event in running.events if event.name in names), None)
                if seen is None:
                    self._wake_at(now + within, running)
                else:
                    running.events.remove(seen)
                    self._go_on(running, seen)
            case Wait(duration=duration):
                self._wake_at(now + duration, running)
            case OnScreen(within=within) | ReadMail(within=within):
                running.until = now + within
                self._look(running, want)
            case _:
                assert_never(want)

    def _look(self, running: _Running, want: _Looks) -> None:
        world = self._world
        found = world.screen_of(want.vin) if isinstance(want, OnScreen) else world.take_link(running.person, want.kind)
        now = world.now()
        is_over = isinstance(want, OnScreen) and any(event.name in want.over for event in running.events)
        if found is None and now < running.until and not is_over:
            self._wake_at(min(running.until, now + LOOK_EVERY), running)
        else:
            self._go_on(running, found)

    def _wake_at(self, at: Instant, running: _Running) -> None:
        self._number += 1
        heappush(self._due, (at, self._number, running.turn, running))
