"""Remote commands in the car: wake for them, judge them when they run, run each id once, answer every time.

Knows what a command does to the car, not who may ask for it: that is the desk's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from fleet.errors import Undecodable
from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.vehicle import rules
from fleet.vehicle.outbox import UNTIL_RESET
from fleet.vehicle.services import privacy
from fleet.vehicle.services.registry import SERVICES
from fleet.vehicle.services.service import Refusal
from fleet.vehicle.signals import Executed
from fleet.wire.commands import COMMANDS, is_stop, read_parameters
from fleet.wire.messages import TERMINAL_STATES, Command, CommandState
from fleet.wire.parameters import Parameters

REMEMBERED: Final = 64
"""Command ids whose last answer is kept, so that one delivered twice runs once. Beyond it those go that have expired."""
REMEMBERED_MOST: Final = 1_000
"""With so many that have not (routes live for a week), further commands are rejected as `busy`, and not remembered."""
WAITING_LIMIT: Final = 16
"""Commands that may wait for the car to wake; more are rejected as `busy`."""

RESET: Final = "reset"
"""Nothing of the past leaves the car from when this arrives until it is judged."""
COMMAND: Final = "command"
"""With its id: key of the timer of a command that is being executed."""


class Ports(rules.Ports, Protocol):
    """A car that executes commands, and answers."""

    @property
    def remote(self) -> Remote:
        """The commands of the car."""

    def is_awake(self, now: Instant) -> bool:
        """Tell whether the car is awake."""

    def release(self) -> None:
        """Send what was held back for a reset."""

    def remember(self, done: Executed) -> None:
        """Have it written down what a command has come to."""

    def respond(
        self,
        command_id: str,
        name: str,
        state: CommandState,
        now: Instant,
        *,
        reason: str | None,
        detail: str | None,
        awake: bool,
    ) -> None:
        """Send a step of a command's life."""


class KnownAnswer(NamedTuple):
    """The last answer to a command, to be repeated when it comes again; what comes after `expires_at` runs no more anyway."""

    name: str
    expires_at: Instant
    state: CommandState
    reason: str | None
    detail: str | None
    awake: bool


class Running(NamedTuple):
    """A command between `accepted` and its end."""

    command: Command
    parameters: Parameters
    awake: bool


