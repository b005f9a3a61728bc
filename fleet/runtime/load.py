"""Open-loop load: does something to cars at instants of scenario time that are fixed before, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import Instant
from fleet.runtime.action_executor import ActionExecutor
from fleet.runtime.car_selector import CarSelector
from fleet.scenario.actions import Load
from fleet.scenario.arrivals import Spans
from fleet.scenario.schema import Phase, Scenario
from fleet.vehicle.signals import AskStatus


class OpenLoop:
    """Calls `act(n, intended)` for the n-th of the arrivals; an actor of the shard's heap.

    Each is made as of its intended instant even when it comes late: a generator that stalls does not ask less, and
    latencies count from the intended time.
    """

    def __init__(self, arrivals: Iterator[Instant], act: Callable[[int, Instant], None]) -> None:
        """Take the intended instants, in their order."""
        self.asked = 0
        self._arrivals = arrivals
        self._next = next(arrivals, None)
        self._act = act

    def deadline(self) -> Instant | None:
        """Return when the next one is due; None when all have been."""
        return self._next

    def wake(self, at: Instant) -> None:
        """Do the next one, and only it: the shard bounds what is done before its sockets are served again."""
        if self._next is not None and self._next <= at:
            self._act(self.asked, self._next)
            self.asked += 1
            self._next = next(self._arrivals, None)


def make_loads(
    scenario: Scenario, phase: Phase, *, start: Instant, zone: str, selector: CarSelector, executor: ActionExecutor
) -> list[OpenLoop]:
    """Return the actors of a stage's load. What each draws depends on stage, action and the how-manieth of its kind it is."""
    seen: dict[str, int] = {}
    loads = []
    for load in phase.load:
        number = seen[load.subject] = seen.get(load.subject, -1) + 1
        name = f"{phase.name}/{load.subject}/{number}"
        spans = load.spans(start + phase.after_us, phase.duration, zone)
        loads.append(
            _make_load(load, name, spans=spans, key=stream_key(scenario.seed, "load", name), selector=selector, executor=executor)
        )
    return loads


def _make_load(load: Load, name: str, *, spans: Spans, key: int, selector: CarSelector, executor: ActionExecutor) -> OpenLoop:
    # In turn, but not in the order of the fleets: every car comes once before one comes again.
    turn = [selector.handle(place) for place in selector.shuffled(selector.select(load.cars), f"load {name}")]
    if not turn:
        spans = ()  # a fleet that was made smaller may have none of these cars

    def ask_status(n: int, at: Instant) -> None:
        handle = turn[n % len(turn)]
        if handle is not None:
            handle.put(AskStatus(), at)

    def perform(n: int, at: Instant) -> None:
        handle = turn[n % len(turn)]
        if handle is not None:
            executor.perform(load, handle, at, Draws(key, "what", n), f"{name}/{n}")

    arrivals = load.shape.arrivals(spans, len(turn), Draws(key, "when"))
    return OpenLoop(arrivals, ask_status if load.do == "ask_status" else perform)
