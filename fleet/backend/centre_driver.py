"""Runs the service centre: gives it what is new and the time, and passes on what it wants stored, sent and asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from fleet.backend.batching import ClearPresence
from fleet.backend.context import BackendContext
from fleet.backend.decisions import ReplyGiven, ReplyPublished
from fleet.backend.desk_driver import DeskDriver
from fleet.backend.machine_driver import MachineDriver
from fleet.backend.mail.deliverer import SERVICE as MAIL_SERVICE
from fleet.backend.mail.deliverer import MailDeliverer
from fleet.backend.proving import Proofs, Prover
from fleet.backend.store import Loaded
from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.centre import ServiceCentre, vins_of
from fleet.cloud.desk import LONGEST_EXPIRY_S, LONGEST_ID, SHORTEST_EXPIRY_S
from fleet.cloud.desk_io import Answer, CarForgotten, ForgetSpin, KeepSpin, RightsChanged, UnlockSpin
from fleet.cloud.failures import FAILURE_KINDS
from fleet.cloud.people.enrolment import FRESH_CODE, Enrolments
from fleet.cloud.people.erasure import SERVICE as ERASURE
from fleet.cloud.people.erasure import SUBJECT, subjects_of
from fleet.cloud.people.people import RULE, People, erased_cars, erased_cars_in
from fleet.cloud.people.records import Account
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.people.sessions import is_to_be_noted
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.registry import RULES
from fleet.cloud.rule import (
    AskCar,
    CentreInput,
    CentreOutput,
    ClockMoved,
    CommandEnded,
    Erase,
    Keep,
    Mail,
    Notify,
    Proof,
    RequestProven,
    Rule,
    SendReply,
    ServiceAsked,
    SessionUsed,
    SpinLocked,
)
from fleet.cloud.spin_guard import MISPLACED, PRIMARY, DeskRefusal, looks_like_spin
from fleet.kernel.instants import LATEST, Duration, Instant
from fleet.kernel.machine import Machine
from fleet.wire.messages import DeskAnswer, Event, Request, ServiceRequest
from fleet.wire.sealing import Unsealable, key_of, unseal

FRESH: Final = 2
"""Words that nobody can guess, for each request about people: a session and what renews it are the most that is made anew."""
SEALED_SPIN: Final = "sealed_spin"
CODE: Final = "code"
SECRETS: Final = frozenset({"password", "new_password", "spin", "new_spin", "link", "refresh", "session", "token"})
"""Names of secrets that are no parameter of any service about people."""
SECRET_AMONG_WORDS: Final = DeskRefusal("malformed", "a secret stands among the parameters; it goes apart, and is kept nowhere")


class CentreDriver:
    """The service centre in an event loop. What it decides goes into the batch of the context."""

    def __init__(
        self,
        context: BackendContext,
        desk: DeskDriver,
        mails: MailDeliverer,
        prover: Prover,
        loaded: Loaded,
        *,
        fresh: Callable[[], str],
        cars_secret: bytes,
        rules: Sequence[type[Rule]] = RULES,
    ) -> None:
        """Take the centre up where the store left it; the desk knows the cars, and sends the commands that the centre wants.

        `mails` delivers its mails and pushes, `prover` proves secrets, `fresh` makes words that nobody can guess, and by
        `cars_secret` cars seal S-PINs.
        """
        self._context = context
        self._clock = context.clock
        self._desk = desk
        self._mails = mails
        self._prover = prover
        self._fresh = fresh
        self._cars_secret = cars_secret
        self._rules = rules
        self._machine = MachineDriver("service centre", self._take_up(loaded), context, self._perform)
        context.command_ended.append(self.feed)
        desk.people = self._people
        desk.session_used = self._session_used
        desk.clock_moved = self._clock_moved
        desk.spin_locked = self._spin_locked

    def _take_up(self, loaded: Loaded) -> Machine[CentreInput, CentreOutput]:
        """Begin from the store, and return the machine to drive."""
        self._centre = centre = ServiceCentre(self._rules, loaded.services)
        self.wants = centre.wants
        """Tells whether the centre is to be given a message, should it be new."""
        self._unpublished = loaded.replies
        self._context.forgotten.begin(erased_cars_in(loaded.services.get(RULE, {})))
        return self._context.recorder.centre(centre, loaded.services)

    def _people(self) -> People | None:
        rule = self._centre.find(PeopleRule)
        return None if rule is None else rule.people

    def begin_anew(self, loaded: Loaded) -> None:
        """Begin from the store in the middle of the run: what it does not hold has not been."""
        self._prover.forget()  # whoever asked asks again
        self._machine.replace(self._take_up(loaded))
        self._mails.begin_anew(loaded)
        self._go_on()

    def start(self) -> None:
        """Go on with replies, mails and deadlines."""
        self._mails.start()
        self._go_on()

    def _go_on(self) -> None:
        """Publish again the replies of which nobody knows whether the broker took them, as long as they are of use."""
        unpublished, self._unpublished = self._unpublished, []
        now = self._clock.now()
        for given in unpublished:
            if given.expires_at > now:
                self._context.after_commit(given)
        self._machine.rearm()
        self._context.changed()

    def close(self) -> None:
        """Stop the timers."""
        self._machine.cancel()
        self._mails.close()
        self._prover.close()

    @property
    def is_proving(self) -> bool:
        """True while secrets are being proven."""
        return self._prover.is_busy

    async def wait_for_proofs(self, limit_s: float) -> None:
        """Let secrets that are being proven come to an end, for at most `limit_s`."""
        await self._prover.wait(limit_s)

    def feed(self, message: Event | Request | CommandEnded) -> None:
        """Give the centre an input and perform what comes out."""
        if isinstance(message, Request) and message.name in PeopleRule.requests and message.data.keys() & {SEALED_SPIN, CODE}:
            self._prove_request(message)
        else:
            self._give(message)

    def ask(self, request: ServiceRequest, answer_topic: str) -> None:
        """Take what a tool asks."""
        misplaced = _misplaced(request)
        if misplaced is not None:
            self._context.answer(answer_topic, DeskAnswer(
                id=request.id[:LONGEST_ID], state="rejected", reason=misplaced.reason, detail=misplaced.detail, final=True,
                at=self._clock.now(),
            ))  # fmt: skip
            return
        if request.service == MAIL_SERVICE:
            self._mails.ask(request, answer_topic, self._clock.now())
            return
        bare = msgspec.structs.replace(request, session=None, secrets={})
        session = None if request.session is None else digest_of(request.session)

        def give(proofs: Proofs) -> None:
            person = self._person(request, session)
            if session is not None:
                proofs = {**proofs, "session": Proof(person is not None, None if person is None else person.id, digest=session)}
            if request.service == ERASURE:
                proofs = {**proofs, **self._subjects(request, person)}
            unknown = tuple(vin for vin in vins_of(request) if not self._desk.knows(vin))
            fresh = tuple(self._fresh() for _ in range(FRESH)) if request.service in PeopleRule.serves else ()
            if _makes_code(request):
                proofs = {**proofs, FRESH_CODE: self._prover.of_fresh_code(fresh[0])}
            self._context.pending.urgent = True
            asker, reported = None if person is None else person.id, self._reported(request.service, request.vin)
            self._give(ServiceAsked(bare, answer_topic, unknown, asker, proofs, fresh, reported))

        # What was answered is answered again, which wants no proof.
        unproven = request.service not in PeopleRule.serves or self._centre.has_answered(request.id)
        secrets = {} if unproven else request.secrets
        self._prover.prove(f"service {request.id} {_kind(request, session)}", secrets, self._person(request, session), give)

    def _subjects(self, request: ServiceRequest, person: Account | None) -> Proofs:
        """Return the digests by which cars and people are known again once they are erased."""
        people = self._people()
        if people is None:
            return {}
        digest = self._context.forgotten.digest
        named = subjects_of(people, request.vin, None if person is None else person.id)
        return {SUBJECT + subject: Proof(digest=digest(subject)) for subject in named}

    def _person(self, request: ServiceRequest, session: str | None) -> Account | None:
        """Return who asks: whose session it is, or whom a trusted tool names; by default the car's primary user."""
        people = self._people()
        if people is None:
            return None
        if session is not None:
            return people.accounts.get(people.in_session(session, self._clock.now()))
        if request.user is not None and request.user != PRIMARY:
            return people.named(request.user)
        car = people.cars.get(request.vin)
        return None if car is None else people.accounts.get(car.primary)

    def _prove_request(self, request: Request) -> None:
        """Have the secrets of a car's request proven, and give the centre the request without them."""
        data = dict(request.data)
        sealed, code = data.pop(SEALED_SPIN, None), data.pop(CODE, None)
        secrets = {CODE: code} if isinstance(code, str) else {}
        people, user = self._people(), data.get("user")
        person = people.named(user) if people is not None and isinstance(user, str) else None
        unfit: dict[str, Proof] = {}
        if sealed is not None:
            try:
                key = key_of(self._cars_secret, request.vin)
                secrets["spin"] = unseal(key, request.vin, request.id, sealed if isinstance(sealed, str) else "")
            except Unsealable as error:
                unfit["spin"] = Proof(refused=error.reason, detail=error.detail)
        bare = msgspec.structs.replace(request, data=data)

        def give(proofs: Proofs) -> None:
            self._context.pending.urgent = True
            self._give(RequestProven(bare, {**proofs, **unfit}, self._desk.reported(bare.vin)))

        self._prover.prove(f"request {request.vin} {request.boot} {request.seq}", secrets, person, give)

    def _session_used(self, session: str) -> None:
        """Have the use of a session noted, where that matters."""
        people = self._people()
        if people is not None and is_to_be_noted(people, session, self._clock.now()):
            self._give(SessionUsed(session))

    def _spin_locked(self, account: str) -> None:
        """Tell the centre that wrong tries have locked an S-PIN."""
        self._give(SpinLocked(account))

    def _clock_moved(self, shift: Duration) -> None:
        """Tell the centre that scenario time jumped, where that matters."""
        if self._centre.has_pending_times():
            self._give(ClockMoved(shift))
            people = self._people()
            if people is not None and people.erasures:
                self._context.forgotten.begin(erased_cars(people.erasures.values()))

    def _reported(self, service: str, vin: str | None) -> ReportedSettings | None:
        """Return what the car has said of its own switches, for services about people: it wins over what they switch, and may
        have said so before they knew of the car."""
        return self._desk.reported(vin) if service in PeopleRule.serves and vin is not None else None

    def replied(self, given: ReplyGiven) -> None:
        """Note that the broker knows of a reply."""
        self._context.write(ReplyPublished(given.vin, given.reply.id))
        self._context.changed()

    def expiry_s(self, until: Instant) -> int:
        """Return how many wall seconds the broker keeps what is of use until then."""
        return min(max(self._clock.wall_s_until(until), SHORTEST_EXPIRY_S), LONGEST_EXPIRY_S)

    def deadline(self) -> Instant | None:
        """Return when something is due, None while nothing is."""
        return self._machine.deadline()

    def look_at_clock(self) -> None:
        """Do what is due by now, whatever the timer was set to."""
        self._machine.look_at_clock()

    def clock_changed(self) -> None:
        """See when the next deadline comes now."""
        self._machine.cancel()
        self._machine.rearm()

    def _give(self, message: CentreInput) -> None:
        now = None
        if not self._clock.is_known:  # cars may be heard before it is announced
            heard = message.request if isinstance(message, RequestProven) else message
            now = min(heard.captured_at, LATEST) if isinstance(heard, Event | Request) else None
        self._machine.give(message, now)

    def _perform(self, outputs: Iterable[CentreOutput]) -> None:
        pending, now, wall_us = self._context.pending, self._clock.now(), self._context.wall_us()
        asked: list[AskCar] = []
        for output in outputs:
            match output:
                case SendReply():
                    given = ReplyGiven(output.vin, output.reply, now, now + output.lifetime)
                    pending.write(given, wall_us)
                    pending.after_commit(given)
                case Notify() | Keep():
                    pending.write(output, wall_us)
                    if isinstance(output, Notify) and output.kind in FAILURE_KINDS:
                        self._tell_failure(output)
                case Answer(topic=topic, answer=answer):
                    pending.answer(topic, answer, wall_us)
                case Mail():
                    self._mails.post(output)
                case Erase():
                    self._erase(output)
                case RightsChanged() | KeepSpin() | UnlockSpin() | ForgetSpin():
                    self._desk.feed(output)
                case AskCar():
                    asked.append(output)
        for command in asked:  # last, since its end can come back at once
            self._desk.ask_car(command)

    def _erase(self, erased: Erase) -> None:
        """Have desk, store, outbox and broker forget it, and nothing of it come back."""
        context = self._context
        for vin in erased.vins:
            self._desk.feed(CarForgotten(vin))
            for hear in context.car_erased:
                hear(vin)
        context.write(erased)
        context.forgotten.note(erased.cars)
        self._mails.erase(erased)
        for vin in erased.vins:
            context.after_commit(ClearPresence(vin))

    def _tell_failure(self, notice: Notify) -> None:
        told = notice.data
        again = "; it is tried again" if "again_at" in told else ""
        self._context.warn(f"the service {told['rule']} failed at {told['at']} {told['car']}: {told['error']}{again}")


def _makes_code(request: ServiceRequest) -> bool:
    """Tell whether a pairing code is made for it."""
    return (request.service, request.action, request.data.get("way")) == (Enrolments.service, "begin", "code")


def _kind(request: ServiceRequest, session: str | None) -> str:
    """Return a word by which two requests differ that others have given the same id."""
    asked = (request.service, request.action, request.vin, request.user, session)
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def _misplaced(request: ServiceRequest) -> DeskRefusal | None:
    """Return why a request is not even written down: something secret may stand where it does not belong."""
    if any(map(looks_like_spin, _words_of(request))):
        return MISPLACED
    return SECRET_AMONG_WORDS if request.service in PeopleRule.serves and request.data.keys() & SECRETS else None


def _words_of(request: ServiceRequest) -> tuple[object, ...]:
    """Return the words in whose place an S-PIN may be typed."""
    return request.service, request.action, request.vin, request.user, request.data.get("user")
