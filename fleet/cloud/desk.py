"""The command desk: decides who may command which car, and follows each command to its one terminal state.

Pure: its driver stores, hashes, publishes and tells the time. What it decides: the S-PIN and rights, the states
`queued`, `sent`, `rejected`, `expired` and `unknown`. What it does not: whether the car can or will obey.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

from msgspec.structs import replace

from fleet.cloud import car_settings
from fleet.cloud.car_settings import NEVER, NOT_PAIRED, Number, ReportedSettings
from fleet.cloud.desk_io import (
    INTERNAL,
    NOT_IN_DIALECT,
    Answer,
    BackEndAsked,
    By,
    CarAnswered,
    CarForgotten,
    CarSeen,
    CarSwitched,
    ClockChanged,
    CommandAsked,
    CommandOpened,
    CommandPublished,
    CommandRecord,
    DeskInput,
    DeskOutput,
    DeskStart,
    EnrolmentAsked,
    ForgetSpin,
    KeepSettings,
    KeepSpin,
    LateResult,
    PresenceChanged,
    Restored,
    RightsChanged,
    SendCommand,
    SpinAsked,
    SpinChecked,
    SpinHash,
    SpinHashed,
    SpinInput,
    SpinJobFailed,
    SpinSettingAsked,
    SpinVerified,
    Transition,
    UnlockSpin,
    UserRecord,
)
from fleet.cloud.rights import CarRights, command_doing, of_oneself, unsent
from fleet.cloud.rights import refusal as rights_refusal
from fleet.cloud.spin_guard import (
    BAD_FORMAT,
    BUSY,
    FOREVER,
    MISPLACED,
    PRIMARY,
    Decision,
    DeskRefusal,
    SpinGuard,
    UserKey,
    is_spin,
    looks_like_spin,
)
from fleet.errors import Undecodable
from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant
from fleet.kernel.timers import TimerHeap
from fleet.wire.commands import COMMANDS, LONGEST_TIME_TO_LIVE, read_parameters
from fleet.wire.messages import TERMINAL_STATES, Command, CommandRequest, CommandState, DeskAnswer, Event, Response, SetSpin
from fleet.wire.services import BACK_END
from fleet.wire.vin import fault_of

REMEMBERED: Final = 10_000
"""Ended commands kept in memory to answer a repeated request; older ones are looked up in the store."""
REMEMBERED_SPINS: Final = 2_000
"""Requests to set an S-PIN, kept in memory for those that are repeated: more than can be under way."""
OPEN_PER_CAR: Final = 64
OF_ACCOUNTS: Final = ""
"""Stands for a VIN where an S-PIN is that of an account, for all cars."""
NOBODY: Final = "nobody"
"""Stands for whoever asks for a command of a car with people, and has no account."""
LONGEST_ID: Final = 100
SHORTEST_EXPIRY_S: Final = 5
LONGEST_EXPIRY_S: Final = 2**32 - 1
"""The longest that MQTT can say; beyond it a broker would keep a message for 136 years."""
_SKEW: Final = 30 * SECOND
_SKEW_WALL: Final = 7 * SECOND
"""A broker keeps a command at least 5 wall seconds, with a second of slack, and the answer has to come back."""
_PATIENCE: Final = 10 * MINUTE
_PATIENCE_WALL: Final = 10 * SECOND
_RANK: Final[dict[CommandState | None, int]] = {None: -1, "queued": 0, "sent": 1, "accepted": 2, "in_progress": 3}
_ENDED: Final = 4
_FROM_CAR: Final = frozenset({"accepted", "in_progress"}) | TERMINAL_STATES


ERASED: Final = DeskRefusal("insufficient_rights", "all that was known of this car was erased")
UNKNOWN_VIN: Final = DeskRefusal("unknown_vin", "nobody is enrolled on this car, and no message of it has ever arrived")
NO_USER: Final = DeskRefusal("insufficient_rights", "this person is no user of the car any more")
RESET: Final = "reset"
"""The command by which users go."""


class _Open:
    """A command that has no terminal state yet. `seen` is True once the car may have been connected since sending."""

    __slots__ = ("record", "seen")

    def __init__(self, record: CommandRecord, *, seen: bool) -> None:
        self.record = record
        self.seen = seen


class _SpinSetting:
    """A request to set an S-PIN, as it is remembered: whose it was, and the answer once there is one."""

    __slots__ = ("answer", "key")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.answer: DeskAnswer | None = None


class Desk:
    """A `Machine` of `DeskInput` and `DeskOutput`."""

    def __init__(
        self,
        *,
        factor: float = 1.0,
        users: Iterable[UserRecord] = (),
        known_vins: Iterable[str] = (),
        presence: Iterable[PresenceChanged] = (),
        settings: Mapping[str, ReportedSettings] | None = None,
        rights: Mapping[str, CarRights] | None = None,
        forgotten: Iterable[str] = (),
    ) -> None:
        """Start from what the store holds; `factor` is scenario seconds per wall second."""
        self._factor = factor
        self._guard = SpinGuard(users)
        self._rights = dict(rights or {})
        self._known = {*known_vins, *self._rights}
        self._forgotten = set(forgotten)
        """Cars of which nothing is known any more but that the back end itself may ask to forget, too."""
        self._presence = {entry.vin: entry for entry in presence}
        self._settings = dict(settings or {})
        self._open: dict[str, _Open] = {}
        self._by_vin: dict[str, set[str]] = {}
        self._ended: OrderedDict[str, CommandRecord] = OrderedDict()
        self._settings_of_spins: OrderedDict[str, _SpinSetting] = OrderedDict()
        self._spins_asked: set[str] = set()
        self._timers: TimerHeap[str] = TimerHeap()

    @classmethod
    def begin(cls, start: DeskStart) -> Desk:
        """Return the desk that begins so."""
        return cls(
            factor=start.factor,
            users=start.users,
            known_vins=start.known_vins,
            presence=start.presence,
            settings=start.settings,
            rights=start.rights,
            forgotten=start.forgotten,
        )

    # --- Machine

    def receive(self, message: DeskInput, now: Instant) -> list[DeskOutput]:  # noqa: PLR0911 (one case per input)
        """Take one input and return what is to be stored, hashed and published, in that order."""
        match message:  # those that cars bring about come first: they are most of all
            case PresenceChanged():
                self._presence[message.vin] = message
                if message.connection != "offline":
                    self._connected(message.vin)
                return []
            case CarAnswered():
                return self._car_answered(message.response, now)
            case CarSeen():
                self._known.add(message.vin)
                return []
            case CommandAsked():
                return self._asked(message, now)
            case CommandPublished():
                return self._published(message, now)
            case BackEndAsked(request):
                return [] if self.remembers(request.id) else self._new_command(message, now)
            case SpinSettingAsked():
                return self._set_spin(message, now)
            case EnrolmentAsked():
                return self._enrol(message, now)
            case CarSwitched(event):
                return self._switched(event, now)
            case RightsChanged(vin, rights):
                return self._rights_changed(vin, rights, now)
            case CarForgotten(vin):
                return self._forget_car(vin, now)
            case ClockChanged():
                self._clock_changed(message)
                return []
            case Restored(commands):
                return self._restore(commands, now)
            case _:
                return self._of_spins(message, now)

    def _of_spins(self, message: SpinInput, now: Instant) -> list[DeskOutput]:
        """Take what is said of S-PINs."""
        match message:
            case SpinVerified():
                return self._decided(*self._guard.verified(message.job, message.right, message.token, now), now)
            case SpinHashed():
                return self._decided(*self._guard.hashed(message.job, message.spin), now)
            case SpinJobFailed():
                return self._decided(*self._guard.failed(message.job), now)
            case SpinAsked():
                return self._check_spin(message)
            case KeepSpin(account, spin):
                return self._decided(*self._guard.keep(account_key(account), SpinHash.parse(spin)), now)
            case UnlockSpin(account):
                return self._guard.unlock(account_key(account))
            case ForgetSpin(account):
                return self._decided(*self._guard.forget_account(account_key(account)), now)
            case _:
                assert_never(message)

    def deadline(self) -> Instant | None:
        """Return when the next command is given up."""
        return self._timers.next_deadline()

    def wake(self, now: Instant) -> list[DeskOutput]:
        """End the commands whose deadline has come."""
        outputs: list[DeskOutput] = []
        for _, command_id in self._timers.pop_due(now, limit=1_000):
            held = self._open[command_id]
            if held.seen:
                outputs += self._move(held, "unknown", now, detail="no answer of the car by the deadline")
            else:
                detail = "the car was not connected while the command was valid"
                outputs += self._move(held, "expired", now, detail=detail)
        return outputs

    # --- what drivers ask

    def _restore(self, records: Iterable[CommandRecord], now: Instant) -> list[DeskOutput]:
        """Take the commands over. A `queued` one is sent again, as nobody knows whether it was: a car executes an id once."""
        outputs: list[DeskOutput] = []
        for stored in records:
            # What the car's connection did meanwhile is not known, so such a command can only become `unknown`.
            left = min(stored.expires_at - now, stored.expires_at - stored.asked_at)  # another clock may run now
            record = replace(stored, expires_at=now + left)
            held = self._keep(record, seen=True)
            if record.state is None:
                detail = "the back end was restarted before the S-PIN was checked; ask again"
                outputs += self._move(held, "rejected", now, reason="spin_required", detail=detail)
                continue
            if record.state == "queued" and now < record.expires_at:
                if (refusal := self._judged_again(record, now)) is not None:
                    outputs += self._refuse(held, refusal, now)
                    continue
                outputs.append(self._sending(record, now))
            # The answer may wait in the broker's session, so a deadline long past gets some time, too.
            due = record.expires_at if _RANK[record.state] < _RANK["accepted"] else now + self._patience()
            self._timers.set(record.id, max(due, now) + self._skew())
        return outputs

    def reported(self, vin: str) -> ReportedSettings | None:
        """Return what a car has said of its own switches, None when nothing."""
        return self._settings.get(vin)

    def knows(self, vin: str) -> bool:
        """Tell whether somebody is enrolled on a car, or a message of it has ever arrived."""
        return vin in self._known

    def remembers(self, command_id: str) -> bool:
        """Tell whether a repeated request with this id can be answered without the store."""
        return command_id in self._open or command_id in self._ended

    def is_open(self, command_id: str) -> bool:
        """Tell whether the command still waits for its terminal state."""
        return command_id in self._open

    @property
    def open_count(self) -> int:
        """How many commands wait for their terminal state."""
        return len(self._open)

    # --- requests

    def _asked(self, message: CommandAsked, now: Instant) -> list[DeskOutput]:
        request, topic = message.request, message.answer_topic
        if not 0 < len(request.id) <= LONGEST_ID:
            return [_answer(topic, request.id[:LONGEST_ID], now, "malformed", f"an id has 1 to {LONGEST_ID} characters")]
        held = self._open.get(request.id)
        earlier = held.record if held is not None else self._ended.get(request.id) or message.stored
        if earlier is not None:
            if (earlier.vin, earlier.name) != (request.vin[:40], request.name[:40]):
                return [_answer(topic, request.id, now, "malformed", "this id belongs to another command")]
            if held is not None:
                held.record = replace(held.record, answer_topic=topic)
            return [] if earlier.state is None else [Answer(topic, _present(earlier))]
        if message.forgotten:  # nothing of it is kept, not even that somebody has asked
            return [_answer(topic, request.id, now, UNKNOWN_VIN.reason, UNKNOWN_VIN.detail)]
        return self._new_command(message, now)

    def _new_command(self, asked: CommandAsked | BackEndAsked, now: Instant) -> list[DeskOutput]:
        request = asked.request
        by_back_end = isinstance(asked, BackEndAsked)
        misplaced = any(map(looks_like_spin, (request.vin, request.name, request.user, request.parameters.get("user"))))
        if misplaced:
            request = replace(request, vin="", name="", user=None)
        refusal = MISPLACED if misplaced else self._unfit(request, by_back_end=by_back_end)
        user_name, key, outputs = BACK_END, (request.vin, BACK_END), list[DeskOutput]()
        if isinstance(asked, CommandAsked):
            user_name, key = self._asker(asked, request)
            if refusal is None:
                refusal, outputs = self._unentitled(asked, request, user_name, now)
        elif refusal is None:
            refusal = self._unsent(request)
        record = CommandRecord(
            id=request.id,
            vin=request.vin[:40],
            name=request.name[:40],
            user=user_name[:40],
            # What was refused is not kept: somebody may have written the S-PIN where it does not belong.
            parameters=request.parameters if refusal is None else {},
            answer_topic="" if isinstance(asked, BackEndAsked) else asked.answer_topic,
            asked_at=now,
            expires_at=now + (_time_to_live(request) or 0),
            due_wall_us=request.due_wall_us,
            changed_at=now,
        )
        outputs.append(CommandOpened(record))
        held = self._keep(record, seen=False)
        if refusal is not None:
            return outputs + self._refuse(held, refusal, now)
        if by_back_end or not _wants_spin(asked) or self._guard.token_valid(key, request.token, now):
            return outputs + self._queue(held, now)
        refusal = self._guard.refusal(key, request.spin)
        if refusal is None and request.spin is not None:
            started = self._guard.submit(key, request.id, request.spin, sets=False, given=self._pairing(request.vin))
            if started is not None:
                return outputs + started
        return outputs + self._refuse(held, refusal or BUSY, now)

    def _asker(self, asked: CommandAsked, request: CommandRequest) -> tuple[str, UserKey]:
        """Return who asks, by the name that is kept with the command, and whose S-PIN counts.

        Of a car with people that is an account, whoever it is: a name that is none of theirs is not kept.
        """
        rights = self._with_people(request.vin)
        if rights is None and asked.person is None:
            name = request.user or PRIMARY
            return name, (request.vin, name)
        person = asked.person
        if person is None and rights is not None and not asked.session_ended and request.user in {None, PRIMARY}:
            person = rights.primary
        return person or NOBODY, account_key(person or NOBODY)

    def _unentitled(
        self, asked: CommandAsked, request: CommandRequest, who: str, now: Instant
    ) -> tuple[DeskRefusal | None, list[DeskOutput]]:
        """Return why whoever asks may not do this with this car, or None; and what comes of meeting a user first."""
        if asked.session_ended:
            return DeskRefusal("insufficient_rights", "the session is over; log in again"), []
        refusal = self._judged(request.vin, request.name, request.parameters, who, now)
        if refusal is not None:
            return refusal, []
        if self._with_people(request.vin) is not None:
            return None, self._guard.meet(account_key(who)) if _wants_spin(asked) else []
        if asked.person is not None:
            return DeskRefusal("insufficient_rights", "this person is no user of the car"), []
        user, outputs = self._guard.enrol(request.vin, who, self._pairing(request.vin))
        if user is None:
            return DeskRefusal("insufficient_rights", f"{who[:40]!r} is not enrolled on this car"), outputs
        return None, outputs

    def _with_people(self, vin: str) -> CarRights | None:
        """Return the rights of a car whose people are known, None for one that is a nameless primary user's."""
        rights = self._rights.get(vin)
        return rights if rights is not None and rights.people else None

    def _judged(self, vin: str, name: str, parameters: Mapping[str, Any], who: str, now: Instant) -> DeskRefusal | None:
        """Return the answer to the one question, as things stand now."""
        doing = of_oneself(command_doing(name), who, parameters)
        why = rights_refusal(self._rights.get(vin), self._settings.get(vin), who, doing, now)
        return None if why is None else DeskRefusal(*why)

    def _judged_again(self, record: CommandRecord, now: Instant) -> DeskRefusal | None:
        """Return why a command may not be sent any more that might be when it was asked for; of cars without people, nothing."""
        if record.vin in self._rights and record.user != BACK_END:
            return self._judged(record.vin, record.name, record.parameters, record.user, now)
        return None

    def _unsent(self, request: CommandRequest) -> DeskRefusal | None:
        """Return what is switched off that the back end itself wants of a car. It may end a service that the app switched off."""
        rights = self._rights.get(request.vin)
        if rights is not None and rights.services_off:
            rights = replace(rights, services_off=())
        why = unsent(rights, self._settings.get(request.vin), command_doing(request.name))
        return None if why is None else DeskRefusal(*why)

    def _rights_changed(self, vin: str, rights: CarRights | None, now: Instant) -> list[DeskOutput]:
        """Judge by these from now on, what waits for its S-PIN once that is right. Who is no user any more has nothing open."""
        before = self._with_people(vin)
        if rights is None:
            self._rights.pop(vin, None)
        else:
            self._rights[vin] = rights
            self._known.add(vin)
        after = self._with_people(vin)
        gone = set() if before is None else before.users.keys() - (after.users.keys() if after is not None else ())
        waiting = [self._open[command_id] for command_id in sorted(self._by_vin.get(vin, ())) if gone]
        return [output for held in waiting if held.record.user in gone for output in self._lost(held, now)]

    def _lost(self, held: _Open, now: Instant) -> list[DeskOutput]:
        """End a command whose user is none any more: what comes of it is not for that person.

        A reset, by which users go, is answered.
        """
        if held.record.state is None:
            return self._refuse(held, NO_USER, now)
        if held.record.name == RESET:
            return []
        detail = "whoever asked is no user of the car any more; whether the car obeys is not told"
        return self._move(held, "unknown", now, detail=detail)

    def _forget_car(self, vin: str, now: Instant) -> list[DeskOutput]:
        """End what is under way, and know nothing more of the car, its switches, S-PINs and people."""
        outputs: list[DeskOutput] = []
        for command_id in sorted(self._by_vin.get(vin, ())):
            held = self._open[command_id]
            if held.record.state is None:
                outputs += self._refuse(held, ERASED, now)
            else:
                outputs += self._move(held, "unknown", now, detail=ERASED.detail)
        decisions, removed = self._guard.forget(vin, None, FOREVER)
        outputs = self._decided(decisions, [*outputs, *removed], now)
        for known in (self._presence, self._settings, self._rights):
            known.pop(vin, None)
        self._known.discard(vin)
        self._forgotten.add(vin)
        self._ended = OrderedDict((key, record) for key, record in self._ended.items() if record.vin != vin)
        self._settings_of_spins = OrderedDict((key, held) for key, held in self._settings_of_spins.items() if held.key[0] != vin)
        return outputs

    def _unfit(self, request: CommandRequest, *, by_back_end: bool) -> DeskRefusal | None:
        """Return what is wrong with a request whoever asks. The back end itself may ask a car that it has forgotten."""
        if (invalid := _invalid(request.vin)) is not None:
            return invalid
        if request.vin not in self._known and not (by_back_end and request.vin in self._forgotten):
            return UNKNOWN_VIN
        try:
            read_parameters(request.name, request.parameters)
        except Undecodable as error:
            hidden = request.spin is not None and request.spin in error.detail
            return DeskRefusal(error.reason, "the parameters do not fit the command" if hidden else error.detail)
        if _time_to_live(request) is None:
            return DeskRefusal(
                "argument_out_of_range", f"a time to live is above 0 and at most {LONGEST_TIME_TO_LIVE // SECOND} s"
            )
        if len(self._by_vin.get(request.vin, ())) >= OPEN_PER_CAR:
            return DeskRefusal("busy", f"{OPEN_PER_CAR} commands of this car are under way")
        return None

    def _queue(self, held: _Open, now: Instant, token: str | None = None) -> list[DeskOutput]:
        """Send what passed all checks, unless the car cannot be woken."""
        record = held.record
        presence = self._presence.get(record.vin)
        offline = presence is not None and presence.connection == "offline"
        if offline and presence is not None and presence.reason == "deep_sleep":
            refusal = DeskRefusal("deep_sleep", "the car saves its battery and cannot be reached until it is driven")
            return self._refuse(held, refusal, now, token)
        held.seen = presence is not None and not offline  # a car without presence has never been connected
        # Time to live counts from here: how long the S-PIN took is not the car's affair.
        held.record = record = replace(record, expires_at=record.expires_at - record.asked_at + now)
        self._timers.set(record.id, record.expires_at + self._skew())
        outputs = self._move(held, "queued", now, token=token)
        return [*outputs, self._sending(record, now)]

    def _sending(self, record: CommandRecord, now: Instant) -> SendCommand:
        wall_s = math.ceil((record.expires_at - now) / (SECOND * self._factor))
        command = Command(
            id=record.id,
            vin=record.vin,
            name=record.name,
            issued_at=now,
            expires_at=record.expires_at,
            parameters=dict(record.parameters),
        )
        return SendCommand(command, min(max(wall_s, SHORTEST_EXPIRY_S), LONGEST_EXPIRY_S))

    def _set_spin(self, message: SpinSettingAsked, now: Instant) -> list[DeskOutput]:
        request, topic = message.request, message.answer_topic
        request_id = request.id[:LONGEST_ID]
        key = (request.vin, request.user or PRIMARY)
        earlier = self._settings_of_spins.get(request_id)
        if earlier is not None:
            if earlier.key != key:
                return [_answer(topic, request_id, now, "malformed", "this id belongs to another request")]
            return [] if earlier.answer is None else [Answer(topic, earlier.answer)]
        refusal, outputs = self._unfit_for_a_spin(request)
        if refusal is None:
            given = self._pairing(request.vin)
            started = self._guard.submit(key, request_id, request.spin, sets=True, answer_topic=topic, given=given)
            if started is not None:
                self._settings_of_spins[request_id] = _SpinSetting(key)
                if len(self._settings_of_spins) > REMEMBERED_SPINS:
                    self._settings_of_spins.popitem(last=False)
                return outputs + started
            refusal = BUSY
        return [*outputs, _answer(topic, request_id, now, refusal.reason, refusal.detail)]

    def _unfit_for_a_spin(self, request: SetSpin) -> tuple[DeskRefusal | None, list[DeskOutput]]:
        """Return why this S-PIN cannot be set, or None; and what comes of enrolling its user."""
        if looks_like_spin(request.vin) or looks_like_spin(request.user):
            return MISPLACED, []
        if not request.vin and request.user:  # of an account, wherever it is used
            return (None, list(self._guard.meet(account_key(request.user)))) if is_spin(request.spin) else (BAD_FORMAT, [])
        if (invalid := _invalid(request.vin)) is not None:
            return invalid, []
        if request.vin not in self._known:
            return UNKNOWN_VIN, []
        if not is_spin(request.spin):
            return BAD_FORMAT, []
        settings = self._settings.get(request.vin)
        if settings is not None and not settings.paired:
            return DeskRefusal(*NOT_PAIRED), []  # it would be a right of whoever had the car before
        user_name = request.user or PRIMARY
        user, outputs = None, list[DeskOutput]()
        if self._with_people(request.vin) is None:  # else it would have come as that of an account
            user, outputs = self._guard.enrol(request.vin, user_name, self._pairing(request.vin))
        if user is None:
            return DeskRefusal("insufficient_rights", f"{user_name[:40]!r} is not enrolled on this car"), outputs
        return None, outputs

    def _check_spin(self, message: SpinAsked) -> list[DeskOutput]:
        """Have the S-PIN of an account checked: one count of tries, wherever it is typed."""
        key = account_key(message.account)
        outputs: list[DeskOutput] = list(self._guard.meet(key))
        refusal = self._guard.refusal(key, message.spin)
        if refusal is None:
            started = self._guard.submit(key, message.id, message.spin, sets=False)
            if started is not None:
                self._spins_asked.add(message.id)
                return outputs + started
            refusal = BUSY
        return [*outputs, SpinChecked(message.id, refusal.reason, refusal.detail)]

    def _enrol(self, message: EnrolmentAsked, now: Instant) -> list[DeskOutput]:
        request, topic = message.request, message.answer_topic
        if (invalid := _invalid(request.vin)) is not None:
            return [_answer(topic, request.id[:LONGEST_ID], now, invalid.reason, invalid.detail)]
        self._known.add(request.vin)
        _, outputs = self._guard.enrol(request.vin, PRIMARY, self._pairing(request.vin))
        return [*outputs, Answer(topic, DeskAnswer(id=request.id[:LONGEST_ID], state="succeeded", final=True, at=now))]

    def _decided(self, decisions: list[Decision], outputs: list[DeskOutput], now: Instant) -> list[DeskOutput]:
        """Carry out what became of S-PIN jobs. What the guard stores goes first: an answer must not outlive its count."""
        for decision in decisions:
            job, refusal = decision.job, decision.refusal
            if job.sets:
                answer = (
                    _answer(job.answer_topic, job.request_id, now, refusal.reason, refusal.detail)
                    if refusal is not None
                    else Answer(job.answer_topic, DeskAnswer(id=job.request_id, state="succeeded", final=True, at=now))
                )
                if (setting := self._settings_of_spins.get(job.request_id)) is not None:
                    setting.answer = answer.answer
                outputs.append(answer)
            elif job.request_id in self._spins_asked:
                self._spins_asked.discard(job.request_id)
                outputs.append(
                    SpinChecked(job.request_id)
                    if refusal is None
                    else SpinChecked(job.request_id, refusal.reason, refusal.detail)
                )
            elif (held := self._open.get(job.request_id)) is not None:
                refusal = refusal or self._judged_again(held.record, now)
                outputs += self._refuse(held, refusal, now) if refusal is not None else self._queue(held, now, decision.token)
        return outputs

    def _switched(self, event: Event, now: Instant) -> list[DeskOutput]:
        """Keep what a car says of its switches; a reset takes away the rights of before it, however late it comes."""
        outputs: list[DeskOutput] = []
        settings = car_settings.after(self._settings.get(event.vin), event)
        if settings is not None:
            self._settings[event.vin] = settings
            outputs.append(KeepSettings(event.vin, settings))
        reset = car_settings.reset_of(event)
        if reset is None:
            return outputs
        decisions, removed = self._guard.forget(event.vin, reset.user, (event.boot, event.seq))
        return self._decided(decisions, [*outputs, *removed], now)

    def _pairing(self, vin: str) -> Number:
        """Return under which pairing of a car rights are given now."""
        settings = self._settings.get(vin)
        return NEVER if settings is None else settings.pairing

    # --- life of a command

    def _published(self, message: CommandPublished, now: Instant) -> list[DeskOutput]:
        held = self._open.get(message.command_id)
        if held is None or held.record.state != "queued":
            return []
        if message.refused is not None:
            if message.refused == NOT_IN_DIALECT:
                detail = "the dialect of the car has no words for it"
                return self._move(held, "rejected", now, reason=NOT_IN_DIALECT, detail=detail)
            if message.refused == INTERNAL:
                return self._move(held, "failed", now, reason=INTERNAL, detail="the command could not be published")
            detail = f"the broker refused the command: {message.refused[:80]}"
            return self._move(held, "failed", now, reason="publish_refused", detail=detail)
        return self._move(held, "sent", now)

    def _car_answered(self, response: Response, now: Instant) -> list[DeskOutput]:
        if response.state not in _FROM_CAR:
            return []
        held = self._open.get(response.command_id)
        if held is None:
            return self._late(response, now)
        if held.record.vin != response.vin or held.record.state is None:
            return []
        held.seen = True
        if _RANK.get(response.state, _ENDED) <= _RANK[held.record.state]:
            return []
        # The broker's acknowledgement can be overtaken by the answer, which proves as much.
        outputs = self._move(held, "sent", now) if held.record.state == "queued" else []
        outputs += self._move(
            held,
            response.state,
            now,
            reason=None if response.reason is None else response.reason[:60],
            detail=None if response.detail is None else response.detail[:500],
            by="car",
            awake=response.awake,
        )
        if response.state not in TERMINAL_STATES:
            self._timers.set(response.command_id, now + self._patience())
        return outputs

    def _late(self, response: Response, now: Instant) -> list[DeskOutput]:
        """Note how the car ended what the desk had given up. What is no longer remembered, the store decides."""
        ended = self._ended.get(response.command_id)
        given_up = ended is None or (ended.vin == response.vin and ended.by == "desk" and ended.state in {"expired", "unknown"})
        if response.state not in TERMINAL_STATES or not given_up:
            return []
        reason = None if response.reason is None else response.reason[:60]
        return [LateResult(response.command_id, response.vin, response.state, reason, now)]

    def _refuse(self, held: _Open, refusal: DeskRefusal, now: Instant, token: str | None = None) -> list[DeskOutput]:
        return self._move(held, "rejected", now, reason=refusal.reason, detail=refusal.detail, token=token)

    def _move(
        self,
        held: _Open,
        state: CommandState,
        now: Instant,
        *,
        reason: str | None = None,
        detail: str | None = None,
        by: By = "desk",
        awake: bool | None = None,
        token: str | None = None,
    ) -> list[DeskOutput]:
        """Change the state: store it, then tell the user. The only place where a command ends."""
        record = replace(held.record, state=state, reason=reason, detail=detail, by=by, awake=awake, changed_at=now)
        held.record = record
        if state in TERMINAL_STATES:
            self._forget(record)
        outputs: list[DeskOutput] = [Transition(record.id, state, reason, detail, now, by, awake)]
        if record.answer_topic:
            outputs.append(Answer(record.answer_topic, _present(record, token)))
        return outputs

    def _keep(self, record: CommandRecord, *, seen: bool) -> _Open:
        held = self._open[record.id] = _Open(record, seen=seen)
        self._by_vin.setdefault(record.vin, set()).add(record.id)
        return held

    def _forget(self, record: CommandRecord) -> None:
        del self._open[record.id]
        self._timers.set(record.id, None)
        same_car = self._by_vin[record.vin]
        same_car.discard(record.id)
        if not same_car:
            del self._by_vin[record.vin]
        self._ended[record.id] = replace(record, parameters={})
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def _connected(self, vin: str) -> None:
        for command_id in self._by_vin.get(vin, ()):
            self._open[command_id].seen = True

    # --- time

    def _skew(self) -> Duration:
        return max(_SKEW, int(_SKEW_WALL * self._factor))

    def _patience(self) -> Duration:
        return max(_PATIENCE, int(_PATIENCE_WALL * self._factor))

    def _clock_changed(self, message: ClockChanged) -> None:
        """Keep what is left of every pending time, in scenario time."""
        self._factor = message.factor
        self._guard.shift(message.shift)
        moved = []
        while (at := self._timers.next_deadline()) is not None:
            moved += [(due + message.shift, command_id) for due, command_id in self._timers.pop_due(at, limit=1_000)]
        for due, command_id in moved:
            self._timers.set(command_id, due)
        for held in self._open.values():
            record = held.record
            held.record = replace(record, asked_at=record.asked_at + message.shift, expires_at=record.expires_at + message.shift)


