"""Runs the desk: gives it inputs and the time, has S-PINs hashed in threads, and passes on what it wants stored and sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from msgspec.structs import replace

from fleet.backend.announced_clock import objection_to
from fleet.backend.batching import Pending
from fleet.backend.context import BackendContext
from fleet.backend.decisions import AnswerGiven, AnswerPublished
from fleet.backend.machine_driver import MachineDriver
from fleet.backend.schema import CLOCK
from fleet.backend.spin import SpinVault
from fleet.backend.store import Loaded
from fleet.cloud.car_settings import MODULE, ReportedSettings
from fleet.cloud.centre import ASKED_BY_CENTRE
from fleet.cloud.desk import LONGEST_ID, OF_ACCOUNTS, Desk
from fleet.cloud.desk_io import (
    Answer,
    BackEndAsked,
    ClockChanged,
    CommandAsked,
    CommandOpened,
    CommandPublished,
    DeskInput,
    DeskOutput,
    DeskStart,
    EnrolmentAsked,
    HashSpin,
    KeepSettings,
    LateResult,
    RemoveUser,
    Restored,
    SendCommand,
    SpinAsked,
    SpinChecked,
    SpinHash,
    SpinHashed,
    SpinJobFailed,
    SpinSettingAsked,
    SpinVerified,
    StoreUser,
    Transition,
    VerifySpin,
)
from fleet.cloud.people.erasure import asked_to_forget
from fleet.cloud.people.people import RULE, People, rights_in
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import AskCar, CommandEnded
from fleet.cloud.spin_guard import PRIMARY
from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.kernel.machine import Machine
from fleet.wire.dialect import ANSWER_OF_USE_S
from fleet.wire.messages import (
    TERMINAL_STATES,
    AnnounceClock,
    CommandRequest,
    DeskAnswer,
    DeskRequest,
    EnrolCar,
    SetSpin,
)

_AWAITED: Final = 10_000
"""Commands whose round trip is being measured."""

_log = structlog.get_logger(__name__)


class DeskDriver:
    """The desk in an event loop. What it decides goes into the batch of the context."""

    def __init__(self, context: BackendContext, loaded: Loaded, vault: SpinVault) -> None:
        """Take the desk up where the store left it."""
        self._context = context
        self._clock = context.clock
        self._vault = vault
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="fleet-spin")
        self._awaited: dict[str, int] = {}
        self._machine = MachineDriver("desk", self._take_up(loaded), context, self._perform)
        self.ended: dict[str, Counter[str]] = {}
        self.people: Callable[[], People | None] = lambda: None
        """Returns what is known of people now; the service centre says from where."""
        self.session_used: Callable[[str], None] = lambda _digest: None
        """Called with the digest of a session in which a command is asked for."""
        self.clock_moved: Callable[[Duration], None] = lambda _shift: None
        """Called with how far scenario time jumped when it was announced."""
        self.spin_locked: Callable[[str], None] = lambda _account: None
        """Called with an account whose S-PIN wrong tries have locked."""

    def _take_up(self, loaded: Loaded) -> Machine[DeskInput, DeskOutput]:
        """Begin from the store, and return the machine to drive."""
        start = DeskStart(
            factor=self._clock.clock.factor,
            users=list(loaded.users),
            known_vins=list(loaded.vins),
            presence=list(loaded.presence),
            settings=msgspec.convert(loaded.services.get(MODULE, {}), dict[str, ReportedSettings]),
            rights=rights_in(loaded.services.get(RULE, {})),
            forgotten=asked_to_forget(loaded.services.get(RULE, {})),
        )
        self.desk = Desk.begin(start)
        self._to_restore = loaded.commands
        self._kept_answers = loaded.answers
        self._told_again: dict[str, DeskAnswer] = {}
        self._jobs: set[asyncio.Future[Any]] = set()
        self._checking: dict[str, Callable[[SpinChecked], None]] = {}
        self._of_centre = {record.id: record.vin for record in loaded.commands if record.id.startswith(ASKED_BY_CENTRE)}
        return self._context.recorder.desk(self.desk, start)

    def begin_anew(self, loaded: Loaded) -> None:
        """Begin from the store in the middle of the run: what it does not hold has not been. S-PINs under way are not awaited."""
        self._machine.replace(self._take_up(loaded))
        self.start()

    def start(self) -> None:
        """Go on with the commands that were open when the back end last ran, and with the answers nobody may have got."""
        restored, self._to_restore = self._to_restore, []
        kept, self._kept_answers = self._kept_answers, []
        self._tell_again(kept)
        self._machine.give(Restored(restored))
        self._context.changed()

    def knows(self, vin: str) -> bool:
        """Tell whether the desk knows a car, whichever desk it is now."""
        return self.desk.knows(vin)

    def reported(self, vin: str) -> ReportedSettings | None:
        """Return what a car has said of its own switches, None when nothing."""
        return self.desk.reported(vin)

    def is_open(self, command_id: str) -> bool:
        """Tell whether a command still waits for its terminal state."""
        return self.desk.is_open(command_id)

    @property
    def is_checking(self) -> bool:
        """True while S-PINs are being checked."""
        return bool(self._jobs)

    async def wait_for_spins(self, limit_s: float) -> None:
        """Let S-PIN work that is under way come to an end, for at most `limit_s`."""
        if self._jobs:
            await asyncio.wait(set(self._jobs), timeout=limit_s)

    def close(self) -> None:
        """Stop the timer and the threads."""
        self._machine.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def feed(self, message: DeskInput) -> None:
        """Give the desk an input and perform what comes out."""
        self._machine.give(message)

    def ask(self, request: DeskRequest, answer_topic: str, *, comes_again: bool = False) -> None:
        """Take what a tool asks. `comes_again`: it is repeated until it is answered, so a restart may forget it."""
        match request:
            case CommandRequest():
                earlier = None if self.desk.remembers(request.id) else self._context.store.find_command(request.id)
                if earlier is None and len(self._awaited) < _AWAITED:
                    self._awaited.setdefault(request.id, request.due_wall_us or self._context.wall_us())
                asked = CommandAsked(request, answer_topic, earlier, forgotten=self._is_forgotten(request.vin))
                self.feed(self._in_person(asked))
            case SetSpin() if (told := self._told_again.get(request.id)) is not None:
                self._context.answer(answer_topic, told)  # it was taken up before the restart, and comes again
            case SetSpin():
                if answer_topic and not comes_again:
                    self._keep_in_case_of_a_kill(request, answer_topic)
                self.feed(SpinSettingAsked(self._of_account(request), answer_topic))
            case EnrolCar():
                self.feed(EnrolmentAsked(request, answer_topic))
            case AnnounceClock():
                self._announced(request, answer_topic)

    def _of_account(self, request: SetSpin) -> SetSpin:
        """Return what sets the S-PIN of an account where a tool means a car with people: there it is one for all cars."""
        people = self.people()
        car = None if people is None else people.cars.get(request.vin)
        if people is None or car is None or not car.managed:
            return request
        account = people.named(request.user) if request.user not in {None, PRIMARY} else people.accounts.get(car.primary)
        if account is None or account.id not in car.users:
            return request
        return replace(request, vin=OF_ACCOUNTS, user=account.id)

    def _is_forgotten(self, vin: str) -> bool:
        """Tell whether a car was erased, and has not been heard of again."""
        if not self._context.forgotten or self.desk.knows(vin):
            return False
        mark = self._context.forgotten.mark(vin)
        return mark is not None and mark.whole

    def _in_person(self, asked: CommandAsked) -> CommandAsked:
        """Add whose account it is that asks, by session or, of a trusted tool, by name; from here on it goes by its id."""
        people, request = self.people(), asked.request
        if people is None or (request.session is None and request.user is None):
            return asked
        if request.session is None:
            account = None if request.user is None else people.named(request.user)
            if account is None:
                return asked
            return replace(asked, person=account.id, request=replace(request, user=account.id))
        digest = digest_of(request.session)
        person = people.in_session(digest, self._clock.now())
        if person is not None:
            self.session_used(digest)
        asked = replace(asked, request=replace(request, session=None, user=person))
        return replace(asked, session_ended=True) if person is None else replace(asked, person=person, in_session=True)

    def check_spin(self, check_id: str, account: str, spin: str, checked: Callable[[SpinChecked], None]) -> None:
        """Have the S-PIN of an account checked, as one of its tries, and pass on the outcome. The id is its own."""
        self._checking[check_id] = checked
        self.feed(SpinAsked(check_id, account, spin))

    def _keep_in_case_of_a_kill(self, request: SetSpin, topic: str) -> None:
        """Keep the answer for the case that the process ends before the S-PIN is hashed; the real answer takes its place."""
        detail = "the back end was restarted before the S-PIN was set; ask again"
        answer = DeskAnswer(
            id=request.id[:LONGEST_ID], state="rejected", reason="busy", detail=detail, final=True, at=self._clock.now()
        )
        self._context.write(AnswerGiven(topic, answer))

    def ask_car(self, wanted: AskCar) -> None:
        """Send a command that the service centre wants, unless it was sent before."""
        if self.desk.remembers(wanted.id) or self._context.store.find_command(wanted.id) is not None:
            return
        self._of_centre[wanted.id] = wanted.vin
        ttl_s = None if wanted.time_to_live is None else wanted.time_to_live / SECOND
        request = CommandRequest(id=wanted.id, vin=wanted.vin, name=wanted.name, parameters=dict(wanted.parameters), ttl_s=ttl_s)
        self.feed(BackEndAsked(request))

    def published(self, command_id: str, refused: str | None) -> None:
        """Pass on what the broker said to a command."""
        self.feed(CommandPublished(command_id, refused))

    # --- outputs

    def _perform(self, outputs: Sequence[DeskOutput]) -> None:
        pending = self._context.pending
        ended: list[CommandEnded] = []
        checked: list[SpinChecked] = []
        locked: list[str] = []
        for output in outputs:
            match output:
                case Transition():
                    pending.write(output, self._context.wall_us())
                    self._measure(output, pending)
                    if output.state in TERMINAL_STATES and (vin := self._of_centre.pop(output.command_id, None)) is not None:
                        ended.append(CommandEnded(output.command_id, vin, output.state, output.reason))
                case Answer(topic=topic, answer=answer):
                    pending.answer(topic, answer, self._context.wall_us())
                case SendCommand():
                    pending.after_commit(output)
                case VerifySpin():
                    self._verify(output)
                case HashSpin():
                    self._hash(output)
                case SpinChecked():
                    checked.append(output)
                case CommandOpened() | LateResult() | StoreUser() | RemoveUser() | KeepSettings():
                    pending.write(output, self._context.wall_us())
                    if isinstance(output, StoreUser) and output.user.locked and output.user.vin == OF_ACCOUNTS:
                        locked.append(output.user.name)
        for account in locked:
            self.spin_locked(account)
        for end in ended:
            for hear in self._context.command_ended:
                hear(end)
        for outcome in checked:
            if (told := self._checking.pop(outcome.id, None)) is not None:
                told(outcome)

    def _measure(self, change: Transition, pending: Pending) -> None:
        """Note the round trip of a car's first answer, and how commands end."""
        if change.by == "car" and (due := self._awaited.pop(change.command_id, None)) is not None:
            pending.round_trips.append((due, change.awake is not False))
        if change.state in TERMINAL_STATES:
            self._awaited.pop(change.command_id, None)
            self.ended.setdefault(change.state, Counter())[change.reason or ""] += 1

    def _verify(self, work: VerifySpin) -> None:
        arguments = (work.vin, work.user, work.spin, work.against)
        self._run(work.job, partial(self._vault.verify, *arguments), self._verified)

    def _verified(self, job: int, right: bool) -> None:
        self.feed(SpinVerified(job, right, self._vault.token()))

    def _hash(self, work: HashSpin) -> None:
        self._run(work.job, partial(self._vault.hash, work.vin, work.user, work.spin), self._hashed)

    def _hashed(self, job: int, spin: SpinHash) -> None:
        self.feed(SpinHashed(job, spin))

    def _run(self, job: int, work: Callable[[], Any], done: Callable[[int, Any], None]) -> None:
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._jobs.add(future)
        future.add_done_callback(partial(self._ran, job, done))

    def _ran(self, job: int, done: Callable[[int, Any], None], future: asyncio.Future[Any]) -> None:
        is_awaited = future in self._jobs  # not when the desk has begun anew since: it counts its jobs anew
        self._jobs.discard(future)
        if future.cancelled() or not is_awaited:
            return
        self._context.attempt("the outcome of an S-PIN", self._conclude, job, done, future)

    def _conclude(self, job: int, done: Callable[[int, Any], None], future: asyncio.Future[Any]) -> None:
        error = future.exception()
        if error is None:
            done(job, future.result())
            return
        # Only the kind of error: its text or its frames could show what was hashed.
        _log.error("an S-PIN could not be hashed", error=type(error).__name__)
        self.feed(SpinJobFailed(job))

    # --- time

    def _announced(self, request: AnnounceClock, answer_topic: str) -> None:
        if (detail := objection_to(request, self._context.wall_us())) is not None:
            self._context.answer(answer_topic, DeskAnswer(
                id=request.id, state="rejected", reason="argument_out_of_range", detail=detail, final=True, at=self._clock.now()
            ))  # fmt: skip
            return
        self._machine.cancel()  # the same deadline may now be another wall time away
        before = self._clock.now()
        self._context.pending.batch.meta[CLOCK] = self._clock.announce(request)
        shift = self._clock.now() - before
        self.feed(ClockChanged(request.factor, shift))
        self.clock_moved(shift)
        self._context.answer(answer_topic, DeskAnswer(id=request.id, state="succeeded", final=True, at=self._clock.now()))

    def deadline(self) -> Instant | None:
        """Return when something is due, None while nothing is."""
        return self._machine.deadline()

    def look_at_clock(self) -> None:
        """Do what is due by now, whatever the timer was set to."""
        self._machine.look_at_clock()

    def answered(self, told: Answer) -> None:
        """Note that the broker knows of a final answer."""
        self._context.write(AnswerPublished(told.topic, told.answer.id))
        self._context.changed()

    def _tell_again(self, kept: Sequence[tuple[AnswerGiven, int]]) -> None:
        """Publish again the answers of which nobody knows whether the broker took them; let go of those too old to be of use."""
        pending, now_us = self._context.pending, self._context.wall_us()
        for (topic, answer), given_us in kept:
            if now_us - given_us < ANSWER_OF_USE_S * 1_000_000:
                self._told_again[answer.id] = answer
                pending.after_commit(Answer(topic, answer))
            else:
                pending.write(AnswerPublished(topic, answer.id), now_us)