class Remote:
    """The commands of one car: waiting for it to wake, running, and remembered."""

    __slots__ = ("_answers", "_interrupted", "_running", "_waiting", "_woken", "wake_ups")

    def __init__(self) -> None:
        self._waiting: list[Command] | None = None
        self._running: dict[str, Running] | None = None
        self._answers: OrderedDict[str, KnownAnswer] | None = None
        self._interrupted: tuple[Executed, ...] | None = None
        self._woken = 0
        self.wake_ups = 0

    @property
    def remembered(self) -> int:
        """How many commands it could repeat the answer of."""
        return len(self._answers or ())

    # --- arrival

    def arrive(self, car: Ports, command: Command, now: Instant, *, before: bool = False) -> None:
        """Take a command: repeat the answer of a known one, run it, or wake the car for it first.

        One that may have come `before` this run of the car's computer is not run: perhaps it was then.
        """
        known = self._answers.get(command.id) if self._answers else None
        if known is not None:
            car.respond(command.id, known.name, known.state, now, reason=known.reason, detail=known.detail, awake=known.awake)
            return
        if before:
            lost = Refusal(
                "interrupted", "it came before the car's computer was started anew; whether it was done then is not known"
            )
            self._end(car, command, "failed", now, lost, awake=car.is_awake(now))
            return
        if self._answers is not None and len(self._answers) >= REMEMBERED_MOST and not self._forget(now):
            detail = "too many commands wait for their time to live to end"
            car.respond(command.id, command.name, "rejected", now, reason="busy", detail=detail, awake=car.is_awake(now))
            return
        if self._waiting is None and car.is_awake(now):
            # One that waited at the broker for the car to come back did not find it awake either.
            self._execute(car, command, now, awake=command.issued_at >= car.outbox.connected_since)
            return
        if self._waiting is None:
            self._waiting = []
            self.wake_ups += 1
            self._woken += 1
            car.agenda.call(now + _wake_delay(car, self._woken), _awake)
        if any(waiting.id == command.id for waiting in self._waiting):
            return  # it will be answered once the car is awake
        if len(self._waiting) >= WAITING_LIMIT:
            self._end(car, command, "rejected", now, Refusal("busy", "too many commands wait for the car to wake"), awake=False)
            return
        self._waiting.append(command)
        if command.name == RESET:
            car.outbox.hold(UNTIL_RESET)

    def woken(self, car: Ports, now: Instant) -> None:
        """The car is awake: run what waited, in the order of arrival."""
        waiting, self._waiting = self._waiting or [], None
        for command in waiting:
            self._execute(car, command, now, awake=False)
        car.release()

    # --- execution

    def _execute(self, car: Ports, command: Command, now: Instant, *, awake: bool) -> None:
        silence = privacy.silence(car, command.name)
        if silence is not None:
            self._end(car, command, "rejected", now, silence, awake=awake)
            return
        if now > command.expires_at:
            self._end(car, command, "expired", now, None, awake=awake)
            return
        try:
            parameters = read_parameters(command.name, command.parameters)
        except Undecodable as error:
            self._end(car, command, "rejected", now, Refusal(error.reason, error.detail), awake=awake)
            return
        refused = self._busy(command, parameters) or rules.refusal(car, COMMANDS[command.name], parameters, now)
        if refused is not None:
            self._end(car, command, "rejected", now, refused, awake=awake)
            return
        car.stay_awake(now)
        self._answer(car, command, "accepted", now, None, awake=awake)
        service = SERVICES[type(parameters)]
        if service.takes is None:
            self._end(car, command, "succeeded", now, None, awake=awake)
            service.carry_out(car, parameters, now)
            return
        if self._running is None:
            self._running = {}
        self._running[command.id] = Running(command, parameters, awake)
        self._answer(car, command, "in_progress", now, None, awake=awake)
        car.agenda.call(now + service.takes(parameters), _actuated, command.id, key=(COMMAND, command.id))

    def _busy(self, command: Command, parameters: Parameters) -> Refusal | None:
        """One command of a kind at a time; a stop is never busy."""
        if not self._running or is_stop(parameters):
            return None
        kind = COMMANDS[command.name].kind
        for running in self._running.values():
            if COMMANDS[running.command.name].kind == kind:
                return Refusal("busy", f"{running.command.name} is still in progress")
        return None

    def actuated(self, car: Ports, command_id: str, now: Instant) -> None:
        """The actuator is done: the command succeeded, unless the car's state has changed under it."""
        assert self._running is not None
        running = self._running.pop(command_id)
        if not self._running:
            self._running = None
        changed = self._changed(car, running, now)
        if changed is not None:
            self._end(car, running.command, "failed", now, changed, awake=running.awake)
            return
        self._end(car, running.command, "succeeded", now, None, awake=running.awake)
        SERVICES[type(running.parameters)].carry_out(car, running.parameters, now)
        if is_stop(running.parameters):
            self._cancel_starts(car, running, now)

    def _changed(self, car: Ports, running: Running, now: Instant) -> Refusal | None:
        """Judge again what may have changed while the actuator worked."""
        changed = SERVICES[type(running.parameters)].changed
        if changed is not None:
            return changed(car, running.parameters, now)
        return rules.refusal(car, COMMANDS[running.command.name], running.parameters, now)

    def _cancel_starts(self, car: Ports, stop: Running, now: Instant) -> None:
        """End what was on its way to begin what has just been stopped."""
        kind = COMMANDS[stop.command.name].kind
        for running in list((self._running or {}).values()):
            if COMMANDS[running.command.name].kind == kind and not is_stop(running.parameters):
                assert self._running is not None
                del self._running[running.command.id]
                car.agenda.cancel((COMMAND, running.command.id))
                self._end(car, running.command, "failed", now, Refusal("cancelled", "a stop came first"), awake=running.awake)

    # --- from one run of the car's computer to the next

    def recall(self, executed: Iterable[Executed]) -> None:
        """Know what was executed before; what had not come to its end has failed."""
        known = self._answers = self._answers or OrderedDict()
        for done in executed:
            state, reason = (done.state, done.reason) if done.state in TERMINAL_STATES else ("failed", "interrupted")
            known[done.id] = KnownAnswer(done.name, done.expires_at, state, reason, None, done.awake)
            if state != done.state:
                self._interrupted = (*(self._interrupted or ()), done)

    def tell_interrupted(self, car: Ports, now: Instant) -> None:
        """Tell that what was being executed when the car's computer ended has failed."""
        interrupted, self._interrupted = self._interrupted or (), None
        refused = Refusal("interrupted", "the car's computer was started anew meanwhile")
        for done in interrupted:
            command = Command(id=done.id, vin=car.vin, name=done.name, issued_at=done.at, expires_at=done.expires_at)
            self._end(car, command, "failed", now, refused, awake=done.awake)

    # --- answers

    def forget_details(self) -> None:
        """Forget the details of answers, which are for people. That a command was run is remembered, so that it runs once."""
        for command_id, answer in (self._answers or {}).items():
            self._answers[command_id] = answer._replace(detail=None)  # type: ignore[index]

    def _answer(
        self, car: Ports, command: Command, state: CommandState, now: Instant, refused: Refusal | None, *, awake: bool
    ) -> None:
        reason, detail = refused or (None, None)
        if self._answers is None:
            self._answers = OrderedDict()
        self._answers[command.id] = KnownAnswer(command.name, command.expires_at, state, reason, detail, awake)
        if len(self._answers) > REMEMBERED:
            self._forget(now)
        if state != "in_progress":  # which says no more than that it was accepted
            car.remember(Executed(command.id, command.name, command.expires_at, now, state, reason, awake))
        car.respond(command.id, command.name, state, now, reason=reason, detail=detail, awake=awake)

    _end = _answer

    def _forget(self, now: Instant) -> bool:
        """Forget the oldest command that has ended and expired; False when there is none."""
        assert self._answers is not None
        for known, answer in self._answers.items():
            if answer.expires_at < now and known not in (self._running or ()):
                del self._answers[known]
                return True
        return False


def _awake(car: Ports, _data: None, now: Instant) -> None:
    car.stay_awake(now)
    car.remote.woken(car, now)


def _actuated(car: Ports, command_id: str, now: Instant) -> None:
    car.remote.actuated(car, command_id, now)


def _wake_delay(car: Ports, index: int) -> Duration:
    """Draw how long waking takes: about 15 s, from seconds to tens of seconds."""
    return int(min(60.0, 15.0 * 2.0 ** car.draws("wake", index).normal(0.0, 0.6)) * SECOND)
