"""Runs the desk: gives it inputs and the time, has S-PINs hashed in threads, and passes on what it wants stored and sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog

from fleet.backend.batching import Attempt, Pending
from fleet.backend.centre_driver import CentreDriver
from fleet.backend.decisions import AnswerGiven, AnswerPublished
from fleet.backend.machine_driver import MachineDriver
from fleet.backend.schema import CLOCK
from fleet.backend.spin import SpinVault
from fleet.backend.store import Loaded, Store
from fleet.cloud.car_settings import MODULE, CarSettings
from fleet.cloud.centre import ASKED_BY_CENTRE
from fleet.cloud.desk import LONGEST_ID, Desk
from fleet.cloud.desk_io import (
    Answer,
    BackEndAsked,
    ClockChanged,
    CommandAsked,
    CommandOpened,
    CommandPublished,
    DeskInput,
    DeskOutput,
    EnrolmentAsked,
    HashSpin,
    KeepSettings,
    LateResult,
    RemoveUser,
    SendCommand,
    SpinHash,
    SpinHashed,
    SpinJobFailed,
    SpinSettingAsked,
    SpinVerified,
    StoreUser,
    Transition,
    VerifySpin,
)
from fleet.cloud.rule import AskCar, CommandEnded
from fleet.cloud.spin_guard import MISPLACED, looks_like_spin
from fleet.cloud.twin import ahead_at
from fleet.errors import StoreError
from fleet.kernel.instants import LATEST, SECOND, Clock, Instant, format_instant
from fleet.wire.dialect import ANSWER_OF_USE_S
from fleet.wire.messages import (
    TERMINAL_STATES,
    AnnounceClock,
    CommandRequest,
    DeskAnswer,
    DeskRequest,
    EnrolCar,
    ServiceRequest,
    SetSpin,
)

_SLOWEST: Final = 0.001
_FASTEST: Final = 1_000_000.0
_SOON_S: Final = 3600
"""Wall seconds for which an announced clock has to stay within what an instant holds."""
_AWAITED: Final = 10_000
"""Commands whose round trip is being measured."""

_log = structlog.get_logger(__name__)


class ClockFactory(Protocol):
    """Makes scenario clocks; `runtime.clocks.ScaledClock` is one."""

    def __call__(self, start: Instant, *, factor: float, epoch_wall_us: int | None) -> Clock: ...


class DeskDriver:
    """The desk in an event loop. What it decides goes into the batch that `collecting` returns."""

    def __init__(
        self,
        store: Store,
        loaded: Loaded,
        vault: SpinVault,
        *,
        make_clock: ClockFactory,
        clock_is_known: bool = False,
        wall_us: Callable[[], int],
        collecting: Callable[[], Pending],
        changed: Callable[[], None],
        attempt: Attempt,
        make_desk: Callable[..., Desk] = Desk,
    ) -> None:
        """Take the desk up where the store left it; `changed` is called after something was put into the batch.

        With `clock_is_known` what `make_clock` makes tells scenario time before anybody has announced it. What the desk decides
        by itself goes through `attempt`, which undoes it when it fails.
        """
        self._store = store
        self._vault = vault
        self._make_clock = make_clock
        self._wall_us = wall_us
        self._collecting = collecting
        self._changed = changed
        self._attempt = attempt
        self._make_desk = make_desk
        self._announced_last = loaded.meta.get(CLOCK)
        self.clock = self._clock_of(self._announced_last)
        self._known_before = clock_is_known
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="fleet-spin")
        self._awaited: dict[str, int] = {}
        self._take_up(loaded)
        self._machine: MachineDriver[DeskInput, DeskOutput] = MachineDriver(
            "desk",
            self.desk,
            clock=lambda: self.clock,
            now=self.now,
            perform=self._perform,
            changed=changed,
            attempt=attempt,
        )
        self._centre: CentreDriver | None = None
        self.ended: dict[str, Counter[str]] = {}

    def _take_up(self, loaded: Loaded) -> None:
        self.clock_is_known = self._known_before or CLOCK in loaded.meta
        self.desk = self._make_desk(
            factor=self.clock.factor,
            users=loaded.users,
            known_vins=loaded.vins,
            presence=loaded.presence,
            settings=msgspec.convert(loaded.services.get(MODULE, {}), dict[str, CarSettings]),
        )
        self._to_restore = loaded.commands
        self._kept_answers = loaded.answers
        self._told_again: dict[str, DeskAnswer] = {}
        self._jobs: set[asyncio.Future[Any]] = set()
        self._of_centre = {record.id: record.vin for record in loaded.commands if record.id.startswith(ASKED_BY_CENTRE)}

    def begin_anew(self, loaded: Loaded) -> None:
        """Begin from the store in the middle of the run: what it does not hold has not been. S-PINs under way are not awaited."""
        announced = loaded.meta.get(CLOCK)
        if announced != self._announced_last:
            self._announced_last = announced
            self.clock = self._clock_of(announced)
        self._take_up(loaded)
        self._machine.replace(self.desk)
        self.start()

    def attach(self, centre: CentreDriver) -> None:
        """Take the service centre; before `start`."""
        self._centre = centre

    def start(self) -> None:
        """Go on with the commands that were open when the back end last ran, and with the answers nobody may have got."""
        restored, self._to_restore = self._to_restore, []
        kept, self._kept_answers = self._kept_answers, []
        self._tell_again(kept)
        self._perform(self.desk.restore(restored, self.now()))
        self._machine.rearm()
        self._changed()

    def now(self) -> Instant:
        """Return the scenario time; a clock that has run out of what an instant holds stands at its end."""
        return min(max(self.clock.now(), 0), LATEST)

    def latest_plausible(self) -> Instant:
        """Return the latest time at which a car can have measured anything by now: any, before a clock was announced."""
        return self.now() + ahead_at(self.clock.factor) if self.clock_is_known else 2 * LATEST

    def knows(self, vin: str) -> bool:
        """Tell whether the desk knows a car, whichever desk it is now."""
        return self.desk.knows(vin)

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
                earlier = None if self.desk.remembers(request.id) else self._store.find_command(request.id)
                if earlier is None and len(self._awaited) < _AWAITED:
                    self._awaited.setdefault(request.id, request.due_wall_us or self._wall_us())
                self.feed(CommandAsked(request, answer_topic, earlier))
            case SetSpin() if (told := self._told_again.get(request.id)) is not None:
                self.answer(answer_topic, told)  # it was taken up before the restart, and comes again
            case SetSpin():
                if answer_topic and not comes_again:
                    self._keep_in_case_of_a_kill(request, answer_topic)
                self.feed(SpinSettingAsked(request, answer_topic))
            case EnrolCar():
                self.feed(EnrolmentAsked(request, answer_topic))
            case AnnounceClock():
                self._announced(request, answer_topic)
            case ServiceRequest() if any(map(looks_like_spin, _words_of(request))):
                self.answer(answer_topic, DeskAnswer(
                    id=request.id[:LONGEST_ID], state="rejected", reason=MISPLACED.reason, detail=MISPLACED.detail, final=True,
                    at=self.now(),
                ))  # fmt: skip
            case ServiceRequest():
                assert self._centre is not None, "attached before the start"
                self._centre.ask(request, answer_topic)

    def _keep_in_case_of_a_kill(self, request: SetSpin, topic: str) -> None:
        """Keep what is told when we end before the S-PIN is hashed; the real answer takes its place."""
        detail = "the back end was restarted before the S-PIN was set; ask again"
        answer = DeskAnswer(id=request.id[:LONGEST_ID], state="rejected", reason="busy", detail=detail, final=True, at=self.now())
        self._collecting().write(AnswerGiven(topic, answer), self._wall_us())

    def ask_car(self, wanted: AskCar) -> None:
        """Send a command that the service centre wants, unless it was sent before."""
        if self.desk.remembers(wanted.id) or self._store.find_command(wanted.id) is not None:
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
        pending = self._collecting()
        ended: list[CommandEnded] = []
        for output in outputs:
            match output:
                case Transition():
                    pending.write(output, self._wall_us())
                    self._measure(output, pending)
                    if output.state in TERMINAL_STATES and (vin := self._of_centre.pop(output.command_id, None)) is not None:
                        ended.append(CommandEnded(output.command_id, vin, output.state, output.reason))
                case Answer(topic=topic, answer=answer):
                    pending.answer(topic, answer, self._wall_us())
                case SendCommand():
                    pending.after_commit(output)
                case VerifySpin():
                    self._verify(output)
                case HashSpin():
                    self._hash(output)
                case CommandOpened() | LateResult() | StoreUser() | RemoveUser() | KeepSettings():
                    pending.write(output, self._wall_us())
        for end in ended:
            assert self._centre is not None, "attached before the start"
            self._centre.feed(end)

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
        self._attempt("the outcome of an S-PIN", self._conclude, job, done, future)

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
        if (detail := _unfit_clock(request, self._wall_us())) is not None:
            self.answer(answer_topic, DeskAnswer(
                id=request.id, state="rejected", reason="argument_out_of_range", detail=detail, final=True, at=self.now()
            ))  # fmt: skip
            return
        self._machine.cancel()  # the same deadline may now be another wall time away
        before = self.now()
        self.clock_is_known = True
        self.clock = self._make_clock(request.start, factor=request.factor, epoch_wall_us=request.epoch_wall_us)
        self._announced_last = msgspec.json.encode(request).decode()
        self._collecting().batch.meta[CLOCK] = self._announced_last
        self.feed(ClockChanged(request.factor, self.now() - before))
        if self._centre is not None:
            self._centre.clock_changed()
        self.answer(answer_topic, DeskAnswer(id=request.id, state="succeeded", final=True, at=self.now()))

    def look_at_clock(self) -> None:
        """Do what is due by now, whatever the timer was set to."""
        self._machine.look_at_clock()

    def answer(self, topic: str, answer: DeskAnswer) -> None:
        """Answer with the next commit, for what the desk itself does not see; without a topic nobody listens."""
        self._collecting().answer(topic, answer, self._wall_us())
        self._changed()

    def answered(self, told: Answer) -> None:
        """Note that the broker knows of a final answer."""
        self._collecting().write(AnswerPublished(told.topic, told.answer.id), self._wall_us())
        self._changed()

    def _tell_again(self, kept: Sequence[tuple[AnswerGiven, int]]) -> None:
        """Publish again the answers of which nobody knows whether the broker took them; let go of those too old to be of use."""
        pending, now_us = self._collecting(), self._wall_us()
        for (topic, answer), given_us in kept:
            if now_us - given_us < ANSWER_OF_USE_S * 1_000_000:
                self._told_again[answer.id] = answer
                pending.after_commit(Answer(topic, answer))
            else:
                pending.write(AnswerPublished(topic, answer.id), now_us)

    def _clock_of(self, announced: str | None) -> Clock:
        """Return the clock of the last announcement; the wall's before any."""
        if announced is not None:
            try:
                kept = msgspec.json.decode(announced, type=AnnounceClock)
            except msgspec.DecodeError as error:
                raise StoreError(f"the clock kept in the store cannot be read: {error}") from None
            return self._make_clock(kept.start, factor=kept.factor, epoch_wall_us=kept.epoch_wall_us)
        now = self._wall_us()
        return self._make_clock(now, factor=1.0, epoch_wall_us=now)


def _unfit_clock(request: AnnounceClock, wall_us: int) -> str | None:
    """Say why a clock cannot be followed, None when it can."""
    if not _SLOWEST <= request.factor <= _FASTEST:  # refuses NaN, too
        return f"a clock runs at a factor of {_SLOWEST:g} to {_FASTEST:g}, not {request.factor:g}"
    present = request.start + int((wall_us - request.epoch_wall_us) * request.factor)
    if not 0 <= present <= LATEST - int(_SOON_S * SECOND * request.factor):
        where = format_instant(present)
        return (
            f"this clock shows {where}; it has to be between 1970 and {format_instant(LATEST)[:4]}, and still in an hour"
            " at its factor: are start and epoch_wall_us microseconds since 1970?"
        )
    return None


def _words_of(request: ServiceRequest) -> tuple[object, ...]:
    """Return the words in whose place an S-PIN may be typed."""
    return request.service, request.action, request.vin, request.user, request.data.get("user")
