"""The people of a run at work: they ask the desk in their own names, act in their cars, and read their mail.

Nothing here knows what is allowed. An actor of the shard's heap.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import structlog
from msgspec import convert
from msgspec.structs import replace

from fleet.cloud.actions import load_actions
from fleet.kernel.draws import Draws
from fleet.kernel.instants import Instant
from fleet.runtime.people.cast import Cast
from fleet.runtime.people.enrolling import enrol, log_in, register, set_spin
from fleet.runtime.people.flows import Ask, Flow, Flows, InCar
from fleet.runtime.people.mailboxes import Mailboxes
from fleet.runtime.people.person import Person
from fleet.runtime.people.secrets import has_learnt, secrets_for
from fleet.runtime.people.seeding import Seed
from fleet.runtime.screen import on_screen
from fleet.scenario.actions import Action, ScreenAction, TimelineStep
from fleet.scenario.persons import MISTAKES, EnrolWay, Mistake, whom_word
from fleet.vehicle.car import Car
from fleet.vehicle.services.online import Shown
from fleet.vehicle.signals import WorldInput
from fleet.wire.enrolment import way_of
from fleet.wire.messages import CommandRequest, CommandState, DeskAnswer, Event, ServiceRequest

Answered = Callable[[DeskAnswer], None]
Ended = Callable[[str | None], None]
"""Hears why something failed, as `rejected(REASON)` or `failed(REASON)`; None where it succeeded."""

log = structlog.get_logger()


def _nothing(_reason: str | None) -> None:
    """Hear how it ended, and do nothing."""


class Surroundings(Protocol):
    """The desk, the cars and the time of a process, as far as its people need them."""

    def ask_desk(self, request: ServiceRequest, answered: Answered) -> None:
        """Ask the desk, and pass on the final answer."""
        ...

    def act_in_car(self, want: InCar) -> None:
        """Do something in a car of this process."""
        ...

    def screen_of(self, vin: str) -> Shown | None:
        """Return what the screen of a car of this process shows of an answer; None while somebody waits for one."""
        ...

    def now(self) -> Instant:
        """Return the scenario time."""
        ...

    def rearm_people(self) -> None:
        """Look at the deadline of the people."""
        ...


class ActingPeople:
    """All people of one process. `enrolments` counts what came of each enrolment, as `succeeded` or `failed(REASON)`."""

    def __init__(self, cast: Cast, around: Surroundings, mailboxes: Mailboxes, *, run: str) -> None:
        """Take who there is, and where they act; `run` begins the ids of what they ask."""
        self.cast = cast
        self.enrolments: Counter[str] = Counter()
        self._around = around
        self._mailboxes = mailboxes
        self._run = run
        self._asked = 0
        self._flows = Flows(self)
        self._preparing: dict[Person, list[Callable[[], None]]] = {}
        self._unknown: list[Callable[[], None]] | None = None
        """What waits until the back end knows everybody; None when it does."""

    # --- the beginning

    def be_known(self, seeds: Sequence[Seed]) -> None:
        """Make everybody known to the back end, one request after the other; then those with an app log in."""
        self._unknown = []
        self._seed(deque(seeds))

    def _seed(self, seeds: deque[Seed]) -> None:
        if not seeds:
            waiting, self._unknown = self._unknown or [], None
            for person in self.cast.people():
                if person.app:
                    self.log_in(person)
            for go_on in waiting:
                go_on()
            return
        seed = seeds.popleft()
        self._asked += 1
        request = ServiceRequest(
            id=f"{self._run}-p{self._asked}",
            service="people",
            action="seed",
            data=seed.data,
            secrets={"new_password": seed.password},
        )
        self._around.ask_desk(request, partial(self._seeded, seed, seeds))

    def _seeded(self, seed: Seed, seeds: deque[Seed], answer: DeskAnswer) -> None:
        if answer.state != "succeeded" or answer.data is None:
            log.warning("people could not be made known", reason=answer.reason, detail=answer.detail)
        else:
            seed.is_known(answer.data["accounts"])
        self._seed(seeds)

    def once_known(self, go_on: Callable[[], None]) -> None:
        """Go on as soon as the back end knows everybody."""
        if self._unknown is None:
            go_on()
        else:
            self._unknown.append(go_on)

    # --- actor

    def deadline(self) -> Instant | None:
        """Return when somebody goes on."""
        return self._flows.deadline()

    def wake(self, at: Instant) -> None:
        """Go on with those whose time has come."""
        self._flows.wake(at)

    def heard(self, event: Event) -> None:
        """Show somebody at a car what it has just told."""
        self._flows.heard(event)

    # --- what scenarios and tests have them do

    def register(self, person: Person, ended: Ended = _nothing) -> None:
        """Have somebody get an account."""
        self._flows.start(person, register(person), ended=ended)

    def log_in(self, person: Person, ended: Ended = _nothing) -> None:
        """Have somebody log in with the app."""
        self._flows.start(person, log_in(person), ended=ended)

    def do(self, action: Action, car: Car, draws: Draws, answered: Answered | None) -> None:
        """Have somebody do what an action says: get an account, or enrol a car. `answered` hears how that ended."""
        person = self.cast.acting(action, car.vin)
        if person is None:
            return
        ended = _nothing if answered is None else partial(_tell, answered)
        if action.do == "register":
            self.once_known(partial(self.register, person, ended))
            return
        equipment = car.equipment
        way = action.way or way_of(equipment.model, equipment.generation, navi=equipment.navi_system)
        mistake = mistake_of(action.wrong_first or {}, MISTAKES[way], draws)
        self.once_known(partial(self.enrol, person, car.vin, way, mistake, ended))

    def on_screen(self, action: Action, do: ScreenAction, car: Car, draws: Draws) -> None:
        """Have somebody do something on the screen of a car, with the own account, S-PIN and pairing code."""
        person = self.cast.acting(action, car.vin)
        if person is None:
            return

        def make(at: Car) -> WorldInput:
            whom = None if action.whom is None else self.cast.called(action.whom, car.vin)
            named = replace(action, user=(whom or person).account, code=action.code or person.code or "")
            return on_screen(named, do, at, draws, spin=person.spin)

        types = do in ("log_in", "enrol_in_car")
        touch = partial(self.act, InCar(car.vin, make))
        self.once_known(lambda: self.prepared(person, touch, spin=types, session=False))

    def enrol(self, person: Person, vin: str, way: EnrolWay, mistake: Mistake | None, ended: Ended = _nothing) -> None:
        """Have somebody enrol a car, with a mistake first or none."""
        self._flows.start(person, enrol(person, vin, way, mistake), vin=vin, ended=partial(self._enrolled, person, vin, ended))

    def _enrolled(self, person: Person, vin: str, ended: Ended, reason: str | None) -> None:
        self.enrolments[reason or "succeeded"] += 1
        if reason is None and (car := self.cast.cars.get(vin)) is not None:
            car.is_taken_by(person)
        ended(reason)

    def prepared(self, person: Person, go_on: Callable[[], None], *, spin: bool, session: bool) -> None:
        """Go on once somebody has set an S-PIN, or has logged in for the first time, where either is needed."""
        if (spin and not person.has_spin) or (session and person.session is None):
            waiting = self._preparing.get(person)
            if waiting is None:
                self._preparing[person] = [go_on]
                self._flows.start(person, _preparing(person, spin=spin, session=session), ended=partial(self._prepared, person))
            else:
                waiting.append(partial(self.prepared, person, go_on, spin=spin, session=session))
            return
        go_on()

    def _prepared(self, person: Person, _reason: str | None) -> None:
        """Go on, prepared or not: the desk says what is lacking."""
        for go_on in self._preparing.pop(person):
            go_on()

    def command(
        self, person: Person, request: CommandRequest, kind: str | None, send: Callable[[CommandRequest], None], *,
        in_session: bool,
    ) -> None:  # fmt: skip
        """Send a command in somebody's name, with the S-PIN of this `kind`; None where it wants none."""

        def go_on() -> None:
            if kind == "new":
                self._flows.start(person, set_spin(person), ended=lambda _reason: send(named()))
            else:
                send(named())

        def named() -> CommandRequest:
            spin = {None: None, "none": None, "token": None, "wrong": person.wrong_spin}.get(kind, person.spin)
            by_session = {"session": person.session or "", "user": None} if in_session else {"user": person.email}
            return replace(request, spin=spin, **by_session)

        self.once_known(lambda: self.prepared(person, go_on, spin=kind is not None, session=in_session))

    def ask_step(self, step: TimelineStep, vin: str | None, data: dict[str, Any], request_id: str, answered: Answered) -> None:
        """Ask a service as a step says; nothing is asked where there is nobody of a role."""
        self.once_known(lambda: self._ask_step(step, vin, data, request_id, answered))

    def _ask_step(self, step: TimelineStep, vin: str | None, data: dict[str, Any], request_id: str, answered: Answered) -> None:
        assert step.service is not None
        assert step.action is not None
        person = self.cast.acting(step, vin)
        if person is None:
            return
        whom = None if step.whom is None else self.cast.called(step.whom, vin)
        word = whom_word(load_actions()[step.service].actions[step.action].parameters)
        if whom is not None and word is not None:
            data = data | {word: whom.email}
        in_session = bool(step.in_session)
        want = Ask(step.service, step.action, vin, data, wrong=step.wrong or (), in_session=in_session)
        is_first = step.service == "account" and step.action in ("log_in", "refresh")
        self.prepared(
            person, partial(self.ask_as, person, want, request_id, answered), spin=False, session=in_session and not is_first
        )

    # --- where they act

    def ask(self, person: Person, want: Ask, answered: Answered) -> None:
        """Ask a service in somebody's name."""
        self._asked += 1
        self.ask_as(person, want, f"{self._run}-p{self._asked}", answered)

    def ask_as(self, person: Person, want: Ask, request_id: str, answered: Answered) -> None:
        """Ask a service in somebody's name, under this id."""
        entry = load_actions()[want.service].actions.get(want.action)
        secrets = {
            **secrets_for(
                person, want.action, () if entry is None else entry.secrets, in_session=want.in_session, wrong=want.wrong,
                take_link=partial(self.take_link, person),
            ),
            **want.given,
        }  # fmt: skip
        request = ServiceRequest(
            id=request_id,
            service=want.service,
            action=want.action,
            vin=want.vin,
            data=dict(want.data),
            user=None if want.in_session or want.action == "register" else person.email,
            session=(person.session or "") if want.in_session else None,
            secrets=secrets,
            origin=f"app of {person.number}",
        )
        self._around.ask_desk(request, partial(self._answered, person, secrets, answered))

    @staticmethod
    def _answered(person: Person, given: Mapping[str, str], answered: Answered, answer: DeskAnswer) -> None:
        has_learnt(person, given, answer)
        answered(answer)

    def act(self, want: InCar) -> None:
        """Do something in a car."""
        self._around.act_in_car(want)

    def screen_of(self, vin: str) -> Shown | None:
        """Return what a car's screen shows of an answer."""
        return self._around.screen_of(vin)

    def take_link(self, person: Person, kind: str) -> str | None:
        """Return the link in somebody's newest mail of a kind, once."""
        return self._mailboxes.take_link(person.email, kind)

    def now(self) -> Instant:
        """Return the scenario time."""
        return self._around.now()

    def rearm(self) -> None:
        """Look at the deadline."""
        self._around.rearm_people()


def _preparing(person: Person, *, spin: bool, session: bool) -> Flow:
    if spin and not person.has_spin:
        failed = yield from set_spin(person)
        if failed is not None:
            return failed
    return (yield from log_in(person)) if session and person.session is None else None


def _tell(answered: Answered, reason: str | None) -> None:
    """Tell how something ended as the desk tells it."""
    state, _, why = ("succeeded" if reason is None else reason.removesuffix(")")).partition("(")
    answered(DeskAnswer(id="", state=convert(state, CommandState), reason=why or None, final=True))


def mistake_of(wrong_first: Mapping[str, float], known: tuple[Mistake, ...], draws: Draws) -> Mistake | None:
    """Draw which mistake somebody makes first; None for none, or one that cannot be made on this way."""
    point = draws.unit()
    for name, share in wrong_first.items():
        point -= share
        if point < 0:
            return next((mistake for mistake in known if mistake == name), None)
    return None