def account_key(account: str) -> UserKey:
    """Return under what the S-PIN of an account is kept: it is one for all cars."""
    return OF_ACCOUNTS, account


def _wants_spin(asked: CommandAsked | BackEndAsked) -> bool:
    """Tell whether a command wants the S-PIN, beside what else it wants: some do not from an app that is logged in."""
    request = asked.request
    kind = COMMANDS[request.name]
    if not kind.needs_spin or not isinstance(asked, CommandAsked) or not asked.in_session:
        return kind.needs_spin
    if kind.entry.session_is_enough:
        return False
    return not (kind.entry.session_is_enough_to_stop and request.parameters.get("action") == "stop")


def _time_to_live(request: CommandRequest) -> Duration | None:
    """Return the scenario time a request may take, None when what it asks for is out of range."""
    if request.ttl_s is None:
        known = COMMANDS.get(request.name)
        return known.time_to_live if known is not None else 0
    if not 0 < request.ttl_s <= LONGEST_TIME_TO_LIVE / SECOND:  # refuses NaN, too
        return None
    return max(1, round(request.ttl_s * SECOND))


def _present(record: CommandRecord, token: str | None = None) -> DeskAnswer:
    """Tell the state a command is in."""
    assert record.state is not None, "a command whose S-PIN is being checked has nothing to tell yet"
    return DeskAnswer(
        id=record.id,
        state=record.state,
        reason=record.reason,
        detail=record.detail,
        final=record.state in TERMINAL_STATES,
        at=record.changed_at,
        awake=record.awake,
        token=token,
        by=record.by,
    )


def _invalid(vin: str) -> DeskRefusal | None:
    fault = fault_of(vin)
    return (
        None if fault is None else DeskRefusal("invalid_vin", f"{fault}; a VIN has 17 characters, A-Z and 0-9 without I, O and Q")
    )


def _answer(topic: str, request_id: str, now: Instant, reason: str, detail: str) -> Answer:
    """Refuse something that never became a command."""
    return Answer(topic, DeskAnswer(id=request_id, state="rejected", reason=reason, detail=detail, final=True, at=now))
