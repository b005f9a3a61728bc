"""The users of a scenario: people who send commands to their cars through the desk, and wait for the outcome.

One connection stands for all of them, as one app back end does. Latency counts from when a user meant to ask.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from geographiclib.geodesic import Geodesic

from fleet.errors import LinkError
from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import SECOND, Instant, format_instant
from fleet.observe.histogram import Histogram
from fleet.runtime.desk_client import DeskClient
from fleet.runtime.naming import NAMED
from fleet.runtime.outcomes import Outcomes, outcome_of
from fleet.runtime.people.acting import ActingPeople
from fleet.runtime.people.cast import Cast
from fleet.runtime.people.flows import InCar
from fleet.runtime.people.mailboxes import Mailboxes, PostOffice
from fleet.runtime.people.person import Person
from fleet.runtime.places import placed
from fleet.runtime.scheduled import ScheduledCommand
from fleet.runtime.screen import another, answer_shown, spin_of
from fleet.runtime.shard import CarOnLink, Shard
from fleet.scenario.actions import Action, TimelineStep, draw_destination_m
from fleet.scenario.drawn import Distances
from fleet.scenario.schema import CommandLoad, Scenario
from fleet.transport.link import BackOff, LinkFactory
from fleet.vehicle.car import Car
from fleet.vehicle.geo import offset
from fleet.vehicle.services.online import Shown
from fleet.wire.commands import COMMANDS
from fleet.wire.dialect import Dialect
from fleet.wire.messages import AnnounceClock, CommandRequest, DeskAnswer, EnrolCar, ServiceRequest, SetSpin
from fleet.wire.vin import LENGTH

LIST_MOST: Final = 2_000
"""Cars that one request to a service can name; more come in several, as a message has its bound."""
WAITING_LIMIT: Final = 50_000
"""Commands without an outcome that are kept for measuring; more are not measured, and that is counted."""

Answered = Callable[[DeskAnswer], None]
"""Hears the final answer to what was asked."""

log = structlog.get_logger()


@dataclass(slots=True)
class PendingCommand:
    """A command on its way: when it was due in wall time, in which stage, what of which car, and whether the car has answered.

    `holder` is whose token it may bring: a person's, or that of the car's nameless user.
    """

    due_wall_us: int
    stage: str
    what: str = ""
    holder: str = ""
    answered: bool = False


class Users:
    """Sends the planned commands when their time comes, and others on request; measures. An actor, owner of a link.

    `stages` has the outcomes of the commands that were asked in each stage, `whole` those of all.
    """

    def __init__(
        self, *, scenario: Scenario, start: Instant, scheduled: list[ScheduledCommand], shard: Shard, links: LinkFactory,
        dialect: Dialect, key: int, client_id: str, password: str | None, announce: AnnounceClock | None,
        cast: Cast | None = None, mailboxes: Mailboxes | None = None,
    ) -> None:  # fmt: skip
        """Take what is to be sent in a run from `start`; `announce` tells the back end the scenario time before all else.

        What users do is drawn under `key`, the same in every run of a seed; `client_id` tells the runs apart. A `cast` are people
        with names, accounts and mailboxes of their own.
        """
        self.whole = Outcomes()
        self.stages = {stage.name: Outcomes() for stage in scenario.stages}
        self.unmeasured = 0
        self.on_all_answered: Callable[[], None] | None = None
        """Called whenever a command gets its outcome and none is left without one."""
        self.error: LinkError | None = None
        self._loads = [load for phase in scenario.phases() for load in phase.commands]
        self._stage_ends = _stage_ends(scenario, start)
        self._scheduled = scheduled
        self._next = 0
        self._shard = shard
        self._waiting: dict[str, PendingCommand] = {}
        self.services: Counter[str] = Counter()
        """Outcomes of what services were asked, as those of commands."""
        self._services: set[str] = set()
        self._told: dict[str, list[Answered]] = {}
        self._enrolled: set[str] = set()
        self._with_spin: set[str] = set()
        self._tokens: dict[str, str] = {}
        self._spins_set = 0
        self._cars: dict[str | None, list[CarOnLink]] = {None: list(shard.cars.values())}
        for held in shard.cars.values():
            self._cars.setdefault(held.car.settings.fleet, []).append(held)
        self._key = key
        self._run = stream_key(scenario.seed, client_id)
        self._repeats = DeadlineTimer(shard.clock.call_at, self._repeats_due_at, self._repeat, keeps_early=True)
        self._desk = DeskClient(
            links, dialect, client_id=client_id, password=password, back_off=BackOff(Draws(key, "back-off").unit),
            answered=self._take, up=self._up, down=self._down, schedule=self,
        )  # fmt: skip
        if announce is not None:
            self._desk.ask(announce)
        self.people = ActingPeople(cast, self, mailboxes or PostOffice(), run=f"{self._run:016x}") if cast is not None else None

    def open(self) -> None:
        """Connect to the desk."""
        self._desk.link.open()

    async def close(self) -> None:
        """Disconnect and end the session; requests without an answer are dropped."""
        await self._desk.close()

    @property
    def is_up(self) -> bool:
        """Whether the desk can be asked."""
        return self._desk.link.is_up

    @property
    def asked(self) -> int:
        """Commands that were asked in the whole run."""
        return self.whole.asked

    @property
    def outcomes(self) -> Counter[str]:
        """Outcomes of the whole run, such as `rejected(too_far)`, with their counts."""
        return self.whole.outcomes

    @property
    def round_trip(self) -> Histogram:
        """Wall µs from the intended time to a car's first answer, of cars that were awake."""
        return self.whole.round_trip

    @property
    def round_trip_waking(self) -> Histogram:
        """The same of cars that had to be woken."""
        return self.whole.round_trip_waking

    @property
    def waiting(self) -> int:
        """How many commands have no outcome yet."""
        return len(self._waiting)

    def waits_for(self) -> list[str]:
        """Return some of the commands without an outcome, the oldest first."""
        return [asked.what for asked in itertools.islice(self._waiting.values(), NAMED)]

    # --- actor

    def deadline(self) -> Instant | None:
        """Return when a command is next due, or a request is repeated; None when neither is."""
        scheduled = self._scheduled[self._next].at if self._next < len(self._scheduled) else None
        due_us = self._desk.deadline()
        if due_us is None:
            return scheduled
        again = self._after_wall_us(due_us)
        return again if scheduled is None else min(again, scheduled)

    def _after_wall_us(self, due_us: int) -> Instant:
        """Return an instant that does not come before a wall microsecond."""
        clock = self._shard.clock
        return clock.at_wall_us(due_us) + int(clock.factor) + 1

    def wake(self, at: Instant) -> None:
        """Send the commands whose time has come, and again what nobody has answered."""
        self._ask_again(self._desk.wake)
        due = bisect.bisect_right(self._scheduled, at, lo=self._next, key=lambda each: each.at)
        for each in self._scheduled[self._next : due]:
            self._send_scheduled(each)
        self._next = due

    def _repeats_due_at(self) -> Instant | None:
        due_us = self._desk.repeat_deadline()
        return None if due_us is None else self._after_wall_us(due_us)

    def _repeat(self) -> None:
        self._ask_again(self._desk.repeat)
        self.rearm_repeats()

    def _ask_again(self, again: Callable[[Instant], None]) -> None:
        given_up = self._desk.given_up
        again(self._shard.clock.wall_us())
        if not given_up and self._desk.given_up:
            log.warning("a request was given up", reason="the desk has not answered it for two minutes")

    def _send_scheduled(self, scheduled: ScheduledCommand) -> None:
        load = self._loads[scheduled.load]
        owned = self._cars.get(load.fleet)
        if not owned:
            return  # this shard has no car of that fleet
        draws = Draws(self._key, f"wish-{scheduled.load}", scheduled.n)
        self.ask(load.name, load, draws.choice(owned).car, draws=draws, at=scheduled.at, number=f"{scheduled.load}-{scheduled.n}")

    def ask(
        self, name: str, words: CommandLoad | Action, car: Car, *, draws: Draws, at: Instant, number: str,
        answered: Answered | None = None,
    ) -> None:  # fmt: skip
        """Send a command to a car, due at `at`; what its words leave open is drawn. `number` is its own in this scenario."""
        self._enrol(car.vin)
        parameters = self._parameters(car, name, words, draws, at)
        kind = self._proof(name, words, draws)
        person = self._asking(words, car.vin)
        holder = car.vin if person is None else person.name
        request = CommandRequest(
            id=f"{self._run:016x}-{number}",
            vin=car.vin,
            name=name,
            parameters=parameters,
            user=words.user if isinstance(words, Action) else None,
            spin=self._spin(car, kind) if person is None else None,
            token=self._tokens.get(holder) if kind == "token" else None,
            ttl_s=words.time_to_live / SECOND if words.time_to_live is not None else None,
            due_wall_us=self._shard.clock.wall_us_at(at),
        )
        stage = self._stage_at(at)
        for outcomes in self._outcomes_of(stage):
            outcomes.asked += 1
        if len(self._waiting) < WAITING_LIMIT:
            self._waiting[request.id] = PendingCommand(
                request.due_wall_us or 0, stage, f"{name} of {car.vin}, asked {format_instant(at)[:19]}Z", holder
            )
        else:
            self.unmeasured += 1
        self._listen(request.id, answered)
        in_turn = name in COMMANDS and COMMANDS[name].needs_spin
        if person is None or self.people is None:
            self._desk.ask(request, in_turn=in_turn)
        else:
            in_session = isinstance(words, Action) and bool(words.in_session)
            self.people.command(person, request, kind, self._desk.ask, in_session=in_session)

    def _asking(self, words: CommandLoad | Action, vin: str) -> Person | None:
        """Return who asks for a command; of a car with people its primary user, unless somebody else is named."""
        if self.people is None:
            return None
        if isinstance(words, Action) and (words.by is not None or words.person is not None):
            return self.people.cast.acting(words, vin)
        return None if isinstance(words, Action) and words.user is not None else self.people.cast.of_role("primary", vin)

    def _listen(self, request_id: str, answered: Answered | None) -> None:
        if answered is not None:
            self._told.setdefault(request_id, []).append(answered)

    def ask_service(
        self, step: TimelineStep, vin: str | None, vins: Sequence[str], *, number: str, answered: Answered | None = None
    ) -> None:
        """Ask a service of the back end: about one car, or with a list of them. `answered` hears each answer."""
        assert step.service is not None
        assert step.action is not None
        for each in vins if vin is None else (vin,):
            self._enrol(each)
        data = dict(step.data.values) if step.data is not None else {}
        if self.people is not None and (step.by or step.person or step.whom) is not None:
            self.people.ask_step(step, vin, data, f"{self._run:016x}-{number}", answered or self._warned(step))
            return
        parts = [list(vins[at : at + LIST_MOST]) for at in range(0, len(vins), LIST_MOST)]
        lists = [{"cars": part} for part in parts] if step.about == "list" else [{}]
        for part, cars in enumerate(lists):
            request = ServiceRequest(
                id=f"{self._run:016x}-{number}/{part}", service=step.service, action=step.action, vin=vin, data=data | cars
            )
            self.ask_desk(request, answered or self._warned(step))

    @staticmethod
    def _warned(step: TimelineStep) -> Answered:
        """Return who says that a service has refused, where nobody else listens."""

        def answered(answer: DeskAnswer) -> None:
            if answer.state != "succeeded" or "unknown" in (answer.data or {}):
                told = f"{step.service} {step.action}"
                log.warning("a service refused", service=told, reason=answer.reason, detail=answer.detail)

        return answered

    # --- where people act

    def ask_desk(self, request: ServiceRequest, answered: Answered) -> None:
        """Ask a service, and pass on the final answer."""
        self._services.add(request.id)
        self._listen(request.id, answered)
        self._desk.ask(request)

    def act_in_car(self, want: InCar) -> None:
        """Do something in a car of this process."""
        held = self._shard.cars.get(want.vin)
        if held is not None:
            held.put(want.message(held.car) if callable(want.message) else want.message)

    def screen_of(self, vin: str) -> Shown | None:
        """Return what the screen of a car of this process shows of an answer; None while somebody waits for one."""
        held = self._shard.cars.get(vin)
        return None if held is None else answer_shown(held.car)

    def now(self) -> Instant:
        """Return the scenario time."""
        return self._shard.clock.now()

    def rearm_people(self) -> None:
        """Look at the deadline of the people."""
        if self.people is not None:
            self._shard.reschedule(self.people)

    def _enrol(self, vin: str) -> None:
        """Make the car known to the desk, so that it can be commanded before it was ever heard of."""
        if vin not in self._enrolled:
            self._enrolled.add(vin)
            self._desk.ask(EnrolCar(id=f"{self._run:016x}-enrol-{vin}", vin=vin))

    def _stage_at(self, at: Instant) -> str:
        return next((name for name, end in self._stage_ends if at < end), "")

    def _outcomes_of(self, stage: str) -> list[Outcomes]:
        return [self.whole, self.stages[stage]] if stage in self.stages else [self.whole]

    def _parameters(self, car: Car, name: str, words: CommandLoad | Action, draws: Draws, at: Instant) -> dict[str, Any]:
        known = COMMANDS[name].entry.parameters if name in COMMANDS else {}
        parameters: dict[str, Any] = {
            key: placed(values.draw(draws), known[key].items if key in known else {}, car, at, draws)
            for key, values in words.parameters.items()
        }
        if words.distance is not None:
            from_fix = isinstance(words, Action) and words.distance_from == "fix"
            latitude, longitude = (
                _away_from_fix(words.distance, car, draws)
                if from_fix
                else (offset(*car.true_position(at), *draw_destination_m(words.distance, draws)))
            )
            parameters |= {"latitude": latitude, "longitude": longitude}
        return parameters

    @staticmethod
    def _proof(name: str, words: CommandLoad | Action, draws: Draws) -> str | None:
        """Return which S-PIN this user gives, or the token of the last right one; None for a command that needs neither."""
        if name not in COMMANDS or not COMMANDS[name].needs_spin:
            return None
        return words.spin.draw(draws) if words.spin is not None else "right"

    def _spin(self, car: Car, kind: str | None) -> str | None:
        """Return the S-PIN this user types; the right one is set at the desk before it is first used."""
        if kind is None:
            return None
        right = spin_of(car)
        if car.vin not in self._with_spin or kind == "new":
            number = f"{self._spins_set}-" if car.vin in self._with_spin else ""
            self._with_spin.add(car.vin)
            self._spins_set += 1
            self._desk.ask(SetSpin(id=f"{self._run:016x}-spin-{number}{car.vin}", vin=car.vin, spin=right))
        if kind in {"none", "token"}:
            return None
        return another(right) if kind == "wrong" else right

    # --- the desk's client

    def wall_us(self) -> int:
        return self._shard.clock.wall_us()

    def rearm(self) -> None:
        self._shard.reschedule(self)

    def rearm_repeats(self) -> None:
        self._repeats.rearm()

    def _up(self) -> None:
        self.error = None

    def _down(self, error: LinkError | None) -> None:
        if error is not None and self.error is None:
            log.warning("the users have no connection to the desk", error=str(error), hint=error.hint)
        self.error = error

    def _take(self, answer: DeskAnswer) -> None:
        if answer.reason == "not_paired" and "-spin-" in answer.id:
            self._with_spin.discard(answer.id[-LENGTH:])  # it is set when there is somebody in the car again
        if answer.final:
            if answer.id in self._services:
                self._services.remove(answer.id)
                self.services[outcome_of(answer)] += 1
            for answered in self._told.pop(answer.id, ()):
                answered(answer)
        asked = self._waiting.get(answer.id)
        if asked is None:
            return
        if answer.token is not None:
            self._tokens[asked.holder] = answer.token
        if answer.by == "car" and not asked.answered:
            asked.answered = True
            for outcomes in self._outcomes_of(asked.stage):
                histogram = outcomes.round_trip if answer.awake else outcomes.round_trip_waking
                histogram.record(self._shard.clock.wall_us() - asked.due_wall_us)
        if answer.final:
            del self._waiting[answer.id]
            for outcomes in self._outcomes_of(asked.stage):
                outcomes.outcomes[outcome_of(answer)] += 1
            if not self._waiting and self.on_all_answered is not None:
                self.on_all_answered()


def _away_from_fix(distance: Distances, car: Car, draws: Draws) -> tuple[float, float]:
    """Return a point at that distance by the geodesic from the car's last fix, in any direction."""
    way = Geodesic.WGS84.Direct(car.fix.latitude, car.fix.longitude, draws.uniform(0, 360), distance.draw_m(draws))
    return way["lat2"], way["lon2"]


def _stage_ends(scenario: Scenario, start: Instant) -> list[tuple[str, Instant]]:
    """Return when each stage ends, in their order."""
    stages = [phase for phase in scenario.phases() if phase.name]
    return [(phase.name, start + phase.after_us + phase.duration) for phase in stages]
